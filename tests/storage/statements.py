"""What the database is asked, whichever way a statement goes to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

_NOT_ASKED = ("BEGIN", "PRAGMA", "ROLLBACK", "COMMIT", "SAVEPOINT", "RELEASE", "EXPLAIN", "SET ")


@contextmanager
def watched(engine: Engine, heard: Callable[[Any, str, Any], None]) -> Iterator[None]:
    """Tell of each statement meanwhile: the driver's connection, the text, its parameters.

    SQLite is listened to itself, because prepared statements go past SQLAlchemy; there, the text has its values in it.
    """
    if engine.dialect.name != "sqlite":

        def listen(_: object, cursor: Any, statement: str, parameters: Any, *__: object) -> None:
            if not statement.startswith(_NOT_ASKED):
                heard(cursor.connection, statement, parameters)

        sa.event.listen(engine, "before_cursor_execute", listen)
        try:
            yield
        finally:
            sa.event.remove(engine, "before_cursor_execute", listen)
        return

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
