"""ITI-43 Retrieve Document Set: a consumer fetches documents from the repository that holds them.

ITI TF-2: 3.43. A document that may not be seen is answered as one that does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from xdsi.domain.audit import DocumentFacts, ExchangeFacts
from xdsi.domain.consent import Action, Resource
from xdsi.domain.errors import Unavailable
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import DocumentStore, OnDemandDocuments, RegistrySession, StoredDocument
from xdsi.domain.retrieval import DocumentRequest, RetrieveAnswer, RetrievedDocument, RetrieveRequest, Soundness
from xdsi.exchange import Call, Codec, Located, Trace, Transaction
from xdsi.wire.ebxml import retrieve

MAX_DOCUMENTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievePorts:
    """What retrieval works with."""

    repository_unique_id: str
    documents: DocumentStore
    max_documents: int = MAX_DOCUMENTS
    on_demand: OnDemandDocuments | None = None
    """makes what is not stored, where there is such a source"""


@dataclass(frozen=True, slots=True)
class _Found:
    request: DocumentRequest
    stored: StoredDocument | None
    on_demand: bool = False


def locate(request: RetrieveRequest, ports: RetrievePorts, session: RegistrySession) -> Located:
    """The documents that are here, as consent sees them."""
    found: list[_Found] = []
    resources: list[Resource] = []
    asked_for = request.documents[: ports.max_documents]
    own = [one.document_unique_id for one in asked_for if one.repository_unique_id == ports.repository_unique_id]
    kept = ports.documents.find_all(own)
    for item in asked_for:
        here = item.repository_unique_id == ports.repository_unique_id
        stored = kept.get(item.document_unique_id) if here else None
        makeable = here and stored is None and ports.on_demand is not None
        on_demand = makeable and ports.on_demand is not None and ports.on_demand.knows(item.document_unique_id)
        found.append(_Found(item, stored, on_demand))
        if stored is not None or on_demand:
            resources.append(
                Resource(unique_id=item.document_unique_id, repository_unique_id=item.repository_unique_id)
            )
    return Located(tuple(resources), tuple(found))


def handle(call: Call[RetrieveRequest]) -> RetrieveAnswer:
    """Give out what is here, permitted and whole; one error for each of the others (3.43.4.2)."""
    ports: RetrievePorts = call.ports
    if len(call.request.documents) > ports.max_documents:
        most = f"at most {ports.max_documents} documents may be asked for at once (limits.documents)"
        problem = Problem("XDSTooManyResults", most)
        return RetrieveAnswer(Outcome.of((problem,)))
    here = [found for found in call.located.state if found.stored is not None or found.on_demand]
    allowed = {id(found) for found, decision in zip(here, call.decisions, strict=True) if decision.permit}
    kept = [found for found in here if found.stored is not None and id(found) in allowed]
    examined = ports.documents.examine([found.stored for found in kept])
    soundness = {id(found): one for found, one in zip(kept, examined, strict=True)}
    problems: list[Problem] = []
    documents: list[RetrievedDocument] = []
    for found in call.located.state:
        item: DocumentRequest = found.request
        stored: StoredDocument | None = found.stored
        if id(found) not in allowed:
            problems.append(_unknown(item, ports.repository_unique_id))
        elif stored is None:
            made = _made(item, ports, call.trace)
            if isinstance(made, Problem):
                problems.append(made)
            else:
                documents.append(made)
        elif (unsound := _UNSOUND.get(soundness[id(found)])) is not None:
            why, rule = unsound
            call.trace.note("integrity", document=item.document_unique_id, rule=rule)
            text = f"document {item.document_unique_id} {why}"
            problems.append(Problem("XDSRepositoryError", text, location=item.document_unique_id, rule=rule))
        else:
            documents.append(RetrievedDocument(item, stored.mime_type, stored.document))
    return RetrieveAnswer(Outcome.of(problems, delivered=len(documents)), tuple(documents))


_UNSOUND: Final = {
    Soundness.LOST: ("failed its integrity check", "DOC.integrity"),
    Soundness.UNREADABLE: ("cannot be read at the moment", "DOC.unreadable"),
    Soundness.LOCKED: ("is encrypted with a key that this repository was not given", "DOC.key"),
}


def _made(item: DocumentRequest, ports: RetrievePorts, trace: Trace) -> RetrievedDocument | Problem:
    """A document made now, under an identifier of its own (3.43.4.2.2)."""
    assert ports.on_demand is not None
    try:
        made = ports.on_demand.make(item.document_unique_id)
    except Unavailable as error:
        trace.note("on-demand", document=item.document_unique_id, error=str(error))
        return Problem(
            "XDSRepositoryError",
            f"document {item.document_unique_id} cannot be made at the moment",
            location=item.document_unique_id,
            rule="RETRIEVE.on-demand",
        )
    trace.note("on-demand", document=item.document_unique_id, made=made.unique_id)
    return RetrievedDocument(
        item,
        made.mime_type,
        made.document,
        new_repository_unique_id=made.repository_unique_id,
        new_document_unique_id=made.unique_id,
    )


def _unknown(item: DocumentRequest, repository_unique_id: str) -> Problem:
    if item.repository_unique_id != repository_unique_id:
        return Problem(
            "XDSUnknownRepositoryId",
            f"repository {item.repository_unique_id} is not this one",
            location=item.document_unique_id,
            rule="RETRIEVE.repository",
        )
    return Problem(
        "XDSDocumentUniqueIdError",
        "the document is not available",
        location=item.document_unique_id,
        rule="RETRIEVE.document",
    )


def refuse(request: RetrieveRequest | None, problems: Sequence[Problem]) -> RetrieveAnswer:
    """Nothing is given out."""
    return RetrieveAnswer(Outcome.of(problems, delivered=0))


def facts(request: RetrieveRequest, answer: RetrieveAnswer | None, base: ExchangeFacts) -> ExchangeFacts:
    """Each document asked for and whether it was given out (3.43.6)."""
    delivered = {document.request for document in answer.documents} if answer else set()
    return replace(
        base,
        documents=tuple(
            DocumentFacts(
                unique_id=item.document_unique_id,
                repository_unique_id=item.repository_unique_id,
                home_community_id=item.home_community_id,
                outcome=0 if item in delivered else 8,
            )
            for item in request.documents
        ),
    )


TRANSACTION = Transaction(
    number="ITI-43",
    name="Retrieve Document Set",
    trigger="urn:ihe:iti:2007:RetrieveDocumentSet",
    reply="urn:ihe:iti:2007:RetrieveDocumentSetResponse",
    request=Codec(retrieve.decode_request, retrieve.encode_request),
    response=Codec(retrieve.decode_answer, retrieve.encode_answer),
    locate=locate,
    handle=handle,
    refuse=refuse,
    facts=facts,
    action=Action.RETRIEVE,
    several=True,
    malformed_code="XDSRepositoryError",
    unavailable_code="XDSRepositoryError",
)
