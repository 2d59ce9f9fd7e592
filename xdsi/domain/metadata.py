"""Document Sharing metadata: DocumentEntry, SubmissionSet, Folder, Association (ITI TF-3 4.1, 4.2).

HL7 v2 typed values (XCN, XON, XTN, CX) stay the text that was submitted, because a registry returns what it was given;
`rules.formats` judges them, `domain.identifiers` reads them. What the profile does not know is kept in `extra`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final, TypeAlias, TypeVar, get_args

from xdsi.domain.codes import Code
from xdsi.domain.identifiers import new_entry_uuid
from xdsi.domain.texts import LocalizedString
from xdsi.spec import uuids


@dataclass(frozen=True, slots=True)
class Slot:
    """A rim:Slot: a name and its values in order."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Author:
    """One author Classification with its sub-attributes (ITI TF-3 4.2.3.1.4)."""

    person: str = ""
    """XCN"""
    institutions: tuple[str, ...] = ()
    """XON"""
    roles: tuple[str, ...] = ()
    specialties: tuple[str, ...] = ()
    telecommunications: tuple[str, ...] = ()
    """XTN"""
    extra: tuple[Slot, ...] = ()
    id: str = field(default_factory=new_entry_uuid, compare=False)


@dataclass(frozen=True, slots=True)
class ExtraClassification:
    """A Classification that the profile does not name, kept as it came."""

    scheme: str = ""
    node: str = ""
    representation: str = ""
    name: str = ""
    slots: tuple[Slot, ...] = ()
    id: str = field(default_factory=new_entry_uuid, compare=False)


@dataclass(frozen=True, slots=True)
class ExtraIdentifier:
    """An ExternalIdentifier that the profile does not name, kept as it came."""

    scheme: str
    value: str
    name: str = ""
    id: str = field(default_factory=new_entry_uuid, compare=False)


@dataclass(frozen=True, slots=True)
class Extra:
    """Metadata beyond the profile (ITI TF-3 4.2.3.1.6): stored and returned."""

    slots: tuple[Slot, ...] = ()
    classifications: tuple[ExtraClassification, ...] = ()
    identifiers: tuple[ExtraIdentifier, ...] = ()
    names: tuple[LocalizedString, ...] = ()
    """the title in its languages, the first as in `title`; empty where that has no language"""
    descriptions: tuple[LocalizedString, ...] = ()
    """the comments likewise"""

    def __bool__(self) -> bool:
        return bool(self.slots or self.classifications or self.identifiers or self.names or self.descriptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentEntry:
    """A DocumentEntry. Names are the standard's, in snake case; times are DTM text in UTC; empty means absent."""

    entry_uuid: str
    object_type: str = uuids.STABLE
    mime_type: str = ""
    unique_id: str = ""
    patient_id: str = ""
    """CX, the patient in the affinity domain"""
    logical_id: str = ""
    version: int | None = None
    availability_status: str = ""
    home_community_id: str = ""
    authors: tuple[Author, ...] = ()
    class_code: Code | None = None
    comments: str = ""
    confidentiality_codes: tuple[Code, ...] = ()
    creation_time: str = ""
    document_availability: str = ""
    event_codes: tuple[Code, ...] = ()
    format_code: Code | None = None
    hash: str = ""
    """SHA-1, hexadecimal"""
    healthcare_facility_type_code: Code | None = None
    language_code: str = ""
    legal_authenticator: str = ""
    limited_metadata: bool = False
    practice_setting_code: Code | None = None
    reference_ids: tuple[str, ...] = ()
    """CXi"""
    repository_unique_id: str = ""
    service_start_time: str = ""
    service_stop_time: str = ""
    size: str = ""
    """decimal number of bytes, as submitted"""
    source_patient_id: str = ""
    source_patient_info: tuple[str, ...] = ()
    title: str = ""
    type_code: Code | None = None
    uri: str = ""
    extra: Extra = field(default_factory=Extra)

    @property
    def is_on_demand(self) -> bool:
        """True for an On-Demand DocumentEntry."""
        return self.object_type == uuids.ON_DEMAND


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionSet:
    """A SubmissionSet (ITI TF-3 4.2.3.3)."""

    entry_uuid: str
    unique_id: str = ""
    source_id: str = ""
    patient_id: str = ""
    submission_time: str = ""
    availability_status: str = ""
    home_community_id: str = ""
    authors: tuple[Author, ...] = ()
    content_type_code: Code | None = None
    comments: str = ""
    intended_recipients: tuple[str, ...] = ()
    limited_metadata: bool = False
    title: str = ""
    extra: Extra = field(default_factory=Extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A Folder (ITI TF-3 4.2.3.4)."""

    entry_uuid: str
    unique_id: str = ""
    patient_id: str = ""
    logical_id: str = ""
    version: int | None = None
    availability_status: str = ""
    home_community_id: str = ""
    codes: tuple[Code, ...] = ()
    comments: str = ""
    last_update_time: str = ""
    limited_metadata: bool = False
    title: str = ""
    extra: Extra = field(default_factory=Extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """An Association between two objects (ITI TF-3 4.2.2)."""

    entry_uuid: str
    type: str
    source: str
    target: str
    availability_status: str = ""
    home_community_id: str = ""
    submission_set_status: tuple[str, ...] = ()
    """values of slot SubmissionSetStatus: Original or Reference"""
    previous_version: str = ""
    documentation: Code | None = None
    extra: Extra = field(default_factory=Extra)


RegistryObject: TypeAlias = DocumentEntry | SubmissionSet | Folder | Association


R = TypeVar("R", bound=RegistryObject)
_NAMES: Final = {type_: tuple(one.name for one in fields(type_)) for type_ in get_args(RegistryObject)}
_VALUES: Final = {type_: attrgetter(*names) for type_, names in _NAMES.items()}


def with_changes(registry_object: R, **changes: Any) -> R:
    """A copy of a metadata object with some attributes changed."""
    # `replace` looks at each of many attributes by itself.
    type_ = type(registry_object)
    return type_(**dict(zip(_NAMES[type_], _VALUES[type_](registry_object), strict=True)) | changes)
