"""The pieces of audit messages: who took part, and what it was about (ITI TF-2 3.20.7)."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from urllib.parse import urlsplit

from xdsi.domain.audit import (
    ActiveParticipant,
    AuditSite,
    AuditSource,
    DocumentFacts,
    ExchangeFacts,
    ObjectDescription,
    ObjectDetail,
    ParticipantObject,
    QueryFacts,
    RemovedObject,
    Side,
    SopClassCount,
    StudyFacts,
)
from xdsi.domain.codes import Code
from xdsi.domain.subject import Subject
from xdsi.spec import audit_events as table
from xdsi.spec.namespaces import WSA_ANONYMOUS

QUERY_LIMIT = 20_000
"""bytes of a query kept in a message: receivers need not take more than 32,768 octets (DICOM PS3.15 A.6)"""
DOCUMENTS_IN_A_MESSAGE = 50
INSTANCES_IN_A_MESSAGE = 100


@cache
def code(term: table.Term) -> Code:
    """A table's term as a value of the domain."""
    return Code(term.code, term.system, term.text)


@lru_cache(maxsize=16)
def source(site: AuditSite) -> AuditSource:
    """The system that reports."""
    return AuditSource(
        source_id=site.source_id,
        enterprise_site_id=site.enterprise_site_id,
        types=(code(table.SOURCE_TYPES[site.source_type]),),
    )


def description(text: str, trace: str) -> str:
    """EventOutcomeDescription: what went wrong, and the trace that `xdsi explain` resolves."""
    mark = f"[trace {trace}]" if trace else ""
    return text if mark in text else f"{text} {mark}".strip()


@lru_cache(maxsize=1024)
def network_type(address: str) -> str:
    """NetworkAccessPointTypeCode: 2 for an IP address, 1 for a name, empty without an address."""
    if not address:
        return ""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return "1"
    return "2"


def person(subject: Subject) -> ActiveParticipant:
    """The human requestor as the assertion names him (ITI TF-2 3.40.4.2)."""
    return ActiveParticipant(
        user_id=subject.user_id or subject.audit_name,
        user_name=subject.audit_name,
        requestor=True,
        roles=subject.roles,
    )


def requester(facts: ExchangeFacts, *roles: Code) -> ActiveParticipant:
    """The process that asked: ourselves on the client's side, the peer on the server's."""
    here = facts.side is Side.CLIENT
    address = facts.site.host if here else facts.peer_address
    return ActiveParticipant(
        user_id=facts.reply_to or WSA_ANONYMOUS,
        alternative_user_id=facts.site.process_id if here else "",
        user_name=facts.node.name if facts.node and not here else "",
        requestor=True,
        roles=roles,
        network_id=address,
        network_type=network_type(address),
    )


def responder(facts: ExchangeFacts, *roles: Code) -> ActiveParticipant:
    """The process that was asked: ourselves on the server's side, the peer on the client's."""
    here = facts.side is Side.SERVER
    address = facts.site.host if here else facts.peer_address or _host_of(facts.endpoint)
    return ActiveParticipant(
        user_id=facts.endpoint or address,
        alternative_user_id=facts.site.process_id if here else "",
        user_name=facts.node.name if facts.node and not here else "",
        requestor=False,
        roles=roles,
        network_id=address,
        network_type=network_type(address),
    )


def process(site: AuditSite, *roles: Code, endpoint: str = "", requestor: bool = False) -> ActiveParticipant:
    """This process, in an event of its own."""
    return ActiveParticipant(
        user_id=endpoint or site.base_url or site.source_id,
        alternative_user_id=site.process_id,
        requestor=requestor,
        roles=roles,
        network_id=site.host,
        network_type=network_type(site.host),
    )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def patient_object(cx: str, *details: ObjectDetail, life_cycle: str = "") -> ParticipantObject:
    """A patient."""
    return ParticipantObject(
        id=cx,
        id_type=code(table.PATIENT_NUMBER),
        type_code="1",
        role="1",
        life_cycle=life_cycle,
        details=details,
    )


def query_object(
    query: QueryFacts, row: table.AuditedTransaction, details: Iterable[ObjectDetail] = ()
) -> ParticipantObject:
    """The question that was asked, never its answer; a long one is cut and known by its hash."""
    found = [*details, ObjectDetail.of(table.QUERY_ENCODING, query.encoding)]
    if query.home_community_id:
        found.append(ObjectDetail.of(row.home_detail, query.home_community_id))
    if len(query.request) > QUERY_LIMIT:
        found.append(ObjectDetail.of("truncated", str(len(query.request))))
        found.append(ObjectDetail.of("SHA-256", hashlib.sha256(query.request).hexdigest()))
    return ParticipantObject(
        id=query.id,
        id_type=code(row.type),
        type_code="2",
        role="24",
        query=query.request[:QUERY_LIMIT],
        details=tuple(found),
    )


def submission_set_object(unique_id: str, home: str) -> ParticipantObject:
    """The SubmissionSet that was provided or registered."""
    return ParticipantObject(
        id=unique_id,
        id_type=code(table.SUBMISSION_SET),
        type_code="2",
        role="20",
        details=_known((table.HOME_COMMUNITY_XCA, home)),
    )


def document_object(document: DocumentFacts, row: table.AuditedTransaction) -> ParticipantObject:
    """A document that was given out, refused or removed."""
    return ParticipantObject(
        id=document.unique_id,
        id_type=code(table.REPORT_NUMBER),
        type_code="2",
        role="3",
        life_cycle=row.life_cycle,
        details=_known(
            (row.repository_detail, document.repository_unique_id), (row.home_detail, document.home_community_id)
        ),
    )


def removed_object(removed: RemovedObject, row: table.AuditedTransaction) -> ParticipantObject:
    """A registry object that was removed or announced; an Association's kind is its own type URN."""
    kind = table.OBJECT_KINDS.get(removed.kind) or table.Term(removed.kind, table.IHE_METADATA, "association type")
    return ParticipantObject(
        id=removed.entry_uuid,
        id_type=code(kind),
        type_code="2",
        role="3",
        life_cycle=row.life_cycle,
        details=_known((row.home_detail, removed.home_community_id)),
    )


def security_object(identifier: str, *details: tuple[str, str], name: str = "") -> ParticipantObject:
    """A security resource: a token, a policy, the trail itself."""
    return ParticipantObject(
        id=identifier, id_type=code(table.URI), type_code="2", role="13", name=name, details=_known(*details)
    )


def study_objects(
    studies: Iterable[StudyFacts], row: table.AuditedTransaction
) -> Iterator[tuple[ParticipantObject, ...]]:
    """Messages' worth of study objects: one object per study, at most 100 instances together."""
    message: list[ParticipantObject] = []
    room = INSTANCES_IN_A_MESSAGE
    for study, instances in _by_study(studies):
        pending = instances
        while True:
            if room <= 0:
                yield tuple(message)
                message, room = [], INSTANCES_IN_A_MESSAGE
            part, pending = pending[:room], pending[room:]
            message.append(_study_object(study, part, row))
            room -= max(len(part), 1)
            if not pending:
                break
    if message:
        yield tuple(message)


def _by_study(studies: Iterable[StudyFacts]) -> list[tuple[list[StudyFacts], list[tuple[str, str]]]]:
    groups: dict[str, tuple[list[StudyFacts], list[tuple[str, str]]]] = {}
    for study in studies:
        parts, instances = groups.setdefault(study.study_instance_uid, ([], []))
        parts.append(study)
        instances.extend((sop_class, uid) for sop_class, uids in study.instances for uid in uids)
    return list(groups.values())


def _study_object(
    parts: list[StudyFacts], instances: list[tuple[str, str]], row: table.AuditedTransaction
) -> ParticipantObject:
    classes: dict[str, list[str]] = {}
    for sop_class, uid in instances:
        classes.setdefault(sop_class, []).append(uid)
    counts = tuple(SopClassCount(uid, len(uids), tuple(uids)) for uid, uids in classes.items() if uid)
    accessions = tuple(dict.fromkeys(number for part in parts for number in part.accessions))
    described = ObjectDescription(accessions=accessions, sop_classes=counts) if counts or accessions else None
    details = [
        *((row.repository_detail, part.repository_unique_id) for part in parts),
        *((row.home_detail, part.home_community_id) for part in parts),
        *((table.SERIES, uid) for part in parts for uid in part.series),
        *((table.DOCUMENT_UNIQUE_ID, uid) for _, uid in instances),
    ]
    return ParticipantObject(
        id=parts[0].study_instance_uid,
        id_type=code(table.STUDY_INSTANCE_UID),
        type_code="2",
        role="3",
        life_cycle=row.life_cycle,
        details=_known(*dict.fromkeys(details)),
        descriptions=(described,) if described else (),
    )


def _known(*details: tuple[str, str]) -> tuple[ObjectDetail, ...]:
    return tuple(ObjectDetail.of(type_, text) for type_, text in details if text)
