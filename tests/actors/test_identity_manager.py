"""ITI-8 as it is served: a node's permit, an acknowledgement for everything, an audit record for each event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.audit_samples import SITE
from tests.memory_identities import MemoryIdentities
from tests.transactions.ports import clock
from xdsi.actors.identity_manager import Hl7v2Feed
from xdsi.domain.audit import AuditEvent
from xdsi.domain.errors import Unavailable
from xdsi.domain.identifiers import PatientId
from xdsi.domain.subject import Node, Peer
from xdsi.rules.identity import IdentityDomain
from xdsi.transactions.iti44_patient_identity_feed_v3 import FeedPorts

OURS = "2.999.3"
A, B = PatientId("A", OURS), PatientId("B", OURS)
NODE = Node(name="adt", permits=frozenset({"ITI-8"}))


class World:
    """The trail and the traces, in memory."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.records: dict[str, Any] = {}
        self.away = False

    def append(self, what: Any, record: Any = None, *, trace: str = "", connection: Any = None) -> Sequence[int]:
        if record is not None:
            self.records[what] = record
        elif self.away:
            raise Unavailable("trail away")
        else:
            self.events.extend(what)
        return ()


def message(event: str, patient: str, prior: str = "") -> bytes:
    merge = f"\rMRG|{prior}^^^&{OURS}&ISO" if prior else ""
    return (
        f"MSH|^~\\&|ADT|HOSP|XDSI|HUB|20240102030405||ADT^{event}|M1|P|2.3.1\rEVN|{event}|20240102030405\r"
        f"PID|||{patient}^^^&{OURS}&ISO||Doe^Jo\rPV1||N{merge}\r"
    ).encode()


def feed(world: World, store: MemoryIdentities, *, nodes_required: bool = True) -> Hl7v2Feed:
    ports = FeedPorts(identities=store, domain=IdentityDomain(OURS), clock=clock)
    return Hl7v2Feed(ports=ports, clock=clock, trail=world, traces=world, site=SITE, nodes_required=nodes_required)


def peer(node: Node | None = NODE) -> Peer:
    return Peer(address="192.0.2.9", certificate_subject="CN=adt", node=node)


def test_an_event_is_carried_out_audited_and_traced() -> None:
    world, store = World(), MemoryIdentities()
    answer = feed(world, store)(message("A04", "A"), peer())
    assert b"MSA|AA|M1" in answer
    assert store.known(A)
    (event,) = world.events
    assert (event.transaction, event.patient, int(event.outcome)) == ("ITI-8", A.cx, 0)
    assert "HOSP|ADT" in {participant.user_id for participant in event.participants}
    (record,) = world.records.values()
    assert (record["transaction"], record["node"], record["steps"][0]["step"]) == ("ITI-8", "adt", "handle")


def test_a_merge_makes_two_records() -> None:
    world, store = World(), MemoryIdentities(A, B)
    assert b"MSA|AA|M1" in feed(world, store)(message("A40", "A", "B"), peer())
    assert [event.patient for event in world.events] == [B.cx, A.cx]


@pytest.mark.parametrize("node", [None, Node(name="adt", permits=frozenset({"ITI-44"}))])
def test_a_node_without_a_permit_changes_nothing(node: Node | None) -> None:
    world, store = World(), MemoryIdentities()
    answer = feed(world, store)(message("A04", "A"), peer(node))
    assert b"MSA|AA" not in answer
    assert not store.known(A)
    (trace,) = world.records
    assert f"[trace {trace}]".encode() in answer
    assert [int(event.outcome) for event in world.events] == [8]
    assert "not permitted" in world.events[0].outcome_description


def test_the_open_profile_takes_feeds_from_anybody() -> None:
    world, store = World(), MemoryIdentities()
    assert b"MSA|AA|M1" in feed(world, store, nodes_required=False)(message("A04", "A"), peer(None))


def test_a_refused_event_is_audited_with_the_reason() -> None:
    world, store = World(), MemoryIdentities()
    assert b"MSA|AE|M1" in feed(world, store)(message("A40", "A", "B"), peer())
    assert {int(event.outcome) for event in world.events} == {8}
    assert all(event.outcome_description for event in world.events)


def test_what_is_no_message_is_answered() -> None:
    world = World()
    answer = feed(world, MemoryIdentities())(b"hello", peer())
    assert b"MSA|A" in answer
    assert b"MSA|AA" not in answer
    assert len(world.records) == 1


def test_an_event_that_cannot_be_audited_is_not_acknowledged() -> None:
    world, store = World(), MemoryIdentities()
    world.away = True
    answer = feed(world, store)(message("A04", "A"), peer())
    assert b"MSA|AR|M1" in answer
