"""Files with every fault that archives have: each is part of a study that can be published, or listed with a reason."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.imaging import FILES, manifest
from xdsi.storage.folder_pacs import FolderPacs

ALL = FILES.parent
CHARSETS = sorted((ALL / "charset_files").glob("*.dcm"))


def written(path: Path, **changes: Any) -> Path:
    """A CT image with other values; None takes an attribute out."""
    dataset = pydicom.dcmread(FILES / "CT_small.dcm")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.31", "2.25.31.1"
    dataset.SOPInstanceUID = f"2.25.31.1.{sum(path.name.encode())}"
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def raw(path: Path, old: bytes, new: bytes) -> Path:
    """The same with bytes put in place of others."""
    content = written(path).read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    return path


FAULTS: dict[str, tuple[Any, str]] = {
    "private.dcm": (lambda path: private(path), ""),
    "no-modality.dcm": (lambda path: written(path, Modality=None), ""),
    "no-patient-id.dcm": (lambda path: written(path, PatientID=None, StudyInstanceUID="2.25.32"), ""),
    "no-class.dcm": (lambda path: written(path, SOPClassUID=None), "SOP Class UID is missing"),
    "no-study.dcm": (lambda path: written(path, StudyInstanceUID=None), "Study Instance UID is missing"),
    "no-instance.dcm": (lambda path: written(path, SOPInstanceUID=None), "SOP Instance UID is missing"),
    "empty.dcm": (lambda path: path.write_bytes(b""), "the file is empty"),
    "text.dcm": (lambda path: path.write_bytes(b"not a DICOM file" * 50), "not a DICOM file"),
    "cut.dcm": (lambda path: path.write_bytes(written(path).read_bytes()[:-5000]), "ends within"),
    "bad-uid.dcm": (lambda path: raw(path, b"2.25.31.1\0", b"2.25.3x.1\0"), "Series Instance UID is '2.25.3x.1'"),
    "bad-vr.dcm": (lambda path: raw(path, b"\x20\x00\x13\x00IS", b"\x20\x00\x13\x00ZZ"), ""),
    "bad-number.dcm": (lambda path: raw(path, b"\x20\x00\x13\x00IS\x02\x001 ", b"\x20\x00\x13\x00IS\x02\x00x "), ""),
}


def private(path: Path) -> Path:
    dataset = pydicom.dcmread(FILES / "CT_small.dcm")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "2.25.31", "2.25.31.1", "2.25.31.1.1"
    block = dataset.private_block(0x0011, "SOMEBODY", create=True)
    block.add_new(0x01, "UN", b"\xff" * 700)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_served_or_told(name: str, tmp_path: Path) -> None:
    make, reason = FAULTS[name]
    make(tmp_path / name)
    pacs = FolderPacs(tmp_path)
    served = [one.locator for study in pacs.studies() for one in study.instances]
    told = dict(pacs.skipped())
    assert (served == [name]) is not bool(reason), (served, told)
    if reason:
        assert reason in told[name]


def test_the_same_instance_twice_is_served_once_and_told(tmp_path: Path) -> None:
    for name in ("a.dcm", "b.dcm"):
        shutil.copy(FILES / "CT_small.dcm", tmp_path / name)
    pacs = FolderPacs(tmp_path)
    assert [one.locator for study in pacs.studies() for one in study.instances] == ["a.dcm"]
    assert pacs.skipped() == [("b.dcm", "the same SOP Instance UID as a.dcm")]


def test_no_file_is_dropped_in_silence() -> None:
    """Everything pydicom brings, whatever it is: as many instances and reasons as there are files."""
    pacs = FolderPacs(ALL)
    files = {str(path.relative_to(ALL)) for path in ALL.rglob("*") if path.is_file()}
    served = {one.locator for study in pacs.studies() for one in study.instances}
    told = {name for name, reason in pacs.skipped() if reason}
    assert served | told == files
    assert not served & told


@pytest.mark.parametrize("path", CHARSETS, ids=lambda path: path.stem)
def test_a_manifest_has_the_name_in_whatever_character_set_it_was(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path)
    pacs = FolderPacs(tmp_path)
    if path.stem.startswith("chrSQEncoding"):
        # These are no images: they do not say of which study they are.
        ((_, reason),) = pacs.skipped()
        assert "is missing" in reason
        return
    (study,) = pacs.studies()
    made = pydicom.dcmread(BytesIO(manifest(study)))
    source = pydicom.dcmread(path)
    assert str(made.PatientName).rstrip("=") == str(source.PatientName).rstrip("=")
    assert made.PatientID == source.PatientID
