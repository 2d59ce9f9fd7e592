"""Statements that are compiled once and then go to the driver as they are.

SQLAlchemy writes the text for either engine. What it does anew at each execution (cache keys, parameters, results)
takes several times as long as SQLite takes to find ten rows, and every query would pay for it.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, TypeAlias

from sqlalchemy import BindParameter, Select, Table, TupleType, bindparam, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import iterate

from xdsi.storage import driver
from xdsi.storage.packed import Packed, to_database, unpack

_Fill: TypeAlias = Callable[[Mapping[str, Any]], Any]
_TEXTS: Final = 100
"""kept of one statement and engine: one for each combination of lengths of its lists"""
_ROWS: Final = 8
"""at most that one statement inserts"""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a parameter's value is found: the bind's own value, an item of its list, or half of a pair in it."""

    name: str
    index: int = -1
    half: int = -1


class Prepared:
    """A SELECT of columns that are text, numbers, bytes or packed. Values are given by name each time."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        found = {one.key: one for one in iterate(statement) if isinstance(one, BindParameter) and one.required}
        self._binds: dict[str, BindParameter[Any]] = found
        self._lists = tuple(name for name, one in found.items() if one.expanding)
        self._compiled: dict[str, SQLCompiler] = {}
        self._texts: dict[tuple[Any, ...], tuple[str, _Fill]] = {}
        self._row: Any = namedtuple("row", [one.key for one in statement.selected_columns])  # type: ignore[misc]
        self._unpacked = [at for at, column in enumerate(statement.selected_columns) if isinstance(column.type, Packed)]
        self._packed = {name: how for name, one in found.items() if (how := to_database(one.type)) is not None}
        self._packed_pairs = {
            name: [to_database(half) for half in one.type.types]
            for name, one in found.items()
            if isinstance(one.type, TupleType)
        }

    def rows(self, connection: Connection, binds: Mapping[str, Any]) -> list[Any]:
        """All rows, with their columns as attributes."""
        dialect = connection.dialect
        key = (dialect.name, *[len(binds[name]) for name in self._lists])
        known = self._texts.get(key)
        if known is None:
            if len(self._texts) >= _TEXTS:
                self._texts.clear()
            known = self._texts[key] = self._expand(dialect, binds)
        text, fill = known
        rows = driver.rows(connection, text, fill(binds))
        make, row = tuple.__new__, self._row
        if not self._unpacked:
            return [make(row, values) for values in rows]
        # Column by column: many rows say the same, and nothing is called for each of them.
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        if columns:
            for at in self._unpacked:
                columns[at] = [None if value is None else unpack(value) for value in columns[at]]
        return [make(row, values) for values in zip(*columns, strict=True)]

    def first(self, connection: Connection, binds: Mapping[str, Any]) -> Any:
        """The first row, or None."""
        return next(iter(self.rows(connection, binds)), None)

    def _expand(self, dialect: Dialect, binds: Mapping[str, Any]) -> tuple[str, _Fill]:
        """The text for lists as long as these, and what puts values in the order of its parameters."""
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = self._statement.compile(dialect=dialect)
        state = compiled.construct_expanded_state({name: self._places(name, binds[name]) for name in self._binds})
        own = {
            name: how
            for bind, name in compiled.bind_names.items()
            if not bind.required and (how := to_database(bind.type)) is not None
        }
        places: dict[str, _Place] = {}
        constants: dict[str, Any] = {}
        for name, value in state.parameters.items():
            if isinstance(value, _Place):
                places[name] = value
            else:
                constants[name] = own[name](value) if name in own else value
                places[name] = _Place(name)
        if state.positiontup is not None:
            return state.statement, self._positional([places[name] for name in state.positiontup], constants)
        return state.statement, self._named(places, constants)

    def _places(self, name: str, value: Any) -> Any:
        bind = self._binds[name]
        if not bind.expanding:
            return _Place(name)
        if isinstance(bind.type, TupleType):
            halves = range(len(bind.type.types))
            return [tuple(_Place(name, index, half) for half in halves) for index in range(len(value))]
        return [_Place(name, index) for index in range(len(value))]

    def _positional(self, found: Sequence[_Place], constants: Mapping[str, Any]) -> _Fill:
        order = [(one.name, one.index, one.half) for one in found]

        def fill(binds: Mapping[str, Any]) -> list[Any]:
            given = self._given(binds, constants)
            return [
                given[name] if index < 0 else given[name][index] if half < 0 else given[name][index][half]
                for name, index, half in order
            ]

        return fill

    def _named(self, places: Mapping[str, _Place], constants: Mapping[str, Any]) -> _Fill:
        order = self._positional(list(places.values()), constants)
        return lambda binds: dict(zip(places, order(binds), strict=True))

    def _given(self, binds: Mapping[str, Any], constants: Mapping[str, Any]) -> dict[str, Any]:
        """The binds as the driver takes them, and what the statement itself compares with."""
        given = {**binds, **constants}
        for name, how in self._packed.items():
            value = given[name]
            given[name] = [how(one) for one in value] if name in self._lists else how(value)
        for name, hows in self._packed_pairs.items():
            given[name] = [
                [one if how is None else how(one) for one, how in zip(pair, hows, strict=True)] for pair in given[name]
            ]
        return given


class PreparedInsert:
    """An INSERT of rows into the named columns of a table: text, numbers, bytes or packed."""

    def __init__(self, table: Table, columns: Sequence[str], *, replacing: Sequence[str] = ()) -> None:
        """`replacing`: what a row takes over from a new one with the same primary key, which is refused otherwise."""
        self._table = table
        self._replacing = tuple(replacing)
        # A statement cannot replace what it has written itself.
        self._most = 1 if replacing else _ROWS
        self._texts: dict[tuple[str, int], tuple[str, bool]] = {}
        # In this order stand the parameters of each row.
        self._hows = [(column.name, to_database(column.type)) for column in table.columns if column.name in columns]
        self._values = itemgetter(*[name for name, _ in self._hows])
        self._packed = [(at, how) for at, (_, how) in enumerate(self._hows) if how is not None]

    def many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows; each has a value for every column. Errors are those of the driver."""
        if not rows:
            return
        dialect = connection.dialect
        # A few rows are one statement: a driver lets other threads go first at each that it executes.
        together = len(rows) if len(rows) <= self._most else 1
        known = self._texts.get((dialect.name, together))
        if known is None:
            known = self._texts[dialect.name, together] = self._compile(dialect, together)
        text, positional = known
        if positional:
            given: list[Any] = [self._placed(rows[start : start + together]) for start in range(0, len(rows), together)]
        else:
            given = [
                {
                    f"{name}_{at}": row[name] if how is None else how(row[name])
                    for at, row in enumerate(rows[start : start + together])
                    for name, how in self._hows
                }
                for start in range(0, len(rows), together)
            ]
        driver.execute_each(connection, text, given)

    def _placed(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The values of rows as one statement takes them, each in its place."""
        values: list[Any] = []
        for row in rows:
            first = len(values)
            values += self._values(row)
            for at, how in self._packed:
                values[first + at] = how(values[first + at])
        return values

    def _compile(self, dialect: Dialect, together: int) -> tuple[str, bool]:
        """The text for so many rows, and whether its parameters have places instead of names."""
        columns = [self._table.c[name] for name, _ in self._hows]
        # Each with its type, which SQLAlchemy knows of the first row only.
        rows = [{one.name: bindparam(f"{one.name}_{at}", type_=one.type) for one in columns} for at in range(together)]
        if self._replacing:
            # ON CONFLICT is the same on both engines but lies in their dialects.
            statement = _upsert(
                {"postgresql": postgresql, "sqlite": sqlite}[dialect.name], self._table, self._replacing
            )
        else:
            statement = insert(self._table).inline()
        compiled = statement.values(rows if together > 1 else rows[0]).compile(dialect=dialect)
        order = compiled.positiontup
        if order is not None and order != [name for row in rows for name in (one.key for one in row.values())]:
            raise ValueError(f"the parameters of {compiled} stand in another order")
        return str(compiled), order is not None


class PreparedChange:
    """An INSERT or UPDATE in the words of each engine; values are text, numbers or bytes, given by name each time."""

    def __init__(self, on_postgresql: Any, on_sqlite: Any) -> None:
        self._statements = {"postgresql": on_postgresql, "sqlite": on_sqlite}
        self._texts: dict[str, tuple[str, list[str] | None, Mapping[str, Any]]] = {}

    def execute(self, connection: Connection, binds: Mapping[str, Any]) -> None:
        """Change the rows; errors are those of the driver."""
        text, values = self._filled(connection, binds)
        driver.execute_each(connection, text, [values])

    def returned(self, connection: Connection, binds: Mapping[str, Any]) -> Sequence[Any]:
        """Change the rows, and what the statement says that it RETURNs."""
        return driver.rows(connection, *self._filled(connection, binds))

    def _filled(self, connection: Connection, binds: Mapping[str, Any]) -> tuple[str, Any]:
        dialect = connection.dialect
        if dialect.name not in self._texts:
            compiled = self._statements[dialect.name].compile(dialect=dialect)
            self._texts[dialect.name] = str(compiled), compiled.positiontup, compiled.params
        text, order, constants = self._texts[dialect.name]
        values = {**constants, **binds}
        return text, values if order is None else [values[name] for name in order]


def _upsert(dialect: Any, table: Table, replacing: Sequence[str]) -> Any:
    statement = dialect.insert(table)
    taken = {name: statement.excluded[name] for name in replacing}
    return statement.on_conflict_do_update(index_elements=[column.name for column in table.primary_key], set_=taken)
