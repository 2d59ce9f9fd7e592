"""wire/hl7v3: ITI-44 messages and their acknowledgement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.oracles import corpus, schema_of
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
from xdsi.wire import hl7v3
from xdsi.wire.xml import parse

NOW = datetime(2025, 3, 4, 10, 11, 12, tzinfo=UTC)
NS = {"v3": "urn:hl7-org:v3"}
EVENT = "controlActProcess/subject/registrationEvent"


def feed(kind: FeedEvent = FeedEvent.ADD, **changes: object) -> PatientIdentityFeed:
    number = {FeedEvent.ADD: 1, FeedEvent.UPDATE: 2, FeedEvent.MERGE: 4}[kind]
    values: dict[str, object] = {
        "patients": (PatientId("85073003328", "2.999.3"), PatientId("77", "2.999.4")),
        "prior": (PatientId("OLD", "2.999.3"),) if kind is FeedEvent.MERGE else (),
        "demographics": Demographics(
            name=PersonName(family="Doe", given="Jané", further="Anna", suffix="III", prefix="Dr"),
            birth_date="19850730",
            sex="F",
        ),
        "message_id": "2.999.9^M1",
        "sender": Application("2.999.5", "2.999.6"),
        "receiver": Application("2.999.7"),
        "created": NOW,
        "trigger": f"PRPA_TE20130{number}UV02",
    }
    return PatientIdentityFeed(kind=kind, **(values | changes))  # type: ignore[arg-type]


def body(kind: FeedEvent = FeedEvent.ADD) -> etree._Element:
    return parse(hl7v3.encode(feed(kind)))


def find(element: etree._Element, path: str) -> etree._Element:
    found = element.find("/".join(f"v3:{step}" for step in path.split("/")), NS)
    assert found is not None, path
    return found


def assert_valid(raw: bytes) -> None:
    element = parse(raw)
    name = f"{etree.QName(element).localname}.xsd"
    schema = schema_of("ihe-iti-info", "schema", "HL7V3", "NE2008", "multicacheschemas", name)
    schema.assertValid(element)


@pytest.mark.parametrize("kind", FeedEvent)
def test_what_is_written_is_read(kind: FeedEvent) -> None:
    assert hl7v3.decode(body(kind)) == feed(kind)


VARIANTS = [
    {},
    {"demographics": Demographics()},
    {"demographics": Demographics(name=PersonName(), birth_date="", sex="")},
    {"demographics": Demographics(name=PersonName(family="Doe"), birth_date="1985", sex="U")},
    {"created": None},
    {"message_id": "M1"},
    {"message_id": "0f4e3f3a-0000-4000-8000-000000000000"},
    {"sender": Application("1.2.3^1.2.3^ISO", "HOSPITAL")},
    {"patients": (PatientId("a&<b>\"'", "2.999.3"),)},
]


@pytest.mark.oracle
@pytest.mark.parametrize("changes", VARIANTS)
@pytest.mark.parametrize("kind", FeedEvent)
def test_what_is_written_is_valid_by_the_official_schemas(kind: FeedEvent, changes: dict[str, object]) -> None:
    assert_valid(hl7v3.encode(feed(kind, **changes)))


def test_the_wrappers_say_what_the_profile_asks_for() -> None:
    root = body()
    for path, attribute, value in [
        ("interactionId", "extension", "PRPA_IN201301UV02"),
        ("processingModeCode", "code", "T"),
        ("acceptAckCode", "code", "AL"),
        ("receiver/device/id", "root", "2.999.7"),
        ("sender/device/id", "root", "2.999.5"),
        ("controlActProcess/code", "code", "PRPA_TE201301UV02"),
        (f"{EVENT}/statusCode", "code", "active"),
        (f"{EVENT}/subject1/patient/providerOrganization/id", "root", "2.999.3"),
    ]:
        assert find(root, path).get(attribute) == value
    merged = body(FeedEvent.MERGE)
    prior = find(merged, f"{EVENT}/replacementOf/priorRegistration")
    assert find(prior, "statusCode").get("code") == "obsolete"
    assert dict(find(prior, "subject1/priorRegisteredRole/id").attrib) == {"root": "2.999.3", "extension": "OLD"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sender": Application("ADT")}, "OIDs"),
        ({"receiver": Application()}, "OIDs"),
        ({"patients": (PatientId("1", "NS"),)}, "no OID"),
        ({"demographics": Demographics(birth_date="1970-01-01")}, "birth date '1970-01-01'"),
    ],
)
def test_what_this_form_cannot_say_is_not_written(changes: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        hl7v3.encode(feed(**changes))


def drop(path: str) -> Callable[[etree._Element], None]:
    def change(root: etree._Element) -> None:
        element = find(root, path)
        parent = element.getparent()
        assert parent is not None
        for twin in parent.findall(element.tag):
            parent.remove(twin)

    return change


def repeat(path: str) -> Callable[[etree._Element], None]:
    def change(root: etree._Element) -> None:
        element = find(root, path)
        element.addnext(parse(etree.tostring(element, with_tail=False)))

    return change


def replace_attribute(path: str, name: str, value: str) -> Callable[[etree._Element], None]:
    def change(root: etree._Element) -> None:
        find(root, path).set(name, value)

    return change


ADDED, MERGED = FeedEvent.ADD, FeedEvent.MERGE
PRIOR = f"{EVENT}/replacementOf/priorRegistration/subject1/priorRegisteredRole"
BIRTH = f"{EVENT}/subject1/patient/patientPerson/birthTime"
NO_DATES = ("1970-01-01", "19701301", "unknown")
MALFORMED = [
    (ADDED, drop("id"), "/PRPA_IN201301UV02/id"),
    (ADDED, drop("creationTime"), "/PRPA_IN201301UV02/creationTime"),
    (ADDED, drop("interactionId"), "/PRPA_IN201301UV02/interactionId"),
    (ADDED, replace_attribute("interactionId", "extension", "PRPA_IN201302UV02"), "/PRPA_IN201301UV02/interactionId"),
    (ADDED, drop("sender"), "/PRPA_IN201301UV02/sender/device"),
    (ADDED, repeat("receiver"), "/PRPA_IN201301UV02/receiver/device"),
    (ADDED, drop("controlActProcess"), f"/PRPA_IN201301UV02/{EVENT}/subject1/patient"),
    (ADDED, repeat("controlActProcess/subject"), f"/PRPA_IN201301UV02/{EVENT}/subject1/patient"),
    (ADDED, drop(f"{EVENT}/subject1/patient/id"), f"/PRPA_IN201301UV02/{EVENT}/subject1/patient/id"),
    (MERGED, drop(f"{EVENT}/replacementOf"), f"/PRPA_IN201304UV02/{PRIOR}"),
    (MERGED, repeat(f"{EVENT}/replacementOf"), f"/PRPA_IN201304UV02/{PRIOR}"),
    *((ADDED, replace_attribute(BIRTH, "value", text), f"/PRPA_IN201301UV02/{BIRTH}/@value") for text in NO_DATES),
    (MERGED, drop(f"{PRIOR}/id"), f"/PRPA_IN201304UV02/{PRIOR}/id"),
]


@pytest.mark.parametrize(("kind", "change", "location"), MALFORMED)
def test_a_malformed_message_is_refused_with_its_place(
    kind: FeedEvent, change: Callable[[etree._Element], None], location: str
) -> None:
    root = body(kind)
    change(root)
    with pytest.raises(MalformedMessage) as caught:
        hl7v3.decode(root)
    assert caught.value.location == location


def test_an_addition_replaces_nothing() -> None:
    root = body(MERGED)
    root.tag = "{urn:hl7-org:v3}PRPA_IN201302UV02"
    find(root, "interactionId").set("extension", "PRPA_IN201302UV02")
    with pytest.raises(MalformedMessage, match="no merge"):
        hl7v3.decode(root)


@pytest.mark.parametrize("raw", [b"<PRPA_IN201301UV02/>", b'<PRPA_IN201305UV02 xmlns="urn:hl7-org:v3"/>', b"<a/>"])
def test_another_message_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedMessage) as caught:
        hl7v3.decode(parse(raw))
    assert caught.value.location == "/*"


def test_identifiers_without_root_or_extension_identify_nobody() -> None:
    root = body()
    patient = find(root, f"{EVENT}/subject1/patient")
    for attributes in (
        {"extension": "9", "assigningAuthorityName": "XAD"},
        {"root": "2.999.3"},
        {"nullFlavor": "UNK"},
        {"root": "2.999.3", "extension": "9", "nullFlavor": "UNK"},
    ):
        patient.insert(0, etree.Element("{urn:hl7-org:v3}id", attributes))
    assert hl7v3.decode(root).patients == feed().patients


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("<name><given>A</given><given>B</given><given>C</given><family>D</family></name>",
         PersonName(family="D", given="A", further="B C")),
        ("<name>  Unknown\n person </name>", PersonName(family="Unknown person")),
        ("<name><family>Alias</family></name><name use='C L'><family>Legal</family></name>",
         PersonName(family="Legal")),
        ("<name nullFlavor='UNK'/><name><family>D</family></name>", PersonName(family="D")),
        ("<name><family>Van</family><family>Damme</family></name>", PersonName(family="Van Damme")),
        ("<name nullFlavor='UNK'/>", None),
        ("", None),
    ],
)  # fmt: skip
def test_names(names: str, expected: PersonName | None) -> None:
    root = body()
    person = find(root, f"{EVENT}/subject1/patient/patientPerson")
    person.remove(find(person, "name"))
    for position, name in enumerate(parse(f'<n xmlns="urn:hl7-org:v3">{names}</n>'.encode())):
        person.insert(position, name)
    assert hl7v3.decode(root).demographics.name == expected


@pytest.mark.parametrize(("gender", "sex"), [("F", "F"), ("M", "M"), ("UN", "O"), ("X", None), ("", None)])
def test_genders(gender: str, sex: str | None) -> None:
    root = body()
    find(root, f"{EVENT}/subject1/patient/patientPerson/administrativeGenderCode").set("code", gender)
    assert hl7v3.decode(root).demographics.sex == sex


REFUSED = FeedAnswer(accepted=False, problems=(FeedProblem("204", "gone <é>", "prior"), FeedProblem("", "odd", "/a/b")))
ANSWERS = [
    (FeedAnswer(accepted=True), "CA"),
    (REFUSED, "CE"),
    (FeedAnswer(accepted=False, problems=(FeedProblem("207", "later"),)), "CR"),
    (FeedAnswer(accepted=False), "CE"),
]


@pytest.mark.oracle
@pytest.mark.parametrize("request_feed", [feed(), feed(MERGED), feed(sender=Application("ADT"), message_id="x"), None])
@pytest.mark.parametrize(("answer", "code"), ANSWERS)
def test_an_acknowledgement_is_valid_by_the_official_schema(
    request_feed: PatientIdentityFeed | None, answer: FeedAnswer, code: str
) -> None:
    raw = hl7v3.encode_acknowledgement(request_feed, answer, now=NOW)
    assert_valid(raw)
    assert find(parse(raw), "acknowledgement/typeCode").get("code") == code


def test_an_acknowledgement_goes_back_to_the_sender() -> None:
    root = parse(hl7v3.encode_acknowledgement(feed(MERGED), REFUSED, now=NOW, message_id="2.999.9^R1"))
    for path, attribute, value in [
        ("id", "extension", "R1"),
        ("creationTime", "value", "20250304101112+0000"),
        ("interactionId", "extension", "MCCI_IN000002UV01"),
        ("acceptAckCode", "code", "NE"),
        ("receiver/device/id", "root", "2.999.5"),
        ("sender/device/id", "root", "2.999.7"),
        ("acknowledgement/targetMessage/id", "extension", "M1"),
        ("acknowledgement/acknowledgementDetail/code", "code", "204"),
    ]:
        assert find(root, path).get(attribute) == value
    assert find(root, "acknowledgement/acknowledgementDetail/location").text == f"/PRPA_IN201304UV02/{PRIOR}/id"


@pytest.mark.parametrize(("answer", "code"), ANSWERS[:3])
def test_an_acknowledgement_is_read_back(answer: FeedAnswer, code: str) -> None:
    raw = hl7v3.encode_acknowledgement(feed(MERGED), answer, now=NOW)
    read = hl7v3.decode_acknowledgement(parse(raw), to=feed().message_id)
    assert read.accepted is answer.accepted
    assert [(p.code, p.text) for p in read.problems] == [(p.code, p.text) for p in answer.problems]


@pytest.mark.parametrize(
    ("change", "location"),
    [
        (drop("acknowledgement"), "/MCCI_IN000002UV01/acknowledgement"),
        (replace_attribute("acknowledgement/typeCode", "code", "XX"), "/MCCI_IN000002UV01/acknowledgement/typeCode"),
        (replace_attribute("acknowledgement/targetMessage/id", "extension", "M2"),
         "/MCCI_IN000002UV01/acknowledgement/targetMessage/id"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused(change: Callable[[etree._Element], None], location: str) -> None:
    root = parse(hl7v3.encode_acknowledgement(feed(), FeedAnswer(accepted=True), now=NOW))
    change(root)
    with pytest.raises(MalformedMessage) as caught:
        hl7v3.decode_acknowledgement(root, to=feed().message_id)
    assert caught.value.location == location


def test_a_feed_is_no_acknowledgement() -> None:
    with pytest.raises(MalformedMessage):
        hl7v3.decode_acknowledgement(body())


printable = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=12,
)
oids = st.lists(st.integers(0, 10**9), min_size=1, max_size=6).map(lambda arcs: ".".join(map(str, (2, 999, *arcs))))
patients = st.lists(st.builds(PatientId, printable, oids), min_size=1, max_size=3).map(tuple)


@given(st.sampled_from(FeedEvent), patients, patients, printable, printable, printable)
def test_any_identifier_and_name_survives(
    kind: FeedEvent,
    ids: tuple[PatientId, ...],
    prior: tuple[PatientId, ...],
    family: str,
    given_name: str,
    message: str,
) -> None:
    sent = feed(
        kind,
        patients=ids,
        prior=prior if kind is FeedEvent.MERGE else (),
        demographics=Demographics(name=PersonName(family=family, given=given_name)),
        message_id=f"2.999.9^{message}",
    )
    assert hl7v3.decode(parse(hl7v3.encode(sent))) == sent


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("parts", "kind", "patients", "prior"),
    [
        (("ihe-iti-info-examples", "PIXV3", "01_PatientRegistryRecordAdded1_20110504.xml"), ADDED, ["34827G234"], []),
        (("ihe-iti-info-examples", "PIXV3", "05_PatientRegistryDuplicatesResolved_20110504.xml"), MERGED,
         ["34827G409"], ["34827G234"]),
        (("ipf", "hl7v3", "pixfeed", "PIX_FEED_REG_Maximal_Request.xml"), ADDED, ["PIX10515W3", "PIX10515W4"], []),
        (("ipf", "hl7v3", "pixfeed", "PIX_FEED_MERGE_Maximal_Request.xml"), MERGED, ["120-01"], ["120-02"]),
    ],
)  # fmt: skip
def test_sample_messages_of_others_decode(
    parts: tuple[str, ...], kind: FeedEvent, patients: list[str], prior: list[str]
) -> None:
    read = hl7v3.decode(parse(corpus(*parts).read_bytes()))
    assert (read.kind, [p.id for p in read.patients], [p.id for p in read.prior]) == (kind, patients, prior)
    assert_valid(hl7v3.encode(read))


@pytest.mark.oracle
@pytest.mark.parametrize(
    "parts",
    [
        ("ihe-iti-info-examples", "PIXV3", "02_PatientRegistryRecordAdded1Ack_20110328.xml"),
        ("ipf", "hl7v3", "pixfeed", "Ack.xml"),
    ],
)
def test_sample_acknowledgements_of_others_decode(parts: tuple[str, ...]) -> None:
    assert hl7v3.decode_acknowledgement(parse(corpus(*parts).read_bytes())).accepted
