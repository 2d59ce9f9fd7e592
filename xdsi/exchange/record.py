"""What is kept of an exchange: the facts that become its audit record, and its trace for `xdsi explain`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xdsi.domain.audit import ExchangeFacts, Side
from xdsi.domain.consent import Decision
from xdsi.domain.outcome import outcome_of
from xdsi.domain.subject import Caller, Peer, Subject
from xdsi.exchange.row import Actor, Located, Trace, Transaction
from xdsi.rules.consent import BREAK_GLASS, overridden


def facts_of(
    actor: Actor, transaction: Transaction[Any, Any], caller: Caller, trace: Trace, side: Side, reply_to: str = ""
) -> ExchangeFacts:
    """What is known of an exchange before its request is read."""
    return ExchangeFacts(
        transaction=transaction.number,
        side=side,
        endpoint=actor.site.endpoint(actor.role.path),
        reply_to=reply_to,
        site=actor.site,
        peer_address=caller.peer.address,
        node=caller.peer.node,
        subject=caller.subject,
        time=actor.access.clock(),
        trace=trace.id,
    )


def described(
    transaction: Transaction[Any, Any],
    request: Any,
    response: Any,
    facts: ExchangeFacts,
    located: Located,
    decisions: tuple[Decision, ...],
    *,
    repeated: bool = False,
) -> ExchangeFacts:
    """The facts of an exchange once it is known what was answered, and why."""
    facts = transaction.facts(request, response, facts)
    if not facts.patients:
        # Who is known only from what was found is named where it is one person.
        found = {resource.patient.cx for resource in located.resources if resource.patient is not None}
        facts = replace(facts, patients=tuple(found) if len(found) == 1 else ())
        facts = _with_owners(facts, located, decisions)
    facts = with_reason(facts, response, "answered as the first time: " if repeated else "")
    decided = zip(located.resources, decisions, strict=False)
    denied = tuple([(resource.unique_id, decision) for resource, decision in decided if not decision.permit])
    emergency = facts.emergency or any(one.permit and one.rule == BREAK_GLASS for one in decisions)
    if not denied and not emergency:
        return facts
    whose = facts.overridden or overridden(decisions)
    return replace(facts, denied=denied, emergency=emergency, overridden=whose)


def with_reason(facts: ExchangeFacts, response: Any, before: str = "") -> ExchangeFacts:
    """With the first error that was answered, after `before`, where nothing else says why."""
    outcome = outcome_of(response)
    if outcome is None or not outcome.errors or facts.outcome_description:
        return facts
    return replace(facts, outcome_description=f"{before}{outcome.errors[0].context}")


def _with_owners(facts: ExchangeFacts, located: Located, decisions: tuple[Decision, ...]) -> ExchangeFacts:
    """Each document with the patient that was found when it was decided on: a repository knows none."""
    if facts.patients or not facts.documents:
        return facts
    owners = {
        (resource.repository_unique_id, resource.unique_id): decision.patient.cx
        for resource, decision in zip(located.resources, decisions, strict=False)
        if decision.patient is not None
    }
    if not owners:
        return facts
    documents = [
        one if one.patient else replace(one, patient=owners.get((one.repository_unique_id, one.unique_id), ""))
        for one in facts.documents
    ]
    return replace(facts, documents=tuple(documents))


def keep(actor: Actor, trace: Trace, peer: Peer, number: str, subject: Subject | None = None) -> None:
    """Put the record of an exchange, or of an attempt at one, where `xdsi explain` finds it; once."""
    if trace.kept:
        return
    trace.kept = True
    record = {
        "transaction": number,
        "peer": peer.address,
        "node": peer.node.name if peer.node else "",
        "user": subject.audit_name if subject else "",
        "steps": trace.steps,
    }
    actor.traces.append(trace.id, record)
