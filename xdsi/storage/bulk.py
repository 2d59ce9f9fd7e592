"""Many rows at once: COPY on PostgreSQL, batches of INSERT on SQLite.

Nothing is checked here but what the tables demand; whoever loads has looked for conflicts before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, SmallInteger, Table
from sqlalchemy.engine import Connection

from xdsi.storage.packed import Packed, to_database

_TYPES: Final = (
    (Boolean, "bool"),
    (Packed, "bytea"),
    (LargeBinary, "bytea"),
    (BigInteger, "int8"),
    (SmallInteger, "int2"),
    (Integer, "int4"),
)


def insert(connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows, each with a value for every column of the table, in the table's order."""
    if connection.dialect.name == "postgresql":
        _copy(connection, table, _packed(table, rows))
        return
    marks = ", ".join("?" * len(table.c))
    driver: Any = connection.connection.driver_connection
    driver.executemany(f"INSERT INTO {table.name} ({_names(table)}) VALUES ({marks})", _packed(table, rows))  # noqa: S608 - our own names


def _copy(connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({_names(table)}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types([_type(column.type.dialect_impl(connection.dialect)) for column in table.c])
        for row in rows:
            copy.write_row(row)


def _packed(table: Table, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    hows = [to_database(column.type) for column in table.c]
    return ([value if how is None else how(value) for value, how in zip(row, hows, strict=True)] for row in rows)


def _names(table: Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.c)


def _type(type_: Any) -> str:
    return next((name for one, name in _TYPES if isinstance(type_, one)), "text")
