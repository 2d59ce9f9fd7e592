"""A stored query and its answer (ITI TF-2 3.18)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from xdsi.domain.codes import Code
from xdsi.domain.consent import Resource
from xdsi.domain.metadata import Association, RegistryObject
from xdsi.domain.outcome import Outcome

Value: TypeAlias = str | Code


class ReturnType(StrEnum):
    """ResponseOption/@returnType."""

    OBJECT_REF = "ObjectRef"
    LEAF_CLASS = "LeafClass"


@dataclass(frozen=True, slots=True)
class AdhocQuery:
    """An AdhocQueryRequest as it came: every Slot in order, each rim:Value undecoded.

    `slots` are (name, values) pairs; a name may occur several times. `raw` is the request element for the audit record.
    """

    query_id: str
    return_type: str
    slots: tuple[tuple[str, tuple[str, ...]], ...]
    home_community_id: str = ""
    return_composed_objects: bool = True
    start_index: int = 0
    max_results: int = -1
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class StoredQuery:
    """A checked query: each parameter a conjunction (AND) of alternatives (OR) of decoded values.

    A single value is `((value,),)`; `('a','b')` is `(('a', 'b'),)`; a repeated Slot adds a tuple.
    """

    query_id: str
    return_type: ReturnType
    parameters: Mapping[str, tuple[tuple[Value, ...], ...]]
    home_community_id: str = ""
    start_index: int = 0
    max_results: int = -1
    at_most: int = 0
    """no more objects than these need be found; 0 leaves it to the registry"""

    def values(self, name: str) -> tuple[Value, ...]:
        """All alternatives of a parameter that has no AND semantics; empty when it was not sent."""
        groups = self.parameters.get(name, ())
        return groups[0] if groups else ()

    def value(self, name: str) -> Value | None:
        """The single value of a parameter, or None."""
        values = self.values(name)
        return values[0] if values else None


class ObjectKind(StrEnum):
    """The class of a registry object."""

    DOCUMENT_ENTRY = "DocumentEntry"
    SUBMISSION_SET = "SubmissionSet"
    FOLDER = "Folder"
    ASSOCIATION = "Association"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundObject:
    """A registry object as a query found it, before its metadata are read.

    `resource` is set for DocumentEntries: what consent decides on. `source`, `target` are set for Associations.
    `patient_key` is the internal key of the patient after merges (objects of one person share it).
    """

    id: str
    kind: ObjectKind
    patient_key: int = 0
    home_community_id: str = ""
    resource: Resource | None = None
    source: str = ""
    target: str = ""
    association_type: str = ""

    @classmethod
    def of(cls, one: RegistryObject) -> FoundObject:
        """A registered object whose metadata are already read, as if it were found; without `resource` and key."""
        kind = ObjectKind(type(one).__name__)
        if isinstance(one, Association):
            return cls(id=one.entry_uuid, kind=kind, source=one.source, target=one.target, association_type=one.type)
        return cls(id=one.entry_uuid, kind=kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the visibility of found objects rests on, for them and for every end of an Association among them.

    All keys are entryUUIDs. An id that is nowhere here is of something that is not registered.
    """

    resources: Mapping[str, Resource] = field(default_factory=dict)
    """what is decided on: DocumentEntries, and SubmissionSets and Folders without a member that is one"""
    members: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """SubmissionSet or Folder -> the DocumentEntries of its own patient, of any status, that it has as members"""
    ends: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Association -> its source and its target"""
    complete: bool = True
    """false where it would be more than one answer is worth; nothing else is given then"""


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """An AdhocQueryResponse: ids for ObjectRef, encoded ebRIM fragments for LeafClass.

    `fragments` is opaque encoded text, one registry object each; it may be a generator that reads as it goes.
    """

    outcome: Outcome
    object_refs: tuple[tuple[str, str], ...] = ()
    """(entryUUID, homeCommunityId or empty)"""
    fragments: Iterable[bytes] = ()
    total: int | None = None
    start_index: int = 0
    """where in the whole result this page begins"""
