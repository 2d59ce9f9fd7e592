"""ITI-8: from the bytes of a message to its acknowledgement."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest

from tests.memory_identities import MemoryIdentities
from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import (
    ANY_AUTHORITY,
    Application,
    Demographics,
    FeedAnswer,
    FeedEvent,
    PatientIdentityFeed,
    PatientStatus,
    PersonName,
)
from xdsi.transactions import iti08_patient_identity_feed as iti08
from xdsi.wire import er7

OURS = "2.999.3"
NOW = datetime(2025, 3, 4, tzinfo=UTC)
A, B = PatientId("A", OURS), PatientId("B", OURS)


def message(trigger: str, pid: str, rest: str = "PV1||O") -> bytes:
    header = f"MSH|^~\\&|ADT|HOSPITAL|REG|HUB|20250304||ADT^{trigger}|M1|P|2.3.1"
    return f"{header}\rEVN|{trigger}\rPID|||{pid}||DOE^JANE\r{rest}\r".encode()


def answered(raw: bytes, store: MemoryIdentities, authority: str = OURS, namespace: str = "") -> tuple[str, list[str]]:
    """MSA-1 and the codes of ERR-3."""
    serve = partial(iti08.handle, identities=store, domain_authority=authority, namespace=namespace)
    reply = er7.parse(iti08.respond(raw, serve, NOW))
    return reply.only("MSA").value(1), [error.value(3) for error in reply.all("ERR")]


@pytest.mark.parametrize("trigger", ["A01", "A04", "A05"])
def test_an_added_patient_becomes_known(trigger: str) -> None:
    store = MemoryIdentities()
    assert answered(message(trigger, f"A^^^&{OURS}&ISO~9^^^&2.999.4&ISO"), store) == ("AA", [])
    assert list(store.rows) == [A]
    assert store.rows[A].demographics.name == PersonName(family="DOE", given="JANE")
    assert store.rows[A].source == "ADT"


@pytest.mark.parametrize("identifier", ["A", "A^^^XAD"])
def test_a_missing_authority_is_filled_in(identifier: str) -> None:
    store = MemoryIdentities()
    assert answered(message("A01", identifier), store, namespace="XAD") == ("AA", [])
    assert store.known(A)


def test_an_update_changes_a_known_patient_and_makes_none_known() -> None:
    store = MemoryIdentities(A)
    assert answered(message("A08", f"A^^^&{OURS}&ISO"), store) == ("AA", [])
    assert answered(message("A08", f"B^^^&{OURS}&ISO"), store) == ("AA", [])
    assert store.rows[A].demographics.name == PersonName(family="DOE", given="JANE")
    assert store.status(B) is PatientStatus.UNKNOWN


def test_a_merge_is_recorded_once_and_chains() -> None:
    store = MemoryIdentities(A, B)
    merge = message("A40", f"B^^^&{OURS}&ISO", f"MRG|A^^^&{OURS}&ISO")
    assert answered(merge, store) == ("AA", [])
    assert store.survivor_of(A) == B
    assert answered(merge, store) == ("AE", ["204"])
    answered(message("A01", f"C^^^&{OURS}&ISO"), store)
    assert answered(message("A40", f"C^^^&{OURS}&ISO", f"MRG|B^^^&{OURS}&ISO"), store) == ("AA", [])
    assert store.aliases(A) == (PatientId("C", OURS), A, B)


@pytest.mark.parametrize(
    ("survivor", "subsumed"),
    [("B^^^&2.999.4&ISO", "A"), ("B", "A^^^&2.999.4&ISO"), ("A", "A"), ("B", "U"), ("U", "A")],
)
def test_a_refused_merge_changes_nothing(survivor: str, subsumed: str) -> None:
    store = MemoryIdentities(A, B)
    code, errors = answered(message("A40", survivor, f"MRG|{subsumed}"), store)
    assert (code, set(errors)) == ("AE", {"204"})
    assert store.known(A)
    assert store.known(B)


def test_where_any_authority_is_taken_the_identifier_needs_one() -> None:
    store = MemoryIdentities()
    assert answered(message("A01", "A^^^&2.999.77&ISO~B"), store, ANY_AUTHORITY) == ("AA", [])
    assert list(store.rows) == [PatientId("A", "2.999.77")]


@pytest.mark.parametrize(
    ("raw", "code", "errors"),
    [
        (b"junk", "AE", ["100"]),
        (message("A28", "A"), "AR", ["201"]),
        (message("A01", ""), "AE", ["101"]),
        (message("A40", "A"), "AE", ["100"]),
    ],
)
def test_a_bad_message_is_answered_too(raw: bytes, code: str, errors: list[str]) -> None:
    assert answered(raw, MemoryIdentities()) == (code, errors)


def test_a_store_that_is_away_is_a_rejection_without_a_place() -> None:
    def away(feed: PatientIdentityFeed) -> FeedAnswer:
        raise Unavailable("database: connection refused")

    reply = er7.parse(iti08.respond(message("A01", "A"), away, NOW))
    error = reply.only("ERR")
    assert (reply.only("MSA").value(1), error.value(2), error.value(3)) == ("AR", "", "207")
    assert "database" not in error.value(8)


def test_both_ends_understand_each_other() -> None:
    store = MemoryIdentities(A)
    serve = partial(iti08.handle, identities=store, domain_authority=OURS)
    added = PatientIdentityFeed(
        kind=FeedEvent.ADD,
        patients=(B,),
        demographics=Demographics(name=PersonName(family="Müller"), sex="M"),
        message_id="M7",
        sender=Application("ADT"),
        created=NOW,
    )
    merged = PatientIdentityFeed(kind=FeedEvent.MERGE, patients=(B,), prior=(A,), message_id="M8")
    deliver = partial(iti08.respond, serve=serve, now=NOW)
    assert iti08.feed(added, deliver) == FeedAnswer(accepted=True)
    assert iti08.feed(merged, deliver) == FeedAnswer(accepted=True)
    refused = iti08.feed(merged, deliver)
    assert not refused.accepted
    assert [(p.code, p.location) for p in refused.problems] == [("204", "MRG-1")]
    assert store.rows[B].demographics.name == PersonName(family="Müller")


def test_an_answer_to_another_message_is_no_answer() -> None:
    serve = partial(iti08.handle, identities=MemoryIdentities(), domain_authority=OURS)
    event = PatientIdentityFeed(kind=FeedEvent.ADD, patients=(A,), message_id="M1")
    other = iti08.respond(message("A01", "A").replace(b"|M1|", b"|M2|"), serve, NOW)
    with pytest.raises(MalformedMessage):
        iti08.feed(event, lambda _: other)
