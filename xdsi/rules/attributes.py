"""Each attribute of a metadata object against its data type, its size and the domain's value sets.

ITI TF-3 tables 4.2.3.2-1, 4.2.3.3-1, 4.2.3.4-1 (types), 4.2.3.1.2 to .6 (codes, author, extra metadata); rim.xsd
(sizes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Final

from xdsi.domain.codes import Code, CodeSets
from xdsi.domain.identifiers import PatientId
from xdsi.domain.metadata import Association, Author, DocumentEntry, Folder, RegistryObject, Slot, SubmissionSet
from xdsi.domain.outcome import Problem
from xdsi.domain.texts import LocalizedString
from xdsi.rules import formats
from xdsi.rules.formats import Check

LONG_NAME: Final = 256
"""characters of a Slot's name or value, a code, an identifier (rim.xsd)"""
FREE_FORM_TEXT: Final = 1024
"""characters of a LocalizedString (rim.xsd)"""
_SHOWN: Final = 80

SHORT: Final[Mapping[type[RegistryObject], str]] = {
    DocumentEntry: "DE",
    SubmissionSet: "SS",
    Folder: "FD",
    Association: "ASSOC",
}
"""begins the rule codes"""


@dataclass(frozen=True, slots=True)
class TextAttribute:
    """An attribute that is a text, or several."""

    attribute: str
    name: str
    check: Check | None = None
    length: int = LONG_NAME
    """what the schema can hold"""
    profile_length: int = FREE_FORM_TEXT
    """what the profile allows, where that is less"""


@dataclass(frozen=True, slots=True)
class CodeAttribute:
    """An attribute that is a code, or several; `value_set` is its name among the domain's value sets."""

    attribute: str
    name: str
    value_set: str = ""


def _patient(text: str) -> str:
    try:
        PatientId.parse(text)
    except ValueError:
        return "expected ID^^^&OID&ISO"
    return ""


_PATIENT_ID = TextAttribute("patient_id", "patientId", _patient)
_ENTRY_UUID = TextAttribute("entry_uuid", "entryUUID", formats.entry_uuid)
_HOME = TextAttribute("home_community_id", "homeCommunityId", formats.oid_urn)
_COMMENTS = TextAttribute("comments", "comments", length=FREE_FORM_TEXT)

TEXTS: Final[Mapping[type[RegistryObject], tuple[TextAttribute, ...]]] = {
    DocumentEntry: (
        _ENTRY_UUID,
        _HOME,
        _PATIENT_ID,
        TextAttribute("unique_id", "uniqueId", formats.identifier),
        TextAttribute("mime_type", "mimeType", formats.mime_type),
        TextAttribute("creation_time", "creationTime", formats.dtm),
        TextAttribute("document_availability", "documentAvailability", formats.availability),
        TextAttribute("hash", "hash", formats.sha1),
        TextAttribute("language_code", "languageCode", formats.language),
        TextAttribute("legal_authenticator", "legalAuthenticator", formats.xcn),
        TextAttribute("reference_ids", "referenceIdList", formats.cxi),
        TextAttribute("repository_unique_id", "repositoryUniqueId", formats.oid),
        TextAttribute("service_start_time", "serviceStartTime", formats.dtm),
        TextAttribute("service_stop_time", "serviceStopTime", formats.dtm),
        TextAttribute("size", "size", formats.size),
        TextAttribute("source_patient_id", "sourcePatientId", formats.cx),
        TextAttribute("source_patient_info", "sourcePatientInfo", formats.pid_field),
        TextAttribute("title", "title", length=FREE_FORM_TEXT, profile_length=127),
        TextAttribute("uri", "URI", formats.uri),
        _COMMENTS,
    ),
    SubmissionSet: (
        _ENTRY_UUID,
        _HOME,
        _PATIENT_ID,
        TextAttribute("unique_id", "uniqueId", formats.oid),
        TextAttribute("source_id", "sourceId", formats.oid),
        TextAttribute("submission_time", "submissionTime", formats.dtm),
        TextAttribute("intended_recipients", "intendedRecipient", formats.recipient),
        TextAttribute("title", "title", length=FREE_FORM_TEXT, profile_length=255),
        _COMMENTS,
    ),
    Folder: (
        _ENTRY_UUID,
        _HOME,
        _PATIENT_ID,
        TextAttribute("unique_id", "uniqueId", formats.oid),
        TextAttribute("last_update_time", "lastUpdateTime", formats.dtm),
        TextAttribute("title", "title", length=FREE_FORM_TEXT, profile_length=256),
        _COMMENTS,
    ),
    Association: (_ENTRY_UUID, _HOME),
}

CODES: Final[Mapping[type[RegistryObject], tuple[CodeAttribute, ...]]] = {
    DocumentEntry: (
        CodeAttribute("class_code", "classCode"),
        CodeAttribute("confidentiality_codes", "confidentialityCode"),
        CodeAttribute("event_codes", "eventCodeList"),
        CodeAttribute("format_code", "formatCode"),
        CodeAttribute("healthcare_facility_type_code", "healthcareFacilityTypeCode"),
        CodeAttribute("practice_setting_code", "practiceSettingCode"),
        CodeAttribute("type_code", "typeCode"),
    ),
    SubmissionSet: (CodeAttribute("content_type_code", "contentTypeCode"),),
    Folder: (CodeAttribute("codes", "codeList", "folderCodeList"),),
    Association: (CodeAttribute("documentation", "associationDocumentation"),),
}

_AUTHOR: Final = (
    TextAttribute("person", "authorPerson", formats.xcn),
    TextAttribute("institutions", "authorInstitution", formats.xon),
    TextAttribute("roles", "authorRole", formats.coded_string),
    TextAttribute("specialties", "authorSpecialty", formats.coded_string),
    TextAttribute("telecommunications", "authorTelecommunication", formats.xtn),
)
_NOTHING: Final = SubmissionSet(entry_uuid="")
_TEXTS_OF: Final[Mapping[type[RegistryObject], Callable[[RegistryObject], tuple[str | tuple[str, ...], ...]]]] = {
    type_: attrgetter(*[row.attribute for row in rows]) for type_, rows in TEXTS.items()
}
"""the values of those attributes, in their order"""
_CHECKED: Final[Mapping[type[RegistryObject], tuple[tuple[TextAttribute, int, Check | None], ...]]] = {
    type_: tuple((row, min(row.length, row.profile_length), row.check) for row in rows) for type_, rows in TEXTS.items()
}
"""each with the most characters that there is nothing to say of, and its check"""

# Slots of Metadata Update, which the domain keeps among the extra ones (ITI-57).
_UPDATE_SLOTS: Final = frozenset({"OriginalStatus", "NewStatus", "AssociationPropagation"})


# What systems in use get wrong without harm to the registry: `registry.strictness` decides on it. Not among them: what
# identifies an object or its patient, what retrieval needs, confidentialityCode. Policies may match on others of these,
# classCode or creationTime; no rule about one that is missing meets its entry, a denial included (docs/policy.md).
LENIENT_RULES: Final = frozenset({
    "classCode.required", "codeList.required", "contentTypeCode.required", "creationTime.required",
    "formatCode.required", "healthcareFacilityTypeCode.required", "languageCode.required", "limitedMetadata.prohibited",
    "practiceSettingCode.required", "sourcePatientId.required", "title.required", "typeCode.required",
    "Slot.name", "author.empty", "authorInstitution.format", "authorPerson.format", "authorRole.format",
    "authorSpecialty.format", "authorTelecommunication.format", "intendedRecipient.format", "languageCode.format",
    "legalAuthenticator.format", "referenceIdList.format", "sourcePatientInfo.format", "sourcePatientInfo.repeated",
    "title.profile-length",
})  # fmt: skip
ABOUT_CODES: Final = (".value-set", ".display")
"""how rules end that are about codes and media types, which say nothing of a patient"""


def is_lenient(found: Problem) -> bool:
    """True for a problem that a registry may be told to tolerate: value sets, optionality, personal data forms."""
    _, _, rule = found.rule.partition(".")
    return rule in LENIENT_RULES or rule.endswith(ABOUT_CODES)


def problem(registry_object: RegistryObject, name: str, rule: str, text: str) -> Problem:
    """A metadata problem of one attribute, located as `id/attribute`."""
    short, id_ = SHORT[type(registry_object)], registry_object.entry_uuid
    return Problem("XDSRegistryMetadataError", text, location=f"{id_}/{name}" if name else id_, rule=f"{short}.{rule}")


def check_types(registry_object: RegistryObject) -> Iterator[Problem]:
    """Every value that is not of its data type, or longer than its place can hold."""
    type_ = type(registry_object)
    for (row, longest, check), texts in zip(_CHECKED[type_], _TEXTS_OF[type_](registry_object), strict=True):
        if not texts:
            continue
        # Nearly always there is nothing to say, and nothing is called to find that out but the check itself.
        for value in (texts,) if isinstance(texts, str) else texts:
            if value and (len(value) > longest or (check is not None and check(value))):
                yield from _check_text(registry_object, row, value)
    for code_row in CODES[type_]:
        found = getattr(registry_object, code_row.attribute)
        for code in found if isinstance(found, tuple) else (found,) if found is not None else ():
            if code.names or not code.display or max(len(code.code), len(code.scheme), len(code.display)) > LONG_NAME:
                yield from _check_code(registry_object, code_row, code)
    if isinstance(registry_object, DocumentEntry | SubmissionSet):
        for author in registry_object.authors:
            if not (_is_small(author) and _is_right(author)):
                yield from _check_author(registry_object, author)
    if isinstance(registry_object, DocumentEntry):
        yield from _check_entry(registry_object)
    if registry_object.extra:
        yield from _check_extra(registry_object)


def codes_of(registry_object: RegistryObject, attribute: str) -> tuple[Code, ...]:
    """The codes of an attribute."""
    value: Code | tuple[Code, ...] | None = getattr(registry_object, attribute)
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _check_text(registry_object: RegistryObject, row: TextAttribute, value: str) -> Iterator[Problem]:
    if len(value) > row.length:
        yield _too_long(registry_object, row.name, value, row.length)
        return
    complaint = row.check(value) if row.check is not None else ""
    if complaint:
        yield _wrong(registry_object, row.name, "format", value, complaint)
    elif len(value) > row.profile_length:
        complaint = f"at most {row.profile_length} characters"
        yield _wrong(registry_object, row.name, "profile-length", value, complaint)


def _wrong(registry_object: RegistryObject, name: str, rule: str, value: str, complaint: str) -> Problem:
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
    text = f"{name} of {registry_object.entry_uuid} is {shown!r}: {complaint}"
    return problem(registry_object, name, f"{name}.{rule}", text)


def _too_long(registry_object: RegistryObject, name: str, value: str, length: int) -> Problem:
    return _wrong(registry_object, name, "length", value, f"at most {length} characters")


def _check_code(registry_object: RegistryObject, row: CodeAttribute, code: Code) -> Iterator[Problem]:
    for value, length in ((code.code, LONG_NAME), (code.scheme, LONG_NAME), (code.display, FREE_FORM_TEXT)):
        if len(value) > length:
            yield _too_long(registry_object, row.name, value, length)
    yield from _check_languages(registry_object, row.name, code.names)
    if not code.display:
        text = f"{row.name} of {registry_object.entry_uuid}: code {code} has no display name (Name)"
        yield problem(registry_object, row.name, f"{row.name}.display", text)


def _is_small(author: Author) -> bool:
    values = (author.person, *author.institutions, *author.roles, *author.specialties, *author.telecommunications)
    return not author.extra and sum(map(len, values)) <= FREE_FORM_TEXT


# A domain has few authors, who submit again and again.
@lru_cache(maxsize=1000)
def _is_right(author: Author) -> bool:
    """Whether there is nothing to say of an author, whatever is submitted."""
    return not any(True for _ in _check_author(_NOTHING, author))


def _check_author(registry_object: RegistryObject, author: Author) -> Iterator[Problem]:
    for row in _AUTHOR:
        value: str | tuple[str, ...] = getattr(author, row.attribute)
        for one in filter(None, (value,) if isinstance(value, str) else value):
            yield from _check_text(registry_object, row, one)
    if not (author.person or author.institutions or author.telecommunications):
        text = f"an author of {registry_object.entry_uuid} has neither person nor institution nor telecommunication"
        yield problem(registry_object, "author", "author.empty", text)
    yield from _check_slots(registry_object, author.extra)


def _check_entry(entry: DocumentEntry) -> Iterator[Problem]:
    start, stop = entry.service_start_time, entry.service_stop_time
    if start.isdigit() and stop.isdigit() and start.ljust(14, "0") > stop.ljust(14, "9"):
        text = f"serviceStartTime {start} of {entry.entry_uuid} is after serviceStopTime {stop}"
        yield problem(entry, "serviceStartTime", "serviceTime.order", text)
    for field in ("PID-7|", "PID-8|"):
        count = sum(value.startswith(field) for value in entry.source_patient_info)
        if count > 1:
            text = f"sourcePatientInfo of {entry.entry_uuid} has {count} values of {field[:-1]}; it has at most one"
            yield problem(entry, "sourcePatientInfo", "sourcePatientInfo.repeated", text)


def _check_languages(
    registry_object: RegistryObject, name: str, texts: tuple[LocalizedString, ...]
) -> Iterator[Problem]:
    """The texts after the first, which is the attribute and judged as that."""
    for one in texts[1:]:
        if len(one.value) > FREE_FORM_TEXT:
            yield _too_long(registry_object, name, one.value, FREE_FORM_TEXT)


def _check_extra(registry_object: RegistryObject) -> Iterator[Problem]:
    extra = registry_object.extra
    yield from _check_languages(registry_object, "title", extra.names)
    yield from _check_languages(registry_object, "comments", extra.descriptions)
    ours = _UPDATE_SLOTS if isinstance(registry_object, Association) else frozenset()
    for slot in extra.slots:
        complaint = formats.extra_slot_name(slot.name) if slot.name not in ours else ""
        if complaint:
            yield _wrong(registry_object, "Slot", "name", slot.name, complaint)
    yield from _check_slots(registry_object, extra.slots)
    for one in extra.classifications:
        yield from _check_slots(registry_object, one.slots)
        for value, length in ((one.representation, LONG_NAME), (one.name, FREE_FORM_TEXT)):
            if len(value) > length:
                yield _too_long(registry_object, "Classification", value, length)
    for identifier in extra.identifiers:
        for value, length in ((identifier.value, LONG_NAME), (identifier.name, FREE_FORM_TEXT)):
            if len(value) > length:
                yield _too_long(registry_object, "ExternalIdentifier", value, length)


def _check_slots(registry_object: RegistryObject, slots: Iterable[Slot]) -> Iterator[Problem]:
    for slot in slots:
        for value in (slot.name, *slot.values):
            if len(value) > LONG_NAME:
                yield _too_long(registry_object, "Slot", value, LONG_NAME)


def check_codes(registry_object: RegistryObject, codes: CodeSets) -> Iterator[Problem]:
    """Every code and media type that the affinity domain does not admit; display names do not count (4.2.3.1.2)."""
    for row in CODES[type(registry_object)]:
        for code in codes_of(registry_object, row.attribute):
            if not codes.admits(row.value_set or row.name, code):
                text = f"{row.name} of {registry_object.entry_uuid}: code {code} is not in this domain's value set"
                yield problem(registry_object, row.name, f"{row.name}.value-set", text)
    if isinstance(registry_object, DocumentEntry) and registry_object.mime_type:
        mime_type = registry_object.mime_type
        if not codes.admits_mime_type(mime_type):
            text = f"mimeType of {registry_object.entry_uuid}: {mime_type} is not shared in this domain"
            yield problem(registry_object, "mimeType", "mimeType.value-set", text)
