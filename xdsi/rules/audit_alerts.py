"""Audit messages about security and about the system itself: what no transaction's own message says.

DICOM PS3.15 A.5.3 (Application Activity, Security Alert, Audit Log Used); ITI TF-2 3.19.6, 3.20.4.1.1, 3.40.4.1.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from xdsi.domain.audit import (
    ActiveParticipant,
    AuditAction,
    AuditEvent,
    AuditOutcome,
    AuditSite,
    ExchangeFacts,
    ObjectDetail,
    ParticipantObject,
)
from xdsi.domain.codes import Code
from xdsi.domain.consent import Decision
from xdsi.domain.subject import Peer, Subject
from xdsi.rules import audit_parts as parts
from xdsi.spec import audit_events as table


def system_event(
    kind: table.SystemEvent,
    site: AuditSite,
    time: datetime,
    *,
    participants: Iterable[ActiveParticipant],
    objects: Iterable[ParticipantObject] = (),
    purposes: tuple[Code, ...] = (),
    description: str = "",
) -> AuditEvent:
    """One event of the table of system events."""
    return AuditEvent(
        event=parts.code(kind.event),
        action=AuditAction(kind.action),
        time=time,
        outcome=AuditOutcome(kind.outcome),
        outcome_description=description,
        types=(parts.code(kind.type),),
        purposes=purposes,
        participants=tuple(participants),
        source=parts.source(site),
        objects=tuple(objects),
    )


def started(site: AuditSite, time: datetime, *, launcher: str = "") -> AuditEvent:
    """The application runs; `launcher` is who started it, where known."""
    return _activity(table.START, site, time, launcher)


def stopped(site: AuditSite, time: datetime, *, launcher: str = "") -> AuditEvent:
    """The application ends in good order."""
    return _activity(table.STOP, site, time, launcher)


def _activity(kind: table.SystemEvent, site: AuditSite, time: datetime, launcher: str) -> AuditEvent:
    participants = [parts.process(site, parts.code(table.APPLICATION))]
    if launcher:
        participants.append(ActiveParticipant(user_id=launcher, requestor=True, roles=(parts.code(table.LAUNCHER),)))
    return system_event(kind, site, time, participants=participants)


def recording_stopped(site: AuditSite, time: datetime, reason: str) -> AuditEvent:
    """Records can no longer be stored, or forwarding has fallen too far behind."""
    return _recording(table.AUDIT_STOPPED, site, time, reason)


def recording_started(site: AuditSite, time: datetime, reason: str = "") -> AuditEvent:
    """Records are stored again."""
    return _recording(table.AUDIT_STARTED, site, time, reason)


def _recording(kind: table.SystemEvent, site: AuditSite, time: datetime, reason: str) -> AuditEvent:
    own = parts.process(site, parts.code(table.APPLICATION), requestor=True)
    return system_event(kind, site, time, participants=[own], description=reason)


def configuration_changed(
    site: AuditSite, time: datetime, what: str, detail: str, *, subject: Subject | None = None, failed: bool = False
) -> AuditEvent:
    """Settings, a list of trust or a policy were changed, or could not be; `what` names the resource."""
    participants = [parts.person(subject)] if subject else []
    participants.append(parts.process(site, parts.code(table.APPLICATION), requestor=subject is None))
    event = system_event(
        table.CONFIGURATION_CHANGED,
        site,
        time,
        participants=participants,
        objects=[parts.security_object(what, (table.ALERT_DESCRIPTION, detail))],
        description=detail,
    )
    # Who was to be trusted no more still is.
    return replace(event, outcome=AuditOutcome.SERIOUS_FAILURE) if failed else event


def document_lost(site: AuditSite, time: datetime, unique_id: str, reason: str) -> AuditEvent:
    """A document of the repository is no longer what was acknowledged."""
    document = ParticipantObject(
        id=unique_id,
        id_type=parts.code(table.REPORT_NUMBER),
        type_code="2",
        role="3",
        details=(ObjectDetail.of(table.ALERT_DESCRIPTION, reason),),
    )
    own = parts.process(site, parts.code(table.APPLICATION), requestor=True)
    text = f"document {unique_id}: {reason}"
    return system_event(table.DOCUMENT_LOST, site, time, participants=[own], objects=[document], description=text)


def key_missing(site: AuditSite, time: datetime, key_id: str) -> AuditEvent:
    """Documents are encrypted with a key that the settings do not name: they are there and cannot be given out."""
    reason = f"repository.encryption_keys does not name the key {key_id!r}, which documents are encrypted with"
    own = parts.process(site, parts.code(table.APPLICATION), requestor=True)
    return system_event(table.KEY_MISSING, site, time, participants=[own], description=reason)


def node_refused(site: AuditSite, time: datetime, peer: Peer, reason: str, *, endpoint: str = "") -> AuditEvent:
    """A peer failed to authenticate (ITI TF-2 3.19.6.3), such as in the TLS handshake."""
    caller = ActiveParticipant(
        user_id=peer.certificate_subject or peer.address,
        requestor=True,
        network_id=peer.address,
        network_type=parts.network_type(peer.address),
    )
    node = ParticipantObject(
        id=peer.certificate_sha256 or peer.address,
        id_type=parts.code(table.NODE_ID),
        type_code="2",
        role="13",
        details=(ObjectDetail.of(table.ALERT_DESCRIPTION, reason),),
    )
    return system_event(
        table.NODE_REFUSED,
        site,
        time,
        participants=[caller, parts.process(site, endpoint=endpoint)],
        objects=[node],
        description=reason,
    )


def token_refused(facts: ExchangeFacts) -> AuditEvent:
    """The caller's assertion or node was not accepted; a `subject` in the facts is only what was claimed."""
    claimed = facts.subject
    token = (claimed.assertion_id, ("issuer", claimed.issuer)) if claimed and claimed.assertion_id else None
    event = system_event(
        table.TOKEN_REFUSED,
        facts.site,
        facts.time,
        participants=[*_people(facts), _caller(facts), parts.responder(facts)],
        objects=[parts.security_object(*token)] if token else [],
        description=parts.description(f"{facts.transaction}: {facts.token_refused}", facts.trace),
    )
    return replace(event, outcome=AuditOutcome(facts.outcome)) if facts.outcome else event


def denials(facts: ExchangeFacts) -> Iterator[AuditEvent]:
    """Resources that consent or policy kept back, with what decided; one patient in a message."""
    if not facts.denied:
        return
    patient_of = {
        **{study.study_instance_uid: study.patient for study in facts.studies},
        **{document.unique_id: document.patient for document in facts.documents},
    }
    known = _patients(facts)
    only = known[0] if len(known) == 1 else ""
    by_patient: dict[str, list[tuple[str, Decision]]] = {}
    for resource, decision in facts.denied:
        by_patient.setdefault(patient_of.get(resource) or only, []).append((resource, decision))
    for patient, denied in by_patient.items():
        for start in range(0, len(denied), parts.DOCUMENTS_IN_A_MESSAGE):
            yield _denial(facts, patient, denied[start : start + parts.DOCUMENTS_IN_A_MESSAGE])


def _denial(facts: ExchangeFacts, patient: str, denied: Sequence[tuple[str, Decision]]) -> AuditEvent:
    objects = [parts.patient_object(patient)] if patient else []
    row = table.TRANSACTIONS[facts.transaction]
    if facts.query is not None:
        objects.append(parts.query_object(facts.query, row))
    for resource, _ in denied:
        objects.append(ParticipantObject(id=resource, id_type=parts.code(table.REPORT_NUMBER), type_code="2", role="3"))
    deciders = dict.fromkeys((one.document or one.policy, one.policy, one.rule) for _, one in denied)
    for identifier, policy, rule in deciders:
        objects.append(parts.security_object(identifier, ("policy", policy), ("rule", rule)))
    if facts.subject is not None:
        objects.append(parts.security_object(facts.subject.assertion_id, ("issuer", facts.subject.issuer)))
    engine = parts.process(facts.site, parts.code(table.APPLICATION), endpoint=facts.endpoint)
    return system_event(
        table.CONSENT_DENIED,
        facts.site,
        facts.time,
        participants=[*_people(facts), _caller(facts), engine],
        objects=objects,
        purposes=facts.subject.purposes if facts.subject else (),
        description=parts.description(f"{facts.transaction}: {len(denied)} denied", facts.trace),
    )


def emergencies(facts: ExchangeFacts) -> Iterator[AuditEvent]:
    """Consent was overridden in an emergency: one alert per patient, with the reason that the person gave."""
    if not facts.emergency:
        return
    reason = " ".join(facts.subject.emergency_reason.split()) if facts.subject else ""
    told = f"{facts.transaction}: {reason}" if reason else facts.transaction
    for patient in facts.overridden or _patients(facts) or [""]:
        yield system_event(
            table.BREAK_GLASS,
            facts.site,
            facts.time,
            participants=[*_people(facts), _caller(facts), parts.responder(facts)],
            objects=[parts.patient_object(patient)] if patient else [],
            purposes=facts.subject.purposes if facts.subject else (),
            description=parts.description(told, facts.trace),
        )


def _patients(facts: ExchangeFacts) -> list[str]:
    things = [*(document.patient for document in facts.documents), *(study.patient for study in facts.studies)]
    return list(dict.fromkeys(patient for patient in (*facts.patients, *things) if patient))


def _people(facts: ExchangeFacts) -> list[ActiveParticipant]:
    return [parts.person(facts.subject)] if facts.subject else []


def _caller(facts: ExchangeFacts) -> ActiveParticipant:
    asked = parts.requester(facts)
    name = facts.node.name if facts.node else facts.peer_address
    return replace(asked, user_id=name) if name else asked
