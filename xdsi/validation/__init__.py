"""Validators of files, one for each kind; who is given a file finds the one that knows it.

A further kind is a module with a `Validator`, and a line in `VALIDATORS`.
"""

from __future__ import annotations

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.findings import Finding, Level, Report
from xdsi.validation import manifests
from xdsi.validation.validator import Validator

VALIDATORS: tuple[Validator, ...] = (*manifests.VALIDATORS,)
MAX_BYTES = 64 * 1024 * 1024


def validate(raw: bytes) -> Report:
    """Everything found in the bytes of a file."""
    validator = next((one for one in VALIDATORS if one.knows(raw)), None)
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
    try:
        return Report(kind=validator.name, findings=tuple(validator.check(raw)))
    except MalformedMessage as error:
        unreadable = Finding(
            rule="file.form",
            level=Level.ERROR,
            place=error.location,
            text=error.message,
            expected=error.expected,
            clause=validator.format_clause,
        )
        return Report(kind=validator.name, findings=(unreadable,))
