"""Documents asked for and given out (ITI TF-2 3.43; RAD TF-2 4.69 answers in the same form)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from xdsi.domain.outcome import Outcome
from xdsi.domain.submission import Document


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """One DocumentRequest; an absent homeCommunityId is empty text."""

    home_community_id: str
    repository_unique_id: str
    document_unique_id: str


@dataclass(frozen=True, slots=True)
class RetrieveRequest:
    """A RetrieveDocumentSetRequest."""

    documents: tuple[DocumentRequest, ...]


class Soundness(Enum):
    """What was found of a stored document before it is given out."""

    SOUND = "sound"
    LOST = "lost"
    """its bytes are not those that were stored, or they are gone"""
    UNREADABLE = "unreadable"
    """it cannot be read at the moment"""
    LOCKED = "locked"
    """it is encrypted with a key that the settings do not name"""


@dataclass(frozen=True, slots=True)
class RetrievedDocument:
    """One DocumentResponse: what was asked for, and where its bytes are."""

    request: DocumentRequest
    mime_type: str
    document: Document
    new_repository_unique_id: str = ""
    new_document_unique_id: str = ""


@dataclass(frozen=True, slots=True)
class RetrieveAnswer:
    """A RetrieveDocumentSetResponse; its status is known before the first byte of a document leaves."""

    outcome: Outcome
    documents: tuple[RetrievedDocument, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class MadeDocument:
    """A document that was made when it was asked for; `repository_unique_id` says where it is kept, if it is."""

    unique_id: str
    repository_unique_id: str
    mime_type: str
    document: Document
