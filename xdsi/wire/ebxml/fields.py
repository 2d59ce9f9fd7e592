"""Where each metadata attribute stands in ebRIM: one table per object class, which drives both directions.

ITI TF-3 tables 4.2.3.2-1 (DocumentEntry), 4.2.3.3-1 (SubmissionSet), 4.2.3.4-1 (Folder), 4.2.2-1 (Association) and
4.2.3.1.4 (author); Metadata Update 4.2.3.2.30-32 and 4.2.3.4.11-12.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import Enum, auto
from typing import Final

from xdsi.domain.identifiers import is_entry_uuid
from xdsi.domain.metadata import Association, Author, DocumentEntry, Folder, RegistryObject, SubmissionSet
from xdsi.spec import uuids


class Coding(Enum):
    """The ebRIM construct that carries an attribute."""

    ATTRIBUTE = auto()
    """an XML attribute of the object"""
    SLOT = auto()
    CODE = auto()
    """a Classification of a scheme: nodeRepresentation, Slot codingScheme, Name"""
    AUTHOR = auto()
    """a Classification of a scheme whose Slots are the author's attributes"""
    FLAG = auto()
    """a Classification by a node; its presence is the value"""
    IDENTIFIER = auto()
    """an ExternalIdentifier"""
    NAME = auto()
    DESCRIPTION = auto()
    VERSION = auto()
    """VersionInfo/@versionName"""


@dataclass(frozen=True, slots=True)
class Field:
    """One metadata attribute: its name in the domain, its name in the standard, and where it stands."""

    attribute: str
    name: str
    coding: Coding
    identifier: str = ""
    """the XML attribute, Slot name, scheme or node"""
    multiple: bool = False
    label: str = ""
    """the fixed Name of an ExternalIdentifier"""


_BY_UUID = frozenset({Coding.CODE, Coding.AUTHOR, Coding.FLAG, Coding.IDENTIFIER})


class ObjectClass:
    """One class of registry objects and its fields, indexed by where they stand."""

    def __init__(self, type_: type[RegistryObject], element: str, short: str, rows: Iterable[Field]) -> None:
        known = {one.name for one in fields(type_)}
        self.type = type_
        self.element = element
        self.short = short
        """begins the rule codes of findings"""
        self.fields = tuple(rows)
        for row in self.fields:
            if row.attribute not in known:
                raise ValueError(f"{type_.__name__} has no attribute {row.attribute}")
            if row.coding in _BY_UUID and not is_entry_uuid(row.identifier):
                raise ValueError(f"{row.name}: not a UUID: {row.identifier}")
        self.attributes = self._of(Coding.ATTRIBUTE)
        self.slots = self._of(Coding.SLOT)
        self.names = self._of(Coding.NAME)
        self.descriptions = self._of(Coding.DESCRIPTION)
        self.versions = self._of(Coding.VERSION)
        self.classifications = self._of(Coding.AUTHOR, Coding.CODE)
        self.flags = self._of(Coding.FLAG)
        self.identifiers = self._of(Coding.IDENTIFIER)
        self.by_slot = _by_identifier(self.slots)
        self.by_scheme = _by_identifier(self.classifications)
        self.by_node = _by_identifier(self.flags)
        self.by_identification = _by_identifier(self.identifiers)

    def _of(self, *codings: Coding) -> tuple[Field, ...]:
        return tuple(row for row in self.fields if row.coding in codings)


def _by_identifier(rows: Iterable[Field]) -> Mapping[str, Field]:
    return {row.identifier: row for row in rows}


_STATUS = Field("availability_status", "availabilityStatus", Coding.ATTRIBUTE, "status")
_HOME = Field("home_community_id", "homeCommunityId", Coding.ATTRIBUTE, "home")
_TITLE = Field("title", "title", Coding.NAME)
_COMMENTS = Field("comments", "comments", Coding.DESCRIPTION)
_LOGICAL_ID = Field("logical_id", "logicalID", Coding.ATTRIBUTE, "lid")
_VERSION = Field("version", "version", Coding.VERSION)


def _slot(attribute: str, name: str, identifier: str = "", *, multiple: bool = False) -> Field:
    return Field(attribute, name, Coding.SLOT, identifier or name, multiple)


def _code(attribute: str, name: str, scheme: str, *, multiple: bool = False) -> Field:
    return Field(attribute, name, Coding.CODE, f"urn:uuid:{scheme}", multiple)


def _identifier(attribute: str, name: str, scheme: str, owner: str) -> Field:
    return Field(attribute, name, Coding.IDENTIFIER, f"urn:uuid:{scheme}", label=f"{owner}.{name}")


def _author(scheme: str) -> Field:
    return Field("authors", "author", Coding.AUTHOR, f"urn:uuid:{scheme}", multiple=True)


def _limited(node: str) -> Field:
    return Field("limited_metadata", "limitedMetadata", Coding.FLAG, f"urn:uuid:{node}")


DOCUMENT_ENTRY: Final = ObjectClass(DocumentEntry, "ExtrinsicObject", "DE", (
    Field("mime_type", "mimeType", Coding.ATTRIBUTE, "mimeType"),
    Field("object_type", "objectType", Coding.ATTRIBUTE, "objectType"),
    _STATUS,
    _HOME,
    _LOGICAL_ID,
    _slot("creation_time", "creationTime"),
    _slot("document_availability", "documentAvailability"),
    _slot("hash", "hash"),
    _slot("language_code", "languageCode"),
    _slot("legal_authenticator", "legalAuthenticator"),
    _slot("reference_ids", "referenceIdList", "urn:ihe:iti:xds:2013:referenceIdList", multiple=True),
    _slot("repository_unique_id", "repositoryUniqueId"),
    _slot("service_start_time", "serviceStartTime"),
    _slot("service_stop_time", "serviceStopTime"),
    _slot("size", "size"),
    _slot("source_patient_id", "sourcePatientId"),
    _slot("source_patient_info", "sourcePatientInfo", multiple=True),
    _slot("uri", "URI"),
    _TITLE,
    _COMMENTS,
    _VERSION,
    _author("93606bcf-9494-43ec-9b4e-a7748d1a838d"),
    _code("class_code", "classCode", "41a5887f-8865-4c09-adf7-e362475b143a"),
    _code("confidentiality_codes", "confidentialityCode", "f4f85eac-e6cb-4883-b524-f2705394840f", multiple=True),
    _code("event_codes", "eventCodeList", "2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4", multiple=True),
    _code("format_code", "formatCode", "a09d5840-386c-46f2-b5ad-9c3699a4309d"),
    _code("healthcare_facility_type_code", "healthcareFacilityTypeCode", "f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1"),
    _code("practice_setting_code", "practiceSettingCode", "cccf5598-8b07-4b77-a05e-ae952c785ead"),
    _code("type_code", "typeCode", "f0306f51-975f-434e-a61c-c59651d33983"),
    _limited("ab9b591b-83ab-4d03-8f5d-f93b1fb92e85"),
    _identifier("patient_id", "patientId", "58a6f841-87b3-4a3e-92fd-a8ffeff98427", "XDSDocumentEntry"),
    _identifier("unique_id", "uniqueId", "2e82c1f6-a085-4c72-9da3-8640a32e42ab", "XDSDocumentEntry"),
))  # fmt: skip

SUBMISSION_SET: Final = ObjectClass(SubmissionSet, "RegistryPackage", "SS", (
    _STATUS,
    _HOME,
    _slot("submission_time", "submissionTime"),
    _slot("intended_recipients", "intendedRecipient", multiple=True),
    _TITLE,
    _COMMENTS,
    _author("a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d"),
    _code("content_type_code", "contentTypeCode", "aa543740-bdda-424e-8c96-df4873be8500"),
    _limited("5003a9db-8d8d-49e6-bf0c-990e34ac7707"),
    _identifier("patient_id", "patientId", "6b5aea1a-874d-4603-a4bc-96a0a7b38446", "XDSSubmissionSet"),
    _identifier("source_id", "sourceId", "554ac39e-e3fe-47fe-b233-965d2a147832", "XDSSubmissionSet"),
    _identifier("unique_id", "uniqueId", "96fdda7c-d067-4183-912e-bf5ee74998a8", "XDSSubmissionSet"),
))  # fmt: skip

FOLDER: Final = ObjectClass(Folder, "RegistryPackage", "FD", (
    _STATUS,
    _HOME,
    _LOGICAL_ID,
    _slot("last_update_time", "lastUpdateTime"),
    _TITLE,
    _COMMENTS,
    _VERSION,
    _code("codes", "codeList", "1ba97051-7806-41a8-a48b-8fce7af683c5", multiple=True),
    _limited("2c144a76-29a9-4b7c-af54-b25409fe7d03"),
    _identifier("patient_id", "patientId", "f64ffdf0-4b97-4e06-b79f-a52b38ec2f8a", "XDSFolder"),
    _identifier("unique_id", "uniqueId", "75df8f67-9973-4fbe-a900-df66cefecc5a", "XDSFolder"),
))  # fmt: skip

ASSOCIATION: Final = ObjectClass(Association, "Association", "ASSOC", (
    Field("type", "associationType", Coding.ATTRIBUTE, "associationType"),
    Field("source", "sourceObject", Coding.ATTRIBUTE, "sourceObject"),
    Field("target", "targetObject", Coding.ATTRIBUTE, "targetObject"),
    _STATUS,
    _HOME,
    _slot("submission_set_status", "SubmissionSetStatus", multiple=True),
    _slot("previous_version", "PreviousVersion"),
    Field("documentation", "associationDocumentation", Coding.CODE, uuids.ASSOCIATION_DOCUMENTATION),
))  # fmt: skip

BY_TYPE: Final[Mapping[type[RegistryObject], ObjectClass]] = {
    one.type: one for one in (DOCUMENT_ENTRY, SUBMISSION_SET, FOLDER, ASSOCIATION)
}

MARKERS: Final[Mapping[str, ObjectClass]] = {uuids.SUBMISSION_SET: SUBMISSION_SET, uuids.FOLDER: FOLDER}
"""the classificationNode that says what a RegistryPackage is (4.2.1)"""
NODES: Final[Mapping[type[RegistryObject], str]] = {one.type: node for node, one in MARKERS.items()}

OBJECT_TYPES: Final[Mapping[type[RegistryObject], str]] = {
    SubmissionSet: uuids.OBJECT_TYPE_REGISTRY_PACKAGE,
    Folder: uuids.OBJECT_TYPE_REGISTRY_PACKAGE,
    Association: uuids.OBJECT_TYPE_ASSOCIATION,
}
"""objectType of the classes that do not carry it as an attribute of their own"""


@dataclass(frozen=True, slots=True)
class AuthorSlot:
    """One sub-attribute of an author."""

    attribute: str
    name: str
    multiple: bool = True


AUTHOR_SLOTS: Final = (
    AuthorSlot("person", "authorPerson", multiple=False),
    AuthorSlot("institutions", "authorInstitution"),
    AuthorSlot("roles", "authorRole"),
    AuthorSlot("specialties", "authorSpecialty"),
    AuthorSlot("telecommunications", "authorTelecommunication"),
)
AUTHOR_BY_SLOT: Final[Mapping[str, AuthorSlot]] = {one.name: one for one in AUTHOR_SLOTS}
if {one.attribute for one in AUTHOR_SLOTS} - {one.name for one in fields(Author)}:
    raise ValueError("the author table names what Author does not have")
