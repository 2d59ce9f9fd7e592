"""What a validator of one kind of file is, and what it is told beside the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from xdsi.domain.findings import Finding
from xdsi.validation.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What counts beside the standard."""

    profile: Profile = field(default_factory=Profile)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is to be said of one file, and what it turned out to be where its kind alone does not say."""

    findings: Iterable[Finding]
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """Knows one kind of file and judges it."""

    key: str
    """how `--as` names it"""
    name: str
    """for people: `MADO manifest (Key Object Selection)`"""
    knows: Callable[[bytes], bool]
    """whether a file is of this kind, by a look that never raises"""
    check: Callable[[bytes, Terms], Judged]
    """every finding; raises MalformedMessage for a file that cannot be read at all"""
    format_clause: str
    """where it stands what can be read"""
