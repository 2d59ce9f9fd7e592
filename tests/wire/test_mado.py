"""MADO manifests: the Image Library as pydicom reads it, and that what reads classic manifests reads them too."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import Code, codes

from tests.imaging import (
    KO_CLASS,
    PROFILE,
    US_MULTIFRAME_CLASS,
    large_study,
    mado_manifest,
    mixed_study,
    pydicom_studies,
    run,
    study,
)
from xdsi.domain.imaging import Study
from xdsi.rules.manifest import check
from xdsi.spec import mado
from xdsi.wire import kos

STUDIES = {"one series": study(), "mixed": mixed_study(), **{of.study_instance_uid: of for of in pydicom_studies()}}


def read(of: Study, **changes: Any) -> Dataset:
    return pydicom.dcmread(io.BytesIO(mado_manifest(of, replace(PROFILE, **changes))))


def library(dataset: Dataset) -> Dataset:
    (found,) = [one for one in dataset.ContentSequence if one.ValueType == "CONTAINER"]
    return found


def value(item: Dataset) -> Any:
    match item.ValueType:
        case "CODE":
            return item.ConceptCodeSequence[0].CodeValue
        case "NUM":
            measured = item.MeasuredValueSequence[0]
            return int(measured.NumericValue), measured.MeasurementUnitsCodeSequence[0].CodeValue
        case "DATE":
            return item.Date
        case "TIME":
            return item.Time
        case "UIDREF":
            return item.UID
    return item.TextValue


def context(of: Dataset) -> list[tuple[str, str, Any]]:
    return [
        (item.ConceptNameCodeSequence[0].CodeValue, item.ValueType, value(item))
        for item in of.ContentSequence
        if item.RelationshipType == "HAS ACQ CONTEXT"
    ]


def contained(of: Dataset) -> list[Dataset]:
    return [item for item in of.ContentSequence if item.RelationshipType == "CONTAINS"]


def test_the_library_says_of_the_study_what_modalities_regions_and_how_many_series() -> None:
    found = library(read(mixed_study()))
    assert found.ConceptNameCodeSequence[0].CodeValue == "111028"
    assert found.ContentTemplateSequence[0].TemplateIdentifier == "1600"
    assert context(found) == [
        *[("121139", "CODE", one) for one in ("CT", "DOC", "ECG", "KO", "OT", "PR", "SR", "US")],
        *[("123014", "CODE", one) for one in ("774007", "63337009")],
        ("131565", "NUM", (8, "{series}")),
    ]


def test_a_group_says_of_each_series_what_it_is() -> None:
    groups = contained(library(read(mixed_study())))
    assert {group.ConceptNameCodeSequence[0].CodeValue for group in groups} == {"126200"}
    assert [context(group) for group in groups[:4]] == [
        [
            ("121139", "CODE", "CT"),
            ("113607", "TEXT", "1"),
            ("112002", "UIDREF", "1.2.3.1"),
            ("123014", "CODE", "69536005"),
            ("131564", "NUM", (3, "{instances}")),
        ],
        [
            ("121139", "CODE", "US"),
            ("131561", "DATE", "20260301"),
            ("131562", "TIME", "101500"),
            ("113607", "TEXT", "2"),
            ("112002", "UIDREF", "1.2.3.2"),
            ("123014", "CODE", "10200004"),
            ("131564", "NUM", (1, "{instances}")),
        ],
        [
            ("121139", "CODE", "ECG"),
            ("113607", "TEXT", "3"),
            ("112002", "UIDREF", "1.2.3.3"),
            ("123014", "TEXT", "SOMEWHERE"),
            ("131564", "NUM", (2, "{instances}")),
        ],
        [
            ("121139", "CODE", "SR"),
            ("131563", "TEXT", "Report & more"),
            ("113607", "TEXT", "4"),
            ("112002", "UIDREF", "1.2.3.4"),
            ("131564", "NUM", (1, "{instances}")),
        ],
    ]


def test_an_item_says_of_each_instance_its_number_frames_and_title() -> None:
    items = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID: item
        for group in contained(library(read(mixed_study())))
        for item in contained(group)
    }
    assert {uid: item.ValueType for uid, item in items.items()} == {
        **dict.fromkeys(("1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3", "1.2.3.2.1"), "IMAGE"),
        **dict.fromkeys(("1.2.3.3.1", "1.2.3.3.2"), "WAVEFORM"),
        **dict.fromkeys(("1.2.3.4.1", "1.2.3.5.1", "1.2.3.6.1", "1.2.3.7.1", "1.2.3.8.1"), "COMPOSITE"),
    }
    assert context(items["1.2.3.1.2"]) == [("113609", "TEXT", "2")]
    frames, note = items["1.2.3.2.1"], items["1.2.3.5.1"]
    assert frames.ReferencedSOPSequence[0].ReferencedSOPClassUID == US_MULTIFRAME_CLASS
    assert context(frames) == [("121140", "NUM", (120, "{frames}")), ("113609", "TEXT", "7")]
    assert note.ReferencedSOPSequence[0].ReferencedSOPClassUID == KO_CLASS
    assert context(note) == [
        ("113609", "TEXT", "1"),
        ("121144", "CODE", "113000"),
        ("113012", "TEXT", "Größe des Befunds"),
    ]


def test_the_list_of_classic_manifests_stays_beside_the_library() -> None:
    dataset = read(mixed_study())
    flat = [one for one in dataset.ContentSequence if one.ValueType != "CONTAINER"]
    uids = [one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in flat]
    assert uids == [one.sop_instance_uid for one in mixed_study().instances]


def test_what_mado_requires_of_the_attributes() -> None:
    bare = Study(
        study_instance_uid="1.2.3",
        patient=replace(study().patient, issuer=""),
        series=(replace(study().series[0], date="20260228", time="0910"),),
    )
    dataset = read(bare)
    assert dataset.ConceptNameCodeSequence[0].CodeValue == "131560"
    assert dataset.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID == "1.2.40.9"
    assert dataset.IssuerOfPatientID == "1.2.40.9"
    (other,) = dataset.OtherPatientIDsSequence
    assert (other.PatientID, other.TypeOfPatientID) == ("L1", "TEXT")
    assert other.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityIDType == "ISO"
    assert (dataset.StudyDate, dataset.StudyTime, dataset.TimezoneOffsetFromUTC) == ("20260228", "0910", "+0000")
    assert dataset.InstitutionName == "Hospital A^^^^^^^^^2.999.1.9"
    (request,) = dataset.ReferencedRequestSequence
    assert request.AccessionNumber == dataset.AccessionNumber != ""
    assert request.IssuerOfAccessionNumberSequence[0].UniversalEntityID == "2.999.1.4"
    assert "PlacerOrderNumberImagingServiceRequest" in request


def test_trial_codes_take_the_place_of_those_of_dicom() -> None:
    dataset = read(study(), mado_codes="trial")
    title = dataset.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("MADOTEMP001", "99IHE")
    named = {code for code, *_ in context(library(dataset))} | {
        code for group in contained(library(dataset)) for code, *_ in context(group)
    }
    assert {code for code in named if code.startswith("MADO")} == {"MADOTEMP009", "MADOTEMP007"}
    assert not named & {final[0] for final, _ in mado.CODES.values()}


@pytest.mark.parametrize("of", STUDIES.values(), ids=STUDIES)
def test_what_reads_manifests_reads_these(of: Study) -> None:
    decoded = kos.decode(mado_manifest(of))
    assert check(decoded, retrieve_locations=["1.2.40.3"]) == []
    assert decoded.title is not None
    assert decoded.title.code == "131560"
    assert [(one.series_instance_uid, [each.sop_instance_uid for each in one.instances]) for one in decoded.series] == [
        (one.series_instance_uid, [each.sop_instance_uid for each in one.instances]) for one in of.series
    ]


def test_modalities_have_the_names_that_the_standard_gives_them() -> None:
    known = {one.value: one.meaning for name in dir(codes.cid32) if isinstance(one := getattr(codes.cid32, name), Code)}
    assert len(known) > 20
    assert known == mado.NON_ACQUISITION_MODALITIES


KNOWN_FINDINGS = {
    # dicom3tools knows the Key Object Selection as it was before CP-2595, and Retrieve URL not at all.
    "Error - Unrecognized enumerated value <DATE> for value 1 of attribute <Value Type>",
    "Error - Unrecognized enumerated value <TIME> for value 1 of attribute <Value Type>",
    "Error - Unrecognized enumerated value <NUM> for value 1 of attribute <Value Type>",
    "Warning - Attribute is not present in standard DICOM IOD - (0x0008,0x1190) UR Retrieve URL",
    "Warning - Dicom dataset contains attributes not present in standard DICOM IOD - this is a Standard Extended SOP"
    " Class",
    # As for classic manifests: nothing says that a study has a Study ID.
    "Warning - is only permitted to be empty when",
}


@pytest.mark.component
@pytest.mark.parametrize("of", [study(), mixed_study(), large_study(500)], ids=["one series", "mixed", "large"])
def test_dciodvfy_finds_only_what_is_newer_than_it(of: Study, tmp_path: Path) -> None:
    file = tmp_path / "mado.dcm"
    file.write_bytes(mado_manifest(of))
    lines = {line.strip() for line in run("dciodvfy", file)}
    assert "KeyObjectSelectionDocument" in lines
    assert lines - {"KeyObjectSelectionDocument"} - KNOWN_FINDINGS == set()


@pytest.mark.component
def test_dcmdump_finds_nothing_amiss(tmp_path: Path) -> None:
    file = tmp_path / "mado.dcm"
    file.write_bytes(mado_manifest(mixed_study()))
    assert [line for line in run("dcmdump", "-q", file) if line.startswith(("E:", "F:", "W:"))] == []
