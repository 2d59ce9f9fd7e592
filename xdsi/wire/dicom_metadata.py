"""The metadata of an instance as DICOM JSON, large values left where they are (DICOM PS3.18 annex F).

The file is read from a stream, as far as its pixel data and no farther.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from xdsi.domain.errors import MalformedMessage
from xdsi.spec import dicom

INLINE = 4096
"""bytes of a binary value that stay in the metadata"""
MAX_HEADER = 64 * 1024 * 1024
_PIXELS = {0x7FE00010, 0x7FE00008, 0x7FE00009}
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


class Head(io.RawIOBase):
    """The beginning of a stream as a seekable file; what was read is held, up to a limit."""

    def __init__(self, chunks: Iterator[bytes], limit: int = MAX_HEADER) -> None:
        self._chunks = chunks
        self._limit = limit
        self._held = bytearray()
        self._at = 0

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def seekable(self) -> bool:
        """Back to what was read, and forward."""
        return True

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset from the start or from here."""
        if whence == io.SEEK_END:
            self._pull(self._limit)
            offset += len(self._held)
        self._at = max(0, offset + (self._at if whence == io.SEEK_CUR else 0))
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes; fewer at the end."""
        end = self._limit if size is None or size < 0 else self._at + size
        self._pull(end)
        found = bytes(self._held[self._at : end])
        self._at += len(found)
        return found

    def _pull(self, end: int) -> None:
        while len(self._held) < end:
            chunk = next(self._chunks, b"")
            if not chunk:
                return
            self._held += chunk
            if len(self._held) > self._limit:
                raise MalformedMessage("the header is too large", expected=f"at most {self._limit} bytes")


def metadata(chunks: Iterator[bytes], url: str) -> dict[str, Any]:
    """All elements of an instance; values that are large or pixels are named by a BulkDataURI below `url`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _metadata(chunks, url)
    except MalformedMessage:
        raise
    except Exception as error:  # whatever a file of unknown origin makes the library do
        raise MalformedMessage(f"the instance cannot be read: {type(error).__name__}: {error}") from error
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()


def _metadata(chunks: Iterator[bytes], url: str) -> dict[str, Any]:
    head = Head(chunks)
    dataset = dcmread(cast("BinaryIO", head), stop_before_pixels=True)
    place = (
        f"{url}/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}/bulkdata"
    )
    found = as_json(dataset, place)
    pixels = _pixel_element(head, dataset)
    if pixels is not None:
        tag, vr = pixels
        found[f"{tag:08X}"] = {"vr": vr, "BulkDataURI": f"{place}/{tag:08X}"}
    return found


def as_json(dataset: Dataset, place: str) -> dict[str, Any]:
    """The elements of a data set whose path is `place`; an element that cannot be written down is left out."""
    found: dict[str, Any] = {}
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
            found[f"{tag:08X}"] = _element(element, f"{place}/{tag:08X}")
        except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, OverflowError):
            continue
    return found


def _element(element: DataElement, place: str) -> dict[str, Any]:
    if element.VR == "SQ":
        items = [as_json(item, f"{place}/{number}") for number, item in enumerate(element.value, start=1)]
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    if element.VR in _BINARY and isinstance(element.value, bytes) and len(element.value) > INLINE:
        return {"vr": str(element.VR), "BulkDataURI": place}
    return dict(element.to_json_dict(None, INLINE))


def _pixel_element(head: Head, dataset: Any) -> tuple[int, str] | None:
    """Tag and value representation of the pixel data before which reading stopped; None where there are none."""
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
    if syntax == dicom.DEFLATED_EXPLICIT_LE:
        return (0x7FE00010, "OW") if "BitsAllocated" in dataset else None
    order = ">" if syntax == dicom.EXPLICIT_BE else "<"
    raw = head.read(6)
    if len(raw) < 6:
        return None
    group, element = struct.unpack(order + "HH", raw[:4])
    tag = group << 16 | element
    if tag not in _PIXELS:
        return None
    vr = raw[4:6].decode("ascii", "replace")
    return tag, vr if vr in ("OB", "OW", "OF", "OD") else "OW"
