"""Items of one sequence that are built alike: what was found in one is found in the next without a look at elements.

A walk over a data set looks at tags, VRs and lengths, never at values. So of two items that differ in nothing but the
bytes of values, one is walked like the other: the same elements, kept or not, to the same end, without an error. The
references of a manifest are like that, hundreds in a row (DICOM PS3.3 C.17.6, PS3.5 section 7.5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import chain, takewhile
from typing import TypeAlias

from xdsi.wire.dicom_text import DataSet, Items

_ELEMENTS = 64
"""an item with more of them is not worth remembering"""

_Template: TypeAlias = "dict[int, int | list[_Template]]"
"""what a data set is made of: tags, each with the number of its value or with what the items of its sequence are"""


class Trail:
    """Where the values of an item are that is being walked."""

    __slots__ = ("_numbers", "_values", "before", "item", "start")

    def __init__(self, start: int, item: DataSet, before: int) -> None:
        self.start = start
        self.item = item
        self.before = before
        """how many items there were before it"""
        self._values: list[tuple[int, int]] = []
        self._numbers: dict[tuple[int, int], int] = {}

    def passed(self, offset: int, length: int, kept: DataSet | None, tag: int) -> bool:
        """A value, and the data set that keeps it; False when there are too many."""
        if kept is not None:
            self._numbers[id(kept), tag] = len(self._values)
        self._values.append((offset - self.start, length))
        return len(self._values) <= _ELEMENTS

    def end(self, raw: bytes, items: int) -> Alike:
        """What the next one may be like; `raw` is all of this one, and brought so many items."""
        return Alike(raw, self._values, _template(self.item, self._numbers), items)


class Alike:
    """What items have in common that are built alike, and where they differ."""

    __slots__ = ("_layout", "_marks", "columns", "items", "size", "template", "values")

    def __init__(self, raw: bytes, values: list[tuple[int, int]], template: _Template, items: int) -> None:
        layout, at = "=", 0
        for start, length in values:
            layout += f"{start - at}s{length}x"
            at = start + length
        # Tags, VRs and lengths, without the bytes of values.
        self._layout = struct.Struct(f"{layout}{len(raw) - at}s")
        self._marks = self._layout.unpack(raw)
        self.values = values
        self.template = template
        self.columns: dict[tuple[int, ...], struct.Struct] = {}
        """what a path leads to, and with none all values: items of two lengths in turns are as many runs of one"""
        self.size = len(raw)
        self.items = items

    def take(self, raw: memoryview, into: Items, limit: int) -> int:
        """Add the items at the beginning of `raw` that are alike, at most `limit` of them, and say how many."""
        most = min(len(raw) // self.size, limit) * self.size
        taken = sum(takewhile(bool, map(self._marks.__eq__, self._layout.iter_unpack(raw[:most]))))
        if taken:
            into.append_run(_Run(self, bytes(raw[: taken * self.size]), taken))
        return taken

    def only(self, numbers: Iterable[int | None]) -> struct.Struct:
        """Of such an item the values of these numbers, which increase; of None one without bytes."""
        layout, at = "=", 0
        for number in numbers:
            start, length = (at, 0) if number is None else self.values[number]
            layout += f"{start - at}x{length}s"
            at = start + length
        return struct.Struct(f"{layout}{self.size - at}x")


class _Run:
    """Items by the bytes of all; implements Run."""

    __slots__ = ("_alike", "_count", "_raw")

    def __init__(self, alike: Alike, raw: bytes, count: int) -> None:
        self._alike = alike
        self._raw = raw
        self._count = count

    def __len__(self) -> int:
        return self._count

    def data_sets(self) -> list[DataSet]:
        alike = self._alike
        if () not in alike.columns:
            alike.columns[()] = alike.only(range(len(alike.values)))
        return [_filled(alike.template, row) for row in alike.columns[()].iter_unpack(self._raw)]

    def has(self, tag: int) -> bool:
        return tag in self._alike.template

    def column(self, *path: int) -> list[bytes]:
        columns = self._alike.columns
        if path not in columns:
            columns[path] = self._alike.only(_numbers(self._alike.template, path))
        return [*chain.from_iterable(columns[path].iter_unpack(self._raw))]


def _template(item: DataSet, numbers: dict[tuple[int, int], int]) -> _Template:
    return {
        tag: [_template(one, numbers) for one in value] if isinstance(value, Items) else numbers[id(item), tag]
        for tag, value in item.items()
    }


def _filled(template: _Template, row: tuple[bytes, ...]) -> DataSet:
    return DataSet(
        {
            tag: row[what] if isinstance(what, int) else Items([_filled(one, row) for one in what])
            for tag, what in template.items()
        }
    )


def _numbers(template: _Template, path: tuple[int, ...]) -> list[int | None]:
    """Which values a path leads to in an item, None for one that is not there."""
    what = template.get(path[0])
    if len(path) == 1:
        return [what if isinstance(what, int) else None]
    return [number for one in what for number in _numbers(one, path[1:])] if isinstance(what, list) else []
