"""Processes that write in one SQLite database take turns in the order they came.

SQLite alone lets a writer that finds another one at work sleep and try again: who writes without a pause leaves nothing
to the others, who give up after seconds. Whether there is one writer does not rest on this, but on SQLite's own lock.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import ClassVar

from xdsi.domain.errors import Unavailable
from xdsi.storage.files import disk

PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.001


class Turns:
    """The turns at one database; in a process one thread at a time takes one."""

    def __init__(self, database: Path) -> None:
        self._turn = database.with_name(database.name + "-turn")
        self._next = database.with_name(database.name + "-next")
        self._kept: tuple[_LockFile, _LockFile] | None = None
        self._held: _LockFile | None = None

    def take(self) -> None:
        """Wait until nobody else writes; Unavailable where that takes too long.

        A process that ends, in whatever way, gives its turn back.
        """
        # Who waits for the turn is the next one, and others, he who had it included, wait to be the next.
        until = time.monotonic() + PATIENCE_SECONDS
        following, turn = self._files()
        following.lock(until)
        try:
            turn.lock(until)
        finally:
            following.unlock()
        self._held = turn

    def give(self) -> None:
        """Let the next one write."""
        held, self._held = self._held, None
        if held is not None:
            held.unlock()

    def release(self) -> None:
        """Close the files when nobody writes; who takes a turn afterwards opens them again."""
        self._kept = None

    def _files(self) -> tuple[_LockFile, _LockFile]:
        """Next and turn, which are kept open: to open and to close both took longer than to lock them."""
        kept = self._kept
        if kept is None or kept[0].process != os.getpid():
            kept = self._kept = _LockFile(self._next), _LockFile(self._turn)
        return kept


class _LockFile:
    """A file that is locked while it is open, by one thread of one process; closed when nobody refers to it.

    The lock is of the open file: a process that is a copy of this one has to open it again, and keeps what this one has
    locked at that moment should this one be killed. So nobody forks here after writing but to start another program.
    """

    __slots__ = ("_descriptor", "process")
    _close: ClassVar = staticmethod(os.close)
    """at the end of a process modules may be gone before this is"""

    def __init__(self, path: Path) -> None:
        self.process = os.getpid()
        self._descriptor = -1
        with disk(f"the lock file {path.name}"):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            self._close(self._descriptor)

    def lock(self, until: float) -> None:
        """Wait for it until then; Unavailable where others have it still."""
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Unavailable("the database is locked: another process is writing") from None
            else:
                return
            # There is no flock with a time limit.
            time.sleep(_PAUSE_SECONDS)

    def unlock(self) -> None:
        """Let others have it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
