"""Another transfer syntax for a stored instance: decompressed or re-encoded, never compressed with loss.

DICOM PS3.5 section 7.3 (byte ordering) and annex A; RAD TF-2 4.69.4.2 (instances in a syntax that was asked for).
This decodes pixel data of unknown origin: run it in a process of its own, with limits on memory and time.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from typing import BinaryIO

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from xdsi.domain.errors import MalformedMessage, Refused
from xdsi.spec import dicom
from xdsi.wire import dicom_reader

MAX_DECODED_BYTES = 1024 * 1024 * 1024

_PRODUCED = (dicom.EXPLICIT_LE, dicom.IMPLICIT_LE, dicom.DEFLATED_EXPLICIT_LE)
_NATIVE = frozenset({*_PRODUCED, dicom.EXPLICIT_BE})
_VIDEO = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (*range(100, 109), "100.1", "101.1", "102.1", "103.1"))
_WORD_SIZES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_PIXEL_DATA = 0x7FE00010


def choose(stored: str, acceptable: Sequence[str]) -> str:
    """The transfer syntax to deliver: the stored one where it will do, else one that can be made without loss.

    Raises Refused where none can.
    """
    if stored in acceptable:
        return stored
    target = next((syntax for syntax in _PRODUCED if syntax in acceptable), None)
    if target is None:
        raise Refused(f"none of the transfer syntaxes asked for can be made: {', '.join(acceptable) or 'none'}")
    if not _readable(stored):
        raise Refused(f"{UID(stored).name} cannot be decoded here")
    return target


def transcode(
    source: BinaryIO,
    destination: BinaryIO,
    acceptable: Sequence[str],
    *,
    max_decoded_bytes: int = MAX_DECODED_BYTES,
) -> str:
    """Write the instance in an acceptable transfer syntax and say which; its UIDs stay, its preamble is zeroed.

    Raises Refused where no such syntax can be made, MalformedMessage for a file or pixel data that cannot be decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _transcode(source, destination, acceptable, max_decoded_bytes)
        except (Refused, MalformedMessage):
            raise
        except Exception as error:  # decoders fail in their own ways, RecursionError and MemoryError among them
            raise MalformedMessage(f"the instance cannot be decoded: {type(error).__name__}: {error}") from error


def _transcode(source: BinaryIO, destination: BinaryIO, acceptable: Sequence[str], limit: int) -> str:
    dicom_reader.read(source, frozenset())  # whole, and not nested too deep for the library
    source.seek(0)
    dataset = dcmread(source)
    stored = str(dataset.file_meta.get("TransferSyntaxUID", ""))
    target = choose(stored, acceptable)
    if target == stored:
        source.seek(0)
        shutil.copyfileobj(source, destination)
        return target
    if stored not in _NATIVE and _PIXEL_DATA in dataset:
        _decompress(dataset, stored, limit)
    elif stored == dicom.EXPLICIT_BE:
        _swap_words(dataset)
    dataset.preamble = bytes(128)
    meta = dataset.file_meta
    meta.TransferSyntaxUID = UID(target)
    meta.ImplementationClassUID = UID(dicom.IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = dicom.IMPLEMENTATION_VERSION_NAME
    dcmwrite(
        destination,
        dataset,
        implicit_vr=target == dicom.IMPLICIT_LE,
        little_endian=True,
        enforce_file_format=True,
    )
    return target


def _decompress(dataset: FileDataset, stored: str, limit: int) -> None:
    if not _readable(stored):
        raise Refused(f"{UID(stored).name} cannot be decoded here")
    pixels = dataset.Rows * dataset.Columns * int(dataset.get("NumberOfFrames") or 1)
    size = pixels * dataset.SamplesPerPixel * max(1, dataset.BitsAllocated // 8)
    if size > limit:
        raise Refused(f"the decoded pixel data would have {size} bytes, more than {limit}")
    # RLE holds the stored colour space as it is; of other codecs only the decoder knows what it has converted
    as_rgb = stored != dicom.RLE_LOSSLESS
    *others, last = get_decoder(UID(stored)).available_plugins
    for plugin in others:
        try:
            dataset.decompress(as_rgb=as_rgb, generate_instance_uid=False, decoding_plugin=plugin)
        except Exception:  # noqa: S112 - what one decoder cannot read, another may
            continue
        return
    dataset.decompress(as_rgb=as_rgb, generate_instance_uid=False, decoding_plugin=last)


def _swap_words(dataset: Dataset) -> None:
    """Turn the words of big-endian binary values round; all other values are encoded anew by the writer."""
    for element in dataset.iterall():
        size = _WORD_SIZES.get(element.VR)
        if size and isinstance(element.value, bytes):
            if element.tag == _PIXEL_DATA:
                size = max(size, dataset.BitsAllocated // 8)
            element.value = _reversed_words(element.value, size)
    dataset.set_original_encoding(
        is_implicit_vr=False, is_little_endian=True, character_encoding=dataset.original_character_set
    )


def _reversed_words(value: bytes, size: int) -> bytes:
    swapped = bytearray(len(value))
    whole = len(value) - len(value) % size
    for position in range(size):
        swapped[position:whole:size] = value[size - 1 - position : whole : size]
    swapped[whole:] = value[whole:]
    return bytes(swapped)


def _readable(stored: str) -> bool:
    if stored in _NATIVE:
        return True
    if stored in _VIDEO:
        return False
    try:
        return bool(get_decoder(UID(stored)).is_available)
    except NotImplementedError:
        return False
