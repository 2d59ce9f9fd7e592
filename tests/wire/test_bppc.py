"""BPPC consents: accepted policies become references; the window; what is not accepted."""

import base64
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from xdsi.domain.codes import Code
from xdsi.domain.consent import Reference
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import InstanceIdentifier, PatientId
from xdsi.spec.namespaces import HL7V3
from xdsi.wire import xml
from xdsi.wire.bppc import SCAN_TEMPLATE, SCANNED_DOCUMENT, Scan, decode_bppc, encode_bppc
from xdsi.wire.xml import E

P1 = PatientId("P1", "2.999.1.1")
BRUSSELS = ZoneInfo("Europe/Brussels")
START, END = datetime(2024, 5, 1, 8, tzinfo=UTC), datetime(2025, 5, 1, 8, tzinfo=UTC)
POLICIES = (Code("2.999.50.1", "2.999.50", "Reports for all"), Code("2.999.50.2", "2.999.50"))


def written(**changes):
    arguments = {
        "document_id": "2.999.30.1",
        "patient": P1,
        "patient_name": ("Roe", "Ann & Co"),
        "policies": POLICIES,
        "custodian": ("2.999.5", "Hospital A"),
        "now": START,
        "valid_from": START,
        "valid_until": END,
    } | changes
    return encode_bppc(**arguments)


def test_written_is_read():
    policy, facts = decode_bppc(written())
    assert policy.children == (Reference("2.999.50.1"), Reference("2.999.50.2"))
    assert policy.target.resources[0][0].value == InstanceIdentifier("2.999.1.1", "P1")
    assert policy.id == facts.document_id == "2.999.30.1"
    assert facts.patients == (P1,)
    assert (facts.valid_from, facts.valid_until) == (START, END)
    assert facts.references == ("2.999.50.1", "2.999.50.2")
    assert facts.description == "Consent to share documents"


def test_open_end():
    assert decode_bppc(written(valid_until=None))[1].valid_until is None


def changed(*replacements, **changes):
    raw = written(**changes)
    for old, new in replacements:
        assert old in raw, old
        raw = raw.replace(old, new)
    return raw


def with_time(name, value):
    root = xml.parse(written())
    for element in root.iter(E(HL7V3, name)):
        element.set("value", value)
    return xml.serialize(root)


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("20240501", datetime(2024, 5, 1, tzinfo=BRUSSELS), datetime(2024, 5, 2, tzinfo=BRUSSELS)),
        ("202405", datetime(2024, 5, 1, tzinfo=BRUSSELS), datetime(2024, 6, 1, tzinfo=BRUSSELS)),
        ("202412", datetime(2024, 12, 1, tzinfo=BRUSSELS), datetime(2025, 1, 1, tzinfo=BRUSSELS)),
        ("2024", datetime(2024, 1, 1, tzinfo=BRUSSELS), datetime(2025, 1, 1, tzinfo=BRUSSELS)),
        ("9999", datetime(9999, 1, 1, tzinfo=BRUSSELS), datetime(9999, 1, 1, tzinfo=BRUSSELS)),
        ("202405010800+0200", datetime(2024, 5, 1, 6, tzinfo=UTC), datetime(2024, 5, 1, 6, tzinfo=UTC)),
    ],
)
def test_precision(value, start, end):
    assert decode_bppc(with_time("low", value), zone=BRUSSELS)[1].valid_from == start
    assert decode_bppc(with_time("high", value), zone=BRUSSELS)[1].valid_until == end


def test_identifier_with_extension():
    raw = changed((b'<id root="2.999.30.1"/>', b'<id root="2.999.30" extension="c1"/>'))
    assert decode_bppc(raw)[1].document_id == "2.999.30^c1"


def test_scanned_consent():
    root = xml.parse(written())
    root.findall(E(HL7V3, "templateId"))[1].set("root", SCAN_TEMPLATE)
    assert decode_bppc(xml.serialize(root))[1].references


@pytest.mark.parametrize(
    ("content", "media_type"), [(b"%PDF-1.4 \xff\x00", "application/pdf"), (b"I agree", "text/plain")]
)
def test_a_written_scan_is_read(content, media_type):
    """BPPC with scanned document: what is accepted is the same; the body is the paper (XDS-SD)."""
    raw = written(scan=Scan(content=content, media_type=media_type, equipment="Scanner 1"))
    assert decode_bppc(raw) == decode_bppc(written())
    root = xml.parse(raw)
    templates = {one.get("root") for one in root.findall(E(HL7V3, "templateId"))}
    assert {SCAN_TEMPLATE, SCANNED_DOCUMENT} < templates
    (body,) = root.iter(E(HL7V3, "nonXMLBody"))
    (text,) = body
    assert (text.get("mediaType"), text.get("representation")) == (media_type, "B64")
    assert base64.b64decode(text.text, validate=True) == content
    authors = [one.find(E(HL7V3, "templateId")).get("root") for one in root.findall(E(HL7V3, "author"))]
    assert authors == [f"{SCANNED_DOCUMENT}.1", f"{SCANNED_DOCUMENT}.2"]
    assert root.find(E(HL7V3, "dataEnterer")) is not None


def test_other_events_say_nothing():
    other = b'<documentationOf><serviceEvent><code code="x"/></serviceEvent></documentationOf><component>'
    assert decode_bppc(changed((b"<component>", other), text="x"))[1].references == ("2.999.50.1", "2.999.50.2")


def test_further_identifiers_of_the_patient():
    more = b'<patientRole><id root="2.999.9" extension="n"/><id nullFlavor="NI" root="x"/>'
    assert decode_bppc(changed((b"<patientRole>", more)))[1].patients == (PatientId("n", "2.999.9"), P1)


REFUSED = {
    "not a CDA": b"<x/>",
    "not XML": b"<",
    "no consent": changed((b"1.3.6.1.4.1.19376.1.5.3.1.1.7", b"1.2")),
    "another code": changed((b"57016-8", b"57017-6")),
    "no id": changed((b'<id root="2.999.30.1"/>', b"")),
    "no policies": written(policies=()),
    "too many policies": written(policies=tuple(Code(f"2.999.50.{n}", "2.999.50") for n in range(101))),
    "policy without id": changed((b'code="2.999.50.2"', b'code=" "')),
    "no patient": changed((b"recordTarget", b"recordTargets")),
    "two patients": changed(
        (b"<author>", b'<recordTarget><patientRole><id root="1.2" extension="x"/></patientRole></recordTarget><author>')
    ),
    "patient without extension": changed((b' extension="P1"', b"")),
    "patient without root": changed((b'<id root="2.999.1.1"', b"<id")),
    "no begin": changed((b'<low value="20240501080000+0000"/>', b"")),
    "not a time": with_time("low", "soon"),
    "end is not a time": with_time("high", "2025-05-01"),
    "different times": changed(
        (
            b'code="2.999.50.2" codeSystem="2.999.50"/><effectiveTime><low value="2024',
            b'code="2.999.50.2" codeSystem="2.999.50"/><effectiveTime><low value="2023',
        )
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    with pytest.raises(MalformedMessage):
        decode_bppc(REFUSED[case])
