"""The reader of DICOM data elements: against pydicom on every file it carries, and against hostile files."""

import io
import struct
import tracemalloc
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR

from tests.imaging import FILES, element, part10, pydicom_files
from xdsi.domain.errors import MalformedMessage
from xdsi.spec import dicom, tags
from xdsi.wire import dicom_reader
from xdsi.wire.dicom_reader import Limits
from xdsi.wire.dicom_text import CharacterSet

ALL = frozenset(value for name, value in vars(tags).items() if name.isupper())
NAME = tags.PATIENT_NAME
ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
UNDEFINED = 0xFFFFFFFF
MORE = element(0x7FE00010, "OW", bytes(64))

NOT_FILES = {
    "ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "MR_truncated.dcm", "README", "README.txt",
    "SC_rgb_jpeg.dcm", "crayons.icc", "meta_missing_tsyntax.dcm", "no_meta.dcm", "rtplan.dump",
    "rtplan_truncated.dcm", "rtstruct.dcm", "rtstruct.dump", "test1.json", "test_PN.json", "zipMR.gz",
}  # fmt: skip


def read(raw: bytes, wanted: frozenset[int] = ALL, **limits: int) -> dicom_reader.Part10:
    return dicom_reader.read(io.BytesIO(raw), wanted, Limits(**limits))


@pytest.mark.parametrize("path", pydicom_files(), ids=lambda path: str(path.relative_to(FILES)))
def test_it_reads_what_pydicom_reads(path: Path) -> None:
    if path.name in NOT_FILES:
        with pytest.raises(MalformedMessage):
            read(path.read_bytes())
        return
    part10_file = read(path.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pydicom.dcmread(path)
        ours = part10_file.dataset
        charset = CharacterSet(ours)
        assert part10_file.transfer_syntax == theirs.file_meta.TransferSyntaxUID
        for tag in ALL:
            assert (tag in ours) == (tag in theirs)
            if tag not in ours:
                continue
            value = theirs[tag].value
            if dictionary_VR(tag) == "SQ":
                assert len(ours.items_of(tag)) == len(value)
            elif dictionary_VR(tag) in ("LO", "SH", "PN"):
                expected = "\\".join(map(str, value)) if theirs[tag].VM > 1 else str("" if value is None else value)
                assert charset.text(ours, tag) == expected.strip()
            elif dictionary_VR(tag) == "UI":
                assert ours.code(tag) == str("" if value is None else value)


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "MR_small_implicit.dcm", "image_dfl.dcm", "MR_small.dcm"])
def test_a_file_cut_anywhere_is_malformed(name: str) -> None:
    raw = (FILES / name).read_bytes()
    whole = []
    for end in range(0, len(raw) - 1, 97):
        with suppress(MalformedMessage):
            whole.append(read(raw[:end]))
    assert len(whole) <= 2, "only a cut between two elements cannot be seen"


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_malformed(dataset: bytes) -> None:
    for syntax in (dicom.EXPLICIT_LE, dicom.IMPLICIT_LE, dicom.EXPLICIT_BE, dicom.DEFLATED_EXPLICIT_LE):
        with suppress(MalformedMessage):
            read(part10(dataset, syntax))


@given(st.data())
def test_a_damaged_file_is_read_or_malformed(data: st.DataObject) -> None:
    raw = bytearray((FILES / "test-SR.dcm").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(132, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(MalformedMessage):
        read(bytes(raw))


def nested(depth: int, *, tag: int = tags.CONTENT_SEQUENCE, undefined: bool = False) -> bytes:
    value = b""
    for _ in range(depth):
        if undefined:
            value = element(tag, "SQ", ITEM + struct.pack("<I", UNDEFINED) + value + ITEM_END, UNDEFINED) + SEQUENCE_END
        else:
            value = element(tag, "SQ", ITEM + struct.pack("<I", len(value)) + value)
    return value


@pytest.mark.parametrize("undefined", [False, True])
def test_depth_has_a_limit(undefined: bool) -> None:
    dataset = read(part10(nested(32, undefined=undefined))).dataset
    for _ in range(31):
        dataset = dataset.item(tags.CONTENT_SEQUENCE)
    assert dataset.items_of(tags.CONTENT_SEQUENCE) == [{}]
    for depth in (33, 5000):
        with pytest.raises(MalformedMessage, match="too deep"):
            read(part10(nested(depth, undefined=undefined)))


def test_a_sequence_nobody_wants_is_passed_over_however_deep() -> None:
    raw = part10(nested(5000, tag=0x00091010) + element(NAME, "PN", b"Doe^Jo"))
    assert read(raw).dataset.value(NAME) == b"Doe^Jo"


def test_items_have_a_limit() -> None:
    raw = part10(element(tags.CONTENT_SEQUENCE, "SQ", (ITEM + bytes(4)) * 11))
    assert len(read(raw, items=11).dataset.items_of(tags.CONTENT_SEQUENCE)) == 11
    with pytest.raises(MalformedMessage, match="too many items"):
        read(raw, items=10)


def test_a_value_has_a_limit_only_where_it_is_wanted() -> None:
    raw = part10(element(NAME, "PN", b"x" * 20_000) + element(0x00400032, "UT", b"1.2 "))
    assert read(raw, frozenset({0x00400032})).dataset == {0x00400032: b"1.2 "}
    with pytest.raises(MalformedMessage, match=r"\(0010,0010\) is too long"):
        read(raw)


def deflated(dataset: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return part10(packer.compress(dataset) + packer.flush(), dicom.DEFLATED_EXPLICIT_LE)


def test_a_deflated_data_set_is_inflated_only_so_far() -> None:
    bomb = deflated(element(NAME, "PN", b"Doe^Jo") + element(0x7FE00010, "OW", bytes(50_000_000)))
    assert len(bomb) < 100_000
    tracemalloc.start()
    assert read(bomb).dataset.value(NAME) == b"Doe^Jo"
    with pytest.raises(MalformedMessage, match="too large"):
        read(bomb, inflated=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_value_across_windows_of_a_deflated_data_set() -> None:
    padding = b"".join(element(0x00091000 + n, "LO", bytes(999) + bytes([n])) for n in range(1, 90))
    raw = deflated(padding + element(NAME, "PN", b"y" * 16_000))
    assert read(raw).dataset.value(NAME) == b"y" * 16_000


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (element(NAME, "PN", b"Doe", 40), "ends within"),
        (element(0x7FE00010, "OW", b"", 0xFFFFFFF0), "ends within"),
        (element(0x00091010, "UN", b"", UNDEFINED - 1), "ends within"),
        (element(tags.CONTENT_SEQUENCE, "SQ", ITEM + struct.pack("<I", 16)) + MORE, "longer than"),
        (element(tags.CONTENT_SEQUENCE, "SQ", ITEM + struct.pack("<I", 8) + element(NAME, "PN", b"", 9)) + MORE,
         "longer than"),
        (element(tags.CONTENT_SEQUENCE, "SQ", b"", UNDEFINED), "ends within"),
        (element(tags.CONTENT_SEQUENCE, "SQ", element(NAME, "PN", b"")), "in a sequence"),
        (element(NAME, "PN", b"") + SEQUENCE_END, "misplaced"),
        (element(NAME, "PN", b"") + ITEM_END, "misplaced"),
        (element(0x7FE00010, "OB", ITEM + struct.pack("<I", UNDEFINED), UNDEFINED), "without a length"),
    ],
)  # fmt: skip
def test_what_does_not_add_up_is_malformed(dataset: bytes, message: str) -> None:
    with pytest.raises(MalformedMessage, match=message):
        read(part10(dataset))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not a DICOM file"),
        (b"DICM", "not a DICOM file"),
        (bytes(128) + b"DICM", "does not say its transfer syntax"),
        (part10((FILES / "MR_small_implicit.dcm").read_bytes()[326:], dicom.EXPLICIT_LE), "not encoded as"),
        (part10(element(NAME, "PN", b"Doe^Jo"), dicom.IMPLICIT_LE), "not encoded as"),
        (part10(b"not deflated", dicom.DEFLATED_EXPLICIT_LE), "cannot be inflated"),
    ],
)
def test_what_is_not_the_file_it_says(raw: bytes, message: str) -> None:
    with pytest.raises(MalformedMessage, match=message):
        read(raw)


def test_a_sequence_hidden_as_unknown_is_found() -> None:
    inner = struct.pack("<HHI", 0x0008, 0x0100, 4) + b"T1  "
    item = ITEM + struct.pack("<I", len(inner)) + inner
    for value in (element(tags.PROCEDURE_CODE_SEQUENCE, "UN", item),
                  element(tags.PROCEDURE_CODE_SEQUENCE, "UN", item, UNDEFINED) + SEQUENCE_END):  # fmt: skip
        assert read(part10(value)).dataset.item(tags.PROCEDURE_CODE_SEQUENCE).code(tags.CODE_VALUE) == "T1"


def test_pixel_data_is_not_held() -> None:
    raw = part10(element(NAME, "PN", b"Doe^Jo") + element(0x7FE00010, "OW", bytes(30_000_000)))
    file = io.BytesIO(raw)
    tracemalloc.start()
    dicom_reader.read(file, ALL)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
