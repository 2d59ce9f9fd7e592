"""What the database is asked, whichever way a statement goes to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

_NOT_ASKED = ("BEGIN", "PRAGMA", "ROLLBACK", "COMMIT", "SAVEPOINT", "RELEASE", "EXPLAIN", "SET ")


@contextmanager
def watched(engine: Engine, heard: Callable[[Any, str, Any], None]) -> Iterator[None]:
    """Tell of each statement meanwhile: the driver's connection, the text, its parameters.

    Drivers are listened to themselves, because prepared statements go past SQLAlchemy; on SQLite, the text has its
    values in it.
    """
    if engine.dialect.name != "sqlite":
        with _watched_psycopg(engine, heard):
            yield
        return

    # What is kept for the next reader would not be checked out, and nobody would hear of what is asked by it.
    engine.get_execution_options()["xdsi_readers"].release()
    traced: list[Any] = []

    def trace(driver: Any, *_: object) -> None:
        traced.append(driver)
        # SQLite also tells of the comments by which it marks what triggers do.
        driver.set_trace_callback(
            lambda text: None if text.startswith((*_NOT_ASKED, "--")) else heard(driver, text, ())
        )

    sa.event.listen(engine, "checkout", trace)
    try:
        yield
    finally:
        sa.event.remove(engine, "checkout", trace)
        for driver in traced:
            driver.set_trace_callback(None)


@contextmanager
def _watched_psycopg(engine: Engine, heard: Callable[[Any, str, Any], None]) -> Iterator[None]:
    ours: set[int] = set()

    def remember(driver: Any, *_: object) -> None:
        ours.add(id(driver))

    def listening(execute: Callable[..., Any]) -> Callable[..., Any]:
        def listen(cursor: Any, statement: Any, parameters: Any = None, **options: Any) -> Any:
            if id(cursor.connection) in ours and not str(statement).startswith(_NOT_ASKED):
                heard(cursor.connection, statement, parameters)
            return execute(cursor, statement, parameters, **options)

        return listen

    sa.event.listen(engine, "checkout", remember)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("execute", "executemany"):
                patch.setattr(psycopg.Cursor, name, listening(getattr(psycopg.Cursor, name)))
            yield
    finally:
        sa.event.remove(engine, "checkout", remember)
