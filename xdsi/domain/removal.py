"""Objects that a registry is asked to forget, and what came of it (Remove Metadata and Documents 3.62)."""

from __future__ import annotations

from dataclasses import dataclass

from xdsi.domain.audit import RemovedObject
from xdsi.domain.outcome import Outcome


@dataclass(frozen=True, slots=True)
class RemovalRequest:
    """A RemoveObjectsRequest: entryUUIDs in order, each once."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemovalAnswer:
    """What came of it; `removed` are the objects asked for, as far as the registry knew them, for the audit record."""

    outcome: Outcome
    removed: tuple[RemovedObject, ...] = ()
