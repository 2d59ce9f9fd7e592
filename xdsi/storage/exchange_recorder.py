"""Keeps every exchange of a simulated peer: a file for what was asked, one for the answer, and an index.

`index.jsonl` has a line for each exchange. The files are whole HTTP messages, headers first, which `xdsi validate`
reads; audit records are kept as they came. What is recorded may be personal data: the folder is its owner's alone.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Headers = Iterable[tuple[str, str]]
_LEFT_OUT = frozenset({"transfer-encoding", "connection"})
_NAMES = "authorization|cookie|token|secret|passw|pwd|api-?_?key|credential"
_CREDENTIAL = re.compile(_NAMES, re.IGNORECASE)
_PARAMETER = re.compile(rf"([?&](?:[\w.-]*(?:{_NAMES}|assertion)[\w.-]*|key|sig)=)[^&\s#]+", re.IGNORECASE)


def _without_secrets(text: str) -> str:
    return _PARAMETER.sub(r"\1(left-out)", text)


class ExchangeRecorder:
    """Numbers exchanges and writes them; threads may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()
        self._number = len(self._index.read_bytes().splitlines()) if self._index.exists() else 0

    @property
    def _index(self) -> Path:
        return self.folder / "index.jsonl"

    def exchange(
        self, request_line: str, request_headers: Headers, request: bytes, status_line: str, headers: Headers,
        answer: bytes, *, began: datetime, faults: Iterable[str] = (),
    ) -> int:  # fmt: skip
        """Keep one exchange; its number. What lets somebody in by a header or a query parameter is left out."""
        request_line = _without_secrets(request_line)
        with self._lock:
            self._number += 1
            number = self._number
            asked = self._write(f"{number:05}-request.http", request_line, request_headers, request)
            answered = self._write(f"{number:05}-response.http", status_line, headers, answer)
            self._line(number, began, request=asked, response=answered, asked=request_line, answered=status_line,
                       faults=list(faults))  # fmt: skip
        return number

    def record(self, raw: bytes, *, came: datetime, by: str, findings: list[str], faults: Iterable[str] = ()) -> int:
        """Keep one message that is not answered."""
        with self._lock:
            self._number += 1
            number = self._number
            name = f"{number:05}-audit.log"
            (self.folder / name).write_bytes(raw)
            self._line(number, came, request=name, asked=by, findings=findings, faults=list(faults))
        return number

    def _write(self, name: str, first: str, headers: Headers, body: bytes) -> str:
        shown = [(key, value) for key, value in headers if key.lower() not in _LEFT_OUT and not _CREDENTIAL.search(key)]
        kept = [f"{key}: {_without_secrets(value)}" for key, value in shown]
        head = "\r\n".join([first, *kept, "", ""]).encode("latin-1", "replace")
        (self.folder / name).write_bytes(head + body)
        return name

    def _line(self, number: int, began: datetime, **more: Any) -> None:
        ended = datetime.now(UTC)
        line = {
            "number": number,
            "began": began.isoformat(timespec="milliseconds"),
            "milliseconds": round((ended - began).total_seconds() * 1000, 1),
            **more,
        }
        with self._index.open("a", encoding="utf-8") as index:
            index.write(json.dumps(line) + "\n")
