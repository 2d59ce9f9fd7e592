"""wire/hl7v2: ITI-8 messages and their acknowledgement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import corpus
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import (
    Application,
    Demographics,
    FeedAnswer,
    FeedEvent,
    FeedProblem,
    PatientIdentityFeed,
    PersonName,
)
from xdsi.wire import er7, hl7v2

NOW = datetime(2025, 3, 4, 10, 11, 12, tzinfo=UTC)
ADD = (
    "MSH|^~\\&|ADT|HOSPITAL A|REG|HUB|20250304101112+0100||ADT^A04^ADT_A01|M1|P|2.3.1\r"
    "EVN|A04|20250304101112\r"
    "PID|1||85073003328^^^&2.999.3&ISO~77^^^LAB||DOE^JANE^ANNA^III^DR||19850730|F\r"
    "PV1||O\r"
)
MERGE = (
    "MSH|^~\\&|ADT|HOSPITAL A|REG|HUB|20250304101112||ADT^A40^ADT_A39|M2|P|2.3.1\r"
    "EVN|A40|20250304101112\r"
    "PID|||NEW^^^&2.999.3&ISO||DOE\r"
    "MRG|OLD^^^&2.999.3&ISO\r"
)


def decode(text: str) -> PatientIdentityFeed:
    return hl7v2.decode(text.encode())


def test_an_added_patient() -> None:
    assert decode(ADD) == PatientIdentityFeed(
        kind=FeedEvent.ADD,
        patients=(PatientId("85073003328", "2.999.3"), PatientId("77", "LAB")),
        demographics=Demographics(
            name=PersonName(family="DOE", given="JANE", further="ANNA", suffix="III", prefix="DR"),
            birth_date="19850730",
            sex="F",
        ),
        message_id="M1",
        sender=Application("ADT", "HOSPITAL A"),
        receiver=Application("REG", "HUB"),
        created=NOW - timedelta(hours=1),
        trigger="A04",
    )


def test_a_merge() -> None:
    feed = decode(MERGE)
    assert (feed.kind, feed.trigger) == (FeedEvent.MERGE, "A40")
    assert (feed.survivor, feed.subsumed) == (PatientId("NEW", "2.999.3"), PatientId("OLD", "2.999.3"))


@pytest.mark.parametrize(
    ("trigger", "kind"),
    [("A01", FeedEvent.ADD), ("A04", FeedEvent.ADD), ("A05", FeedEvent.ADD), ("A08", FeedEvent.UPDATE)],
)
def test_triggers(trigger: str, kind: FeedEvent) -> None:
    feed = decode(ADD.replace("A04", trigger))
    assert (feed.kind, feed.trigger) == (kind, trigger)


@pytest.mark.parametrize(
    ("sent", "authority"),
    [
        ("1^^^&2.999.3&ISO", "2.999.3"),
        ("1^^^NS&2.999.3&ISO", "2.999.3"),
        ("1^^^&2.999.3", "2.999.3"),
        ("1^^^&2.999.3&iso", "2.999.3"),
        ("1^^^NS", "NS"),
        ("1^5^M10^NS", "NS"),
        ("1", ""),
        ("1^^^", ""),
        ('1^^^""', ""),
        ("1^^^&example.org&DNS", "&example.org&DNS"),
        ("1^^^&NS&ISO", "&NS&ISO"),
    ],
)
def test_the_authority_is_the_oid_else_the_namespace(sent: str, authority: str) -> None:
    assert decode(ADD.replace("85073003328^^^&2.999.3&ISO~77^^^LAB", sent)).patients == (PatientId("1", authority),)


def test_repetitions_without_an_identifier_are_left_out() -> None:
    sent = '""^^^&2.71&ISO~^^^&2.72&ISO~~1^^^&2.999.3&ISO'
    feed = decode(ADD.replace("85073003328^^^&2.999.3&ISO~77^^^LAB", sent))
    assert feed.patients == (PatientId("1", "2.999.3"),)


@pytest.mark.parametrize(
    ("pid", "said"),
    [
        ("|||", Demographics()),
        ("| ||", Demographics()),
        ('|""||""|""', Demographics(name=PersonName(), birth_date="", sex="")),
        ("|~^^^^^^S||", Demographics()),
        ("|~DOE||1985|m", Demographics(name=PersonName(family="DOE"), birth_date="1985", sex="M")),
        ('|DOE^""||198507301200|X', Demographics(name=PersonName(family="DOE"), birth_date="19850730", sex=None)),
        ("|DOE&VAN|||U", Demographics(name=PersonName(family="DOE"), birth_date=None, sex="U")),
    ],
)
def test_what_is_not_said_is_none_and_what_is_deleted_is_empty(pid: str, said: Demographics) -> None:
    text = ADD.replace("|DOE^JANE^ANNA^III^DR||19850730|F", pid)
    assert decode(text).demographics == said


# What is changed in the valid message, the code of table 0357, the place.
MALFORMED = [
    ("ADT^A04^ADT_A01", "ORU^R01", "200", "MSH-9.1"),
    ("ADT^A04^ADT_A01", "", "200", "MSH-9.1"),
    ("ADT^A04^ADT_A01", "ADT^A28", "201", "MSH-9.2"),
    ("ADT^A04^ADT_A01", "ADT", "201", "MSH-9.2"),
    ("|M1|P|2.3.1", "||P|2.3.1", "101", "MSH-10"),
    ("|M1|P|2.3.1", "|M1||2.3.1", "101", "MSH-11"),
    ("|M1|P|2.3.1", "|M1|X|2.3.1", "202", "MSH-11"),
    ("|M1|P|2.3.1", "|M1|P|", "101", "MSH-12"),
    ("|M1|P|2.3.1", "|M1|P|3.0", "203", "MSH-12"),
    ("EVN|A04", "EVN|A40", "102", "EVN-1"),
    ("PID|1", "ZID|1", "100", "PID"),
    ("PV1||O", "PID|2||3", "100", "PID"),
    ("85073003328^^^&2.999.3&ISO~77^^^LAB", "", "101", "PID-3"),
    ("85073003328^^^&2.999.3&ISO~77^^^LAB", '""', "101", "PID-3"),
    ("85073003328^^^&2.999.3&ISO~77^^^LAB", "1^^^NS~A&B^^^NS", "102", "PID-3[2].1"),
    ("||19850730|", "||1985-07-30|", "102", "PID-7"),
    ("||19850730|", "||19851330|", "102", "PID-7"),
    ("||19850730|", "||unknown|", "102", "PID-7"),
]


@pytest.mark.parametrize(("part", "changed", "code", "location"), MALFORMED)
def test_a_malformed_message_is_refused_with_code_and_place(part: str, changed: str, code: str, location: str) -> None:
    assert part in ADD
    text = ADD.replace(part, changed)
    with pytest.raises(MalformedMessage) as caught:
        decode(text)
    assert caught.value.location == location
    (problem,) = hl7v2.refusal(caught.value).problems
    assert (problem.code, problem.location) == (code, location)


@pytest.mark.parametrize(
    ("part", "changed", "location"),
    [("MRG|OLD^^^&2.999.3&ISO\r", "", "MRG"), ("MRG|OLD^^^&2.999.3&ISO", "MRG|", "MRG-1"),
     ("MRG|OLD", "PID|||3\rMRG|OLD", "PID"), ("MRG|OLD", "MRG|OLDER\rMRG|OLD", "MRG")],
)  # fmt: skip
def test_a_merge_has_one_pair(part: str, changed: str, location: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode(MERGE.replace(part, changed))
    assert caught.value.location == location


def test_the_event_segment_and_visit_may_be_missing() -> None:
    text = "\r".join(s for s in ADD.split("\r") if not s.startswith(("EVN", "PV1")))
    assert decode(text).patients == decode(ADD).patients


def fields(raw: bytes, name: str) -> er7.Segment:
    return er7.parse(raw).only(name)


def test_an_accepted_message_is_acknowledged_to_its_sender() -> None:
    raw = hl7v2.acknowledge(ADD.encode(), FeedAnswer(accepted=True), NOW, control_id="R1")
    assert raw == (b"MSH|^~\\&|REG|HUB|ADT|HOSPITAL A|20250304101112+0000||ACK^A04|R1|P|2.3.1\rMSA|AA|M1\r")


def test_every_acknowledgement_has_its_own_id() -> None:
    first, second = (hl7v2.acknowledge(ADD.encode(), FeedAnswer(accepted=True), NOW) for _ in range(2))
    assert fields(first, "MSH").value(10) != fields(second, "MSH").value(10)


@pytest.mark.parametrize(
    ("problem", "code", "error"),
    [
        (FeedProblem("204", "gone", "prior"), "AE", "ERR||MRG^1^1|204^Unknown key identifier^HL70357|E||||gone"),
        (FeedProblem("204", "a|b", "patients"), "AE", "ERR||PID^1^3|204^Unknown key identifier^HL70357|E||||a\\F\\b"),
        (FeedProblem("102", "no", "PID-3[2].4.2"), "AE", "ERR||PID^1^3^2^4^2|102^Data type error^HL70357|E||||no"),
        (FeedProblem("100", "no", "PID"), "AE", "ERR||PID^1|100^Segment sequence error^HL70357|E||||no"),
        (FeedProblem("200", "no", "MSH-9.1"), "AR", "ERR||MSH^1^9^1^1|200^Unsupported message type^HL70357|E||||no"),
        (FeedProblem("201", "no", "MSH-9.2"), "AR", "ERR||MSH^1^9^1^2|201^Unsupported trigger event^HL70357|E||||no"),
        (FeedProblem("207", "later"), "AR", "ERR|||207^Application internal error^HL70357|E||||later"),
        (FeedProblem("204", "no", "/PRPA/id"), "AE", "ERR|||204^Unknown key identifier^HL70357|E||||no"),
    ],
)
def test_a_refused_message_is_told_why(problem: FeedProblem, code: str, error: str) -> None:
    answer = FeedAnswer(accepted=False, problems=(problem,))
    raw = hl7v2.acknowledge(ADD.encode(), answer, NOW)
    assert fields(raw, "MSA").value(1) == code
    assert raw.decode().split("\r")[2] == error


@pytest.mark.parametrize("raw", [b"", b"junk", b"MSH|", b"\x00\xff", b"PID|||1\r"])
def test_even_bytes_that_are_no_message_get_an_acknowledgement(raw: bytes) -> None:
    answer = hl7v2.refusal(MalformedMessage("not readable", location="MSH"))
    read = hl7v2.decode_acknowledgement(hl7v2.acknowledge(raw, answer, NOW))
    assert not read.accepted


def test_the_acknowledgement_echoes_the_header_in_the_standard_delimiters() -> None:
    text = "MSH#*%!?#1.2.3*1.2.3*ISO#A!S!B#REG|X#HUB#2025##ADT*A01#7#T#2.5#\rPID###1\r"
    header = fields(hl7v2.acknowledge(text.encode(), FeedAnswer(accepted=True), NOW), "MSH")
    assert header.joined(5) == "1.2.3^1.2.3^ISO"
    assert header.value(3) == "REG|X"
    assert (header.value(11), header.value(12)) == ("T", "2.5")


def test_an_acknowledgement_is_read_back() -> None:
    answer = FeedAnswer(
        accepted=False, problems=(FeedProblem("204", "gone é", "MRG-1"), FeedProblem("102", "bad", "PID-3"))
    )
    assert hl7v2.decode_acknowledgement(hl7v2.acknowledge(ADD.encode(), answer, NOW), to="M1") == answer


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("MSA|AE|M1|no such patient", FeedProblem("", "no such patient")),
        ("MSA|AR|M1", FeedProblem("", "answered AR")),
        (
            "MSA|AE|M1\rERR|PID^1^3^204&Unknown key identifier&HL70357",
            FeedProblem("204", "Unknown key identifier", "PID-3"),
        ),
        ("MSA|AE|M1\rERR||PID^1^3|204^Unknown key identifier", FeedProblem("204", "Unknown key identifier", "PID-3")),
    ],
)
def test_refusals_of_others_are_read(rest: str, problem: FeedProblem) -> None:
    raw = f"MSH|^~\\&|A|B|C|D|2025||ACK|1|P|2.3.1\r{rest}\r".encode()
    assert hl7v2.decode_acknowledgement(raw) == FeedAnswer(accepted=False, problems=(problem,))


@pytest.mark.parametrize(
    ("rest", "location"), [("", "MSA"), ("MSA|XX|M1", "MSA-1"), ("MSA||M1", "MSA-1"), ("MSA|AA|other", "MSA-2")]
)
def test_an_answer_that_is_none_is_refused(rest: str, location: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        hl7v2.decode_acknowledgement(f"MSH|^~\\&|A|B|C|D|2025||ACK|1|P|2.3.1\r{rest}\r".encode(), to="M1")
    assert caught.value.location == location


anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(str.strip).filter(lambda t: t != '""')
something = anything.filter(bool)
without_caret = anything.filter(lambda t: "^" not in t)
oids = st.lists(st.integers(0, 10**9), min_size=1, max_size=6).map(lambda arcs: ".".join(map(str, (2, 999, *arcs))))
namespaces = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ^|\\~ü", max_size=8).map(str.strip)
patients = st.builds(PatientId, something, oids | namespaces)
applications = st.builds(Application, without_caret, without_caret)
names = st.builds(PersonName, family=anything, given=anything, further=anything, suffix=anything, prefix=anything)
demographics = st.builds(
    Demographics,
    name=st.none() | names,
    birth_date=st.none() | st.just("") | st.dates().map(lambda d: f"{d:%Y%m%d}".rjust(8, "0")),
    sex=st.none() | st.sampled_from(["", "F", "M", "O", "U", "A", "N"]),
)
moments = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))


@st.composite
def feeds(draw: st.DrawFn) -> PatientIdentityFeed:
    trigger = draw(st.sampled_from(sorted(hl7v2.TRIGGERS)))
    kind = hl7v2.TRIGGERS[trigger]
    lists = st.lists(patients, min_size=1, max_size=3).map(tuple)
    return PatientIdentityFeed(
        kind=kind,
        patients=draw(lists),
        prior=draw(lists) if kind is FeedEvent.MERGE else (),
        demographics=draw(demographics),
        message_id=draw(something),
        sender=draw(applications),
        receiver=draw(applications),
        created=draw(st.none() | moments.map(lambda m: m.replace(microsecond=0))),
        trigger=trigger,
    )


@given(feeds())
def test_what_is_written_is_read(feed: PatientIdentityFeed) -> None:
    assert hl7v2.decode(hl7v2.encode(feed)) == feed


@given(feeds(), st.binary(max_size=20), st.integers(0, 400))
def test_a_damaged_message_is_read_or_refused_and_always_answered(
    feed: PatientIdentityFeed, noise: bytes, at: int
) -> None:
    raw = hl7v2.encode(feed)
    damaged = raw[:at] + noise + raw[at + len(noise) :]
    try:
        hl7v2.decode(damaged)
        answer = FeedAnswer(accepted=True)
    except MalformedMessage as error:
        answer = hl7v2.refusal(error)
    assert hl7v2.decode_acknowledgement(hl7v2.acknowledge(damaged, answer, NOW)).accepted is answer.accepted


@pytest.mark.parametrize(
    ("kind", "trigger", "written"),
    [
        (FeedEvent.ADD, "", "A04"),
        (FeedEvent.ADD, "A05", "A05"),
        (FeedEvent.ADD, "PRPA_TE201301UV02", "A04"),
        (FeedEvent.UPDATE, "A04", "A08"),
        (FeedEvent.MERGE, "", "A40"),
    ],
)
def test_the_trigger_fits_the_kind(kind: FeedEvent, trigger: str, written: str) -> None:
    patient = (PatientId("1", "2.999"),)
    prior = patient if kind is FeedEvent.MERGE else ()
    feed = PatientIdentityFeed(kind=kind, patients=patient, prior=prior, message_id="1", trigger=trigger)
    assert hl7v2.decode(hl7v2.encode(feed)).trigger == written


def test_a_message_we_send_has_the_segments_and_fields_of_the_profile() -> None:
    feed = decode(ADD)
    assert hl7v2.encode(feed).decode() == (
        "MSH|^~\\&|ADT|HOSPITAL A|REG|HUB|20250304091112+0000||ADT^A04^ADT_A01|M1|P|2.3.1\r"
        "EVN|A04|20250304091112+0000\r"
        "PID|||85073003328^^^&2.999.3&ISO~77^^^LAB||DOE^JANE^ANNA^III^DR||19850730|F\r"
        "PV1||O\r"
    )


@pytest.mark.oracle
def test_sample_messages_of_others_decode() -> None:
    folder = corpus("ipf", "hl7v2")
    files = sorted([*folder.glob("*.hl7"), *corpus("ipf", "hl7v3", "pixfeed").glob("*.hl7")])
    assert files
    for file in files:
        feed = hl7v2.decode(file.read_bytes())
        assert feed.patients, file
        assert (feed.kind is FeedEvent.MERGE) is ("A40" in file.read_text()), file
        again = hl7v2.decode(hl7v2.encode(feed))
        assert again == feed, file


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("file", "survivors", "prior"),
    [
        ("iti-8.hl7", ["PDQ113XX35"], ["PDQ113XX03"]),
        ("A40.hl7", ["142025"], ["704686"]),
        ("iti8-a40.hl7", ["305014", "7200117317", "7200117355"], ["305010", "7200117359"]),
    ],
)
def test_sample_merges(file: str, survivors: list[str], prior: list[str]) -> None:
    path: Path = corpus("ipf", "hl7v2", file)
    feed = hl7v2.decode(path.read_bytes())
    assert [p.id for p in feed.patients] == survivors
    assert [p.id for p in feed.prior] == prior
