"""Traces of exchanges, for `xdsi explain`: written behind the answer, because an answer must not wait for them."""

from __future__ import annotations

import atexit
import json
import logging
import queue
import threading
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from xdsi.domain.errors import Unavailable
from xdsi.storage import tables
from xdsi.storage.database import reading, writing
from xdsi.storage.prepared import PreparedInsert

log = logging.getLogger("xdsi.traces")

_BATCH = 500
_WAITING_AT_MOST = 20_000
_PAUSE_SECONDS = 0.2
_write = json.JSONEncoder(ensure_ascii=False, default=str).encode
_INSERT = PreparedInsert(tables.trace, ("id", "at", "record"))


class SqlTraceLog:
    """Keeps traces in the database; what is still waiting when the process is killed is lost, unlike audit records."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._started = threading.Lock()

    def append(self, trace: str, record: dict[str, Any]) -> None:
        """Remember what happened in one exchange; never waits, never fails."""
        if self._thread.ident is None:
            with self._started:
                if self._thread.ident is None:
                    self._thread.start()
                    atexit.register(self.close)
        if self._waiting.qsize() >= _WAITING_AT_MOST:
            log.warning("trace %s is dropped: too many waiting", trace)
            return
        row = {"id": trace, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), "record": record}
        self._waiting.put(row)

    def find(self, trace: str) -> list[dict[str, Any]]:
        """All records under one trace id, oldest first."""
        query = sa.select(tables.trace.c.at, tables.trace.c.record).where(tables.trace.c.id == trace)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(tables.trace.c.number)).all()
        return [{"at": row.at, **json.loads(row.record)} for row in rows]

    def prune(self, before: datetime) -> int:
        """Remove traces older than `before` (aware); returns how many."""
        limit = before.astimezone(UTC).isoformat(timespec="milliseconds")
        with writing(self._engine) as connection:
            return int(connection.execute(sa.delete(tables.trace).where(tables.trace.c.at < limit)).rowcount)

    def close(self) -> None:
        """Write what is waiting."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set() or not self._waiting.empty():
            # A pause gathers several into one commit.
            self._stop.wait(_PAUSE_SECONDS)
            rows: list[dict[str, Any]] = []
            while len(rows) < _BATCH:
                try:
                    row = self._waiting.get_nowait()
                except queue.Empty:
                    break
                rows.append({**row, "record": _write(row["record"])})
            if rows:
                self._write(rows)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        try:
            with writing(self._engine) as connection:
                _INSERT.many(connection, rows)
        except Unavailable as error:
            log.warning("%d traces are lost: %s", len(rows), error)
        except Exception:
            if len(rows) == 1:
                log.exception("a trace is lost")
                return
            # One that cannot be stored must not take the others with it.
            for row in rows:
                self._write([row])
