"""Items of one sequence that are built alike: what was found in one is found in the next without a look at elements.

A walk over a data set looks at tags, VRs and lengths, never at values. So of two items that differ in nothing but the
bytes of values, one is walked like the other: the same elements, kept or not, to the same end, without an error. The
references of a manifest are like that, hundreds in a row (DICOM PS3.3 C.17.6, PS3.5 section 7.5).
"""

from __future__ import annotations

import struct
from typing import TypeAlias

from xdsi.wire.dicom_text import DataSet, Items

_ELEMENTS = 64
"""an item with more of them is not worth remembering"""

_Template: TypeAlias = "tuple[tuple[int, int | list[_Template]], ...]"
"""what a data set is made of: tags, each with the number of its value or with what the items of its sequence are"""
_Places: TypeAlias = "dict[tuple[int, ...], list[int | None]]"
"""which values a path leads to, as far as somebody asked: items of two lengths in turns are as many runs of one"""


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

    __slots__ = ("_layout", "_marks", "_places", "_template", "items", "size")

    def __init__(self, raw: bytes, values: list[tuple[int, int]], template: _Template, items: int) -> None:
        layout, at = "=", 0
        for start, length in values:
            layout += f"{start - at}s{length}s"
            at = start + length
        self._layout = struct.Struct(f"{layout}{len(raw) - at}s")
        # Tags, VRs and lengths and the bytes of values take turns.
        self._marks = self._layout.unpack(raw)[::2]
        self._template = template
        self._places: _Places = {}
        self.size = len(raw)
        self.items = items

    def take(self, raw: memoryview, into: Items, limit: int) -> int:
        """Add the items at the beginning of `raw` that are alike, at most `limit` of them, and say how many."""
        count = min(len(raw) // self.size, limit)
        marks = self._marks
        rows = []
        for parts in self._layout.iter_unpack(raw[: count * self.size]):
            if parts[::2] != marks:
                break
            rows.append(parts[1::2])
        if rows:
            into.append_run(_Run(self._template, self._places, rows))
        return len(rows)


class _Run:
    """Items by the values of each; implements Run."""

    __slots__ = ("_places", "_rows", "_template")

    def __init__(self, template: _Template, places: _Places, rows: list[tuple[bytes, ...]]) -> None:
        self._template = template
        self._places = places
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def data_sets(self) -> list[DataSet]:
        return [_filled(self._template, row) for row in self._rows]

    def has(self, tag: int) -> bool:
        return any(tag == one for one, _ in self._template)

    def column(self, *path: int) -> list[bytes]:
        numbers = self._places.get(path)
        if numbers is None:
            numbers = self._places[path] = _numbers(self._template, path)
        return [b"" if number is None else row[number] for row in self._rows for number in numbers]


def _template(item: DataSet, numbers: dict[tuple[int, int], int]) -> _Template:
    return tuple(
        (tag, [_template(one, numbers) for one in value] if isinstance(value, Items) else numbers[id(item), tag])
        for tag, value in item.items()
    )


def _filled(template: _Template, row: tuple[bytes, ...]) -> DataSet:
    return DataSet(
        [
            (tag, row[what] if isinstance(what, int) else Items([_filled(one, row) for one in what]))
            for tag, what in template
        ]
    )


def _numbers(template: _Template, path: tuple[int, ...]) -> list[int | None]:
    """Which values a path leads to in an item, None for one that is not there."""
    tag, beyond = path[0], path[1:]
    what = next((what for one, what in template if one == tag), None)
    if not beyond:
        return [what if isinstance(what, int) else None]
    return [number for one in what for number in _numbers(one, beyond)] if isinstance(what, list) else []
