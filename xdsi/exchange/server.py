"""The server's half of an exchange: admit, decode, locate, weigh, decide, handle, audit, encode."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from xdsi.domain.audit import ExchangeFacts, Side
from xdsi.domain.consent import Decision
from xdsi.domain.errors import Contended, MalformedMessage, Rejected, SecurityFault, SoapFault, Unavailable
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import RegistrySession
from xdsi.domain.repetition import Sending
from xdsi.domain.subject import Caller, Peer, Subject
from xdsi.exchange import repetition
from xdsi.exchange.row import Access, Actor, Beside, Call, Located, Trace, Transaction, Unit
from xdsi.rules import audit as audit_rules
from xdsi.rules.consent import BREAK_GLASS, overridden
from xdsi.wire import saml
from xdsi.wire.http_authorization import read_authorization
from xdsi.wire.jwt_token import JwtTrust
from xdsi.wire.message import Message, Packaging, Payload
from xdsi.wire.soap import Envelope

log = logging.getLogger("xdsi.exchange")

_ATTEMPTS = 4
"""at a unit of work that the database undoes because of others"""
_TRACE = re.compile(r"\[trace [0-9a-f]{32}\]$")


def admit(actor: Actor, transaction: Transaction[Any, Any], envelope: Envelope, peer: Peer, trace: Trace) -> Caller:
    """Verify who sends a SOAP message, before anything of the request is used.

    Raises SecurityFault where the node is not permitted or the token refused, which is audited here.
    """

    def read(trust: saml.SamlTrust, tokens: JwtTrust) -> saml.VerifiedAssertion:
        now = actor.access.clock()
        return saml.read_assertion(envelope.security, trust, now=now, peer_certificate_sha256=peer.certificate_sha256)

    return _admit(actor, transaction, peer, trace, read, shown=bool(envelope.security))


def admit_http(
    actor: Actor, transaction: Transaction[Any, Any], authorization: str, peer: Peer, trace: Trace
) -> Caller:
    """The same for a REST request, by its Authorization header."""

    def read(trust: saml.SamlTrust, tokens: JwtTrust) -> saml.VerifiedAssertion:
        access = actor.access
        return read_authorization(
            authorization, trust, tokens, now=access.clock(), peer_certificate_sha256=peer.certificate_sha256
        )

    return _admit(actor, transaction, peer, trace, read, shown=bool(authorization))


def admit_peer(
    actor: Actor, transaction: Transaction[Any, Any], peer: Peer, subject: Subject | None, detail: str, trace: Trace
) -> Caller:
    """The same for a peer that has no words for who asks, and is itself bound to a subject by the settings.

    Without a subject it is refused, `detail` saying why.
    """

    def read(trust: saml.SamlTrust, tokens: JwtTrust) -> saml.VerifiedAssertion:
        if subject is None:
            raise SecurityFault("FailedAuthentication", detail)
        return saml.VerifiedAssertion(subject, repr(subject).encode())

    return _admit(actor, transaction, peer, trace, read, shown=True, reusable=True)


def _admit(
    actor: Actor,
    transaction: Transaction[Any, Any],
    peer: Peer,
    trace: Trace,
    read: Callable[[saml.SamlTrust, JwtTrust], saml.VerifiedAssertion],
    *,
    shown: bool,
    reusable: bool = False,
) -> Caller:
    access = actor.access
    node = peer.node
    try:
        if not transaction.assertion_required:
            if access.nodes_required and (node is None or not node.may(transaction.number)):
                name = node.name if node else peer.certificate_subject or "no certificate"
                raise SecurityFault("FailedAuthentication", f"node {name!r} is not permitted {transaction.number}")
            if not shown:
                trace.note("admit", node=node.name if node else "")
                return Caller(peer=peer)
        trust, tokens = access.lists()
        if trust is None:
            return Caller(peer=peer)
        verified = read(trust, tokens)
        subject = verified.subject
        if not reusable:
            _check_replay(access, verified)
    except SecurityFault as fault:
        trace.note("refused", fault=fault.wsse_code, detail=fault.detail)
        facts = facts_of(actor, transaction, Caller(peer=peer), trace, Side.SERVER)
        facts = replace(facts, outcome=8, token_refused=f"{fault.wsse_code}: {fault.detail}")
        keep(actor, trace, peer, transaction.number)
        actor.trail.append(audit_rules.events_for(facts), trace=trace.id)
        raise
    trace.note("admit", user=subject.audit_name, node=node.name if node else "")
    return Caller(peer=peer, subject=subject, assertion=verified.raw)


def _check_replay(access: Access, verified: saml.VerifiedAssertion) -> None:
    subject = verified.subject
    if access.replay is None:
        if verified.one_time_use:
            raise SecurityFault("FailedAuthentication", "an assertion for one use, where uses are not remembered")
        return
    until = subject.not_on_or_after or access.clock()
    if access.replay(subject.issuer, subject.assertion_id, until + timedelta(minutes=5)):
        raise SecurityFault("FailedAuthentication", f"assertion {subject.assertion_id} was used before")


def run(
    actor: Actor,
    transaction: Transaction[Any, Any],
    message: Message,
    caller: Caller,
    *,
    packaging: Packaging,
    trace: Trace,
    reply_to: str = "",
    message_id: str = "",
) -> Payload:
    """Answer one admitted SOAP message; its audit record is durable when this returns.

    Raises SoapFault where the answer is a fault.
    """
    payload: Payload = serve(
        actor,
        transaction,
        caller,
        read=lambda: _decoded(transaction, message),
        write=lambda response: transaction.response.encode(response, packaging),
        trace=trace,
        reply_to=reply_to,
        sending=lambda: repetition.sending_of(actor, transaction, message, caller, message_id),
        packaging=packaging,
    )
    return payload


def serve(
    actor: Actor,
    transaction: Transaction[Any, Any],
    caller: Caller,
    *,
    read: Callable[[], Any],
    write: Callable[[Any], Any],
    trace: Trace,
    reply_to: str = "",
    sending: Callable[[], Sending | None] = lambda: None,
    packaging: Packaging = Packaging.SIMPLE,
) -> Any:
    """Answer one admitted request, whatever form it came in: `read` gives the request, `write` takes the answer.

    Its audit record is durable when this returns. `sending` says how a SOAP message is known again. Raises SoapFault
    where the answer is none.
    """
    base = facts_of(actor, transaction, caller, trace, Side.SERVER, reply_to)
    asked: list[Any] = []
    try:
        response, payload = _respond(actor, transaction, read, caller, base, trace, asked, sending(), packaging)
        return payload or write(response)
    except Exception as error:
        fault = as_fault(error, trace)
        trace.note("fault", reason=fault.reason, detail=fault.detail)
        facts = transaction.facts(asked[0], None, base) if asked else base
        failed = replace(facts, outcome=8, outcome_description=fault.reason)
        try:
            actor.trail.append(audit_rules.events_for(failed), trace=trace.id)
        except Unavailable as unavailable:
            # The fault says nothing that would have to be on record before it leaves.
            log.error("trace %s: a failure could not be audited: %s", trace.id, unavailable)
        raise fault from error
    finally:
        keep(actor, trace, caller.peer, transaction.number, caller.subject)


def _respond(
    actor: Actor,
    transaction: Transaction[Any, Any],
    read: Callable[[], Any],
    caller: Caller,
    facts: ExchangeFacts,
    trace: Trace,
    asked: list[Any],
    sending: Sending | None,
    packaging: Packaging,
) -> tuple[Any, Payload | None]:
    """From decode (leaving the request in `asked`) to the audit record; what fails on the way is refused.

    The answer comes encoded where it is one that is kept, or was.
    """
    try:
        request = read()
        asked.append(request)
        trace.note("decode")
        request = transaction.prepare(request, actor.ports.get(transaction.number))
        for attempt in range(_ATTEMPTS - 1):
            try:
                with repetition.alone(actor, transaction, sending):
                    return _work(actor, transaction, request, caller, facts, trace, sending, packaging)
            except Contended as error:
                if not transaction.writes:
                    raise
                trace.note("again", detail=str(error))
            # Not together again with who stood in the way.
            time.sleep(random.uniform(0.005, 0.02) * 2**attempt)  # noqa: S311 - no secret
        with repetition.alone(actor, transaction, sending):
            return _work(actor, transaction, request, caller, facts, trace, sending, packaging)
    except Rejected as rejection:
        problems = rejection.problems
    except MalformedMessage as error:
        problems = (Problem(transaction.malformed_code, str(error), location=error.location),)
    except Unavailable as error:
        log.warning("trace %s: %s", trace.id, error)
        trace.note("unavailable", detail=str(error))
        if error.uncertain and (transaction.writes or transaction.changes):
            # A refusal would say that nothing was done.
            reason = "it is not known whether this was done; the same message may be sent again"
            raise SoapFault("Receiver", reason, detail=str(error)) from error
        problems = _unavailable(transaction)
    asked_for = asked[0] if asked else None
    try:
        return _refuse(actor, transaction, asked_for, facts, problems, trace), None
    except Unavailable as error:
        # That nothing can be done now says nothing that would have to be on record before it leaves.
        log.error("trace %s: a refusal could not be audited: %s", trace.id, error)
        return transaction.refuse(asked_for, tuple(_marked(one, trace) for one in _unavailable(transaction))), None


def _unavailable(transaction: Transaction[Any, Any]) -> tuple[Problem, ...]:
    return (Problem(transaction.unavailable_code, "not available at the moment"),)


def _handle(
    actor: Actor,
    transaction: Transaction[Any, Any],
    request: Any,
    caller: Caller,
    session: RegistrySession,
    trace: Trace,
    beside: Beside,
) -> tuple[Any, Located, tuple[Decision, ...]]:
    ports = actor.ports.get(transaction.number)
    unrestricted = actor.decisions.reveals_everything
    located = transaction.locate(request, ports, session)
    if not unrestricted:
        located = transaction.weigh(located, ports, session)
    decisions = _decide(actor, transaction, caller, located, session, trace)
    call = Call(request, caller, ports, session, located, decisions, trace, unrestricted, beside)
    response = transaction.handle(call)
    trace.note("handle")
    return _traced(response, trace), located, decisions


def _work(
    actor: Actor,
    transaction: Transaction[Any, Any],
    request: Any,
    caller: Caller,
    facts: ExchangeFacts,
    trace: Trace,
    sending: Sending | None,
    packaging: Packaging,
) -> tuple[Any, Payload | None]:
    """From locate to the audit record, in one unit of work.

    What a transaction that writes does is in its session and nowhere else, so that it may be undone and done again.
    """
    response: Any
    payload: Payload | None = None
    decisions: tuple[Decision, ...] = ()
    beside = Beside()
    with _unit_of_work(actor, transaction) as session:
        unit = session if transaction.writes else None
        first = repetition.recall(actor, sending, unit, trace)
        if first is not None:
            response, payload = repetition.read(transaction, first), Payload((first.body,))
            located = Located()
        else:
            try:
                response, located, decisions = _handle(actor, transaction, request, caller, session, trace, beside)
            except BaseException:
                # What others were asked took place, whatever becomes of this.
                for asked, of in beside.records:
                    actor.trail.append(asked, trace=of)
                raise
        trace.recorded = _described(transaction, request, response, facts, located, decisions)
        events = audit_rules.events_for(trace.recorded)
        if transaction.writes:
            for asked, of in beside.records:
                session.append_audit(asked, of)
            session.append_audit(events, trace.id)
            if first is None:
                payload = repetition.keep(actor, transaction, response, sending, unit, packaging, trace)
    if transaction.writes:
        return response, payload

    def record(connection: Any = None) -> None:
        nonlocal payload
        if connection is None and transaction.changes and actor.recording is not None:
            with actor.recording() as shared:
                record(shared)
            return
        for asked, of in beside.records:
            actor.trail.append(asked, trace=of, connection=connection)
        actor.trail.append(events, trace=trace.id, connection=connection)
        if first is None:
            own = Unit(connection) if connection is not None else None
            payload = repetition.keep(actor, transaction, response, sending, own, packaging, trace)

    if transaction.settle is not None and first is None:
        transaction.settle(response, actor.ports.get(transaction.number), record)
    else:
        try:
            record()
        except Unavailable as error:
            # What was done cannot be undone for want of its record, and no refusal may say that it was not done.
            raise Unavailable(str(error), uncertain=transaction.changes and _perhaps_done(response)) from error
    return response, payload


@contextmanager
def _unit_of_work(actor: Actor, transaction: Transaction[Any, Any]) -> Iterator[Any]:
    """The unit of work of a transaction; where others do what it asks for, its end says nothing of what they did."""
    done = False
    try:
        with actor.unit_of_work(transaction.writes) as session:
            yield session
            done = True
    except Unavailable as error:
        if transaction.writes or not (done and transaction.changes):
            raise
        log.warning("what was read for %s is left behind: %s", transaction.number, error)


def _perhaps_done(response: Any) -> bool:
    """False for an answer that says for certain that nothing was done."""
    outcome = response if isinstance(response, Outcome) else getattr(response, "outcome", None)
    if not isinstance(outcome, Outcome) or outcome.accepted:
        return True
    return any(problem.code in repetition.TRANSIENT for problem in outcome.errors)


def _decoded(transaction: Transaction[Any, Any], message: Message) -> Any:
    """The request; what nobody would look at is not answered for."""
    if len(message.bodies) > 1 and not transaction.several:
        raise MalformedMessage("several elements in the Body", location="Body", expected="one request")
    return transaction.request.decode(message)


def as_fault(error: BaseException, trace: Trace) -> SoapFault:
    """What a caller learns of a failure; what is not foreseen stays with the operator."""
    if isinstance(error, SoapFault):
        return error
    if isinstance(error, MalformedMessage):
        return SoapFault("Sender", str(error))
    if isinstance(error, Unavailable):
        return SoapFault("Receiver", "not available at the moment", detail=str(error))
    log.error("trace %s: unexpected failure", trace.id, exc_info=error)
    return SoapFault("Receiver", "internal failure", detail=repr(error))


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


def _decide(
    actor: Actor,
    transaction: Transaction[Any, Any],
    caller: Caller,
    located: Located,
    session: RegistrySession,
    trace: Trace,
) -> tuple[Decision, ...]:
    if transaction.action is None:
        return ()
    now = actor.access.clock()
    decisions = tuple(actor.decisions.decide(caller, transaction.action, located.resources, now, session))
    if len(decisions) != len(located.resources):
        raise SoapFault("Receiver", "decision failed", detail="decisions do not match the resources")
    alike: dict[tuple[bool, str, str, str], list[str]] = {}
    for resource, decision in zip(located.resources, decisions, strict=True):
        key = (decision.permit, decision.policy, decision.rule, decision.document)
        alike.setdefault(key, []).append(resource.unique_id)
    for (permit, policy, rule, document), ids in alike.items():
        trace.note("decide", resource=" ".join(ids), permit=permit, policy=policy, rule=rule, document=document)
    return decisions


def _traced(response: Any, trace: Trace) -> Any:
    """Note the problems of an answer, and give each the trace by which its sender can ask (`xdsi explain`)."""
    outcome = response if isinstance(response, Outcome) else getattr(response, "outcome", None)
    if not isinstance(outcome, Outcome) or not outcome.problems:
        return response
    for problem in outcome.problems:
        trace.note("problem", code=problem.code, context=problem.context, location=problem.location, rule=problem.rule)
    marked = replace(outcome, problems=tuple(_marked(problem, trace) for problem in outcome.problems))
    return marked if response is outcome else replace(response, outcome=marked)


def _marked(problem: Problem, trace: Trace) -> Problem:
    # A registry's errors pass through a repository word for word, with the registry's own trace.
    if _TRACE.search(problem.context):
        return problem
    return replace(problem, context=f"{problem.context} [trace {trace.id}]")


def _refuse(
    actor: Actor,
    transaction: Transaction[Any, Any],
    request: Any,
    facts: ExchangeFacts,
    problems: Sequence[Problem],
    trace: Trace,
) -> Any:
    for problem in problems:
        trace.note("refused", code=problem.code, context=problem.context, location=problem.location, rule=problem.rule)
    response = transaction.refuse(request, tuple(_marked(problem, trace) for problem in problems))
    if request is not None:
        facts = transaction.facts(request, response, facts)
    actor.trail.append(
        audit_rules.events_for(replace(facts, outcome=8, outcome_description=problems[0].context)), trace=trace.id
    )
    return response


def _described(
    transaction: Transaction[Any, Any],
    request: Any,
    response: Any,
    facts: ExchangeFacts,
    located: Located,
    decisions: tuple[Decision, ...],
) -> ExchangeFacts:
    facts = transaction.facts(request, response, facts)
    if not facts.patients:
        # Who is known only from what was found is named where it is one person.
        found = {resource.patient.cx for resource in located.resources if resource.patient is not None}
        facts = replace(facts, patients=tuple(found) if len(found) == 1 else ())
    outcome = response if isinstance(response, Outcome) else getattr(response, "outcome", None)
    if isinstance(outcome, Outcome) and outcome.errors and not facts.outcome_description:
        facts = replace(facts, outcome_description=outcome.errors[0].context)
    decided = zip(located.resources, decisions, strict=False)
    denied = tuple([(resource.unique_id, decision) for resource, decision in decided if not decision.permit])
    emergency = facts.emergency or any(one.permit and one.rule == BREAK_GLASS for one in decisions)
    if not denied and not emergency:
        return facts
    whose = facts.overridden or overridden(decisions)
    return replace(facts, denied=denied, emergency=emergency, overridden=whose)


def facts_of(
    actor: Actor, transaction: Transaction[Any, Any], caller: Caller, trace: Trace, side: Side, reply_to: str = ""
) -> ExchangeFacts:
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
