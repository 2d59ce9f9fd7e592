"""What messages were answered, for ten minutes: a message that is sent again gets the same answer, from any worker.

The answer of a transaction that writes is kept in the same unit of work as what it wrote.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.engine import Connection, Engine

from xdsi.domain.repetition import FirstAnswer, Sending
from xdsi.storage import driver
from xdsi.storage.database import glancing, writing
from xdsi.storage.files import one_of
from xdsi.storage.prepared import Prepared, PreparedInsert
from xdsi.storage.tables import answered_message as t

LASTING_SECONDS: Final = 600
_PRUNE_SECONDS: Final = 60
_FIND = Prepared(select(t.c.answer, t.c.trace).where(
    t.c.sender == bindparam("sender"),
    t.c.message_id == bindparam("message_id"),
    t.c.digest == bindparam("digest"),
    t.c.at >= bindparam("since"),
))  # fmt: skip


_KEEP = PreparedInsert(t, t.c.keys(), replacing=("at", "answer", "trace"))
_LOCK = "SELECT pg_advisory_xact_lock(%(key)s)"


class SqlFirstAnswers:
    """The table `answered_message`; implements the port FirstAnswers."""

    def __init__(
        self, engine: Engine, *, clock: Callable[[], float] = time.time, in_flight: Path | None = None
    ) -> None:
        """`in_flight` is the file of the locks by which `alone` keeps processes apart."""
        self._in_flight = in_flight
        self._engine = engine
        self._clock = clock
        self._pruned = 0.0

    def recall(self, sending: Sending, session: Any) -> FirstAnswer | None:
        """The answer given before, or None; in a unit of work nobody else handles the same message until its end."""
        with _of(session) or glancing(self._engine) as connection:
            if session is not None and connection.dialect.name == "postgresql":
                # On SQLite a unit of work has the database for itself.
                driver.execute_each(connection, _LOCK, [{"key": _number(sending)}])
            since = int(self._clock()) - LASTING_SECONDS
            row = _FIND.first(connection, {**_key(sending), "since": since})
        return FirstAnswer(bytes(row.answer), row.trace) if row is not None else None

    def alone(self, sending: Sending) -> AbstractContextManager[None]:
        """Nobody else of this machine is in such a block with the same message."""
        return one_of(self._in_flight, _number(sending)) if self._in_flight is not None else nullcontext()

    def keep(self, sending: Sending, answer: FirstAnswer, session: Any) -> None:
        """Remember an answer; in a unit of work it lasts if that does."""
        now = self._clock()
        row = {**_key(sending), "at": int(now), "answer": answer.body, "trace": answer.trace}
        with _of(session) or writing(self._engine) as connection:
            if now - self._pruned > _PRUNE_SECONDS:
                self._pruned = now
                connection.execute(delete(t).where(t.c.at < int(now) - LASTING_SECONDS))
            _KEEP.many(connection, [row])


def _of(session: Any) -> AbstractContextManager[Connection] | None:
    """The connection of a unit of work, which ends elsewhere."""
    return nullcontext(session.connection) if session is not None else None


def _key(sending: Sending) -> dict[str, str]:
    return {"sender": sending.sender, "message_id": sending.message_id, "digest": sending.digest}


def _number(sending: Sending) -> int:
    """The same message, the same lock."""
    name = f"{sending.sender}\n{sending.message_id}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)
