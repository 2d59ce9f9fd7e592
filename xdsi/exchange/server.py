"""The server's half of an exchange, once it is admitted: decode, locate, weigh, decide, handle, audit, encode."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from xdsi.domain.answering import EXCHANGE, sender_of
from xdsi.domain.audit import ExchangeFacts, Side
from xdsi.domain.consent import Decision
from xdsi.domain.errors import Contended, MalformedMessage, OutOfRoom, Rejected, SoapFault, Unavailable
from xdsi.domain.outcome import Problem, Severity, Status, outcome_of
from xdsi.domain.ports import RegistrySession
from xdsi.domain.repetition import Sending
from xdsi.domain.subject import Caller
from xdsi.exchange import repetition
from xdsi.exchange.record import described, facts_of, keep
from xdsi.exchange.row import ANSWERING, Actor, Beside, Call, Located, Trace, Transaction, Unit
from xdsi.rules import audit as audit_rules
from xdsi.spec.error_codes import or_else
from xdsi.wire.message import Message, Packaging, Payload

log = logging.getLogger("xdsi.exchange")

_ATTEMPTS = 4
"""at a unit of work that the database undoes because of others"""
_TRACE = re.compile(r"\[trace [0-9a-f]{32}\]$")


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
    # A message may have thousands of elements, and nobody looks at them once they are decoded.
    read = [message]
    del message
    payload: Payload = serve(
        actor,
        transaction,
        caller,
        read=lambda: _decoded(transaction, read.pop()),
        write=lambda response: transaction.response.encode(response, packaging),
        trace=trace,
        reply_to=reply_to,
        sending=lambda: repetition.sending_of(actor, transaction, read[0], caller, message_id),
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
    named = (trace.id, transaction.number, sender_of(caller.peer))
    before, named_before = ANSWERING.set(trace), EXCHANGE.set(named)
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
        ANSWERING.reset(before)
        EXCHANGE.reset(named_before)
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
        problems = _unavailable(transaction, error)
    asked_for = asked[0] if asked else None
    try:
        return _refuse(actor, transaction, asked_for, facts, problems, trace), None
    except Unavailable as error:
        # That nothing can be done now says nothing that would have to be on record before it leaves.
        log.error("trace %s: a refusal could not be audited: %s", trace.id, error)
        return transaction.refuse(
            asked_for, tuple(_marked(one, trace) for one in _unavailable(transaction, error))
        ), None


def _unavailable(transaction: Transaction[Any, Any], error: Unavailable) -> tuple[Problem, ...]:
    code = transaction.unavailable_code
    if not isinstance(error, OutOfRoom):
        return (Problem(code, "not available at the moment"),)
    actor = "Repository" if code.startswith("XDSRepository") else "Registry"
    return (Problem(or_else(f"XDS{actor}OutOfResources", transaction.number, code), "no room at the moment"),)


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
        trace.recorded = recorded = described(
            transaction, request, response, facts, located, decisions, repeated=first is not None
        )
        events = audit_rules.events_for(recorded)
        if transaction.writes:
            for asked, of in beside.records:
                session.append_audit(asked, of)
            session.append_audit(events, trace.id)
            if first is None:
                payload = repetition.keep(actor, transaction, response, sending, unit, packaging, trace)
    status = _status(response, recorded)
    if transaction.writes:
        trace.status = status
        return response, payload

    def together(connection: Any) -> None:
        nonlocal payload
        for asked, of in beside.records:
            actor.trail.append(asked, trace=of, connection=connection)
        actor.trail.append(events, trace=trace.id, connection=connection)
        if first is None:
            own = Unit(connection) if connection is not None else None
            payload = repetition.keep(actor, transaction, response, sending, own, packaging, trace)

    # Neither calls itself: a function that does keeps what it refers to until garbage is collected.
    def record(connection: Any = None) -> None:
        if connection is None and transaction.changes and actor.recording is not None:
            with actor.recording() as shared:
                together(shared)
        else:
            together(connection)

    if transaction.settle is not None and first is None:
        transaction.settle(response, actor.ports.get(transaction.number), record)
    else:
        try:
            record()
        except Unavailable as error:
            # What was done cannot be undone for want of its record, and no refusal may say that it was not done.
            kind = OutOfRoom if isinstance(error, OutOfRoom) else Unavailable
            raise kind(str(error), uncertain=transaction.changes and _perhaps_done(response)) from error
    trace.status = status
    return response, payload


def _status(response: Any, facts: ExchangeFacts) -> Status:
    """What an answer reports; one without an outcome what its record says."""
    outcome = outcome_of(response)
    if outcome is not None:
        return outcome.status
    return Status.FAILURE if facts.outcome else Status.SUCCESS


def _unit_of_work(actor: Actor, transaction: Transaction[Any, Any]) -> AbstractContextManager[Any]:
    """The unit of work of a transaction; where others do what it asks for, its end says nothing of what they did."""
    unit = actor.unit_of_work(transaction.writes)
    return unit if transaction.writes or not transaction.changes else _LeftBehind(unit, transaction.number)


class _LeftBehind:
    """A unit of work whose end may fail, once everything was done in it."""

    __slots__ = ("_number", "_unit")

    def __init__(self, unit: AbstractContextManager[Any], number: str) -> None:
        self._unit = unit
        self._number = number

    def __enter__(self) -> Any:
        return self._unit.__enter__()

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> bool | None:
        try:
            return self._unit.__exit__(kind, error, traceback)
        except Unavailable as failure:
            if error is not None:
                raise
            log.warning("what was read for %s is left behind: %s", self._number, failure)
            return None


def _perhaps_done(response: Any) -> bool:
    """False for an answer that says for certain that nothing was done."""
    outcome = outcome_of(response)
    if outcome is None or outcome.accepted:
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
    before: Decision | None = None
    ids: list[str] = []
    for resource, decision in zip(located.resources, decisions, strict=True):
        if decision is not before:
            before = decision
            ids = alike.setdefault((decision.permit, decision.policy, decision.rule, decision.document), [])
        ids.append(resource.unique_id)
    for (permit, policy, rule, document), ids in alike.items():
        trace.note("decide", resource=" ".join(ids), permit=permit, policy=policy, rule=rule, document=document)
    return decisions


def _traced(response: Any, trace: Trace) -> Any:
    """Note the problems of an answer, and give each the trace by which its sender can ask (`xdsi explain`)."""
    outcome = outcome_of(response)
    if outcome is None or not outcome.problems:
        return response
    for problem in outcome.problems:
        kind = {} if problem.severity is Severity.ERROR else {"severity": problem.severity.name.lower()}
        trace.note(
            "problem",
            **kind,
            code=problem.code,
            context=problem.context,
            location=problem.location,
            rule=problem.rule,
        )
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
