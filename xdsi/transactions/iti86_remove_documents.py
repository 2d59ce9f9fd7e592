"""ITI-86 Remove Documents: an administrator makes the repository forget documents, for good.

Remove Metadata and Documents: 3.86. It knows nothing of the metadata; usually those were removed before, by ITI-62.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from xdsi.domain.audit import DocumentFacts, ExchangeFacts
from xdsi.domain.consent import Action, Decision, Resource
from xdsi.domain.holds import Holds
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import Clock, DocumentStore, RegistrySession, StoredDocument
from xdsi.domain.removal import DocumentRemovalAnswer, DocumentRemovalRequest
from xdsi.domain.retrieval import DocumentRequest
from xdsi.domain.subject import Caller
from xdsi.exchange import Call, Codec, Located, Transaction
from xdsi.wire.ebxml import document_removal

MAX_DOCUMENTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePorts:
    """What removal works with."""

    repository_unique_id: str
    documents: DocumentStore
    holds: Holds
    clock: Clock
    retention: timedelta = timedelta(0)
    """how long a document stays at least"""
    max_documents: int = MAX_DOCUMENTS


@dataclass(frozen=True, slots=True)
class _Found:
    request: DocumentRequest
    stored: StoredDocument | None


def locate(request: DocumentRemovalRequest, ports: RemovePorts, session: RegistrySession) -> Located:
    """The documents that are here, as consent sees them."""
    found: list[_Found] = []
    resources: list[Resource] = []
    for item in request.documents[: ports.max_documents]:
        here = item.repository_unique_id == ports.repository_unique_id
        stored = ports.documents.find(item.document_unique_id) if here else None
        found.append(_Found(item, stored))
        if stored is not None:
            resources.append(
                Resource(unique_id=item.document_unique_id, repository_unique_id=item.repository_unique_id)
            )
    return Located(tuple(resources), tuple(found))


def handle(call: Call[DocumentRemovalRequest]) -> DocumentRemovalAnswer:
    """Say of each document whether it goes, with one error for each that does not (3.86.4.2); `settle` removes."""
    ports: RemovePorts = call.ports
    if len(call.request.documents) > ports.max_documents:
        text = f"at most {ports.max_documents} documents may be removed at once (limits.documents)"
        return DocumentRemovalAnswer(Outcome.of((Problem("XDSRepositoryError", text, rule="REMOVE.size"),), 0))
    held = ports.holds.of_documents([found.request.document_unique_id for found in call.located.state if found.stored])
    decisions = iter(call.decisions)
    problems: list[Problem] = []
    removed: list[DocumentRequest] = []
    for found in call.located.state:
        item: DocumentRequest = found.request
        stored: StoredDocument | None = found.stored
        if stored is None or not _permitted(next(decisions), call.caller):
            problems.append(_unknown(item, ports.repository_unique_id))
        elif item.document_unique_id in held:
            problems.append(_kept(item, "it is under a legal hold", "REMOVE.hold"))
        elif ports.clock() - stored.stored_at < ports.retention:
            text = f"documents are kept for {ports.retention.days} days"
            problems.append(_kept(item, text, "REMOVE.retention"))
        else:
            removed.append(item)
    return DocumentRemovalAnswer(Outcome.of(problems, delivered=len(removed)), tuple(removed))


def _permitted(decision: Decision, caller: Caller) -> bool:
    """As decided; what no DocumentEntry names any more is nobody's to consent to, and goes by the node's permit."""
    if decision.policy == "registry" and decision.rule == "not-registered":
        return caller.peer.node is not None and caller.peer.node.may("ITI-86")
    return decision.permit


def settle(answer: DocumentRemovalAnswer, ports: RemovePorts, also: Callable[[Any], None]) -> None:
    """Remove, and write down that it was done, or neither."""
    ports.documents.erase(list(dict.fromkeys(item.document_unique_id for item in answer.removed)), also)


def _unknown(item: DocumentRequest, repository_unique_id: str) -> Problem:
    id_ = item.document_unique_id
    if item.repository_unique_id != repository_unique_id:
        text = f"document {id_}: repository {item.repository_unique_id} is not this one"
        return Problem("XDSUnknownRepositoryId", text, location=id_, rule="REMOVE.repository")
    text = f"document {id_} is not available"
    return Problem("XDSDocumentUniqueIdError", text, location=id_, rule="REMOVE.document")


def _kept(item: DocumentRequest, why: str, rule: str) -> Problem:
    id_ = item.document_unique_id
    return Problem("XDSRemoveDocumentsError", f"document {id_} cannot be removed: {why}", location=id_, rule=rule)


def refuse(request: DocumentRemovalRequest | None, problems: Sequence[Problem]) -> DocumentRemovalAnswer:
    """Nothing was removed."""
    return DocumentRemovalAnswer(Outcome.of(problems, delivered=0))


def facts(request: DocumentRemovalRequest, answer: DocumentRemovalAnswer | None, base: ExchangeFacts) -> ExchangeFacts:
    """Each document and whether it was removed (3.86.5.1)."""
    removed = set(answer.removed) if answer else set()
    return replace(
        base,
        documents=tuple(
            DocumentFacts(
                unique_id=item.document_unique_id,
                repository_unique_id=item.repository_unique_id,
                home_community_id=item.home_community_id,
                outcome=0 if item in removed else 8,
            )
            for item in request.documents
        ),
    )


TRANSACTION = Transaction(
    number="ITI-86",
    name="Remove Documents",
    trigger="urn:ihe:iti:2017:RemoveDocuments",
    reply="urn:ihe:iti:2017:RemoveDocumentsResponse",
    request=Codec(document_removal.decode, document_removal.encode),
    response=Codec(document_removal.decode_answer, document_removal.encode_answer),
    locate=locate,
    handle=handle,
    settle=settle,
    refuse=refuse,
    facts=facts,
    action=Action.DELETE,
    changes=True,
    malformed_code="XDSRepositoryError",
    unavailable_code="XDSRepositoryError",
)
