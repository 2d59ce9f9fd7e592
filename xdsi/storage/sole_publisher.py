"""One publisher for one queue, whatever the number of servers that share a PostgreSQL database.

On SQLite there is one server for one database, and nothing to agree on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

log = logging.getLogger("xdsi.source")

_KEY = 7832736902
"""of the advisory lock; one more than that of the migrations"""
_LOOKED_AT_SECONDS = 1.0


class SolePublisher:
    """Held by a session of the database: it ends with the process, or when the connection is lost. Threads share it."""

    def __init__(self, engine: Engine, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._session: Connection | None = None
        self._look_at = 0.0
        self._held = False

    def held(self) -> bool:
        """Whether this process is the one that publishes; asked of the database once a second."""
        if self._engine.dialect.name != "postgresql":
            return True
        with self._lock:
            if self._monotonic() >= self._look_at:
                before = self._held
                self._held = self._look()
                self._look_at = self._monotonic() + _LOOKED_AT_SECONDS
                if self._held is not before:
                    log.info("%s", "publishing here" if self._held else "another process publishes")
            return self._held

    def release(self) -> None:
        """Let another process have it."""
        with self._lock:
            if self._held and self._session is not None:
                # At once: the database notices the end of a session a moment later.
                with suppress(sa.exc.SQLAlchemyError):
                    self._session.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": _KEY})
            self._held, self._look_at = False, 0.0
            self._end()

    def _look(self) -> bool:
        try:
            if self._session is None:
                self._session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            if self._held:
                # The lock lives as long as the session: where that answers, it is held.
                self._session.execute(sa.text("SELECT 1"))
                return True
            query = sa.text("SELECT pg_try_advisory_lock(:key)")
            return bool(self._session.execute(query, {"key": _KEY}).scalar_one())
        except sa.exc.DBAPIError as error:
            log.warning("it cannot be asked who publishes: %s", error.orig)
            self._end()
            return False

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            # Not back to the pool: the lock must end with it.
            with suppress(sa.exc.SQLAlchemyError):
                session.invalidate()
            with suppress(sa.exc.SQLAlchemyError):
                session.close()
