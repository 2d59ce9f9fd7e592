"""Validators of files, one for each kind; who is given a file finds the one that knows it.

A further kind is a module with a `Validator`, and a line in `VALIDATORS`.
"""

from __future__ import annotations

from typing import Final

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.findings import Finding, Level, Report
from xdsi.validation import (
    assertions,
    audits,
    consents,
    er7_messages,
    interactions,
    manifests,
    messages,
    signatures,
)
from xdsi.validation.profile import Profile, read_profile
from xdsi.validation.validator import Judged, Terms, Validator

__all__ = [
    "MAX_BYTES",
    "MAX_FINDINGS",
    "VALIDATORS",
    "Judged",
    "Profile",
    "Terms",
    "Validator",
    "by_key",
    "read_profile",
    "validate",
]

VALIDATORS: Final[tuple[Validator, ...]] = (
    *manifests.VALIDATORS,
    *er7_messages.VALIDATORS,
    *audits.VALIDATORS,
    *messages.VALIDATORS,
    *interactions.VALIDATORS,
    *assertions.VALIDATORS,
    *consents.VALIDATORS,
    *signatures.VALIDATORS,
)
"""in the order in which they are asked: a message may hold an assertion, which holds a signature"""
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_FINDINGS: Final = 500
"""that are told one by one"""
_BOM = b"\xef\xbb\xbf"


def by_key(key: str) -> Validator | None:
    """The validator that `--as` names."""
    return next((one for one in VALIDATORS if one.key == key), None)


def validate(raw: bytes, *, key: str = "", terms: Terms | None = None) -> Report:
    """Everything found in the bytes of a file; as the kind of a key, or as the kind that it looks like."""
    raw = raw.removeprefix(_BOM)
    validator = by_key(key) if key else next((one for one in VALIDATORS if one.knows(raw)), None)
    if validator is None:
        known = ", ".join(one.name for one in VALIDATORS)
        unknown = Finding(
            rule="file.kind",
            level=Level.ERROR,
            place="",
            text="no validator knows a file of this kind",
            expected=f"one of: {known}",
            clause="",
        )
        return Report(kind="", findings=(unknown,))
    found: list[Finding] = []
    about = ""
    try:
        judged = validator.check(raw, terms or Terms())
        about = judged.about
        for one in judged.findings:
            found.append(one)
            if len(found) == MAX_FINDINGS:
                found.append(_more())
                break
    except MalformedMessage as error:
        found.append(_unreadable(error, validator))
    return Report(kind=validator.name, findings=tuple(found), about=about)


def _more() -> Finding:
    return Finding(
        rule="file.findings",
        level=Level.WARNING,
        place="",
        text=f"there may be more findings than the {MAX_FINDINGS} told",
        expected="fewer",
        clause="",
    )


def _unreadable(error: MalformedMessage, validator: Validator) -> Finding:
    line = error.location.removeprefix("line ").partition(",")[0]
    return Finding(
        rule="file.form",
        level=Level.ERROR,
        place=error.location,
        text=error.message,
        expected=error.expected,
        clause=validator.format_clause,
        line=int(line) if error.location.startswith("line ") and line.isdigit() else 0,
    )
