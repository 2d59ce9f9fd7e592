"""A DICOM data set and its values as text: padding, code strings, numbers and the Specific Character Set.

DICOM PS3.5 section 6 (value encoding), 7.5 (nesting of data sets), PS3.3 C.12.1.1.2 (Specific Character Set).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Protocol, TypeAlias, cast

from pydicom.charset import CODES_TO_ENCODINGS, default_encoding, handled_encodings, python_encoding

from xdsi.domain.errors import MalformedMessage

_SPECIFIC_CHARACTER_SET = 0x00080005
_FRAGMENT = re.compile(rb"[^\x1b]+|\x1b[^\x1b]*")
_RESET = re.compile(rb"[\\^=\t\n\f\r]")
_UNPRINTABLE = dict.fromkeys([*range(0x20), 0x7F, 0xFFFE, 0xFFFF])
_INTEGER = re.compile(r"[+-]?[0-9]{1,12}")
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_PLAIN_UIDS = re.compile(r"(?:[0-9]+\.[0-9.]*[0-9]\0?\\)*+")
"""as _UID, each with a backslash after it, where no dot follows another"""


def is_uid(text: str) -> bool:
    """True for what is in use as a UID: up to 64 characters, and a leading zero in a component is let pass."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def required_uid(value: bytes, tag: int, name: str) -> str:
    """The UID in the bytes of an element that has to be there; MalformedMessage without it."""
    uid = value.decode("ascii", "replace").strip(" \0")
    if not is_uid(uid):
        raise MalformedMessage(
            f"{name} is {uid!r}" if uid else f"{name} is missing",
            location=f"({tag >> 16:04X},{tag & 0xFFFF:04X})",
            expected="a UID",
        )
    return uid


def plain_uids(values: Collection[bytes]) -> dict[bytes, str]:
    """The UIDs in the bytes of many elements, by those; none of them where one is not plainly a UID."""
    text = b"\\".join([*values, b""]).decode("ascii", "replace")
    uids = text.replace("\0", "").split("\\")[:-1]
    longest = max(map(len, values), default=0)
    if ".." in text or len(uids) != len(values) or longest > 64 or not _PLAIN_UIDS.fullmatch(text):
        return {}
    return dict(zip(values, uids, strict=True))


class DataSet(dict[int, "Value"]):
    """Elements by tag: the bytes of a value, or the items of a sequence."""

    __slots__ = ()

    def value(self, tag: int) -> bytes:
        """The bytes of an element, none where it is absent or a sequence."""
        value = self.get(tag, b"")
        return value if isinstance(value, bytes) else b""

    def items_of(self, tag: int) -> Items:
        """The items of a sequence, none where it is absent."""
        value = self.get(tag)
        return value if isinstance(value, Items) else Items()

    def item(self, tag: int) -> DataSet:
        """The first item of a sequence, or an empty one."""
        items = self.items_of(tag)
        return items[0] if items else DataSet()

    def code(self, tag: int) -> str:
        """A value that the character set does not touch (AE, CS, DA, DS, IS, TM, UI, UR), without padding."""
        value = self.get(tag)
        return value.decode("ascii", "replace").strip(" \0") if isinstance(value, bytes) else ""

    def codes(self, tag: int) -> tuple[str, ...]:
        """The values of such an element, empty ones left out."""
        return tuple(text for part in self.code(tag).split("\\") if (text := part.strip(" \0")))

    def uid(self, tag: int, name: str) -> str:
        """A UID that has to be there; MalformedMessage without it."""
        return required_uid(self.value(tag), tag, name)

    def number(self, tag: int) -> int | None:
        """The first value of an IS, None where it is no number."""
        text = next(iter(self.codes(tag)), "")
        return int(text) if _INTEGER.fullmatch(text) else None


class Run(Protocol):
    """Items that follow each other and have the same elements, in which only values differ."""

    def __len__(self) -> int: ...

    def data_sets(self) -> list[DataSet]:
        """Each item by itself."""

    def has(self, tag: int) -> bool:
        """Whether the items have the element."""

    def column(self, *path: int) -> list[bytes]:
        """What `Items.column` says."""


class Items:
    """The items of a sequence in their order; those of a run become data sets when somebody looks at them singly."""

    __slots__ = ("_parts", "_runs")

    def __init__(self, items: Iterable[DataSet] = ()) -> None:
        self._parts: list[DataSet | Run] = [*items]
        self._runs = False

    def append(self, item: DataSet) -> None:
        """One more item."""
        self._parts.append(item)

    def append_run(self, run: Run) -> None:
        """More items, built alike."""
        self._parts.append(run)
        self._runs = True

    def __len__(self) -> int:
        return sum(1 if isinstance(part, DataSet) else len(part) for part in self._parts)

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __iter__(self) -> Iterator[DataSet]:
        return iter(self._singly())

    def __getitem__(self, at: int) -> DataSet:
        return self._singly()[at]

    def __eq__(self, other: object) -> bool:
        return [*self] == [*other] if isinstance(other, Items | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._singly())

    def _singly(self) -> list[DataSet]:
        if self._runs:
            parts = [[part] if isinstance(part, DataSet) else part.data_sets() for part in self._parts]
            self._parts = [item for part in parts for item in part]
            self._runs = False
        return cast("list[DataSet]", self._parts)

    def has(self, tag: int) -> bool:
        """Whether any item has the element."""
        return any(tag in part if isinstance(part, DataSet) else part.has(tag) for part in self._parts)

    def column(self, *path: int) -> list[bytes]:
        """The bytes of an element in each item, none where it is absent; of a longer path in each item of its items."""
        found: list[bytes] = []
        for part in self._parts:
            if not isinstance(part, DataSet):
                found += part.column(*path)
            elif len(path) == 1:
                found.append(part.value(path[0]))
            else:
                found += part.items_of(path[0]).column(*path[1:])
        return found


Value: TypeAlias = bytes | Items


class CharacterSet:
    """Reads text by a data set's Specific Character Set; what cannot be decoded is replaced, never an error."""

    def __init__(self, dataset: DataSet) -> None:
        terms = dataset.code(_SPECIFIC_CHARACTER_SET).split("\\")
        self._first = python_encoding.get(terms[0].strip(), default_encoding)

    def text(self, dataset: DataSet, tag: int) -> str:
        """A value of LO, SH, ST, UT or PN, without padding and control characters."""
        value = dataset.get(tag)
        if not isinstance(value, bytes) or not value:
            return ""
        if b"\x1b" in value:
            decoded = "".join(self._fragment(part) for part in _FRAGMENT.findall(value))
        else:
            decoded = value.decode(self._first, "replace")
        return (decoded if decoded.isprintable() else decoded.translate(_UNPRINTABLE)).strip()

    def _fragment(self, part: bytes) -> str:
        if not part.startswith(b"\x1b"):
            return part.decode(self._first, "replace")
        width = 4 if part.startswith((b"\x1b$(", b"\x1b$)")) else 3
        encoding = CODES_TO_ENCODINGS.get(part[:width])
        if encoding is None or encoding in handled_encodings:
            return part.decode(encoding or self._first, "replace")
        body = part[width:]
        reset = _RESET.search(body)
        if reset is None:
            return body.decode(encoding, "replace")
        return body[: reset.start()].decode(encoding, "replace") + body[reset.start() :].decode(self._first, "replace")
