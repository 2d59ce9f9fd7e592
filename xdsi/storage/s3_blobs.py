"""Documents in an S3 bucket, found by the SHA-256 of their bytes; implements the ports BlobStore and Blob.

blobs/ab/cd/abcd.../COPY         the bytes of a small document
blobs/ab/cd/abcd.../COPY.large   says that the bytes are in large/COPY: an upload begins before the hash is known
blobs/ab/cd/abcd.../COPY.rotten  says that this copy is not served

COPY is new each time and greater than those before. So two that put the same bytes never touch the same object, and
who removes a copy removes no other; the greatest that is not rotten is read. Copies that are not confirmed, or that a
fresh one superseded, are listed in the database and removed when their time has come.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from sqlalchemy.engine import Engine

from xdsi.domain.errors import IntegrityLost
from xdsi.domain.submission import Document
from xdsi.storage.copies_in_doubt import CopiesInDoubt
from xdsi.storage.s3_bucket import Bucket, Listed, S3Location, Window
from xdsi.storage.s3_upload import PART, THREADS, Upload
from xdsi.storage.spool import SpooledDocument

_LARGE: Final = ".large"
_ROTTEN: Final = ".rotten"


@dataclass(frozen=True, slots=True)
class S3Blob:
    """One copy as it was found."""

    bucket: Bucket
    name: str
    copy: str
    found: Listed

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.found.size

    @property
    def state(self) -> str:
        """Size, tag and time of the object, and which copy it is."""
        return f"{self.found.state}:{self.copy}"

    def open(self, start: int = 0) -> Iterator[bytes]:
        """Its bytes from an offset on."""
        return self.bucket.open(self.found.key, start)

    def set_aside(self) -> bool:
        """Serve this copy no longer; its bytes stay for whoever wants to look at them."""
        now = self.bucket.find(self.found.key)
        if now is None or now.state != self.found.state:
            return False
        self.bucket.put(f"{_folder(self.name)}{self.copy}{_ROTTEN}", b"")
        return True


class S3Blobs:
    """The objects under a prefix of a bucket; what is in doubt is listed in a database."""

    def __init__(self, location: S3Location, engine: Engine, *, clock: Callable[[], float] = time.time) -> None:
        self._bucket = Bucket(location)
        self._doubts = CopiesInDoubt(engine, clock=clock)

    def put(self, document: Document) -> str:
        """Make bytes durable under their hash and return it; they stay in doubt until confirmed."""
        part = document.part if isinstance(document, SpooledDocument) else None
        upload = part.follower if part is not None else None
        if isinstance(upload, Following) and upload.begun and upload.store is self:
            upload.complete(document.size)
            copy, sha256 = upload.copy, document.sha256
            self._refer(copy, sha256)
        else:
            copy, sha256 = self._copy(document)
        for one in self._copies(sha256):
            # Only older ones: of two that are made at the same time one stays.
            if one.copy < copy:
                self._doubts.doubt(one.copy, sha256, superseded=True)
        return sha256

    def follow(self, path: Path) -> Following:
        """Send what grows in a file, if it becomes large."""
        return Following(self, path)

    def find(self, sha256: str) -> S3Blob | None:
        """The newest copy that is whole as far as is known, or None."""
        return max(self._copies(sha256), key=lambda one: one.copy, default=None)

    def confirm(self, sha256: str) -> None:
        """Somebody's now: no longer in doubt."""
        self._doubts.confirm(sha256)

    def doubt(self, sha256: str) -> None:
        """Perhaps nobody's any more; durable on return."""
        for one in self._copies(sha256):
            self._doubts.doubt(one.copy, sha256, superseded=False)

    def collect(self, is_used: Callable[[str], bool], *, grace: float) -> Sequence[str]:
        """Remove what has been in doubt for `grace` seconds and is not used; returns the hashes removed."""
        removed = []
        for one in self._doubts.older(grace):
            keep = one.sha256 and is_used(one.sha256)
            if keep and one.superseded:
                # The one that took its place may have rotted since.
                keep = not any(other.copy > one.copy for other in self._copies(one.sha256))
            if not keep:
                self._remove(one.copy, one.sha256)
            self._doubts.remove(one.copy)
            if one.sha256 and not keep and not one.superseded:
                removed.append(one.sha256)
        return removed

    def close(self) -> None:
        """End the threads that send."""
        if "pool" in self.__dict__:
            self.pool.shutdown()

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """The threads that send."""
        return ThreadPoolExecutor(THREADS, thread_name_prefix="s3-upload")

    @property
    def bucket(self) -> Bucket:
        """Where the objects are."""
        return self._bucket

    def begin_copy(self) -> str:
        """Note that a copy of unknown bytes will be made; returns what it is called."""
        copy = f"{time.time_ns():016x}{secrets.token_hex(8)}"
        self._doubts.add(copy)
        return copy

    def _copies(self, sha256: str) -> list[S3Blob]:
        folder = _folder(sha256)
        found = {one.key.removeprefix(folder): one for one in self._bucket.under(folder)}
        copies = []
        for name, one in found.items():
            copy, _, kind = name.partition(".")
            if kind == "rotten" or copy + _ROTTEN in found:
                continue
            large = self._bucket.find(f"large/{copy}") if kind == "large" else one
            if large is not None:
                copies.append(S3Blob(self._bucket, sha256, copy, large))
        return copies

    def _copy(self, document: Document) -> tuple[str, str]:
        """Send bytes that are not on their way yet; a part of them is in memory, no more."""
        spooled = document.part.path if isinstance(document, SpooledDocument) and document.part is not None else None
        if spooled is not None and document.size <= PART:
            return self._send_file(spooled, document), document.sha256
        chunks, first = document.open(), bytearray()
        for chunk in chunks:
            first += chunk
            if len(first) > PART:
                return self._send(document, first, chunks)
        sha256 = _verified(document, hashlib.sha256(first).hexdigest(), len(first))
        copy = self.begin_copy()
        self._doubts.arrived(copy, sha256)
        self._bucket.put(f"{_folder(sha256)}{copy}", bytes(first))
        return copy, sha256

    def _send_file(self, path: Path, document: Document) -> str:
        copy = self.begin_copy()
        self._doubts.arrived(copy, document.sha256)
        with Window(path, 0, document.size) as body:
            self._bucket.put(f"{_folder(document.sha256)}{copy}", body)
        return copy

    def _send(self, document: Document, pending: bytearray, chunks: Iterator[bytes]) -> tuple[str, str]:
        found, size, tags = hashlib.sha256(pending), len(pending), dict[int, str]()
        copy = self.begin_copy()
        key = f"large/{copy}"
        upload = self._bucket.begin(key)
        try:
            while pending:
                while len(pending) < PART and (chunk := next(chunks, b"")):
                    found.update(chunk)
                    size += len(chunk)
                    pending += chunk
                number, body = len(tags) + 1, bytes(pending[:PART])
                del pending[:PART]
                tags[number] = self._bucket.send(key, upload, number, body, len(body))
            sha256 = _verified(document, found.hexdigest(), size)
            self._bucket.complete(key, upload, tags)
        except BaseException:
            self._bucket.abort(key, upload)
            raise
        self._refer(copy, sha256)
        return copy, sha256

    def _refer(self, copy: str, sha256: str) -> None:
        self._doubts.arrived(copy, sha256)
        self._bucket.put(f"{_folder(sha256)}{copy}{_LARGE}", b"")

    def _remove(self, copy: str, sha256: str) -> None:
        large = f"large/{copy}"
        for upload in self._bucket.uploads(large):
            self._bucket.abort(large, upload)
        if sha256:
            # The bytes last: without them the rest would say that they are missing.
            for kind in (_LARGE, "", _ROTTEN):
                self._bucket.delete(f"{_folder(sha256)}{copy}{kind}")
        self._bucket.delete(large)


class Following(Upload):
    """A document that is sent while it arrives."""

    def __init__(self, store: S3Blobs, path: Path) -> None:
        super().__init__(store.bucket, store.pool, path, self._called)
        self.store = store
        self.copy = ""

    def _called(self) -> str:
        self.copy = self.store.begin_copy()
        return f"large/{self.copy}"


def _folder(name: str) -> str:
    if len(name) != 64 or name.strip("0123456789abcdef"):
        raise ValueError("not a SHA-256")
    return f"blobs/{name[:2]}/{name[2:4]}/{name}/"


def _verified(document: Document, sha256: str, size: int) -> str:
    if size != document.size or document.sha256 not in ("", sha256):
        raise IntegrityLost("a document changed between its arrival and its storing")
    return sha256
