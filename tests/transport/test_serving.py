"""What a server makes of input that is no message: a fault with a trace, nothing stored, and it goes on."""

from __future__ import annotations

import gzip
import multiprocessing
import re
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import PATIENCE, Answer, Server, envelope, exchange, free_port, http, read_answer
from xdsi.spec import uuids
from xdsi.spec.namespaces import SUCCESS, XOP
from xdsi.wire.ebxml import query
from xdsi.wire.message import Packaging
from xdsi.wire.soap import CONTENT_TYPE

QUERY = "urn:ihe:iti:2007:RegistryStoredQuery"
RETRIEVE = "urn:ihe:iti:2007:RetrieveDocumentSet"
SLOTS = (
    ("$XDSDocumentEntryPatientId", ("'SERVING^^^&2.999.1.1&ISO'",)),
    ("$XDSDocumentEntryStatus", ("('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')",)),
)
ASK = b"".join(query.encode_request(query.AdhocQuery(uuids.FIND_DOCUMENTS, "ObjectRef", SLOTS), Packaging.SIMPLE).body)
GOOD = envelope(QUERY, ASK)


def kept(server: Server) -> dict[str, int]:
    """How much of everything the server keeps."""
    with sqlite3.connect(f"file:{server.data / 'xdsi.sqlite3'}?mode=ro", uri=True, timeout=PATIENCE) as connection:
        counts = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("document_entry", "submission_set", "association", "document")
        }
    connection.close()
    spool = [path for path in (server.data / "spool").rglob("*") if path.is_file() and "lock" not in path.name]
    blobs = [path for path in (server.data / "documents").rglob("*") if path.is_file() and path.name != "lock"]
    return {**counts, "spooled": len(spool), "files": len(blobs)}


def refused(server: Server, request: bytes, **arguments: Any) -> Answer:
    """The fault that a request gets; whatever it says, nothing is kept and the server serves the next one."""
    before = kept(server)
    answer = exchange(server, request, **arguments)
    assert answer.headers["content-type"] == CONTENT_TYPE
    assert re.fullmatch("[0-9a-f]{32}", answer.trace)
    assert f"[trace {answer.trace}]</soap:Text>" in answer.text
    assert "Traceback" not in answer.text
    assert kept(server) == before
    assert SUCCESS in exchange(server, http(GOOD)).text
    return answer


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end
    return http(body, length="", Transfer_Encoding="chunked")


def multipart(*parts: tuple[str, bytes], end: str = "--", boundary: str = "frontier", **parameters: str) -> bytes:
    """An MTOM request of these (Content-ID, content); the first is the root."""
    body = b""
    for number, (content_id, content) in enumerate(parts):
        kind = (
            'application/xop+xml; type="application/soap+xml"' if number == 0 or content_id == "root" else "text/plain"
        )
        head = f"--{boundary}\r\nContent-Type: {kind}\r\nContent-ID: <{content_id}>\r\n\r\n"
        body += head.encode() + content + b"\r\n"
    body += f"--{boundary}{end}\r\n".encode()
    given = {"type": "application/xop+xml", "start": "<root>", "boundary": boundary} | parameters
    kind = "multipart/related; " + "; ".join(f'{name}="{value}"' for name, value in given.items() if value)
    return http(body, path="/services/repository", Content_Type=kind)


ROOT = envelope(RETRIEVE, b'<x:RetrieveDocumentSetRequest xmlns:x="urn:ihe:iti:xds-b:2007"/>')
INCLUDE = f'<i:Include xmlns:i="{XOP}" href="cid:missing"/>'.encode()
HUGE = envelope(QUERY, ASK.replace(b"SERVING", b"x" * (33 * 1024 * 1024)))
STRANGE = GOOD.replace(b"</soap:Header>", b'<x:Strange xmlns:x="urn:x" soap:mustUnderstand="1"/></soap:Header>')
BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbb">]>' + GOOD

FAULTS = [
    pytest.param(http(GOOD[:-40]), 400, "Sender", "not well-formed", id="truncated body"),
    pytest.param(http(GOOD, length=len(GOOD) - 40), 400, "Sender", "not well-formed", id="length too short"),
    pytest.param(http(b""), 400, "Sender", "", id="empty body"),
    pytest.param(http(b"hello"), 400, "Sender", "not well-formed", id="no XML"),
    pytest.param(http(BOMB), 400, "Sender", "", id="document type"),
    pytest.param(http(b"<a/>"), 400, "Sender", "not a SOAP envelope", id="no envelope"),
    pytest.param(
        http(GOOD.replace(b"http://www.w3.org/2003/05/soap-envelope", b"http://schemas.xmlsoap.org/soap/envelope/")),
        500, "VersionMismatch", "only SOAP 1.2", id="SOAP 1.1",
    ),
    pytest.param(http(STRANGE), 500, "MustUnderstand", "not understood", id="unknown header"),
    pytest.param(http(GOOD.replace(b"Action", b"Auction")), 400, "MessageAddressingHeaderRequired", "", id="no action"),
    pytest.param(http(envelope("urn:none", ASK)), 400, "ActionNotSupported", "urn:none", id="unknown action"),
    pytest.param(http(envelope(QUERY, b"")), 400, "Sender", "Body is empty", id="empty Body"),
    pytest.param(http(GOOD, Content_Encoding="gzip"), 415, "Sender", "Content-Encoding", id="says gzip"),
    pytest.param(http(gzip.compress(GOOD), Content_Encoding="gzip"), 415, "Sender", "Content-Encoding", id="gzip"),
    pytest.param(http(GOOD, Content_Type="application/json"), 415, "Sender", "application/json", id="JSON"),
    pytest.param(http(GOOD, Content_Type=""), 415, "Sender", "Content-Type", id="no type"),
    pytest.param(http(GOOD, method="PUT"), 400, "Sender", "only POST", id="PUT"),
    pytest.param(http(GOOD, method="DELETE"), 400, "Sender", "only POST", id="DELETE"),
    pytest.param(http(HUGE), 400, "Sender", "too large", id="oversized"),
    pytest.param(http(GOOD, length=5 * 1024**4), 400, "Sender", "too large", id="says it is oversized"),
    pytest.param(http(GOOD, path="/services/none"), 404, "Sender", "no service", id="unknown path"),
    pytest.param(http(GOOD, length="many"), 400, "Sender", "", id="length is no number"),
    pytest.param(http(GOOD, length=-1), 400, "Sender", "", id="negative length"),
    pytest.param(http(GOOD, Content_Length="1", length=""), 400, "Sender", "", id="length of one"),
    pytest.param(chunked(GOOD[:-40]), 400, "Sender", "not well-formed", id="truncated chunks"),
    pytest.param(chunked(GOOD, end=b"zz\r\n"), 400, "Sender", "", id="chunk size is no number"),
    pytest.param(multipart(), 400, "Sender", "", id="no part"),
    pytest.param(multipart(("root", ROOT), boundary=""), 400, "Sender", "boundary", id="no boundary"),
    pytest.param(multipart(("root", ROOT), end=""), 400, "Sender", "", id="no end of parts"),
    pytest.param(multipart(("other", ROOT)), 400, "Sender", "root", id="no root part"),
    pytest.param(multipart(("root", b"<a/>")), 400, "Sender", "not a SOAP envelope", id="root is no envelope"),
    pytest.param(multipart(("root", ROOT), ("a", b"1"), ("a", b"2")), 400, "Sender", "", id="two parts of one id"),
    pytest.param(multipart(("root", ROOT), type="text/html"), 415, "Sender", "text/html", id="other multipart"),
    pytest.param(
        multipart(("root", envelope(RETRIEVE, b"<x>" + INCLUDE + b"</x>"))), 400, "Sender", "of this message",
        id="no such part",
    ),
    pytest.param(
        multipart(("root", ROOT), *((str(number), b"") for number in range(200))), 400, "Sender", "", id="many parts"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "status", "code", "reason"), FAULTS)
def test_what_is_no_message_is_a_fault(
    open_server: Server, request_: bytes, status: int, code: str, reason: str
) -> None:
    answer = refused(open_server, request_)
    assert (answer.status, f":{code}<" in answer.text) == (status, True)
    assert reason in answer.text


def test_a_sender_who_goes_away_is_told_so_and_nothing_remains(open_server: Server) -> None:
    for request in (http(GOOD, length=len(GOOD) + 10), chunked(GOOD, end=b"")):
        answer = refused(open_server, request, half_close=True)
        assert answer.status == 400


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_pieces_do_not_matter(open_server: Server, pieces: int) -> None:
    size = len(GOOD) // pieces + 1
    answer = exchange(open_server, chunked(*(GOOD[at : at + size] for at in range(0, len(GOOD), size))))
    assert (answer.status, SUCCESS in answer.text) == (200, True)


def test_several_messages_may_use_one_connection(open_server: Server) -> None:
    request = http(GOOD, Connection="keep-alive")
    with open_server.connect() as sock:
        traces = []
        for _ in range(3):
            sock.sendall(request)
            answer = read_answer(sock)
            assert SUCCESS in answer.text
            traces.append(answer.trace)
    assert len(set(traces)) == 3


def test_a_refused_message_ends_its_connection(open_server: Server) -> None:
    with open_server.connect() as sock:
        sock.sendall(http(b"hello", Connection="keep-alive") + http(GOOD))
        answer = read_answer(sock)
        assert answer.headers["connection"] == "close"
        assert sock.recv(100) == b""


@pytest.mark.parametrize(
    "path", ["/services/registry", "/services/registry/?wsdl", "/services/registry?wsdl", "/services/registry?xsd=none",
             "/", "/health/live", "/no/such/page", "/metrics"],
)  # fmt: skip
def test_every_answer_carries_a_trace(open_server: Server, path: str) -> None:
    answer = exchange(open_server, http(b"", method="GET", path=path))
    assert re.fullmatch("[0-9a-f]{32}", answer.trace)


def test_a_get_says_where_the_description_is(open_server: Server) -> None:
    answer = exchange(open_server, http(b"", method="GET"))
    assert (answer.status, "?wsdl" in answer.text) == (200, True)
    assert exchange(open_server, http(b"", method="GET", path="/services/registry?xsd=none")).status == 404


# -- deadlines


def impatient(port: int, data: Path, ready: Any) -> None:
    """A server like `xdsi serve --profile open`, with deadlines short enough for a test."""
    from xdsi import app
    from xdsi.settings import Settings, replaced
    from xdsi.transport.http_pace import Deadlines
    from xdsi.transport.http_server import HttpServer

    settings = replaced(Settings(), "server", port=port, data_dir=data, actors=("registry",))
    settings = replaced(settings, "domain", profile="open")
    app.prepare(settings)
    deadlines = Deadlines(idle_seconds=0.5, grace_seconds=0.5, minimum_bytes_per_second=1_000_000)
    HttpServer(
        lambda: app.build(settings).wsgi, address="127.0.0.1", port=port, tls=None, threads=2, when_ready=ready.set,
        deadlines=deadlines,
    ).run()  # fmt: skip


@pytest.fixture(scope="module")
def impatient_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=impatient, args=(port, tmp_path_factory.mktemp("impatient"), ready))
    process.start()
    assert ready.wait(60)
    yield port
    process.terminate()
    process.join(30)


def test_a_sender_who_falls_silent_is_cut(impatient_port: int) -> None:
    with socket.create_connection(("127.0.0.1", impatient_port), timeout=PATIENCE) as sock:
        sock.sendall(http(GOOD)[:-10])
        answer = read_answer(sock)
    assert (answer.status, "took too long" in answer.text) == (408, True)
    assert f"[trace {answer.trace}]" in answer.text


def test_a_sender_below_the_minimum_rate_is_cut(impatient_port: int) -> None:
    request = http(GOOD, length=len(GOOD) + 1000) + b" " * 999
    with socket.create_connection(("127.0.0.1", impatient_port), timeout=PATIENCE) as sock:
        sock.sendall(request[:-100])
        try:
            for at in range(-100, 0):
                time.sleep(0.05)
                sock.sendall(request[at : at + 1])
        except OSError:
            pass
        answer = read_answer(sock)
    assert answer.status == 408


def test_slow_senders_do_not_keep_others_waiting_for_long(impatient_port: int) -> None:
    slow = [socket.create_connection(("127.0.0.1", impatient_port), timeout=PATIENCE) for _ in range(4)]
    try:
        for sock in slow:
            sock.sendall(http(GOOD)[:-10])
        with socket.create_connection(("127.0.0.1", impatient_port), timeout=PATIENCE) as sock:
            sock.sendall(http(GOOD))
            assert SUCCESS in read_answer(sock).text
    finally:
        for sock in slow:
            sock.close()
