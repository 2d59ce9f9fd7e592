"""Items that are built alike: read as by a walk over each element, or refused with the same words, and much faster."""

import io
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.imaging import large_study, manifest, mixed_study, part10, series, study
from xdsi.domain.errors import MalformedMessage
from xdsi.spec import dicom, tags
from xdsi.wire import dicom_reader
from xdsi.wire.dicom_reader import Limits
from xdsi.wire.dicom_text import DataSet

ALL = frozenset(value for name, value in vars(tags).items() if name.isupper())
UNDEFINED = 0xFFFFFFFF
SYNTAXES = (dicom.EXPLICIT_LE, dicom.IMPLICIT_LE, dicom.EXPLICIT_BE, dicom.DEFLATED_EXPLICIT_LE)


class InPieces(io.BytesIO):
    """A file that gives no more at once than so many bytes."""

    def __init__(self, raw: bytes, most: int) -> None:
        super().__init__(raw)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


def outcome(raw: bytes, *, alike: int, most: int = 1 << 20, **limits: int) -> Any:
    """What the reader makes of a file, in the order of its elements, or how it refuses it."""
    try:
        return repr(dicom_reader.read(InPieces(raw, most), ALL, Limits(alike=alike, **limits)))
    except MalformedMessage as error:
        return str(error), error.location, error.expected


def require_same(raw: bytes, **how: int) -> None:
    assert outcome(raw, alike=2, **how) == outcome(raw, alike=0, **how)
    assert outcome(raw, alike=32, **how) == outcome(raw, alike=0, **how)


@dataclass(frozen=True)
class Encoding:
    """A transfer syntax as it writes elements."""

    syntax: str

    def element(self, tag: int, vr: str, value: bytes, length: int) -> bytes:
        order = ">" if self.syntax == dicom.EXPLICIT_BE else "<"
        head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
        if self.syntax == dicom.IMPLICIT_LE or not vr:
            return head + struct.pack(order + "I", length) + value
        if vr in ("SQ", "UN", "OB"):
            return head + vr.encode() + struct.pack(order + "HI", 0, length) + value
        return head + vr.encode() + struct.pack(order + "H", length & 0xFFFF) + value

    def around(self, tag: int, vr: str, value: bytes, end: int, *, delimited: bool) -> bytes:
        """A sequence or an item, with its length or up to a delimiter."""
        if not delimited:
            return self.element(tag, vr, value, len(value))
        return self.element(tag, vr, value, UNDEFINED) + self.element(end, "", b"", 0)

    def file(self, dataset: bytes) -> bytes:
        if self.syntax == dicom.DEFLATED_EXPLICIT_LE:
            packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
            dataset = packer.compress(dataset) + packer.flush()
        return part10(dataset, self.syntax)


LEAVES = (
    (tags.REFERENCED_SOP_CLASS_UID, "UI"), (tags.REFERENCED_SOP_INSTANCE_UID, "UI"), (tags.CODE_VALUE, "SH"),
    (0x00091010, "LO"), (0x0040A010, "CS"), (0x00091011, "OB"),
)  # fmt: skip
SEQUENCES = (
    (tags.REFERENCED_SOP_SEQUENCE, "SQ"), (tags.CONTENT_SEQUENCE, "SQ"), (tags.CONTENT_SEQUENCE, "UN"),
    (0x00091012, "SQ"), (tags.REFERENCED_SOP_CLASS_UID, "SQ"),
)  # fmt: skip


def item(draw: st.DrawFn, encoding: Encoding, depth: int) -> Callable[[], bytes]:
    """A way in which items are built; each call writes one, with other values."""
    parts: list[Callable[[], bytes]] = []
    for _ in range(draw(st.integers(0, 3))):
        if depth and draw(st.booleans()):
            parts.append(sequence(draw, encoding, depth - 1))
        else:
            tag, vr = draw(st.sampled_from(LEAVES))
            size = draw(st.sampled_from((0, 2, 4, 70)))
            parts.append(lambda tag=tag, vr=vr, size=size: encoding.element(tag, vr, draw(values(size)), size))
    delimited = draw(st.booleans())

    def write() -> bytes:
        content = b"".join(part() for part in parts)
        return encoding.around(0xFFFEE000, "", content, 0xFFFEE00D, delimited=delimited)

    return write


def values(size: int) -> st.SearchStrategy[bytes]:
    return st.sampled_from((b"1", b"\0", b"\xfe", b"\xff")).map(lambda one: one * size)


def sequence(draw: st.DrawFn, encoding: Encoding, depth: int) -> Callable[[], bytes]:
    """A sequence of items that are built in one or two ways; always the same number of each."""
    tag, vr = draw(st.sampled_from(SEQUENCES))
    ways = [item(draw, encoding, depth) for _ in range(draw(st.integers(1, 2)))]
    order = draw(st.lists(st.sampled_from(ways), max_size=5))
    delimited = draw(st.booleans())
    outside = draw(st.sampled_from((0, 0, 0, 1)))

    def write() -> bytes:
        items = [way() for way in order]
        content = b"".join(items)
        if outside and items and not delimited:
            return encoding.element(tag, vr, content, len(content) - len(items[-1]))
        return encoding.around(tag, vr, content, 0xFFFEE0DD, delimited=delimited)

    return write


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A file of sequences, right or damaged a little, whole or cut."""
    encoding = Encoding(draw(st.sampled_from(SYNTAXES)))
    dataset = bytearray(b"".join(sequence(draw, encoding, 2)() for _ in range(draw(st.integers(1, 3)))))
    order = ">" if encoding.syntax == dicom.EXPLICIT_BE else "<"
    known = [struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) for tag, _ in LEAVES]
    places = [at for at in range(len(dataset)) if dataset[at : at + 4] in known]
    for at in draw(st.lists(st.sampled_from(places), max_size=3)) if places else ():
        dataset[at : at + 4] = draw(st.sampled_from(known))
    for _ in range(draw(st.integers(0, 2)) if dataset else 0):
        at = draw(st.integers(0, len(dataset) - 1))
        dataset[at] = draw(st.sampled_from((0, 2, 4, 8, 0xFE, 0xFF, dataset[at] ^ 2)))
    whole = draw(st.booleans())
    raw = encoding.file(bytes(dataset))
    return raw if whole else raw[: draw(st.integers(150, len(raw)))]


@given(files(), st.integers(80, 400), st.integers(1, 30))
@settings(max_examples=150)
def test_any_file_is_read_as_by_a_walk(raw: bytes, most: int, items: int) -> None:
    require_same(raw, most=most)
    require_same(raw, items=items)


PATHS = ((tags.REFERENCED_SOP_INSTANCE_UID,), (tags.REFERENCED_SOP_SEQUENCE, tags.REFERENCED_SOP_INSTANCE_UID),
         (tags.REFERENCED_SOP_CLASS_UID,), (tags.CONTENT_SEQUENCE, tags.CONTENT_SEQUENCE, tags.CODE_VALUE))  # fmt: skip


def singly(items: Iterable[DataSet], tag: int, *beyond: int) -> list[bytes]:
    """What each item has, looked at one by one."""
    if not beyond:
        return [item.value(tag) for item in items]
    return [value for item in items for value in singly(item.items_of(tag), *beyond)]


def require_same_columns(raw: bytes) -> None:
    try:
        alike, walked = (dicom_reader.read(io.BytesIO(raw), ALL, Limits(alike=n)).dataset for n in (32, 0))
    except MalformedMessage:
        return
    for tag in alike:
        found, expected = alike.items_of(tag), list(walked.items_of(tag))
        assert (bool(found), len(found)) == (bool(expected), len(expected))
        for path in PATHS:
            assert found.column(*path) == singly(expected, *path)
            assert found.has(path[0]) == any(path[0] in one for one in expected)
        assert found == expected


@given(files())
@settings(max_examples=80)
def test_an_element_of_all_items_is_what_each_of_them_has(raw: bytes) -> None:
    require_same_columns(raw)


@pytest.mark.parametrize("raw", [manifest(large_study(7)), manifest(mixed_study())])
def test_the_references_of_a_manifest_are_found_without_a_look_at_each(raw: bytes) -> None:
    require_same_columns(raw)
    content = dicom_reader.read(io.BytesIO(raw), ALL).dataset.items_of(tags.CONTENT_SEQUENCE)
    assert len(content.column(*PATHS[1])) == len(content) > 2
    assert all(content.column(*PATHS[1]))


def built(*items: bytes, length: int | None = None) -> bytes:
    """A file of one sequence."""
    encoding, content = Encoding(dicom.EXPLICIT_LE), b"".join(items)
    return encoding.file(
        encoding.element(tags.CONTENT_SEQUENCE, "SQ", content, len(content) if length is None else length)
        + encoding.element(0x00420010, "ST", b"end ", 4)
    )


def one(tag: int, vr: str, value: bytes) -> bytes:
    encoding = Encoding(dicom.EXPLICIT_LE)
    content = encoding.element(tag, vr, value, len(value))
    return encoding.element(0xFFFEE000, "", content, len(content))


@pytest.mark.parametrize(
    "other",
    [
        one(tags.CODING_SCHEME_DESIGNATOR, "SH", b"DCM "),
        one(tags.CODE_VALUE, "LO", b"DCM "),
        one(tags.CODE_VALUE, "SQ", b""),
        one(0x00091010, "SH", b"DCM "),
        one(tags.CODE_VALUE, "SH", b"DC")[:-2] + b"\xfe\xff\x0d\xe0",
    ],
    ids=["tag", "VR", "sequence", "not wanted", "ends before"],
)
def test_an_item_of_the_same_size_may_be_another_one(other: bytes) -> None:
    alike = one(tags.CODE_VALUE, "SH", b"1234")
    require_same(built(alike, alike, alike, other, alike))
    require_same(built(alike, alike, other, other))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_sequence_may_end_before_its_items(count: int) -> None:
    alike = one(tags.CODE_VALUE, "SH", b"1234")
    require_same(built(*[alike] * 5, length=count * len(alike)))
    require_same(built(*[alike] * 5, length=count * len(alike) + 4))


MANIFESTS = {
    "of one series": manifest(large_study(7)),
    "of several series": manifest(study(series=tuple(series(n, 3) for n in range(1, 5)))),
    "of many series of one instance": manifest(study(series=tuple(series(n, 1) for n in range(1, 9)))),
    "of several modalities": manifest(mixed_study()),
}


@pytest.mark.parametrize("raw", MANIFESTS.values(), ids=MANIFESTS)
@given(st.data())
@settings(max_examples=50)
def test_a_damaged_manifest_is_read_as_by_a_walk(raw: bytes, data: st.DataObject) -> None:
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(132, len(raw) - 1))
        damaged[at] = data.draw(st.sampled_from((0, 0xFF, damaged[at] ^ 1, damaged[at] ^ 2)) | st.integers(0, 255))
    require_same(bytes(damaged[: data.draw(st.integers(132, len(raw)))]), most=data.draw(st.integers(300, 3000)))
    require_same(bytes(damaged), items=data.draw(st.integers(1, 60)))


def test_items_across_windows_of_the_file() -> None:
    raw = manifest(large_study(900))
    assert len(raw) > 200_000
    require_same(raw)
    assert outcome(raw, alike=32) == outcome(raw, alike=32, most=700)


def calls(work: Callable[[], object]) -> int:
    """How many functions are called for something; how long it takes depends on what else the machine does."""
    called = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal called
        called += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return called


def calls_to_read(raw: bytes, *, alike: int) -> int:
    return calls(lambda: dicom_reader.read(io.BytesIO(raw), ALL, Limits(alike=alike)))


@pytest.mark.parametrize(
    "raw", [manifest(large_study(70)), manifest(study(series=tuple(series(n, 1) for n in range(10, 90))))]
)
def test_references_are_not_looked_at_element_by_element(raw: bytes) -> None:
    assert calls_to_read(raw, alike=32) * 3 < calls_to_read(raw, alike=0)


def test_items_of_two_lengths_in_turns_are_not_looked_into_each_time() -> None:
    """Given UIDs of which every other one is longer, an element of all items costs few calls for each."""
    short, long = (one(tags.CODE_VALUE, "SH", value) for value in (b"1234", b"123456"))
    raw = built(*[short, long] * 200)
    require_same_columns(raw)
    items = dicom_reader.read(io.BytesIO(raw), ALL).dataset.items_of(tags.CONTENT_SEQUENCE)
    assert calls(lambda: items.column(tags.CODE_VALUE)) < 6 * len(items)


def test_no_more_is_remembered_of_a_sequence_than_its_limit() -> None:
    def write(size: int) -> bytes:
        value = Encoding(dicom.EXPLICIT_LE).element(tags.CODE_VALUE, "SH", bytes(size), size)
        return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(value)) + value

    encoding = Encoding(dicom.EXPLICIT_LE)
    content = b"".join(write(size) for size in range(2, 4002, 2))
    raw = encoding.file(encoding.around(tags.CONTENT_SEQUENCE, "SQ", content, 0xFFFEE0DD, delimited=True))
    peaks = {}
    for alike in (0, 32, 1_000_000):
        tracemalloc.start()
        dicom_reader.read(io.BytesIO(raw), ALL, Limits(alike=alike))
        peaks[alike] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[32] < peaks[0] + 200_000 < peaks[1_000_000]


def test_an_item_of_very_many_elements_is_not_remembered() -> None:
    encoding = Encoding(dicom.EXPLICIT_LE)
    elements = b"".join(encoding.element(0x00110000 + n, "LO", b"", 0) for n in range(20_000))
    one = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(elements)) + elements
    raw = encoding.file(encoding.around(tags.CONTENT_SEQUENCE, "SQ", one * 3, 0xFFFEE0DD, delimited=True))
    tracemalloc.start()
    found = dicom_reader.read(io.BytesIO(raw), ALL).dataset
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.items_of(tags.CONTENT_SEQUENCE) == [DataSet()] * 3
    assert peak < 400_000
