"""Sending a document to S3 in parts while it still arrives.

The bytes lie in a file of the spool. Whenever another part of it is whole, a few threads that all uploads share send it
from there: nothing is held in memory, and little is left to send when the last byte has come.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from xdsi.domain.errors import Unavailable
from xdsi.storage.s3_bucket import Bucket, Window

log = logging.getLogger("xdsi.documents")

PART: Final = 8 * 1024 * 1024
THREADS: Final = 4
"""that send parts, for all uploads of a process together"""
_MOST_PARTS: Final = 10_000


class Upload:
    """One object on its way; nothing is asked of S3 before the first part is whole.

    `begin` is told when the upload begins, and returns the key of the object.
    """

    def __init__(self, bucket: Bucket, pool: ThreadPoolExecutor, path: Path, begin: Callable[[], str]) -> None:
        self._bucket = bucket
        self._pool = pool
        self._path = path
        self._begin = begin
        self._parts: list[Future[str]] = []
        self._began: Future[tuple[str, str]] | None = None
        self._sent = 0
        self._ended = False

    @property
    def begun(self) -> bool:
        """True once a part is on its way."""
        return self._began is not None

    def grew(self, size: int) -> None:
        """The file now has so many bytes."""
        while size - self._sent >= PART:
            self._send(PART)

    def complete(self, size: int) -> None:
        """The file is whole: return when the object is durable; raises Unavailable, and leaves nothing behind."""
        try:
            self.grew(size)
            if size > self._sent or not self._parts:
                self._send(size - self._sent)
            tags = {number: part.result() for number, part in enumerate(self._parts, start=1)}
            assert self._began is not None
            key, upload = self._began.result()
            self._bucket.complete(key, upload, tags)
            self._ended = True
        except KeyError as error:
            raise Unavailable("document store: the upload was ended by somebody else") from error
        finally:
            self.abort()

    def abort(self) -> None:
        """Nobody wants the object: leave nothing of it, at once where S3 answers, else when it is collected."""
        if self._ended or self._began is None:
            return
        self._ended = True
        for part in self._parts:
            part.cancel()
        for part in self._parts:
            if not part.cancelled():
                with suppress(Exception):
                    part.result()
        try:
            key, upload = self._began.result()
            self._bucket.abort(key, upload)
        except Exception as error:
            log.info("an upload that was given up could not be removed: %s", error)

    def _send(self, size: int) -> None:
        if self._began is None:
            self._began = self._pool.submit(self._start)
        number, start = len(self._parts) + 1, self._sent
        if number > _MOST_PARTS:
            raise Unavailable(f"document store: at most {_MOST_PARTS * PART} bytes can be sent to S3")
        self._parts.append(self._pool.submit(self._part, self._began, number, start, size))
        self._sent += size

    def _start(self) -> tuple[str, str]:
        key = self._begin()
        return key, self._bucket.begin(key)

    def _part(self, began: Future[tuple[str, str]], number: int, start: int, size: int) -> str:
        # Submitted after the beginning, which therefore has a thread already.
        key, upload = began.result()
        with Window(self._path, start, size) as body:
            return self._bucket.send(key, upload, number, body, size)
