"""Requests of HTTP/1.1 for gunicorn: a plain head that came in one piece is taken apart at once.

RFC 9112. gunicorn looks at each header for whatever a proxy or an attacker may have made of it. Here only those heads
are taken that are read in one way, repeat nothing, and are far from every limit; all others are left to gunicorn.
"""

from __future__ import annotations

import re
from typing import Any

from gunicorn.http.message import Request

_HEAD = re.compile(
    rb"(GET|POST) ((/[!\"$->@-~]{0,2000})(?:\?([!\"$-~]{0,2000}))?) HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]{1,200}:[ -~]{0,2000}\r\n){1,50})\r\n"
)
"""method, target, its path and query, and header lines; no underscore in a name, which could pass for a hyphen"""
_LINE = re.compile(r"([^:]+):([^\r]*)\r\n")


class PlainRequest(Request):  # type: ignore[misc]
    """A request as gunicorn reads it, with a third of the calls where its head is plain."""

    def parse(self, unreader: Any) -> bytes:
        """Read the head; what was read behind it is returned."""
        data: bytes = unreader.read()
        head = _HEAD.match(data)
        if head is not None and self._take(head):
            return data[head.end() :]
        unreader.unread(data)
        rest: bytes = super().parse(unreader)
        return rest

    def _take(self, head: re.Match[bytes]) -> bool:
        method, target, path, query, lines = [part.decode("ascii") for part in head.groups(default=b"")]
        headers = [(name.upper(), value.strip(" ")) for name, value in _LINE.findall(lines)]
        names = {name for name, _ in headers}
        # What is expected may be refused, and what tells the scheme counts from proxies only.
        if len(names) < len(headers) or "EXPECT" in names or not names.isdisjoint(self.cfg.secure_scheme_headers):
            return False
        self.method, self.uri, self.path, self.query, self.fragment = method, target, path, query, ""
        self.version = (1, 1)
        self.headers = headers
        return True
