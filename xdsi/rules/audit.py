"""From the facts of one exchange to its audit messages.

ITI TF-2 3.20.7 and the "Security Audit Considerations" of each transaction: one patient in a message, successes apart
from failures. Refused callers, denied resources and emergency overrides add a Security Alert.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from xdsi.domain.audit import (
    AuditAction,
    AuditEvent,
    AuditOutcome,
    DocumentFacts,
    ExchangeFacts,
    ObjectDetail,
    ParticipantObject,
    RemovedObject,
    Side,
    StudyFacts,
)
from xdsi.rules import audit_alerts as alerts
from xdsi.rules import audit_parts as parts
from xdsi.spec import audit_events as table

_Thing: TypeAlias = DocumentFacts | StudyFacts | RemovedObject
_Objects: TypeAlias = tuple[ParticipantObject, ...]


def events_for(facts: ExchangeFacts) -> tuple[AuditEvent, ...]:
    """All audit messages of one exchange, as this side of it reports them; ValueError for an unknown transaction."""
    if facts.token_refused:
        return (alerts.token_refused(facts),)
    if facts.transaction in table.NOT_AUDITED:
        return ()
    row = table.TRANSACTIONS.get(facts.transaction)
    if row is None:
        raise ValueError(f"no table says how {facts.transaction!r} is audited")
    return (*_exchange(facts, row), *alerts.denials(facts), *alerts.emergencies(facts))


def _exchange(facts: ExchangeFacts, row: table.AuditedTransaction) -> Iterator[AuditEvent]:
    if facts.merge is not None:
        for patient, action in (
            (facts.merge.subsumed, AuditAction.DELETE),
            (facts.merge.surviving, AuditAction.UPDATE),
        ):
            yield _event(facts, row, AuditOutcome(facts.outcome), _patient(facts, row, patient), action)
        return
    things = _things(facts, row)
    patients = _patients(facts, things)
    for patient in patients:
        subject = _patient(facts, row, patient)
        own = [thing for thing in things if _belongs(thing, patient, patients)]
        for outcome, objects in _contents(facts, row, own):
            yield _event(facts, row, outcome, subject + objects)


def _things(facts: ExchangeFacts, row: table.AuditedTransaction) -> Sequence[_Thing]:
    if table.Kind.DOCUMENT in row.objects:
        return facts.documents
    if table.Kind.STUDY in row.objects:
        return facts.studies
    return facts.removed if table.Kind.REGISTRY_OBJECT in row.objects else ()


def _patients(facts: ExchangeFacts, things: Sequence[_Thing]) -> list[str]:
    known = list(dict.fromkeys([*facts.patients, *(thing.patient for thing in things if thing.patient)]))
    if things and (len(known) > 1 or (known and not facts.patients)):
        # Each patient's message names the patient's own things; what belongs to nobody known has its own.
        known = [patient for patient in known if any(thing.patient == patient for thing in things)]
        if any(not thing.patient for thing in things):
            known.append("")
    return known or [""]


def _belongs(thing: _Thing, patient: str, patients: list[str]) -> bool:
    return thing.patient == patient or (not thing.patient and len(patients) == 1)


def _contents(
    facts: ExchangeFacts, row: table.AuditedTransaction, things: list[_Thing]
) -> Iterator[tuple[AuditOutcome, _Objects]]:
    failure = AuditOutcome(facts.outcome) or AuditOutcome.MINOR_FAILURE
    if not things:
        fixed = _fixed(facts, row)
        if facts.partial:
            yield AuditOutcome.SUCCESS, fixed
            yield failure, fixed
        else:
            yield AuditOutcome(facts.outcome), fixed
        return
    outcomes = [AuditOutcome(_outcome(facts, thing)) for thing in things]
    given = [thing for thing, outcome in zip(things, outcomes, strict=True) if not outcome]
    refused = [thing for thing, outcome in zip(things, outcomes, strict=True) if outcome]
    for group, outcome in ((given, AuditOutcome.SUCCESS), (refused, max(outcomes))):
        for objects in _objects(group, row):
            yield outcome, objects


def _outcome(facts: ExchangeFacts, thing: _Thing) -> int:
    own = AuditOutcome.SUCCESS if isinstance(thing, RemovedObject) else thing.outcome
    # Where the whole exchange failed nothing was given out, whatever a part says.
    return own if facts.partial else max(own, facts.outcome)


def _objects(things: list[_Thing], row: table.AuditedTransaction) -> Iterator[_Objects]:
    studies = [thing for thing in things if isinstance(thing, StudyFacts)]
    yield from parts.study_objects(studies, row)
    others = [thing for thing in things if not isinstance(thing, StudyFacts)]
    for start in range(0, len(others), parts.DOCUMENTS_IN_A_MESSAGE):
        yield tuple(
            parts.document_object(thing, row) if isinstance(thing, DocumentFacts) else parts.removed_object(thing, row)
            for thing in others[start : start + parts.DOCUMENTS_IN_A_MESSAGE]
        )


def _fixed(facts: ExchangeFacts, row: table.AuditedTransaction) -> _Objects:
    objects: list[ParticipantObject] = []
    if table.Kind.DECISION in row.objects and facts.subject is not None:
        objects.append(
            ParticipantObject(
                id=facts.subject.user_id, id_type=parts.code(table.USER_IDENTIFIER), type_code="1", role="11"
            )
        )
    if table.Kind.QUERY in row.objects and facts.query is not None:
        objects.append(parts.query_object(facts.query, row, _message(facts, row)))
    if table.Kind.SUBMISSION_SET in row.objects and facts.submission_set:
        objects.append(parts.submission_set_object(facts.submission_set, facts.home_community_id))
    if table.Kind.DECISION in row.objects:
        objects.extend(parts.security_object(resource, ("decision", status)) for resource, status in facts.results)
    if row.number == "ITI-81":
        objects.append(parts.security_object(facts.endpoint, name="Security Audit Log"))
    return tuple(objects)


def _message(facts: ExchangeFacts, row: table.AuditedTransaction) -> tuple[ObjectDetail, ...]:
    if not row.message_detail or not facts.message_id:
        return ()
    return (ObjectDetail.of(row.message_detail, facts.message_id),)


def _patient(facts: ExchangeFacts, row: table.AuditedTransaction, patient: str) -> _Objects:
    if not patient:
        return ()
    named = () if table.Kind.QUERY in row.objects else _message(facts, row)
    return (parts.patient_object(patient, *named),)


def _event(
    facts: ExchangeFacts,
    row: table.AuditedTransaction,
    outcome: AuditOutcome,
    objects: _Objects,
    action: AuditAction | None = None,
) -> AuditEvent:
    report = row.client if facts.side is Side.CLIENT else row.server
    roles = [parts.code(table.SOURCE), parts.code(table.DESTINATION)]
    if row.source == "responder":
        roles.reverse()
    participants = [parts.requester(facts, roles[0]), parts.responder(facts, roles[1])]
    if row.source == "responder":
        participants.reverse()
    if facts.subject is not None:
        participants.append(parts.person(facts.subject))
    return AuditEvent(
        event=parts.code(report.event),
        action=action or facts.action or (AuditAction(report.action) if report.action else AuditAction.EXECUTE),
        time=facts.time,
        outcome=outcome,
        outcome_description=parts.description(facts.outcome_description, facts.trace) if outcome else "",
        types=(parts.code(row.type),),
        purposes=facts.subject.purposes if facts.subject else (),
        participants=tuple(participants),
        source=parts.source(facts.site),
        objects=objects,
    )
