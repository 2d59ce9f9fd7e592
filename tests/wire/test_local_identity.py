"""Images of elsewhere under local identifiers: what is put in place, and that nothing of the original is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.imaging import FILES
from xdsi.domain.errors import Refused
from xdsi.domain.identifiers import PatientId
from xdsi.wire.local_identity import LocalIdentity, localize

NOW = datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC)
LOCAL = LocalIdentity(
    patient=PatientId("L7", "2.999.7"), accession="A7", accession_issuer="2.999.7.1", foreign_issuer="2.999.8",
    known_as=(PatientId("1CT1", "2.999.8"), PatientId("D1", "2.999.1")), source="Hospital B", system="Hospital A",
)  # fmt: skip


def image(**elements: object) -> Dataset:
    dataset = pydicom.dcmread(FILES / "CT_small.dcm")
    dataset.AccessionNumber = "B1"
    del dataset.OtherPatientIDsSequence
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def test_the_local_identifiers_are_in_place_and_the_originals_are_kept() -> None:
    request = Dataset()
    request.RequestedProcedureID = "P1"
    dataset = image(RequestAttributesSequence=[request], IssuerOfPatientID="B")
    before = pydicom.dcmread(FILES / "CT_small.dcm")
    localize(dataset, LOCAL, NOW)
    assert (dataset.PatientID, dataset.AccessionNumber) == ("L7", "A7")
    assert dataset.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID == "2.999.7"
    assert dataset.IssuerOfAccessionNumberSequence[0].UniversalEntityID == "2.999.7.1"
    others = [(one.PatientID, one.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID)
              for one in dataset.OtherPatientIDsSequence]  # fmt: skip
    assert others == [("1CT1", "2.999.8"), ("D1", "2.999.1")]
    (kept,) = dataset.OriginalAttributesSequence
    assert (kept.SourceOfPreviousValues, kept.ModifyingSystem) == ("Hospital B", "Hospital A")
    assert kept.ReasonForTheAttributeModification == "COERCE"
    original = kept.ModifiedAttributesSequence[0]
    assert (original.PatientID, original.AccessionNumber, original.IssuerOfPatientID) == ("1CT1", "B1", "B")
    assert original.RequestAttributesSequence[0].RequestedProcedureID == "P1"
    assert "RequestAttributesSequence" not in dataset, "it is an order of elsewhere"
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientName", "PixelData", "StudyDate"):
        assert dataset[name] == before[name]


def test_what_was_written_can_be_read_again() -> None:
    dataset = image()
    localize(dataset, LOCAL, NOW)
    out = BytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    out.seek(0)
    assert pydicom.dcmread(out) == dataset


def test_without_an_order_here_the_foreign_number_is_taken_out() -> None:
    dataset = image()
    localize(dataset, replace(LOCAL, accession="", accession_issuer=""), NOW)
    assert dataset.AccessionNumber == ""
    assert "IssuerOfAccessionNumberSequence" not in dataset
    assert dataset.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].AccessionNumber == "B1"


def test_earlier_originals_stay() -> None:
    dataset = image()
    localize(dataset, LOCAL, NOW)
    again = replace(LOCAL, patient=PatientId("M1", "2.999.9"), known_as=(LOCAL.patient,), source="Hospital A")
    localize(dataset, again, NOW)
    assert [one.SourceOfPreviousValues for one in dataset.OriginalAttributesSequence] == ["Hospital B", "Hospital A"]
    assert {one.PatientID for one in dataset.OtherPatientIDsSequence} == {"L7", "1CT1", "D1"}


def test_what_is_local_already_is_left_alone() -> None:
    dataset = image()
    localize(dataset, LOCAL, NOW)
    before = dataset.to_json()
    localize(dataset, LOCAL, NOW)
    assert dataset.to_json() == before


@pytest.mark.parametrize("number", ["", "SOMEBODY"])
def test_an_image_of_nobody_or_of_somebody_else_is_refused(number: str) -> None:
    dataset = image(PatientID=number)
    before = dataset.to_json()
    with pytest.raises(Refused):
        localize(dataset, LOCAL, NOW)
    assert dataset.to_json() == before


def test_the_retired_list_of_numbers_goes_into_the_originals() -> None:
    dataset = image(OtherPatientIDs=["X1", "X2"])
    localize(dataset, LOCAL, NOW)
    assert "OtherPatientIDs" not in dataset
    assert list(dataset.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].OtherPatientIDs) == ["X1", "X2"]
