"""Outcomes and answers in the words of the demonstration."""

from __future__ import annotations

from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Outcome

KOS_FORMAT = "1.2.840.10008.5.1.4.1.1.88.59"
EXPLICIT = "1.2.840.10008.1.2.1"


def said(outcome: Outcome) -> str:
    """`Success`, or the error codes."""
    codes = sorted({problem.code for problem in outcome.errors})
    status = outcome.status.rpartition(":")[2]
    return " ".join([status, *codes])


def manifests(entries: tuple[DocumentEntry, ...]) -> list[DocumentEntry]:
    """The manifests among the entries: consents are documents of the patient as well."""
    return [entry for entry in entries if entry.format_code is not None and entry.format_code.code == KOS_FORMAT]
