"""A folder of passing files that belongs to one process; what processes that were killed left behind is swept."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from xdsi.storage.files import locked

_OF_ALL = "lock"


class OwnFolder:
    """A new folder in `folder`, in use until `close` or the end of the process, its forked children included."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(folder / _OF_ALL):
            for lock in folder.glob("*.lock"):
                _sweep(lock)
            for stray in folder.iterdir():
                # Of versions that had no folder for each process.
                if stray.is_file() and stray.suffix != ".lock" and stray.name != _OF_ALL:
                    stray.unlink(missing_ok=True)
            name = secrets.token_hex(8)
            # Held as long as the process lives: says that the folder is in use.
            self._lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self.path = folder / name
            self.path.mkdir(mode=0o700)

    def close(self) -> None:
        """Remove it."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.with_name(self.path.name + ".lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1


def _sweep(lock: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(lock, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()
        finally:
            os.close(descriptor)
