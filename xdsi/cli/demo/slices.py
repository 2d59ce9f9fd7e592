"""A large CT series made of one real slice: every file with its own UID, number and position.

The slice is encoded once; each further file differs from it in five data elements only, which are exchanged as bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest

from pydicom import FileDataset
from pydicom.uid import UID

from xdsi.cli.demo import relabel
from xdsi.domain.identifiers import new_oid
from xdsi.spec import tags
from xdsi.wire import dicom_writer

SPACING = 0.6
"""millimetres from one slice to the next"""

_IMAGE_POSITION = 0x00200032
_SLICE_LOCATION = 0x00201041
_UID_LENGTH = 44
"""of nearly every UUID as an OID: UIDs of one length leave the group lengths of the file as they are"""


def files(dataset: FileDataset, *, count: int) -> Iterator[bytes]:
    """`count` files of the series that a labelled slice (Explicit VR Little Endian) begins, from there upwards."""
    left, front, start = (float(value) for value in dataset.ImagePositionPatient)
    uid = _uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    dataset.InstanceNumber = "1"
    dataset.SliceThickness = f"{SPACING}"
    dataset.ImagePositionPatient = _position(left, front, start).split("\\")
    dataset.SliceLocation = _coordinate(start)
    pieces = _cut(relabel.encoded(dataset), _varying(uid, 1, _position(left, front, start), _coordinate(start)))
    for number in range(1, count + 1):
        height = start + (number - 1) * SPACING
        varying = _varying(_uid(), number, _position(left, front, height), _coordinate(height))
        yield b"".join(chain.from_iterable(zip_longest(pieces, varying, fillvalue=b"")))


def _varying(uid: str, number: int, position: str, location: str) -> tuple[bytes, ...]:
    """What differs from file to file, in the order of the file; the UID is first in the file meta information."""
    return (
        uid.encode(),
        uid.encode(),
        dicom_writer.text(tags.INSTANCE_NUMBER, "IS", str(number)),
        dicom_writer.text(_IMAGE_POSITION, "DS", position),
        dicom_writer.text(_SLICE_LOCATION, "DS", location),
    )


def _cut(whole: bytes, marks: Sequence[bytes]) -> list[bytes]:
    pieces = []
    for mark in marks:
        piece, found, whole = whole.partition(mark)
        if not found:
            raise ValueError(f"the slice has no {mark!r}")
        pieces.append(piece)
    return [*pieces, whole]


def _position(left: float, front: float, height: float) -> str:
    return "\\".join(map(_coordinate, (left, front, height)))


def _coordinate(value: float) -> str:
    return f"{value:.3f}"


def _uid() -> str:
    while len(uid := new_oid()) != _UID_LENGTH:
        pass
    return uid
