"""Connections that read, kept for the next who does: to take one from the pool of SQLAlchemy and to give it back costs
several times as much as a small question to SQLite.
"""

from __future__ import annotations

import threading

from sqlalchemy.engine import Connection, Engine


class Readers:
    """Those of one engine; no more than `most` are kept, and who finds none takes one from the pool."""

    def __init__(self, engine: Engine, most: int) -> None:
        self._engine = engine
        self._most = most
        self._lock = threading.Lock()
        self._free: list[Connection] = []
        self.times_released = 0

    def take(self) -> Connection:
        """A connection without a transaction; what the pool raises that has none."""
        with self._lock:
            if self._free:
                # The one used last: what it has read is still in its cache.
                return self._free.pop()
        return self._engine.connect()

    def give(self, connection: Connection, times_released: int) -> None:
        """End its transaction and keep it for the next, unless the engine was given up since it was taken."""
        transaction = connection.get_transaction()
        if transaction is not None:
            try:
                transaction.rollback()
            except BaseException:
                connection.close()
                raise
        with self._lock:
            if times_released == self.times_released and len(self._free) < self._most:
                self._free.append(connection)
                return
        connection.close()

    def release(self) -> None:
        """Close what is kept: the engine is given up."""
        with self._lock:
            free, self._free = self._free, []
            self.times_released += 1
        for connection in free:
            # Its pool is given up before this is told: what went back to it would stay open.
            connection.detach()
            connection.close()
