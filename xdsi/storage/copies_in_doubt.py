"""The journal of a store that has none of its own: copies that were begun and are not confirmed, or are superseded.

What a crash leaves in the store is found by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.engine import Engine

from xdsi.storage.database import reading, writing
from xdsi.storage.tables import copy_in_doubt as t

_BY_HASH = delete(t).where(t.c.sha256 == bindparam("hash"), t.c.store == bindparam("store"), t.c.superseded.is_(False))
_BY_COPY = delete(t).where(t.c.copy == bindparam("id"))


@dataclass(frozen=True, slots=True)
class Doubted:
    """One copy; `sha256` is empty while it arrives."""

    copy: str
    sha256: str
    superseded: bool


class CopiesInDoubt:
    """The rows of one store in the table `copy_in_doubt`; every call is its own transaction, durable on return."""

    def __init__(self, engine: Engine, store: str, *, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock

    def add(self, copy: str, sha256: str = "") -> None:
        """A copy will be made."""
        row = {"copy": copy, "sha256": sha256, "since": self._clock(), "superseded": False, "store": self._store}
        with writing(self._engine) as connection:
            connection.execute(insert(t).values(row))

    def arrived(self, copy: str, sha256: str) -> None:
        """The hash of a copy is known."""
        with writing(self._engine) as connection:
            connection.execute(update(t).where(t.c.copy == copy).values(sha256=sha256, since=self._clock()))

    def renew(self, copy: str) -> None:
        """A copy is still being made: its time begins anew."""
        with writing(self._engine) as connection:
            connection.execute(update(t).where(t.c.copy == copy).values(since=self._clock()))

    def doubt(self, copy: str, sha256: str, *, superseded: bool) -> None:
        """A copy that was confirmed is perhaps nobody's any more, or a fresh one has taken its place."""
        row = {"copy": copy, "sha256": sha256, "since": self._clock(), "superseded": superseded, "store": self._store}
        with writing(self._engine) as connection:
            present = connection.execute(select(t.c.superseded).where(t.c.copy == copy)).scalar()
            if present and not superseded:
                return  # it goes in any case
            connection.execute(_BY_COPY, {"id": copy})
            connection.execute(insert(t).values(row))

    def confirm(self, sha256: str) -> None:
        """The copies with this hash that still count are somebody's."""
        with writing(self._engine) as connection:
            connection.execute(_BY_HASH, {"hash": sha256, "store": self._store})

    def remove(self, copy: str) -> None:
        """A copy is gone, or no longer in doubt."""
        with writing(self._engine) as connection:
            connection.execute(_BY_COPY, {"id": copy})

    def older(self, seconds: float) -> list[Doubted]:
        """What has been in doubt for so long."""
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(t).where(t.c.store == self._store, t.c.since <= self._clock() - seconds)
            ).all()
        return [Doubted(row.copy, row.sha256, row.superseded) for row in rows]

    def all(self) -> frozenset[str]:
        """Every copy in doubt."""
        with reading(self._engine) as connection:
            return frozenset(connection.execute(select(t.c.copy).where(t.c.store == self._store)).scalars())
