"""The order of steps of an exchange, and that no way around one of them exists."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests import trusted
from tests.certificates import identity
from tests.wire.ebxml.bodies import message
from xdsi import actors
from xdsi.domain.answering import prefix
from xdsi.domain.audit import AuditEvent, AuditOutcome, AuditSite, ExchangeFacts, QueryFacts, Side
from xdsi.domain.codes import Code
from xdsi.domain.consent import Action, Decision, Resource
from xdsi.domain.errors import Contended, MalformedMessage, OutOfRoom, Rejected, SecurityFault, SoapFault, Unavailable
from xdsi.domain.identifiers import PatientId
from xdsi.domain.outcome import Outcome, Problem, Severity
from xdsi.domain.repetition import FirstAnswer, Sending
from xdsi.domain.subject import Caller, Node, Peer, Subject
from xdsi.exchange import (
    Access,
    Actor,
    Call,
    Called,
    Client,
    Codec,
    Located,
    Reply,
    Role,
    Trace,
    Transaction,
    admit,
    admit_http,
    admit_peer,
    call,
    run,
)
from xdsi.exchange.row import NO_SOAP
from xdsi.rules import audit as audit_rules
from xdsi.rules.consent import BREAK_GLASS
from xdsi.spec import error_codes
from xdsi.wire import saml_issue, soap
from xdsi.wire.ebxml import response
from xdsi.wire.jwt_token import JwtTrust
from xdsi.wire.message import Message, Packaging, Payload
from xdsi.wire.saml import SamlTrust

NOW = datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC)
PATIENT = PatientId("P1", "2.999.1.1")
RESOURCE = Resource(unique_id="2.1", patient=PATIENT)
PERMIT = Decision(permit=True, policy="consent", rule="r1", document="2.7")
DENY = Decision(permit=False, policy="consent", rule="r2", document="2.7")
SITE = AuditSite(source_id="hub", host="hub.example", process_id="1", base_url="https://hub.example")
IDP = identity("idp", "2048")
TRUST = SamlTrust.of({"idp": [IDP.cert_pem]}, ["urn:oid:2.999.1"])
SUBJECT = Subject(
    user_id="dr", issuer="idp", assertion_id="", user_name="Dr", organization="A", organization_id="urn:oid:2.999.5",
    roles=(Code("a", "1.2"),), purposes=(Code("b", "1.2"),),
)  # fmt: skip
CALLER = Caller(peer=Peer(address="192.0.2.7"), subject=SUBJECT)
NODE = Node(name="hospital-a", certificate_sha256="ab", permits=frozenset({"ITI-42"}))


@dataclass
class World:
    """Everything an actor works with; `steps` is what happened, in order, and `fail` what is to go wrong."""

    steps: list[str] = field(default_factory=list)
    fail: dict[str, BaseException] = field(default_factory=dict)
    resources: tuple[Resource, ...] = (RESOURCE,)
    decisions: Sequence[Decision] | None = (PERMIT,)
    outcome: Any = field(default_factory=Outcome)
    audited: list[AuditEvent] = field(default_factory=list)
    traces: dict[str, dict[str, Any]] = field(default_factory=dict)
    uncommitted: list[AuditEvent] = field(default_factory=list)
    reveals_everything: bool = False

    def step(self, name: str) -> None:
        self.steps.append(name)
        if name in self.fail:
            raise self.fail[name]

    # -- the transaction

    def decode(self, message: Message) -> str:
        self.step("decode")
        return "request"

    def encode(self, response: Any, packaging: Packaging) -> Payload:
        self.step("encode")
        return Payload((str(getattr(response, "status", response)).encode(),))

    def locate(self, request: Any, ports: Any, session: Any) -> Located:
        self.step("locate")
        return Located(self.resources, "state")

    def weigh(self, located: Located, ports: Any, session: Any) -> Located:
        self.step("weigh")
        return Located(self.resources, "weighed")

    def handle(self, call: Call[Any]) -> Any:
        self.step("handle")
        self.call = call
        return self.outcome

    def refuse(self, request: Any, problems: Sequence[Problem]) -> Any:
        self.step("refuse")
        self.refused = (request, tuple(problems))
        return Outcome.of(problems)

    # -- the actor

    def decide(self, caller: Caller, action: Action, resources: Sequence[Resource], now: datetime, session: Any) -> Any:
        self.step("decide")
        assert session == "session"
        return self.decisions

    @contextmanager
    def unit_of_work(self, writes: bool) -> Iterator[Any]:
        self.step("begin writing" if writes else "begin")
        try:
            yield self if writes else "session"
        except BaseException:
            self.steps.append("roll back")
            self.uncommitted.clear()
            raise
        self.step("end")
        self.audited += self.uncommitted

    def append_audit(self, events: Sequence[AuditEvent], trace: str) -> None:
        self.step("audit in the unit")
        self.uncommitted.extend(events)

    def __eq__(self, other: object) -> bool:
        return other == "session" or self is other


class Trail:
    def __init__(self, world: World) -> None:
        self.world = world

    def append(self, events: Sequence[AuditEvent], *, trace: str, connection: Any = None) -> Sequence[int]:
        self.world.step("audit")
        self.world.audited.extend(events)
        return range(len(events))


class Traces:
    def __init__(self, world: World) -> None:
        self.world = world

    def append(self, trace: str, record: dict[str, Any]) -> None:
        assert trace not in self.world.traces, "an exchange is kept once"
        self.world.traces[trace] = record


def transaction(world: World, **changes: Any) -> Transaction[Any, Any]:
    given: dict[str, Any] = {
        "number": "ITI-18",
        "name": "Registry Stored Query",
        "trigger": "urn:asked",
        "reply": "urn:answered",
        "request": Codec(world.decode, world.encode),
        "response": Codec(world.decode, world.encode),
        "locate": world.locate,
        "handle": world.handle,
        "refuse": world.refuse,
        "facts": lambda request, response, base: replace(base, query=QueryFacts(id="q", request=b"")),
        "action": Action.QUERY,
        "unavailable_code": "XDSRegistryBusy",
    }
    return Transaction(**given | changes)


def writing(world: World, **changes: Any) -> Transaction[Any, Any]:
    return transaction(
        world, number="ITI-42", writes=True, action=None, assertion_required=False,
        facts=lambda request, response, base: replace(base, submission_set="2.5"), **changes,
    )  # fmt: skip


def actor(world: World, *transactions: Transaction[Any, Any], **access: Any) -> Actor:
    given: dict[str, Any] = {"trust": TRUST, "clock": lambda: NOW}
    return Actor(
        role=Role(name="Actor", path="/services/actor", wsdl="actor", transactions=transactions),
        ports={"ITI-18": "ports"},
        access=Access(**given | access),
        decisions=world,
        unit_of_work=world.unit_of_work,
        trail=Trail(world),
        traces=Traces(world),
        site=SITE,
    )


def ran(world: World, row: Transaction[Any, Any] | None = None, **arguments: Any) -> tuple[bytes, Trace]:
    row = row or transaction(world)
    trace = Trace()
    payload = run(
        actor(world, row), row, message("<x/>"), arguments.pop("caller", CALLER), packaging=Packaging.SIMPLE,
        trace=trace, **arguments,
    )  # fmt: skip
    return b"".join(payload.body), trace


def events(world: World) -> list[tuple[str, int]]:
    return [(event.types[0].code, int(event.outcome)) for event in world.audited]


# -- the order of steps


def test_the_order_of_a_read() -> None:
    world = World()
    ran(world)
    assert world.steps == ["decode", "begin", "locate", "decide", "handle", "end", "audit", "encode"]
    assert (world.call.ports, world.call.located.state, world.call.decisions) == ("ports", "state", (PERMIT,))
    assert not world.call.unrestricted


def test_what_a_decision_rests_on_is_weighed_before_it() -> None:
    world = World()
    ran(world, transaction(world, locate=lambda request, ports, session: Located(), weigh=world.weigh))
    assert world.steps == ["decode", "begin", "weigh", "decide", "handle", "end", "audit", "encode"]
    assert (world.call.located.state, world.call.permitted) == ("weighed", frozenset({""}))


def test_where_everybody_may_see_everything_nothing_is_weighed() -> None:
    world = World(reveals_everything=True)
    ran(world, transaction(world, weigh=world.weigh))
    assert world.steps == ["decode", "begin", "locate", "decide", "handle", "end", "audit", "encode"]
    assert (world.call.unrestricted, world.call.permitted) == (True, None)


def test_a_write_is_audited_in_its_own_unit_of_work() -> None:
    world = World()
    ran(world, writing(world))
    assert world.steps == ["decode", "begin writing", "locate", "handle", "audit in the unit", "end", "encode"]
    assert events(world) == [("ITI-42", 0)]
    assert world.call.session is world


def asking_others(world: World, *, fail: bool = False) -> Callable[[Call[Any]], Any]:
    """Handles a request by asking another actor, whose answer is audited beside this exchange."""

    def handle(call: Call[Any]) -> Any:
        facts = ExchangeFacts(
            transaction="ITI-42", side=Side.CLIENT, endpoint="https://registry.example", site=SITE, time=NOW
        )
        call.beside.append(audit_rules.events_for(facts), trace="")
        if fail:
            raise RuntimeError("unforeseen")
        return world.handle(call)

    return handle


def test_what_others_were_asked_is_recorded_in_one_unit_of_work_with_the_exchange() -> None:
    world = World()
    row = transaction(world, number="ITI-41", action=None, changes=True, handle=asking_others(world))

    @contextmanager
    def recording() -> Iterator[Any]:
        world.step("open")
        yield "connection"
        world.step("commit")

    acting = replace(actor(world, row), recording=recording)
    run(acting, row, message("<x/>"), CALLER, packaging=Packaging.SIMPLE, trace=Trace())
    assert world.steps[-5:] == ["open", "audit", "audit", "commit", "encode"]
    assert len(world.audited) == 2


def test_what_others_were_asked_is_recorded_where_the_exchange_fails() -> None:
    world = World()
    with pytest.raises(SoapFault):
        ran(
            world,
            transaction(world, number="ITI-41", action=None, changes=True, handle=asking_others(world, fail=True)),
        )
    assert [event.transaction for event in world.audited] == ["ITI-42", "ITI-41"]


def test_the_trace_tells_each_step_and_what_decided() -> None:
    world = World(decisions=(DENY,))
    _, trace = ran(world)
    record = world.traces[trace.id]
    assert [step["step"] for step in record["steps"]] == ["decode", "decide", "handle"]
    times = [step["ms"] for step in record["steps"]]
    assert times == sorted(times), "each since the exchange began"
    assert times[0] >= 0
    assert (record["transaction"], record["peer"], record["user"]) == ("ITI-18", "192.0.2.7", SUBJECT.audit_name)
    decided = record["steps"][1]
    assert {key: decided[key] for key in ("resource", "permit", "policy", "rule", "document")} == {
        "resource": "2.1", "permit": False, "policy": "consent", "rule": "r2", "document": "2.7",
    }  # fmt: skip


def test_the_trace_tells_of_each_resource_what_was_decided_of_it() -> None:
    """Those that were decided alike stand together, wherever others stand between them."""
    resources = tuple(Resource(unique_id=uid, patient=PATIENT) for uid in ("2.1", "2.2", "2.3", "2.4"))
    elsewhere = replace(PERMIT, document="2.8")
    world = World(resources=resources, decisions=(PERMIT, DENY, PERMIT, elsewhere))
    _, trace = ran(world)
    noted = [step for step in world.traces[trace.id]["steps"] if step["step"] == "decide"]
    assert [(one["resource"], one["permit"], one["rule"], one["document"]) for one in noted] == [
        ("2.1 2.3", True, "r1", "2.7"), ("2.2", False, "r2", "2.7"), ("2.4", True, "r1", "2.8"),
    ]  # fmt: skip


# -- decisions


def test_without_an_action_nobody_is_asked() -> None:
    world = World()
    ran(world, transaction(world, action=None))
    assert "decide" not in world.steps
    assert world.call.decisions == ()


@pytest.mark.parametrize("decisions", [(), (PERMIT, PERMIT)])
def test_a_wrong_number_of_decisions_is_a_fault(decisions: Sequence[Decision]) -> None:
    world = World(decisions=decisions)
    with pytest.raises(SoapFault, match="decision failed") as caught:
        ran(world)
    assert caught.value.code == "Receiver"
    assert "handle" not in world.steps
    assert events(world) == [("ITI-18", 8)]


def test_a_decider_that_fails_is_a_refusal() -> None:
    world = World(fail={"decide": Unavailable("hub away")})
    ran(world)
    assert "handle" not in world.steps
    assert [problem.code for problem in world.refused[1]] == ["XDSRegistryBusy"]


def test_denials_are_audited_with_what_denied() -> None:
    world = World(decisions=(DENY,))
    ran(world)
    _, denial = world.audited
    assert {thing.id for thing in denial.objects} >= {"2.1", "2.7"}


def test_the_patient_of_what_was_found_is_audited() -> None:
    world = World()
    ran(world)
    assert [event.patient for event in world.audited] == [PATIENT.cx]
    two = World(resources=(RESOURCE, Resource(unique_id="2.2", patient=PatientId("P2", "2.999.1.1"))),
                decisions=(PERMIT, PERMIT))  # fmt: skip
    ran(two)
    assert [event.patient for event in two.audited] == [""]


def test_breaking_the_glass_raises_an_alert() -> None:
    world = World(decisions=(Decision(permit=True, policy="domain", rule=BREAK_GLASS),))
    ran(world)
    assert [code for code, _ in events(world)] == ["ITI-18", "110127"]


# -- what goes wrong


def problem_of(world: World) -> Problem:
    ((problem,),) = (world.refused[1],)
    return problem


def test_a_message_that_cannot_be_read() -> None:
    world = World(fail={"decode": MalformedMessage("no query", location="Body")})
    _, trace = ran(world, transaction(world, malformed_code="XDSRegistryError"))
    problem = problem_of(world)
    assert (problem.code, problem.location) == ("XDSRegistryError", "Body")
    assert problem.context == f"no query at Body [trace {trace.id}]"
    assert world.refused[0] is None
    assert world.steps == ["decode", "refuse", "audit", "encode"]
    assert events(world) == [("ITI-18", 8)]
    assert world.traces[trace.id]["steps"][-1]["context"] == "no query at Body"


@pytest.mark.parametrize("step", ["begin", "locate", "decide", "handle"])
def test_what_is_away_is_told_without_its_name(step: str) -> None:
    world = World(fail={step: Unavailable("postgresql://db-1 is away")})
    _, trace = ran(world)
    problem = problem_of(world)
    assert (problem.code, problem.context) == ("XDSRegistryBusy", f"not available at the moment [trace {trace.id}]")
    assert "db-1" in str(world.traces[trace.id])
    assert events(world) == [("ITI-18", 8)]


def test_a_write_that_the_database_undid_is_done_again() -> None:
    class Undone(World):
        def handle(self, call: Call[Any]) -> Any:
            answer = super().handle(call)
            if self.steps.count("handle") < 3:
                raise Contended("deadlock detected")
            return answer

    world = Undone()
    _, trace = ran(world, writing(world))
    undone = ["begin writing", "locate", "handle", "roll back"]
    done = ["begin writing", "locate", "handle", "audit in the unit", "end"]
    assert world.steps == ["decode", *undone, *undone, *done, "encode"]
    assert events(world) == [("ITI-42", 0)]
    assert [step["step"] for step in world.traces[trace.id]["steps"]].count("again") == 2


def test_a_write_that_is_undone_again_and_again_is_refused() -> None:
    world = World(fail={"handle": Contended("deadlock detected")})
    ran(world, writing(world))
    assert world.steps.count("handle") == world.steps.count("roll back") == 4
    assert problem_of(world).context.startswith("not available")
    assert events(world) == [("ITI-42", 8)]


def test_a_rejected_write_is_rolled_back_and_audited_apart() -> None:
    world = World(fail={"handle": Rejected((Problem("XDSRegistryDeprecatedDocumentError", "gone"),))})
    ran(world, writing(world))
    assert world.steps == [
        "decode", "begin writing", "locate", "handle", "roll back", "refuse", "audit", "encode",
    ]  # fmt: skip
    assert problem_of(world).code == "XDSRegistryDeprecatedDocumentError"
    assert world.refused[0] == "request"
    assert events(world) == [("ITI-42", 8)]


def test_a_commit_that_fails_is_a_refusal_and_its_audit_record_says_so() -> None:
    world = World(fail={"end": Unavailable("disk full")})
    ran(world, writing(world))
    assert problem_of(world).context.startswith("not available")
    assert events(world) == [("ITI-42", 8)]


@pytest.mark.parametrize("step", ["decode", "locate", "handle", "encode"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [(SoapFault("Sender", "not like this", detail="why"), "not like this"),
     (ZeroDivisionError("secret"), "internal failure")],
)  # fmt: skip
def test_faults_are_audited_and_traced(step: str, error: Exception, reason: str) -> None:
    world = World(fail={step: error})
    row = transaction(world)
    trace = Trace()
    with pytest.raises(SoapFault) as caught:
        run(actor(world, row), row, message("<x/>"), CALLER, packaging=Packaging.SIMPLE, trace=trace)
    assert caught.value.reason == reason
    assert "secret" not in caught.value.reason
    last = world.audited[-1]
    assert (last.outcome, reason in last.outcome_description) == (AuditOutcome.SERIOUS_FAILURE, True)
    assert trace.id in last.outcome_description
    (fault,) = [one for one in world.traces[trace.id]["steps"] if one["step"] == "fault"]
    assert fault["detail"] in ("why", "ZeroDivisionError('secret')")


def test_a_refusal_that_is_a_fault_is_audited_too() -> None:
    world = World(fail={"decode": MalformedMessage("no question"), "refuse": SoapFault("Sender", "no question")})
    with pytest.raises(SoapFault):
        ran(world)
    assert events(world) == [("ITI-18", 8)]
    assert len(world.traces) == 1


def test_without_its_audit_record_an_answer_does_not_leave() -> None:
    world = World(fail={"audit": Unavailable("trail away")})
    ran(world)
    assert problem_of(world).code == "XDSRegistryBusy"
    assert problem_of(world).context.startswith("not available at the moment [trace ")
    assert world.audited == []


def test_a_refusal_that_cannot_be_audited_says_only_that_it_does_not_work_now() -> None:
    secret = Rejected((Problem("XDSRegistryError", "what only the audited may learn"),))
    world = World(fail={"handle": secret, "audit": Unavailable("trail away")})
    ran(world)
    assert problem_of(world).code == "XDSRegistryBusy"
    assert world.audited == []


@pytest.mark.parametrize(
    ("number", "usual", "expected"),
    [
        ("ITI-18", "XDSRegistryBusy", "XDSRegistryOutOfResources"),
        ("ITI-62", "XDSRegistryError", "XDSRegistryOutOfResources"),
        ("ITI-57", "XDSRegistryError", "XDSRegistryError"),
        ("ITI-41", "XDSRepositoryError", "XDSRepositoryOutOfResources"),
        ("ITI-43", "XDSRepositoryError", "XDSRepositoryOutOfResources"),
        ("RAD-69", "XDSRepositoryError", "XDSRepositoryError"),
        ("RAD-107", "503", "503"),
    ],
)
@pytest.mark.parametrize("step", ["begin", "handle", "audit"])
def test_a_full_disk_is_told_where_the_transaction_knows_the_code(
    number: str, usual: str, expected: str, step: str
) -> None:
    """ITI TF-3 table 4.2.4.1-2: who may answer OutOfResources."""
    world = World(fail={step: OutOfRoom("disk full on db-1")})
    _, trace = ran(world, transaction(world, number=number, unavailable_code=usual))
    problem = problem_of(world)
    assert (problem.code, problem.context) == (expected, f"no room at the moment [trace {trace.id}]")


def test_a_write_whose_audit_record_cannot_be_kept_does_not_happen() -> None:
    world = World(fail={"audit in the unit": Unavailable("trail away")})
    ran(world, writing(world))
    assert "roll back" in world.steps
    assert problem_of(world).code == "XDSRegistryBusy"
    assert events(world) == [("ITI-42", 8)]


def test_problems_of_an_answer_carry_the_trace_and_the_registrys_own_is_kept() -> None:
    own = f"no such patient [trace {'0' * 32}]"
    forged = "'[trace " + "1" * 32 + "]' is not a patient"
    world = World(outcome=Outcome.of([Problem("A", "one"), Problem("B", own), Problem("C", forged)]))
    row = transaction(world)
    row = replace(row, response=Codec(world.decode, lambda answer, _: Payload(tuple(
        problem.context.encode() + b"\n" for problem in answer.problems))))  # fmt: skip
    body, trace = ran(world, row)
    mark = f" [trace {trace.id}]"
    assert body.decode().splitlines() == [f"one{mark}", own, f"{forged}{mark}"]


def test_the_trace_tells_a_warning_from_an_error() -> None:
    warning = Problem("B", "odd", severity=Severity.WARNING)
    _, trace = ran(World(outcome=Outcome.of([Problem("A", "wrong"), warning])))
    told = [(step["code"], step.get("severity")) for step in trace.steps if step["step"] == "problem"]
    assert told == [("A", None), ("B", "warning")]


@pytest.mark.parametrize(
    ("peer", "sender"),
    [
        (Peer(address="192.0.2.7", certificate_sha256="ab", node=NODE), "node 'hospital-a'"),
        (Peer(address="192.0.2.7", certificate_sha256="ab"), "SHA-256 ab"),
        (Peer(address="192.0.2.7"), "192.0.2.7"),
    ],
)
def test_the_log_names_who_sent_what_a_rule_speaks_of(peer: Peer, sender: str) -> None:
    """Also where this process passes it on to itself: the registry is asked by its own repository."""
    inner, told = Peer(address="127.0.0.1", node=Node(name="own repository")), []

    class Asks(World):
        def handle(self, call: Call[Any]) -> Any:
            told.append(prefix())
            if call.caller.peer is not inner:
                ran(Asks(), caller=replace(CALLER, peer=inner))
            return Outcome()

    _, trace = ran(Asks(), caller=replace(CALLER, peer=peer))
    assert told[0] == f"trace {trace.id}: ITI-18 from {sender}: "
    assert told[1].endswith(f": ITI-18 from {sender}: ")
    assert told[0] != told[1], "each exchange has its own trace"
    assert prefix() == ""


def test_who_to_reply_to_is_audited() -> None:
    world = World()
    ran(world, reply_to="https://me.example")
    assert "https://me.example" in {participant.user_id for participant in world.audited[0].participants}


# -- who may come in


def envelope(*assertions: bytes) -> soap.Envelope:
    security = b"".join(saml_issue.security_header(one) for one in assertions)
    raw = b"".join(soap.write_envelope("urn:asked", b"<x/>", security=security))
    return soap.read_envelope(raw)


def assertion(subject: Subject = SUBJECT, **changes: Any) -> bytes:
    given: dict[str, Any] = {"audiences": ["urn:oid:2.999.1"], "now": NOW}
    return saml_issue.issue_assertion(subject, key_pem=IDP.key_pem, cert_pem=IDP.cert_pem, **given | changes)


def admitted(
    world: World, row: Transaction[Any, Any], *assertions: bytes, node: Node | None = None, **access: Any
) -> Caller:
    peer = Peer(address="192.0.2.7", certificate_sha256="ab", certificate_subject="CN=x", node=node)
    return admit(actor(world, row, **access), row, envelope(*assertions), peer, Trace())


def refused(world: World, *arguments: Any, **access: Any) -> SecurityFault:
    with pytest.raises(SecurityFault) as caught:
        admitted(world, *arguments, **access)
    (event,) = world.audited
    assert event.outcome is AuditOutcome.SERIOUS_FAILURE
    assert caught.value.detail in event.outcome_description
    (record,) = world.traces.values()
    assert record["steps"][-1]["detail"] == caught.value.detail
    assert record["peer"] == "192.0.2.7"
    world.audited.clear()
    world.traces.clear()
    return caught.value


def test_an_assertion_lets_a_person_in() -> None:
    world = World()
    raw = assertion()
    caller = admitted(world, transaction(world), raw)
    assert caller.subject is not None
    assert (caller.subject.user_id, caller.subject.organization_id) == ("dr", "urn:oid:2.999.5")
    assert caller.assertion
    assert world.audited == []


def test_each_use_of_an_assertion_is_told_by_its_id() -> None:
    """Also where a second use is not refused: a stolen one is found by where else it was used."""
    world = World()
    raw, row = assertion(), transaction(world)
    for _ in range(2):
        trace = Trace()
        peer = Peer(address="192.0.2.7", certificate_sha256="ab")
        caller = admit(actor(world, row), row, envelope(raw), peer, trace)
        assert caller.subject is not None
        assert [(step["step"], step["assertion"]) for step in trace.steps] == [("admit", caller.subject.assertion_id)]
        assert caller.subject.assertion_id.encode() in raw


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda: (), "InvalidSecurity"),
        (lambda: (assertion(), assertion()), "InvalidSecurity"),
        (lambda: (assertion(now=NOW - timedelta(hours=2)),), "MessageExpired"),
        (lambda: (assertion(audiences=["urn:oid:2.999.2"]),), "FailedAuthentication"),
        (lambda: (assertion(replace(SUBJECT, issuer="somebody")),), "FailedAuthentication"),
        (lambda: (assertion().replace(b">dr<", b">xx<"),), "FailedCheck"),
        (lambda: (assertion(replace(SUBJECT, organization_id="")),), "InvalidSecurityToken"),
    ],
)
def test_a_refused_token_is_audited(made: Callable[[], tuple[bytes, ...]], code: str) -> None:
    world = World()
    fault = refused(world, transaction(world), *made())
    assert (fault.wsse_code, fault.reason) == (code, "security token refused")


def test_a_permitted_node_needs_no_assertion_to_publish() -> None:
    world = World()
    assert admitted(world, writing(world), node=NODE) == Caller(
        peer=Peer(address="192.0.2.7", certificate_sha256="ab", certificate_subject="CN=x", node=NODE)
    )


@pytest.mark.parametrize("node", [None, replace(NODE, permits=frozenset({"ITI-41"}))])
@pytest.mark.parametrize("trust", [TRUST, None])
def test_another_node_may_not_publish_whatever_it_brings(node: Node | None, trust: SamlTrust | None) -> None:
    world = World()
    for assertions in ((), (assertion(),)):
        peer = Peer(address="192.0.2.7", certificate_subject="CN=x", node=node)
        row = writing(world)
        with pytest.raises(SecurityFault) as caught:
            admit(actor(world, row, trust=trust), row, envelope(*assertions), peer, Trace())
        assert caught.value.wsse_code == "FailedAuthentication"
        assert ("CN=x" if node is None else "hospital-a") in caught.value.detail
    assert len(world.audited) == 2


def test_a_certificate_of_no_known_node_is_named_to_the_operator(caplog: pytest.LogCaptureFixture) -> None:
    """As after a renewal that nobody entered; in the log, the audit record and what is explained."""
    world = World()
    told = "certificate of no known node (fingerprint ab, subject CN=x) is not permitted ITI-42"
    assert refused(world, writing(world), assertion()).detail == told
    assert told in caplog.text
    assert "who shows no certificate is not permitted ITI-42" in Peer(address="192.0.2.7").why_not("ITI-42")


def test_a_node_may_be_permitted_everything() -> None:
    world = World()
    assert admitted(world, writing(world), node=replace(NODE, permits=frozenset({"*"}))).peer.node is not None


def test_an_optional_assertion_is_verified_where_it_comes() -> None:
    world = World()
    caller = admitted(world, writing(world), assertion(), node=NODE)
    assert caller.subject is not None
    assert refused(world, writing(world), assertion(now=NOW - timedelta(hours=2)), node=NODE).wsse_code == (
        "MessageExpired"
    )


def test_a_node_is_no_person() -> None:
    world = World()
    everything = replace(NODE, permits=frozenset({"*"}))
    assert refused(world, transaction(world), node=everything).wsse_code == "InvalidSecurity"


@pytest.mark.parametrize("made", [lambda world: transaction(world), lambda world: writing(world)])
def test_who_comes_by_a_proxy_that_shows_no_certificate_is_nobody(made: Callable[[World], Any]) -> None:
    """An assertion that is valid as such does not make up for the connection (ITI-19 and ITI-40 add up)."""
    world = World()
    row = made(world)
    with pytest.raises(SecurityFault) as caught:
        admit(actor(world, row), row, envelope(assertion()), Peer(address="192.0.2.7", unshown=True), Trace())
    assert caught.value.wsse_code == "FailedAuthentication"
    assert len(world.audited) == 1


def test_the_open_profile_asks_nobody() -> None:
    world = World()
    for row in (transaction(world), writing(world)):
        assert admitted(world, row, trust=None, nodes_required=False).subject is None
        spoiled = assertion().replace(b">dr<", b">xx<")
        if row.assertion_required:
            assert admitted(world, row, spoiled, trust=None, nodes_required=False).subject is None


def test_an_assertion_that_was_used_before() -> None:
    world = World()
    seen: list[tuple[str, str]] = []

    def remember(issuer: str, id_: str, until: datetime) -> bool:
        assert until > NOW + timedelta(minutes=5)
        known = (issuer, id_) in seen
        seen.append((issuer, id_))
        return known

    first = assertion()
    admitted(world, transaction(world), first, replay=remember)
    assert refused(world, transaction(world), first, replay=remember).wsse_code == "FailedAuthentication"
    admitted(world, transaction(world), assertion(), replay=remember)


def test_an_assertion_is_used_up_only_when_it_was_good() -> None:
    world = World()
    used: list[str] = []

    def remember(issuer: str, id_: str, until: datetime) -> bool:
        used.append(id_)
        return False

    refused(world, transaction(world), assertion(now=NOW - timedelta(hours=2)), replay=remember)
    assert used == []


def test_a_refused_token_that_cannot_be_audited_is_not_let_in() -> None:
    world = World(fail={"audit": Unavailable("trail away")})
    with pytest.raises((SecurityFault, Unavailable)):
        admitted(world, transaction(world))


# -- the client's half


@dataclass
class Line:
    """A channel that answers what it was told to."""

    answer: Message | Exception
    sent: list[tuple[bytes, bytes]] = field(default_factory=list)
    closed: int = 0
    url: str = "https://peer.example/services/registry"

    def send(
        self, transaction: Transaction[Any, Any], payload: Payload, packaging: Packaging, security: bytes = b""
    ) -> Reply:
        self.sent.append((b"".join(payload.body), security))
        if isinstance(self.answer, Exception):
            raise self.answer
        return Reply(self.answer, self, "ab" * 16)  # type: ignore[arg-type]

    def close(self) -> None:
        self.closed += 1


def called(world: World, line: Line, **changes: Any) -> Called[Any]:
    client = Client(site=SITE, trail=Trail(world), clock=lambda: NOW, **changes)
    return call(client, transaction(world), "question", line)


def test_a_call_is_audited_on_our_side() -> None:
    world, line = World(), Line(message("<x/>"))
    answer = called(world, line, assertion=b"<a/>")
    assert answer.answer == "request"
    assert line.sent[0][1] == saml_issue.security_header(b"<a/>")
    assert world.steps == ["encode", "decode", "audit"]
    assert events(world) == [("ITI-18", 0)]
    assert line.closed == 0
    answer.close()
    assert line.closed == 1


@pytest.mark.parametrize(
    "error", [Unavailable("away"), SoapFault("Sender", f"no [trace {'0' * 32}]"), MalformedMessage("no answer")]
)
def test_a_call_that_fails_is_audited_and_raised(error: Exception) -> None:
    world = World()
    with pytest.raises(type(error)):
        called(world, Line(error))
    assert events(world) == [("ITI-18", 8)]
    assert str(error) in world.audited[0].outcome_description


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (message("<x/>"), {"trace": "ab" * 16}),
        (SoapFault("Sender", f"no [trace {'0' * 32}]"), {"trace": "0" * 32, "error": f"no [trace {'0' * 32}]"}),
        (Unavailable("away"), {"trace": "", "error": "away"}),
    ],
    ids=["answered", "refused", "away"],
)
def test_what_is_sent_on_for_an_exchange_is_a_step_of_it(answer: Message | Exception, told: dict[str, str]) -> None:
    """Where to, how long it took, and under which trace the other end knows it: hop by hop."""
    world, others = World(), World()

    def ask(call: Any) -> Any:
        with suppress(Exception):
            called(others, Line(answer)).close()
        return world.handle(call)

    _, trace = ran(world, transaction(world, handle=ask))
    (step,) = [step for step in world.traces[trace.id]["steps"] if step["step"] == "sent on"]
    assert 0 <= step.pop("took") <= step.pop("ms")
    assert step == {"step": "sent on", "transaction": "ITI-18", "to": Line.url, **told}
    called(others, Line(message("<x/>"))).close()
    assert len(trace.steps) == len(["decode", "decide", "sent on", "handle"]), "what is sent afterwards is not"


def test_an_answer_that_cannot_be_audited_is_no_refusal() -> None:
    """The other end has done what it was asked: nobody may undo his own half, such as the document it registered."""
    world, line = World(fail={"audit": Unavailable("trail away")}), Line(message("<x/>"))
    with pytest.raises(Unavailable) as caught:
        called(world, line)
    assert (caught.value.uncertain, line.closed) == (True, 1)


def test_a_failure_that_cannot_be_audited_stays_what_it_was() -> None:
    world = World(fail={"audit": Unavailable("trail away")})
    with pytest.raises(Unavailable) as caught:
        called(world, Line(Unavailable("peer away", uncertain=True)))
    assert (str(caught.value), caught.value.uncertain) == ("peer away", True)


def test_an_answer_that_cannot_be_read_leaves_no_parts_behind() -> None:
    world, line = World(fail={"decode": MalformedMessage("what?")}), Line(message("<x/>"))
    with pytest.raises(MalformedMessage):
        called(world, line)
    assert line.closed == 1
    assert events(world) == [("ITI-18", 8)]


# -- by other ways than SOAP


def test_an_access_token_may_be_used_once_where_uses_are_remembered() -> None:
    """The rule of assertions (saml.refuse_replay) holds for tokens, by their issuer and jti."""
    used: set[tuple[str, str]] = set()

    def replay(issuer: str, token_id: str, until: datetime) -> bool:
        seen = (issuer, token_id) in used
        used.add((issuer, token_id))
        return seen

    world = World()
    row = transaction(world)
    whole = actor(world, row)
    trust = JwtTrust.of({trusted.ISSUER: trusted.key_set(trusted.SIGNER).encode()}, ["urn:oid:2.999.1"])
    access = replace(whole.access, tokens=trust, replay=replay, clock=lambda: datetime.now(UTC))
    whole = replace(whole, access=access)
    shown = f"Bearer {trusted.token()}"
    assert admit_http(whole, row, shown, Peer(address="192.0.2.7"), Trace()).subject is not None
    with pytest.raises(SecurityFault):
        admit_http(whole, row, shown, Peer(address="192.0.2.7"), Trace())
    assert admit_http(whole, row, f"Bearer {trusted.token()}", Peer(address="192.0.2.7"), Trace()).subject is not None


def test_a_peer_without_a_subject_of_the_settings_is_refused_and_audited() -> None:
    world = World()
    row = transaction(world)
    with pytest.raises(SecurityFault):
        admit_peer(actor(world, row), row, Peer(address="192.0.2.7"), None, "nobody", Trace())
    assert world.steps == ["audit"]
    caller = admit_peer(actor(world, row), row, Peer(address="192.0.2.7"), SUBJECT, "", Trace())
    other = admit_peer(actor(world, row), row, Peer(address="192.0.2.7"), replace(SUBJECT, user_id="x"), "", Trace())
    assert caller.subject == SUBJECT
    assert caller.assertion != other.assertion, "what is decided for one is not used again for another"


# -- all actors

ACTORS = [importlib.import_module(f"xdsi.actors.{found.name}") for found in pkgutil.iter_modules(actors.__path__)]
ROLES = [
    *dict.fromkeys(value for module in ACTORS for value in vars(module).values() if isinstance(value, Role))
]  # fmt: skip
ROWS = [pytest.param(role, row, id=f"{role.name} {row.trigger}") for role in ROLES for row in role.transactions]
REVEALS_OR_CHANGES = {
    "ITI-18": Action.QUERY, "ITI-43": Action.RETRIEVE, "ITI-51": Action.QUERY, "ITI-57": Action.UPDATE,
    "ITI-62": Action.DELETE, "ITI-86": Action.DELETE, "ITI-92": Action.UPDATE, "RAD-55": Action.RETRIEVE_IMAGING,
    "RAD-16": Action.RETRIEVE_IMAGING, "RAD-69": Action.RETRIEVE_IMAGING, "RAD-107": Action.RETRIEVE_IMAGING,
}  # fmt: skip
NODES_ONLY = {"ITI-8", "ITI-41", "ITI-42", "ITI-44", "ITI-61", "ITI-79", "RAD-68"}


def test_the_actors_are_those_that_are_known() -> None:
    known = {
        "Authorization Decisions Manager", "Document Registry", "Document Repository", "Imaging Document Source",
        "Imaging Document Source, C-MOVE", "Imaging Document Source, WADO-RS", "Imaging Document Source, WADO-URI",
        "Patient Identity Manager",
    }  # fmt: skip
    assert {role.name for role in ROLES} == known, "a new actor: its rows are looked at below"


@pytest.mark.parametrize(("role", "row"), ROWS)
def test_every_transaction_is_decided_on_or_bound_to_nodes(role: Role, row: Transaction[Any, Any]) -> None:
    assert row.number in REVEALS_OR_CHANGES.keys() | NODES_ONLY, "a new transaction: say here who may start it"
    if row.number in REVEALS_OR_CHANGES:
        assert (row.action, row.assertion_required) == (REVEALS_OR_CHANGES[row.number], True)
    else:
        assert (row.action, row.assertion_required) == (None, False)
        world = World()
        stranger = Peer(address="192.0.2.7", node=replace(NODE, permits=frozenset()))
        with pytest.raises(SecurityFault):
            admit(actor(world, row), row, envelope(), stranger, Trace())


@pytest.mark.parametrize(("role", "row"), ROWS)
def test_every_transaction_with_an_action_locates_what_it_is_about(role: Role, row: Transaction[Any, Any]) -> None:
    default = transaction(World()).__class__.__dataclass_fields__["locate"].default
    assert (row.action is None) == (row.locate is default)


@pytest.mark.parametrize(("role", "row"), ROWS)
def test_every_error_code_may_be_answered_by_its_transaction(role: Role, row: Transaction[Any, Any]) -> None:
    if row.number in {"ITI-44", "ITI-79"} or row.request is NO_SOAP:
        return  # they answer in words of their own
    assert error_codes.allowed(row.malformed_code, row.number)
    # Of updates the table names no code for this; a database that is away is no failure of the update.
    assert row.unavailable_code == "XDSRegistryError" or error_codes.allowed(row.unavailable_code, row.number)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_action_starts_one_transaction(role: Role) -> None:
    triggers = [row.trigger for row in role.transactions]
    if not role.wsdl:
        assert set(triggers) == {""}, "not one of SOAP"
        return
    assert len(triggers) == len(set(triggers))
    assert all(triggers)
    assert re.fullmatch(r"/services/[a-z-]+", role.path)


def test_an_action_that_is_not_served() -> None:
    world = World()
    row = transaction(world)
    assert actor(world, row).find("urn:asked") is row
    assert actor(world, row).find("urn:answered") is None


# -- a message that is sent again


class Remembered:
    """The port FirstAnswers as a dictionary; notes the unit of work that each answer was kept in."""

    def __init__(self, fail: BaseException | None = None) -> None:
        self.kept: dict[Sending, FirstAnswer] = {}
        self.sessions: list[Any] = []
        self.fail = fail

    def recall(self, sending: Sending, session: Any) -> FirstAnswer | None:
        return self.kept.get(sending)

    def alone(self, sending: Sending) -> AbstractContextManager[None]:
        return nullcontext()

    def keep(self, sending: Sending, answer: FirstAnswer, session: Any) -> None:
        if self.fail is not None:
            raise self.fail
        self.kept[sending] = answer
        self.sessions.append(session)


def sent(
    world: World, row: Transaction[Any, Any], answers: Remembered, *, message_id: str = "urn:uuid:1",
    body: str = "<x/>", caller: Caller = CALLER,
) -> tuple[bytes, Trace]:  # fmt: skip
    trace = Trace()
    payload = run(
        replace(actor(world, row), first_answers=answers), row, message(body), caller, packaging=Packaging.SIMPLE,
        trace=trace, message_id=message_id,
    )  # fmt: skip
    return b"".join(payload.body), trace


def answering(world: World) -> Codec[Any]:
    """Answers that can be read again."""
    return Codec(lambda message: message.body.get("status"),
                 lambda response, packaging: Payload((f'<r status="{response.status}"/>'.encode(),)))  # fmt: skip


def test_a_message_that_comes_again_is_answered_the_same_and_not_handled() -> None:
    world, answers = World(), Remembered()
    row = writing(world, response=answering(world))
    first, first_trace = sent(world, row, answers)
    second, trace = sent(world, row, answers)
    assert first == second
    assert world.steps.count("handle") == 1
    assert answers.sessions == [world]
    assert len(world.uncommitted) == 2, "each exchange is audited"
    (note,) = [step for step in world.traces[trace.id]["steps"] if step["step"] == "repeated"]
    assert (note["message_id"], note["first"]) == ("urn:uuid:1", first_trace.id)


def test_a_refusal_that_comes_again_is_on_record_as_one_that_was_given_before() -> None:
    """Whoever corrected what was wrong, and sends the same message, is answered as before; the record says so."""
    world, answers = World(outcome=Outcome.of((Problem("XDSRepositoryError", "held"),))), Remembered()
    row = replace(
        writing(world, response=Codec(response.decode, response.encode)),
        facts=lambda request, answer, base: replace(base, outcome=8),
    )
    traces = [sent(world, row, answers)[1].id for _ in range(2)]
    first, second = [event.outcome_description for event in world.uncommitted]
    assert first.startswith("held [trace ")
    assert second == f"answered as the first time: {first} [trace {traces[1]}]"


@pytest.mark.parametrize(
    "other",
    [
        {"message_id": "urn:uuid:2"},
        {"body": "<y/>"},
        {"caller": Caller(peer=Peer(address="192.0.2.8"), subject=SUBJECT)},
        {"caller": Caller(peer=Peer(address="192.0.2.7"), subject=replace(SUBJECT, user_id="other"))},
    ],
)
def test_another_id_body_or_sender_is_another_message(other: dict[str, Any]) -> None:
    world, answers = World(), Remembered()
    row = writing(world, response=answering(world))
    sent(world, row, answers)
    sent(world, row, answers, **other)
    assert world.steps.count("handle") == 2


def test_the_same_body_and_id_for_another_transaction_is_another_message() -> None:
    """ITI-42, 57, 61 and 92 have the same element in their Body."""
    world, answers = World(), Remembered()
    for number in ("ITI-42", "ITI-57", "ITI-42"):
        sent(world, replace(writing(world, response=answering(world)), number=number), answers)
    assert world.steps.count("handle") == 2


def test_without_a_message_id_or_where_nothing_changes_nothing_is_remembered() -> None:
    world, answers = World(), Remembered()
    sent(world, writing(world, response=answering(world)), answers, message_id="")
    sent(world, transaction(world, response=answering(world)), answers)
    assert not answers.kept


def test_an_answer_to_try_again_is_not_the_last_word() -> None:
    world = World(outcome=Outcome.of((Problem("XDSRegistryNotAvailable", "away"),)))
    answers = Remembered()
    row = transaction(world, changes=True, response=answering(world))
    sent(world, row, answers)
    sent(world, row, answers)
    assert not answers.kept
    assert world.steps.count("handle") == 2


def test_what_was_rolled_back_is_handled_again() -> None:
    world, answers = World(fail={"handle": Rejected((Problem("XDSRegistryError", "late"),))}), Remembered()
    sent(world, writing(world, response=answering(world)), answers)
    assert not answers.kept


def test_what_is_done_is_answered_even_if_that_cannot_be_remembered() -> None:
    world, answers = World(), Remembered(Unavailable("full"))
    answered, _ = sent(world, transaction(world, changes=True, response=answering(world)), answers)
    assert b"Success" in answered
    sent(world, writing(world, response=answering(world)), answers)
    assert "roll back" in world.steps, "in a unit of work it is remembered or undone"


# -- what an answer reports


WRONG = Problem("XDSRegistryError", "wrong")
REPORTED = [
    pytest.param(Outcome(), "success", id="nothing wrong"),
    pytest.param(Outcome.of([replace(WRONG, severity=Severity.WARNING)]), "success", id="a warning"),
    pytest.param(Outcome.of([WRONG], delivered=1), "partial", id="some"),
    pytest.param(Outcome.of([WRONG], delivered=0), "failure", id="none"),
    pytest.param(SimpleNamespace(outcome=8), "failure", id="another answer, on record as a failure"),
    pytest.param(SimpleNamespace(outcome=0), "success", id="another answer"),
]


@pytest.mark.parametrize("form", [transaction, writing])
@pytest.mark.parametrize(("answer", "reported"), REPORTED)
def test_an_exchange_counts_as_what_its_answer_reports(form: Any, answer: Any, reported: str) -> None:
    world = World(outcome=answer)
    row = form(world)
    if isinstance(answer, SimpleNamespace):
        row = replace(row, facts=lambda request, response, base: replace(base, outcome=response.outcome))
    assert ran(world, row)[1].status.word == reported


@pytest.mark.parametrize("form", [transaction, writing])
@pytest.mark.parametrize("step", ["decode", "handle", "end"])
def test_a_refusal_counts_as_a_failure_whatever_was_done_before_it(form: Any, step: str) -> None:
    world = World(fail={step: Unavailable("disk full")})
    assert ran(world, form(world))[1].status.word == "failure"


def test_an_answer_that_is_not_on_record_counts_as_a_failure() -> None:
    world = World(fail={"audit": Unavailable("disk full")})
    assert ran(world)[1].status.word == "failure"


def test_a_message_that_comes_again_counts_as_what_the_first_answer_reported() -> None:
    world, answers = World(outcome=Outcome.of([WRONG], delivered=1)), Remembered()
    row = writing(world, response=Codec(response.decode, response.encode))
    assert [sent(world, row, answers)[1].status.word for _ in range(2)] == ["partial", "partial"]
    assert world.steps.count("handle") == 1


# -- several elements in one Body


def test_what_is_not_looked_at_is_not_answered_for() -> None:
    world = World()
    trace = Trace()
    row = transaction(world, malformed_code="XDSRegistryError")
    two = Message((*message("<x/>").bodies, *message("<x/>").bodies))
    run(actor(world, row), row, two, CALLER, packaging=Packaging.SIMPLE, trace=trace)
    assert world.steps == ["refuse", "audit", "encode"]
    assert problem_of(world).context.startswith("several elements in the Body")
    run(actor(world, row), replace(row, several=True), two, CALLER, packaging=Packaging.SIMPLE, trace=Trace())
    assert "handle" in world.steps


def test_what_may_have_been_done_is_not_refused() -> None:
    world = World(fail={"end": Unavailable("fell silent", uncertain=True)})
    with pytest.raises(SoapFault, match="not known whether this was done") as caught:
        ran(world, writing(world))
    assert caught.value.code == "Receiver"
    other = World(fail={"audit": Unavailable("no room for the record of what was done")})
    with pytest.raises(SoapFault, match="not known"):
        ran(other, transaction(other, changes=True))
    reading = World(fail={"end": Unavailable("fell silent", uncertain=True)})
    ran(reading)
    assert [problem.code for problem in reading.refused[1]] == ["XDSRegistryBusy"]


def test_what_others_did_is_not_refused_for_the_end_of_a_unit_of_work_that_only_read() -> None:
    """Given a registry that has registered, when the database goes before the answer, it is no refusal."""
    world = World(fail={"end": Unavailable("the database is gone")})
    ran(world, transaction(world, changes=True))
    assert "refuse" not in world.steps
    assert world.steps.index("audit") > world.steps.index("handle")
    silent = World(fail={"end": Unavailable("the database is gone"), "audit": Unavailable("still")})
    with pytest.raises(SoapFault, match="not known whether this was done"):
        ran(silent, transaction(silent, changes=True))
    before = World(fail={"handle": Unavailable("the registry cannot be reached")})
    ran(before, transaction(before, changes=True))
    assert "refuse" in before.steps


def test_what_a_silent_registry_may_have_done_is_not_refused_for_want_of_a_record() -> None:
    """Given a registry that fell silent, when the answer cannot be audited, it does not become a plain refusal."""
    unknown = World(fail={"audit": Unavailable("no room")})
    unknown.outcome = Outcome.of((Problem("XDSRegistryNotAvailable", "the registry cannot be reached"),))
    with pytest.raises(SoapFault, match="not known whether this was done"):
        ran(unknown, transaction(unknown, changes=True))
    certain = World(fail={"audit": Unavailable("no room")})
    certain.outcome = Outcome.of((Problem("XDSRepositoryMetadataError", "wrong hash"),))
    ran(certain, transaction(certain, changes=True))
    assert "refuse" in certain.steps
