"""Files named by the SHA-256 of their bytes, durable once put: the store of documents on a file system.

Implements the ports BlobStore and Blob.

incoming/    being written
blobs/       ab/abcd..., and ab/cd/abcd... as they were laid before
journal/     a mark for each content that was put and not yet confirmed; what a crash leaves is found by it
spare/       marks that are not needed any more, to be used again
keys/        which key an id stands for, where documents are encrypted
quarantine/  files that no longer have their hash
"""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from fcntl import LOCK_EX, LOCK_SH
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from xdsi.domain.errors import IntegrityLost, OutOfRoom
from xdsi.domain.submission import Document
from xdsi.storage.files import chunks_of, create, disk, flush, locked, make_folder, small_file, write_all
from xdsi.storage.forms import MAGIC, PLAIN, Encoding, Form, Source, up_to
from xdsi.storage.key_marks import KeyMarks
from xdsi.storage.spool import SpooledDocument

GRACE_SECONDS: Final = 3600.0
"""A submission has long ended by then: what it put and did not confirm is nobody's."""
_SPARE_MARKS: Final = 64
"""More are hardly in use at once. A file system without a journal of its own, when it makes a file, passes by those
that were removed in the last minute, one by one: a tenth of what storing a small document takes."""
_WHAT: Final = "document store"
_DISK: Final = disk(_WHAT)


_REPLACED = 5
"""how often a file is looked at again that seems broken: the same document may be put in its place at that moment"""


class FileBlob(NamedTuple):
    """One file as it was found."""

    store: FolderBlobs
    path: str
    stored: int
    state: str
    key_id: str = ""
    """of the key that it is encrypted with, where it is"""

    @property
    def size(self) -> int:
        """How many bytes the document has."""
        return self.described()[1]

    @property
    def current(self) -> bool:
        """True where it is written as it would be now."""
        return self.store.form.is_current(self.piece_by_piece)

    def described(self) -> tuple[str, int]:
        """The SHA-256 (where the file says it) and the size of the document."""
        with _DISK:
            begins = small_file(self.path, len(MAGIC))
        if not begins.startswith(MAGIC):
            return "", self.stored
        for _ in range(_REPLACED):
            with suppress(IntegrityLost):
                return self.store.form.described(self.piece_by_piece, self.stored)
        return self.store.form.described(self.piece_by_piece, self.stored)

    def open(self, start: int = 0) -> Iterator[bytes]:
        """Its bytes from an offset on."""
        stream = self.store.form.read(self.piece_by_piece, self.stored, start)
        for _ in range(_REPLACED):
            # Before the first piece a file's beginning and end are compared, which are read one after the other.
            try:
                first = next(stream, b"")
            except IntegrityLost:
                stream = self.store.form.read(self.piece_by_piece, self.stored, start)
            else:
                yield first
                break
        yield from stream

    def whole(self, size: int) -> bytes:
        """Its bytes in one piece, and some more than `size` where there are more."""
        with _DISK:
            read = small_file(self.path, min(self.stored, max(size, len(MAGIC))))
        return up_to(self.open(), size) if read.startswith(MAGIC) else read

    def piece_by_piece(self, start: int) -> Iterator[bytes]:
        """What is stored, from an offset on, in the form that it is stored in."""
        with _DISK:
            yield from chunks_of(self.path, start)

    def set_aside(self) -> bool:
        """Move it to the quarantine; not the fresh copy that somebody may have put there meanwhile."""
        return self.store.set_aside(self)


class FolderBlobs:
    """The files under a folder, written in a form; `reserve` bytes of its disk are left free."""

    def __init__(
        self,
        folder: Path,
        *,
        form: Form = PLAIN,
        reserve: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.form = form
        self._folder = folder
        self._reserve = reserve
        self._clock = clock
        self._incoming = folder / "incoming"
        self._blobs = folder / "blobs"
        self._journal = folder / "journal"
        self._spare = folder / "spare"
        self._spare_marks: deque[str] = deque()
        self._quarantine = folder / "quarantine"
        self._keys = folder / "keys"
        self._marks = KeyMarks(
            f"{_WHAT} {folder}", form, read=self._key_mark, write=self._mark_key, stored=self._sources
        )
        with _DISK:
            for one in (self._incoming, self._blobs, self._journal, self._quarantine):
                make_folder(one)
        # Without it marks are made anew.
        with suppress(OSError):
            make_folder(self._spare)
        # Who made folders of documents may have been killed before their names were on the disk.
        with suppress(OSError):
            flush(self._blobs)

    def _make_folders(self) -> None:
        """Make those of all documents at once, when one finds its own missing: each waits for the disk.

        Who only reads makes none: after an operator's command they would be that user's, and not the node's.
        """
        missing = {f"{number:02x}" for number in range(256)}.difference(os.listdir(self._blobs))
        try:
            for name in missing:
                with suppress(FileExistsError):
                    os.mkdir(self._blobs / name, 0o700)
        finally:
            flush(self._blobs)

    def path(self, sha256: str) -> Path:
        """Where the bytes with this hash lie from now on."""
        return self._path(self.form.names(sha256)[0])

    def _path(self, name: str) -> Path:
        return Path(self._file(name))

    def _file(self, name: str) -> str:
        return f"{self._blobs}/{name[:2]}/{name}"

    def _files(self, name: str) -> tuple[str, str]:
        """Where a file is laid, and where it would have been laid before."""
        return self._file(name), f"{self._blobs}/{name[:2]}/{name[2:4]}/{name}"

    def put(self, document: Document) -> str:
        """Make bytes durable under their hash and return it; they stay in doubt until confirmed.

        A file of a spool on the same disk is taken over, others are copied.
        """
        self._marks.make()
        with _DISK:
            self._check_space(document.size)
            part = document.part if isinstance(document, SpooledDocument) else None
            if part is not None and part.path is not None and part.form == self.form and self._movable(part.path):
                part.moved(Path(self._place(part.path, document.sha256)))
                return document.sha256
            temporary = f"{self._incoming}/{secrets.token_hex(16)}"
            with create(temporary) as file:
                try:
                    sha256 = _copy(document, file, self.form)
                    self._place(temporary, sha256, file)
                except BaseException:
                    with suppress(FileNotFoundError):
                        os.unlink(temporary)
                    raise
            return sha256

    def confirm(self, sha256: str) -> None:
        """Somebody's now: no longer in doubt."""
        with _DISK:
            for name in self.form.names(sha256):
                with suppress(FileNotFoundError):
                    self._unmark(f"{self._journal}/{name}")

    def doubt(self, sha256: str) -> None:
        """Perhaps nobody's any more; durable on return."""
        self._marks.require()
        with _DISK, self._lock(LOCK_SH):
            for name in self.form.names(sha256):
                if any(map(os.path.exists, self._files(name))):
                    self._mark(name)
            flush(self._journal)

    def collect(self, is_used: Callable[[str], bool], *, grace: float = GRACE_SECONDS) -> list[str]:
        """Remove what has been in doubt for `grace` seconds and is not used; returns the hashes removed."""
        self._marks.require()
        removed = []
        limit = self._clock() - grace
        with _DISK:
            for mark in list(self._journal.iterdir()):
                # Excludes a `put` of the same bytes at this moment, which makes the mark young again.
                with self._lock(LOCK_EX):
                    if not _is_older(mark, limit):
                        continue
                    sha256 = self._hash_of(mark.name)
                    if sha256 and not is_used(sha256):
                        for path in self._files(mark.name):
                            with suppress(FileNotFoundError):
                                os.unlink(path)
                                flush(os.path.dirname(path))
                        removed.append(sha256)
                    mark.unlink(missing_ok=True)
            for leftover in list(self._incoming.iterdir()):
                if _is_older(leftover, limit):
                    leftover.unlink(missing_ok=True)
        with suppress(OSError):
            for mark in list(self._spare.iterdir()):
                if _is_older(mark, limit):
                    mark.unlink(missing_ok=True)
        return removed

    def find(self, sha256: str) -> FileBlob | None:
        """The file with this hash, or None."""
        self._marks.require()
        for key_id, name in self.form.named(sha256):
            if (found := self._named(name, key_id)) is not None:
                return found
        return None

    def has_key(self, key_id: str) -> bool:
        """True where what is encrypted with this key can be read."""
        return self.form.has_key(key_id)

    def _named(self, name: str, key_id: str = "") -> FileBlob | None:
        path, former = self._files(name)
        return self._found(path, key_id) or self._found(former, key_id)

    def _found(self, path: str, key_id: str = "") -> FileBlob | None:
        with _DISK:
            try:
                found = os.stat(path)
            except FileNotFoundError:
                return None
        state = f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}"
        return FileBlob(self, path, found.st_size, state, key_id)

    def _hash_of(self, name: str) -> str:
        """The hash of the document in a file, empty where there is none."""
        found = self._named(name)
        return "" if found is None else found.described()[0] or name

    def names(self, sha256: str) -> Sequence[str]:
        """What a document may be called here."""
        return self.form.names(sha256)

    def settled(self) -> Iterator[str]:
        """The names of all files that are not in doubt."""
        with _DISK:
            for folder in sorted(self._folders()):
                for name in sorted(map(os.path.basename, _files_under(folder))):
                    if not self.doubted(name):
                        yield name

    def _folders(self) -> Iterator[Path]:
        return (one for one in self._blobs.glob("??") if one.is_dir())

    def doubted(self, name: str) -> bool:
        """True for what is in doubt."""
        return (self._journal / name).exists()

    def close(self) -> None:
        """Nothing is held."""

    def set_aside(self, blob: FileBlob) -> bool:
        """Move a file to the quarantine, where nobody serves it from, unless it is no longer the one that was found."""
        now = self._found(blob.path)
        if now is None or now.state != blob.state:
            return False
        with _DISK:
            try:
                os.rename(blob.path, self._quarantine / f"{os.path.basename(blob.path)}.{int(self._clock())}")
            except FileNotFoundError:
                return False
            flush(self._quarantine)
        return True

    def _place(self, file: str | Path, sha256: str, opened: BinaryIO | None = None) -> str:
        """Give a file its name, durably; `opened` is the file itself where it is open."""
        name, *others = self.form.names(sha256)
        path, former = self._files(name)
        if os.path.exists(former) and not os.path.exists(path):
            # It stays there: somebody may be about to read it. Of two the one that is found first is replaced.
            path = former
        elif not os.path.exists(os.path.dirname(path)):
            # Nobody puts a file into a folder before its name is on the disk.
            with self._lock(LOCK_EX):
                self._make_folders()
        with self._lock(LOCK_SH):
            # Before the bytes are flushed: on most file systems one commit of the journal carries both.
            self._mark(name)
            if opened is None:
                flush(file)
            else:
                os.fsync(opened.fileno())
            flush(self._journal)
            # Also where the bytes are here already: a fresh copy mends one that rotted unseen.
            os.replace(file, path)
        flush(os.path.dirname(path))
        for other in others:
            # As it was written before the settings changed; the new one is on the disk.
            for one in self._files(other):
                with suppress(FileNotFoundError):
                    os.unlink(one)
        return path

    def _mark(self, name: str) -> None:
        now = self._clock()
        mark = f"{self._journal}/{name}"
        # Another process may have removed a spare one as too old, or have it too, as a child of the same.
        with suppress(IndexError, OSError):
            spare = self._spare_marks.popleft()
            os.utime(spare, (now, now))
            os.rename(spare, mark)
            return
        descriptor = os.open(mark, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            # Not by name: somebody who publishes the same bytes may remove it at this moment.
            os.utime(descriptor, (now, now))
        finally:
            os.close(descriptor)

    def _unmark(self, mark: str) -> None:
        if len(self._spare_marks) < _SPARE_MARKS:
            spare = f"{self._spare}/{secrets.token_hex(16)}"
            with suppress(OSError):
                os.rename(mark, spare)
                self._spare_marks.append(spare)
                return
        os.unlink(mark)

    def _sources(self) -> Iterator[tuple[Source, int]]:
        """All files, in no order, with their sizes."""
        with _DISK:
            for folder in self._folders():
                for path in _files_under(folder):
                    if (found := self._found(path)) is not None:
                        yield found.piece_by_piece, found.stored

    def _key_mark(self, name: str) -> bytes:
        with _DISK:
            try:
                return (self._keys / name).read_bytes()
            except FileNotFoundError:
                return b""

    def _mark_key(self, name: str, mark: bytes) -> None:
        temporary = self._incoming / secrets.token_hex(16)
        with _DISK:
            make_folder(self._keys)
            with create(temporary) as file:
                write_all(file, mark)
            flush(temporary)
            temporary.replace(self._keys / name)
            flush(self._keys)

    def _lock(self, operation: int) -> AbstractContextManager[None]:
        return locked(f"{self._folder}/lock", operation)

    def _movable(self, file: Path) -> bool:
        return file.stat().st_dev == self._blobs.stat().st_dev

    def _check_space(self, size: int) -> None:
        space = os.statvfs(self._folder)
        if space.f_bavail * space.f_frsize - size < self._reserve:
            raise OutOfRoom(f"{_WHAT}: less than {self._reserve} bytes would be left on the disk")


def _files_under(folder: Path | str) -> Iterator[str]:
    """The files of a folder and of those in it."""
    with os.scandir(folder) as found:
        for one in found:
            if one.is_dir(follow_symlinks=False):
                yield from _files_under(one.path)
            else:
                yield one.path


def _is_older(path: Path, limit: float) -> bool:
    try:
        return path.stat().st_mtime <= limit
    except FileNotFoundError:
        return False


def _copy(document: Document, file: BinaryIO, form: Form) -> str:
    encoding = Encoding(document, form)
    for chunk in encoding:
        write_all(file, chunk)
    return encoding.sha256
