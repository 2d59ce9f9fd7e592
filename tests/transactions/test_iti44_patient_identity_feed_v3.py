"""ITI-44: what a v3 feed does to the identities."""

from __future__ import annotations

import pytest

from tests.memory_identities import MemoryIdentities
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import FeedEvent, PatientIdentityFeed, PatientStatus
from xdsi.transactions import iti44_patient_identity_feed_v3 as iti44
from xdsi.wire import hl7v3
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
