"""Requests as bytes: for what a well-behaved client would never send."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from tests.security.targets import Target
from tests.trusted import Trusted

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass(frozen=True)
class Raw:
    """Everything that came back on a connection until it was closed."""

    content: bytes

    @property
    def statuses(self) -> tuple[int, ...]:
        """Of each answer, in turn."""
        return tuple(int(one) for one in _STATUS.findall(self.content))

    def gives_away(self, wanted: Target, said: bytes) -> list[bytes]:
        """What it tells of a study beyond what was said in asking."""
        found = [one for one in wanted.identifiers if one in self.content and one not in said]
        found += [one for one in wanted.pixels if one in self.content]
        marks = (b"DocumentResponse>", b"<rim:ExtrinsicObject", b"DICM", b"image/jpeg", b"image/png", b"00080018")
        return found + [one for one in marks if one in self.content]

    def shape(self, words: Sequence[str]) -> str:
        """The answer without what differs from one request to the next."""
        text = self.content.decode("utf-8", "replace")
        for word in words:
            text = text.replace(word, "ASKED")
        text = re.sub(r"urn:uuid:[0-9a-f-]{36}", "UUID", text)
        text = re.sub(r"[0-9a-f]{32}", "TRACE", text)
        return re.sub(r"(?m)^(Date|Content-Length): .*$", "", text)


_CONTEXTS: dict[tuple[str, str], ssl.SSLContext] = {}


def _context(hub: Trusted, node: str) -> ssl.SSLContext:
    key = (hub.server.base_url, node)
    if key not in _CONTEXTS:
        _CONTEXTS[key] = hub.context(node)
    return _CONTEXTS[key]


def sent(hub: Trusted, octets: bytes, *, node: str = "consumer") -> Raw:
    """Send octets over the connection of a node, and read until the server closes it."""
    with hub.server.connect(_context(hub, node)) as connection:
        answer = b""
        with suppress(OSError):
            connection.sendall(octets)
            while piece := connection.recv(65536):
                answer += piece
    return Raw(answer)
