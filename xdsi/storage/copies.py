"""Copies of small documents that lie in other repositories, as files named by what they are copies of."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

from xdsi.storage.files import create, disk, flush, make_folder, write_all


class DocumentCopyFolder:
    """A folder of copies; one that is there is whole. Processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, repository_unique_id: str, unique_id: str) -> bytes | None:
        """The bytes of a copy; None where there is none."""
        try:
            return self._path(repository_unique_id, unique_id).read_bytes()
        except FileNotFoundError:
            return None

    def keep(self, repository_unique_id: str, unique_id: str, raw: bytes) -> None:
        """Keep a copy; the first one stays. Raises Unavailable where the disk refuses."""
        path = self._path(repository_unique_id, unique_id)
        with disk("a copy cannot be kept"):
            make_folder(self._folder)
            if path.exists():
                return
            beside = path.with_suffix(f".{uuid.uuid4().hex}")
            try:
                with create(beside) as file:
                    write_all(file, raw)
                    os.fsync(file.fileno())
                beside.rename(path)
            finally:
                beside.unlink(missing_ok=True)
            flush(self._folder)

    def _path(self, repository_unique_id: str, unique_id: str) -> Path:
        # Never a name from a message.
        return self._folder / hashlib.sha256(f"{repository_unique_id}\n{unique_id}".encode()).hexdigest()
