"""What a validator of one kind of file is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from xdsi.domain.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """Knows one kind of file and judges it."""

    name: str
    """for people: `MADO manifest (Key Object Selection)`"""
    knows: Callable[[bytes], bool]
    """whether a file is of this kind, by a look that never raises"""
    check: Callable[[bytes], Iterable[Finding]]
    """every finding; raises MalformedMessage for a file that cannot be read at all"""
    format_clause: str
    """where it stands what can be read"""
