"""Statements that go to the driver as they are, past SQLAlchemy, whose own work at each of them costs more.

SQLAlchemy still owns connections and transactions, and is told when the connection to a server is lost. Errors are the
driver's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import psycopg
from sqlalchemy.engine import Connection


def rows(connection: Connection, text: str, values: Any) -> Sequence[Any]:
    """What a statement finds, as tuples."""
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        found: Sequence[Any] = driver.execute(text, values).fetchall()
        return found
    try:
        found = driver.execute(text, values).fetchall()
    except psycopg.Error:
        _tell(connection, driver)
        raise
    return found


def execute_each(connection: Connection, text: str, values: Sequence[Any]) -> None:
    """The statement with each of the values; nothing is returned."""
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        driver.executemany(text, values)
        return
    try:
        if len(values) == 1 or driver.info.pipeline_status:
            for one in values:
                driver.execute(text, one)
        else:
            with driver.cursor() as cursor:
                cursor.executemany(text, values)
    except psycopg.Error:
        _tell(connection, driver)
        raise


def together(connection: Connection) -> AbstractContextManager[None]:
    """PostgreSQL is sent what is executed here without waiting for each statement; what failed is raised at the end."""
    return nullcontext() if connection.dialect.name == "sqlite" else _pipeline(connection)


@contextmanager
def _pipeline(connection: Connection) -> Iterator[None]:
    driver: Any = connection.connection.dbapi_connection
    try:
        with driver.pipeline():
            yield
    except psycopg.Error:
        _tell(connection, driver)
        raise


def _tell(connection: Connection, driver: Any) -> None:
    """Where the connection is lost, let SQLAlchemy find out: it raises, and gives up the others that are kept open."""
    if driver.closed:
        connection.exec_driver_sql("SELECT 1")
