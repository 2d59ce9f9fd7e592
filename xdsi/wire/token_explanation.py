"""What is said of a token, whatever its form: each check with its outcome, each attribute with what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xdsi.domain.errors import SecurityFault


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what it looked at, what was found wrong (empty where nothing was), and what is right."""

    name: str
    fault: str
    """the code that a sender would get; empty where the check is met"""
    detail: str
    expected: str

    @property
    def met(self) -> bool:
        """True where nothing is wrong."""
        return not self.fault


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of an assertion, or one claim of an access token, as it stands there."""

    name: str
    values: tuple[str, ...]
    use: str
    """required, used, or ignored"""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All there is to say about a token."""

    checks: tuple[Check, ...]
    attributes: tuple[Attribute, ...]
    accepted: bool


def check(name: str, expected: str, run: Callable[[], Any]) -> Check:
    """What came of one check."""
    try:
        run()
    except SecurityFault as fault:
        return Check(name, fault.wsse_code, fault.detail, expected)
    return Check(name, "", "", expected)
