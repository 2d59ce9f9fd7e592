"""Chains for records that share somebody else's transaction.

A record's place in its chain is settled only when its transaction ends, so each transaction that is open at the same
time has a chain of its own (a lane), taken from a stack and put back afterwards. Nobody waits for anybody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext, Transaction

from xdsi.storage.audit_chain import Head, extend


class _Lease:
    """One lane while a transaction holds it."""

    def __init__(self, start: Head) -> None:
        self.start = start
        self.head = start
        self.savepoints: list[Head] = []
        self.committed = False
        self.rolled_back = False
        self.doubtful = False

    def settled(self) -> Head | None:
        """Where the lane ends after the transaction; None when nobody knows whether it was committed."""
        if self.doubtful or self.committed is self.rolled_back:
            return None
        return self.head if self.committed else self.start


class Lanes:
    """The lanes of one process; watches the engine's transactions end."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._lock = threading.Lock()
        self._made = 0
        self._free: list[Head] = []
        self._leases: dict[Transaction, _Lease] = {}
        self._listeners: list[tuple[str, Callable[..., Any]]] = [
            ("commit", self._on_commit),
            ("rollback", self._on_rollback),
            ("savepoint", self._on_savepoint),
            ("release_savepoint", self._on_release_savepoint),
            ("rollback_savepoint", self._on_rollback_savepoint),
            ("handle_error", self._on_error),
        ]
        for happening, listener in self._listeners:
            event.listen(engine, happening, listener)

    def close(self) -> None:
        """Stop watching."""
        while self._listeners:
            event.remove(self._engine, *self._listeners.pop())

    def append(self, connection: Connection, contents: Iterable[Mapping[str, Any]]) -> None:
        """Insert contents in the open transaction of a connection."""
        transaction = connection.get_transaction()
        if transaction is None:
            raise ValueError("an audit record that shares a transaction needs one that is open")
        with self._lock:
            lease = self._leases.get(transaction)
            if lease is None:
                self._reclaim()
                lease = self._leases[transaction] = _Lease(self._take())
        lease.head = extend(connection, lease.head, contents)

    def _take(self) -> Head:
        if self._free:
            return self._free.pop()
        self._made += 1
        return Head(f"{self._name}/{self._made}")

    def _reclaim(self) -> None:
        for transaction, lease in list(self._leases.items()):
            if not transaction.is_active:
                del self._leases[transaction]
                head = lease.settled()
                # A lane in doubt is left alone for ever; the next transaction begins another.
                if head is not None:
                    self._free.append(head)

    def _lease(self, connection: Connection | None) -> _Lease | None:
        transaction = connection.get_transaction() if connection is not None else None
        return self._leases.get(transaction) if transaction is not None else None

    def _on_commit(self, connection: Connection) -> None:
        if lease := self._lease(connection):
            lease.committed = True

    def _on_rollback(self, connection: Connection) -> None:
        if lease := self._lease(connection):
            lease.rolled_back = True

    def _on_savepoint(self, connection: Connection, name: str | None) -> None:
        if lease := self._lease(connection):
            lease.savepoints.append(lease.head)

    def _on_release_savepoint(self, connection: Connection, name: str, context: object) -> None:
        if (lease := self._lease(connection)) and lease.savepoints:
            lease.savepoints.pop()

    def _on_rollback_savepoint(self, connection: Connection, name: str, context: object) -> None:
        if lease := self._lease(connection):
            # A savepoint older than the lease takes back everything the lease wrote.
            lease.head = lease.savepoints.pop() if lease.savepoints else lease.start

    def _on_error(self, context: ExceptionContext) -> None:
        if lease := self._lease(context.connection):
            lease.doubtful = lease.doubtful or lease.committed
