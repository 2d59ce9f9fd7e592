"""RAD-69 Retrieve Imaging Document Set: a consumer fetches the images that a manifest names.

RAD TF-2: 4.69. One decision per manifest, not per instance; instances are located, and those that need another transfer
syntax are transcoded, before the status is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsi.domain.audit import ExchangeFacts, StudyFacts
from xdsi.domain.consent import Action, Resource
from xdsi.domain.errors import MalformedMessage, Refused, Unavailable
from xdsi.domain.imaging import ImagingRequest, Instance
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import RegistrySession
from xdsi.domain.retrieval import DocumentRequest, RetrieveAnswer, RetrievedDocument
from xdsi.exchange import Call, Codec, Located, Transaction
from xdsi.rules.image_access import Delivery, ImagingPorts, manifest_of
from xdsi.wire.ebxml import imaging, retrieve


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One requested instance: located with the index of its study's decision, or refused with a problem."""

    request: DocumentRequest
    instance: Instance | None = None
    problem: Problem | None = None
    decision: int = -1


def locate(request: ImagingRequest, ports: ImagingPorts, session: RegistrySession) -> Located:
    """Find each instance; the resource to decide on is the manifest that was published of its study."""
    refusal = _refusal(request, ports)
    if refusal is not None:
        return Located(state=refusal)
    wanted: list[_Wanted] = []
    resources: list[Resource] = []
    decisions: dict[str, int] = {}
    found: dict[str, Resource | None] = {"": None}
    # First all instances, then the judgement of their studies: what is written anew after it does not open any more.
    places = [
        (study.study_instance_uid, document, _find(document, study.study_instance_uid, one.series_instance_uid, ports))
        for study in request.studies
        for one in study.series
        for document in one.documents
    ]
    for study_uid, document, instance in places:
        if study_uid not in found:
            found[study_uid] = manifest_of(study_uid, ports)
        resource = found[study_uid]
        if isinstance(instance, Problem):
            wanted.append(_Wanted(document, problem=instance))
        elif resource is None:
            wanted.append(_Wanted(document, problem=_unknown(document)))
        else:
            if study_uid not in decisions:
                decisions[study_uid] = len(resources)
                resources.append(resource)
            wanted.append(_Wanted(document, instance, decision=decisions[study_uid]))
    return Located(tuple(resources), tuple(wanted))


def _find(document: DocumentRequest, study_uid: str, series_uid: str, ports: ImagingPorts) -> Instance | Problem:
    if not study_uid or not series_uid:
        return Problem(
            "XDSIRequestError",
            "studyInstanceUID and seriesInstanceUID must not be empty",
            location=document.document_unique_id,
            rule="RAD69.uid.empty",
        )
    if document.repository_unique_id != ports.retrieve_location_uid:
        return Problem(
            "XDSUnknownRepositoryId",
            f"{document.repository_unique_id} is not the Retrieve Location UID of this source",
            location=document.document_unique_id,
            rule="RAD69.location",
        )
    try:
        return ports.instances.locate(study_uid, series_uid, document.document_unique_id) or _unknown(document)
    except Unavailable:
        return _unreadable(document)


def _unknown(document: DocumentRequest) -> Problem:
    return Problem(
        "XDSDocumentUniqueIdError",
        "the instance is not available",
        location=document.document_unique_id,
        rule="RAD69.instance",
    )


def _unreadable(document: DocumentRequest) -> Problem:
    return Problem(
        "XDSRepositoryError",
        "the instance cannot be read at present",
        location=document.document_unique_id,
        rule="RAD69.instance.unreadable",
    )


def handle(call: Call[ImagingRequest]) -> RetrieveAnswer:
    """Give out each permitted instance in an acceptable transfer syntax; one error for each of the others."""
    ports: ImagingPorts = call.ports
    wanted: Sequence[_Wanted] | Problem = call.located.state
    if isinstance(wanted, Problem):
        return RetrieveAnswer(Outcome.of((wanted,), delivered=0))
    problems: list[Problem] = []
    documents: list[RetrievedDocument] = []
    delivery = Delivery(ports)
    for item in wanted:
        if item.problem is not None or item.instance is None:
            problems.append(item.problem or _unknown(item.request))
        elif not call.decisions[item.decision].permit:
            problems.append(_unknown(item.request))
        else:
            try:
                # Raises while this instance can still be answered for; once the status is written it is too late.
                opened = ports.instances.open(item.instance)
            except Unavailable:
                problems.append(_unreadable(item.request))
                continue
            try:
                given = delivery.deliver(item.instance, opened, call.request.transfer_syntaxes)
            except (MalformedMessage, Refused) as error:
                problems.append(
                    Problem(
                        "XDSRepositoryError",
                        f"none of the transfer syntaxes can be produced: {error}",
                        location=item.request.document_unique_id,
                        rule="RAD69.transfer-syntax",
                    )
                )
                continue
            documents.append(RetrievedDocument(item.request, "application/dicom", given.document))
    call.trace.note("located", delivered=len(documents), problems=len(problems))
    return RetrieveAnswer(Outcome.of(problems, delivered=len(documents)), tuple(documents))


def _refusal(request: ImagingRequest, ports: ImagingPorts) -> Problem | None:
    if sum(len(series.documents) for study in request.studies for series in study.series) > ports.max_instances:
        return Problem(
            "XDSIRequestError",
            f"at most {ports.max_instances} instances may be asked for at once (limits.instances)",
            rule="RAD69.limit",
        )
    if not any(request.transfer_syntaxes):
        return Problem(
            "XDSRepositoryError", "TransferSyntaxUIDList must name at least one", rule="RAD69.transfer-syntax.empty"
        )
    return None


def refuse(request: ImagingRequest | None, problems: Sequence[Problem]) -> RetrieveAnswer:
    """Nothing is given out."""
    return RetrieveAnswer(Outcome.of(problems, delivered=0))


def facts(request: ImagingRequest, answer: RetrieveAnswer | None, base: ExchangeFacts) -> ExchangeFacts:
    """Each study asked for, split into what was given out and what was not."""
    delivered = {document.request for document in answer.documents} if answer else set()
    studies: list[StudyFacts] = []
    for study in request.studies:
        for outcome in (0, 8):
            instances = tuple(
                document.document_unique_id
                for series in study.series
                for document in series.documents
                if (document in delivered) == (outcome == 0)
            )
            if not instances:
                continue
            first = next(document for series in study.series for document in series.documents)
            studies.append(
                StudyFacts(
                    study_instance_uid=study.study_instance_uid,
                    instances=(("", instances),),
                    series=tuple(series.series_instance_uid for series in study.series),
                    repository_unique_id=first.repository_unique_id,
                    home_community_id=first.home_community_id,
                    outcome=outcome,
                )
            )
    return replace(base, studies=tuple(studies))


TRANSACTION = Transaction(
    number="RAD-69",
    name="Retrieve Imaging Document Set",
    trigger="urn:ihe:rad:2009:RetrieveImagingDocumentSet",
    # RAD-69 answers with the action of ITI-43 (RAD TF-2 4.69.4.2).
    reply="urn:ihe:iti:2007:RetrieveDocumentSetResponse",
    request=Codec(imaging.decode_request, imaging.encode_request),
    response=Codec(retrieve.decode_answer, imaging.encode_answer),
    locate=locate,
    handle=handle,
    refuse=refuse,
    facts=facts,
    action=Action.RETRIEVE_IMAGING,
    several=True,
    malformed_code="XDSIRequestError",
    unavailable_code="XDSRepositoryError",
)
