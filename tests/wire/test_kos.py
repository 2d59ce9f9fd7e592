"""Manifests: written for others, read back by pydicom and by us, and refused when they are something else."""

import io
import struct
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from tests.imaging import (
    ECG_CLASS,
    FILES,
    NOW,
    SR_CLASS,
    element,
    large_study,
    manifest,
    part10,
    pydicom_studies,
    series,
    study,
)
from xdsi.domain.codes import Code
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.imaging import Accession, ImagedPatient, Instance, Manifest, Reference, Series, Study
from xdsi.rules.manifest import check
from xdsi.spec import dicom, tags
from xdsi.wire import kos
from xdsi.wire.dicom_content import value_type


def expected_references(of: Study) -> list[tuple[str, list[Reference]]]:
    return [
        (one.series_instance_uid, [Reference(i.sop_class_uid, i.sop_instance_uid) for i in one.instances])
        for one in of.series
    ]


def references(of: Manifest) -> list[tuple[str, list[Reference]]]:
    return [(one.series_instance_uid, list(one.instances)) for one in of.series]


def test_what_pydicom_reads_of_a_manifest() -> None:
    dataset = pydicom.dcmread(io.BytesIO(manifest()))
    assert dataset.preamble == bytes(128)
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID == "2.25.101"
    assert dataset.file_meta.MediaStorageSOPClassUID == dataset.SOPClassUID == dicom.KEY_OBJECT_SELECTION
    assert dataset.file_meta.TransferSyntaxUID == dicom.EXPLICIT_LE
    assert dataset.file_meta.FileMetaInformationGroupLength == len(_group_2(manifest()))
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert (dataset.Modality, dataset.SeriesInstanceUID, dataset.StudyInstanceUID) == ("KO", "2.25.102", "1.2.3")
    assert (dataset.InstanceCreationDate, dataset.InstanceCreationTime) == ("20260304", "060607")
    assert (dataset.ContentDate, dataset.ContentTime) == ("20260304", "060607")
    assert dataset.TimezoneOffsetFromUTC == "+0100"
    assert (dataset.PatientID, dataset.PatientName, dataset.PatientSex) == ("L1", "Doe^Jané^M^Dr^Jr", "F")
    assert dataset.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID == "1.2.40.1"
    assert (dataset.StudyDate, dataset.StudyTime) == ("20260301", "101112.5")
    assert dataset.AccessionNumber == "A77"
    assert dataset.ProcedureCodeSequence[0].CodeValue == "24627-2"
    assert dataset.ConceptNameCodeSequence[0].CodeValue == "113030"
    template = dataset.ContentTemplateSequence[0]
    assert (template.MappingResource, template.TemplateIdentifier) == ("DCMR", "2010")
    (evidence,) = dataset.CurrentRequestedProcedureEvidenceSequence
    assert evidence.StudyInstanceUID == "1.2.3"
    (one,) = evidence.ReferencedSeriesSequence
    assert (one.RetrieveAETitle, one.RetrieveLocationUID) == ("PACS", "1.2.40.3")
    assert one.RetrieveURL == "https://pacs.example/dicom-web"
    uids = [reference.ReferencedSOPInstanceUID for reference in one.ReferencedSOPSequence]
    assert uids == ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"]
    assert [content.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for content in dataset.ContentSequence] == uids
    assert {(content.RelationshipType, content.ValueType) for content in dataset.ContentSequence} == {
        ("CONTAINS", "IMAGE")
    }


def _group_2(raw: bytes) -> bytes:
    (length,) = struct.unpack("<I", raw[140:144])
    assert raw[144 + length : 148 + length] == b"\x08\x00\x05\x00"
    return raw[144 : 144 + length]


def test_every_element_is_in_the_order_of_its_tag_and_of_even_length() -> None:
    def walk(dataset: Dataset) -> None:
        order = [element.tag for element in dataset]
        assert order == sorted(order)
        for one in dataset:
            if one.VR == "SQ":
                for item in one.value:
                    walk(item)

    raw = manifest(study(accessions=(Accession(number="A1", placer_order_number="P"), Accession(number="A2"))))
    assert len(raw) % 2 == 0
    walk(pydicom.dcmread(io.BytesIO(raw)))


TYPE_2 = [
    "StudyDate", "StudyTime", "AccessionNumber", "Manufacturer", "ReferringPhysicianName",
    "ReferencedPerformedProcedureStepSequence", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID",
]  # fmt: skip
REQUEST_TYPE_2 = [
    "ReferencedStudySequence", "AccessionNumber", "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest", "RequestedProcedureID", "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
]  # fmt: skip


def test_what_is_not_known_is_present_and_empty() -> None:
    bare = Study(study_instance_uid="1.2.3", accessions=(Accession(number="A1"),), series=(series(),))
    dataset = pydicom.dcmread(io.BytesIO(manifest(bare, retrieve_ae_title="", retrieve_url="")))
    assert [name for name in TYPE_2 if name not in dataset] == []
    (request,) = dataset.ReferencedRequestSequence
    assert [name for name in REQUEST_TYPE_2 if name not in request] == []
    for name in ("TimezoneOffsetFromUTC", "StudyDescription", "ProcedureCodeSequence", "InstitutionName"):
        assert name not in dataset
    (one,) = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert "RetrieveAETitle" not in one
    assert "RetrieveURL" not in one


def test_several_application_entities_may_be_named() -> None:
    (one,) = kos.decode(manifest(retrieve_ae_title="PACS\\ARCHIVE")).series
    assert one.retrieve_ae_titles == ("PACS", "ARCHIVE")
    dataset = pydicom.dcmread(io.BytesIO(manifest(retrieve_ae_title="PACS\\ARCHIVE")))
    item = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert list(item.RetrieveAETitle) == ["PACS", "ARCHIVE"]


def test_series_of_others_may_lie_in_several_places() -> None:
    dataset = pydicom.dcmread(io.BytesIO(manifest(study(series=(series(1), series(2))))))
    first, second = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    first.RetrieveLocationUID, first.RetrieveURL = "1.2.40.8", "https://other.example/rs"
    del second.RetrieveURL
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset)
    found = kos.decode(file.getvalue())
    assert [(one.retrieve_location_uid, one.retrieve_url) for one in found.series] == [
        ("1.2.40.8", "https://other.example/rs"), ("1.2.40.3", ""),
    ]  # fmt: skip
    assert check(found) == []


def test_several_orders_leave_the_accession_number_empty() -> None:
    accessions = (Accession(number="A1", issuer="1.2"), Accession(number="A2"))
    dataset = pydicom.dcmread(io.BytesIO(manifest(study(accessions=accessions))))
    assert dataset.AccessionNumber == ""
    assert [request.AccessionNumber for request in dataset.ReferencedRequestSequence] == ["A1", "A2"]
    assert "ReferencedRequestSequence" not in pydicom.dcmread(io.BytesIO(manifest(study(accessions=()))))


@pytest.mark.parametrize(
    ("sop_class_uid", "expected"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", "IMAGE"),
        ("1.2.840.10008.5.1.4.1.1.1.1", "IMAGE"),  # ... Image Storage - For Presentation
        ("1.2.840.10008.5.1.4.1.1.481.1", "IMAGE"),
        (ECG_CLASS, "WAVEFORM"),
        (SR_CLASS, "COMPOSITE"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "COMPOSITE"),
        ("1.2.840.10008.5.1.4.1.1.481.2", "COMPOSITE"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "COMPOSITE"),
        ("1.2.3.4.5", "COMPOSITE"),
    ],
)
def test_value_types(sop_class_uid: str, expected: str) -> None:
    assert value_type(sop_class_uid) == expected


@pytest.mark.parametrize(
    ("changes", "attribute", "value"),
    [
        ({"date": "2026.03.01"}, "StudyDate", "20260301"),
        ({"date": "soon"}, "StudyDate", ""),
        ({"time": "10:11:12"}, "StudyTime", "101112"),
        ({"timezone_offset": "CET"}, "InstanceCreationTime", "050607"),
        ({"timezone_offset": "-0330"}, "InstanceCreationTime", "013607"),
        ({"description": "x" * 70}, "StudyDescription", "x" * 64),
        ({"patient": ImagedPatient(id="1", sex="unknown")}, "PatientSex", ""),
        ({"patient": ImagedPatient(id="0001 ")}, "PatientID", "0001"),
    ],
)
def test_values_of_images_as_they_are_written(changes: dict[str, Any], attribute: str, value: str) -> None:
    assert str(pydicom.dcmread(io.BytesIO(manifest(study(**changes))))[attribute].value) == value


@pytest.mark.parametrize("empty", [(), (series(count=0),)])
def test_a_manifest_of_nothing_cannot_be(empty: tuple[Series, ...]) -> None:
    with pytest.raises(ValueError, match="no instance"):
        manifest(study(series=empty))


def test_a_time_without_zone_is_a_mistake() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=2)))
    assert manifest(now=east) == manifest(now=NOW)
    with pytest.raises(ValueError, match="aware"):
        manifest(now=datetime(2026, 3, 4))


UIDS = st.from_regex(r"[12](\.(0|[1-9][0-9]{0,5})){2,9}", fullmatch=True)
WORDS = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\\"), max_size=16)
ACCESSIONS = st.builds(
    Accession, number=WORDS.filter(bool), issuer=st.just("") | UIDS, requested_procedure_id=WORDS,
    requested_procedure_description=WORDS, placer_order_number=WORDS, filler_order_number=WORDS,
)  # fmt: skip


@st.composite
def studies(draw: st.DrawFn) -> Study:
    uids = iter(draw(st.lists(UIDS, min_size=20, max_size=20, unique=True)))
    classes = st.sampled_from([ECG_CLASS, SR_CLASS, "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"])
    return Study(
        study_instance_uid=next(uids),
        # Of a name, representations that are empty are not kept.
        patient=ImagedPatient(id=draw(WORDS), issuer=draw(st.just("") | UIDS), name=draw(WORDS).rstrip("=")),
        accessions=tuple(draw(st.lists(ACCESSIONS, max_size=3, unique_by=lambda one: one.number))),
        description=draw(WORDS),
        date=draw(st.dates().map(lambda day: day.strftime("%Y%m%d"))),
        timezone_offset=draw(st.sampled_from(["", "+0000", "-0330", "+1400"])),
        series=tuple(
            Series(
                series_instance_uid=next(uids),
                instances=tuple(
                    Instance(sop_class_uid=draw(classes), sop_instance_uid=next(uids))
                    for _ in range(draw(st.integers(1, 3)))
                ),
            )
            for _ in range(draw(st.integers(1, 3)))
        ),
    )


@settings(max_examples=50)
@given(studies())
def test_what_is_written_is_what_is_read(of: Study) -> None:
    decoded = kos.decode(manifest(of))
    assert check(decoded, retrieve_locations=["1.2.40.3"]) == []
    assert decoded.sop_instance_uid == decoded.media_storage_sop_instance_uid == "2.25.101"
    assert (decoded.series_instance_uid, decoded.study_instance_uid) == ("2.25.102", of.study_instance_uid)
    assert (decoded.title, decoded.template) == (Code("113030", "DCM"), "DCMR/2010")
    assert decoded.patient == of.patient
    assert decoded.accessions == of.accessions
    assert decoded.study_date == (of.date if len(of.date) == 8 else "")
    assert (decoded.study_description, decoded.timezone_offset) == (of.description, of.timezone_offset)
    assert references(decoded) == expected_references(of)
    assert list(decoded.tree) == [instance.sop_instance_uid for instance in of.instances]
    for one in decoded.series:
        assert (one.retrieve_location_uid, one.retrieve_ae_titles) == ("1.2.40.3", ("PACS",))
        assert one.retrieve_url == "https://pacs.example/dicom-web"


@pytest.mark.parametrize("of", pydicom_studies(), ids=lambda of: of.study_instance_uid[-12:])
def test_a_manifest_of_every_study_of_pydicom(of: Study) -> None:
    decoded = kos.decode(manifest(of))
    assert check(decoded) == []
    assert references(decoded) == expected_references(of)


def rewritten(transfer_syntax: str = dicom.EXPLICIT_LE, /, of: Study | None = None, **changes: Any) -> bytes:
    """A manifest as another producer might write it: None takes an attribute away."""
    dataset = pydicom.dcmread(io.BytesIO(manifest(of)))
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    file = io.BytesIO()
    big = transfer_syntax == ExplicitVRBigEndian
    pydicom.dcmwrite(
        file, dataset, implicit_vr=transfer_syntax == ImplicitVRLittleEndian, little_endian=not big, force_encoding=big
    )
    return file.getvalue()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_transfer_syntaxes_are_read(syntax: str) -> None:
    assert replace(kos.decode(rewritten(syntax)), transfer_syntax_uid=dicom.EXPLICIT_LE) == kos.decode(manifest())


def test_another_character_set_is_read() -> None:
    assert kos.decode(rewritten(SpecificCharacterSet="ISO_IR 100")).patient.name == "Doe^Jané^M^Dr^Jr"


@pytest.mark.parametrize(
    "keyword",
    [*TYPE_2, "InstanceCreationDate", "ReferencedRequestSequence", "ContentTemplateSequence", "ContentSequence",
     "Modality", "CurrentRequestedProcedureEvidenceSequence"],
)  # fmt: skip
def test_what_other_producers_leave_out_is_let_pass(keyword: str) -> None:
    assert kos.decode(rewritten(**{keyword: None})).sop_instance_uid == "2.25.101"


def test_the_content_date_stands_in_for_a_missing_creation_date() -> None:
    decoded = kos.decode(rewritten(InstanceCreationDate=None, ContentDate="20250101", ContentTime="0102"))
    assert (decoded.creation_date, decoded.creation_time) == ("20250101", "0102")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "of SOP class CT Image Storage"),
        ({"SOPClassUID": None}, "SOP Class UID is missing"),
        ({"SOPInstanceUID": None}, "SOP Instance UID is missing"),
        ({"SOPInstanceUID": ""}, "SOP Instance UID is missing"),
        ({"StudyInstanceUID": None}, "Study Instance UID is missing"),
        ({"SeriesInstanceUID": None}, "Series Instance UID is missing"),
    ],
)
def test_what_is_no_manifest_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedMessage, match=message):
        kos.decode(rewritten(**changes))


@pytest.mark.parametrize("title", dicom.REJECTION_TITLES)
def test_a_rejection_note_is_refused(title: tuple[str, str]) -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = title
    item.CodingSchemeVersion = "01"
    with pytest.raises(MalformedMessage, match=f"rejection note .{title[0]}"):
        kos.decode(rewritten(ConceptNameCodeSequence=[item]))


def test_big_endian_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="is not one for manifests"):
        kos.decode(rewritten(ExplicitVRBigEndian))


def test_size_has_a_limit() -> None:
    with pytest.raises(MalformedMessage, match="too large"):
        kos.decode(bytes(kos.MAX_BYTES + 1))


def test_instances_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kos, "MAX_INSTANCES", 100)
    assert len(list(kos.decode(manifest(large_study(100))).references)) == 100
    with pytest.raises(MalformedMessage, match="too many instances"):
        kos.decode(manifest(large_study(101)))


def test_ten_thousand_instances() -> None:
    decoded = kos.decode(manifest(large_study(10_000)))
    assert len(decoded.tree) == 10_000
    assert check(decoded) == []


@pytest.mark.parametrize("sequence", [tags.CONTENT_SEQUENCE, tags.REFERENCED_REQUEST_SEQUENCE])
@pytest.mark.parametrize("undefined", [False, True])
def test_deep_nesting_is_refused(sequence: int, undefined: bool) -> None:
    value = b""
    for _ in range(3000):
        length = 0xFFFFFFFF if undefined else len(value)
        end = b"\xfe\xff\x0d\xe0" + bytes(4) if undefined else b""
        value = element(sequence, "SQ", b"\xfe\xff\x00\xe0" + struct.pack("<I", length) + value + end,
                        0xFFFFFFFF if undefined else None)  # fmt: skip
        if undefined:
            value += b"\xfe\xff\xdd\xe0" + bytes(4)
    with pytest.raises(MalformedMessage, match="too deep"):
        kos.decode(part10(value))


def test_an_image_is_not_a_manifest() -> None:
    with pytest.raises(MalformedMessage, match=r"expected 1\.2\.840\.10008\.5\.1\.4\.1\.1\.88\.59"):
        kos.decode((FILES / "CT_small.dcm").read_bytes())


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_manifest_is_read_or_malformed(data: st.DataObject) -> None:
    raw = bytearray(manifest())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(128, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(MalformedMessage):
        check(kos.decode(bytes(raw)))


@given(st.integers(0, len(manifest()) - 1))
def test_a_manifest_cut_short_is_malformed_or_incomplete(end: int) -> None:
    with suppress(MalformedMessage):
        assert check(kos.decode(manifest()[:end]))
