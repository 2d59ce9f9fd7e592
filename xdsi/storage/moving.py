"""A store whose documents are moved to another one while both are read: new documents go to the new one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from xdsi.domain.errors import IntegrityLost, Unavailable
from xdsi.domain.ports import Blob, BlobStore
from xdsi.domain.submission import Document
from xdsi.storage.document_index import DocumentIndex, Indexed


class MovingBlobs:
    """Writes to the first store and reads from whichever has the bytes; implements the port BlobStore."""

    def __init__(self, newest: BlobStore, former: Sequence[BlobStore]) -> None:
        self._newest = newest
        self._stores = (newest, *former)

    def put(self, document: Document) -> str:
        """Make bytes durable in the new store."""
        return self._newest.put(document)

    def find(self, sha256: str) -> Blob | None:
        """The bytes, in the new store where they are there already."""
        return next((found for one in self._stores if (found := one.find(sha256)) is not None), None)

    def confirm(self, sha256: str) -> None:
        """No longer in doubt, wherever they lie."""
        for one in self._stores:
            one.confirm(sha256)

    def doubt(self, sha256: str) -> None:
        """Perhaps nobody's any more, wherever they lie."""
        for one in self._stores:
            one.doubt(sha256)

    def collect(self, is_used: Callable[[str], bool], *, grace: float) -> Sequence[str]:
        """Remove what nobody uses, wherever it lies."""
        return [sha256 for one in self._stores for sha256 in one.collect(is_used, grace=grace)]

    def names(self, sha256: str) -> Sequence[str]:
        """What a document may be called in any of the stores."""
        return [name for one in self._stores for name in one.names(sha256)]

    def settled(self) -> Iterator[str]:
        """What lies in any of them."""
        for one in self._stores:
            yield from one.settled()

    def doubted(self, name: str) -> bool:
        """True where one of them has it in doubt."""
        return any(one.doubted(name) for one in self._stores)

    def has_key(self, key_id: str) -> bool:
        """True where what is encrypted with this key can be read."""
        return self._newest.has_key(key_id)

    def close(self) -> None:
        """Close them all."""
        for one in self._stores:
            one.close()


@dataclass(slots=True)
class Moved:
    """What a move came to: documents by what was done with them, and those that could not be moved with the reason.

    Of several with the same bytes one is copied, and is present for the others.
    """

    copied: int = 0
    present: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def move(index: DocumentIndex, sources: Sequence[BlobStore], target: BlobStore, step: Callable[[], None]) -> Moved:
    """Copy every document to the target and read each copy back; what is there in its present form stays.

    Nothing is removed. A run that was broken off goes on where it ended: a copy is in doubt until it was read back.
    """
    result = Moved()
    for entry in index.all():
        try:
            copied = _move(entry, sources, target)
        except (IntegrityLost, LookupError) as error:
            if index.find(entry.unique_id) is not None:
                result.failed.append((entry.unique_id, str(error)))
        else:
            if copied and index.find(entry.unique_id) is not None:
                target.confirm(entry.sha256)
            result.copied += copied
            result.present += not copied
        step()
    return result


def _move(entry: Indexed, sources: Sequence[BlobStore], target: BlobStore) -> bool:
    present = target.find(entry.sha256)
    if present is not None and present.current and not target.doubted(target.names(entry.sha256)[0]):
        return False
    if present is None or not present.current:
        found = (blob for one in (*sources, target) if (blob := one.find(entry.sha256)) is not None)
        _copy(entry, list(found), target)
        present = target.find(entry.sha256)
    if present is None or _hash(present) != entry.sha256:
        if present is not None:
            present.set_aside()
        raise IntegrityLost("the copy is not what was written")
    return True


def _copy(entry: Indexed, found: Sequence[Blob], target: BlobStore) -> None:
    problem: Exception = LookupError("its bytes are in no store")
    for blob in found:
        try:
            target.put(Document(blob.open, entry.size, entry.sha1, entry.sha256))
            return
        except IntegrityLost as error:
            problem = error
    raise problem


def _hash(blob: Blob) -> str:
    found = hashlib.sha256()
    try:
        for chunk in blob.open():
            found.update(chunk)
    except Unavailable as error:
        raise IntegrityLost(f"the copy cannot be read back: {error}") from error
    return found.hexdigest()
