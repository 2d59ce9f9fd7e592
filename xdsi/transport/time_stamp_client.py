"""Asks a time stamping authority over HTTP (RFC 3161, 3.4)."""

from __future__ import annotations

import ssl

from xdsi.domain.errors import Unavailable
from xdsi.transport.http_client import HttpAccess, HttpClient
from xdsi.wire.time_stamp import ANSWER_TYPE, REQUEST_TYPE, stamp


class TimeStampClient:
    """One authority; `tls` is how its https: URL is trusted, the public authorities unless told."""

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None, read_seconds: float = 20.0) -> None:
        self.url = url
        self._http = HttpClient(url, HttpAccess(tls=tls, read_seconds=read_seconds, retries=1))

    def __call__(self, octets: bytes) -> bytes:
        """The token for these octets; Unavailable or MalformedMessage where there is none."""
        return stamp(octets, self._ask)

    def _ask(self, request: bytes) -> bytes:
        status, answer = self._http.store("", REQUEST_TYPE, [request], accept=ANSWER_TYPE)
        if status != 200:
            raise Unavailable(f"{self.url} answers with HTTP status {status}")
        return answer
