"""Keeps the bytes of each SOAP exchange in a folder, for integrators and demonstrations.

Off unless the settings name a folder: what is recorded is personal data.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import BinaryIO


class FileRecording:
    """One exchange: two files named TIME-TRANSACTION-TRACE-{request,response}.{xml,mime}."""

    def __init__(self, folder: Path, trace: str) -> None:
        self._folder = folder
        self._stem = f"{time.time_ns()}-unknown-{trace}"
        self._extension = "xml"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._request: BinaryIO | None = None
        self._response: BinaryIO | None = None
        self._began = self._path("request")

    def _path(self, direction: str, extension: str = "part") -> Path:
        return self._folder / f"{self._stem}-{direction}.{extension}"

    def request(self, data: bytes) -> None:
        """Bytes as they came."""
        if self._request is None:
            self._request = self._began.open("wb")
        self._request.write(data)

    def name(self, transaction: str, packaging: str) -> None:
        """What the exchange turned out to be."""
        self._stem = self._stem.replace("-unknown-", f"-{transaction}-")
        self._extension = "mime" if packaging == "mtom" else "xml"

    def response(self, data: bytes) -> None:
        """Bytes as they leave."""
        if self._response is None:
            extension = "mime" if data[:2] == b"--" else "xml"
            self._response = self._path("response", extension).open("wb")
        self._response.write(data)

    def close(self) -> None:
        """The exchange is over: the request gets its final name."""
        if self._response is not None:
            self._response.close()
        if self._request is not None:
            self._request.close()
            self._began.rename(self._path("request", self._extension))
