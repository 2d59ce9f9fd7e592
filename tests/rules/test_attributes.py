"""One attribute changed: the problem that names it (ITI TF-3 4.2.3)."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tests import builders
from xdsi.domain.codes import Code, CodeSets
from xdsi.domain.metadata import (
    Author,
    DocumentEntry,
    Extra,
    ExtraClassification,
    ExtraIdentifier,
    Folder,
    RegistryObject,
    Slot,
    SubmissionSet,
)
from xdsi.domain.outcome import Problem
from xdsi.domain.texts import LocalizedString
from xdsi.rules import attributes, optionality
from xdsi.rules.attributes import CODES, TEXTS
from xdsi.spec.namespaces import APPROVED
from xdsi.spec.optionality import Column

LONG, LONGER = "x" * 257, "x" * 1025
ENTRY, SET, FOLDER = builders.document_entry(), builders.submission_set(), builders.folder()
RELATION = builders.association("urn:ihe:iti:2007:AssociationType:APND", "doc1", "doc2")
LONG_IN_GERMAN = (LocalizedString("A note", "en"), LocalizedString("x" * 1025, "de"))
VALID = [
    ENTRY, SET, FOLDER, RELATION, builders.on_demand_entry(), builders.has_member("ss1", "doc1", "Original"),
    builders.document_entry(source_patient_info=("PID-5|Doe^Jo", "PID-5|Doe^Joanne", "PID-8|F")),
    builders.document_entry(service_start_time="20240102", service_stop_time="2024"),
    builders.document_entry(title="x" * 127, comments="x" * 1024),
    builders.submission_set(intended_recipients=("|77^Doe", "Hospital")),
    builders.document_entry(extra=Extra((Slot("urn:x:y", ("1", "")),))),
    builders.association("urn:x", "a", "b", extra=Extra((Slot("OriginalStatus", (APPROVED,)),))),
]  # fmt: skip


@pytest.mark.parametrize("sample", VALID, ids=lambda one: type(one).__name__)
def test_valid(sample: RegistryObject) -> None:
    assert list(attributes.check_types(sample)) == []


def author(**changes: Any) -> tuple[Author, ...]:
    return (replace(builders.AUTHOR, **changes),)


CHANGES: list[tuple[RegistryObject, dict[str, Any], str]] = [
    (ENTRY, {"entry_uuid": "urn:uuid:1"}, "DE.entryUUID.format"),
    (ENTRY, {"home_community_id": "2.999"}, "DE.homeCommunityId.format"),
    (ENTRY, {"patient_id": "P1"}, "DE.patientId.format"),
    (ENTRY, {"unique_id": "a b"}, "DE.uniqueId.format"),
    (ENTRY, {"unique_id": LONG}, "DE.uniqueId.length"),
    (ENTRY, {"mime_type": "text"}, "DE.mimeType.format"),
    (ENTRY, {"creation_time": "2024-01-01"}, "DE.creationTime.format"),
    (ENTRY, {"document_availability": "Online"}, "DE.documentAvailability.format"),
    (ENTRY, {"hash": "abc"}, "DE.hash.format"),
    (ENTRY, {"language_code": "en_US"}, "DE.languageCode.format"),
    (ENTRY, {"legal_authenticator": "^^Jo"}, "DE.legalAuthenticator.format"),
    (ENTRY, {"reference_ids": ("A77",)}, "DE.referenceIdList.format"),
    (ENTRY, {"repository_unique_id": "urn:oid:2.999"}, "DE.repositoryUniqueId.format"),
    (ENTRY, {"service_start_time": "x"}, "DE.serviceStartTime.format"),
    (ENTRY, {"service_stop_time": "20241"}, "DE.serviceStopTime.format"),
    (ENTRY, {"service_start_time": "20240103", "service_stop_time": "20240102"}, "DE.serviceTime.order"),
    (ENTRY, {"size": "5 kB"}, "DE.size.format"),
    (ENTRY, {"source_patient_id": "L1"}, "DE.sourcePatientId.format"),
    (ENTRY, {"source_patient_info": ("PV1-3|x",)}, "DE.sourcePatientInfo.format"),
    (ENTRY, {"source_patient_info": ("PID-8|F", "PID-8|M")}, "DE.sourcePatientInfo.repeated"),
    (ENTRY, {"source_patient_info": ("PID-5|" + LONG,)}, "DE.sourcePatientInfo.length"),
    (ENTRY, {"title": "x" * 128}, "DE.title.profile-length"),
    (ENTRY, {"title": LONGER}, "DE.title.length"),
    (ENTRY, {"comments": LONGER}, "DE.comments.length"),
    (ENTRY, {"uri": "a b"}, "DE.URI.format"),
    (ENTRY, {"class_code": Code("a", "b")}, "DE.classCode.display"),
    (ENTRY, {"class_code": Code(LONG, "b", "c")}, "DE.classCode.length"),
    (ENTRY, {"event_codes": (Code("a", LONG, "c"),)}, "DE.eventCodeList.length"),
    (ENTRY, {"type_code": Code("a", "b", LONGER)}, "DE.typeCode.length"),
    (ENTRY, {"authors": author(person="^^Jo")}, "DE.authorPerson.format"),
    (ENTRY, {"authors": author(institutions=("^^^^^^^^^1",))}, "DE.authorInstitution.format"),
    (ENTRY, {"authors": author(roles=("a^b",))}, "DE.authorRole.format"),
    (ENTRY, {"authors": author(specialties=(LONG,))}, "DE.authorSpecialty.length"),
    (ENTRY, {"authors": author(telecommunications=("^^PH",))}, "DE.authorTelecommunication.format"),
    (ENTRY, {"authors": (Author(roles=("nurse",)),)}, "DE.author.empty"),
    (ENTRY, {"authors": author(extra=(Slot("x", (LONG,)),))}, "DE.Slot.length"),
    (ENTRY, {"extra": Extra((Slot("mine", ("1",)),))}, "DE.Slot.name"),
    (ENTRY, {"extra": Extra((Slot("urn:ihe:mine", ("1",)),))}, "DE.Slot.name"),
    (ENTRY, {"extra": Extra((Slot("urn:x", (LONG,)),))}, "DE.Slot.length"),
    (ENTRY, {"extra": Extra((), (ExtraClassification("urn:x", representation=LONG),))}, "DE.Classification.length"),
    (ENTRY, {"extra": Extra((), (), (ExtraIdentifier("urn:x", LONG),))}, "DE.ExternalIdentifier.length"),
    (ENTRY, {"extra": Extra(names=LONG_IN_GERMAN)}, "DE.title.length"),
    (ENTRY, {"class_code": Code("a", "b", "c", LONG_IN_GERMAN)}, "DE.classCode.length"),
    (FOLDER, {"extra": Extra(descriptions=LONG_IN_GERMAN)}, "FD.comments.length"),
    (SET, {"unique_id": "urn:uuid:1"}, "SS.uniqueId.format"),
    (SET, {"source_id": "3670984664"}, "SS.sourceId.format"),
    (SET, {"submission_time": "yesterday"}, "SS.submissionTime.format"),
    (SET, {"intended_recipients": ("|^^Jo",)}, "SS.intendedRecipient.format"),
    (SET, {"title": "x" * 256}, "SS.title.profile-length"),
    (SET, {"content_type_code": Code("a", "b")}, "SS.contentTypeCode.display"),
    (SET, {"authors": author(person="")}, ""),
    (FOLDER, {"unique_id": "folder_uniqueid"}, "FD.uniqueId.format"),
    (FOLDER, {"last_update_time": "now"}, "FD.lastUpdateTime.format"),
    (FOLDER, {"title": LONG}, "FD.title.profile-length"),
    (FOLDER, {"codes": (Code("a", "b"),)}, "FD.codeList.display"),
    (RELATION, {"entry_uuid": "urn:uuid:1"}, "ASSOC.entryUUID.format"),
    (RELATION, {"documentation": Code("a", "b")}, "ASSOC.associationDocumentation.display"),
    (RELATION, {"extra": Extra((Slot("mine", ("1",)),))}, "ASSOC.Slot.name"),
]


@pytest.mark.parametrize(
    ("sample", "change", "rule"), CHANGES, ids=[f"{row[2]} {next(iter(row[1]))}" for row in CHANGES]
)
def test_names_what_is_wrong(sample: RegistryObject, change: dict[str, Any], rule: str) -> None:
    changed = replace(sample, **change)
    found = list(attributes.check_types(changed))
    assert [one.rule for one in found] == ([rule] if rule else [])
    for one in found:
        assert one.code == "XDSRegistryMetadataError"
        assert one.location.startswith(changed.entry_uuid + "/")
        assert changed.entry_uuid in one.context
        assert len(one.context) < 400


# Characters that fit (rim.xsd: LongName, FreeFormText), whatever the attribute's own form.
SIZES = {
    ENTRY: {
        "entry_uuid": 256, "home_community_id": 256, "patient_id": 256, "unique_id": 256, "mime_type": 256,
        "creation_time": 256, "document_availability": 256, "hash": 256, "language_code": 256,
        "legal_authenticator": 256, "reference_ids": 256, "repository_unique_id": 256, "service_start_time": 256,
        "service_stop_time": 256, "size": 256, "source_patient_id": 256, "source_patient_info": 256, "uri": 256,
        "title": 1024, "comments": 1024,
    },
    SET: {
        "entry_uuid": 256, "home_community_id": 256, "patient_id": 256, "unique_id": 256, "source_id": 256,
        "submission_time": 256, "intended_recipients": 256, "title": 1024, "comments": 1024,
    },
    FOLDER: {
        "entry_uuid": 256, "home_community_id": 256, "patient_id": 256, "unique_id": 256, "last_update_time": 256,
        "title": 1024, "comments": 1024,
    },
    RELATION: {"entry_uuid": 256, "home_community_id": 256},
}  # fmt: skip
OF_AUTHORS = ("person", "institutions", "roles", "specialties", "telecommunications")
CODED = {
    ENTRY: (
        "class_code", "confidentiality_codes", "event_codes", "format_code", "healthcare_facility_type_code",
        "practice_setting_code", "type_code",
    ),
    SET: ("content_type_code",), FOLDER: ("codes",), RELATION: ("documentation",),
}  # fmt: skip


def ends(sample: RegistryObject) -> set[str]:
    """How the rules end that an object breaks."""
    return {one.rule.rpartition(".")[2] for one in attributes.check_types(sample)}


@pytest.mark.parametrize("sample", SIZES, ids=["DE", "SS", "FD", "ASSOC"])
def test_no_attribute_is_longer_than_its_place(sample: RegistryObject, subtests: pytest.Subtests) -> None:
    """ITI TF-3 tables 4.2.3.2-1, 4.2.3.3-1, 4.2.3.4-1 with rim.xsd."""
    assert SIZES[sample].keys() == {row.attribute for row in TEXTS[type(sample)]}
    for attribute, size in SIZES[sample].items():
        with subtests.test(attribute):
            several = isinstance(getattr(sample, attribute), tuple)
            for length in (size, size + 1):
                text = "x" * length
                changed = replace(sample, **{attribute: (text,) if several else text})
                assert ("length" in ends(changed)) is (length > size)


@pytest.mark.parametrize("attribute", OF_AUTHORS)
def test_no_part_of_an_author_is_longer_than_its_place(attribute: str) -> None:
    """ITI TF-3 4.2.3.1.4."""
    for sample in (ENTRY, SET):
        for length in (256, 257):
            value: Any = "x" * length if attribute == "person" else ("x" * length,)
            assert ("length" in ends(replace(sample, authors=author(**{attribute: value})))) is (length > 256)


@pytest.mark.parametrize("sample", CODED, ids=["DE", "SS", "FD", "ASSOC"])
def test_every_code_fits_and_has_a_display_name(sample: RegistryObject, subtests: pytest.Subtests) -> None:
    """ITI TF-3 4.2.3.1.2."""
    assert set(CODED[sample]) == {row.attribute for row in CODES[type(sample)]}
    for attribute in CODED[sample]:
        several = isinstance(getattr(sample, attribute), tuple)
        for code, expected in (
            (Code("x" * 256, "2.999", "x" * 1024), set()),
            (Code("x" * 257, "2.999", "x"), {"length"}),
            (Code("x", "2" * 257, "x"), {"length"}),
            (Code("x", "2.999", "x" * 1025), {"length"}),
            (Code("x", "2.999"), {"display"}),
        ):
            with subtests.test(attribute, code=str(code)[:20]):
                assert ends(replace(sample, **{attribute: (code,) if several else code})) == expected


FORMS = {
    ENTRY: {
        "entryUUID", "homeCommunityId", "patientId", "uniqueId", "mimeType", "creationTime", "documentAvailability",
        "hash", "languageCode", "legalAuthenticator", "referenceIdList", "repositoryUniqueId", "serviceStartTime",
        "serviceStopTime", "size", "sourcePatientId", "sourcePatientInfo", "URI",
    },
    SET: {
        "entryUUID", "homeCommunityId", "patientId", "uniqueId", "sourceId", "submissionTime", "intendedRecipient",
    },
    FOLDER: {"entryUUID", "homeCommunityId", "patientId", "uniqueId", "lastUpdateTime"},
    RELATION: {"entryUUID", "homeCommunityId"},
}  # fmt: skip


@pytest.mark.parametrize("sample", FORMS, ids=["DE", "SS", "FD", "ASSOC"])
def test_every_attribute_of_a_data_type_has_its_form(sample: RegistryObject, subtests: pytest.Subtests) -> None:
    """ITI TF-3 table 4.2.3.1.7-2; what each form is, `test_formats` says."""
    assert FORMS[sample] == {row.name for row in TEXTS[type(sample)] if row.check is not None}
    for row in TEXTS[type(sample)]:
        if row.name in FORMS[sample]:
            with subtests.test(row.name):
                wrong = "^~|||\n"  # which no data type knows
                several = isinstance(getattr(sample, row.attribute), tuple)
                found = attributes.check_types(replace(sample, **{row.attribute: (wrong,) if several else wrong}))
                assert f"{attributes.SHORT[type(sample)]}.{row.name}.format" in {one.rule for one in found}


def test_every_text_and_code_of_the_domain_is_judged() -> None:
    unjudged = {
        DocumentEntry: {"object_type", "logical_id", "version", "availability_status", "authors", "limited_metadata"},
        SubmissionSet: {"availability_status", "authors", "limited_metadata"},
        Folder: {"logical_id", "version", "availability_status", "limited_metadata"},
    }  # other rules, or the registry itself, answer for these
    for type_, others in unjudged.items():
        judged = {row.attribute for row in TEXTS[type_]} | {row.attribute for row in CODES[type_]}
        assert judged | others | {"extra"} == {field.name for field in fields(type_)}


LENIENT = {
    "DE.classCode.value-set": True,
    "ASSOC.associationDocumentation.value-set": True,
    "DE.typeCode.display": True,
    "DE.authorPerson.format": True,
    "SS.authorPerson.format": True,
    "DE.hash.format": False,
    "DE.uniqueId.length": False,
    "DE.sourcePatientId.format": False,
    "DE.title.profile-length": True,
    "DE.title.length": False,
    "DE.classCode.required": True,
    "DE.sourcePatientId.required": True,
    "SS.contentTypeCode.required": True,
    "FD.codeList.required": True,
    "DE.limitedMetadata.prohibited": True,
    "DE.confidentialityCode.required": False,
    "DE.patientId.required": False,
    "DE.uniqueId.required": False,
    "DE.hash.required": False,
    "DE.repositoryUniqueId.required": False,
    "DE.creationTime.prohibited": False,
    "SUBMISSION.set": False,
    "": False,
}


@pytest.mark.parametrize(("rule", "lenient"), LENIENT.items())
def test_what_may_be_tolerated(rule: str, lenient: bool) -> None:
    assert attributes.is_lenient(Problem("XDSRegistryMetadataError", "", rule=rule)) is lenient


SETS = CodeSets(
    {"classCode": frozenset({Code("REPORTS", "2.999.20")}), "folderCodeList": frozenset(),
     "associationDocumentation": frozenset({Code("a", "b")})},
    mime_types=frozenset({"text/plain"}),
)  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "rules"),
    [
        (ENTRY, []),
        (builders.document_entry(class_code=Code("REPORTS", "2.999.20", "another name")), []),
        (builders.document_entry(class_code=Code("REPORTS", "2.999.21", "Reports")), ["DE.classCode.value-set"]),
        (builders.document_entry(class_code=Code("reports", "2.999.20", "Reports")), ["DE.classCode.value-set"]),
        (builders.document_entry(mime_type="application/pdf"), ["DE.mimeType.value-set"]),
        (builders.document_entry(mime_type="Text/Plain"), []),
        (FOLDER, ["FD.codeList.value-set"]),
        (SET, []),
        (replace(RELATION, documentation=Code("x", "y", "z")), ["ASSOC.associationDocumentation.value-set"]),
    ],
)
def test_value_sets_compare_code_and_scheme_only(sample: RegistryObject, rules: list[str]) -> None:
    """ITI TF-3 4.2.3.1.2: the display name is never constrained; a set that the domain lacks admits all."""
    assert [one.rule for one in attributes.check_codes(sample, SETS)] == rules


# --- optionality ---

MISSING = {
    "DE": (ENTRY, {
        "classCode": "class_code", "confidentialityCode": "confidentiality_codes", "creationTime": "creation_time",
        "formatCode": "format_code", "hash": "hash", "healthcareFacilityTypeCode": "healthcare_facility_type_code",
        "languageCode": "language_code", "mimeType": "mime_type", "objectType": "object_type",
        "patientId": "patient_id", "practiceSettingCode": "practice_setting_code",
        "repositoryUniqueId": "repository_unique_id", "size": "size", "sourcePatientId": "source_patient_id",
        "typeCode": "type_code", "uniqueId": "unique_id",
    }),
    "SS": (SET, {
        "contentTypeCode": "content_type_code", "patientId": "patient_id", "sourceId": "source_id",
        "submissionTime": "submission_time", "uniqueId": "unique_id",
    }),
    "FD": (FOLDER, {"codeList": "codes", "patientId": "patient_id", "title": "title", "uniqueId": "unique_id"}),
}  # fmt: skip
MISSING_ROWS = [
    (sample, f"{short}.{name}.required", attribute)
    for short, (sample, names) in MISSING.items()
    for name, attribute in names.items()
]


def emptied(sample: RegistryObject, attribute: str) -> RegistryObject:
    value = getattr(sample, attribute)
    return replace(sample, **{attribute: None if isinstance(value, Code) else type(value)()})


def problems(sample: RegistryObject, column: Column) -> list[str]:
    return [one.rule for one in optionality.check(sample, column)]


@pytest.mark.parametrize(("sample", "rule", "attribute"), MISSING_ROWS, ids=[row[1] for row in MISSING_ROWS])
def test_requires_of_a_repository(sample: RegistryObject, rule: str, attribute: str) -> None:
    """ITI TF-3 tables 4.3.1, column of the Document Repository."""
    assert problems(sample, Column.REPOSITORY) == []
    assert problems(emptied(sample, attribute), Column.REPOSITORY) == [rule]


def test_requires_nothing_else_of_a_repository() -> None:
    for sample, required in MISSING.values():
        for field in fields(sample):
            if field.name not in {*required.values(), "entry_uuid", "extra"}:
                bare = replace(sample, **{field.name: None}) if field.name == "version" else emptied(sample, field.name)
                assert problems(bare, Column.REPOSITORY) == []


@pytest.mark.parametrize("attribute", ["hash", "size", "repository_unique_id"])
def test_a_document_source_leaves_to_the_repository(attribute: str) -> None:
    assert problems(emptied(ENTRY, attribute), Column.DOCUMENT_SOURCE) == []


def test_on_demand_entries() -> None:
    """ITI TF-2 3.61.4.1.2: no creationTime, hash, size."""
    assert problems(builders.on_demand_entry(), Column.ON_DEMAND) == []
    assert problems(ENTRY, Column.ON_DEMAND) == [f"DE.{name}.prohibited" for name in ("creationTime", "hash", "size")]
    offline = builders.on_demand_entry(document_availability="urn:ihe:iti:2010:DocumentAvailability:Offline")
    assert problems(offline, Column.ON_DEMAND) == ["DE.documentAvailability.prohibited"]


@pytest.mark.parametrize("sample", [ENTRY, SET, FOLDER], ids=["DE", "SS", "FD"])
def test_limited_metadata_are_not_for_a_registry(sample: RegistryObject) -> None:
    for column in Column:
        base = builders.on_demand_entry() if sample is ENTRY and column is Column.ON_DEMAND else sample
        (rule,) = problems(replace(base, limited_metadata=True), column)
        assert rule.endswith(".limitedMetadata.prohibited")


def test_associations_have_no_table() -> None:
    assert problems(RELATION, Column.REPOSITORY) == []
