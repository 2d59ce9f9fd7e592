"""Uploads that are no honest message: a fault in bounded memory, nothing left in the spool, others served as before."""

from __future__ import annotations

import gzip
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests import builders
from tests.app.repository_client import RepositoryClient
from tests.servers import Server, exchange, http, read_answer, wait_until
from tests.transactions.ports import document
from xdsi.domain.identifiers import new_oid
from xdsi.domain.submission import Provision
from xdsi.spec.namespaces import SUCCESS
from xdsi.transactions import iti41_provide_and_register_document_set as iti41
from xdsi.transport.soap_request import READ_SIZE, SoapLimits
from xdsi.wire import mtom, soap
from xdsi.wire.message import Packaging
from xdsi.wire.multipart import MultipartLimits

REPOSITORY = "/services/repository"
MULTIPART = 'multipart/related; type="application/xop+xml"; start="<root>"; boundary="frontier"'
# Before the root part, so that nothing but the parts is looked at.
LATE_ROOT = b"--frontier\r\nContent-ID: <%d>\r\n\r\n"
ROOT = b"--frontier\r\nContent-Type: application/xop+xml\r\nContent-ID: <root>\r\n\r\n"
LARGE = 8_000_000
MOST_GROWTH = 32 * 1024 * 1024


def parts(count: int) -> bytes:
    return b"".join(LATE_ROOT % number + b"x\r\n" for number in range(count)) + b"--frontier--\r\n"


UPLOADS = {
    "10,000 parts": (parts(10_000), None, 400, "too many parts"),
    "a part header of 1 MB": (LATE_ROOT[:-4] % 1 + b"\r\nX: " + b"x" * 1_000_000, None, 400, "headers too long"),
    "it stops midway": (LATE_ROOT % 1 + bytes(LARGE // 2), LARGE, 400, "ended early"),
    "it is longer than it says": (LATE_ROOT % 1 + bytes(LARGE), 1000, 400, "cut off"),
    "its length is no number": (parts(1), "many", 400, ""),
    "a boundary inside the data, and no root": (
        LATE_ROOT % 1 + b"\r\n--frontierx\r\n--frontier-\r\n--frontier--\r\n", None, 400, "no root part",
    ),
    "boundaries alone": (b"--frontier\r\n" * 100_000, None, 400, ""),
}  # fmt: skip


def memory(server: Server) -> int:
    (worker,) = server.workers
    status = Path(f"/proc/{worker}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def spooled(server: Server) -> list[Path]:
    return [path for path in (server.data / "spool").rglob("*") if path.is_file() and "lock" not in path.name]


@pytest.mark.parametrize(("body", "length", "status", "words"), UPLOADS.values(), ids=UPLOADS.keys())
def test_it_is_a_fault_and_others_are_served(
    open_server: Server, body: bytes, length: int | str | None, status: int, words: str
) -> None:
    before = memory(open_server)
    answer = exchange(
        open_server, http(body, path=REPOSITORY, length=length, Content_Type=MULTIPART), half_close=True
    )  # fmt: skip
    assert answer.status == status, answer.text
    assert words in answer.text
    wait_until(lambda: spooled(open_server) == [])
    assert memory(open_server) - before < MOST_GROWTH
    again = exchange(open_server, http(b"", path=REPOSITORY, method="GET"))
    assert again.status == 200
    assert "Document Repository" in again.text


LIMITS = MultipartLimits()
BEYOND = {
    "parts": (parts(LIMITS.parts + 1), "too many parts"),
    "headers": (LATE_ROOT[:-4] % 1 + b"\r\nX: " + b"x" * LIMITS.header_block, "headers too long"),
    "the envelope": (ROOT + bytes(LIMITS.root), "too large"),
    "before the envelope": (LATE_ROOT % 1 + bytes(SoapLimits().unverified_bytes), "before the root part"),
    "the message": (b"", "request too large"),
}  # fmt: skip


@pytest.mark.parametrize("limit", BEYOND)
def test_what_is_beyond_a_limit_is_refused_before_the_rest_has_come(open_server: Server, limit: str) -> None:
    """Given a sender who announces a large message and holds it back behind the limit, the fault comes all the same."""
    body, words = BEYOND[limit]
    length = SoapLimits().message_bytes + (limit == "the message")
    # Bytes are looked at by the mebibyte.
    raw = http(body + b"x" * READ_SIZE, path=REPOSITORY, length=length, Content_Type=MULTIPART)
    with open_server.connect() as sock:
        sock.sendall(raw)
        answer = read_answer(sock)
    assert (answer.status, words in answer.text) == (400, True), answer.text
    wait_until(lambda: spooled(open_server) == [])


def test_others_are_served_while_uploads_go_on(open_server: Server, tmp_path: Path) -> None:
    """Given half an upload of each kind, and one that comes byte by byte, others submit and fetch before any ends."""
    client = RepositoryClient(open_server, tmp_path)
    before = memory(open_server)
    with ExitStack() as attack:
        halves: list[tuple[socket.socket, bytes]] = []
        for body, length, _, _ in UPLOADS.values():
            raw = http(body, path=REPOSITORY, length=length, Content_Type=MULTIPART)
            sock = attack.enter_context(open_server.connect())
            with suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(raw[: len(raw) // 2])
            halves.append((sock, raw[len(raw) // 2 :]))
        slow = attack.enter_context(open_server.connect())
        honest = http(UPLOADS["it stops midway"][0], path=REPOSITORY, Content_Type=MULTIPART)
        slow.sendall(honest[:400])
        for number in range(5):
            slow.sendall(honest[400 + number : 401 + number])
            unique_id, content = new_oid(), b"honest %d" % number
            assert client.provide(unique_id, content).accepted
            assert client.retrieve(unique_id) == content
        for sock, rest in halves:
            with suppress(OSError):
                sock.sendall(rest)
    wait_until(lambda: spooled(open_server) == [])
    assert memory(open_server) - before < MOST_GROWTH


def test_a_compressed_upload_is_not_unpacked(open_server: Server) -> None:
    """Given 1 GB of zeros as a few hundred kilobytes of gzip, when it arrives, nothing of it is unpacked."""
    bomb = gzip.compress(bytes(16 * 1024 * 1024)) * 64
    assert len(bomb) < 2_000_000
    before = memory(open_server)
    answer = exchange(
        open_server, http(bomb, path=REPOSITORY, Content_Type=MULTIPART, Content_Encoding="gzip"), half_close=True
    )
    assert answer.status == 415
    wait_until(lambda: spooled(open_server) == [])
    assert memory(open_server) - before < MOST_GROWTH


def provided(unique_id: str, href: bytes = b"") -> bytes:
    """A whole ITI-41 over HTTP; `href` stands where the document's part is named."""
    content = b"what was sent"
    entry = builders.document_entry("doc1", unique_id=unique_id, hash="", size="", repository_unique_id="")
    own = builders.submission_set("set", unique_id=new_oid())
    request = Provision(builders.submission(entry, sets=[own]), {"doc1": document(content)})
    payload = iti41.TRANSACTION.request.encode(request, Packaging.MTOM)
    pieces = soap.write_envelope(iti41.TRANSACTION.trigger, payload.body, message_id=f"urn:uuid:{new_oid()}")
    writer = mtom.MultipartWriter()
    raw = b"".join(writer.message((b"".join(pieces),), payload.attachments))
    if href:
        raw = raw.replace(b"cid:" + payload.attachments[0].content_id.encode(), href)
    return http(raw, path=REPOSITORY, Content_Type=writer.content_type)


@pytest.mark.parametrize(
    "href",
    [
        b"file:///etc/passwd",
        b"http://127.0.0.1:1/document",
        b"cid:root@xdsi",
        b"cid:nobody@xdsi",
        b"/etc/passwd",
        b"cid:",
    ],
)
def test_a_document_is_a_part_of_its_own_message_and_nothing_else(
    open_server: Server, tmp_path: Path, href: bytes
) -> None:
    """Given an Include that names a file, another server, the envelope or a part that is not there, it is refused."""
    unique_id = new_oid()
    answer = exchange(open_server, provided(unique_id, href))
    assert SUCCESS not in answer.text
    assert "xop:Include" in answer.text
    with RepositoryClient(open_server, tmp_path).retrieved(unique_id) as found:
        assert [problem.code for problem in found.outcome.problems] == ["XDSDocumentUniqueIdError"]


@pytest.mark.parametrize("unique_id", ["../../../planted", "/tmp/planted", "2.999.1/../../planted"])
def test_a_document_id_never_becomes_a_path(open_server: Server, tmp_path: Path, unique_id: str) -> None:
    """Given a uniqueId that is a path, it is a name like any other: no file is written or read by it."""
    unique_id += new_oid()[-12:]
    assert SUCCESS in exchange(open_server, provided(unique_id)).text
    client = RepositoryClient(open_server, tmp_path)
    assert client.retrieve(unique_id) == b"what was sent"
    with client.retrieved("../../xdsi.sqlite3", str(open_server.data / "xdsi.sqlite3")) as found:
        assert [problem.code for problem in found.outcome.problems] == ["XDSDocumentUniqueIdError"] * 2
        assert found.documents == ()
    assert not Path(unique_id).exists()
    assert not [path for path in open_server.data.parent.rglob("*") if "planted" in path.name]


def test_whoever_claims_the_name_of_a_document_does_not_get_it(open_server: Server, tmp_path: Path) -> None:
    """Given a document, when other bytes come under its uniqueId, they are refused and it is as it was."""
    client, unique_id = RepositoryClient(open_server, tmp_path), new_oid()
    assert client.provide(unique_id, b"first").accepted
    assert [problem.code for problem in client.provide(unique_id, b"forged").problems] == ["XDSNonIdenticalHash"]
    assert client.retrieve(unique_id) == b"first"
