"""What comes of a run: findings, exchanges, a result for each case, and the report of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from .answers import Answer
from .messages import HttpRequest
from .model import Case, Step


class Verdict(StrEnum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """Something that is not as a case expects it."""

    step: str
    expected: str
    found: str
    clause: str = ""
    """of the text that demands it"""

    def __str__(self) -> str:
        return f"{self.step}: expected {self.expected}; found {self.found}"


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as they went over the wire."""

    case: Case
    step: Step
    request: HttpRequest
    http: int
    """0: there was no answer"""
    headers: Mapping[str, str]
    body: bytes
    answer: Answer | None
    """taken apart; None where it cannot be"""
    seconds: float


SHOWN = 64 * 1024
"""bytes of a message that a result keeps"""
_SHOWN_HEADERS = 100, 4096
"""headers of a message that a result keeps, and characters of each"""


def _shortened(headers: Mapping[str, str]) -> dict[str, str]:
    most, length = _SHOWN_HEADERS
    return {name[:length]: text[:length] for name, text in list(headers.items())[:most]}


@dataclass(frozen=True)
class Recorded:
    """An exchange as a result keeps it, long messages cut off."""

    step: str
    method: str
    url: str
    request_headers: Mapping[str, str]
    request: bytes
    request_size: int
    http: int
    response_headers: Mapping[str, str]
    response: bytes
    response_size: int
    seconds: float

    @classmethod
    def of(cls, exchange: Exchange) -> Recorded:
        """What is kept of an exchange."""
        request = exchange.request
        return cls(
            step=exchange.step.name,
            method=request.method,
            url=request.url,
            request_headers=_shortened(request.headers),
            request=request.body[:SHOWN],
            request_size=len(request.body),
            http=exchange.http,
            response_headers=_shortened(exchange.headers),
            response=exchange.body[:SHOWN],
            response_size=len(exchange.body),
            seconds=exchange.seconds,
        )


@dataclass(frozen=True)
class Result:
    """What came of one case; one that was not played says why, a plan what of it could not be mapped."""

    case: Case
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    exchanges: tuple[Recorded, ...] = ()
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """A run of cases against one endpoint."""

    endpoint: str
    started: datetime
    results: Sequence[Result] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        """Whether no case failed and at least one was played."""
        counts = self.counts()
        return not counts[Verdict.FAILED] and bool(counts[Verdict.PASSED])

    def counts(self) -> Counter[Verdict]:
        """How many cases came to what."""
        return Counter(result.verdict for result in self.results)
