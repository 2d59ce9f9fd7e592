"""ITI-42 from the repository's end: the registry's outcome word for word, over a wire or inside one process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests import builders
from tests.audit_samples import SITE
from tests.transactions.ports import CALLER, Session, clock
from xdsi.actors import document_registry
from xdsi.actors.registry_client import InProcess, RegistersBy42
from xdsi.domain.audit import AuditOutcome
from xdsi.domain.errors import MalformedMessage, SoapFault, Unavailable
from xdsi.domain.registration import RegisterPorts
from xdsi.domain.subject import Node
from xdsi.exchange import Access, Actor, Client, Transaction
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.transactions import iti43_retrieve_document_set as iti43
from xdsi.wire.message import Packaging, Payload
from xdsi.wire.saml import SamlTrust


class Records:
    """Keeps audit records, traces and spools."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.traces: list[str] = []
        self.spools = 0

    def append(self, *arguments: Any, **named: Any) -> Any:
        if named:
            self.events.extend(arguments[0])
        else:
            self.traces.append(arguments[0])
        return ()

    def part(self) -> Any:
        raise AssertionError("there are no parts")

    def spool(self) -> Any:
        self.spools += 1
        return self

    def close(self) -> None:
        self.spools -= 1


def channel(session: Session, records: Records, *, permits: Sequence[str] = ("ITI-42",)) -> InProcess:
    @contextmanager
    def unit_of_work(writes: bool) -> Iterator[Session]:
        yield session

    actor = Actor(
        role=document_registry.ROLE,
        ports={"ITI-42": RegisterPorts(clock=clock, consents=None, accept_unknown_patients=False)},
        access=Access(trust=SamlTrust.of({}, ["urn:oid:2.999.1"]), clock=clock),
        decisions=None,  # type: ignore[arg-type]
        unit_of_work=unit_of_work,
        trail=records,
        traces=records,
        site=SITE,
    )
    node = Node(name="hub", permits=frozenset(permits))
    return InProcess(actor=actor, node=node, make_spool=records.spool, url="https://hub.example/services/registry")


class Undecided:
    reveals_everything = True

    def decide(self, *arguments: Any) -> Sequence[Any]:
        return ()


def registering(session: Session, records: Records, **arguments: Any) -> RegistersBy42:
    through = channel(session, records, **arguments)
    through = replace(through, actor=replace(through.actor, decisions=Undecided()))
    return RegistersBy42(client=Client(site=SITE, trail=records, clock=clock), channel=through)


def test_inside_one_process_a_submission_is_registered_and_audited_on_both_sides() -> None:
    session, records = Session(), Records()
    outcome = registering(session, records).register(builders.submission(), CALLER, records)
    assert outcome.accepted
    (saved,) = session.saved
    assert saved.document_entries[0].unique_id == "2.999.10.1"
    assert [event.transaction for event in (*session.audited, *records.events)] == ["ITI-42", "ITI-42"]
    assert (records.spools, len(records.traces)) == (0, 1)


def test_the_registrys_problems_come_word_for_word_with_its_trace() -> None:
    session, records = Session(patients={builders.PATIENT: "unknown"}), Records()
    outcome = registering(session, records).register(builders.submission(), CALLER, records)
    (problem,) = outcome.errors
    assert problem.code == "XDSUnknownPatientId"
    assert problem.context.endswith(f"[trace {records.traces[0]}]")
    assert session.saved == []
    (sent,) = records.events
    assert (sent.outcome, sent.outcome_description) == (AuditOutcome.SERIOUS_FAILURE, problem.context), "on record here"


def test_a_node_that_may_not_register_is_refused_here_too() -> None:
    session, records = Session(), Records()
    with pytest.raises(Unavailable) as caught:
        registering(session, records, permits=()).register(builders.submission(), CALLER, records)
    assert not caught.value.uncertain
    assert session.saved == []


def test_a_transaction_of_another_actor_is_not_served() -> None:
    with pytest.raises(SoapFault, match="ITI-43"):
        channel(Session(), Records()).send(iti43.TRANSACTION, Payload((b"<x/>",)), Packaging.SIMPLE)


@pytest.mark.parametrize(
    ("error", "uncertain", "answered"),
    [
        (MalformedMessage("a page of a proxy"), True, True),
        (SoapFault("Receiver", "internal failure"), True, True),
        (SoapFault("Sender", "not permitted"), False, True),
        (Unavailable("refused"), False, False),
        (Unavailable("broke off", uncertain=True), True, False),
    ],
)
def test_it_is_known_whether_the_registry_may_have_registered(
    error: Exception, uncertain: bool, answered: bool
) -> None:
    class Line:
        url = "https://registry.example"

        def send(self, transaction: Transaction[Any, Any], *arguments: Any) -> Any:
            assert transaction is iti42.TRANSACTION
            raise error

    records = Records()
    client = Client(site=SITE, trail=records, clock=clock)
    with pytest.raises(Unavailable) as caught:
        RegistersBy42(client=client, channel=Line()).register(builders.submission(), CALLER, records)
    assert (caught.value.uncertain, caught.value.answered) == (uncertain, answered)
