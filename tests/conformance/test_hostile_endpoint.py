"""Endpoints that answer what no endpoint should: the run goes on, and its report says of each case why it failed."""

from __future__ import annotations

import gzip
import re
import socket
import ssl
import struct
import threading
import tracemalloc
import zlib
from pathlib import Path

import pytest

from tests.conformance import hostile
from tests.conformance.hostile import answering, endlessly, saying
from tests.conformance.peers import envelope, response
from xdsi.cli import main
from xdsi.conformance import Endpoint, Finding, Verdict, chosen, junit, load, look, page, play, play_all
from xdsi.transport import pki

SOAP, MTOM, GET = chosen(load(), ["0101", "0502", "1101"])
TYPE = b"Content-Type: application/soap+xml\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
MULTIPART = OK + b'Content-Type: multipart/related; type="application/xop+xml"; boundary=b\r\n'
CHUNKED = TYPE + b"Transfer-Encoding: chunked\r\n\r\n"
FOUND = b"HTTP/1.1 302 Found\r\n"
GZIP = OK + TYPE + b"Content-Encoding: gzip\r\n"
MEBIBYTE = 1024 * 1024
GOOD = envelope(response())


def answer(body: bytes, head: bytes = OK + TYPE) -> bytes:
    return head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body


def entities(where: str) -> bytes:
    """Nine entities, each ten times the one before, used in a text or in an attribute."""
    declared = "".join(f'<!ENTITY e{one} "{f"&e{one - 1};" * 10}">' for one in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY e0 "lol">{declared}]>{where}'.encode()


def reset(connection: socket.socket, over: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def packed_twice() -> bytes:
    return gzip.compress(gzip.compress(bytes(20 * MEBIBYTE)))


def at(port: int) -> str:
    return f"http://127.0.0.1:{port}"


BOMB = gzip.compress(bytes(20 * MEBIBYTE), 9)
BAD: dict[str, tuple[hostile.Answer, str]] = {
    "nothing": (saying(), "closed|Connection"),
    "a reset": (reset, "reset|aborted"),
    "no HTTP": (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "BadStatusLine|SSH"),
    "a status that is no number": (saying(b"HTTP/1.1 abc OK\r\n\r\n"), "BadStatusLine|abc"),
    "a shorter body than said": (saying(OK + TYPE + b"Content-Length: 9999\r\n\r\n" + GOOD), "IncompleteRead"),
    "a length that is no number": (saying(OK + TYPE + b"Content-Length: -5\r\n\r\n<a"), "not XML|Length"),
    "two lengths": (saying(OK + TYPE + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\n" + GOOD), "Length"),
    "chunks of no size": (saying(OK + CHUNKED + b"zz\r\nabc\r\n"), "InvalidChunk|chunk"),
    "a chunk of a negative size": (endlessly(OK + CHUNKED + b"-1\r\n", b"x" * 65536), "a chunk of -1 bytes"),
    "a chunk without its end": (saying(OK + CHUNKED + b"ffffffffff\r\nabc"), "Incomplete"),
    "a line without end": (saying(OK + b"X: " + b"x" * 100_000 + b"\r\n\r\n"), "LineTooLong|header line"),
    "headers without number": (saying(OK + b"X: x\r\n" * 200 + b"\r\n"), "100 headers"),
    "401 again and again": (saying(answer(b"", b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\n")), "HTTP 401"),
    "a page": (saying(answer(b"<html/>", OK + b"Content-Type: text/html\r\n")), "not SOAP 1.2|media type"),
    "a redirect to a file": (saying(answer(b"", FOUND + b"Location: file:///etc/passwd\r\n")), "HTTP 302"),
    "a redirect to no URL": (saying(answer(b"", b"HTTP/1.1 307 Found\r\nLocation: http://[\r\n")), "HTTP 307"),
    "a redirect that unpacks": (
        saying(answer(BOMB, b"HTTP/1.1 307 Found\r\nLocation: /x\r\nContent-Encoding: gzip\r\n")), "--max-answer",
    ),
    "entities in a text": (saying(answer(entities("<x>&e9;</x>"))), "document type"),
    "entities in an attribute": (saying(answer(entities("<x y='&e9;'/>"))), "document type"),
    "entities behind a comment": (saying(answer(b"<!-- x --><?x ?>" + entities("<x y='&e9;'/>"))), "document type"),
    "entities in UTF-16": (saying(answer(entities("<x y='&e9;'/>").decode().encode("utf-16"))), "document type"),
    "an external entity": (
        saying(answer(b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>')), "document type",
    ),
    "bytes that are no UTF-8": (saying(answer(b"<a>\xff\xfe\xfa</a>")), "not XML"),
    "an encoding of its own": (saying(answer(b'<?xml version="1.0" encoding="UTF-7"?>+ADw-a/+AD4-')), "encoding"),
    "NUL bytes": (saying(answer(bytes(100))), "not XML|encoding"),
    "deeper than any message": (saying(answer(b"<a>" * 100_000)), "not XML"),
    "markup without measure": (saying(answer(b"<a>" + b"<b/>" * 1_000_001 + b"</a>")), "tags and attributes"),
    "a multipart message without end": (saying(answer(b"--b\r\n\r\n" + b"x" * 5000, MULTIPART)), "boundary"),
    "parts without number": (saying(answer(b"\r\n--b" * 30_000, MULTIPART)), "parts|boundary"),
    "parts in circles": (
        saying(answer(b'--b\r\nContent-Type: application/xop+xml\r\nContent-ID: <a>\r\n\r\n<x:Include href="cid:a" '
                      b'xmlns:x="http://www.w3.org/2004/08/xop/include"/>\r\n--b--', MULTIPART)), "no SOAP 1.2|HTTP",
    ),
    "what unpacks to more than is taken": (saying(answer(BOMB, GZIP)), "--max-answer"),
    "what is packed twice": (
        saying(answer(packed_twice(), OK + TYPE + b"Content-Encoding: gzip, gzip\r\n")), "Content-Encoding",
    ),
    "what cannot be unpacked": (saying(answer(b"abc", GZIP)), "incorrect header"),
    "a packed answer that breaks off": (saying(answer(gzip.compress(GOOD)[:-12], GZIP)), "breaks off"),
    "another packing": (saying(answer(b"abc", OK + TYPE + b"Content-Encoding: br\r\n")), "Content-Encoding 'br'"),
    "an answer without end": (endlessly(OK + TYPE + b"\r\n", b"<a>" * 20_000), "--max-answer"),
    "chunks without end": (
        endlessly(OK + CHUNKED, b"10000\r\n" + bytes(65536) + b"\r\n"), "--max-answer",
    ),
    "a body that drips": (endlessly(OK + TYPE + b"Content-Length: 100000\r\n\r\n", b"x", 0.05), "--deadline"),
    "headers that drip": (endlessly(OK, b"X", 0.05), "--deadline"),
    "interim answers without end": (endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01), "--deadline"),
    "silence": (lambda _, over: (over.wait(10), None)[1], "timed out|Timeout"),
}  # fmt: skip


def endpoint(url: str, **given: float) -> Endpoint:
    limits = {"timeout": 30.0, "deadline": 60.0, "largest_answer": 8 * MEBIBYTE} | given
    return Endpoint(url, **limits)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BAD)
def test_a_case_fails_with_the_reason_and_the_run_goes_on(name: str) -> None:
    how, why = BAD[name]
    # Only what never ends is waited for.
    short = {"timeout": 0.4} if name == "silence" else {"deadline": 0.6} if why == "--deadline" else {}
    with answering(how) as server:
        report = play_all([SOAP], endpoint(server.url, **short))
    (result,) = report.results
    assert result.verdict is Verdict.FAILED
    assert result.exchanges
    assert re.search(why, str(result.findings[0])), result.findings[0]
    assert len(result.findings[0].found) < 1000
    for made in (page.document(report), junit.document(report)):
        assert len(made) < 5 * MEBIBYTE
        assert b"root:" not in made


@pytest.mark.parametrize("case", [MTOM, GET], ids=lambda case: case.name)
@pytest.mark.parametrize("name", ["a reset", "a redirect to a file", "a page", "parts without number", "NUL bytes"])
def test_other_kinds_of_cases_fail_as_well(name: str, case: object) -> None:
    with answering(BAD[name][0]) as server:
        (result,) = play_all([case], endpoint(server.url)).results  # type: ignore[list-item]
    assert result.verdict is Verdict.FAILED


def test_what_is_too_large_is_never_held() -> None:
    bomb = zlib.compress(bytes(64 * MEBIBYTE), 9)
    with answering(saying(answer(bomb, OK + TYPE + b"Content-Encoding: deflate\r\n"))) as server:
        tracemalloc.start()
        try:
            play(SOAP, endpoint(server.url, largest_answer=MEBIBYTE, deadline=20, timeout=20))
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 12 * MEBIBYTE


def test_what_was_read_before_a_mishap_is_in_the_report() -> None:
    with answering(BAD["a shorter body than said"][0]) as server:
        (exchange,) = play(SOAP, endpoint(server.url)).exchanges[:1]
    assert (exchange.http, exchange.response) == (200, GOOD)


def test_packed_answers_are_read() -> None:
    for coding, packed in (("gzip", gzip.compress(GOOD)), ("deflate", zlib.compress(GOOD))):
        head = OK + TYPE + f"Content-Encoding: {coding}\r\n".encode()
        with answering(saying(answer(packed, head))) as server:
            (exchange,) = play(SOAP, endpoint(server.url)).exchanges[:1]
        assert exchange.response == GOOD


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_is_sent_to_where_an_answer_points(status: int) -> None:
    with answering(saying(answer(b"", OK + TYPE))) as elsewhere:
        head = f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere.url}/\r\nRefresh: 0; url={elsewhere.url}\r\n"
        with answering(saying(answer(b"", head.encode()))) as server:
            own = Endpoint(server.url, security="<wsse:Security xmlns:wsse='u'><a>let me in</a></wsse:Security>")
            results = play_all([SOAP, GET], own).results
        assert all(one.verdict is Verdict.FAILED for one in results)
        assert b"let me in" in server.heard[0]
        assert elsewhere.heard == []


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (reset, "aborted|reset|EOF"),
        (endlessly(OK + TYPE + b"Content-Length: 100000\r\n\r\n", b"x", 0.05), "--deadline"),
    ],
    ids=["a reset", "a body that drips"],
)
def test_the_same_by_tls(how: hostile.Answer, why: str, tmp_path: Path) -> None:
    authority = pki.create_authority(tmp_path)
    node = pki.issue_node(authority, tmp_path, "hub")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(node.certificate_file, node.key_file)
    with answering(how, context) as server:
        own = Endpoint(
            server.url.replace("127.0.0.1", "localhost"), timeout=30, deadline=1 if why == "--deadline" else 60,
            authorities=str(authority.certificate_file),
        )  # fmt: skip
        result = play(SOAP, own)
    assert result.verdict is Verdict.FAILED
    assert re.search(why, result.findings[0].found), result.findings[0]


def test_a_handshake_that_never_ends_is_given_up() -> None:
    with answering(endlessly(b"", b"\x16", 0.05)) as server:
        result = play(SOAP, endpoint(server.url.replace("http:", "https:"), timeout=0.4))
    assert isinstance(result.findings[0], Finding)
    assert re.search("timed out|SSL", result.findings[0].found)


def test_nobody_is_waited_for_more_than_once() -> None:
    with answering(BAD["nothing"][0]) as server:
        seen = look(endpoint(server.url), (), probe=True)
        assert len(server.heard) == 1
    assert seen.error


@pytest.mark.parametrize(
    "name", ["nothing", "NUL bytes", "a body that drips", "what cannot be unpacked", "two lengths"]
)
def test_the_command_ends_with_a_sentence(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(BAD[name][0]) as server:
        limits = ["--timeout", "0.4", "--deadline", "0.5", "--max-answer", "1"]
        status = main(["conformance", "run", "--endpoint", server.url, *limits, "0101"])
    said = capsys.readouterr()
    assert status == 1
    assert server.url in said.err
    assert "Traceback" not in said.out + said.err
    assert said.err.replace("\n", "").isprintable()
    assert len(said.err) < 1500


def test_bytes_that_are_no_text_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    picture = b"\x89PNG\r\n\x1a\n\x00\x1b[31m\x07" + bytes(range(256))
    with answering(saying(answer(picture, OK + b"Content-Type: image/png\r\n"))) as server:
        main(["conformance", "run", "--endpoint", server.url, "0101"])
    told = capsys.readouterr().err
    assert "is no SOAP 1.2 service: HTTP 200, image/png" in told
    assert "(120 bytes that are no text)" in told
    assert "\x1b" not in told
