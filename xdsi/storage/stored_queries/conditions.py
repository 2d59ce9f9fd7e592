"""How a parameter of a stored query becomes a condition; values are always bound, never part of the text.

ITI TF-2 3.18.4.1.2.3.3 (times), 3.18.4.1.2.3.5 (AND, OR, LIKE).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    Column,
    ColumnElement,
    Table,
    and_,
    bindparam,
    exists,
    false,
    not_,
    or_,
    select,
    tuple_,
)

from xdsi.domain.codes import Code
from xdsi.domain.stored_query import Value
from xdsi.storage.lists import coded, items
from xdsi.storage.tables import code
from xdsi.storage.wording import ESCAPE, normal, pattern

Groups: TypeAlias = tuple[tuple[Value, ...], ...]
"""All groups must hold (AND), one value of each suffices (OR)"""
Condition: TypeAlias = ColumnElement[bool]

_PATTERNS_AT_ONCE: Final = 50


@dataclass(frozen=True)
class Criterion:
    """One parameter. Statements are built once per shape: which parameters, how many groups of how many values."""

    parameter: str

    def shape(self, groups: Groups) -> tuple[int, ...]:
        """What the text of the condition depends on."""
        return (1,) * len(groups)

    def conditions(self, shape: tuple[int, ...], *, everywhere: bool) -> Iterator[Condition]:
        """One condition per group; `everywhere` when no patient narrows the query."""
        for number, size in enumerate(shape):
            yield self.condition(self._name(number), size, everywhere=everywhere)

    def binds(self, groups: Groups) -> Iterator[tuple[str, Any]]:
        """The values by the names used in the conditions."""
        for number, group in enumerate(groups):
            yield from self.bind(self._name(number), group)

    def condition(self, name: str, size: int, *, everywhere: bool) -> Condition:
        """The condition of one group."""
        raise TypeError(f"{type(self).__name__} has no condition")

    def bind(self, name: str, group: tuple[Value, ...]) -> Iterator[tuple[str, Any]]:
        """The values of one group."""
        raise TypeError(f"{type(self).__name__} has no values")

    def _name(self, number: int) -> str:
        return f"{self.parameter.removeprefix('$')}_{number}"


@dataclass(frozen=True)
class OneOf(Criterion):
    """An attribute with one value is among the values."""

    column: Column[Any]
    convert: Callable[[str], Any] = normal

    def condition(self, name: str, size: int, *, everywhere: bool) -> Condition:
        return self.column.in_(bindparam(name, expanding=True))

    def bind(self, name: str, group: tuple[Value, ...]) -> Iterator[tuple[str, Any]]:
        found = (self.convert(str(value)) for value in group)
        yield name, [value for value in found if value is not None]


@dataclass(frozen=True)
class CodeOneOf(Criterion):
    """A coded attribute with one value is among the codes."""

    table: Table
    attribute: str

    def condition(self, name: str, size: int, *, everywhere: bool) -> Condition:
        return _pair_in(self.table.c[f"{self.attribute}_code"], self.table.c[f"{self.attribute}_scheme"], name)

    def bind(self, name: str, group: tuple[Value, ...]) -> Iterator[tuple[str, Any]]:
        yield from _pair_binds(name, group)


@dataclass(frozen=True)
class SomeCode(Criterion):
    """A coded attribute with several values has one of the codes."""

    table: Table
    kind: str

    def condition(self, name: str, size: int, *, everywhere: bool) -> Condition:
        wanted = and_(code.c.kind == self.kind, _pair_in(code.c.code, code.c.scheme, name))
        if not everywhere:
            return exists().where(
                code.c.patient_key == self.table.c.patient_key, code.c.object_id == self.table.c.id, wanted
            )
        # Begins at the codes.
        bearers = select(code.c.patient_key, code.c.object_id).where(wanted)
        return tuple_(self.table.c.patient_key, self.table.c.id).in_(bearers)

    def bind(self, name: str, group: tuple[Value, ...]) -> Iterator[tuple[str, Any]]:
        yield from _pair_binds(name, group)


@dataclass(frozen=True)
class SomeListedCode(Criterion):
    """A coded attribute whose values are kept as a list has one of the codes."""

    column: Column[str]

    def condition(self, name: str, size: int, *, everywhere: bool) -> Condition:
        rows, value = items(self.column)
        return exists(select(value).select_from(rows).where(value.in_(bindparam(name, expanding=True))))

    def bind(self, name: str, group: tuple[Value, ...]) -> Iterator[tuple[str, Any]]:
        yield name, [coded(value) for value in group if isinstance(value, Code)]


@dataclass(frozen=True)
class SomeLike(Criterion):
    """One value of an attribute whose values are kept as a list matches one of the patterns."""

    column: Column[str]

    def shape(self, groups: Groups) -> tuple[int, ...]:
        return tuple(len(group) for group in groups)

    def condition(self, name: str, size: int, *, everywhere: bool) -> Condition:
        rows, value = items(self.column)
        alternatives = [value.like(bindparam(f"{name}_{i}"), escape=ESCAPE) for i in range(size)]
        # SQLite nests what OR joins, and only so deep: many patterns are looked for a few at a time.
        parts = [alternatives[at : at + _PATTERNS_AT_ONCE] for at in range(0, size, _PATTERNS_AT_ONCE)]
        return or_(false(), *[exists(select(value).select_from(rows).where(or_(*part))) for part in parts])

    def bind(self, name: str, group: tuple[Value, ...]) -> Iterator[tuple[str, Any]]:
        for i, value in enumerate(group):
            yield f"{name}_{i}", pattern(str(value))


@dataclass(frozen=True)
class NoneOf(Criterion):
    """What another criterion with these values would select is left out (CP-ITI-1323)."""

    wanted: Criterion

    @classmethod
    def of(cls, wanted: Criterion) -> NoneOf:
        """The criterion of the parameter that excludes what this one wants."""
        return cls(f"{wanted.parameter}Exclude", wanted)

    def shape(self, groups: Groups) -> tuple[int, ...]:
        return self.wanted.shape(groups)

    def conditions(self, shape: tuple[int, ...], *, everywhere: bool) -> Iterator[Condition]:
        groups = [self.wanted.condition(self._name(n), size, everywhere=False) for n, size in enumerate(shape)]
        yield not_(and_(*groups))

    def bind(self, name: str, group: tuple[Value, ...]) -> Iterator[tuple[str, Any]]:
        yield from self.wanted.bind(name, group)


@dataclass(frozen=True)
class From(Criterion):
    """A time is at or after the value; an object for which `exempt` holds stays a candidate.

    Times of different precision are compared as text, which is total: `2024` is before `20240101`.
    """

    column: Column[str]
    exempt: Condition | None = None

    def condition(self, name: str, size: int, *, everywhere: bool) -> Condition:
        bound = self._compared(bindparam(name))
        return bound if self.exempt is None else or_(self.exempt, bound)

    def _compared(self, value: ColumnElement[Any]) -> Condition:
        return self.column >= value

    def bind(self, name: str, group: tuple[Value, ...]) -> Iterator[tuple[str, Any]]:
        yield name, str(group[0])


@dataclass(frozen=True)
class To(From):
    """A time is before the value."""

    def _compared(self, value: ColumnElement[Any]) -> Condition:
        return self.column < value


def _pair_in(first: Column[str], second: Column[str], name: str) -> Condition:
    # The list of first halves adds nothing but lets SQLite use an index, which it does not for pairs.
    return and_(
        first.in_(bindparam(f"{name}_code", expanding=True)),
        tuple_(first, second).in_(bindparam(name, expanding=True)),
    )


def _pair_binds(name: str, group: tuple[Value, ...]) -> Iterator[tuple[str, Any]]:
    pairs = [(normal(value.code), normal(value.scheme)) for value in group if isinstance(value, Code)]
    yield name, pairs
    yield f"{name}_code", list(dict.fromkeys(code for code, _ in pairs))
