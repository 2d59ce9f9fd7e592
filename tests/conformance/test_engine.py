"""The engine itself: a runner that finds nothing wrong with a wrong answer would make every case worthless."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import xmlsec
from lxml import etree

from tests.conformance.peers import KIND, SUCCESS, Peer, answering, envelope, response
from tests.oracles import corpus, schema_importing
from xdsi.conformance import (
    FOLDER,
    Endpoint,
    Issuer,
    TemplateError,
    answers,
    cases,
    checks,
    load,
    load_case,
    run,
    templates,
    tokens,
)
from xdsi.conformance.model import Assertion, Delivered, Expectation, Token
from xdsi.conformance.results import Exchange
from xdsi.conformance.templates import Values

CASES = load()
HL7_TYPES = ("schemas", "ihe-iti-info", "schema", "HL7V3", "NE2008", "coreschemas", "infrastructureRoot.xsd")
FAILURE = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure"


@pytest.fixture
def values() -> Values:
    return Values({"cx": "P1^^^&2.999.1&ISO"}, {})


# -- answers


def error(code: str = "XDSRegistryError", severity: str = "Error", context: str = "why", text: str = "") -> str:
    urn = f"urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:{severity}"
    return f'<rs:RegistryError errorCode="{code}" codeContext="{context}" severity="{urn}">{text}</rs:RegistryError>'


def fault(code: str = "soap:Sender", reason: str = "no [trace 0123]", subcode: str = "") -> str:
    sub = f"<soap:Subcode><soap:Value>{subcode}</soap:Value></soap:Subcode>" if subcode else ""
    return (
        f"<soap:Fault><soap:Code><soap:Value>{code}</soap:Value>{sub}</soap:Code>"
        f'<soap:Reason><soap:Text xml:lang="en">{reason}</soap:Text></soap:Reason></soap:Fault>'
    )


def answer(raw: bytes, http: int = 200, **headers: str) -> answers.Answer:
    given = {"Content-Type": "application/soap+xml; charset=UTF-8", "Xdsi-Trace": "0" * 32}
    return answers.read(http, given | {name.replace("_", "-"): text for name, text in headers.items()}, raw)


FAULT_ACTION = "http://www.w3.org/2005/08/addressing/soap/fault"


def forms(found: answers.Answer, *, readable: bool = True, traced: bool = True) -> list[checks.Complaint]:
    return list(checks.every_answer(found, KIND, "urn:uuid:1", readable=readable, traced=traced))


def test_an_answer_in_order_has_no_complaint() -> None:
    for raw in (
        envelope(response()),
        envelope(response(FAILURE, error(), f' highestSeverity="{checks.ERROR}"')),
        envelope(response(SUCCESS, error(severity="Warning"))),
        envelope(fault(reason=f"no [trace {'0' * 32}]"), FAULT_ACTION),
    ):
        assert forms(answer(raw)) == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (envelope(response(), "urn:other"), "wsa:Action urn:ihe"),
        (envelope(response()).replace(b' soap:mustUnderstand="1"', b""), "mustUnderstand"),
        (envelope(response()).replace(b"urn:uuid:1", b"urn:uuid:2"), "wsa:RelatesTo"),
        (envelope(response() + response()), "one element in the Body"),
        (envelope(response(SUCCESS, error())), "no Error with Success"),
        (envelope(response(FAILURE)), "an Error with Failure"),
        (envelope(response(FAILURE, error(severity="Warning"))), "an Error with Failure"),
        (envelope(response(FAILURE, error(severity="Fatal"))), "a severity URN"),
        (envelope(response(FAILURE, error(context=""))), "codeContext in every"),
        (envelope(response(FAILURE, error(code=""))), "errorCode in every"),
        (envelope(response(FAILURE, error(text="more"))), "RegistryError without text"),
        (envelope(response(FAILURE, error(), f' highestSeverity="{checks.WARNING}"')), "highestSeverity"),
        (envelope(fault(), FAULT_ACTION), "a reason that ends with"),
        (envelope(fault(), KIND.reply), "wsa:Action of a fault"),
        (envelope(fault(reason=""), FAULT_ACTION), "a fault with a reason"),
    ],
)
def test_an_answer_that_is_not_in_order_is_noticed(raw: bytes, expected: str) -> None:
    assert any(one.expected.startswith(expected) for one in forms(answer(raw))), forms(answer(raw))


def test_a_missing_trace_is_noticed_where_there_is_to_be_one() -> None:
    found = answer(envelope(response()), Xdsi_Trace="?")
    assert [one.expected for one in forms(found)] == ["header Xdsi-Trace of 32 hexadecimal digits"]
    assert forms(found, traced=False) == []


@pytest.mark.parametrize(
    ("headers", "raw", "why"),
    [
        ({"Content-Type": "text/html"}, b"<html/>", "not SOAP 1.2"),
        ({"Content-Type": "application/soap+xml"}, b"<a", "not XML"),
        ({"Content-Type": "application/soap+xml"}, b"<a/>", "no SOAP 1.2 envelope"),
        ({"Content-Type": 'multipart/related; boundary="b"'}, b"", "without type"),
        ({"Content-Type": 'multipart/related; type="application/xop+xml"; boundary="b"'}, b"--b\r\n\r\n", "no part"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(headers: dict[str, str], raw: bytes, why: str) -> None:
    with pytest.raises(answers.BadAnswer, match=why):
        answers.read(200, headers, raw)


RETRIEVED = (
    "<xds:RetrieveDocumentSetResponse>{response}<xds:DocumentResponse><xds:RepositoryUniqueId>2.999</xds:RepositoryUniqueId>"
    "<xds:DocumentUniqueId>1.2</xds:DocumentUniqueId><xds:mimeType>text/plain</xds:mimeType>"
    "<xds:Document>{content}</xds:Document></xds:DocumentResponse></xds:RetrieveDocumentSetResponse>"
)


def multipart(
    content: str, part: bytes = b"ab\r\n--c", ids: tuple[str, str] = ("<root@x>", "<a%b@x>")
) -> answers.Answer:
    root = envelope(RETRIEVED.format(response=response(), content=content))
    raw = (
        b"--b\r\nContent-Type: application/xop+xml\r\nContent-ID: %s\r\n\r\n%s\r\n"
        b"--b\r\ncontent-id: %s\r\n\r\n%s\r\n--b--"
    ) % (ids[0].encode(), root, ids[1].encode(), part)
    return answer(raw, Content_Type='multipart/related; start="<root@x>"; type="application/xop+xml"; boundary=b')


def test_documents_are_found_in_parts_and_inline() -> None:
    (document,) = multipart('<xop:Include href="cid:a%25b@x"/>').documents()
    assert (document.id, document.content, document.type) == ("1.2", b"ab\r\n--c", "text/plain")
    assert multipart('<xop:Include href="cid:a%25b@x"/>').unreferenced() == set()
    (inline,) = answer(envelope(RETRIEVED.format(response=response(), content=" YWJj\n"))).documents()
    assert inline.content == b"abc"


def test_documents_that_are_not_there_are_missed() -> None:
    wrong = multipart('<xop:Include href="cid:other@x"/>')
    with pytest.raises(answers.BadAnswer, match="not among the parts"):
        wrong.documents()
    assert wrong.unreferenced() == {"a%b@x"}
    with pytest.raises(answers.BadAnswer, match="not base64"):
        answer(envelope(RETRIEVED.format(response=response(), content="?"))).documents()
    with pytest.raises(answers.BadAnswer, match="no part is the root"):
        multipart("", ids=("<other@x>", "<a@x>"))


def complaints(found: answers.Answer, values: Values, *, explaining: bool = True, **expected: Any) -> list[str]:
    expect = Expectation(**expected)
    return [one.expected for one in checks.expectation(found, expect, values, explains=explaining)]


OK = answer(envelope(response()))
FAILED = answer(envelope(response(FAILURE, error("A") + error("A") + error("B", context="P1^^^ is unknown"))))
REFUSED = answer(envelope(fault("soap:Sender", subcode="wsa:ActionNotSupported"), FAULT_ACTION), http=400)


@pytest.mark.parametrize(
    ("found", "expected", "fulfilled"),
    [
        (OK, {"status": "Success"}, True),
        (OK, {"status": "Failure"}, False),
        (OK, {"fault": "Sender"}, False),
        (OK, {"refused": True}, False),
        (OK, {"status": "Success", "http": (400,)}, False),
        (OK, {"status": "Success", "packaging": "mtom"}, False),
        (OK, {"status": "Success", "documents": 1}, False),
        (OK, {"acknowledgement": "CA"}, False),
        (FAILED, {"status": "Failure", "errors": {"A": 2, "B": 1}}, True),
        (FAILED, {"status": "Failure", "errors": {"A": "1+", "B": "1+"}}, True),
        (FAILED, {"status": "Failure", "errors": {"A": "1+", "*": "0+"}}, True),
        (FAILED, {"status": "Failure", "errors": {"A": 1, "B": 1}}, False),
        (FAILED, {"status": "Failure", "errors": {"A": "3+", "B": 1}}, False),
        (FAILED, {"status": "Failure", "errors": {"A": 2}}, False),
        (FAILED, {"status": "Failure", "errors": {"A": 2, "B": 1, "C": 1}}, False),
        (FAILED, {"status": "Failure", "errors": {"C": "1+", "*": "0+"}}, False),
        (FAILED, {"status": "Failure", "warnings": {"A": 2}}, False),
        (FAILED, {"status": "Success"}, False),
        (FAILED, {"refused": True}, True),
        (FAILED, {"status": "Failure", "contexts": {"B": "P1"}}, True),
        (FAILED, {"status": "Failure", "contexts": {"B": "${cx}"}}, False),
        (FAILED, {"status": "Failure", "contexts": {"A": "P1"}}, False),
        (FAILED, {"status": "Failure", "explains": {"A": "P1"}}, False),
        (FAILED, {"status": "Failure", "explains": {"A": "w.y"}}, True),
        (REFUSED, {"fault": "Sender", "http": (400,), "subcode": "wsa:ActionNotSupported"}, True),
        (REFUSED, {"refused": True}, True),
        (REFUSED, {"fault": "Receiver", "http": (400,)}, False),
        (REFUSED, {"fault": "Sender", "http": (500,)}, False),
        (REFUSED, {"fault": "Sender", "http": (400,), "subcode": "wsa:InvalidAddressingHeader"}, False),
        (REFUSED, {"fault": "Sender", "http": (400,), "subcode": "soap:ActionNotSupported"}, False),
        (REFUSED, {"status": "Failure"}, False),
    ],
)
def test_expectations(values: Values, found: answers.Answer, expected: dict[str, Any], fulfilled: bool) -> None:
    assert (not complaints(found, values, **expected)) is fulfilled


def test_explanations_count_only_where_a_server_gives_them(values: Values) -> None:
    expected: dict[str, Any] = {"status": "Failure", "errors": {"A": 2, "B": 1}, "explains": {"A": "P1"}}
    assert complaints(FAILED, values, explaining=False, **expected) == []


@pytest.mark.parametrize(
    ("assertion", "fulfilled"),
    [
        ({"path": "//rs:RegistryError", "count": 3}, True),
        ({"path": "//rs:RegistryError", "count": 2}, False),
        ({"path": "//rs:RegistryError/@errorCode", "equals": ("B", "A", "A")}, True),
        ({"path": "//rs:RegistryError/@errorCode", "equals": ("A", "B")}, False),
        ({"path": "//rs:RegistryError[3]/@errorCode", "equals": "B"}, True),
        ({"path": "//rs:RegistryError/@errorCode", "equals": "B"}, False),
        ({"path": "//rs:RegistryError/@errorCode", "matches": "[AB]"}, True),
        ({"path": "//rs:RegistryError/@errorCode", "matches": "A"}, False),
        ({"path": "//rs:Nothing/@errorCode", "matches": "A"}, False),
        ({"path": "count(//rs:RegistryError)", "equals": "3"}, True),
        ({"path": "//rs:RegistryError = 1", "equals": "false"}, True),
    ],
)
def test_assertions(values: Values, assertion: dict[str, Any], fulfilled: bool) -> None:
    wrong = complaints(FAILED, values, refused=True, xpath=(Assertion(**assertion),))
    assert (not wrong) is fulfilled


@pytest.mark.parametrize(
    ("delivered", "fulfilled"),
    [
        ({"id": "1.2"}, True),
        ({"id": "1.3"}, False),
        ({"id": "1.2", "document": "report", "type": "text/plain"}, True),
        ({"id": "1.2", "document": "other"}, False),
        ({"id": "1.2", "type": "text/xml"}, False),
        ({"id": "1.2", "transfer_syntax": "1.2.840.10008.1.2.1"}, False),
    ],
)
def test_delivered_documents(delivered: dict[str, str], fulfilled: bool) -> None:
    values = Values({}, {"report": b"ab\r\n--c", "other": b"ab\r\n--"})
    found = multipart('<xop:Include href="cid:a%25b@x"/>')
    wrong = complaints(found, values, status="Success", delivered=(Delivered(**delivered),))
    assert (not wrong) is fulfilled


def test_the_transfer_syntax_of_a_file_is_read() -> None:
    for name, syntax in (("a-1", "1.2.840.10008.1.2.1"), ("b-1", "1.2.840.10008.1.2")):
        content = (FOLDER / "dicom" / f"{name}.dcm").read_bytes()
        assert checks._transfer_syntax(content) == syntax


def test_captured_values_are_there_once(values: Values) -> None:
    kept: dict[str, str] = {}
    expect = Expectation(refused=True, capture={"code": "//rs:RegistryError[3]/@errorCode"})
    assert list(checks.captures(FAILED, expect, values, kept.__setitem__)) == []
    assert kept == {"code": "B"}
    several = Expectation(refused=True, capture={"code": "//rs:RegistryError/@errorCode"})
    assert list(checks.captures(FAILED, several, values, kept.__setitem__))


# -- assertions


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    key, certificate = tokens.stranger().key, tokens.stranger().certificate
    return Issuer("urn:issuer", key, certificate)


def security(signer: Issuer, /, **token: Any) -> etree._Element | None:
    """The header block that a step with this assertion sends."""
    values = Values(dict(cases.known_values()), {})
    text = tokens.header(Token(**token), signer, cases.shared("assertion.xml"), values)
    return etree.fromstring(text.encode()) if text else None


def holds(header: etree._Element, issuer: Issuer) -> bool:
    """Whether the signature of the first assertion in a header is by the issuer's key and of what it points at."""
    root = etree.fromstring(etree.tostring(header))
    (signature,) = root.iter(f"{{{templates.NAMESPACES['ds']}}}Signature")
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(issuer.certificate, xmlsec.constants.KeyDataFormatCertPem)
    for assertion in root.iter(f"{{{templates.NAMESPACES['saml']}}}Assertion"):
        context.register_id(assertion, "ID")
    try:
        context.verify(signature)
    except xmlsec.Error:
        return False
    return True


def said(header: etree._Element, path: str) -> list[str]:
    return checks.strings(header.xpath(path, namespaces=templates.NAMESPACES))


ROLE = "//saml:Attribute[@Name='urn:oasis:names:tc:xacml:2.0:subject:role']//@code"
OTHER_ROLE = {"at": ROLE, "set": "other"}


@pytest.mark.parametrize(
    ("token", "good"),
    [
        ({}, True),
        ({"before": [OTHER_ROLE]}, True),
        ({"after": [OTHER_ROLE]}, False),
        ({"after": [{"at": "//saml:NameID", "set": "intruder"}]}, False),
        ({"wrap": "advice"}, True),
        ({"wrap": "beside"}, True),
        ({"age": 7200, "issuer": "urn:other", "audience": "urn:other"}, True),
    ],
)
def test_an_assertion_is_signed_and_spoilt_as_the_step_says(issuer: Issuer, token: dict[str, Any], good: bool) -> None:
    header = security(issuer, **token)
    assert header is not None
    assert holds(header, issuer) == good


def test_an_assertion_says_what_the_step_says(issuer: Issuer) -> None:
    header = security(issuer, age=60, lifetime=90)
    assert header is not None
    assert said(header, "saml:Assertion/saml:Issuer") == ["urn:issuer"]
    assert said(header, "//saml:Audience") == [cases.known_values()["home"]]
    (begin,), (end,) = said(header, "//@NotBefore"), said(header, "//saml:Conditions/@NotOnOrAfter")
    lasting = datetime.fromisoformat(end) - datetime.fromisoformat(begin)
    assert lasting.total_seconds() == 90
    assert said(header, f"count({ROLE})") == ["1"]
    other = security(issuer, issuer="urn:other", audience="urn:nowhere", before=[OTHER_ROLE])
    assert other is not None
    assert [said(other, path) for path in ("saml:Assertion/saml:Issuer", "//saml:Audience", ROLE)] == [
        ["urn:other"], ["urn:nowhere"], ["other"],
    ]  # fmt: skip


def test_an_assertion_comes_as_often_as_the_step_says(issuer: Issuer) -> None:
    assert security(issuer, copies=0) is None
    two = security(issuer, copies=2)
    assert two is not None
    assert len({*said(two, "saml:Assertion/@ID")}) == 2
    bare = security(issuer, signed=False)
    assert bare is not None
    assert said(bare, "count(//ds:Signature)") == ["0"]


@pytest.mark.parametrize(
    ("how", "place"), [("advice", "saml:Assertion/saml:Advice/saml:Assertion"), ("beside", "*[2]/saml:Assertion")]
)
def test_a_wrapped_assertion_hides_the_genuine_one(issuer: Issuer, how: str, place: str) -> None:
    header = security(issuer, wrap=how)
    assert header is not None
    assert said(header, "saml:Assertion[1]/saml:Subject/saml:NameID") == ["intruder"]
    (genuine,) = said(header, f"{place}/@ID")
    assert said(header, "//ds:Signature/ds:SignedInfo/ds:Reference/@URI") == [f"#{genuine}"]
    assert said(header, f"{place}/saml:Subject/saml:NameID") == [cases.known_values()["subject"]]


@pytest.mark.parametrize("token", [{"wrap": "around"}, {"wrap": "advice", "signed": False}])
def test_an_assertion_that_cannot_be_made_is_an_error(issuer: Issuer, token: dict[str, Any]) -> None:
    with pytest.raises(TemplateError):
        security(issuer, **token)


@pytest.mark.oracle
def test_an_assertion_is_valid_by_the_official_schema(issuer: Issuer) -> None:
    header = security(issuer)
    assert header is not None
    # With the HL7 data types, which the coded attributes name in xsi:type.
    schema = schema_importing(
        saml=(
            templates.NAMESPACES["saml"],
            corpus("schemas", "saml-xacml", "schema", "sstc-saml-schema-assertion-2.0.xsd"),
        ),
        hl7=(templates.NAMESPACES["hl7"], corpus(*HL7_TYPES)),
    )
    (assertion,) = header
    alone = etree.fromstring(etree.tostring(assertion))
    assert schema.validate(alone), schema.error_log


# -- over a socket


@pytest.fixture
def peer() -> Iterator[Peer]:
    with answering() as server:
        yield server


CASE = """
title = "x"
clause = "y"

[documents.report]
text = "a report"

[[step]]
transaction = "ITI-41"
request = "provide-one.xml"
attach = ["report"]
{how}
expect = {{ status = "Success", packaging = "simple" }}
"""


Watcher = Callable[[Exchange], None] | None


def sent(
    peer: Peer,
    folder: Path,
    how: str,
    *,
    findings: int = 0,
    observe: Callable[[Exchange], None] | None = None,
    **given: Any,
) -> tuple[dict[str, str], bytes]:
    place = folder / "9999-sent"
    place.mkdir()
    (place / "expectation.toml").write_text(CASE.format(how=how))
    endpoint = Endpoint(f"http://127.0.0.1:{peer.server_port}", **given)
    found = run(load_case(place), endpoint, observe=observe)
    assert len(found) == findings, found
    return peer.requests[-1]


def test_an_mtom_message_on_the_wire(peer: Peer, tmp_path: Path) -> None:
    headers, body = sent(peer, tmp_path, "")
    boundary = re.search('boundary="([^"]*)"', headers["content-type"])
    assert boundary is not None
    pieces = body.split(b"--" + boundary[1].encode())
    assert len(pieces) == 4
    assert pieces[1].count(b"xop:Include") == 1
    assert pieces[2].endswith(b"\r\n\r\na report\r\n")
    cid = re.search(rb"Content-ID: <(.*)>", pieces[2])
    assert cid is not None
    assert b'href="cid:' + cid[1] + b'"' in pieces[1]
    etree.fromstring(pieces[1].partition(b"\r\n\r\n")[2])


def test_unusual_requests_on_the_wire(peer: Peer, tmp_path: Path) -> None:
    headers, body = sent(peer, tmp_path, "http.chunked = true\nhttp.headers.X-Case = '${run}'\nmtom.root = 'last'")
    assert headers["transfer-encoding"] == "chunked"
    assert re.fullmatch("[0-9a-f]{12}", headers["x-case"])
    assert body.index(b"a report") < body.index(b"Envelope")


def test_packed_requests_on_the_wire(peer: Peer, tmp_path: Path) -> None:
    headers, body = sent(
        peer, tmp_path, "packaging = 'simple'\nhttp = { gzip = true, content_type = 'a/b' }", findings=1
    )
    assert (headers["content-encoding"], headers["content-type"]) == ("gzip", "a/b")
    assert gzip.decompress(body).endswith(b"Envelope>\n")


def test_a_patient_is_announced_before_he_is_used(peer: Peer, tmp_path: Path) -> None:
    exchanges: list[Exchange] = []
    sent(peer, tmp_path, "", findings=2, feed=True, observe=exchanges.append)
    assert len(exchanges) == 2
    assert exchanges[0].step.name.startswith("announce"), "a report shows it, too"
    first, second = (body for _, body in peer.requests)
    patient = re.search(rb'<id root="2.999.7.1" extension="(.*?)"', first)
    assert b"PRPA_IN201301UV02" in first
    assert patient is not None
    assert patient[1] + b"^^^&amp;2.999.7.1&amp;ISO" in second


def test_an_endpoint_that_does_not_answer_is_a_finding(tmp_path: Path) -> None:
    (finding,) = run(CASES[0], Endpoint("http://127.0.0.1:1", timeout=5))[:1]
    assert "an answer" in str(finding)
