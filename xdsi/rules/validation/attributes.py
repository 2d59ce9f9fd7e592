"""Attributes of a data set, judged by a table: what has to be there, with what form or value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from xdsi.domain.dicom_tree import Item, Place, along
from xdsi.domain.findings import Finding, Level
from xdsi.rules.validation.forms import FORMS
from xdsi.spec import tags

_NAMES = {value: name for name, value in vars(tags).items() if isinstance(value, int)}
_CAPITALS = {"Uid": "UID", "Id": "ID", "Ids": "IDs", "Sop": "SOP", "Ae": "AE", "Url": "URL", "Utc": "UTC"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One row: `need` is DICOM's type, 1 (there with a value), 2 (there, be it empty) or 3 (judged if there)."""

    path: tuple[int, ...]
    need: int
    clause: str
    form: str = ""
    among: tuple[str, ...] = ()
    """the values that are right"""
    one_item: bool = False
    """a sequence of exactly one item"""
    when: Callable[[Item], bool] | None = None
    """the row counts for items of which this is so"""
    condition: str = ""
    """the same in words"""
    level: Level = Level.ERROR

    @property
    def name(self) -> str:
        """The attribute's name in PS3.6, as far as its constant tells."""
        words = [_CAPITALS.get(word, word) for word in _NAMES[self.path[-1]].title().split("_")]
        return " ".join(words)


def judge(kind: str, rows: Iterable[Attribute], root: Item) -> Iterator[Finding]:
    """Every attribute that is not as its row has it."""
    for row in rows:
        *path, tag = row.path
        for item, place in along(root, tuple(path)):
            if row.when is None or row.when(item):
                yield from _judge(kind, row, item, place, tag)


def _judge(kind: str, row: Attribute, item: Item, place: Place, tag: int) -> Iterator[Finding]:
    def finding(text: str, expected: str) -> Finding:
        return Finding(
            rule=f"{kind}.{row.name.replace(' ', '')}",
            level=row.level,
            place=place.of(tag),
            text=f"{row.name} {text}",
            expected=expected + (f" ({row.condition})" if row.condition else ""),
            clause=row.clause,
        )

    wanted = ", ".join(row.among) or (FORMS[row.form][0] if row.form else "")
    if row.need < 3 and not item.has(tag):
        yield finding("is missing", wanted or ("a value" if row.need == 1 else "the attribute, empty if not known"))
    elif row.need == 1 and not item.filled(tag):
        yield finding("is empty", wanted or "a value")
    elif row.one_item and len(item.items(tag)) > 1:
        yield finding(f"has {len(item.items(tag))} items", "one item")
    elif row.among and item.filled(tag) and (item.text(tag) not in row.among or len(item.values[tag]) > 1):
        yield finding(f"is {', '.join(item.values[tag])!r}", wanted)
    elif row.form:
        holds = FORMS[row.form][1]
        for value in item.values.get(tag, ()):
            if not holds(value):
                yield finding(f"is {value!r}", wanted)
