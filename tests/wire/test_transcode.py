"""Instances in other transfer syntaxes: the same pixels, the same identifiers, or a clear refusal."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.imaging import FILES, element, part10, run
from xdsi.domain.errors import MalformedMessage, Refused
from xdsi.spec import dicom, tags
from xdsi.wire import transcode
from xdsi.wire.dicom_header import read_header

JPEG, JPEG_2000, MPEG2 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.100"
LITTLE = (dicom.EXPLICIT_LE, dicom.IMPLICIT_LE, dicom.DEFLATED_EXPLICIT_LE)
DECODABLE = [
    "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm",
    "SC_rgb_rle.dcm", "SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_rle_32bit.dcm", "rtdose.dcm", "rtdose_expb.dcm",
    "rtdose_rle.dcm", "liver_expb_1frame.dcm", "SC_rgb_small_odd_big_endian.dcm", "ExplVR_BigEnd.dcm",
    "image_dfl.dcm", "waveform_ecg.dcm", "test-SR.dcm", "rtplan.dcm",
]  # fmt: skip


def transcoded(path: Path, *acceptable: str, limit: int = transcode.MAX_DECODED_BYTES) -> tuple[str, bytes]:
    destination = io.BytesIO()
    with path.open("rb") as source:
        syntax = transcode.transcode(source, destination, acceptable, max_decoded_bytes=limit)
    return syntax, destination.getvalue()


def load(source: Path | bytes) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(source if isinstance(source, Path) else io.BytesIO(source))
        for _ in dataset.iterall():
            pass
        return dataset


@pytest.mark.parametrize("name", DECODABLE)
@pytest.mark.parametrize("target", LITTLE)
def test_the_same_image_in_another_syntax(name: str, target: str) -> None:
    syntax, raw = transcoded(FILES / name, target)
    assert syntax == target
    before, after = load(FILES / name), load(raw)
    assert after.file_meta.TransferSyntaxUID == target
    (header,) = read_header(io.BytesIO(raw)).instances
    assert (header.sop_instance_uid, header.sop_class_uid) == (before.SOPInstanceUID, before.SOPClassUID)
    assert {element.tag for element in after} == {element.tag for element in before if element.tag.element != 0}
    if "PixelData" in before:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert np.array_equal(before.pixel_array, after.pixel_array)
        assert after.PhotometricInterpretation == before.PhotometricInterpretation


@pytest.mark.parametrize(
    ("big", "little"),
    [
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("MR_small_expb.dcm", "MR_small.dcm"),
        ("rtdose_expb.dcm", "rtdose.dcm"),
        ("liver_expb_1frame.dcm", "liver_1frame.dcm"),
        ("SC_rgb_small_odd_big_endian.dcm", "SC_rgb_small_odd.dcm"),
    ],
)
def test_big_endian_becomes_what_the_little_endian_twin_is(big: str, little: str) -> None:
    ours, theirs = load(transcoded(FILES / big, dicom.EXPLICIT_LE)[1]), load(FILES / little)
    assert ours.PixelData == theirs.PixelData
    assert [element.keyword for element in theirs if element.tag in ours and ours[element.tag] != element] == []


@pytest.mark.component
@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_bigendian.dcm", "rtdose_expb.dcm", "test-SR.dcm"])
def test_dcmdump_reads_the_result(name: str, tmp_path: Path) -> None:
    path = tmp_path / "instance.dcm"
    path.write_bytes(transcoded(FILES / name, dicom.EXPLICIT_LE)[1])
    assert [line for line in run("dcmdump", "-q", path) if line.startswith(("E:", "F:"))] == []


def test_an_acceptable_file_is_passed_on_as_it_is() -> None:
    path = FILES / "MR_small_RLE.dcm"
    assert transcoded(path, dicom.EXPLICIT_LE, dicom.RLE_LOSSLESS) == (dicom.RLE_LOSSLESS, path.read_bytes())


def test_the_preamble_of_another_file_is_not_passed_on(tmp_path: Path) -> None:
    raw = bytearray((FILES / "MR_small_RLE.dcm").read_bytes())
    raw[:4] = b"MZ\x90\x00"
    path = tmp_path / "polyglot.dcm"
    path.write_bytes(raw)
    assert transcoded(path, dicom.EXPLICIT_LE)[1][:132] == bytes(128) + b"DICM"


@pytest.mark.parametrize(
    ("stored", "acceptable", "target"),
    [
        (dicom.EXPLICIT_LE, (dicom.IMPLICIT_LE, dicom.EXPLICIT_LE), dicom.EXPLICIT_LE),
        (dicom.RLE_LOSSLESS, (dicom.IMPLICIT_LE, dicom.EXPLICIT_LE), dicom.EXPLICIT_LE),
        (dicom.RLE_LOSSLESS, (JPEG, dicom.IMPLICIT_LE), dicom.IMPLICIT_LE),
        (dicom.EXPLICIT_BE, (dicom.DEFLATED_EXPLICIT_LE,), dicom.DEFLATED_EXPLICIT_LE),
        (JPEG, (JPEG,), JPEG),
        (MPEG2, (dicom.EXPLICIT_LE, MPEG2), MPEG2),
    ],
)
def test_what_is_delivered(stored: str, acceptable: tuple[str, ...], target: str) -> None:
    assert transcode.choose(stored, acceptable) == target


@pytest.mark.parametrize(
    ("stored", "acceptable"),
    [
        (dicom.EXPLICIT_LE, ()),
        (dicom.EXPLICIT_LE, (JPEG, MPEG2)),
        (dicom.EXPLICIT_LE, (dicom.EXPLICIT_BE,)),
        (JPEG, (JPEG_2000,)),
        (MPEG2, (dicom.EXPLICIT_LE,)),
        ("1.2.840.10008.1.2.4.94", (dicom.EXPLICIT_LE,)),
        ("1.2.3.4", (dicom.EXPLICIT_LE,)),
        ("", (dicom.EXPLICIT_LE,)),
    ],
)
def test_what_cannot_be_delivered(stored: str, acceptable: tuple[str, ...]) -> None:
    with pytest.raises(Refused):
        transcode.choose(stored, acceptable)


def test_pixels_have_a_limit() -> None:
    with pytest.raises(Refused, match="decoded pixel data would have 8192 bytes"):
        transcoded(FILES / "MR_small_RLE.dcm", dicom.EXPLICIT_LE, limit=8191)


@pytest.mark.parametrize("name", ["MR_truncated.dcm", "README.txt", "no_meta.dcm", "SC_rgb_jpeg.dcm"])
def test_a_broken_file_is_malformed(name: str) -> None:
    with pytest.raises(MalformedMessage):
        transcoded(FILES / name, dicom.EXPLICIT_LE)


def test_broken_pixel_data_is_malformed(tmp_path: Path) -> None:
    raw = (FILES / "MR_small_RLE.dcm").read_bytes()
    start = raw.index(b"\xe0\x7f\x10\x00OB") + 44
    path = tmp_path / "broken.dcm"
    path.write_bytes(raw[:start] + b"\xff" * 64 + raw[start + 64 :])
    with pytest.raises(MalformedMessage, match="cannot be decoded"):
        transcoded(path, dicom.EXPLICIT_LE)


def test_deep_nesting_is_malformed(tmp_path: Path) -> None:
    value = b""
    for _ in range(2000):
        item = b"\xfe\xff\x00\xe0" + struct.pack("<I", 0xFFFFFFFF) + value + b"\xfe\xff\x0d\xe0" + bytes(4)
        value = element(tags.CONTENT_SEQUENCE, "SQ", item, 0xFFFFFFFF) + b"\xfe\xff\xdd\xe0" + bytes(4)
    path = tmp_path / "deep.dcm"
    path.write_bytes(part10(value))
    with pytest.raises(MalformedMessage, match="too deep"):
        transcoded(path, dicom.IMPLICIT_LE)
