"""A data set as rules look at it: which elements are there, with what text, and the items of sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Item:
    """A data set or an item of a sequence; an element that is present and empty has no values and no items."""

    values: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    sequences: Mapping[int, tuple[Item, ...]] = field(default_factory=dict)

    def has(self, tag: int) -> bool:
        """Whether the element is there, be it empty."""
        return tag in self.values or tag in self.sequences

    def filled(self, tag: int) -> bool:
        """Whether the element is there with a value or an item."""
        return bool(self.values.get(tag) or self.sequences.get(tag))

    def text(self, tag: int) -> str:
        """The first value, empty without one."""
        return next(iter(self.values.get(tag, ())), "")

    def items(self, tag: int) -> tuple[Item, ...]:
        """The items of a sequence."""
        return self.sequences.get(tag, ())

    def code(self, sequence: int, *, value: int = 0x00080100, scheme: int = 0x00080102) -> tuple[str, str]:
        """Code value and scheme of the first item of a code sequence."""
        first = next(iter(self.items(sequence)), _EMPTY)
        return first.text(value), first.text(scheme)


_EMPTY = Item()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part10:
    """A DICOM file."""

    meta: Item
    dataset: Item


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a data set: tags and numbers of items (from 1), outermost first."""

    steps: tuple[tuple[int, int], ...] = ()

    def item(self, sequence: int, number: int) -> Place:
        """An item of a sequence of this place."""
        return Place((*self.steps, (sequence, number)))

    def of(self, tag: int) -> str:
        """An element of this place, as text: `(0040,A375)[1].(0008,1115)[2].(0008,0054)`."""
        return ".".join((*(f"{_name(step)}[{number}]" for step, number in self.steps), _name(tag)))

    def __str__(self) -> str:
        return ".".join(f"{_name(step)}[{number}]" for step, number in self.steps)


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def numbered(item: Item, place: Place, sequence: int) -> Iterator[tuple[Item, Place]]:
    """The items of a sequence with their places."""
    for number, one in enumerate(item.items(sequence), 1):
        yield one, place.item(sequence, number)


def along(item: Item, path: tuple[int, ...], place: Place | None = None) -> Iterator[tuple[Item, Place]]:
    """Every item at the end of a path of sequences; the item itself for an empty one."""
    here = place or Place()
    if not path:
        yield item, here
        return
    for one, there in numbered(item, here, path[0]):
        yield from along(one, path[1:], there)
