"""ITI-44: what a v3 feed does to the identities."""

from __future__ import annotations

import pytest

from tests.audit_samples import facts
from tests.memory_identities import MemoryIdentities
from tests.transactions.ports import NOW, clock, served
from tests.wire.ebxml.bodies import received
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import Application, FeedEvent, PatientIdentityFeed, PatientStatus
from xdsi.domain.outcome import Problem
from xdsi.rules.identity import IdentityDomain
from xdsi.spec import hl7
from xdsi.transactions import iti44_patient_identity_feed_v3 as iti44
from xdsi.wire import hl7v3
from xdsi.wire.message import Packaging
from xdsi.wire.xml import parse

OURS = "2.999.3"
A, B, FOREIGN = PatientId("A", OURS), PatientId("B", OURS), PatientId("A", "2.999.4")


@pytest.mark.parametrize("kind", [FeedEvent.ADD, FeedEvent.UPDATE])
def test_added_and_revised_records_alike_make_a_patient_known(kind: FeedEvent) -> None:
    store = MemoryIdentities()
    feed = PatientIdentityFeed(kind=kind, patients=(FOREIGN, A), message_id="1")
    answer = iti44.handle(feed, store, OURS)
    assert (answer.accepted, answer.ignored) == (True, (FOREIGN,))
    assert list(store.rows) == [A]


def test_resolved_duplicates_are_merged_and_a_second_time_refused() -> None:
    store = MemoryIdentities(A, B)
    feed = PatientIdentityFeed(kind=FeedEvent.MERGE, patients=(B,), prior=(A,), message_id="1")
    assert iti44.handle(feed, store, OURS).accepted
    assert store.status(A) is PatientStatus.SUBSUMED
    again = iti44.handle(feed, store, OURS)
    assert not again.accepted
    assert [p.rule for p in again.problems] == ["merge.subsumed.subsumed"]


@pytest.mark.parametrize("authority", ["", "XAD"])
def test_an_identifier_of_another_root_is_never_filled_in(authority: str) -> None:
    raw = b"""<PRPA_IN201301UV02 xmlns="urn:hl7-org:v3" ITSVersion="XML_1.0"><id root="2.999.9"/><creationTime/>
      <interactionId extension="PRPA_IN201301UV02"/><receiver><device/></receiver><sender><device/></sender>
      <controlActProcess><subject><registrationEvent><subject1><patient>
        <id extension="A" assigningAuthorityName="XAD"/><id root="2.999.4" extension="A"/>
      </patient></subject1></registrationEvent></subject></controlActProcess></PRPA_IN201301UV02>"""
    store = MemoryIdentities()
    assert iti44.handle(hl7v3.decode(parse(raw)), store, OURS, namespace=authority).accepted
    assert not store.rows


# -- as a transaction


def ports(store: MemoryIdentities) -> iti44.FeedPorts:
    return iti44.FeedPorts(identities=store, domain=IdentityDomain(OURS), clock=clock)


def test_a_feed_is_served_and_its_acknowledgement_sent() -> None:
    store = MemoryIdentities()
    feed = PatientIdentityFeed(kind=FeedEvent.ADD, patients=(A,), message_id="2.999.9^7", created=NOW)
    answer = served(iti44.ADD, feed, ports(store))
    assert (answer.answer.accepted, answer.at, answer.feed) == (True, NOW, feed)
    assert store.known(A)
    read = iti44.ADD.response.decode(received(iti44.ADD.response.encode(answer, Packaging.SIMPLE)))
    assert read.answer.accepted


def test_a_refused_event_says_why() -> None:
    feed = PatientIdentityFeed(kind=FeedEvent.MERGE, patients=(A,), prior=(B,), message_id="2.999.9^8", created=NOW)
    answer = served(iti44.MERGE, feed, ports(MemoryIdentities()))
    assert not answer.answer.accepted
    read = iti44.MERGE.response.decode(received(iti44.MERGE.response.encode(answer, Packaging.SIMPLE)))
    assert [bool(problem.text) for problem in read.answer.problems] == [True] * len(answer.answer.problems)
    assert not read.answer.accepted


def test_a_message_that_cannot_be_read_is_acknowledged_too() -> None:
    answer = iti44.refuse(None, [Problem("XDSRegistryError", "no patient", location="patient")])
    assert (answer.answer.accepted, answer.answer.problems[0].code) == (False, hl7.DATA_TYPE_ERROR)
    read = iti44.ADD.response.decode(received(iti44.ADD.response.encode(answer, Packaging.SIMPLE)))
    assert "no patient" in read.answer.problems[0].text


def test_a_store_that_is_away_is_our_error_not_the_senders() -> None:
    feed = PatientIdentityFeed(kind=FeedEvent.ADD, patients=(A,), message_id="2.999.9^9", created=NOW)
    answer = iti44.refuse(feed, [Problem("XDSRegistryError", "not available at the moment")])
    assert answer.answer.problems[0].code == hl7.INTERNAL_ERROR
    assert iti44.ADD.response.encode(answer, Packaging.SIMPLE)


@pytest.mark.parametrize("kind", list(FeedEvent))
def test_each_event_has_an_action_of_its_own(kind: FeedEvent) -> None:
    row = iti44.BY_EVENT[kind]
    assert row in iti44.TRANSACTIONS
    assert (row.number, row.reply) == ("ITI-44", "urn:hl7-org:v3:MCCI_IN000002UV01")
    assert len({one.trigger for one in iti44.TRANSACTIONS}) == 3


@pytest.mark.parametrize("kind", list(FeedEvent))
def test_a_message_is_read_under_its_own_action_alone(kind: FeedEvent) -> None:
    application = Application("2.999.9")
    prior = (B,) if kind is FeedEvent.MERGE else ()
    feed = PatientIdentityFeed(
        kind=kind, patients=(A,), prior=prior, message_id="2.999.9^7", created=NOW, sender=application,
        receiver=application,
    )  # fmt: skip
    for other, row in iti44.BY_EVENT.items():
        message = received(row.request.encode(feed, Packaging.SIMPLE))
        if other is kind:
            assert row.request.decode(message).kind is kind
        else:
            with pytest.raises(MalformedMessage, match="under the action of"):
                row.request.decode(message)


def test_the_audit_record_names_the_patient() -> None:
    feed = PatientIdentityFeed(kind=FeedEvent.ADD, patients=(A,), message_id="2.999.9^7", created=NOW)
    described = iti44.facts(feed, served(iti44.ADD, feed, ports(MemoryIdentities())), facts("ITI-44", patients=()))
    assert (described.patients, described.message_id, described.outcome) == ((A.cx,), "2.999.9^7", 0)
    assert iti44.facts(feed, None, facts("ITI-44")).outcome == 8
