"""A series taken whole from a multipart answer: each file told by its own header, and kept until it is asked for.

DICOM PS3.18 10.4 (Retrieve: a series is given out in any order). Small files of which it is the turn stay in memory,
all others go to files of a folder, up to a size altogether; what finds no room is asked for by itself.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.imaging import Identity
from xdsi.transport.http_client import HttpAnswer
from xdsi.wire.dicom_identity import identity_of
from xdsi.wire.dicom_reader import transfer_syntax_of
from xdsi.wire.multipart import MultipartLimits, MultipartReader, PartData, PartEnd, PartStart

SMALL = 1024 * 1024
ROOM = 1024 * 1024 * 1024
"""bytes that lie in the folder at most"""
HELD_SECONDS = 60.0
_HEAD = 64 * 1024
_LIMITS = MultipartLimits(parts=100_000, part=64 * 1024**3, message=1024**4)


@dataclass(frozen=True, slots=True)
class Taken:
    """A file of the answer: its content where it is small, else where it lies; the receiver's from now on."""

    identity: Identity
    transfer_syntax_uid: str
    size: int
    content: bytes = b""
    path: Path | None = None

    @property
    def sop_instance_uid(self) -> str:
        """Which instance its header says it is."""
        return self.identity.sop_instance_uid

    def discard(self) -> None:
        """Leave nothing of it behind."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Held:
    path: Path
    size: int
    since: float


class SeriesSpool:
    """Files that wait for their turn. Threads may share it."""

    def __init__(self, folder: Path, *, room: int = ROOM, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._room = room
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._used = 0

    def hold(self, taken: Taken) -> None:
        """Keep a file a while, if there is room."""
        path = taken.path
        if taken.size > self._free():
            taken.discard()
            return
        if path is None:
            path = self._new()
            try:
                path.write_bytes(taken.content)
            except OSError as error:
                path.unlink(missing_ok=True)
                raise Unavailable(f"{self._folder}: {error.strerror}") from error
        with self._lock:
            former = self._held.pop(taken.sop_instance_uid, None)
            self._held[taken.sop_instance_uid] = _Held(path, taken.size, self._monotonic())
            self._used += taken.size - (former.size if former else 0)
        if former is not None:
            former.path.unlink(missing_ok=True)

    def holds(self, sop_instance_uid: str) -> bool:
        """Whether a file waits."""
        with self._lock:
            return sop_instance_uid in self._held

    def take(self, sop_instance_uid: str) -> Path | None:
        """A file that waits, which is the caller's from now on."""
        self._free()
        with self._lock:
            held = self._held.pop(sop_instance_uid, None)
            if held is None:
                return None
            self._used -= held.size
            return held.path

    def close(self) -> None:
        """Remove what was not taken."""
        with self._lock:
            gone, self._held, self._used = list(self._held.values()), OrderedDict(), 0
        for one in gone:
            one.path.unlink(missing_ok=True)

    def files(self, answer: HttpAnswer) -> Generator[Taken, None, None]:
        """The files of a multipart answer as they become whole; one that does not say which it is is left out.

        Raises Unavailable where the answer is cut off.
        """
        part = _Part(self._new)
        try:
            reader = MultipartReader(answer.content_type, _LIMITS, rooted=False)
            for chunk in answer.chunks:
                for event in reader.feed(chunk):
                    if isinstance(event, PartData):
                        part.add(event.data)
                    elif isinstance(event, PartStart):
                        part = _Part(self._new)
                    elif isinstance(event, PartEnd) and (taken := part.taken()) is not None:
                        yield taken
            for event in reader.close():
                if isinstance(event, PartData):
                    part.add(event.data)
                elif isinstance(event, PartEnd) and (taken := part.taken()) is not None:
                    yield taken
        except MalformedMessage as error:
            raise Unavailable(f"the answer of the archive: {error}") from error
        except OSError as error:
            raise Unavailable(f"{self._folder}: {error.strerror}") from error
        finally:
            part.discard()

    def _new(self) -> Path:
        return self._folder / secrets.token_hex(16)

    def _free(self) -> int:
        """The room that is left once what waited too long is gone."""
        late: list[_Held] = []
        with self._lock:
            while self._held:
                uid, first = next(iter(self._held.items()))
                if self._monotonic() - first.since <= HELD_SECONDS:
                    break
                del self._held[uid]
                self._used -= first.size
                late.append(first)
            free = self._room - self._used
        for one in late:
            one.path.unlink(missing_ok=True)
        return free


class _Part:
    """One file while it comes."""

    def __init__(self, new: Callable[[], Path]) -> None:
        self._new = new
        self._content = bytearray()
        self._size = 0
        self._path: Path | None = None
        self._file: BinaryIO | None = None

    def add(self, data: bytes | memoryview) -> None:
        self._size += len(data)
        if self._file is not None:
            self._file.write(data)
            return
        self._content += data
        if self._size > SMALL:
            self._path = self._new()
            self._file = self._path.open("xb")
            self._file.write(self._content)

    def taken(self) -> Taken | None:
        """The whole file; None where it does not say which it is."""
        if self._file is not None:
            self._file.close()
            self._file = None
        content = bytes(self._content)
        try:
            said = identity_of(content[:_HEAD], whole=False) or identity_of(content, whole=self._path is None)
            syntax = transfer_syntax_of(BytesIO(content[:_HEAD]))
        except MalformedMessage:
            said = None
        if said is None:
            self.discard()
            return None
        path, self._path = self._path, None
        return Taken(said, syntax, self._size, b"" if path else content, path)

    def discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
