"""What is written of a run: JUnit XML, and a page that needs nothing beside it."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import etree, html

from tests.conformance import hostile
from tests.conformance.peers import answering
from xdsi.conformance import (
    USUAL,
    Endpoint,
    Finding,
    Report,
    Result,
    Verdict,
    cases_of,
    chosen,
    junit,
    load,
    page,
    play,
    play_all,
    subjects,
    suites,
)
from xdsi.conformance.results import SHOWN, Recorded

(CASE,) = chosen(load(), ["0101"])
NASTY = "<script>alert(1)</script>\x00\x0b & more"


def recorded(request: bytes = b"<a>1</a>", response: bytes = b"<b/>", **headers: str) -> Recorded:
    return Recorded(
        step=CASE.steps[0].name, method="POST", url="http://h/x", request_headers=headers, request=request,
        request_size=len(request), http=200, response_headers={}, response=response, response_size=len(response) + 5,
        seconds=0.1,
    )  # fmt: skip


def report(*results: Result) -> Report:
    return Report("http://h", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), results)


FAILED = Result(
    CASE,
    Verdict.FAILED,
    findings=(Finding(CASE.steps[0].name, "status Success", NASTY, "ITI TF-2 3.42"), Finding("else", "x", "y", "z")),
    exchanges=(recorded(response=NASTY.encode(), Authorization="secret"),),
)
OTHERS = (Result(CASE, Verdict.PASSED, exchanges=(recorded(),)), Result(CASE, Verdict.SKIPPED, reason="no images"))


def test_junit_counts_and_names_the_clause() -> None:
    suite = etree.fromstring(junit.document(report(FAILED, *OTHERS)))[0]
    assert [suite.get(name) for name in ("tests", "failures", "skipped")] == ["3", "1", "1"]
    assert "[ITI TF-2 3.42]" in (suite.findtext("testcase/failure") or "")
    (skipped,) = suite.iter("skipped")
    assert skipped.get("message") == "no images"


def test_the_page_shows_messages_findings_and_clauses_and_loads_nothing() -> None:
    raw = page.document(report(FAILED, *OTHERS))
    root = html.fromstring(raw)
    assert not root.xpath("//script | //link | //img | //iframe | //@src | //@href | //@onclick")
    text = root.text_content()
    for shown in ("expected: status Success", "clause: ITI TF-2 3.42", "no images", "<a>1</a>", "... 5 bytes more"):
        assert shown in text
    assert "secret" not in text
    assert b"\x00" not in raw
    assert "default-src 'none'" in raw.decode()
    assert "Purpose:" in text


def test_a_report_with_nothing_played_is_no_success() -> None:
    assert report(OTHERS[0]).passed
    assert not report(OTHERS[1]).passed
    assert not report(FAILED, *OTHERS).passed


def test_what_is_played_is_recorded_and_long_messages_are_cut() -> None:
    (large,) = chosen(load(), ["0505"])
    with answering() as peer:
        made = play_all([large], Endpoint(f"http://127.0.0.1:{peer.server_port}", features=USUAL))
    (result,) = made.results
    assert result.verdict is Verdict.FAILED
    assert result.exchanges[0].request_size > SHOWN
    assert len(result.exchanges[0].request) == SHOWN
    assert all(one.clause for one in result.findings)


@pytest.mark.parametrize("name", suites())
def test_a_suite_has_cases(name: str) -> None:
    assert cases_of(name)
    for pattern in suites()[name].patterns:
        assert chosen(load(), [pattern]), pattern


def test_every_case_is_about_an_actor() -> None:
    about = {case.number: subjects(case) for case in load()}
    assert [number for number, names in about.items() if not names] == []
    assert {about[number] for number in ("0101", "0301", "0501", "0601", "0701", "1401", "1501")} == {
        frozenset({"registry"}), frozenset({"repository"}), frozenset({"identity"}), frozenset({"imaging-source"}),
        frozenset({"x-service-provider"}),
    }  # fmt: skip


ASSERTION = (
    '<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_1"><saml:Issuer>hospital</saml:Issuer>'
    '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:DigestValue>ZGln</ds:DigestValue>'
    "<ds:SignatureValue>c2ln</ds:SignatureValue></ds:Signature><saml:Subject><saml:NameID>grace</saml:NameID>"
    '</saml:Subject><saml:AttributeValue a="1"><hl7:Role xmlns:hl7="urn:hl7-org:v3" code="surgeon"/>'
    "</saml:AttributeValue></saml:Assertion>"
)
SOAP = f"<e><s:Security xmlns:s='u'>{ASSERTION}</s:Security><AttributeValue>of the body</AttributeValue></e>"
SECRETS = ("ZGln", "c2ln", "grace", "surgeon")


@pytest.mark.parametrize(
    "message",
    [
        SOAP.encode(),
        SOAP.encode("utf-16"),
        SOAP.encode("utf-16-le"),
        f"--b\r\nContent-Type: application/xop+xml\r\n\r\n{SOAP}\r\n--b--".encode(),
        SOAP.replace("saml:", "").encode(),
        f"<e>{ASSERTION}{ASSERTION}</e>".encode(),
        SOAP.encode()[: SOAP.index("surgeon") + 3],
        SOAP.encode()[: SOAP.index("c2ln") + 2],
    ],
    ids=["XML", "UTF-16", "UTF-16 without a mark", "multipart", "other prefixes", "two", "cut in a role", "cut"],
)
def test_the_page_keeps_assertions_to_itself(message: bytes) -> None:
    played = Result(CASE, Verdict.PASSED, exchanges=(recorded(message, message),))
    text = html.fromstring(page.document(report(played))).text_content()
    assert [one for one in (*SECRETS, "c2", "surg") if one in text] == []
    assert "hospital" in text
    whole = html.fromstring(page.document(report(played), keep_secrets=True)).text_content()
    assert "ZGln" in whole


def test_what_is_in_no_assertion_is_shown() -> None:
    played = Result(CASE, Verdict.PASSED, exchanges=(recorded(SOAP.encode()),))
    assert "of the body" in html.fromstring(page.document(report(played))).text_content()


TOKENS = {
    "a query parameter": "http://h/x?studyUID=1.2&access_token=s3cret-value&x=1",
    "the first parameter": "http://h/x?apikey=s3cret-value",
    "a parameter in XML": "<a>http://h/x?a=b&amp;token=s3cret-value</a>",
    "a user of a URL": "https://grace:s3cret-value@h/x",
    "a bearer token": "Authorization: Bearer s3cret-value-of-a-token",
    "an assertion in a header": "IHE-SAML s3cret-valueQUFBQQ==",
}


@pytest.mark.parametrize("text", TOKENS.values(), ids=TOKENS)
def test_what_lets_somebody_in_stands_in_no_report(text: str) -> None:
    exchange = replace(
        recorded(
            text.encode(), text.encode(), **{"X-Auth-Token": "s3cret-value", "Proxy-Authorization": "s3cret-value"}
        ),
        url=text,
    )
    failed = Result(CASE, Verdict.FAILED, findings=(Finding("x", "y", "z"),), exchanges=(exchange,))
    made = replace(report(failed), endpoint=text)
    assert b"s3cret-value" not in page.document(made)
    assert b"s3cret-value" not in junit.document(made)


def test_parameters_that_are_no_secrets_are_shown() -> None:
    url = "http://h/wado?requestType=WADO&studyUID=1.2&contentType=application%2Fdicom&transferSyntax=1.2.840"
    played = Result(CASE, Verdict.PASSED, exchanges=(replace(recorded(), url=url),))
    assert url in html.fromstring(page.document(report(played))).text_content()


def test_a_server_that_repeats_what_it_was_sent_brings_no_secret_into_findings() -> None:
    def answer(connection: socket.socket, over: threading.Event) -> None:
        body = b"you said <Assertion><NameID>grace</NameID></Assertion> to /x?token=s3cret-value"
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )

    with hostile.answering(answer) as server:
        result = play(CASE, Endpoint(server.url, paths={"registry": f"{server.url}/x?token=s3cret-value"}))
    (one,) = result.findings[:1]
    assert "you said" in one.found
    assert "grace" not in one.found
    assert "s3cret" not in one.found
    away = play(CASE, Endpoint("http://127.0.0.1:1", paths={"registry": "http://127.0.0.1:1/x?token=s3cret-value"}))
    assert "refused" in away.findings[0].found
    assert "s3cret" not in str(away.findings)


@pytest.mark.parametrize(
    "given", [{"base_url": "http://grace:pw@h"}, {"base_url": "http://h", "paths": {"registry": "http://grace@h/x"}}]
)
def test_no_user_and_password_in_a_url(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no user and password in a URL") as refused:
        Endpoint(**given)
    assert "grace" not in str(refused.value)
