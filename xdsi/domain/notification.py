"""What persons are told beside the audit trail: that consent was overridden in an emergency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Recipient(StrEnum):
    """Whom a notice is for."""

    PATIENT = "patient"
    OFFICER = "officer"
    """the data protection officer"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to be told; stored with the audit record of what happened."""

    recipient: Recipient
    patient: str
    """CX; empty where it is not known"""
    content: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNotice:
    """A notice with what became of it; `id` is the same however often it is sent."""

    id: int
    recipient: Recipient
    patient: str
    at: datetime
    content: Mapping[str, object]
    attempts: int = 0
    sent_at: datetime | None = None
    reason: str = ""
    """why the last attempt failed"""
