"""RAD-69 Retrieve Imaging Document Set: a consumer fetches the images that a manifest names.

RAD TF-2: 4.69. One decision per manifest, not per instance; instances are located, and those that need another transfer
syntax are transcoded, before the status is written.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from xdsi.domain.audit import ExchangeFacts, StudyFacts
from xdsi.domain.consent import Action, Resource
from xdsi.domain.errors import MalformedMessage, Refused, Unavailable
from xdsi.domain.imaging import ImagingRequest, Instance
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import InstanceSource, PublishedManifests, RegistrySession
from xdsi.domain.retrieval import DocumentRequest, RetrieveAnswer, RetrievedDocument
from xdsi.domain.submission import Document
from xdsi.exchange import Call, Codec, Located, Transaction
from xdsi.wire.ebxml import imaging, retrieve

MAX_INSTANCES = 10_000


class Transcoder(Protocol):
    """Makes another transfer syntax of an instance, under limits."""

    def transcode(self, instance: Instance, transfer_syntaxes: Sequence[str]) -> Document:
        """The instance in one of the transfer syntaxes; raises Refused or MalformedMessage where none can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingPorts:
    """What an imaging source works with."""

    retrieve_location_uid: str
    instances: InstanceSource
    manifests: PublishedManifests | None
    """None: every study may be asked for (open profile)"""
    transcoder: Transcoder
    patient_id_authority: str
    max_instances: int = MAX_INSTANCES
    transcoding_seconds: float = 120.0
    """for all instances of one answer, before its first byte leaves"""


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
            found[study_uid] = _resource(study_uid, ports)
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


def _resource(study_uid: str, ports: ImagingPorts) -> Resource | None:
    if ports.manifests is None:
        return Resource(unique_id=study_uid)
    manifest = ports.manifests.manifest_of(study_uid)
    study = ports.instances.study(study_uid)
    if manifest is None or study is None:
        return None
    held = study.patient.identifier(ports.patient_id_authority)
    # The patient found in the images decides; a manifest of another patient opens nothing.
    if held is None or (manifest.source_patient_id and manifest.source_patient_id != held.cx):
        return None
    return manifest


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
    delivery = _Delivery(ports, call.request.transfer_syntaxes)
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
                document = delivery.document(item.instance, opened)
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
            documents.append(RetrievedDocument(item.request, "application/dicom", document))
    call.trace.note("located", delivered=len(documents), problems=len(problems))
    return RetrieveAnswer(Outcome.of(problems, delivered=len(documents)), tuple(documents))


def _refusal(request: ImagingRequest, ports: ImagingPorts) -> Problem | None:
    if sum(len(series.documents) for study in request.studies for series in study.series) > ports.max_instances:
        return Problem(
            "XDSIRequestError",
            f"at most {ports.max_instances} instances may be asked for at once",
            rule="RAD69.limit",
        )
    if not any(request.transfer_syntaxes):
        return Problem(
            "XDSRepositoryError", "TransferSyntaxUIDList must name at least one", rule="RAD69.transfer-syntax.empty"
        )
    return None


class _Delivery:
    """The instances of one answer as they leave: each transcoded once, and all of them within a time."""

    def __init__(self, ports: ImagingPorts, transfer_syntaxes: Sequence[str]) -> None:
        self._ports = ports
        self._transfer_syntaxes = transfer_syntaxes
        self._transcoded: dict[str, Document] = {}
        self._seconds = 0.0

    def document(self, instance: Instance, opened: Iterator[bytes]) -> Document:
        """The instance in an acceptable transfer syntax; raises Refused or MalformedMessage where that cannot be."""
        if instance.transfer_syntax_uid in self._transfer_syntaxes:
            unread = [opened]
            again = self._ports.instances.open
            return Document(open=lambda: unread.pop() if unread else again(instance), size=instance.size or -1)
        done = self._transcoded.get(instance.sop_instance_uid)
        if done is None:
            done = self._transcode(instance)
            self._transcoded[instance.sop_instance_uid] = done
        return done

    def _transcode(self, instance: Instance) -> Document:
        if self._seconds > self._ports.transcoding_seconds:
            raise Refused("too many instances to transcode at once, ask for fewer")
        began = time.perf_counter()
        try:
            return self._ports.transcoder.transcode(instance, self._transfer_syntaxes)
        finally:
            self._seconds += time.perf_counter() - began


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
    malformed_code="XDSIRequestError",
    unavailable_code="XDSRepositoryError",
)
