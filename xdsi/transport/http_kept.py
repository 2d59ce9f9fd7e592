"""Connections of HTTP/1.1 that are kept for the next request, for urllib3's pools.

RFC 9112. What the library does for any message is dear for ours, which are small and answered plainly: it sends a head
by itself, and reads that of an answer with the parser for mail.
"""

from __future__ import annotations

import re
import ssl
import time
from http.client import HTTPMessage
from http.client import HTTPResponse as Answer
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse

from xdsi.transport.tls import ClientContext

_KEPT_SECONDS = 4.0
"""Servers close a connection that was idle for 5 seconds (Apache httpd) to 75 (nginx, and ours)."""
_TOGETHER = 64 * 1024
"""bytes of a body at most that are copied to go out together with their head"""
_HEAD = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ([ -~]*)\r\n((?:[!#-'*+.^_`|~0-9A-Za-z-]+:[ -~]*\r\n){1,90})\r\n")
"""of an answer: status, reason, and lines that are read in one way only"""
_LINE = re.compile(r"([^:]+): *([^\r]*)\r\n")
_LENGTH = re.compile(r"[0-9]{1,15}")
_WITHOUT_BODY = (204, 304)


class _Answer(Answer):
    """An answer whose head is taken apart at once where it is plain: it came in one piece, and says how long it is."""

    def begin(self) -> None:
        """Read the head; any other is left to the library, which has not missed a byte of it."""
        if not self._begun():
            super().begin()

    def _begun(self) -> bool:
        head = _HEAD.match(self.fp.peek())
        if head is None or self._method == "HEAD":  # type: ignore[attr-defined]
            return False
        lines = _LINE.findall(head[3].decode("ascii"))
        said = {name.lower(): value for name, value in lines}
        status, length = int(head[1]), said.get("content-length", "")
        if (
            len(said) < len(lines)
            or "transfer-encoding" in said
            or not _LENGTH.fullmatch(length)
            or status in _WITHOUT_BODY
        ):
            return False
        self.fp.read(head.end())
        self.version, self.status, self.reason = 11, status, head[2].decode("ascii").strip()
        self.headers = self.msg = HTTPMessage()
        for name, value in lines:
            self.msg.set_raw(name, value)
        self.chunked, self.length = False, int(length)
        self.will_close = "close" in said.get("connection", "").lower()
        return True


class _Kept(HTTPConnection):
    """A connection that is used again only for a while: a server closes what nobody uses.

    A request that is on its way at that moment is lost. Who asks does so once more, but a submission would be refused,
    and nobody would know what became of it.
    """

    response_class = _Answer
    _answered = 0.0
    _gathered: list[bytes] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the next request may go by it."""
        return time.monotonic() - self._answered < _KEPT_SECONDS and super().is_connected

    def request(self, method: str, url: str, body: Any = None, *arguments: Any, **named: Any) -> None:
        """Send a request; head and body of a small one together, so that nobody is woken for the head alone."""
        if not isinstance(body, bytes) or len(body) > _TOGETHER:
            super().request(method, url, body, *arguments, **named)
            return
        self._gathered = []
        try:
            super().request(method, url, body, *arguments, **named)
            whole = b"".join(self._gathered)
        finally:
            self._gathered = None
        self.send(whole)

    def send(self, data: Any) -> None:
        """Send bytes, or hold them until the rest of the request is there."""
        if self._gathered is None:
            super().send(data)
        else:
            self._gathered.append(data)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """The answer, from whose head on the connection may be idle."""
        answer = super().getresponse()
        self._answered = time.monotonic()
        return answer


class _KeptTls(_Kept, HTTPSConnection):
    """A connection that is not used any more once our own certificate was exchanged: it shows the former one."""

    @property
    def is_connected(self) -> bool:
        """Whether the next request may go by it."""
        if not super().is_connected:
            return False
        context, sock = self.ssl_context, self.sock
        return not isinstance(context, ClientContext) or (isinstance(sock, ssl.SSLSocket) and context.made(sock))


class Connections(HTTPConnectionPool):
    """Connections to one server."""

    ConnectionCls = _Kept


class TlsConnections(HTTPSConnectionPool):
    """Connections to one server, of which those are used on that show our present certificate."""

    ConnectionCls = _KeptTls
