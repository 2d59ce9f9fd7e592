"""What tells whether bytes are still those that were stored: their BLAKE3 where it is known, else their SHA-256."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple, Protocol

from blake3 import blake3

from xdsi.domain.ports import Blob

AT_ONCE: Final = 512 * 1024
"""Documents up to this size are read with one call, and withheld whole until their hash was found right."""


class Hash(Protocol):
    """Of the bytes so far."""

    def update(self, data: bytes | bytearray, /) -> object:
        """Take the next bytes."""

    def hexdigest(self) -> str:
        """Lower-case hexadecimal."""


class Expected(NamedTuple):
    """The hashes of a document; `blake3` is empty where it is not known."""

    sha256: str
    blake3: str

    def begin(self, data: bytes = b"") -> Hash:
        """The one that is looked at, of these bytes; more may follow."""
        return blake3(data) if self.blake3 else hashlib.sha256(data)

    def is_met(self, found: Hash) -> bool:
        """True where the bytes are the document's."""
        return found.hexdigest() == (self.blake3 or self.sha256)


class Found(NamedTuple):
    """What bytes are: the document's or not, and their BLAKE3 as far as that is known now."""

    right: bool
    blake3: str


def hashed(blob: Blob, size: int, expected: Expected, *, both: bool) -> Found:
    """Hash bytes that should be so many; more than that are wrong. With `both`, SHA-256 decides."""
    if not both:
        found = expected.begin()
        _read(blob, size, found)
        return Found(expected.is_met(found), expected.blake3)
    sha256, other = hashlib.sha256(), blake3()
    _read(blob, size, sha256, other)
    return Found(sha256.hexdigest() == expected.sha256, other.hexdigest())


def _read(blob: Blob, size: int, *hashes: Hash) -> None:
    if size <= AT_ONCE:
        data = blob.whole(size)
        for one in hashes:
            one.update(data)
        return
    for chunk in blob.open():
        for one in hashes:
            one.update(chunk)
        size -= len(chunk)
        if size < 0:
            return
