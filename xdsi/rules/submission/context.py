"""What the rules of a submission look at: the request, and the registered objects it speaks of, fetched once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from xdsi.domain.identifiers import PatientId, is_entry_uuid
from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject, SubmissionSet
from xdsi.domain.outcome import Problem
from xdsi.domain.stored_query import FoundObject, StoredQuery
from xdsi.domain.submission import Submission
from xdsi.rules.attributes import SHORT
from xdsi.spec import uuids


class Facts(Protocol):
    """What the rules ask of the registry; a part of `ports.RegistrySession`, whose promises hold."""

    def patient_status(self, patient: PatientId) -> str:
        """`active`, `subsumed` or `unknown`."""

    def objects(self, ids: Sequence[str]) -> Mapping[str, RegistryObject]:
        """Registered objects by entryUUID."""

    def entries_by_unique_id(self, unique_ids: Sequence[str]) -> Sequence[DocumentEntry]:
        """DocumentEntries with one of these uniqueIds."""

    def kinds_by_unique_id(self, unique_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """The kinds of object that carry each registered uniqueId."""

    def folders_of(self, entry_uuid: str) -> Sequence[Folder]:
        """The Approved Folders that contain a DocumentEntry."""

    def related_to(self, entry_uuids: Sequence[str], types: Sequence[str]) -> Sequence[Association]:
        """Associations of the given types whose target is among the ids."""

    def find(self, query: StoredQuery) -> Sequence[FoundObject]:
        """The objects a stored query selects."""


@dataclass(frozen=True, slots=True)
class Context:
    """One submission with the facts its rules need."""

    submission: Submission
    facts: Facts
    own: Mapping[str, RegistryObject]
    """the objects of the request by id"""
    registered: Mapping[str, RegistryObject]
    """the registered objects that the request names, by entryUUID"""

    @classmethod
    def of(cls, submission: Submission, facts: Facts, *, accepted: bool = False) -> Context:
        """Fetch what the request names, in one question to the registry.

        The own objects of a submission that is `accepted` are known not to be registered.
        """
        own = {one.entry_uuid: one for one in reversed(submission.objects)}
        named = dict.fromkeys(own)
        for association in submission.associations:
            named.update(dict.fromkeys((association.source, association.target)))
        asked = [id_ for id_ in named if is_entry_uuid(id_) and not (accepted and id_ in own)]
        return cls(submission, facts, own, dict(facts.objects(asked)) if asked else {})

    @property
    def members(self) -> tuple[DocumentEntry | Folder, ...]:
        """What the SubmissionSet must link."""
        return (*self.submission.document_entries, *self.submission.folders)

    @property
    def identified(self) -> tuple[SubmissionSet | DocumentEntry | Folder, ...]:
        """The objects that have a uniqueId and a patient."""
        return (*self.submission.submission_sets, *self.members)

    def find(self, id_: str) -> RegistryObject | None:
        """The object of an id, in the request or in the registry."""
        return self.own.get(id_) or self.registered.get(id_)

    def is_own_set(self, id_: str) -> bool:
        """True for a SubmissionSet of the request."""
        return isinstance(self.own.get(id_), SubmissionSet)

    def members_of_folders(self) -> Iterator[tuple[Association, Folder, DocumentEntry]]:
        """The Folder-DocumentEntry HasMembers of the request whose two ends are known."""
        for association in self.submission.associations:
            if association.type == uuids.HAS_MEMBER:
                folder, entry = self.find(association.source), self.find(association.target)
                if isinstance(folder, Folder) and isinstance(entry, DocumentEntry):
                    yield association, folder, entry

    def relationships(self) -> Iterator[Association]:
        """The associations between documents."""
        return (one for one in self.submission.associations if one.type in uuids.RELATIONSHIPS)

    def replacements(self) -> Iterator[tuple[Association, DocumentEntry, DocumentEntry]]:
        """Each replacement of a registered entry: the association, the new entry, the old entry."""
        for association in self.submission.associations:
            if association.type in uuids.REPLACEMENTS:
                new, old = self.own.get(association.source), self.registered.get(association.target)
                if isinstance(new, DocumentEntry) and isinstance(old, DocumentEntry):
                    yield association, new, old


def problem(code: str, registry_object: RegistryObject, rule: str, text: str) -> Problem:
    """A problem located at an object of the request."""
    return Problem(code, text, location=registry_object.entry_uuid, rule=f"{SHORT[type(registry_object)]}.{rule}")


def repeated(values: Sequence[str]) -> Mapping[str, int]:
    """The values that occur more than once, and how often; nearly always there are none."""
    if len(set(values)) == len(values):
        return {}
    return {value: count for value, count in Counter(values).items() if count > 1}


def name_of(association_type: str) -> str:
    """The last part of an association type's URN."""
    return association_type.rpartition(":")[2]
