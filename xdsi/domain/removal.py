"""What a registry or repository is asked to forget, and what came of it (Remove Metadata and Documents 3.62, 3.86)."""

from __future__ import annotations

from dataclasses import dataclass

from xdsi.domain.audit import RemovedObject
from xdsi.domain.outcome import Outcome
from xdsi.domain.retrieval import DocumentRequest


@dataclass(frozen=True, slots=True)
class RemovalRequest:
    """A RemoveObjectsRequest: entryUUIDs in order, each once."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemovalAnswer:
    """What came of it; `removed` are the objects asked for, as far as the registry knew them, for the audit record."""

    outcome: Outcome
    removed: tuple[RemovedObject, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentRemovalRequest:
    """A RemoveDocumentsRequest: the documents in its order."""

    documents: tuple[DocumentRequest, ...]


@dataclass(frozen=True, slots=True)
class DocumentRemovalAnswer:
    """What came of it; `removed` are the documents that are gone."""

    outcome: Outcome
    removed: tuple[DocumentRequest, ...] = ()
