"""Pictures and frames of what pydicom carries, compared with what pydicom decodes."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.imaging import FILES
from xdsi.domain.errors import MalformedMessage, Refused
from xdsi.domain.wado import View
from xdsi.wire.rendering import bulkdata, frames, render


def picture(name: str, **view: Any) -> Image.Image:
    out = BytesIO()
    with (FILES / name).open("rb") as source:
        render(source, out, View(media_type="image/png", **view))
    return Image.open(out)


@pytest.mark.parametrize(
    ("name", "mode", "size"),
    [
        ("CT_small.dcm", "L", (128, 128)),
        ("MR_small.dcm", "L", (64, 64)),
        ("SC_rgb_rle.dcm", "RGB", (100, 100)),
        ("examples_palette.dcm", "RGB", (800, 350)),
        ("JPEG2000.dcm", "L", (256, 1024)),
        ("SC_rgb_jpeg_gdcm.dcm", "RGB", (100, 100)),
        ("rtdose.dcm", "L", (10, 10)),
        ("MR_small_bigendian.dcm", "L", (64, 64)),
        ("SC_rgb_jpeg_dcmtk.dcm", "RGB", (100, 100)),
        ("MR_small_jpeg_ls_lossless.dcm", "L", (64, 64)),
        ("rtdose_rle.dcm", "L", (10, 10)),
    ],
)
def test_pictures(name: str, mode: str, size: tuple[int, int]) -> None:
    made = picture(name)
    assert (made.mode, made.size) == (mode, size)
    assert len(set(made.convert("L").tobytes())) > 2, "it shows something"


def test_a_window_is_applied() -> None:
    raw = pydicom.dcmread(FILES / "CT_small.dcm")
    values = raw.pixel_array * float(raw.RescaleSlope) + float(raw.RescaleIntercept)
    made = np.asarray(picture("CT_small.dcm", window=(0.0, 100.0)))
    assert (made[values <= -50] == 0).all()
    assert (made[values >= 50] == 255).all()
    middle = made[(values > -10) & (values < 10)]
    assert middle.size == 0 or 90 < middle.mean() < 165


def test_a_picture_fits_and_keeps_its_proportions() -> None:
    assert picture("JPEG2000.dcm", width=100, height=100).size == (25, 100)
    assert picture("CT_small.dcm", width=64).size == (64, 64)
    assert picture("CT_small.dcm", region=(0.0, 0.0, 0.5, 0.25)).size == (64, 32)


def test_a_jpeg_is_one() -> None:
    out = BytesIO()
    with (FILES / "CT_small.dcm").open("rb") as source:
        render(source, out, View(quality=10))
    assert Image.open(out).format == "JPEG"


def test_each_frame_has_its_picture() -> None:
    made = [picture("rtdose.dcm", frame=n).tobytes() for n in (1, 5, 15)]
    assert len(set(made)) == 3
    with pytest.raises(LookupError, match="no frame 16"):
        picture("rtdose.dcm", frame=16)


@pytest.mark.parametrize(("name", "error"), [("rtplan.dcm", Refused), ("MR_truncated.dcm", MalformedMessage)])
def test_what_has_no_picture(name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        picture(name)


def taken(name: str, numbers: list[int], *, native: bool) -> tuple[str, list[bytes]]:
    out = [BytesIO() for _ in numbers]
    with (FILES / name).open("rb") as source:
        syntax = frames(source, out, numbers, native=native)
    return syntax, [one.getvalue() for one in out]


def test_native_frames_are_the_pixels() -> None:
    dataset = pydicom.dcmread(FILES / "rtdose.dcm")
    syntax, (second, first) = taken("rtdose.dcm", [2, 1], native=True)
    assert syntax == "1.2.840.10008.1.2.1"
    assert (first, second) == (dataset.pixel_array[0].tobytes(), dataset.pixel_array[1].tobytes())
    big, (frame,) = taken("MR_small_bigendian.dcm", [1], native=False)
    assert (big, frame) == (syntax, pydicom.dcmread(FILES / "MR_small.dcm").PixelData)


def test_compressed_frames_leave_as_they_are_kept_or_decoded() -> None:
    syntax, (frame,) = taken("MR_small_RLE.dcm", [1], native=False)
    assert (syntax, len(frame) < 64 * 64 * 2) == ("1.2.840.10008.1.2.5", True)
    syntax, (frame,) = taken("MR_small_RLE.dcm", [1], native=True)
    assert (syntax, frame) == ("1.2.840.10008.1.2.1", pydicom.dcmread(FILES / "MR_small.dcm").PixelData)


def test_values_are_found_by_their_path() -> None:
    out = BytesIO()
    with (FILES / "CT_small.dcm").open("rb") as source:
        bulkdata(source, out, [0x7FE00010])
    assert out.getvalue() == pydicom.dcmread(FILES / "CT_small.dcm").PixelData
    for path in ([0x7FE00011], [0x00100010], [0x00081140, 1, 0x7FE00010], [0x00100010, 1, 0x7FE00010]):
        with (FILES / "CT_small.dcm").open("rb") as source, pytest.raises(LookupError):
            bulkdata(source, BytesIO(), path)
