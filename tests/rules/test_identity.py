"""rules/identity: which identifiers are the domain's, and which merges are refused."""

from __future__ import annotations

import pytest

from tests.memory_identities import MemoryIdentities
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import ANY_AUTHORITY, FeedEvent, IdentityChange, PatientIdentityFeed
from xdsi.rules.identity import IdentityDomain, decide, in_domain

OURS = "2.999.1"
OTHER = "2.999.2"
DOMAIN = IdentityDomain(OURS, "XAD")


def ours(identifier: str) -> PatientId:
    return PatientId(identifier, OURS)


def merge(
    survivor: PatientId | tuple[PatientId, ...], subsumed: PatientId | tuple[PatientId, ...]
) -> PatientIdentityFeed:
    patients = survivor if isinstance(survivor, tuple) else (survivor,)
    prior = subsumed if isinstance(subsumed, tuple) else (subsumed,)
    return PatientIdentityFeed(kind=FeedEvent.MERGE, patients=patients, prior=prior, message_id="1")


def add(*patients: PatientId, kind: FeedEvent = FeedEvent.ADD) -> PatientIdentityFeed:
    return PatientIdentityFeed(kind=kind, patients=patients, message_id="1")


def decided(
    feed: PatientIdentityFeed,
    store: MemoryIdentities,
    domain: IdentityDomain = DOMAIN,
    *,
    update_registers: bool = True,
) -> IdentityChange:
    return decide(feed, store.status, domain, update_registers=update_registers)


@pytest.mark.parametrize(
    ("domain", "sent", "expected"),
    [
        (DOMAIN, PatientId("1", OURS), ours("1")),
        (DOMAIN, PatientId("1", ""), ours("1")),
        (DOMAIN, PatientId("1", "XAD"), ours("1")),
        (DOMAIN, PatientId("1", "MPI"), None),
        (DOMAIN, PatientId("1", OTHER), None),
        (DOMAIN, PatientId("1", "&XAD&DNS"), None),
        (IdentityDomain(OURS), PatientId("1", "XAD"), None),
        (IdentityDomain(OURS), PatientId("1", ""), ours("1")),
        (IdentityDomain(ANY_AUTHORITY), PatientId("1", OTHER), PatientId("1", OTHER)),
        (IdentityDomain(ANY_AUTHORITY), PatientId("1", ""), None),
        (IdentityDomain(ANY_AUTHORITY), PatientId("1", "XAD"), None),
    ],
)
def test_an_identifier_without_oid_is_filled_from_the_configuration(
    domain: IdentityDomain, sent: PatientId, expected: PatientId | None
) -> None:
    assert domain.localise(sent) == expected


def test_only_identifiers_of_the_domain_remain_and_each_once() -> None:
    feed = add(ours("1"), PatientId("9", OTHER), PatientId("1", ""), PatientId("2", "XAD"))
    assert in_domain(feed, DOMAIN).patients == (ours("1"), ours("2"))


def test_an_added_patient_is_registered_and_foreign_identifiers_are_left_aside() -> None:
    change = decided(add(ours("1"), PatientId("9", OTHER)), MemoryIdentities())
    assert change == IdentityChange(register=(ours("1"),), ignored=(PatientId("9", OTHER),))


def test_a_message_about_foreign_identifiers_only_does_nothing() -> None:
    change = decided(add(PatientId("9", OTHER)), MemoryIdentities())
    assert (change.register, change.problems) == ((), ())


def test_a_known_identifier_may_be_registered_again() -> None:
    assert decided(add(ours("1")), MemoryIdentities(ours("1"))).register == (ours("1"),)


def test_a_subsumed_identifier_is_not_registered_again() -> None:
    store = MemoryIdentities(ours("1"), ours("2"))
    store.merge(ours("1"), ours("2"))
    change = decided(add(ours("1")), store)
    assert [p.rule for p in change.problems] == ["feed.patient.subsumed"]
    assert change.register == ()


@pytest.mark.parametrize(
    ("update_registers", "known", "registered"),
    [(True, False, True), (True, True, True), (False, False, False), (False, True, True)],
)
def test_an_update_registers_an_unknown_identifier_only_where_the_transaction_says_so(
    update_registers: bool, known: bool, registered: bool
) -> None:
    store = MemoryIdentities(*([ours("1")] if known else []))
    change = decided(add(ours("1"), kind=FeedEvent.UPDATE), store, update_registers=update_registers)
    assert bool(change.register) is registered
    assert change.problems == ()


def test_an_update_of_a_subsumed_identifier_is_ignored_where_updates_are() -> None:
    store = MemoryIdentities(ours("1"), ours("2"))
    store.merge(ours("1"), ours("2"))
    assert decided(add(ours("1"), kind=FeedEvent.UPDATE), store, update_registers=False) == IdentityChange()


@pytest.mark.parametrize("identifier", ["a^b", "a&b", "a|b", "a~b", " a", "a ", "a\x00b", "a\rb"])
def test_an_identifier_that_metadata_cannot_name_is_refused(identifier: str) -> None:
    change = decided(add(ours("1"), ours(identifier)), MemoryIdentities())
    assert [(p.code, p.rule, p.location) for p in change.problems] == [("102", "feed.patient.form", "patients")]
    assert change.register == ()


def test_a_foreign_identifier_may_have_any_form() -> None:
    assert decided(add(ours("1"), PatientId("a^b", OTHER)), MemoryIdentities()).problems == ()


# A, B, C active; S merged into A earlier; U never heard of.
MERGES = [
    pytest.param(merge(ours("A"), ours("B")), (), id="both active"),
    pytest.param(merge(PatientId("A", ""), PatientId("B", "XAD")), (), id="authorities filled"),
    pytest.param(
        merge((PatientId("9", OTHER), ours("A")), (ours("B"), PatientId("8", OTHER))), (), id="one pair of ours"
    ),
    pytest.param(merge(PatientId("A", OTHER), ours("B")), ("merge.surviving.authority",), id="survivor foreign"),
    pytest.param(merge(ours("A"), PatientId("B", OTHER)), ("merge.subsumed.authority",), id="subsumed foreign"),
    pytest.param(
        merge(PatientId("A", OTHER), PatientId("B", OTHER)),
        ("merge.surviving.authority", "merge.subsumed.authority"),
        id="both foreign",
    ),
    pytest.param(merge(ours("A"), ours("A")), ("merge.identical",), id="identical"),
    pytest.param(merge(ours("A"), ours("S")), ("merge.subsumed.subsumed",), id="subsumed before"),
    pytest.param(merge(ours("S"), ours("B")), ("merge.surviving.subsumed",), id="survivor subsumed before"),
    pytest.param(merge(ours("S"), ours("A")), ("merge.surviving.subsumed",), id="ring"),
    pytest.param(merge(ours("A"), ours("U")), ("merge.subsumed.unknown",), id="subsumed unknown"),
    pytest.param(merge(ours("U"), ours("A")), ("merge.surviving.unknown",), id="survivor unknown"),
    pytest.param(
        merge(ours("U"), ours("U")),
        ("merge.surviving.unknown", "merge.subsumed.unknown", "merge.identical"),
        id="identical and unknown",
    ),
    pytest.param(merge((ours("A"), ours("C")), ours("B")), ("merge.surviving.several",), id="two survivors"),
    pytest.param(merge(ours("A"), (ours("B"), ours("C"))), ("merge.subsumed.several",), id="two subsumed"),
]


@pytest.mark.parametrize(("feed", "rules"), MERGES)
def test_merge(feed: PatientIdentityFeed, rules: tuple[str, ...]) -> None:
    store = MemoryIdentities(ours("A"), ours("B"), ours("C"), ours("S"))
    store.merge(ours("S"), ours("A"))
    change = decided(feed, store)
    assert tuple(p.rule for p in change.problems) == rules
    assert {p.code for p in change.problems} <= {"204"}
    assert change.merge == (None if rules else (ours("B"), ours("A")))
    assert change.register == ()


@pytest.mark.parametrize(
    ("feed", "rules"),
    [
        (merge(PatientId("1", OTHER), PatientId("2", OTHER)), ()),
        (merge((ours("A"), PatientId("1", OTHER)), PatientId("2", OTHER)), ()),
        (merge(ours("A"), PatientId("2", OTHER)), ("merge.authorities",)),
        (merge(ours("A"), PatientId("2", "")), ("merge.subsumed.authority",)),
    ],
)
def test_where_any_authority_is_taken_both_identifiers_are_of_the_same(
    feed: PatientIdentityFeed, rules: tuple[str, ...]
) -> None:
    store = MemoryIdentities(ours("A"), PatientId("1", OTHER), PatientId("2", OTHER))
    change = decided(feed, store, IdentityDomain(ANY_AUTHORITY))
    assert tuple(p.rule for p in change.problems) == rules
    assert change.merge == (None if rules else (PatientId("2", OTHER), PatientId("1", OTHER)))


def test_problems_name_the_identifier_and_the_place() -> None:
    (problem,) = decided(merge(ours("A"), ours("U")), MemoryIdentities(ours("A"))).problems
    assert problem.location == "prior"
    assert "U^^^&2.999.1&ISO" in problem.text
