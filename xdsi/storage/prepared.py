"""Statements that are compiled once and then go to the driver as they are.

SQLAlchemy writes the text for either engine. What it does anew at each execution (cache keys, parameters, results)
takes several times as long as SQLite takes to find ten rows, and every query would pay for it.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import BindParameter, Select, Table, TupleType, bindparam, insert
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import iterate

_Fill: TypeAlias = Callable[[Mapping[str, Any]], Any]
_TEXTS: Final = 100
"""kept of one statement and engine: one for each combination of lengths of its lists"""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a parameter's value is found: the bind's own value, an item of its list, or half of a pair in it."""

    name: str
    index: int = -1
    half: int = -1

    def of(self, binds: Mapping[str, Any]) -> Any:
        value = binds[self.name]
        if self.index >= 0:
            value = value[self.index]
        return value[self.half] if self.half >= 0 else value


class Prepared:
    """A SELECT of columns that need no conversion: text, numbers, bytes. Values are given by name each time."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        found = {one.key: one for one in iterate(statement) if isinstance(one, BindParameter) and one.required}
        self._binds: dict[str, BindParameter[Any]] = found
        self._lists = tuple(name for name, one in found.items() if one.expanding)
        self._compiled: dict[str, SQLCompiler] = {}
        self._texts: dict[tuple[Any, ...], tuple[str, _Fill]] = {}
        row: Any = namedtuple("row", [column.key for column in statement.selected_columns])  # type: ignore[misc]
        self._row = row._make

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
        if dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            return [self._row(row) for row in driver.execute(text, fill(binds))]
        # Through SQLAlchemy, which notices when the connection to a server is lost.
        return list(connection.exec_driver_sql(text, fill(binds)))

    def first(self, connection: Connection, binds: Mapping[str, Any]) -> Any:
        """The first row, or None."""
        return next(iter(self.rows(connection, binds)), None)

    def _expand(self, dialect: Dialect, binds: Mapping[str, Any]) -> tuple[str, _Fill]:
        """The text for lists as long as these, and what puts values in the order of its parameters."""
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = self._statement.compile(dialect=dialect)
        state = compiled.construct_expanded_state({name: self._places(name, binds[name]) for name in self._binds})
        if state.positiontup is not None:
            return state.statement, _positional([state.parameters[name] for name in state.positiontup])
        return state.statement, _named(state.parameters)

    def _places(self, name: str, value: Any) -> Any:
        bind = self._binds[name]
        if not bind.expanding:
            return _Place(name)
        if isinstance(bind.type, TupleType):
            return [tuple(_Place(name, index, half) for half in range(len(row))) for index, row in enumerate(value)]
        return [_Place(name, index) for index in range(len(value))]


def _positional(order: list[Any]) -> _Fill:
    return lambda binds: [one.of(binds) if isinstance(one, _Place) else one for one in order]


def _named(parameters: Mapping[str, Any]) -> _Fill:
    return lambda binds: {name: one.of(binds) if isinstance(one, _Place) else one for name, one in parameters.items()}


class PreparedInsert:
    """An INSERT of rows into the named columns of a table, none of which needs conversion."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        self._statement = insert(table).values({name: bindparam(name) for name in columns})
        self._texts: dict[str, tuple[str, list[str] | None]] = {}

    def many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows; each has a value for every column."""
        dialect = connection.dialect
        if dialect.name not in self._texts:
            compiled = self._statement.compile(dialect=dialect)
            self._texts[dialect.name] = str(compiled), compiled.positiontup
        text, order = self._texts[dialect.name]
        values: list[Any] = [row if order is None else tuple([row[name] for name in order]) for row in rows]
        connection.exec_driver_sql(text, values)
