"""domain/identity: names, and carrying out what was decided."""

from __future__ import annotations

import pytest

from tests.memory_identities import MemoryIdentities
from xdsi.domain.errors import Refused
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import (
    Application,
    Demographics,
    FeedEvent,
    FeedProblem,
    IdentityChange,
    PatientIdentityFeed,
    PatientStatus,
    PersonName,
)

A, B = PatientId("A", "2.999.1"), PatientId("B", "2.999.1")
FEED = PatientIdentityFeed(
    kind=FeedEvent.ADD,
    patients=(A,),
    demographics=Demographics(sex="F"),
    message_id="1",
    sender=Application("ADT", "HOSPITAL"),
)


@pytest.mark.parametrize(
    ("xpn", "name"),
    [
        ("", PersonName()),
        ("Doe", PersonName(family="Doe")),
        ("Doe^Jane^Anna^III^Dr", PersonName(family="Doe", given="Jane", further="Anna", suffix="III", prefix="Dr")),
        ("^^^^Dr", PersonName(prefix="Dr")),
    ],
)
def test_a_name_is_read_and_written_as_xpn(xpn: str, name: PersonName) -> None:
    assert PersonName.parse(xpn) == name
    assert name.xpn == xpn


def test_a_delimiter_in_a_name_becomes_a_space() -> None:
    assert PersonName(family="a^b", given="c").xpn == "a b^c"


def test_only_a_merge_has_a_survivor_and_a_subsumed_identifier() -> None:
    merge = PatientIdentityFeed(kind=FeedEvent.MERGE, patients=(A,), prior=(B,), message_id="1")
    assert (merge.survivor, merge.subsumed) == (A, B)
    assert (FEED.survivor, FEED.subsumed) == (None, None)


def test_what_was_decided_is_done() -> None:
    store = MemoryIdentities(B)
    assert IdentityChange(register=(A,)).carry_out(FEED, store).accepted
    assert store.rows[A].demographics.sex == "F"
    assert store.rows[A].source == "ADT"
    assert IdentityChange(merge=(B, A)).carry_out(FEED, store).accepted
    assert store.status(B) is PatientStatus.SUBSUMED


def test_a_change_with_a_problem_does_nothing() -> None:
    store = MemoryIdentities()
    problem = FeedProblem("204", "no")
    answer = IdentityChange(register=(A,), problems=(problem,), ignored=(B,)).carry_out(FEED, store)
    assert (answer.accepted, answer.problems, answer.ignored) == (False, (problem,), (B,))
    assert store.status(A) is PatientStatus.UNKNOWN


def test_a_merge_that_another_one_forestalled_is_refused() -> None:
    class Overtaken(MemoryIdentities):
        def merge(self, subsumed: PatientId, survivor: PatientId) -> None:
            raise Refused("no longer active")

    answer = IdentityChange(merge=(B, A)).carry_out(FEED, Overtaken(A, B))
    assert not answer.accepted
    assert [p.rule for p in answer.problems] == ["merge.overtaken"]
