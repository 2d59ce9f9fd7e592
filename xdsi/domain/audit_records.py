"""Audit records as they are kept: stored, waiting to be forwarded, verified.

ITI TF-2 3.20.4.1.1 (store until the repository can be reached); the chain of hashes is this product's own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Direction(StrEnum):
    """Where a record came from."""

    SENT = "sent"
    """made here, to be forwarded"""
    RECEIVED = "received"
    """sent by another node"""
    LINK = "link"
    """the heads of all chains, so that a missing tail shows"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailRecord:
    """One stored record."""

    id: int
    chain: str
    sequence: int
    time: datetime
    trace: str
    transaction: str
    patient: str
    user_id: str
    outcome: int
    direction: Direction
    peer: str = ""
    """who sent it, where it was received"""
    xml: bytes = field(repr=False)
    forwarded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A record that has to be forwarded."""

    id: int
    time: datetime
    xml: bytes = field(repr=False)


class AuditOutbox(Protocol):
    """Records waiting to be forwarded."""

    def pending(self, limit: int, *, excluding: Collection[int] = ()) -> Sequence[OutboxEntry]:
        """The oldest records not yet forwarded, in order, without those excluded."""

    def mark_sent(self, ids: Collection[int]) -> None:
        """Remember that records arrived."""

    def mark_failed(self, ids: Collection[int]) -> None:
        """Count an attempt that did not succeed."""


class Tampering(StrEnum):
    """What can be wrong with a chain."""

    CHANGED = "changed"
    """the content does not have the hash it was stored with"""
    REMOVED = "removed"
    """records between two others are missing"""
    DISPLACED = "displaced"
    """the record does not follow the one before it: reordered, or that one was replaced"""
    TAIL = "tail missing"
    """the chain ends before, or differs at, a head that was witnessed"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place where the trail is not what was written."""

    tampering: Tampering
    chain: str
    sequence: int
    last_sequence: int
    """same as `sequence` except for a range of missing records"""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """Result of walking all chains. `heads` may be kept elsewhere and given to a later verification."""

    records: int
    chains: int
    links: int = 0
    """how many of the records do nothing but bind the chains together"""
    findings: tuple[Finding, ...] = ()
    heads: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def intact(self) -> bool:
        """True when nothing was found."""
        return not self.findings
