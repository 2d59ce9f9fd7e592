"""Encryption at rest: AES-256-GCM in frames, so that a document is written and read in a stream and from any offset.

Each file has a key of its own, derived by HKDF from the key of the settings and 32 random bytes in its header. Frames
are numbered in their nonce, and the last one is marked there: what is cut off, repeated, put into another order or
taken from another file is found. Number, mark and header are authenticated data, too. The construction is STREAM
(Hoang, Reyhanitabar, Rogaway, Vizar 2015).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from xdsi.domain.errors import IntegrityLost, Unavailable

FRAME: Final = 128 * 1024
TAG: Final = 16
SALT: Final = 32
_CONTENT: Final = b"xdsi document content 1"
_NAMES: Final = b"xdsi document names 1"
_MARK: Final = b"xdsi key mark 1"


@dataclass(frozen=True)
class Keys:
    """Keys by their ids; what is written is sealed with the current one."""

    current: str
    by_id: Mapping[str, bytes] = field(repr=False)

    def frames(self, key_id: str, salt: bytes, header: bytes) -> Frames:
        """The frames of one file; Unavailable without its key."""
        key = self.by_id.get(key_id)
        if key is None:
            raise Unavailable(f"no encryption key {key_id!r}: repository.encryption_keys has {', '.join(self.by_id)}")
        return Frames(_derived(key, salt, _CONTENT), header)

    def names(self, sha256: str) -> tuple[str, ...]:
        """What a document may be called, by the current key first: who sees the name does not learn the hash."""
        digest = bytes.fromhex(sha256)
        return tuple(hmac.new(key, digest, hashlib.sha256).hexdigest() for key in self._name_keys)

    def mark(self, key_id: str) -> bytes:
        """What tells a key from others, and tells nothing else of it."""
        return _derived(self.by_id[key_id], b"", _MARK).hex().encode()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the keys, the current one first."""
        return (self.current, *(id_ for id_ in self.by_id if id_ != self.current))

    @cached_property
    def _name_keys(self) -> tuple[bytes, ...]:
        return tuple(_derived(self.by_id[id_], b"", _NAMES) for id_ in self.ids)


def _derived(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=salt or None, info=purpose).derive(key)


class Frames:
    """Seals and opens the frames of one file."""

    def __init__(self, key: bytes, header: bytes) -> None:
        self._cipher = AESGCM(key)
        self._header = header

    def seal(self, number: int, data: bytes | memoryview, *, last: bool = False) -> bytes:
        """One frame."""
        place = _place(number, last=last)
        return self._cipher.encrypt(place, data, self._header + place)

    def open(self, number: int, data: bytes | memoryview, *, last: bool = False) -> bytes:
        """What was sealed in this place; IntegrityLost where it was not."""
        place = _place(number, last=last)
        try:
            return self._cipher.decrypt(place, data, self._header + place)
        except (InvalidTag, ValueError) as error:
            raise IntegrityLost(f"frame {number} of an encrypted document was not sealed in this place") from error


def _place(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def frames_of(chunks: Iterator[bytes], length: int) -> Iterator[bytes | memoryview]:
    """The first `length` stored bytes of chunks, cut where frames end."""
    pending = bytearray()
    for chunk in chunks:
        taken = chunk[:length]
        length -= len(taken)
        pending += taken
        whole = len(pending) // (FRAME + TAG) * (FRAME + TAG)
        ready = memoryview(bytes(pending[:whole]))
        del pending[:whole]
        yield from (ready[at : at + FRAME + TAG] for at in range(0, whole, FRAME + TAG))
        if not length:
            break
    if length:
        raise IntegrityLost("an encrypted document ends early")
    if pending:
        yield bytes(pending)
