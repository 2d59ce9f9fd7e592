"""Data elements of a DICOM file: only those asked for, without recursion, within limits, never the pixel data.

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
    return Part10(meta, _Walk(source, offset, order, wanted, limits, until).run(explicit=explicit))


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
        self._at = 0
        self._window = b""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes, or MalformedMessage."""
        start = offset - self._at
        end = start + length
        if start < 0 or end > len(self._window):
            self._fill(offset, length)
            start, end = 0, length
        return self._window[start:end]

    def held(self, start: int, end: int | None) -> memoryview:
        """What is at hand of these bytes, from the first on."""
        at = self._at
        if start < at:
            return memoryview(b"")
        return memoryview(self._window)[start - at : None if end is None else max(end, at) - at]

    def ends(self, offset: int) -> bool:
        """True at the very end; MalformedMessage beyond it."""
        if offset > self.size:
            raise MalformedMessage("the file ends within a data element", location=f"byte {self.size}")
        return offset == self.size

    def _fill(self, offset: int, length: int) -> None:
        if offset + length <= self.size:
            self._file.seek(offset)
            self._window = self._file.read(max(length, _WINDOW))
            self._at = offset
            if len(self._window) >= length:
                return
        raise MalformedMessage("the file ends within a data element", location=f"byte {offset}")


class _Inflated(_Source):
    """A deflated data set, inflated as far as it is read and never beyond a limit (PS3.5 A.5)."""

    def __init__(self, file: BinaryIO, offset: int, limit: int) -> None:
        file.seek(offset)
        self._file = file
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._limit = limit
        self._at = 0
        self._window = b""

    def ends(self, offset: int) -> bool:
        """True at the very end; MalformedMessage beyond it."""
        self._advance(offset, 1)
        if offset > self._at + len(self._window):
            raise MalformedMessage("the deflated data set ends within a data element")
        return offset == self._at + len(self._window)

    def _fill(self, offset: int, length: int) -> None:
        self._advance(offset, length)
        if self._at != offset or len(self._window) < length:
            raise MalformedMessage("the deflated data set ends within a data element")

    def _advance(self, offset: int, length: int) -> None:
        while len(self._window) < offset - self._at + length:
            kept = max(0, len(self._window) - (offset - self._at))
            dropped = len(self._window) - kept
            self._window, self._at = self._window[dropped:], self._at + dropped
            more = self._chunk()
            if not more:
                break
            self._window += more
            if self._at + len(self._window) > self._limit:
                raise MalformedMessage("the deflated data set is too large", expected=f"at most {self._limit} bytes")
        dropped = min(offset - self._at, len(self._window))
        self._window, self._at = self._window[dropped:], self._at + dropped

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


class _Frame:
    """A data set, a sequence or the fragments of pixel data that is being walked; `end` is None where delimited."""

    __slots__ = ("alike", "end", "explicit", "items", "kept", "trails")

    def __init__(self, end: int | None, kept: DataSet | None, items: Items | None, *, explicit: bool) -> None:
        self.end = end
        self.kept = kept
        self.items = items
        self.explicit = explicit
        self.alike: dict[bytes, Alike] = {}
        self.trails = 0


class _DataSetFrame(_Frame):
    __slots__ = ()


class _SequenceFrame(_Frame):
    __slots__ = ()


class _FragmentsFrame(_Frame):
    __slots__ = ()


class _Walk:
    """One pass over the elements of a data set, with its own stack."""

    def __init__(
        self,
        source: _Source,
        offset: int,
        order: str,
        wanted: frozenset[int],
        limits: Limits,
        until: int | None = None,
    ) -> None:
        self._until = 0xFFFFFFFF if until is None else until
        self._source = source
        self._offset = offset
        self._tag = struct.Struct(order + "HHI")
        self._explicit = struct.Struct(order + "HH2sH")
        self._length = struct.Struct(order + "I")
        self._wanted = wanted
        self._sequences = _sequences(wanted)
        self._limits = limits
        self._items = 0
        self._stack: list[_Frame] = []
        self._trail: Trail | None = None

    def run(self, *, explicit: bool) -> DataSet:
        root = DataSet()
        stack = self._stack
        stack.append(_DataSetFrame(None, root, None, explicit=explicit))
        source = self._source
        while stack:
            frame = stack[-1]
            end = frame.end
            if end is not None and self._offset >= end:
                if self._offset > end:
                    raise self._malformed("a data element is longer than the item or sequence around it")
                self._leave(frame)
            elif len(stack) == 1 and source.ends(self._offset):
                stack.pop()
            elif type(frame) is _DataSetFrame:
                self._elements(frame)
            else:
                self._item(frame)
        return root

    def _elements(self, frame: _Frame) -> None:
        """The elements of a data set, up to its end or the next sequence in it."""
        source, end, root = self._source, frame.end, len(self._stack) == 1
        read, unpack, wanted = source.read, self._explicit.unpack, self._wanted
        while not (source.ends(self._offset) if root else end is not None and self._offset >= end):
            header = read(self._offset, 8)
            group, element, vr, length = unpack(header)
            tag = group << 16 | element
            if tag > self._until and root:
                self._stack.clear()
                return
            if group == 0xFFFE:
                if tag != _ITEM_END or end is not None or root:
                    raise self._malformed(f"misplaced {_name(tag)}")
                self._offset += 8
                self._leave(frame)
                return
            offset = self._offset + 8
            if not frame.explicit:
                vr = b""
                (length,) = self._length.unpack(header[4:])
            elif vr in _LONG_VRS:
                (length,) = self._length.unpack(read(offset, 4))
                offset += 4
            kept = frame.kept if tag in wanted else None
            if vr == b"SQ" or length == _UNDEFINED or (kept is not None and vr in _UNSAID and tag in self._sequences):
                self._offset = offset
                self._open(frame, tag, vr, length, keep=kept is not None)
                if self._stack[-1] is not frame:
                    return
                continue
            self._offset = offset + length
            if self._trail is not None:
                self._pass(self._trail, offset, length, kept, tag)
            if kept is not None:
                if length > self._limits.value:
                    raise self._malformed(f"{_name(tag)} is too long", expected=f"at most {self._limits.value} bytes")
                kept[tag] = read(offset, length)

    def _open(self, frame: _Frame, tag: int, vr: bytes, length: int, *, keep: bool) -> None:
        """Enter a sequence or pixel data; one of known length that nobody asked for is passed over."""
        if length != _UNDEFINED and not keep:
            if self._trail is not None:
                self._pass(self._trail, self._offset, length, None, tag)
            self._offset += length
            return
        end = None if length == _UNDEFINED else self._offset + length
        if vr in _BYTE_STREAMS or tag == _PIXEL_DATA:
            self._stack.append(_FragmentsFrame(end, None, None, explicit=frame.explicit))
            return
        if sum(type(one) is _SequenceFrame for one in self._stack) >= self._limits.depth:
            raise self._malformed("sequences are nested too deep", expected=f"at most {self._limits.depth} levels")
        items: Items | None = None
        if keep and frame.kept is not None:
            items = Items()
            frame.kept[tag] = items
        self._stack.append(_SequenceFrame(end, None, items, explicit=frame.explicit and vr != b"UN"))

    def _item(self, frame: _Frame) -> None:
        """The next item of a sequence, or its end."""
        header = self._source.read(self._offset, 8)
        if header in frame.alike and self._take(frame, frame.alike[header]):
            return
        group, element, length = self._tag.unpack(header)
        tag = group << 16 | element
        self._offset += 8
        if tag == _SEQUENCE_END and frame.end is None:
            self._stack.pop()
        elif tag != _ITEM:
            raise self._malformed(f"{_name(tag)} in a sequence", expected="an item")
        elif type(frame) is _FragmentsFrame:
            if length == _UNDEFINED:
                raise self._malformed("a fragment of pixel data without a length")
            self._offset += length
        else:
            end = None if length == _UNDEFINED else self._offset + length
            kept: DataSet | None = None
            if frame.items is not None:
                self._items += 1
                if self._items > self._limits.items:
                    raise self._malformed("too many items", expected=f"at most {self._limits.items}")
                kept = DataSet()
                if frame.items and frame.trails < self._limits.alike:
                    frame.trails += 1
                    # Takes the place of one around it, of which this sequence is a part that is not the same twice.
                    self._trail = Trail(self._offset - 8, kept, self._items - 1)
                frame.items.append(kept)
            self._stack.append(_DataSetFrame(end, kept, None, explicit=frame.explicit))

    def _take(self, frame: _Frame, alike: Alike) -> bool:
        """Take the items from here on that are built like one before; False where there is none."""
        assert frame.items is not None
        limit = (self._limits.items - self._items) // alike.items
        taken = alike.take(self._source.held(self._offset, frame.end), frame.items, limit)
        self._items += taken * alike.items
        self._offset += taken * alike.size
        return taken > 0

    def _pass(self, trail: Trail, offset: int, length: int, kept: DataSet | None, tag: int) -> None:
        """Note a value, which the next item may have in the same place; an item of too many is not remembered."""
        if not trail.passed(offset, length, kept, tag):
            self._trail = None

    def _leave(self, frame: _Frame) -> None:
        """The end of a sequence, or of an item, by which the next one may be known."""
        self._stack.pop()
        trail = self._trail
        if trail is not None and trail.item is frame.kept:
            self._trail = None
            raw = bytes(self._source.held(trail.start, self._offset))
            if len(raw) == self._offset - trail.start:
                self._stack[-1].alike[raw[:8]] = trail.end(raw, self._items - trail.before)

    def _malformed(self, message: str, expected: str = "") -> MalformedMessage:
        return MalformedMessage(message, location=f"byte {self._offset}", expected=expected)


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
