"""Files that survive a crash: private modes, complete writes, flushes of files and folders, locks between processes."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from xdsi.domain.errors import OutOfRoom, Unavailable

CHUNK: Final = 512 * 1024
_ANY_MORE: Final = 4096
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class _Disk:
    """Names what could not be reached; a class, because thousands of small files are read for one answer."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            raise (OutOfRoom if error.errno in _FULL else Unavailable)(f"{self._what}: {error}") from error


def disk(what: str) -> _Disk:
    """What the disk refuses (it is gone, read-only) is Unavailable; OutOfRoom where it is full."""
    return _Disk(what)


def create(path: str | Path) -> BinaryIO:
    """A new file that only this user can read; FileExistsError where there is one."""
    return open(path, "xb", buffering=0, opener=_private)


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write every byte, however many calls it takes."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def chunks_of(path: str | Path, start: int = 0) -> Iterator[bytes]:
    """The bytes of a file from an offset on."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        left = os.fstat(descriptor).st_size - start
        if start:
            os.lseek(descriptor, start, os.SEEK_SET)
        # Never more room than there are bytes: what is given back of a large piece leaves holes in the memory.
        while chunk := os.read(descriptor, min(max(left, _ANY_MORE), CHUNK)):
            left -= len(chunk)
            yield chunk
    finally:
        os.close(descriptor)


def small_file(path: str | Path, size: int) -> bytes:
    """The bytes of a file that should have `size` of them, in one piece; one more of a file that has more."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        read = os.read(descriptor, size + 1)
        while len(read) < size and (more := os.read(descriptor, size + 1 - len(read))):
            read += more
    finally:
        os.close(descriptor)
    return read


def flush(path: str | Path) -> None:
    """The bytes of a file, or the names in a folder, are on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """A private folder, with its name on the disk."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        flush(path.parent)


@contextmanager
def locked(path: str | Path, operation: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock that all processes of this machine respect, whatever thread they ask from."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def one_of(path: Path, number: int) -> Iterator[None]:
    """Hold one of the 2^62 locks in a file, which all processes of this machine respect, whatever thread asks."""
    with disk(f"the lock file {path.name}"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Of the open file, not of the process, so that threads exclude each other, too; ends with the descriptor.
        region = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, number % 2**62, 1, 0)
        with disk(f"the lock file {path.name}"):
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, region)
        yield
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
