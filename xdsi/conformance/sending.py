"""A message on its way to somebody's server, and what comes back: no more of it and no longer than the endpoint allows.

Nobody knows what answers: it may never end, drip, unpack to more than there is memory for, or point elsewhere.
"""

from __future__ import annotations

import http.client
import socket
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .messages import HttpRequest

MEBIBYTE = 1024 * 1024
_PIECE = 64 * 1024
_PACKED = {"gzip", "x-gzip", "deflate"}


@dataclass(frozen=True)
class Limits:
    """What an exchange may take."""

    silence: float
    """seconds to wait for a connection, and for each further byte"""
    whole: float
    """seconds from the first byte of the request to the last of the answer"""
    answer: int
    """bytes of an answer, unpacked"""


@dataclass(frozen=True)
class Received:
    """What came back, as far as it was read; `trouble` says why it is no whole answer."""

    http: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    trouble: str = ""


class _TooMuch(Exception):
    """The answer is more than is taken, or packed in a way that nobody can undo."""


@dataclass
class _Watch:
    """Ends the connection of an exchange that lasts too long."""

    over: bool = False
    wire: socket.socket | None = None

    def end(self) -> None:
        self.over = True
        if self.wire is not None:
            # Of TLS, too, this is the TCP connection: whoever reads from it finds its end.
            with suppress(OSError):
                socket.socket.shutdown(self.wire, socket.SHUT_RDWR)


_WATCH: ContextVar[_Watch | None] = ContextVar("watch", default=None)


class _Answer(http.client.HTTPResponse):
    """Takes no chunk of a negative size for everything that may still come."""

    def _safe_read(self, amt: int) -> bytes:
        if amt < 0:
            raise http.client.HTTPException(f"a chunk of {amt} bytes")
        return super()._safe_read(amt)  # type: ignore[misc, no-any-return]


class _Watched(HTTPConnection):
    """Shows its socket to whoever watches."""

    response_class = _Answer

    def connect(self) -> None:
        super().connect()
        self._show()

    def request(self, *given: Any, **named: Any) -> None:
        self._show()
        super().request(*given, **named)

    def _show(self) -> None:
        watch, wire = _WATCH.get(), self.sock
        if watch is None or wire is None:
            return
        watch.wire = wire
        if watch.over:
            watch.end()


class _WatchedTls(_Watched, HTTPSConnection):
    """The same with TLS."""


class Connections(HTTPConnectionPool):
    """Those of a host; the name stands in messages."""

    ConnectionCls = _Watched


class TlsConnections(HTTPSConnectionPool):
    """Those of a host, with TLS."""

    ConnectionCls = _WatchedTls


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *given: Any, **named: Any) -> None:
        super().init_poolmanager(*given, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": Connections, "https": TlsConnections}


class Session(requests.Session):
    """Connections that take nothing from the environment and never go where an answer points to."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Nowhere: what a message holds is for the endpoint alone."""
        return None


def send(
    session: requests.Session, request: HttpRequest, limits: Limits, certificate: tuple[str, str] | None = None
) -> Received:
    """Send a message, with this certificate, and read the answer; OSError only for certificates that cannot be read."""
    body = iter([request.body]) if request.chunked else request.body
    watch = _Watch()
    came = Received()
    pieces: list[bytes] = []
    with _watched(watch, limits.whole):
        try:
            with session.request(
                request.method, request.url, data=body or None, headers=request.headers, allow_redirects=False,
                stream=True, timeout=min(limits.silence, limits.whole), cert=certificate,
            ) as response:  # fmt: skip
                came = Received(response.status_code, response.headers)
                raw = response.raw.stream(_PIECE, decode_content=False)
                for piece in _bounded(_unpacked(raw, response.headers), limits.answer):
                    pieces.append(piece)  # what came before a mishap is shown
            trouble = ""
        except (
            requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, zlib.error, _TooMuch,
        ) as error:  # fmt: skip
            trouble = str(error) if isinstance(error, _TooMuch) else f"{type(error).__name__}: {error}"
        except (OSError, ValueError, LookupError, AttributeError) as error:
            if not came.http and not watch.over:
                raise
            trouble = f"the answer is no HTTP that can be read: {type(error).__name__}: {error}"
    if watch.over:
        trouble = f"timed out: the exchange was not over after {limits.whole:g} s (--deadline)"
    return Received(came.http, came.headers, b"".join(pieces), trouble)


@contextmanager
def _watched(watch: _Watch, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, watch.end)
    timer.daemon = True
    token = _WATCH.set(watch)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _WATCH.reset(token)


def _bounded(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The pieces as they come; _TooMuch where they are more than `most` bytes."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise _TooMuch(f"the answer is larger than {most} bytes (--max-answer), and was not read to its end")
        yield piece


def _unpacked(pieces: Iterable[bytes], headers: Mapping[str, str]) -> Iterator[bytes]:
    """The pieces without their Content-Encoding, none much larger than it was asked for."""
    coding = headers.get("Content-Encoding", "").strip().lower()
    if coding in ("", "identity"):
        yield from pieces
        return
    if coding not in _PACKED:
        raise _TooMuch(f"Content-Encoding {coding[:80]!r} was not asked for")
    unpacking, begun = zlib.decompressobj(wbits=47), False
    for piece in pieces:
        left = piece
        while left:
            begun = True
            yield unpacking.decompress(left, _PIECE)
            left = unpacking.unconsumed_tail
            if unpacking.eof:
                left, unpacking, begun = unpacking.unused_data, zlib.decompressobj(wbits=47), False
    yield unpacking.flush()
    if begun:
        raise _TooMuch(f"the answer breaks off in the middle of its Content-Encoding {coding}")
