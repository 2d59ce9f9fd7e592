"""Where the parts of a request wait: small ones in memory, others in private files that vanish with the request.

Bytes are hashed and counted while they arrive, so that nobody reads them again to know what they are. What a killed
process leaves behind is removed when the next one starts.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from blake3 import blake3

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.submission import Document
from xdsi.storage.files import chunks_of, create, disk, write_all
from xdsi.storage.forms import PLAIN, Form, Writer
from xdsi.storage.own_folder import OwnFolder

IN_MEMORY: Final = 64 * 1024
_LARGE: Final = 128 * 1024
"""pieces from here on are worth a second thread"""
_STRETCH: Final = 8 * 1024 * 1024
"""how much of a file is written before the disk is told to begin with it"""


class Follower(Protocol):
    """Takes the bytes of a part from its file while they arrive."""

    def grew(self, size: int) -> None:
        """The file has so many bytes; the same again where only others of the message have grown."""

    def abort(self) -> None:
        """The file goes; what nobody asked for is forgotten."""


Follow = Callable[[Path], Follower]


@dataclass(frozen=True, slots=True)
class SpooledDocument(Document):
    """A document that lies in a spool; `part` lets a store take its file over instead of copying it."""

    part: Part | None = None


class Part:
    """One incoming part; implements the port SpoolPart."""

    def __init__(
        self,
        folder: Path,
        *,
        limit: int | None,
        in_memory: int,
        follow: Follow | None = None,
        form: Form = PLAIN,
        hashing: Executor | None = None,
        beside: Sequence[Part] = (),
    ) -> None:
        self._folder = folder
        self._limit = limit
        self._in_memory = in_memory
        self._follow = follow
        self._hashing = hashing
        self._beside = beside
        self.form = form
        """how its file is written"""
        self._writer: Writer | None = None
        self._pieces: list[bytes] = []
        self._file: BinaryIO | None = None
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._blake3 = blake3()
        self._own = False
        self.follower: Follower | None = None
        """who takes the bytes from the file while they arrive"""
        self.path: Path | None = None
        """the file with the bytes, None while they are in memory"""
        self.size = 0
        self.stored = 0
        """how many bytes the file has"""
        self._begun = 0
        """how many of them the disk was told to begin with"""

    def write(self, data: bytes) -> None:
        """Take the next bytes; raises MalformedMessage beyond the limit, OutOfRoom when the disk is full."""
        self.size += len(data)
        if self._limit is not None and self.size > self._limit:
            raise MalformedMessage("an attached part is too large", expected=f"at most {self._limit} bytes")
        if self._hashing is None or len(data) < _LARGE:
            self._hash(data)
            self._sha256.update(data)
            self._keep(data)
            return
        # SHA-1 and BLAKE3 on another processor where there is one; all has been looked at when this is left.
        beside = self._hashing.submit(self._hash, data)
        try:
            self._sha256.update(data)
            self._keep(data)
        finally:
            beside.result()

    def _hash(self, data: bytes) -> None:
        self._sha1.update(data)
        self._blake3.update(data)

    def _keep(self, data: bytes) -> None:
        if self._file is None and self.size <= self._in_memory:
            self._pieces.append(bytes(data))
            if self._follow is not None:
                # Nobody follows what is small: those of larger parts learn that the message still comes.
                for one in self._beside:
                    if one.follower is not None:
                        one.follower.grew(one.stored)
            return
        with disk("spool"):
            if self._file is None:
                self.path = self._folder / secrets.token_hex(16)
                self._file = create(self.path)
                self._own = True
                seen = b"".join((*self._pieces, data))
                self._writer = self.form.begin(seen)
                self._pieces.clear()
                if self._follow is not None:
                    self.follower = self._follow(self.path)
                data = seen
            self._store(self._writer.add(data) if self._writer else data)

    def _store(self, data: bytes) -> None:
        assert self._file is not None
        write_all(self._file, data)
        self.stored += len(data)
        if self.follower is not None:
            self.follower.grew(self.stored)
        elif self.stored - self._begun >= _STRETCH:
            # So that little is left to flush at the end: Linux begins to write dirty pages that are not needed.
            os.posix_fadvise(self._file.fileno(), self._begun, self.stored - self._begun, os.POSIX_FADV_DONTNEED)
            self._begun = self.stored

    def finish(self) -> Document:
        """No more bytes: where they lie, with size and hashes."""
        if self._file is not None:
            if self._writer is not None:
                with disk("spool"):
                    self._store(self._writer.end(self._sha256.hexdigest(), self.size))
            self._file.close()
        elif self._pieces:
            self._pieces = [b"".join(self._pieces)]
        return SpooledDocument(
            open=self._open,
            size=self.size,
            sha1=self._sha1.hexdigest(),
            sha256=self._sha256.hexdigest(),
            blake3=self._blake3.hexdigest(),
            part=self,
        )

    def moved(self, path: Path) -> None:
        """Somebody took the file over; it is read from its new place and no longer removed."""
        self.path = path
        self._own = False

    def close(self) -> None:
        """Remove the bytes unless somebody took them over."""
        self._pieces.clear()
        if self.follower is not None:
            self.follower.abort()
        if self._file is not None:
            self._file.close()
        if self._own and self.path is not None:
            self.path.unlink(missing_ok=True)
        self._own = False

    def _open(self) -> Iterator[bytes]:
        if self.path is None:
            return iter(tuple(self._pieces))
        path = self.path
        if self._writer is None:
            return chunks_of(path)
        return self.form.read(lambda start: chunks_of(path, start), self.stored)


class RequestSpool:
    """The parts of one request; implements the port Spool."""

    def __init__(
        self,
        folder: Path,
        *,
        limit: int | None,
        in_memory: int,
        follow: Follow | None = None,
        form: Form = PLAIN,
        hashing: Executor | None = None,
    ) -> None:
        self._folder = folder
        self._limit = limit
        self._in_memory = in_memory
        self._follow = follow
        self._form = form
        self._hashing = hashing
        self._parts: list[Part] = []

    def part(self) -> Part:
        """Begin a part."""
        part = Part(
            self._folder,
            limit=self._limit,
            in_memory=self._in_memory,
            follow=self._follow,
            form=self._form,
            hashing=self._hashing,
            beside=self._parts,
        )
        self._parts.append(part)
        return part

    def close(self) -> None:
        """Remove whatever nobody took over."""
        while self._parts:
            self._parts.pop().close()

    def __enter__(self) -> RequestSpool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class SpoolFolder:
    """Gives each request a spool in a folder that belongs to this process; `limit` is for each part."""

    def __init__(self, folder: Path, *, limit: int | None = None, in_memory: int = IN_MEMORY) -> None:
        self._limit = limit
        self._in_memory = in_memory
        self._hashing = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="hashing")
        self._own = OwnFolder(folder)

    def open(self, follow: Follow | None = None, form: Form = PLAIN) -> RequestSpool:
        """A spool for one request; files are written in a form, and `follow` is told of each."""
        return RequestSpool(
            self._own.path,
            limit=self._limit,
            in_memory=self._in_memory,
            follow=follow,
            form=form,
            hashing=self._hashing,
        )

    def close(self) -> None:
        """Remove the folder of this process."""
        self._hashing.shutdown(wait=False)
        self._own.close()
