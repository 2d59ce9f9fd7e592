"""Which image of whom a file says that it is: told by its beginning, and the same as its whole header says."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.imaging import FILES
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.imaging import Identity
from xdsi.wire.dicom_header import read_header
from xdsi.wire.dicom_identity import identity_of


def readable() -> list[Path]:
    """pydicom's files that are complete DICOM files."""
    found = []
    for path in sorted(one for one in FILES.parent.rglob("*") if one.is_file()):
        try:
            with path.open("rb") as file:
                read_header(file)
        except MalformedMessage:
            continue
        found.append(path)
    return found


def told_by_header(path: Path) -> Identity:
    with path.open("rb") as file:
        study = read_header(file)
    (series,) = study.series
    (instance,) = series.instances
    return Identity(
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
        sop_instance_uid=instance.sop_instance_uid,
        patient_id=study.patient.id,
        issuer=study.patient.issuer,
        issuer_name=study.patient.issuer_name,
    )


def test_each_file_says_by_its_beginning_what_its_whole_header_says() -> None:
    files = readable()
    assert len(files) > 100
    for path in files:
        raw, wanted = path.read_bytes(), told_by_header(path)
        assert identity_of(raw, whole=True) == wanted, path
        for size in (0, 100, 140, 400, 700, 1000, 1500, 3000, 6000, 12_000, len(raw)):
            assert identity_of(raw[:size], whole=False) in (None, wanted), (path, size)
        assert identity_of(raw[:100_000], whole=False) is not None or len(raw) > 100_000, path


def written(**changes: object) -> bytes:
    dataset = pydicom.dcmread(FILES / "CT_small.dcm")
    for name, value in changes.items():
        setattr(dataset, name, value)
    file = BytesIO()
    dataset.save_as(file)
    return file.getvalue()


def test_the_issuer_is_read_wherever_it_stands() -> None:
    qualifiers = pydicom.Dataset()
    qualifiers.UniversalEntityID, qualifiers.UniversalEntityIDType = "2.999.77", "ISO"
    raw = written(IssuerOfPatientID="WARD", IssuerOfPatientIDQualifiersSequence=[qualifiers])
    said = identity_of(raw, whole=False)
    assert said is not None
    assert (said.issuer, said.issuer_name) == ("2.999.77", "WARD")


def test_another_patient_in_a_sequence_before_is_not_the_patient() -> None:
    other = pydicom.Dataset()
    other.PatientID, other.IssuerOfPatientID = "OTHER", "2.999.66"
    said = identity_of(written(OtherPatientIDsSequence=[other], PatientID="MINE"), whole=False)
    assert said is not None
    assert (said.patient_id, said.issuer) == ("MINE", "")


def test_what_hides_behind_an_element_of_any_length_is_not_believed_before_it_came() -> None:
    raw = written()
    # A value that reaches beyond what has come: nothing can be said yet.
    place = raw.index(b"\x08\x00\x08\x00CS")
    longer = raw[: place + 6] + (0xFFF0).to_bytes(2, "little") + raw[place + 8 :]
    assert identity_of(longer[:8000], whole=False) is None


@pytest.mark.parametrize("raw", [b"", b"x" * 500, bytes(128) + b"DICM", written()[:900]])
def test_a_whole_file_that_does_not_say_it_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        identity_of(raw, whole=True)


@given(st.binary(max_size=300))
def test_any_bytes_say_it_or_do_not(data: bytes) -> None:
    raw = bytes(128) + b"DICM\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0" + data
    said = identity_of(raw, whole=False)
    assert said is None or isinstance(said, Identity)


ONE = Identity(
    study_instance_uid="1.2", series_instance_uid="1.3", sop_instance_uid="1.4", patient_id="P", issuer="2.999.1"
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"issuer": ""}, True),
        ({"issuer": "2.999.2"}, False),
        ({"issuer": "", "issuer_name": "X"}, False),
        ({"patient_id": "Q"}, False),
        ({"patient_id": "Q", "issuer": ""}, False),
        ({"sop_instance_uid": "1.5"}, False),
        ({"series_instance_uid": "1.5"}, False),
        ({"study_instance_uid": "1.5"}, False),
    ],
)
def test_who_is_of_whom(changes: dict[str, str], expected: bool) -> None:
    assert replace(ONE, **changes).is_of(ONE) is expected
