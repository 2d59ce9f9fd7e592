"""Notices of performed steps and available instances put studies in the queue, from who may send them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.actors.test_order_messages import Traces
from tests.transactions.ports import clock
from xdsi.actors.archive_notices import ArchiveNotices, Confirmed
from xdsi.domain.errors import Unavailable
from xdsi.domain.performed_step import PerformedStep
from xdsi.domain.subject import Node, Peer
from xdsi.spec import dimse

CT = Peer(address="192.0.2.9", node=Node(name="ct", permits=frozenset({"RAD-7"})))
ARCHIVE = Peer(address="192.0.2.8", node=Node(name="pacs", permits=frozenset({"RAD-49"})))
STEP, STUDY = "1.2.3.9", "1.2.3"
LATE = dimse.STEP_MAY_NO_LONGER_BE_UPDATED


@dataclass
class Memory:
    """Queue and steps; `away` is what cannot be written."""

    queued: list[Any] = field(default_factory=list)
    known: dict[str, PerformedStep] = field(default_factory=dict)
    away: bool = False

    def add(self, uids: Iterable[str], *, origin: str, due: float, now: float) -> None:
        if self.away:
            raise Unavailable("away")
        self.queued.append((sorted(uids), origin, due - now))

    def find(self, uid: str) -> PerformedStep | None:
        return self.known.get(uid)

    def begin(self, uid: str, studies: Sequence[str], *, now: float) -> None:
        self.known[uid] = PerformedStep(uid, tuple(studies))

    def end(self, uid: str, *, now: float) -> None:
        self.known[uid] = PerformedStep(uid, self.known[uid].studies, ended=True)


def notices(memory: Memory, **changes: Any) -> ArchiveNotices:
    given: dict[str, Any] = {
        "queue": memory, "steps": memory, "clock": clock, "traces": Traces(), "nodes_required": True, "settle": 60.0,
    }  # fmt: skip
    return ArchiveNotices(**given | changes)


@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
def test_a_step_that_ends_has_its_studies_looked_at(status: str) -> None:
    memory = Memory()
    asked = notices(memory)
    assert asked.step_began(STEP, "IN PROGRESS", ["1.2.4", STUDY], CT) == Confirmed()
    assert asked.step_changed(STEP, "IN PROGRESS", CT) == asked.step_changed(STEP, "", CT) == Confirmed()
    assert memory.queued == []
    assert asked.step_changed(STEP, status, CT) == Confirmed()
    assert memory.queued == [([STUDY, "1.2.4"], "MPPS", 60.0)]
    assert asked.step_changed(STEP, status, CT) == Confirmed(dimse.PROCESSING_FAILURE, LATE)
    assert len(memory.queued) == 1


def test_a_step_that_has_ended_when_it_is_told_of_is_taken() -> None:
    memory = Memory()
    assert notices(memory).step_began(STEP, "COMPLETED", [STUDY], CT) == Confirmed()
    assert memory.queued == [([STUDY], "MPPS", 60.0)]


def test_available_instances_have_their_study_looked_at() -> None:
    memory = Memory()
    assert notices(memory).available(STUDY, ARCHIVE) == Confirmed()
    assert memory.queued == [([STUDY], "IAN", 60.0)]


@pytest.mark.parametrize(
    ("uid", "status", "studies", "expected"),
    [
        ("", "IN PROGRESS", [STUDY], dimse.INVALID_SOP_INSTANCE),
        ("x", "IN PROGRESS", [STUDY], dimse.INVALID_SOP_INSTANCE),
        (STEP, "", [STUDY], dimse.MISSING_ATTRIBUTE),
        (STEP, "IN PROGRESS", [], dimse.MISSING_ATTRIBUTE),
        (STEP, "BEGUN", [STUDY], dimse.INVALID_ATTRIBUTE_VALUE),
        (STEP, "IN PROGRESS", [STUDY, "*"], dimse.INVALID_ATTRIBUTE_VALUE),
    ],
)
def test_what_is_wrong_with_a_step(uid: str, status: str, studies: list[str], expected: int) -> None:
    memory = Memory()
    assert notices(memory).step_began(uid, status, studies, CT) == Confirmed(expected)
    assert (memory.known, memory.queued) == ({}, [])


def test_a_step_is_begun_once_but_may_be_told_of_again() -> None:
    memory = Memory()
    asked = notices(memory)
    assert asked.step_began(STEP, "IN PROGRESS", [STUDY], CT) == Confirmed()
    assert asked.step_began(STEP, "IN PROGRESS", [STUDY], CT) == Confirmed(), "its answer may have been lost"
    assert asked.step_began(STEP, "IN PROGRESS", ["1.2.4"], CT) == Confirmed(dimse.DUPLICATE_SOP_INSTANCE)
    asked.step_changed(STEP, "COMPLETED", CT)
    assert asked.step_began(STEP, "IN PROGRESS", [STUDY], CT) == Confirmed(dimse.DUPLICATE_SOP_INSTANCE)


def test_changes_of_an_unknown_step_and_to_an_unknown_status() -> None:
    memory = Memory()
    asked = notices(memory)
    assert asked.step_changed(STEP, "COMPLETED", CT) == Confirmed(dimse.NO_SUCH_SOP_INSTANCE)
    asked.step_began(STEP, "IN PROGRESS", [STUDY], CT)
    assert asked.step_changed(STEP, "DONE", CT) == Confirmed(dimse.INVALID_ATTRIBUTE_VALUE)
    assert memory.queued == []


@pytest.mark.parametrize("uid", ["", "?", "1" * 65])
def test_availability_of_nothing(uid: str) -> None:
    memory = Memory()
    assert notices(memory).available(uid, ARCHIVE).status in (dimse.MISSING_ATTRIBUTE, dimse.INVALID_ATTRIBUTE_VALUE)
    assert memory.queued == []


@pytest.mark.parametrize("peer", [Peer(address="192.0.2.1"), CT, ARCHIVE])
def test_who_may_not_tell_is_refused(peer: Peer) -> None:
    memory = Memory()
    asked = notices(memory)
    answers = [
        asked.step_began(STEP, "COMPLETED", [STUDY], peer).status,
        asked.step_changed(STEP, "COMPLETED", peer).status == dimse.NOT_AUTHORIZED,
        asked.available(STUDY, peer).status,
    ]
    no = dimse.NOT_AUTHORIZED
    assert answers == [0 if peer is CT else no, peer is not CT, 0 if peer is ARCHIVE else no]
    assert bool(memory.queued) is (peer.node is not None)


def test_without_tls_nobody_is_known_and_everybody_may() -> None:
    assert notices(Memory(), nodes_required=False).available(STUDY, Peer(address="127.0.0.1")) == Confirmed()


def test_nothing_is_confirmed_that_is_not_kept() -> None:
    memory = Memory()
    asked = notices(memory)
    asked.step_began(STEP, "IN PROGRESS", [STUDY], CT)
    memory.away = True
    assert asked.step_changed(STEP, "COMPLETED", CT) == Confirmed(dimse.PROCESSING_FAILURE)
    assert asked.available(STUDY, ARCHIVE) == Confirmed(dimse.PROCESSING_FAILURE)
    memory.away = False
    assert asked.step_changed(STEP, "COMPLETED", CT) == Confirmed(), "it may be told again"
    assert memory.queued == [([STUDY], "MPPS", 60.0)]
