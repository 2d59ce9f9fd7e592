"""The repository's documents on a file system: durable before they are acknowledged, verified when they leave.

Implements the ports DocumentStore and StoredDocument. ITI TF-2 3.41.4.1.3 (retrievable before registered), 3.43.4.2
(the bytes that were submitted).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import Engine

from xdsi.domain.errors import IntegrityLost, Unavailable
from xdsi.domain.submission import Document
from xdsi.storage.blobs import GRACE_SECONDS, Blobs
from xdsi.storage.document_index import DocumentIndex, Indexed
from xdsi.storage.files import CHUNK, chunks_of
from xdsi.storage.unit_of_work import NestedUnitOfWork

log = logging.getLogger("xdsi.documents")

WITHHELD: Final = 64 * 1024
"""The end of a document that leaves only after its hash was found right."""
ALWAYS_VERIFIED: Final = 8 * 1024 * 1024
"""Documents up to this size are hashed as a whole before each delivery begins."""


class FileDocumentStore:
    """Documents under a folder, with their index in a database; `reserve` bytes of the disk are left free."""

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        *,
        reserve: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._index = DocumentIndex(engine)
        self._blobs = Blobs(folder, reserve=reserve, clock=clock)

    def stage(self, document: Document) -> str:
        """Make bytes durable under their SHA-256 and return it; not yet retrievable by a uniqueId."""
        return self._blobs.put(document)

    def publish(self, unique_id: str, mime_type: str, sha256: str, size: int, sha1: str) -> None:
        """Make a staged document retrievable by its uniqueId; the same bytes again are one more claim to it.

        Raises ValueError when other bytes are already published under the uniqueId, LookupError for bytes that were
        not staged.
        """
        state = self._blobs.state(sha256)
        if not state.startswith(f"{size}:"):
            raise LookupError(f"no {size} bytes with the SHA-256 {sha256} were staged")
        now = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")
        self._index.add(
            Indexed(unique_id, sha256, sha1, size, mime_type, verified=state, quarantined=False, stored=now)
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

    def find(self, unique_id: str) -> StoredFile | None:
        """The published document, or None."""
        entry = self._index.find(unique_id)
        return StoredFile(entry, self._blobs, self._index) if entry is not None else None

    def all(self) -> Iterator[StoredFile]:
        """Every published document, in the order of uniqueIds."""
        for entry in self._index.all():
            yield StoredFile(entry, self._blobs, self._index)

    def collect(self, *, grace: float = GRACE_SECONDS) -> list[str]:
        """Remove what was staged more than `grace` seconds ago and never published; returns the hashes removed.

        Meant for the start of a process: what a killed one left behind goes then.
        """
        return self._blobs.collect(self._index.uses, grace=grace)


class StoredFile:
    """A document in the store."""

    def __init__(self, entry: Indexed, blobs: Blobs, index: DocumentIndex) -> None:
        self._entry = entry
        self._blobs = blobs
        self._index = index

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
        return Document(self._stream, self._entry.size, self._entry.sha1, self._entry.sha256)

    def verify(self, *, always: bool = False) -> bool:
        """Hash the whole document where that is due (small, or changed since last verified); False when rotten.

        What is rotten goes into quarantine.
        """
        entry = self._entry
        state = self._blobs.state(entry.sha256)
        if entry.quarantined or not state:
            return False
        if not always and entry.size > ALWAYS_VERIFIED and state == entry.verified:
            return True
        found = hashlib.sha256()
        try:
            for chunk in chunks_of(self._blobs.path(entry.sha256)):
                found.update(chunk)
        except OSError as error:
            # What cannot be read is not rotten: the disk may come back.
            log.error("document %s cannot be read: %s", entry.unique_id, error)
            return False
        if found.hexdigest() != entry.sha256:
            self._condemn(state)
            return False
        if state != entry.verified:
            self._note(state)
        return True

    def _stream(self) -> Iterator[bytes]:
        entry = self._entry
        state = self._blobs.state(entry.sha256)
        found = hashlib.sha256()
        try:
            with self._blobs.path(entry.sha256).open("rb", buffering=0) as file:
                left = max(0, entry.size - WITHHELD)
                while left and (chunk := file.read(min(left, CHUNK))):
                    left -= len(chunk)
                    found.update(chunk)
                    yield chunk
                end = bytearray()
                # A little more than is due, so that a file that grew does not pass.
                while len(end) <= WITHHELD and (chunk := file.read(WITHHELD + 1 - len(end))):
                    end += chunk
        except OSError as error:
            raise IntegrityLost(f"document {entry.unique_id} cannot be read: {error}") from error
        found.update(end)
        if found.hexdigest() != entry.sha256:
            self._condemn(state)
            raise IntegrityLost(f"document {entry.unique_id} no longer has the hash it was stored with")
        if end:
            yield bytes(end)

    def _condemn(self, state: str) -> None:
        log.error("document %s failed its integrity check: SHA-256 is not %s", self.unique_id, self._entry.sha256)
        try:
            # Not the fresh copy that somebody may have put there meanwhile.
            if self._blobs.state(self._entry.sha256) == state:
                self._blobs.set_aside(self._entry.sha256)
                self._index.set_quarantined(self._entry.sha256)
        except (Unavailable, NestedUnitOfWork) as error:
            # Without its file it is not served either.
            log.error("document %s could not be put into quarantine: %s", self.unique_id, error)

    def _note(self, state: str) -> None:
        try:
            self._index.set_verified(self._entry.sha256, state)
        except (Unavailable, NestedUnitOfWork) as error:
            # It is only hashed again next time.
            log.info("document %s: %s", self.unique_id, error)
