"""Documents in an S3 bucket, found by the SHA-256 of their bytes; implements the ports BlobStore and Blob.

blobs/ab/cd/abcd.../COPY         the bytes of a small document
blobs/ab/cd/abcd.../COPY.large   says that the bytes are in large/COPY: an upload begins before the hash is known
blobs/ab/cd/abcd.../COPY.rotten  says that this copy is not served
keys/                            which key an id stands for, where documents are encrypted

COPY is new each time and greater than those before. So two that put the same bytes never touch the same object, and
who removes a copy removes no other; the greatest that is not rotten is read. Copies that are not confirmed, or that a
fresh one superseded, are listed in the database and removed when their time has come.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Final
from weakref import WeakSet

from sqlalchemy.engine import Engine

from xdsi.domain.errors import Unavailable
from xdsi.domain.submission import Document
from xdsi.storage.blobs import GRACE_SECONDS
from xdsi.storage.copies_in_doubt import CopiesInDoubt
from xdsi.storage.forms import PLAIN, Encoding, Form, Source, up_to
from xdsi.storage.key_marks import KeyMarks
from xdsi.storage.s3_bucket import Bucket, Listed, S3Location, Window
from xdsi.storage.s3_upload import PART, THREADS, Upload
from xdsi.storage.spool import SpooledDocument

log = logging.getLogger("xdsi.documents")

_LARGE: Final = ".large"
_ROTTEN: Final = ".rotten"
_PAGE: Final = 1000
RENEWED_SECONDS: Final = GRACE_SECONDS / 6
"""how often an upload that takes long is noted as going on"""


@dataclass(frozen=True, slots=True)
class S3Blob:
    """One copy as it was found."""

    bucket: Bucket
    form: Form
    name: str
    copy: str
    found: Listed
    key_id: str = ""
    """of the key that it is encrypted with, where it is"""

    @property
    def size(self) -> int:
        """How many bytes the document has."""
        return self.form.described(self._source, self.found.size)[1]

    @property
    def state(self) -> str:
        """Size, tag and time of the object, and which copy it is."""
        return f"{self.found.state}:{self.copy}"

    @property
    def current(self) -> bool:
        """True where it is written as it would be now."""
        return self.form.is_current(self._source)

    def open(self, start: int = 0) -> Iterator[bytes]:
        """Its bytes from an offset on."""
        return self.form.read(self._source, self.found.size, start)

    def whole(self, size: int) -> bytes:
        """Its bytes in one piece, and some more than `size` where there are more."""
        return up_to(self.open(), size)

    def _source(self, start: int) -> Iterator[bytes]:
        return self.bucket.open(self.found.key, start)

    def set_aside(self) -> bool:
        """Serve this copy no longer; its bytes stay for whoever wants to look at them."""
        now = self.bucket.find(self.found.key)
        if now is None or now.state != self.found.state:
            return False
        self.bucket.put(f"{_folder(self.name)}{self.copy}{_ROTTEN}", b"")
        return True


class S3Blobs:
    """The objects under a prefix of a bucket, written in a form; what is in doubt is listed in a database."""

    def __init__(
        self, location: S3Location, engine: Engine, *, form: Form = PLAIN, clock: Callable[[], float] = time.time
    ) -> None:
        self.form = form
        self.clock = clock
        self._renewed = clock()
        self._going: WeakSet[Following | _Sending] = WeakSet()
        self._lock = threading.Lock()
        self._bucket = Bucket(location)
        self._doubts = CopiesInDoubt(engine, self._bucket.url, clock=clock)
        self._marks = KeyMarks(
            f"document store {self._bucket.url}",
            form,
            read=self._key_mark,
            write=self._mark_key,
            stored=self._sources,
        )

    def put(self, document: Document) -> str:
        """Make bytes durable under their hash and return it; they stay in doubt until confirmed."""
        self._marks.make()
        part = document.part if isinstance(document, SpooledDocument) else None
        upload = part.follower if part is not None else None
        if part is not None and isinstance(upload, Following) and upload.begun and upload.store is self:
            upload.complete(part.stored)
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
        following = Following(self, path)
        self._goes_on(following)
        return following

    def renew_all(self) -> None:
        """Note of each upload that it is going on: however slowly a message comes, nothing of it is collected."""
        now = self.clock()
        if now - self._renewed < RENEWED_SECONDS:
            return
        self._renewed = now
        with self._lock:
            copies = [one.copy for one in self._going if one.copy]
        for copy in copies:
            try:
                self._doubts.renew(copy)
            except Unavailable as error:
                log.info("an upload could not be noted as going on: %s", error)

    def find(self, sha256: str) -> S3Blob | None:
        """The newest copy that is whole as far as is known, or None."""
        self._marks.require()
        for key_id, name in self.form.named(sha256):
            if copies := self._named(name):
                return replace(max(copies, key=lambda one: one.copy), key_id=key_id)
        return None

    def has_key(self, key_id: str) -> bool:
        """True where what is encrypted with this key can be read."""
        return self.form.has_key(key_id)

    def confirm(self, sha256: str) -> None:
        """Somebody's now: no longer in doubt."""
        self._doubts.confirm(sha256)

    def doubt(self, sha256: str) -> None:
        """Perhaps nobody's any more; durable on return."""
        self._marks.require()
        for one in self._copies(sha256):
            self._doubts.doubt(one.copy, sha256, superseded=False)

    def collect(self, is_used: Callable[[str], bool], *, grace: float) -> Sequence[str]:
        """Remove what has been in doubt for `grace` seconds and is not used; returns the hashes removed."""
        self._marks.require()
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

    def names(self, sha256: str) -> Sequence[str]:
        """What a document may be called here."""
        return self.form.names(sha256)

    def settled(self) -> Iterator[str]:
        """The names of all that is here and not in doubt, and of large objects that nothing refers to."""
        # A copy is in the table before it is made. After the objects, and before what refers to them:
        objects = list(self._bucket.under("large/"))
        doubts, referred, last = self._doubts.all(), set[str](), ""
        listing = self._bucket.under("blobs/")
        while page := list(islice(listing, _PAGE)):
            # After them: of what is there and no longer in doubt the index has the name.
            unsettled = self._doubts.all()
            for one in page:
                name, _, copy = one.key.rpartition("/")
                copy, _, kind = copy.partition(".")
                name = name.rpartition("/")[2]
                referred.add(copy)
                if kind != "rotten" and copy not in unsettled and name != last:
                    last = name
                    yield name
        for one in objects:
            copy = one.key.removeprefix("large/")
            if copy not in referred and copy not in doubts:
                yield one.key

    def doubted(self, name: str) -> bool:
        """True where every copy, or the large object, is in doubt."""
        doubts = self._doubts.all()
        if name.startswith("large/"):
            return name.removeprefix("large/") in doubts
        copies = {one.key.rpartition("/")[2].partition(".")[0] for one in self._bucket.under(_folder(name))}
        return bool(copies) and copies <= doubts

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

    def _sources(self) -> Iterator[tuple[Source, int]]:
        """The objects of all documents, with their sizes."""
        for listed in self._bucket.under("blobs/"):
            copy, _, kind = listed.key.rpartition("/")[2].partition(".")
            found = self._bucket.find(f"large/{copy}") if kind == "large" else listed
            if found is not None and kind != "rotten":
                yield partial(self._bucket.open, found.key), found.size

    def _key_mark(self, name: str) -> bytes:
        key = f"keys/{name}"
        return b"".join(self._bucket.open(key)) if self._bucket.find(key) is not None else b""

    def _mark_key(self, name: str, mark: bytes) -> None:
        self._bucket.put(f"keys/{name}", mark)

    def _goes_on(self, upload: Following | _Sending) -> None:
        """Until nobody has it any more."""
        with self._lock:
            self._going.add(upload)

    def _copies(self, sha256: str) -> list[S3Blob]:
        return [one for name in self.form.names(sha256) for one in self._named(name)]

    def _named(self, name: str) -> list[S3Blob]:
        folder = _folder(name)
        found = {one.key.removeprefix(folder): one for one in self._bucket.under(folder)}
        copies = []
        for last, one in found.items():
            copy, _, kind = last.partition(".")
            if kind == "rotten" or copy + _ROTTEN in found:
                continue
            large = self._bucket.find(f"large/{copy}") if kind == "large" else one
            if large is not None:
                copies.append(S3Blob(self._bucket, self.form, name, copy, large))
        return copies

    def _copy(self, document: Document) -> tuple[str, str]:
        """Send bytes that are not on their way yet; a part of them is in memory, no more."""
        part = document.part if isinstance(document, SpooledDocument) else None
        if part is not None and part.path is not None and part.form == self.form and part.stored <= PART:
            with Window(part.path, 0, part.stored) as body:
                return self._put(document.sha256, body), document.sha256
        encoding = Encoding(document, self.form)
        chunks, first = iter(encoding), bytearray()
        for chunk in chunks:
            first += chunk
            if len(first) > PART:
                return self._send(encoding, first, chunks)
        return self._put(encoding.sha256, bytes(first)), encoding.sha256

    def _put(self, sha256: str, body: bytes | Window) -> str:
        copy = self.begin_copy()
        self._doubts.arrived(copy, sha256)
        self._bucket.put(f"{self._folder(sha256)}{copy}", body)
        return copy

    def _send(self, encoding: Encoding, pending: bytearray, chunks: Iterator[bytes]) -> tuple[str, str]:
        tags = dict[int, str]()
        sending = _Sending(self.begin_copy())
        self._goes_on(sending)
        copy = sending.copy
        key = f"large/{copy}"
        upload = self._bucket.begin(key)
        try:
            while True:
                # Also behind a last part that is a whole one: only at its end the encoding knows the hash.
                while len(pending) < PART and (chunk := next(chunks, b"")):
                    pending += chunk
                if not pending:
                    break
                number, body = len(tags) + 1, bytes(pending[:PART])
                del pending[:PART]
                tags[number] = self._bucket.send(key, upload, number, body, len(body))
                self.renew_all()
            self._bucket.complete(key, upload, tags)
        except BaseException:
            self._bucket.abort(key, upload)
            raise
        self._refer(copy, encoding.sha256)
        return copy, encoding.sha256

    def _refer(self, copy: str, sha256: str) -> None:
        self._doubts.arrived(copy, sha256)
        self._bucket.put(f"{self._folder(sha256)}{copy}{_LARGE}", b"")

    def _folder(self, sha256: str) -> str:
        return _folder(self.form.names(sha256)[0])

    def _remove(self, copy: str, sha256: str) -> None:
        large = f"large/{copy}"
        for upload in self._bucket.uploads(large):
            self._bucket.abort(large, upload)
        for name in self.form.names(sha256) if sha256 else ():
            # The bytes last: without them the rest would say that they are missing.
            for kind in (_LARGE, "", _ROTTEN):
                self._bucket.delete(f"{_folder(name)}{copy}{kind}")
        self._bucket.delete(large)


class _Sending:
    """A copy that is made of bytes that are there."""

    def __init__(self, copy: str) -> None:
        self.copy = copy


class Following(Upload):
    """A document that is sent while it arrives."""

    def __init__(self, store: S3Blobs, path: Path) -> None:
        super().__init__(store.bucket, store.pool, path, self._called)
        self.store = store
        self.copy = ""

    def grew(self, size: int) -> None:
        """The file now has so many bytes."""
        super().grew(size)
        self.store.renew_all()

    def _called(self) -> str:
        self.copy = self.store.begin_copy()
        return f"large/{self.copy}"


def _folder(name: str) -> str:
    return f"blobs/{name[:2]}/{name[2:4]}/{name}/"
