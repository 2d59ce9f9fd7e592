"""Every document of the index hashed anew, and everything in the store that the index does not name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from xdsi.domain.ports import BlobStore
from xdsi.storage.documents import SqlDocumentStore

LOCKED: Final = "locked"
MISSING: Final = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: a document that is `missing`, `rotten`, `unreadable`, `locked` or in `quarantine`, or bytes too
    many.

    `name` is the uniqueId of a document, or what `extra` bytes are called in the store.
    """

    kind: str
    name: str


def examine(store: SqlDocumentStore, blobs: BlobStore, step: Callable[[], None]) -> Iterator[Finding]:
    """Whatever is wrong, while others go on storing, removing and reading; what is rotten goes into quarantine.

    What a document is called depends on its key: where one is locked, nobody can say which bytes are extra.
    """
    # The store before the index: what comes meanwhile is in the index, or in doubt.
    unnamed = {_short(name) for name in blobs.settled()}
    good: set[bytes] = set()
    locked = False
    for document in store.all():
        sha256 = document.document.sha256
        unnamed.difference_update(_short(name) for name in blobs.names(sha256))
        digest = bytes.fromhex(sha256)
        if digest not in good:
            kind = document.examine(always=True)
            locked = locked or kind == LOCKED
            if not kind:
                good.add(digest)
            elif store.find(document.unique_id) is not None:
                yield Finding(kind, document.unique_id)
        step()
    if unnamed and not locked:
        for name in blobs.settled():
            if _short(name) in unnamed and not blobs.doubted(name):
                yield Finding("extra", name)


def _short(name: str) -> bytes | str:
    """Half the room for hundreds of thousands of names."""
    return bytes.fromhex(name) if len(name) == 64 else name
