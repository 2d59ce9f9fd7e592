"""The repository's documents: durable before they are acknowledged, verified when they leave.

Implements the ports DocumentStore and StoredDocument. ITI TF-2 3.41.4.1.3 (retrievable before registered), 3.43.4.2
(the bytes that were submitted).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.engine import Engine

from xdsi.domain.errors import IntegrityLost, Unavailable
from xdsi.domain.ports import Blob, BlobStore
from xdsi.domain.retrieval import Soundness
from xdsi.domain.submission import Document
from xdsi.storage.blobs import GRACE_SECONDS
from xdsi.storage.document_hash import AT_ONCE, Found, Hash, hashed
from xdsi.storage.document_index import DocumentIndex, Indexed
from xdsi.storage.unit_of_work import NestedUnitOfWork

log = logging.getLogger("xdsi.documents")

WITHHELD: Final = 64 * 1024
"""The end of a document that leaves only after its hash was found right."""
ALWAYS_VERIFIED: Final = 8 * 1024 * 1024
"""Documents up to this size are hashed as a whole before each delivery begins."""
_READERS: Final = 4
_BATCH: Final = 32
_WAITED: Final = 0.02
"""Seconds that one thread waits for a disk or a store before others read beside it."""
_COMPUTING: Final = 3.0
"""What takes less than so many times its own computing waits for a processor at most."""

_KEY: Final = " key="
"""before the id of the key, in the state of what is encrypted: the name of a file is not known without its key"""
_OTHER_HASH: Final = "its hash is not the one it was stored with"
_SOUNDNESS: Final = {
    "": Soundness.SOUND,
    "unreadable": Soundness.UNREADABLE,
    "locked": Soundness.LOCKED,
}

Loss = Callable[[str, str], None]
"""is told the uniqueId of a document that is not what was stored, and what is wrong with it"""


KeyMissing = Callable[[str], None]
"""is told the id of a key that a document is encrypted with and that the settings do not name"""


def _state(blob: Blob) -> str:
    return f"{blob.state}{_KEY}{blob.key_id}" if blob.key_id else blob.state


def _nobody_either(key_id: str) -> None:
    """Nobody is told."""


def _nobody(unique_id: str, reason: str) -> None:
    """Nobody is told."""


class SqlDocumentStore:
    """Documents in a store of bytes, with their index in a database; `lost` is told of each that is rotten."""

    def __init__(
        self,
        engine: Engine,
        blobs: BlobStore,
        *,
        lost: Loss = _nobody,
        without_key: KeyMissing = _nobody_either,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._index = DocumentIndex(engine)
        self._blobs = blobs
        self._lost = lost
        self._without_key = without_key
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="examine")

    def stage(self, document: Document) -> str:
        """Make bytes durable under their SHA-256 and return it; not yet retrievable by a uniqueId."""
        return self._blobs.put(document)

    def publish(self, unique_id: str, mime_type: str, sha256: str, size: int, sha1: str, blake3: str = "") -> None:
        """Make a staged document retrievable by its uniqueId; the same bytes again are one more claim to it.

        Raises ValueError when other bytes are already published under the uniqueId, LookupError for bytes that were
        not staged.
        """
        blob = self._blobs.find(sha256)
        if blob is None or blob.size != size:
            raise LookupError(f"no {size} bytes with the SHA-256 {sha256} were staged")
        now = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")
        self._index.add(
            Indexed(
                unique_id, sha256, sha1, size, mime_type, _state(blob), quarantined=False, stored=now, blake3=blake3
            )
        )
        self._blobs.confirm(sha256)

    def withdraw(self, unique_id: str) -> None:
        """Undo one `publish` of a submission that was refused; others of the same document stand.

        With the last one the bytes go with the next `collect` unless used.
        """
        entry = self._index.find(unique_id)
        if entry is not None:
            self._blobs.doubt(entry.sha256)
            self._index.remove(unique_id)

    def erase(self, unique_ids: Sequence[str], also: Callable[[Any], None]) -> None:
        """Forget documents for good, whoever submitted them, and do `also` in the same unit of work.

        Bytes that no other uniqueId names go with the next `collect`.
        """
        for unique_id in unique_ids:
            entry = self._index.find(unique_id)
            if entry is not None:
                # First, so that what a crash leaves is found.
                self._blobs.doubt(entry.sha256)
        self._index.erase(unique_ids, also)

    def find(self, unique_id: str) -> IndexedDocument | None:
        """The published document, or None."""
        entry = self._index.find(unique_id)
        return self._stored(entry) if entry is not None else None

    def find_all(self, unique_ids: Sequence[str]) -> Mapping[str, IndexedDocument]:
        """The published documents among these, by uniqueId."""
        return {unique_id: self._stored(entry) for unique_id, entry in self._index.find_all(unique_ids).items()}

    def examine(self, documents: Sequence[IndexedDocument]) -> Sequence[Soundness]:
        """What is found of each before it is given out; where reading waits, some are read at the same time."""
        found: list[Soundness] = []
        began, spent = time.perf_counter(), time.thread_time()
        # Until then it cannot have waited for so long: what was computed is not asked for after each document.
        due = began + _WAITED
        for one in documents:
            found.append(one.soundness())
            if (now := time.perf_counter()) > due:
                waited = now - began - _COMPUTING * (time.thread_time() - spent)
                if waited > _WAITED:
                    break
                due = now + _WAITED - waited
        # What lies in memory is hashed by one thread as fast as by several, which take the interpreter lock in turns.
        rest = documents[len(found) :]
        batches = [rest[at : at + _BATCH] for at in range(0, len(rest), _BATCH)]
        done = self._readers.map(lambda batch: [one.soundness() for one in batch], batches)
        return [*found, *(one for batch in done for one in batch)]

    def all(self) -> Iterator[IndexedDocument]:
        """Every published document, in the order of uniqueIds."""
        for entry in self._index.all():
            yield self._stored(entry)

    @property
    def index(self) -> DocumentIndex:
        """Which uniqueId names which bytes."""
        return self._index

    def review(self, registered: Callable[[Sequence[str]], Set[str]], *, grace: float = GRACE_SECONDS) -> Sequence[str]:
        """Take documents back that were published more than `grace` seconds ago and never registered.

        `registered` says which uniqueIds a registry knows. Returns those that were taken back: their process was
        killed, or could not undo what the registry refused.
        """
        before = datetime.fromtimestamp(self._clock() - grace, UTC).isoformat(timespec="seconds")
        revoked: list[str] = []
        after = ""
        while page := self._index.unconfirmed(before, after):
            known = registered([unique_id for unique_id, _ in page])
            self._index.confirm(known)
            for unique_id, claimed in page:
                entry = self._index.find(unique_id) if unique_id not in known else None
                if entry is not None:
                    self._blobs.doubt(entry.sha256)
                    self._index.revoke(unique_id, claimed)
                    revoked.append(unique_id)
            after = page[-1][0]
        return revoked

    def collect(self, *, grace: float = GRACE_SECONDS) -> Sequence[str]:
        """Remove what was staged more than `grace` seconds ago and never published; returns the hashes removed.

        Meant for the start of a process: what a killed one left behind goes then.
        """
        return self._blobs.collect(self._index.uses, grace=grace)

    def _stored(self, entry: Indexed) -> IndexedDocument:
        return IndexedDocument(entry, self._blobs, self._index, self._lost, self._without_key)


class IndexedDocument:
    """A document in the store."""

    __slots__ = ("_blobs", "_entry", "_examined", "_index", "_lost", "_without_key")

    def __init__(
        self, entry: Indexed, blobs: BlobStore, index: DocumentIndex, lost: Loss, without_key: KeyMissing
    ) -> None:
        self._entry = entry
        self._blobs = blobs
        self._index = index
        self._lost = lost
        self._without_key = without_key
        self._examined: Blob | None = None
        """where it was found right"""

    @property
    def unique_id(self) -> str:
        """DocumentEntry.uniqueId."""
        return self._entry.unique_id

    @property
    def mime_type(self) -> str:
        """As submitted."""
        return self._entry.mime_type

    @property
    def stored_at(self) -> datetime:
        """When it was first stored here."""
        return datetime.fromisoformat(self._entry.stored)

    @property
    def document(self) -> Document:
        """Its bytes; reading them verifies the hash while they stream and raises IntegrityLost before the last part."""
        entry = self._entry
        return Document(self._stream, entry.size, entry.sha1, entry.sha256, entry.blake3)

    def verify(self, *, always: bool = False) -> bool:
        """Hash the whole document where that is due (small, or changed since last verified); False when rotten.

        What is rotten goes into quarantine.
        """
        return not self.examine(always=always)

    def soundness(self) -> Soundness:
        """What is found of it before it is given out."""
        return _SOUNDNESS.get(self.examine(always=False), Soundness.LOST)

    def examine(self, *, always: bool) -> str:
        """What is wrong: `missing`, `quarantine`, `rotten`, `unreadable` or `locked`; empty when all is well."""
        entry = self._entry
        blob = self._blobs.find(entry.sha256)
        if entry.quarantined:
            return "quarantine"
        if blob is None:
            if not self._blobs.has_key(key_id := entry.verified.partition(_KEY)[2]):
                self._without_key(key_id)
                return "locked"
            log.error("the bytes of document %s are not in the store", entry.unique_id)
            self._lost(entry.unique_id, "its bytes are not in the store")
            return "missing"
        if not always and entry.size > ALWAYS_VERIFIED and _state(blob) == entry.verified:
            return ""
        try:
            found = hashed(blob, entry.size, entry.expected, both=always)
            if not found.right and not always:
                found = self._by_sha256(blob)
        except Unavailable as error:
            # What cannot be read is not rotten: the disk may come back.
            log.error("document %s cannot be read: %s", entry.unique_id, error)
            return "unreadable"
        except IntegrityLost as error:
            self._condemn(blob, str(error))
            return "rotten"
        if not found.right:
            self._condemn(blob, _OTHER_HASH)
            return "rotten"
        if _state(blob) != entry.verified or found.blake3 != entry.blake3:
            self._note(_state(blob), found.blake3)
        self._examined = blob
        return ""

    def _stream(self) -> Iterator[bytes]:
        entry = self._entry
        if entry.size <= AT_ONCE and (data := self._as_examined()):
            yield data
            return
        blob = self._blobs.find(entry.sha256)
        if blob is None:
            raise self._missing()
        if entry.size <= AT_ONCE:
            yield from self._whole(blob)
            return
        expected = entry.expected
        found = expected.begin()
        left = max(0, entry.size - WITHHELD)
        end = bytearray()
        try:
            for chunk in blob.open():
                if left:
                    part = chunk[:left] if len(chunk) > left else chunk
                    left -= len(part)
                    found.update(part)
                    yield part
                    if len(part) == len(chunk):
                        continue
                    chunk = chunk[len(part) :]
                end += chunk
                # A file that grew is found by the first bytes too many.
                if len(end) > WITHHELD:
                    break
        except Unavailable as error:
            raise IntegrityLost(f"document {entry.unique_id} cannot be read: {error}") from error
        except IntegrityLost as error:
            self._condemn(blob, str(error))
            raise
        found.update(end)
        self._require(blob, found)
        yield bytes(end)

    def _as_examined(self) -> bytes:
        """A small document from where it was examined a moment ago; nothing where those are no longer its bytes."""
        if self._examined is None:
            return b""
        try:
            data = self._examined.whole(self._entry.size)
        except (Unavailable, IntegrityLost):
            # It may lie elsewhere by now, or in another form: whoever looks for it anew finds out.
            return b""
        expected = self._entry.expected
        return data if expected.is_met(expected.begin(data)) else b""

    def _whole(self, blob: Blob) -> Iterator[bytes]:
        try:
            data = blob.whole(self._entry.size)
        except Unavailable as error:
            raise IntegrityLost(f"document {self.unique_id} cannot be read: {error}") from error
        except IntegrityLost as error:
            self._condemn(blob, str(error))
            raise
        self._require(blob, self._entry.expected.begin(data))
        if data:
            yield data

    def _require(self, blob: Blob, sent: Hash) -> None:
        """What was read is the document; IntegrityLost where it is not."""
        if self._entry.expected.is_met(sent):
            return
        try:
            found = self._by_sha256(blob)
        except Unavailable as error:
            raise IntegrityLost(f"document {self.unique_id} cannot be read: {error}") from error
        except IntegrityLost as error:
            self._condemn(blob, str(error))
            raise
        if not found.right:
            self._condemn(blob, _OTHER_HASH)
        elif found.blake3 != self._entry.blake3:
            self._note(_state(blob), found.blake3)
        # It was read twice: what leaves has to be what SHA-256 is right of.
        if not found.right or found.blake3 != sent.hexdigest():
            raise IntegrityLost(f"document {self.unique_id} no longer has the hash it was stored with")

    def _by_sha256(self, blob: Blob) -> Found:
        """What SHA-256 says of bytes that have not the hash they should have: the BLAKE3 that is kept may be wrong."""
        if not self._entry.blake3:
            return Found(right=False, blake3="")
        found = hashed(blob, self._entry.size, self._entry.expected, both=True)
        if found.right:
            same = found.blake3 == self._entry.blake3
            what = "it was read otherwise a moment ago" if same else "the BLAKE3 of the index is not its own"
            log.warning("document %s has the SHA-256 that it was stored with, but %s", self.unique_id, what)
        return found

    def _missing(self) -> IntegrityLost:
        return IntegrityLost(f"the bytes of document {self.unique_id} are not in the store")

    def _condemn(self, blob: Blob, reason: str) -> None:
        log.error("document %s (SHA-256 %s) failed its integrity check: %s", self.unique_id, self._entry.sha256, reason)
        try:
            if blob.set_aside():
                self._index.set_quarantined(self._entry.sha256)
        except (Unavailable, NestedUnitOfWork) as error:
            # Without its file it is not served either.
            log.error("document %s could not be put into quarantine: %s", self.unique_id, error)
        self._lost(self.unique_id, reason)

    def _note(self, state: str, blake3: str) -> None:
        try:
            self._index.set_verified(self._entry.sha256, state, blake3)
        except (Unavailable, NestedUnitOfWork) as error:
            # It is only hashed again next time.
            log.info("document %s: %s", self.unique_id, error)
