"""One publisher at a time for each study: a command beside a server that publishes by itself does not do it twice.

By a lock in a file of the data folder, and by the database too where servers share one. Both end with their process.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from xdsi.domain.errors import Unavailable
from xdsi.storage.files import one_of

_KEY = 7832736
"""first half of the advisory locks: they are not those of `SolePublisher` and the migrations, which have one number"""
_PAUSE = 0.05


class StudyLocks:
    """Locks of studies. Threads may share it; who holds one must not ask for another."""

    def __init__(
        self, engine: Engine, file: Path, *, patience: float = 300.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._file = file
        self._patience = patience
        self._monotonic = monotonic

    @contextmanager
    def __call__(self, study_instance_uid: str) -> Iterator[None]:
        """Nobody else publishes or withdraws the study meanwhile; Unavailable where another server takes too long."""
        digest = hashlib.sha256(study_instance_uid.encode()).digest()
        number = int.from_bytes(digest[:4], "big", signed=True)
        with ExitStack() as stack:
            stack.enter_context(one_of(self._file, number))
            if self._engine.dialect.name == "postgresql":
                stack.enter_context(self._session(number))
            yield

    @contextmanager
    def _session(self, number: int) -> Iterator[None]:
        keys = {"one": _KEY, "two": number}
        with ExitStack() as stack:

            def held() -> bool:
                try:
                    session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                    query = sa.text("SELECT pg_try_advisory_lock(:one, :two)")
                    if not session.execute(query, keys).scalar_one():
                        # Who waits keeps no connection from those who work.
                        session.close()
                        return False
                except sa.exc.DBAPIError as error:
                    raise Unavailable(f"it cannot be asked who publishes: {error.orig}") from error

                def release() -> None:
                    with suppress(sa.exc.SQLAlchemyError):
                        session.execute(sa.text("SELECT pg_advisory_unlock(:one, :two)"), keys)
                    # Not back to the pool: the lock must end with it.
                    with suppress(sa.exc.SQLAlchemyError):
                        session.invalidate()
                    with suppress(sa.exc.SQLAlchemyError):
                        session.close()

                stack.callback(release)
                return True

            until = self._monotonic() + self._patience
            while not held():
                if self._monotonic() > until:
                    raise Unavailable("another server publishes this study")
                time.sleep(_PAUSE)
            yield
