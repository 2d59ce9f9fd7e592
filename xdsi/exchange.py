"""One exchange: the order of steps every transaction follows, on the server's side and on the client's.

    admit   who asks: client certificate, node, assertion (ITI-19, ITI-40)
    decode  wire -> domain
    locate  what the request would reveal or change
    decide  consent and policy, one decision per resource
    handle  the transaction's own rules and effects
    audit   durable before the first byte of the answer (ITI-20)
    encode  domain -> wire

A transaction that reveals or changes data cannot be served without its decision: `run` is the only way in.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from xdsi.domain.audit import AuditSite, AuditTrail, ExchangeFacts, Side
from xdsi.domain.consent import Action, Decision, Resource
from xdsi.domain.errors import MalformedMessage, Rejected, SecurityFault, SoapFault, Unavailable
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import Clock, Decisions, RegistrySession, Spool
from xdsi.domain.subject import Caller, Peer, Subject
from xdsi.rules import audit as audit_rules
from xdsi.wire import saml, saml_issue
from xdsi.wire.message import Message, Packaging, Payload
from xdsi.wire.soap import Envelope

log = logging.getLogger("xdsi.exchange")

_TRACE = re.compile(r"\[trace ([0-9a-f]{32})\]")

Req = TypeVar("Req")
Resp = TypeVar("Resp")


@dataclass(frozen=True, slots=True)
class Codec(Generic[Req]):
    """Both directions of one message form."""

    decode: Callable[[Message], Req]
    encode: Callable[[Req, Packaging], Payload]


@dataclass(slots=True)
class Trace:
    """What happened in one exchange, for the operator: steps with their durations, under one id."""

    id: str = field(default_factory=lambda: secrets.token_hex(16))
    started: float = field(default_factory=time.perf_counter)
    steps: list[dict[str, Any]] = field(default_factory=list)

    def note(self, step: str, **detail: Any) -> None:
        """Remember a step; `ms` is the time since the exchange began."""
        self.steps.append({"step": step, "ms": round((time.perf_counter() - self.started) * 1000, 2), **detail})


@dataclass(frozen=True, slots=True)
class Located:
    """What a request would reveal or change; `state` is the transaction's own, handed back to `handle`."""

    resources: tuple[Resource, ...] = ()
    state: Any = None


@dataclass(frozen=True, slots=True)
class Call(Generic[Req]):
    """Everything `handle` may use."""

    request: Req
    caller: Caller
    ports: Any
    session: RegistrySession
    located: Located
    decisions: tuple[Decision, ...]
    trace: Trace


def _nothing(request: Any, ports: Any, session: RegistrySession) -> Located:
    return Located()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction(Generic[Req, Resp]):
    """One IHE transaction: its names, its codecs, its rules.

    `writes` opens a unit of work that `handle` and the audit record share. `action` None means that the node's permit
    is the whole decision (publishing, feeds; contract of docs/policy.md). `refuse` turns problems found before
    `handle` into an answer of this transaction.
    """

    number: str
    name: str
    trigger: str
    reply: str
    request: Codec[Req]
    response: Codec[Resp]
    handle: Callable[[Call[Req]], Resp]
    refuse: Callable[[Req | None, Sequence[Problem]], Resp]
    facts: Callable[[Req, Resp | None, ExchangeFacts], ExchangeFacts]
    locate: Callable[[Req, Any, RegistrySession], Located] = _nothing
    action: Action | None = None
    assertion_required: bool = True
    writes: bool = False
    malformed_code: str = "XDSRegistryError"
    unavailable_code: str = "XDSRegistryError"


class TraceLog(Protocol):
    """Keeps traces for `xdsi explain`."""

    def append(self, trace: str, record: dict[str, Any]) -> None:
        """Remember what happened in one exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may come in, for all transactions of a server."""

    trust: saml.SamlTrust | None
    """None in the open profile: a wsse:Security header is understood and ignored"""
    nodes_required: bool = True
    """a known node must permit what needs no assertion"""
    clock: Clock
    replay: Callable[[str, str, datetime], bool] | None = None
    """remembers (issuer, assertion id, end); True when seen before. None: assertions may be used again"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """An actor of the profiles: its name, the path it answers at, its description in wsdl/, what it speaks."""

    name: str
    path: str
    wsdl: str
    transactions: tuple[Transaction[Any, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One actor as it runs: what it speaks and what it works with."""

    role: Role
    ports: Mapping[str, Any]
    """what each transaction works with, by its number"""
    access: Access
    decisions: Decisions
    unit_of_work: Callable[[bool], AbstractContextManager[Any]]
    trail: AuditTrail
    traces: TraceLog
    site: AuditSite

    def find(self, action: str) -> Transaction[Any, Any] | None:
        """The transaction that this wsa:Action starts at this actor."""
        for transaction in self.role.transactions:
            if transaction.trigger == action:
                return transaction
        return None


@contextmanager
def no_unit_of_work(writes: bool) -> Iterator[None]:  # noqa: FBT001 - the shape of Actor.unit_of_work
    """For actors whose ports need no shared unit of work."""
    yield None


def admit(actor: Actor, transaction: Transaction[Any, Any], envelope: Envelope, peer: Peer, trace: Trace) -> Caller:
    """Verify who asks, before anything of the request is used.

    Raises SecurityFault (token refused) or SoapFault (node not permitted); both are audited here.
    """
    access = actor.access
    try:
        if access.trust is None:
            return Caller(peer=peer)
        if not transaction.assertion_required:
            node = peer.node
            if access.nodes_required and (node is None or not node.may(transaction.number)):
                name = node.name if node else peer.certificate_subject or "no certificate"
                raise SecurityFault("FailedAuthentication", f"node {name!r} is not permitted {transaction.number}")
            if not envelope.security:
                trace.note("admit", node=node.name if node else "")
                return Caller(peer=peer)
        verified = saml.read_assertion(
            envelope.security, access.trust, now=access.clock(), peer_certificate_sha256=peer.certificate_sha256
        )
        subject = verified.subject
        _check_replay(access, verified)
    except SecurityFault as fault:
        trace.note("refused", fault=fault.wsse_code, detail=fault.detail)
        facts = _facts(actor, transaction, Caller(peer=peer), trace, Side.SERVER)
        facts = replace(facts, outcome=8, token_refused=f"{fault.wsse_code}: {fault.detail}")
        actor.trail.append(audit_rules.events_for(facts), trace=trace.id)
        raise
    trace.note("admit", user=subject.audit_name, node=peer.node.name if peer.node else "")
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
) -> Payload:
    """Answer one admitted request; its audit record is durable when this returns.

    Raises SoapFault where the answer is a fault.
    """
    facts = replace(_facts(actor, transaction, caller, trace, Side.SERVER), reply_to=reply_to)
    request: Any = None
    response: Any
    try:
        request = transaction.request.decode(message)
        trace.note("decode")
        with actor.unit_of_work(transaction.writes) as session:
            ports = actor.ports.get(transaction.number)
            located = transaction.locate(request, ports, session)
            decisions = _decide(actor, transaction, caller, located, session, trace)
            response = transaction.handle(
                Call(request, caller, ports, session, located, decisions, trace),
            )
            trace.note("handle")
            response = _traced(response, trace)
            facts = _described(transaction, request, response, facts, located, decisions)
            events = audit_rules.events_for(facts)
            if transaction.writes:
                session.append_audit(events, trace.id)
        if not transaction.writes:
            actor.trail.append(events, trace=trace.id)
    except Rejected as rejection:
        response = _refuse(actor, transaction, request, facts, rejection.problems, trace)
    except MalformedMessage as error:
        problem = Problem(transaction.malformed_code, str(error), location=error.location)
        response = _refuse(actor, transaction, request, facts, (problem,), trace)
    except Unavailable as error:
        log.warning("trace %s: %s", trace.id, error)
        problem = Problem(transaction.unavailable_code, "not available at the moment")
        response = _refuse(actor, transaction, request, facts, (problem,), trace)
    except SoapFault as fault:
        trace.note("fault", reason=fault.reason, detail=fault.detail)
        actor.trail.append(
            audit_rules.events_for(replace(facts, outcome=8, outcome_description=fault.reason)), trace=trace.id
        )
        raise
    payload = transaction.response.encode(response, packaging)
    actor.traces.append(trace.id, _record(transaction, caller, trace))
    return payload


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
    for resource, decision in zip(located.resources, decisions, strict=True):
        trace.note(
            "decide",
            resource=resource.unique_id,
            permit=decision.permit,
            policy=decision.policy,
            rule=decision.rule,
            document=decision.document,
        )
    return decisions


def _traced(response: Any, trace: Trace) -> Any:
    """Note the problems of an answer, and give each the trace by which its sender can ask (`xdsi explain`)."""
    outcome = response if isinstance(response, Outcome) else getattr(response, "outcome", None)
    if not isinstance(outcome, Outcome) or not outcome.problems:
        return response
    for problem in outcome.problems:
        trace.note(
            "problem", code=problem.code, context=problem.context, location=problem.location, rule=problem.rule
        )
    marked = replace(outcome, problems=tuple(_marked(problem, trace) for problem in outcome.problems))
    return marked if response is outcome else replace(response, outcome=marked)


def _marked(problem: Problem, trace: Trace) -> Problem:
    # A registry's errors pass through a repository word for word, with the registry's own trace.
    if "[trace " in problem.context:
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
    denied = tuple(
        (resource.unique_id, decision)
        for resource, decision in zip(located.resources, decisions, strict=False)
        if not decision.permit
    )
    return replace(transaction.facts(request, response, facts), denied=denied)


def _facts(
    actor: Actor, transaction: Transaction[Any, Any], caller: Caller, trace: Trace, side: Side
) -> ExchangeFacts:
    return ExchangeFacts(
        transaction=transaction.number,
        side=side,
        endpoint=actor.site.endpoint(actor.role.path),
        site=actor.site,
        peer_address=caller.peer.address,
        node=caller.peer.node,
        subject=caller.subject,
        time=actor.access.clock(),
        trace=trace.id,
    )


def _record(transaction: Transaction[Any, Any], caller: Caller, trace: Trace) -> dict[str, Any]:
    return {
        "transaction": transaction.number,
        "peer": caller.peer.address,
        "node": caller.peer.node.name if caller.peer.node else "",
        "user": caller.subject.audit_name if caller.subject else "",
        "steps": trace.steps,
    }


@dataclass(slots=True)
class Reply:
    """A peer's answer; its parts lie in `spool` until that is closed."""

    message: Message
    spool: Spool
    trace: str = ""


class Channel(Protocol):
    """A way to one endpoint of a peer."""

    @property
    def url(self) -> str:
        """Where it leads, for the audit record."""

    def send(
        self, transaction: Transaction[Any, Any], payload: Payload, packaging: Packaging, security: bytes = b""
    ) -> Reply:
        """Send one request and return its answer; raises Unavailable, SoapFault or MalformedMessage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who we are when we ask: for the security header and for the audit record of our side."""

    site: AuditSite
    trail: AuditTrail
    clock: Clock
    subject: Subject | None = None
    assertion: bytes = b""
    """a SAML assertion to send, as it came from its issuer"""


@dataclass(slots=True)
class Called(Generic[Resp]):
    """What a call brought; documents of the answer are readable until `close`."""

    answer: Resp
    reply: Reply

    def close(self) -> None:
        """Remove the spooled parts."""
        self.reply.spool.close()


def call(
    client: Client,
    transaction: Transaction[Req, Resp],
    request: Req,
    channel: Channel,
    *,
    packaging: Packaging = Packaging.SIMPLE,
    number: str = "",
) -> Called[Resp]:
    """Start a transaction as its client, and audit our side of it (ITI-20).

    `number` names the transaction in the audit record where it is sent under another name (RAD-68 as ITI-41).
    Raises what the channel raises, after the failure was audited.
    """
    facts = ExchangeFacts(
        transaction=number or transaction.number,
        side=Side.CLIENT,
        endpoint=channel.url,
        site=client.site,
        subject=client.subject,
        time=client.clock(),
    )
    security = saml_issue.security_header(client.assertion) if client.assertion else b""
    payload = transaction.request.encode(request, packaging)
    try:
        reply = channel.send(transaction, payload, packaging, security)
        answer = transaction.response.decode(reply.message)
    except Exception as error:
        failed = replace(transaction.facts(request, None, facts), outcome=8, outcome_description=str(error))
        # A fault names the trace under which the other end keeps its reasons.
        found = _TRACE.search(str(error))
        client.trail.append(audit_rules.events_for(failed), trace=found[1] if found else "")
        raise
    described = replace(transaction.facts(request, answer, facts), trace=reply.trace)
    client.trail.append(audit_rules.events_for(described), trace=reply.trace)
    return Called(answer, reply)
