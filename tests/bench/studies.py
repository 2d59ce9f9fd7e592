"""DICOM files of a size that is asked for, and the RAD-69 request that asks for all of them."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from tests.bench.hub import LOCAL_AUTHORITY, LOCATION, Hub
from xdsi.domain.imaging import ImagingRequest, SeriesRequest, StudyRequest
from xdsi.domain.retrieval import DocumentRequest
from xdsi.transactions import rad69_retrieve_imaging_document_set as rad69
from xdsi.wire import soap
from xdsi.wire.message import Packaging

STUDY, SERIES = "2.999.50.1", "2.999.50.1.1"
_STEM = "2.999.50.1.1."
_BLOCK = 4 * 1024 * 1024


def _uid(number: int) -> str:
    return f"{_STEM}{number + 100_000}"


def dataset() -> Dataset:
    """A small image; copies are given other identifiers."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = _uid(0)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = _uid(0)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.PatientID, dataset.IssuerOfPatientID = "LOCAL-00001", LOCAL_AUTHORITY
    dataset.PatientName, dataset.PatientBirthDate, dataset.PatientSex = "Bench^Mark", "19700101", "O"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20240102", "030405", "1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "A1", "Refer^Rita"
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "CT", "1", "1"
    dataset.Rows = dataset.Columns = 16
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = bytes(512)
    return dataset


def write(folder: Path, *, count: int, size: int) -> list[str]:
    """Write `count` instances of about `size` bytes each; returns their UIDs."""
    folder.mkdir(parents=True)
    template = folder / "template"
    pydicom.dcmwrite(template, dataset(), enforce_file_format=True)
    small = template.read_bytes()
    template.unlink()
    # The pixel data come last: only their length and content are made larger.
    length_at = len(small) - 512 - 4
    pixels = (size - len(small) + 512) // 2 * 2
    head = small[:length_at] + pixels.to_bytes(4, "little")
    block = bytes(range(256)) * (_BLOCK // 256)
    uids = []
    for number in range(1, count + 1):
        uids.append(_uid(number))
        with (folder / f"{number:05d}.dcm").open("wb") as file:
            file.write(head.replace(_uid(0).encode(), _uid(number).encode()))
            left = pixels
            while left:
                left -= file.write(block[: min(left, _BLOCK)])
    return uids


def write_request(hub: Hub, uids: list[str], file: Path) -> Path:
    """A whole SOAP message that asks for these instances."""
    documents = tuple(DocumentRequest("", LOCATION, uid) for uid in uids)
    request = ImagingRequest(
        (StudyRequest(STUDY, (SeriesRequest(SERIES, documents),)),), (str(ExplicitVRLittleEndian),)
    )
    payload = rad69.TRANSACTION.request.encode(request, Packaging.SIMPLE)
    pieces = soap.write_envelope(
        rad69.TRANSACTION.trigger,
        payload.body,
        message_id="urn:uuid:00000000-0000-4000-a000-000000000001",
        to=hub.url("imaging-source"),
        reply_to_anonymous=True,
        security=hub.security(),
    )
    file.write_bytes(b"".join(pieces))
    return file
