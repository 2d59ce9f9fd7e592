"""Files asked for before their turn: GET on several kept connections, each answer read when its turn has come.

RFC 9112. One thread does it all: while one file is given on, the server looks for the next ones, and they wait in the
buffers of the connections; nothing but the file whose turn it is lies in this process. Only the plainest answer counts:
200 with a Content-Length. Any other is left to who asks again by the usual way, and says what is wrong.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from xdsi.transport.pace import Pace

CONNECTIONS = 6
SMALL = 1024 * 1024
"""bytes of a file that is asked for ahead; a larger one is a stream in its own turn, and worth waiting for"""
_WAITING = 4 * SMALL
_HEAD = 64 * 1024
_STATUS = re.compile(rb"HTTP/1\.1 200 [^\r\n]*\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*(?=\r\n)", re.IGNORECASE)
_TYPE = re.compile(rb"\r\ncontent-type:[ \t]*([^\r\n]*)", re.IGNORECASE)
_CODED = re.compile(rb"\r\n(?:transfer-encoding|content-encoding):", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_FAILURES = 3
"""so many answers that did not come whole, and the server is asked ahead no more: it would do everything twice"""
_PATH = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is, and how large it is said to be; 0 where that is not said."""

    path: str
    size: int

    @property
    def ahead(self) -> bool:
        """Whether it is asked for before its turn."""
        return 0 < self.size <= SMALL


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer that came whole."""

    content_type: str
    content: bytes
    last: bool = False
    """the server closes the connection after it"""


class AskingAhead:
    """Asks one server for small files; what does not come whole is left to who can ask again and say why."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        tls: ssl.SSLContext | None,
        connect_seconds: float,
        read_seconds: float,
        minimum_rate: float = 0.0,
    ) -> None:
        parts = urlsplit(url)
        self._tls = tls if parts.scheme == "https" else None
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._root = parts.path.rstrip("/")
        given = {"Host": parts.netloc.rpartition("@")[2], **headers}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in given.items()) + "\r\n"
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._minimum_rate = minimum_rate

    def answers(self, places: Sequence[Place]) -> Iterator[Whole | None]:
        """The answer for each place in order; None for a file that is not small, or did not come whole."""
        asked: deque[socket.socket | None] = deque()
        idle: list[socket.socket] = []
        waiting = following = failed = 0

        def ask() -> None:
            nonlocal waiting, following
            while following < len(places) and len(asked) < CONNECTIONS:
                place = places[following]
                if place.ahead and asked and waiting + place.size > _WAITING:
                    return
                asked.append(self._ask(place, idle) if place.ahead and failed < _FAILURES else None)
                waiting += place.size if place.ahead else 0
                following += 1

        try:
            for place in places:
                ask()
                connection = asked.popleft()
                whole = self._read(connection, idle) if connection is not None else None
                waiting -= place.size if place.ahead else 0
                failed += connection is not None and whole is None
                # The server is to look for the next ones while this one is given on.
                ask()
                yield whole
        finally:
            for one in (*asked, *idle):
                if one is not None:
                    one.close()

    def _ask(self, place: Place, idle: list[socket.socket]) -> socket.socket | None:
        path = self._root + place.path
        if not _PATH.fullmatch(path):
            return None
        question = f"GET {path} HTTP/1.1\r\n{self._headers}".encode("latin-1")
        while idle:
            kept = idle.pop()
            try:
                kept.sendall(question)
            except OSError:
                kept.close()
            else:
                return kept
        fresh: socket.socket | None = None
        try:
            fresh = self._connect()
            fresh.sendall(question)
        except OSError:
            if fresh is not None:
                fresh.close()
            return None
        return fresh

    def _connect(self) -> socket.socket:
        made = socket.create_connection((self._host, self._port), timeout=self._connect_seconds)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            try:
                made = self._tls.wrap_socket(made, server_hostname=self._host)
            except OSError:
                made.close()
                raise
        made.settimeout(self._read_seconds)
        return made

    def _read(self, connection: socket.socket, idle: list[socket.socket]) -> Whole | None:
        """The answer on a connection, which is idle then, or closed where the answer is not of the plainest kind."""
        try:
            whole = _plain_answer(connection, Pace(self._read_seconds, self._minimum_rate))
        except OSError:
            whole = None
        if whole is None or whole.last:
            connection.close()
        else:
            idle.append(connection)
        return whole


def _plain_answer(connection: socket.socket, pace: Pace) -> Whole | None:
    """None for whatever is not a 200 with a length, or comes with more or less than that."""
    came = b""
    while (end := came.find(b"\r\n\r\n")) < 0:
        pace.waits()
        more = connection.recv(_HEAD)
        pace.came(len(more))
        came += more
        if not more or len(came) > _HEAD:
            return None
    head, begun = came[: end + 2], came[end + 4 :]
    lengths = _LENGTH.findall(head)
    if not _STATUS.match(head) or len(lengths) != 1 or _CODED.search(head):
        return None
    size = int(lengths[0])
    if size > SMALL or len(begun) > size:
        return None
    content = bytearray(size)
    content[: len(begun)] = begun
    at = len(begun)
    view = memoryview(content)
    while at < size:
        pace.waits()
        count = connection.recv_into(view[at:])
        pace.came(count)
        if count == 0:
            return None
        at += count
    kind = _TYPE.search(head)
    said = kind[1].decode("latin-1").strip() if kind else ""
    return Whole(said, bytes(content), last=_CLOSES.search(head) is not None)
