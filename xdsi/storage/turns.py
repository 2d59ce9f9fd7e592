"""Processes that write in one SQLite database take turns in the order they came.

SQLite alone lets a writer that finds another one at work sleep and try again: who writes without a pause leaves nothing
to the others, who give up after seconds. Whether there is one writer does not rest on this, but on SQLite's own lock.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from xdsi.domain.errors import Unavailable
from xdsi.storage.files import disk

PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.001


class Turns:
    """The turns at one database; in a process one thread at a time takes one."""

    def __init__(self, database: Path) -> None:
        self._turn = database.with_name(database.name + "-turn")
        self._next = database.with_name(database.name + "-next")
        self._held: int | None = None

    def take(self) -> None:
        """Wait until nobody else writes; Unavailable where that takes too long.

        A process that ends, in whatever way, gives its turn back.
        """
        # Who waits for the turn is the next one, and others, he who had it included, wait to be the next.
        until = time.monotonic() + PATIENCE_SECONDS
        following = _locked(self._next, until)
        try:
            self._held = _locked(self._turn, until)
        finally:
            os.close(following)

    def give(self) -> None:
        """Let the next one write."""
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _locked(path: Path, until: float) -> int:
    with disk(f"the lock file {path.name}"):
        # Of the open file, so that a fork before has no part in it; ends when it is closed.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Unavailable("the database is locked: another process is writing") from None
            else:
                return descriptor
            # There is no flock with a time limit.
            time.sleep(_PAUSE_SECONDS)
    except BaseException:
        os.close(descriptor)
        raise
