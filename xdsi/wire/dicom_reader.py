"""Data elements of a DICOM file: only those asked for, within limits, never the pixel data.

DICOM PS3.5 section 7 (data set) and annex A (transfer syntaxes), PS3.10 section 7 (file meta information).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from pydicom.datadict import dictionary_VR

from xdsi.domain.errors import MalformedMessage
from xdsi.spec import dicom
from xdsi.wire.dicom_alike import Alike, Trail
from xdsi.wire.dicom_text import DataSet, Items

_WINDOW = 32 * 1024
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_TRANSFER_SYNTAX = 0x00020010
_PIXEL_DATA = 0x7FE00010
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_BYTE_STREAMS = frozenset({b"OB", b"OW"})
_UNSAID = frozenset({b"", b"UN"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a file may ask of its reader; what exceeds is malformed."""

    depth: int = 32
    """nested sequences"""
    items: int = 400_000
    """items of sequences that are kept"""
    value: int = 16 * 1024
    """bytes of a value that is kept"""
    inflated: int = 1024 * 1024 * 1024
    """bytes of a deflated data set"""
    alike: int = 32
    """items of one sequence that are remembered, so that others are known by them; with 0 each is walked"""


@dataclass(frozen=True, slots=True)
class Part10:
    """A DICOM file: its file meta information and the elements asked for."""

    meta: DataSet
    dataset: DataSet

    @property
    def transfer_syntax(self) -> str:
        """Transfer Syntax UID (0002,0010)."""
        return self.meta.code(_TRANSFER_SYNTAX)


def read(file: BinaryIO, wanted: frozenset[int], limits: Limits | None = None, *, until: int | None = None) -> Part10:
    """Read the wanted elements (at every level) of a seekable file from its start, and walk the rest to its end.

    With `until` the walk ends before the first element beyond that tag, and nobody looks at what follows.

    Raises MalformedMessage for what is not a Part-10 file, ends early, or exceeds a limit.
    """
    limits = limits or Limits()
    source = _Source(file)
    if source.size < 132 or source.read(128, 4) != b"DICM":
        raise MalformedMessage("not a DICOM file", location="byte 128", expected="the marker DICM")
    meta, offset = _read_meta(source)
    syntax = meta.code(_TRANSFER_SYNTAX)
    if not syntax:
        raise MalformedMessage("the file does not say its transfer syntax", location="(0002,0010)")
    if syntax == dicom.DEFLATED_EXPLICIT_LE:
        source, offset = _Inflated(file, offset, limits.inflated), 0
    order = ">" if syntax == dicom.EXPLICIT_BE else "<"
    explicit = syntax != dicom.IMPLICIT_LE
    if not source.ends(offset) and _looks_explicit(source, offset) is not explicit:
        raise MalformedMessage(
            "the data set is not encoded as its transfer syntax says",
            location=f"byte {offset}", expected="explicit VR" if explicit else "implicit VR",
        )  # fmt: skip
    return Part10(meta, _Walk(source, order, wanted, limits, until).run(offset, explicit=explicit))


def transfer_syntax_of(file: BinaryIO) -> str:
    """What the beginning of a Part-10 file says of the rest; MalformedMessage where it is none."""
    source = _Source(file)
    if source.size < 132 or source.read(128, 4) != b"DICM":
        raise MalformedMessage("not a DICOM file", location="byte 128", expected="the marker DICM")
    syntax = _read_meta(source)[0].code(_TRANSFER_SYNTAX)
    if not syntax:
        raise MalformedMessage("the file does not say its transfer syntax", location="(0002,0010)")
    return syntax


class _Source:
    """Bytes by offset, of which only a window is held; offsets never decrease."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, 2)
        self.begin = 0
        """where the window begins"""
        self.window = b""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes, or MalformedMessage."""
        start = offset - self.begin
        end = start + length
        if start < 0 or end > len(self.window):
            self._fill(offset, length)
            start, end = 0, length
        return self.window[start:end]

    def ahead(self, offset: int, length: int) -> tuple[bytes, int]:
        """The window, with at least these bytes in it, and where it begins; or MalformedMessage."""
        if offset < self.begin or offset + length > self.begin + len(self.window):
            self._fill(offset, length)
        return self.window, self.begin

    def held(self, start: int, end: int | None) -> memoryview:
        """What is at hand of these bytes, from the first on."""
        begin = self.begin
        if start < begin:
            return memoryview(b"")
        return memoryview(self.window)[start - begin : None if end is None else max(end, begin) - begin]

    def ends(self, offset: int) -> bool:
        """True at the very end; MalformedMessage beyond it."""
        if offset > self.size:
            raise MalformedMessage("the file ends within a data element", location=f"byte {self.size}")
        return offset == self.size

    def _fill(self, offset: int, length: int) -> None:
        if offset + length <= self.size:
            self._file.seek(offset)
            self.window = self._file.read(max(length, _WINDOW))
            self.begin = offset
            if len(self.window) >= length:
                return
        raise MalformedMessage("the file ends within a data element", location=f"byte {offset}")


class _Inflated(_Source):
    """A deflated data set, inflated as far as it is read and never beyond a limit (PS3.5 A.5)."""

    def __init__(self, file: BinaryIO, offset: int, limit: int) -> None:
        file.seek(offset)
        self._file = file
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._limit = limit
        self.begin = 0
        self.window = b""

    def ends(self, offset: int) -> bool:
        """True at the very end; MalformedMessage beyond it."""
        self._advance(offset, 1)
        if offset > self.begin + len(self.window):
            raise MalformedMessage("the deflated data set ends within a data element")
        return offset == self.begin + len(self.window)

    def _fill(self, offset: int, length: int) -> None:
        self._advance(offset, length)
        if self.begin != offset or len(self.window) < length:
            raise MalformedMessage("the deflated data set ends within a data element")

    def _advance(self, offset: int, length: int) -> None:
        while len(self.window) < offset - self.begin + length:
            kept = max(0, len(self.window) - (offset - self.begin))
            dropped = len(self.window) - kept
            self.window, self.begin = self.window[dropped:], self.begin + dropped
            more = self._chunk()
            if not more:
                break
            self.window += more
            if self.begin + len(self.window) > self._limit:
                raise MalformedMessage("the deflated data set is too large", expected=f"at most {self._limit} bytes")
        dropped = min(offset - self.begin, len(self.window))
        self.window, self.begin = self.window[dropped:], self.begin + dropped

    def _chunk(self) -> bytes:
        try:
            while not self._inflate.eof:
                packed = self._inflate.unconsumed_tail or self._file.read(_WINDOW)
                if not packed:
                    raise MalformedMessage("the file ends within the deflated data set")
                more = self._inflate.decompress(packed, _WINDOW)
                if more:
                    return more
        except zlib.error as error:
            raise MalformedMessage(f"the deflated data set cannot be inflated: {error}") from error
        return b""


def _read_meta(source: _Source) -> tuple[DataSet, int]:
    meta = DataSet()
    offset = 132
    while not source.ends(offset):
        group, element, vr, length = struct.unpack("<HH2sH", source.read(offset, 8))
        if group != 2:
            break
        offset += 8
        if vr in _LONG_VRS:
            (length,) = struct.unpack("<I", source.read(offset, 4))
            offset += 4
        if length <= 1024:
            meta[group << 16 | element] = source.read(offset, length)
        offset += length
    return meta, offset


def _looks_explicit(source: _Source, offset: int) -> bool:
    vr = source.read(offset, 8)[4:6]
    return vr.isalpha() and vr.isupper()


@lru_cache
def _sequences(wanted: frozenset[int]) -> frozenset[int]:
    return frozenset(tag for tag in wanted if dictionary_VR(tag) == "SQ")


class _Walk:
    """One pass over the elements of a data set, which calls itself no deeper than sequences may be nested."""

    def __init__(
        self, source: _Source, order: str, wanted: frozenset[int], limits: Limits, until: int | None = None
    ) -> None:
        self._until = 0xFFFFFFFF if until is None else until
        self._source = source
        self._tag = struct.Struct(order + "HHI")
        self._explicit = struct.Struct(order + "HH2sH")
        self._length = struct.Struct(order + "I")
        self._wanted = wanted
        self._sequences = _sequences(wanted)
        self._limits = limits
        self._items = 0
        self._trail: Trail | None = None

    def run(self, offset: int, *, explicit: bool) -> DataSet:
        root = DataSet()
        self._elements(offset, None, root, explicit=explicit, depth=0)
        return root

    def _elements(self, offset: int, end: int | None, kept: DataSet | None, *, explicit: bool, depth: int) -> int:
        """The elements of an item in so many sequences, or with 0 of all the data set, and where they end.

        `end` is None where that is not known before.
        """
        source, wanted, longest = self._source, self._wanted, self._limits.value
        unpack, unpack_length = self._explicit.unpack_from, self._length.unpack_from
        until = 0xFFFFFFFF if depth else self._until
        # What is at hand serves until more is needed, also where the source was taken further on meanwhile.
        window, begin = source.window, source.begin
        held = begin + len(window)
        while end is None or offset < end:
            if offset + 12 > held:
                if not depth and source.ends(offset):
                    return offset
                window, begin = source.ahead(offset, 8)
                held = begin + len(window)
            group, element, vr, length = unpack(window, offset - begin)
            tag = group << 16 | element
            if tag > until:
                return offset
            if group == 0xFFFE:
                if tag != _ITEM_END or end is not None or not depth:
                    raise _malformed(f"misplaced {_name(tag)}", offset)
                return offset + 8
            keep = kept is not None and tag in wanted
            value = offset + 8
            if not explicit or vr in _LONG_VRS:
                if explicit:
                    if value + 4 > held:
                        window, begin = source.ahead(value, 4)
                        held = begin + len(window)
                    (length,) = unpack_length(window, value - begin)
                    value += 4
                else:
                    vr = b""
                    (length,) = unpack_length(window, offset + 4 - begin)
                if length == _UNDEFINED or (keep and (vr == b"SQ" or (vr in _UNSAID and tag in self._sequences))):
                    after = None if length == _UNDEFINED else value + length
                    if vr in _BYTE_STREAMS or tag == _PIXEL_DATA:
                        offset = self._fragments(value, after)
                    else:
                        items: Items | None = None
                        if kept is not None and keep:
                            items = kept[tag] = Items()
                        offset = self._sequence(value, after, items, explicit=explicit and vr != b"UN", depth=depth + 1)
                    continue
            offset = value + length
            trail = self._trail
            if trail is not None and not trail.passed(value, length, kept if keep else None, tag):
                self._trail = None
            if kept is not None and keep:
                if length > longest:
                    raise _malformed(f"{_name(tag)} is too long", offset, f"at most {longest} bytes")
                if offset <= held:
                    kept[tag] = window[value - begin : offset - begin]
                else:
                    kept[tag] = source.read(value, length)
        return _ended(offset, end)

    def _sequence(self, offset: int, end: int | None, items: Items | None, *, explicit: bool, depth: int) -> int:
        """The items of a sequence, which lies in so many less one, and where it ends."""
        source, limits = self._source, self._limits
        if depth > limits.depth:
            raise _malformed("sequences are nested too deep", offset, f"at most {limits.depth} levels")
        alike: dict[bytes, Alike] = {}
        first, trails = True, 0
        while end is None or offset < end:
            header = source.read(offset, 8)
            if items is not None and header in alike:
                before = alike[header]
                taken = before.take(source.held(offset, end), items, (limits.items - self._items) // before.items)
                if taken:
                    self._items += taken * before.items
                    offset += taken * before.size
                    continue
            offset += 8
            length = self._item(header, offset, end)
            if length is None:
                return offset
            item: DataSet | None = None
            if items is not None:
                self._items += 1
                if self._items > limits.items:
                    raise _malformed("too many items", offset, f"at most {limits.items}")
                item = DataSet()
                items.append(item)
                if not first and trails < limits.alike:
                    trails += 1
                    # Takes the place of one around it, of which this sequence is a part that is not the same twice.
                    self._trail = Trail(offset - 8, item, self._items - 1)
                first = False
            after = None if length == _UNDEFINED else offset + length
            offset = self._elements(offset, after, item, explicit=explicit, depth=depth)
            trail = self._trail
            if trail is not None and trail.item is item:
                self._trail = None
                raw = bytes(source.held(trail.start, offset))
                if len(raw) == offset - trail.start:
                    alike[header] = trail.end(raw, self._items - trail.before)
        return _ended(offset, end)

    def _fragments(self, offset: int, end: int | None) -> int:
        """Passes over the fragments of pixel data and says where they end."""
        while end is None or offset < end:
            header = self._source.read(offset, 8)
            offset += 8
            length = self._item(header, offset, end)
            if length is None:
                return offset
            if length == _UNDEFINED:
                raise _malformed("a fragment of pixel data without a length", offset)
            offset += length
        return _ended(offset, end)

    def _item(self, header: bytes, offset: int, end: int | None) -> int | None:
        """How long the item says it is whose header ends here; None for the end of its sequence."""
        group, element, length = self._tag.unpack(header)
        tag = group << 16 | element
        if tag == _ITEM:
            return int(length)
        if tag == _SEQUENCE_END and end is None:
            return None
        raise _malformed(f"{_name(tag)} in a sequence", offset, "an item")


def _ended(offset: int, end: int | None) -> int:
    """Where something ends that had to end there."""
    if end is not None and offset > end:
        raise _malformed("a data element is longer than the item or sequence around it", offset)
    return offset


def _malformed(message: str, offset: int, expected: str = "") -> MalformedMessage:
    return MalformedMessage(message, location=f"byte {offset}", expected=expected)


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
