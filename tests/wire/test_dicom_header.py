"""The header of a file as a part of a study."""

import io
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.imaging import FILES, STUDIES
from xdsi.domain.codes import Code
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.imaging import Accession, ImagedPatient, Study
from xdsi.wire.dicom_header import read_header


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def issuer(oid: str) -> Dataset:
    return item(UniversalEntityID=oid, UniversalEntityIDType="ISO")


def header(*, implicit: bool = False, **values: Any) -> Study:
    """The header of a file with these attributes."""
    attributes = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "SOPInstanceUID": "1.2.3.1.1",
        "SeriesInstanceUID": "1.2.3.1",
        "StudyInstanceUID": "1.2.3",
    }
    dataset = item(**{name: value for name, value in {**attributes, **values}.items() if value is not None})
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = attributes["SOPClassUID"]
    dataset.file_meta.MediaStorageSOPInstanceUID = attributes["SOPInstanceUID"]
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return read_header(file)


FULL = {
    "StudyDate": "20260301", "StudyTime": "101112", "TimezoneOffsetFromUTC": "+0100", "AccessionNumber": "A77",
    "IssuerOfAccessionNumberSequence": [issuer("1.2.40.2")], "Modality": "CT", "InstitutionName": "Clinique Émile",
    "ReferringPhysicianName": "Refer^Rita", "StudyDescription": "Thorax", "StudyID": "S1",
    "ProcedureCodeSequence": [code_item("24627-2", "LN", "CT Chest"), item(CodeValue="no scheme")],
    "SeriesDescription": "axial", "SeriesNumber": "4", "InstanceNumber": "7", "NumberOfFrames": "12",
    "PerformingPhysicianName": ["Perform^Pat", "Perform^Pat", "Second^Sam"], "BodyPartExamined": "CHEST",
    "AnatomicRegionSequence": [code_item("816094009", "SCT", "Thorax")],
    "PatientName": "Doe^Jané", "PatientID": " L1 ", "PatientBirthDate": "19700102", "PatientSex": "F",
    "IssuerOfPatientID": "HOSP", "IssuerOfPatientIDQualifiersSequence": [issuer("1.2.40.1")],
    "SeriesDate": "20260302", "SeriesTime": "1011",
}  # fmt: skip


@pytest.mark.parametrize("implicit", [False, True])
def test_everything_a_header_says(implicit: bool) -> None:
    study = header(implicit=implicit, **FULL)
    (series,) = study.series
    (instance,) = series.instances
    assert study.patient == ImagedPatient(
        id="L1", issuer="1.2.40.1", issuer_name="HOSP", name="Doe^Jané", birth_date="19700102", sex="F"
    )
    assert study.accessions == (Accession(number="A77", issuer="1.2.40.2"),)
    assert (study.date, study.time, study.timezone_offset) == ("20260301", "101112", "+0100")
    assert (study.description, study.study_id, study.institution) == ("Thorax", "S1", "Clinique Émile")
    assert study.referring_physician == "Refer^Rita"
    assert study.procedure_codes == (Code("24627-2", "LN"),)
    assert (series.modality, series.number, series.description) == ("CT", 4, "axial")
    assert (series.date, series.time, series.body_part) == ("20260302", "1011", "CHEST")
    assert series.anatomic_regions == (Code("816094009", "SCT"),)
    assert series.performing_physicians == ("Perform^Pat", "Second^Sam")
    assert (instance.instance_number, instance.number_of_frames) == (7, 12)
    assert instance.transfer_syntax_uid == (ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)
    assert instance.size > 500


@pytest.mark.parametrize("missing", ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
def test_an_instance_has_to_say_which_it_is(missing: str) -> None:
    with pytest.raises(MalformedMessage, match="UID is missing"):
        header(**{missing: None})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"IssuerOfPatientID": "1.2.40.1"}, "1.2.40.1"),
        ({"IssuerOfPatientID": "HOSP&1.2.40.1&ISO"}, "1.2.40.1"),
        ({"IssuerOfPatientID": "HOSP"}, ""),
        (
            {"IssuerOfPatientID": "1.2.40.9", "IssuerOfPatientIDQualifiersSequence": [issuer("1.2.40.1")]},
            "1.2.40.1",
        ),
        ({"IssuerOfPatientIDQualifiersSequence": [item(UniversalEntityID="1.2", UniversalEntityIDType="DNS")]}, ""),
    ],
)
def test_the_issuer_of_the_patient_id(values: dict[str, Any], expected: str) -> None:
    assert header(PatientID="1", **values).patient.issuer == expected


def test_orders_of_a_group_case() -> None:
    requests = [
        item(AccessionNumber="A1", RequestedProcedureID="P1", RequestedProcedureDescription="Head"),
        item(AccessionNumber="A2", IssuerOfAccessionNumberSequence=[issuer("1.2.40.2")]),
    ]
    study = header(AccessionNumber="A1", RequestAttributesSequence=requests)
    assert study.accessions == (
        Accession(number="A1", requested_procedure_id="P1", requested_procedure_description="Head"),
        Accession(number="A2", issuer="1.2.40.2"),
    )


@pytest.mark.parametrize(
    ("path", "sop_class", "frames"),
    [
        (FILES / "rtdose.dcm", "1.2.840.10008.5.1.4.1.1.481.2", 15),
        (FILES / "waveform_ecg.dcm", "1.2.840.10008.5.1.4.1.1.9.1.1", 1),
        (FILES / "test-SR.dcm", "1.2.840.10008.5.1.4.1.1.88.33", 1),
        (STUDIES / "77654033" / "CR1" / "6154", "1.2.840.10008.5.1.4.1.1.1", 1),
    ],
)
def test_real_files(path: Path, sop_class: str, frames: int) -> None:
    with path.open("rb") as file:
        (instance,) = read_header(file).instances
    assert (instance.sop_class_uid, instance.number_of_frames) == (sop_class, frames)
    assert instance.size == path.stat().st_size


def test_a_report_has_a_title() -> None:
    with (FILES / "test-SR.dcm").open("rb") as file:
        (instance,) = read_header(file).instances
    assert instance.title is not None
    assert instance.title.display


KO_CLASS = "1.2.840.10008.5.1.4.1.1.88.59"


@pytest.mark.parametrize(
    ("sop_class_uid", "concept", "expected"),
    [
        (KO_CLASS, "113012", "Größe"),
        (KO_CLASS, "113011", ""),
        ("1.2.840.10008.5.1.4.1.1.88.22", "113012", ""),
    ],
)
def test_a_key_object_selection_has_a_description(sop_class_uid: str, concept: str, expected: str) -> None:
    content = item(ValueType="TEXT", ConceptNameCodeSequence=[code_item(concept, "DCM", "x")], TextValue="Größe")
    of = header(SOPClassUID=sop_class_uid, ContentSequence=[item(ValueType="IMAGE"), content])
    (instance,) = of.instances
    assert instance.description == expected
