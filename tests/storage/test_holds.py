"""storage/holds: who and what is under a hold, through merges and time; each change is on record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.engine import Engine

from tests.audit_samples import SITE
from tests.storage.registered import entry, submission
from xdsi.domain.audit import AuditEvent
from xdsi.domain.holds import HeldKind, Hold
from xdsi.domain.identifiers import PatientId
from xdsi.rules import hold_audit
from xdsi.storage.audit_trail import DatabaseAuditTrail
from xdsi.storage.holds import SqlHolds
from xdsi.storage.identities import SqlPatientIdentities
from xdsi.storage.registry import SqlRegistry
from xdsi.wire import audit as audit_codec

NOW = datetime.now(UTC)


class World:
    """A registry and a repository in one database."""

    def __init__(self, engine: Engine) -> None:
        self.trail = DatabaseAuditTrail(engine, encode=audit_codec.encode, decode=audit_codec.decode, host="hub")
        self.registry = SqlRegistry(engine, trail=self.trail)
        self.identities = SqlPatientIdentities(engine)
        self.holds = SqlHolds(engine, trail=self.trail, registry=self.registry, repository_unique_id="2.999.1.2")

    def register(self, one: object) -> None:
        with self.registry.writing() as session:
            session.save(submission(one))  # type: ignore[arg-type]

    def place(self, kind: HeldKind, target: str, **changes: object) -> Hold:
        hold = Hold(kind=kind, target=target, reason="case 7", placed_by="ada", placed_at=NOW)
        key = None
        if kind is HeldKind.PATIENT:
            with self.registry.reading() as session:
                key = session.patient_key(PatientId.parse(target))
        hold = replace(hold, **changes)  # type: ignore[arg-type]
        return self.holds.add(hold, key, lambda one: hold_audit.placed(SITE, NOW, one))


@pytest.fixture
def world(engine: Engine) -> Iterator[World]:
    world = World(engine)
    yield world
    world.trail.close()


def test_a_document_is_held_by_its_unique_id(world: World) -> None:
    world.place(HeldKind.DOCUMENT, "2.999.7.1")
    assert world.holds.of_documents(["2.999.7.1", "2.999.7.2"]) == {"2.999.7.1"}


def test_a_patient_is_held_with_every_document(world: World) -> None:
    one, other = entry(), entry(patient_id="P9^^^&2.999.1.1&ISO")
    for each in (one, other):
        world.register(each)
    world.place(HeldKind.PATIENT, one.patient_id)
    assert world.holds.of_documents([one.unique_id, other.unique_id]) == {one.unique_id}
    with world.registry.reading() as session:
        held = session.held([], [PatientId.parse(each.patient_id) for each in (one, other)])
    assert held.patients == {PatientId.parse(one.patient_id)}


@pytest.mark.parametrize("placed", ["before", "after"])
def test_a_hold_stands_for_the_person_through_merges(world: World, placed: str) -> None:
    one, other = entry(), entry(patient_id="P9^^^&2.999.1.1&ISO")
    for each in (one, other):
        world.register(each)
    subsumed, survivor = PatientId.parse(one.patient_id), PatientId.parse(other.patient_id)
    if placed == "before":
        world.place(HeldKind.PATIENT, subsumed.cx)
    world.identities.merge(subsumed, survivor)
    if placed == "after":
        world.place(HeldKind.PATIENT, survivor.cx)
    assert world.holds.of_documents([one.unique_id, other.unique_id]) == {one.unique_id, other.unique_id}


def test_a_hold_that_has_ended_by_itself_holds_nothing(world: World) -> None:
    world.place(HeldKind.DOCUMENT, "2.999.7.1", until=NOW - timedelta(seconds=5))
    world.place(HeldKind.DOCUMENT, "2.999.7.2", until=NOW + timedelta(hours=1))
    assert world.holds.of_documents(["2.999.7.1", "2.999.7.2"]) == {"2.999.7.2"}
    assert [one.target for one in world.holds.all()] == ["2.999.7.1", "2.999.7.2"]


def test_each_change_is_on_record_with_who_and_why(world: World) -> None:
    hold = world.place(HeldKind.DOCUMENT, "2.999.7.1")
    world.holds.remove(hold.number, lambda one: hold_audit.ended(SITE, NOW, one, "grace", "case closed"))
    assert world.holds.all() == []
    records = world.trail.search(limit=10)
    texts = [record.xml.decode() for record in records]
    assert len(texts) == 2
    assert all('csd-code="110135"' in text and 'ParticipantObjectID="2.999.7.1"' in text for text in texts)
    assert 'UserID="ada"' in texts[0]
    assert f"legal hold {hold.number} on document 2.999.7.1 placed: case 7" in texts[0]
    assert 'UserID="grace"' in texts[1]
    assert f"legal hold {hold.number} on document 2.999.7.1 ended: case closed" in texts[1]


def test_the_number_of_a_hold_is_never_given_again(world: World) -> None:
    def ended(one: Hold) -> AuditEvent:
        return hold_audit.ended(SITE, NOW, one, "grace", "case closed")

    numbers: list[int] = []
    for target in ("2.999.7.1", "2.999.7.2", "2.999.7.1"):
        numbers.append(world.place(HeldKind.DOCUMENT, target).number)
        assert [one.number for one in world.holds.all()] == numbers[-1:]
        world.holds.remove(numbers[-1], ended)
        assert world.holds.of_documents([target]) == frozenset()
        with pytest.raises(LookupError):
            world.holds.remove(numbers[-1], ended)
    assert numbers == sorted(set(numbers))
    assert len(world.trail.search(limit=10)) == 6


def test_a_hold_that_is_not_there_cannot_be_ended(world: World) -> None:
    with pytest.raises(LookupError):
        world.holds.remove(7, lambda one: hold_audit.placed(SITE, NOW, one))


@pytest.mark.parametrize("missing", ["reason", "placed_by"])
def test_a_hold_has_a_reason_and_somebody(missing: str) -> None:
    given = {"reason": "case 7", "placed_by": "ada"} | {missing: " "}
    with pytest.raises(ValueError, match="a hold has"):
        Hold(kind=HeldKind.DOCUMENT, target="2.1", placed_at=NOW, **given)
