"""One server for one SQLite database: its workers share it, a second server beside them is refused.

Commands may use the database of a running server; SQLite's own locks are enough for those.
"""

from __future__ import annotations

import fcntl
import os

from xdsi.app.storage import database_file
from xdsi.domain.errors import ConfigurationError
from xdsi.settings import Settings


class Claim:
    """Held by the process that made it, until it ends in whatever way."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def leave_to_parent(self) -> None:
        """In a worker after the fork: the parent alone holds on, so that an orphan keeps nobody out."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def claim(settings: Settings) -> Claim:
    """Be the one server of the settings' database; raises ConfigurationError where there is one already.

    Servers may share a PostgreSQL database.
    """
    file = database_file(settings)
    if file is None:
        return Claim(None)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ConfigurationError(
            f"another server keeps its data in {file.parent}; valid: a folder of its own (server.data_dir, --data), or "
            "one server with more workers (server.workers)"
        ) from None
    return Claim(lock)
