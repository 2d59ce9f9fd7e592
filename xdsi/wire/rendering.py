"""Pictures, frames and large values of an instance.

DICOM PS3.3 C.7.6.3 and C.11 (modality and VOI transformations), PS3.18 sections 8.3.5, 8.7.4 and 10.4.1.
This decodes pixel data of unknown origin: run it in a process of its own, with limits on memory and time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import get_frame
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from xdsi.domain.errors import MalformedMessage, Refused
from xdsi.domain.wado import JPEG, View
from xdsi.spec import dicom
from xdsi.wire import dicom_reader

MAX_PIXELS = 100_000_000
"""of one frame"""
_PIXEL_DATA = 0x7FE00010
_FLOAT_PIXELS = (0x7FE00008, 0x7FE00009)


@contextmanager
def _opened(source: BinaryIO) -> Iterator[FileDataset]:
    """The data set of a file; whatever the library says of a bad one is MalformedMessage."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dicom_reader.read(source, frozenset())  # whole, and not nested too deep for the library
            source.seek(0)
            yield dcmread(source)
        except (Refused, MalformedMessage, LookupError):
            raise
        except Exception as error:  # decoders fail in their own ways, RecursionError and MemoryError among them
            raise MalformedMessage(f"the instance cannot be decoded: {type(error).__name__}: {error}") from error


def render(source: BinaryIO, destination: BinaryIO, view: View) -> None:
    """Write a picture of one frame.

    Raises Refused where the instance has no pixels or not that frame, MalformedMessage where they cannot be decoded.
    """
    with _opened(source) as dataset:
        picture = Image.fromarray(_pixels(dataset, view))
        width, height = picture.size
        if view.region is not None:
            left, top, right, bottom = view.region
            picture = picture.crop((round(left * width), round(top * height), round(right * width),
                                    round(bottom * height)))  # fmt: skip
        if view.width or view.height:
            size = _fitted(picture.size, view.width, view.height)
            picture = picture.resize(size, Image.Resampling.BILINEAR)
        if view.media_type == JPEG:
            picture.save(destination, "JPEG", quality=view.quality)
        else:
            picture.save(destination, "PNG")


def _fitted(size: tuple[int, int], width: int | None, height: int | None) -> tuple[int, int]:
    scale = min(limit / side for limit, side in ((width, size[0]), (height, size[1])) if limit)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _pixels(dataset: FileDataset, view: View) -> Any:
    """8-bit grey or RGB values of a frame, as the instance or the view says they are shown."""
    _check(dataset, view.frame)
    frame = pixel_array(dataset, index=view.frame - 1)
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(frame, dataset)
        return (colours >> 8 if colours.dtype.itemsize > 1 else colours).astype(np.uint8)
    if frame.ndim == 3:
        deep = int(dataset.get("BitsStored", 8)) - 8
        return (frame >> deep if deep > 0 else frame).astype(np.uint8)
    terms = _transformations(dataset, view.frame)
    values = apply_modality_lut(frame, terms)
    if view.window is not None:
        terms.WindowCenter, terms.WindowWidth = view.window
        terms.VOILUTFunction = view.window_function
        values = apply_windowing(values, terms)
    elif "VOILUTSequence" in terms:
        values = apply_voi(values, terms)
    elif "WindowCenter" in terms and "WindowWidth" in terms:
        values = apply_windowing(values, terms)
    values = values.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    shades = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    if photometric == "MONOCHROME1":
        shades = 255.0 - shades
    return shades.round().astype(np.uint8)


def _check(dataset: Dataset, frame: int) -> None:
    if _PIXEL_DATA not in dataset and not any(tag in dataset for tag in _FLOAT_PIXELS):
        raise Refused("the instance is no image")
    if dataset.Rows * dataset.Columns > MAX_PIXELS:
        raise Refused(f"a frame of {dataset.Rows} x {dataset.Columns} pixels, more than {MAX_PIXELS}")
    count = int(dataset.get("NumberOfFrames") or 1)
    if frame > count:
        raise LookupError(f"no frame {frame}; the instance has {count}")


def _transformations(dataset: Dataset, frame: int) -> Dataset:
    """The modality and VOI transformations of a frame, from its functional groups where it has them."""
    terms = Dataset()
    groups = [dataset, *dataset.get("SharedFunctionalGroupsSequence", [])[:1]]
    of_frames = dataset.get("PerFrameFunctionalGroupsSequence", [])
    if len(of_frames) >= frame:
        groups.append(of_frames[frame - 1])
    names = ("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "WindowCenter", "WindowWidth",
             "VOILUTFunction", "VOILUTSequence", "PixelRepresentation", "BitsStored", "BitsAllocated",
             "PhotometricInterpretation")  # fmt: skip
    for group in groups:
        nested = [group]
        for sequence in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            nested.extend(group.get(sequence, [])[:1])
        for one in nested:
            for name in names:
                if name in one and (one[name].value not in (None, "")):
                    terms[name] = one[name]
    return terms


def frames(source: BinaryIO, destinations: Sequence[BinaryIO], numbers: Sequence[int], *, native: bool) -> str:
    """Write frames, decompressed if `native` else as they are kept, and say in which transfer syntax they are."""
    with _opened(source) as dataset:
        stored = str(dataset.file_meta.get("TransferSyntaxUID", ""))
        for number in numbers:
            _check(dataset, number)
        if UID(stored).is_encapsulated and not native:
            count = int(dataset.get("NumberOfFrames") or 1)
            for number, destination in zip(numbers, destinations, strict=True):
                destination.write(get_frame(dataset.PixelData, number - 1, number_of_frames=count))
            return stored
        for number, destination in zip(numbers, destinations, strict=True):
            raw = not UID(stored).is_encapsulated
            values = pixel_array(dataset, index=number - 1, raw=raw)
            little = values.astype(values.dtype.newbyteorder("<"))
            destination.write(np.ascontiguousarray(little).tobytes())
        return dicom.EXPLICIT_LE


def bulkdata(source: BinaryIO, destination: BinaryIO, path: Sequence[int]) -> None:
    """Write the value of the element at a path of tags and item numbers; LookupError where there is none."""
    with _opened(source) as dataset:
        place: Dataset = dataset
        for sequence, item in zip(path[:-1:2], path[1::2], strict=True):
            if sequence not in place or place[sequence].VR != "SQ" or not 0 < item <= len(place[sequence].value):
                raise LookupError("no such element")
            place = place[sequence].value[item - 1]
        value = place[path[-1]].value if path[-1] in place else None
        if not isinstance(value, bytes):
            raise LookupError("no such element with a binary value")
        destination.write(value)
