import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.audit_samples import DENIED, MERGE, NOW, SITE, SUBJECT, facts, rich_facts
from tests.oracles import corpus, schema_of
from xdsi.domain.audit import (
    ActiveParticipant,
    AuditAction,
    AuditEvent,
    AuditOutcome,
    AuditSource,
    ObjectDescription,
    ObjectDetail,
    ParticipantObject,
    Side,
    SopClassCount,
)
from xdsi.domain.codes import Code
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.subject import Peer
from xdsi.rules import audit_alerts as alerts
from xdsi.rules.audit import events_for
from xdsi.spec import audit_events as table
from xdsi.wire import audit

MINIMAL = (
    b'<AuditMessage><EventIdentification EventDateTime="2026-02-03T10:11:12Z" EventOutcomeIndicator="0">'
    b'<EventID csd-code="110112" codeSystemName="DCM" originalText="Query"/></EventIdentification>'
    b'<ActiveParticipant UserID="a" UserIsRequestor="true"/><AuditSourceIdentification AuditSourceID="s"/>'
    b"</AuditMessage>"
)


def all_events() -> list[AuditEvent]:
    exchanges = [
        event
        for number in table.TRANSACTIONS
        for side in Side
        for changes in ({}, {"outcome": 8, "outcome_description": 'no <way> & "none"\nat all'}, {"subject": None})
        for event in events_for(rich_facts(number, side, denied=(("2.999.5.1", DENIED),), emergency=True, **changes))
    ]
    return [
        *exchanges,
        *events_for(facts("ITI-8", merge=MERGE, message_id="M")),
        *events_for(facts("ITI-18", token_refused="FailedCheck")),
        alerts.started(SITE, NOW, launcher="root"),
        alerts.stopped(SITE, NOW),
        alerts.recording_stopped(SITE, NOW, "disk full"),
        alerts.recording_started(SITE, NOW),
        alerts.document_lost(SITE, NOW, "2.999.7.1", "its hash is another"),
        alerts.configuration_changed(SITE, NOW, "policy", "default deny", subject=SUBJECT),
        alerts.node_refused(SITE, NOW, Peer(address="192.0.2.66"), "no certificate"),
    ]


@pytest.mark.oracle
def test_every_event_of_the_table_is_valid_by_the_schema() -> None:
    schema = schema_of("dicom-audit", "ipf-dicom2017c.xsd")
    for event in all_events():
        schema.assertValid(etree.fromstring(audit.encode(event)))


def test_every_event_of_the_table_reads_back_the_same_from_one_line() -> None:
    for event in all_events():
        raw = audit.encode(event)
        assert b"\n" not in raw
        assert audit.decode(raw) == event


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "event", "transaction", "patient", "participants", "objects"),
    [
        ("atna-record-1.xml", "110104", "110104", "ptid12345", 3, 2),
        ("pdq.xml", "110112", "ITI-21", "24^^^MPI&2.16.840.1.113883.3.37.4.1.1.2.1.1&ISO^PI", 2, 5),
        ("pixfeed.xml", "110110", "ITI-8", "7627199^^^HZLN&2.16.840.1.113883.3.37.4.1.1.2.411.1&ISO", 2, 1),
        ("pixfeedmerge.xml", "110110", "ITI-8", "MW-10001^^^NIST2010&2.16.840.1.113883.3.72.5.9.1&ISO", 2, 1),
        ("pixm.xml", "110112", "ITI-83", "urn:oid:1.3.6.1.4.1.21367.13.20.3000|IHEBLUE-2340", 2, 2),
        ("pixquery.xml", "110112", "ITI-9", "27^^^MPI&2.16.840.1.113883.3.37.4.1.1.2.1.1&ISO^PI", 2, 3),
        ("pixv3feed.xml", "110110", "ITI-44", "JW-824-v3^^^NIST2010&2.16.840.1.113883.3.72.5.9.1&ISO", 2, 1),
        ("start.xml", "110100", "110120", "", 2, 0),
    ],
)
def test_messages_of_others_are_read(
    name: str, event: str, transaction: str, patient: str, participants: int, objects: int
) -> None:
    read = audit.decode(corpus("ipf", "audit", name).read_bytes())
    assert (read.event.code, read.transaction, read.patient) == (event, transaction, patient)
    assert (len(read.participants), len(read.objects)) == (participants, objects)
    assert read.time.tzinfo is UTC


@pytest.mark.oracle
def test_what_is_read_of_others_is_written_by_the_schema() -> None:
    schema = schema_of("dicom-audit", "ipf-dicom2017c.xsd")
    samples = sorted(corpus("ipf", "audit").glob("*.xml"))
    assert len(samples) >= 10
    for sample in samples:
        raw = audit.encode(audit.decode(sample.read_bytes()))
        schema.assertValid(etree.fromstring(raw))
        assert audit.decode(raw) == audit.decode(sample.read_bytes()), sample.name


@pytest.mark.oracle
def test_an_old_dicom_message_keeps_its_description() -> None:
    read = audit.decode(corpus("ipf", "audit", "atna-record-1.xml").read_bytes())
    (description,) = read.objects[0].descriptions
    assert description.accessions == ("12341234",)
    assert [count.number for count in description.sop_classes] == [1500, 3]


def test_a_minimal_message_is_read() -> None:
    read = audit.decode(MINIMAL)
    assert (read.action, read.outcome, read.types, read.objects) == (None, AuditOutcome.SUCCESS, (), ())
    assert read.time == datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"csd-code", b"code"),
        (b' originalText="Query"', b' displayName="Query"'),
        (b"<AuditMessage>", b'<AuditMessage xmlns="http://nema.org/dicom">'),
        (b'"2026-02-03T10:11:12Z"', b'"2026-02-03T10:11:12"'),
        (b'"2026-02-03T10:11:12Z"', b'"2026-02-03T12:11:12.0000000+02:00"'),
        (b'UserIsRequestor="true"', b'UserIsRequestor="1"'),
        (b"<AuditMessage>", b"<!-- a comment --><AuditMessage><!-- another -->"),
    ],
)
def test_the_habits_of_other_senders_are_accepted(old: bytes, new: bytes) -> None:
    assert audit.decode(MINIMAL.replace(old, new)) == audit.decode(MINIMAL)


def test_a_missing_requestor_flag_is_no() -> None:
    assert not audit.decode(MINIMAL.replace(b' UserIsRequestor="true"', b"")).participants[0].requestor


def test_details_without_base64_are_their_text() -> None:
    thing = (
        b'<ParticipantObjectIdentification><ParticipantObjectDetail type="t" value="2.999.1!"/>'
        b'<ParticipantObjectDetail type="u" value="Mi45OTkuMQ=="/></ParticipantObjectIdentification></AuditMessage>'
    )
    (read,) = audit.decode(MINIMAL.replace(b"</AuditMessage>", thing)).objects
    assert [detail.value for detail in read.details] == [b"2.999.1!", b"2.999.1"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"AuditMessage", b"Other", "not an audit message"),
        (b"<EventID csd", b"<EventType csd", "no EventID"),
        (b'EventOutcomeIndicator="0"', b'EventOutcomeIndicator="1"', "unknown outcome"),
        (b'EventOutcomeIndicator="0"', b'EventOutcomeIndicator="0" EventActionCode="X"', "unknown EventActionCode"),
        (b'"2026-02-03T10:11:12Z"', b'"yesterday"', "not a time"),
        (b'"2026-02-03T10:11:12Z"', b'"0001-01-01T00:00:00+14:00"', "not a time"),
        (b"<ActiveParticipant ", b"<Participant ", "no participant"),
        (b"<AuditSourceIdentification ", b"<Source ", "no AuditSourceIdentification"),
        (b"<AuditMessage>", b"<!DOCTYPE x><AuditMessage>", "document type"),
        (b"</AuditMessage>", b"", "not well-formed"),
    ],
)
def test_what_identifies_the_event_must_be_there(old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(MalformedMessage, match=message):
        audit.decode(MINIMAL.replace(old, new))


def test_times_are_written_in_utc() -> None:
    event = replace(alerts.started(SITE, NOW), time=NOW.astimezone(timezone(timedelta(hours=-5))))
    assert b'EventDateTime="2026-02-03T10:11:12.345Z"' in audit.encode(event)


@pytest.mark.oracle
def test_hostile_text_is_written_by_the_schema() -> None:
    schema = schema_of("dicom-audit", "ipf-dicom2017c.xsd")
    text = "a\x00b\x1b\ud800 <&\">'\r\n\t\ufffe]]>é\U0001f600"
    subject = replace(SUBJECT, user_id=text, issuer=text, roles=(Code(text, text, text),))
    event = events_for(facts("ITI-18", subject=subject, patients=(text,), outcome=8, outcome_description=text))[0]
    raw = audit.encode(event)
    schema.assertValid(etree.fromstring(raw))
    assert b"\n" not in raw
    assert "<&\">'" in audit.decode(raw).patient


# Characters that XML carries unchanged; white space at the ends of element content is not significant.
_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=20)
_CODE = st.builds(Code, _TEXT, _TEXT, _TEXT.filter(bool))
_CONTENT = _TEXT.map(lambda text: text.strip())
_DESCRIPTION = st.builds(
    ObjectDescription,
    mpps=st.tuples(_TEXT),
    accessions=st.tuples(_TEXT),
    sop_classes=st.tuples(st.builds(SopClassCount, _TEXT, st.integers(0, 99_999), st.tuples(_TEXT))),
    studies=st.tuples(_TEXT),
    encrypted=st.none() | st.booleans(),
    anonymized=st.none() | st.booleans(),
)
_OBJECT = st.builds(
    ParticipantObject,
    id=_TEXT,
    id_type=_CODE,
    type_code=st.sampled_from(["", "1", "2"]),
    role=st.sampled_from(["", "1", "24"]),
    life_cycle=st.sampled_from(["", "15"]),
    query=st.none() | st.binary(max_size=20),
    details=st.tuples(st.builds(ObjectDetail, _TEXT, st.binary(max_size=20))),
    descriptions=st.tuples(_DESCRIPTION),
) | st.builds(ParticipantObject, id=_TEXT, id_type=_CODE, name=_CONTENT)
_PARTICIPANT = st.builds(
    ActiveParticipant,
    user_id=_TEXT,
    requestor=st.booleans(),
    alternative_user_id=_TEXT,
    user_name=_TEXT,
    roles=st.tuples(_CODE),
    network_id=_TEXT,
    network_type=st.sampled_from(["", "1", "2"]),
    media_type=st.none() | _CODE,
)
_EVENT = st.builds(
    AuditEvent,
    event=_CODE,
    action=st.none() | st.sampled_from(AuditAction),
    time=st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
        lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000, fold=0)
    ),
    outcome=st.sampled_from(AuditOutcome),
    outcome_description=_CONTENT,
    types=st.tuples(_CODE),
    purposes=st.tuples(_CODE),
    participants=st.tuples(_PARTICIPANT, _PARTICIPANT),
    source=st.builds(AuditSource, source_id=_TEXT, enterprise_site_id=_TEXT, types=st.tuples(_CODE)),
    objects=st.tuples(_OBJECT),
)


@settings(max_examples=30)
@given(_EVENT)
def test_what_is_written_is_read_back(event: AuditEvent) -> None:
    raw = audit.encode(event)
    assert audit.decode(raw) == event
    assert repr(audit.decode(raw)) == repr(event)


@given(st.binary(max_size=200))
def test_noise_is_malformed(noise: bytes) -> None:
    with pytest.raises(MalformedMessage):
        audit.decode(noise)


@given(st.integers(0, len(MINIMAL) - 1), st.binary(min_size=1, max_size=3))
def test_damage_is_read_or_malformed(place: int, damage: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        audit.decode(MINIMAL[:place] + damage + MINIMAL[place + len(damage) :])
