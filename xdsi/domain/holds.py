"""Legal holds: documents and patients' records that nobody may remove, for whatever reason, until the hold ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from xdsi.domain.identifiers import PatientId


class HeldKind(StrEnum):
    """What a hold is on."""

    DOCUMENT = "document"
    """a DocumentEntry.uniqueId: its bytes, and every DocumentEntry that names it"""
    PATIENT = "patient"
    """everything of a person, whatever identifiers were merged"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold: on what, why, by whom, since when, and until when if that is known."""

    kind: HeldKind
    target: str
    """uniqueId or CX"""
    reason: str
    placed_by: str
    placed_at: datetime
    until: datetime | None = None
    number: int = 0

    def __post_init__(self) -> None:
        if not self.reason.strip() or not self.placed_by.strip():
            raise ValueError("a hold has a reason and somebody who placed it")


@dataclass(frozen=True, slots=True)
class Held:
    """Which of what was asked about is under a hold."""

    unique_ids: frozenset[str] = frozenset()
    patients: frozenset[PatientId] = frozenset()

    def covers(self, unique_id: str, patient: PatientId | None) -> bool:
        """True where something with this uniqueId, of this patient, must stay."""
        return unique_id in self.unique_ids or patient in self.patients


class Holds(Protocol):
    """The holds that concern a repository."""

    def of_documents(self, unique_ids: Sequence[str]) -> frozenset[str]:
        """The uniqueIds among these that are held, themselves or through their patient."""
