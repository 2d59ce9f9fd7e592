"""How a store writes bytes: as they are, compressed, sealed, or compressed and sealed.

What is not as it is has a header that says so, and a trailer with the SHA-256 and the size of the plain bytes:

    magic, flags, length of the key id, key id, salt (where sealed) | body | trailer

A document that happens to begin like such a header gets one, too; so every file says itself what it is, and settings
may change while old files stay.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from xdsi.domain.errors import IntegrityLost, Unavailable
from xdsi.domain.submission import Document
from xdsi.storage.sealing import FRAME, SALT, TAG, Frames, Keys, frames_of

MAGIC: Final = b"\x8dXDSIB1\n"
SEEN: Final = 64 * 1024
"""how much of a document is looked at to find what it is"""
_GZIP: Final = 1
_SEALED: Final = 2
_TRAILER: Final = 40
_CHUNK: Final = 512 * 1024

Source = Callable[[int], Iterator[bytes]]
"""opens what is stored, from an offset on"""


@dataclass(frozen=True)
class Form:
    """How documents are written from now on; whatever was written by another one is read all the same."""

    compress: bool = False
    keys: Keys | None = None

    def begin(self, seen: bytes) -> Writer | None:
        """How a document that begins so is written; None for as it is."""
        compress = self.compress and is_text(seen)
        if not compress and self.keys is None and not seen.startswith(MAGIC):
            return None
        flags = (_GZIP if compress else 0) | (_SEALED if self.keys else 0)
        key_id = self.keys.current.encode() if self.keys else b""
        salt = os.urandom(SALT) if self.keys else b""
        header = MAGIC + bytes([flags, len(key_id)]) + key_id + salt
        frames = self.keys.frames(self.keys.current, salt, header) if self.keys else None
        return Writer(header, zlib.compressobj(wbits=31) if compress else None, frames)

    def names(self, sha256: str) -> tuple[str, ...]:
        """What a document may be called in the store, what it is called from now on first."""
        if len(sha256) != 64 or sha256.strip("0123456789abcdef"):
            raise ValueError("not a SHA-256")
        return (*(self.keys.names(sha256) if self.keys else ()), sha256)

    def named(self, sha256: str) -> tuple[tuple[str, str], ...]:
        """The same names, each after the id of the key that made it; it is empty for the name without a key."""
        names = self.names(sha256)
        if self.keys is None:
            return (("", sha256),)
        return tuple(zip((*self.keys.ids, ""), names, strict=True))

    def has_key(self, key_id: str) -> bool:
        """True for a key that can be read with; what is not encrypted needs none."""
        return not key_id or (self.keys is not None and key_id in self.keys.by_id)

    def read(self, source: Source, stored: int, start: int = 0) -> Iterator[bytes]:
        """The plain bytes from an offset on, of a file of `stored` bytes."""
        chunks = source(0)
        seen = _at_least(chunks, len(MAGIC))
        if not seen.startswith(MAGIC):
            yield from source(start) if start else chain((seen,), chunks)
            return
        header, rest = self._header(seen, chunks)
        yield from _plain(header, source, chain((rest,), chunks), stored, start)

    def described(self, source: Source, stored: int) -> tuple[str, int]:
        """The SHA-256 and the size of the plain bytes, by the trailer; no hash where they are as they are."""
        chunks = source(0)
        seen = _at_least(chunks, len(MAGIC))
        if not seen.startswith(MAGIC):
            return "", stored
        header, _ = self._header(seen, chunks)
        return header.described(source, stored)

    def is_current(self, source: Source) -> bool:
        """True where a file is encrypted with the current key, or rightly not at all."""
        return key_id(source) == (self.keys.current if self.keys else None)

    def _header(self, seen: bytes, chunks: Iterator[bytes]) -> tuple[_Header, bytes]:
        fixed = len(MAGIC) + 2
        if len(seen) < fixed:
            seen += _at_least(chunks, fixed - len(seen))
        if len(seen) < fixed:
            raise IntegrityLost("the header of a stored document ends early")
        flags, length = seen[fixed - 2], seen[fixed - 1]
        size = fixed + length + (SALT if flags & _SEALED else 0)
        if len(seen) < size:
            seen += _at_least(chunks, size - len(seen))
        if len(seen) < size or flags & ~(_GZIP | _SEALED):
            raise IntegrityLost("the header of a stored document is not one")
        raw, key_id = seen[:size], seen[fixed : fixed + length].decode("utf-8", "replace")
        frames: Frames | None = None
        if flags & _SEALED:
            if self.keys is None:
                raise Unavailable(
                    f"a document is encrypted with the key {key_id!r}; repository.encryption_keys is empty"
                )
            frames = self.keys.frames(key_id, raw[-SALT:], raw)
        return _Header(size, bool(flags & _GZIP), frames), seen[size:]


PLAIN: Final = Form()


def key_id(source: Source) -> str | None:
    """The id of the key that a file is encrypted with, by its header; None where it is not."""
    chunks = source(0)
    seen = _at_least(chunks, len(MAGIC) + 2)
    if not seen.startswith(MAGIC) or len(seen) < len(MAGIC) + 2 or not seen[len(MAGIC)] & _SEALED:
        return None
    at = len(MAGIC) + 2
    end = at + seen[at - 1]
    if len(seen) < end:
        seen += _at_least(chunks, end - len(seen))
    return seen[at:end].decode("utf-8", "replace")


class Writer:
    """Writes one document."""

    def __init__(self, header: bytes, compressor: zlib._Compress | None, frames: Frames | None) -> None:
        self._pending = bytearray()
        self._header = header
        self._compressor = compressor
        self._frames = frames
        self._number = 0

    def add(self, data: bytes) -> bytes:
        """What can be stored once these bytes have come."""
        written = self._begun()
        body = self._compressor.compress(data) if self._compressor else data
        return written + self._framed(body) if self._frames else written + body

    def end(self, sha256: str, size: int) -> bytes:
        """What remains to be stored."""
        written = self._begun()
        body = self._compressor.flush() if self._compressor else b""
        trailer = bytes.fromhex(sha256) + size.to_bytes(8, "big")
        if self._frames is None:
            return written + body + trailer
        written += self._framed(body)
        if self._pending:
            written += self._seal(bytes(self._pending))
        return written + self._frames.seal(self._number, trailer, last=True)

    def _begun(self) -> bytes:
        header, self._header = self._header, b""
        return header

    def _framed(self, data: bytes) -> bytes:
        self._pending += data
        whole = len(self._pending) // FRAME * FRAME
        ready = memoryview(bytes(self._pending[:whole]))
        del self._pending[:whole]
        return b"".join([self._seal(ready[at : at + FRAME]) for at in range(0, whole, FRAME)])

    def _seal(self, data: bytes | memoryview) -> bytes:
        assert self._frames is not None
        self._number += 1
        return self._frames.seal(self._number - 1, data)


class Encoding:
    """The bytes to store for a document, in one pass; `sha256` of the plain ones is known at the end."""

    def __init__(self, document: Document, form: Form) -> None:
        self._document = document
        self._form = form
        self.sha256 = ""

    def __iter__(self) -> Iterator[bytes]:
        found, size = hashlib.sha256(), 0
        chunks = self._document.open()
        seen = _at_least(chunks, SEEN)
        writer = self._form.begin(seen)
        for chunk in chain((seen,), chunks):
            found.update(chunk)
            size += len(chunk)
            written = writer.add(chunk) if writer else chunk
            if written:
                yield written
        if size != self._document.size or self._document.sha256 not in ("", found.hexdigest()):
            raise IntegrityLost("a document changed between its arrival and its storing")
        if writer:
            yield writer.end(found.hexdigest(), size)
        self.sha256 = found.hexdigest()


def is_text(seen: bytes) -> bool:
    """True where compression pays: text has no NUL in it, and images and archives have."""
    return bool(seen) and b"\0" not in seen


@dataclass(frozen=True, slots=True)
class _Header:
    size: int
    compressed: bool
    frames: Frames | None

    def body(self, stored: int) -> int:
        """How many stored bytes lie between header and trailer."""
        length = stored - self.size - _TRAILER - (TAG if self.frames else 0)
        if length < 0:
            raise IntegrityLost("a stored document ends early")
        return length

    def described(self, source: Source, stored: int) -> tuple[str, int]:
        length = self.body(stored)
        trailer = b"".join(source(self.size + length))
        if self.frames:
            trailer = self.frames.open(-(-length // (FRAME + TAG)), trailer, last=True)
        if len(trailer) != _TRAILER:
            raise IntegrityLost("the trailer of a stored document is not one")
        return trailer[:32].hex(), int.from_bytes(trailer[32:], "big")


def _plain(header: _Header, source: Source, rest: Iterator[bytes], stored: int, start: int) -> Iterator[bytes]:
    _, size = header.described(source, stored)
    length = header.body(stored)
    skipped, number = (0 if header.compressed else start), 0
    if skipped and header.frames:
        number = skipped // FRAME
        at = number * (FRAME + TAG)
        rest, length, skipped = source(header.size + at), length - at, skipped - number * FRAME
    elif skipped:
        rest, length, skipped = source(header.size + skipped), length - skipped, 0
    left = size - start
    opened: Iterator[bytes]
    if header.frames:
        opened = (header.frames.open(number + at, one) for at, one in enumerate(frames_of(rest, length)))
    else:
        opened = _first(rest, length)
    for chunk in _inflated(opened) if header.compressed else opened:
        skip = start if header.compressed else skipped
        if skip:
            chunk, gone = chunk[skip:], min(skip, len(chunk))
            start, skipped = (start - gone, 0) if header.compressed else (start, skipped - gone)
        left -= len(chunk)
        if left < 0:
            break
        if chunk:
            yield chunk
    if left:
        raise IntegrityLost("a stored document has not the size that its end says")


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflate = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            pending = chunk
            while pending:
                # A little data may become very much: never all at once.
                yield inflate.decompress(pending, _CHUNK)
                pending = inflate.unconsumed_tail
        yield inflate.flush()
    except zlib.error as error:
        raise IntegrityLost(f"a compressed document cannot be read: {error}") from error
    if not inflate.eof:
        raise IntegrityLost("a compressed document ends early")


def _first(chunks: Iterator[bytes], length: int) -> Iterator[bytes]:
    for chunk in chunks:
        taken = chunk[:length]
        length -= len(taken)
        if taken:
            yield taken
        if not length:
            return
    if length:
        raise IntegrityLost("a stored document ends early")


def up_to(chunks: Iterable[bytes], size: int) -> bytes:
    """The bytes of chunks in one piece; no more are taken once there are more than so many."""
    read: list[bytes] = []
    for chunk in chunks:
        read.append(chunk)
        size -= len(chunk)
        if size < 0:
            break
    return read[0] if len(read) == 1 else b"".join(read)


def _at_least(chunks: Iterator[bytes], size: int) -> bytes:
    """The first chunks, so many that they have at least so many bytes."""
    seen = b""
    while len(seen) < size and (chunk := next(chunks, None)) is not None:
        seen += chunk
    return seen
