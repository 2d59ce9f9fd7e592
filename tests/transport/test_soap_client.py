"""transport/soap_client over sockets: what is known of a request that was not answered, and whom it is sent to."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tests import certificates
from xdsi.domain.computing import OneComputes
from xdsi.domain.errors import MalformedMessage, SoapFault, Unavailable
from xdsi.exchange import Reply, Transaction
from xdsi.spec import namespaces as ns
from xdsi.storage.spool import SpoolFolder
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.transport import http_kept, soap_client
from xdsi.transport.pki import create_demonstration
from xdsi.transport.soap_client import SoapClient
from xdsi.transport.tls import TlsFiles, client_context, server_context
from xdsi.wire.message import Packaging, Payload

ANSWER = f'<s:Envelope xmlns:s="{ns.SOAP}"><s:Header/><s:Body><a/></s:Body></s:Envelope>'.encode()


class Peer(ThreadingHTTPServer):
    """Answers by a function, and notes what came over which connection."""

    daemon_threads = True

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.requests: list[tuple[str, int, bytes]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/services/registry?a=1"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go away; that is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, Peer)
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.client_address[1], body))
        self.server.answer(self)

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline(), 16)
        return self.rfile.read(size + 2)[:-2]

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[Peer]:
    with Peer(answer) as peer:
        thread = threading.Thread(target=peer.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield peer
        finally:
            peer.over.set()
            peer.shutdown()
            thread.join()


def says(status: int, body: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content_Type": "application/soap+xml", **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.fixture
def send(tmp_path: Path) -> Iterator[Callable[..., Reply]]:
    spools = SpoolFolder(tmp_path)
    clients: dict[str, SoapClient] = {}

    def send(
        url: str,
        packaging: Packaging = Packaging.SIMPLE,
        read_seconds: float = 30.0,
        transaction: Transaction[Any, Any] = iti42.TRANSACTION,
    ) -> Reply:
        client = clients.setdefault(url, SoapClient(url, make_spool=spools.open, read_seconds=read_seconds))
        return client.send(transaction, Payload((b"<q/>",)), packaging)

    yield send
    spools.close()


def test_who_waits_for_an_answer_lets_others_compute(send: Callable[..., Reply]) -> None:
    turns, held = OneComputes(patience=1000), []

    def answer(request: BaseHTTPRequestHandler) -> None:
        held.append(turns.held)
        says(200, ANSWER)(request)

    with answering(answer) as peer, turns.turn():
        send(peer.url)
    assert held == [False]


@pytest.mark.parametrize("packaging", Packaging)
def test_a_connection_is_kept_and_the_path_is_as_given(send: Callable[..., Reply], packaging: Packaging) -> None:
    with answering(says(200, ANSWER, Xdsi_Trace="12")) as peer:
        for _ in range(3):
            reply = send(peer.url, packaging)
            assert ([body.tag for body in reply.message.bodies], reply.trace) == (["a"], "12")
    assert {path for path, _, _ in peer.requests} == {"/services/registry?a=1"}
    assert len({port for _, port, _ in peer.requests}) == 1
    assert all(b"<soap:Body><q/></soap:Body>" in body for _, _, body in peer.requests)


@pytest.mark.parametrize(("idle", "connections"), [(3.9, 1), (4.0, 3)])
def test_a_connection_that_the_other_end_may_be_closing_is_not_used_again(
    send: Callable[..., Reply], monkeypatch: pytest.MonkeyPatch, idle: float, connections: int
) -> None:
    now = [1000.0]
    monkeypatch.setattr(http_kept, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with answering(says(200, ANSWER)) as peer:
        for _ in range(3):
            send(peer.url)
            now[0] += idle
    assert len({port for _, port, _ in peer.requests}) == connections
    # With TLS it is the same, and the certificate counts, too.
    assert issubclass(http_kept.TlsConnections.ConnectionCls, http_kept.Connections.ConnectionCls)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_is_sent_to_where_a_redirect_leads(send: Callable[..., Reply], status: int) -> None:
    with answering(says(200, ANSWER)) as other, answering(says(status, ANSWER, Location=other.url)) as peer:
        with pytest.raises(MalformedMessage, match=f"{status}, a redirect"):
            send(peer.url)
        assert len(peer.requests) == 1
        assert other.requests == []


def test_proxies_of_the_environment_are_not_asked(send: Callable[..., Reply], monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(says(200, ANSWER)) as proxy, answering(says(200, ANSWER)) as peer:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        send(peer.url)
        assert proxy.requests == []


def test_who_cannot_be_reached_did_nothing(send: Callable[..., Reply]) -> None:
    with answering(says(200, ANSWER)) as peer:
        url = peer.url
    with pytest.raises(Unavailable, match=r"cannot be reached: .*Connection refused") as caught:
        send(url)
    assert not caught.value.uncertain


def hangs_up(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True


def breaks_off(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: 1000\r\n\r\n<s:En")


def says_nothing(request: BaseHTTPRequestHandler) -> None:
    assert isinstance(request.server, Peer)
    request.server.over.wait(30)
    request.close_connection = True


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(hangs_up, "cannot be reached"), (breaks_off, "broke off its answer"), (says_nothing, "cannot be reached")],
)
def test_who_was_asked_and_did_not_answer_may_have_done_it(
    send: Callable[..., Reply], answer: Callable[[BaseHTTPRequestHandler], None], reason: str
) -> None:
    with answering(answer) as peer:
        with pytest.raises(Unavailable, match=reason) as caught:
            send(peer.url, read_seconds=0.2 if answer is says_nothing else 30.0)
        assert caught.value.uncertain
        assert len(peer.requests) == 1, "it is not sent again"


def test_a_question_is_asked_again_where_the_kept_connection_ended(send: Callable[..., Reply]) -> None:
    """A node ends kept connections with the certificates by which they were let in."""
    answers = iter([says(200, ANSWER), hangs_up, says(200, ANSWER), hangs_up, hangs_up])
    with answering(lambda request: next(answers)(request)) as peer:
        for packaging in Packaging:
            send(peer.url, packaging, transaction=iti18.TRANSACTION)
        assert len(peer.requests) == 3
        with pytest.raises(Unavailable):
            send(peer.url, transaction=iti18.TRANSACTION)
        assert len(peer.requests) == 5, "once more only"


def trickles(request: BaseHTTPRequestHandler) -> None:
    assert isinstance(request.server, Peer)
    request.close_connection = True
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: 1000\r\n\r\n")
    while not request.server.over.wait(0.05):
        request.wfile.write(b" ")


def test_who_answers_too_slowly_is_given_up(send: Callable[..., Reply]) -> None:
    with answering(trickles) as peer, pytest.raises(Unavailable, match="less than 1000 bytes a second"):
        send(peer.url, read_seconds=0.2)


def test_an_envelope_that_is_too_large_is_not_taken(
    send: Callable[..., Reply], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soap_client, "REPLY_LIMIT", 1_000_000)

    def without_end(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n\r\n")
        while True:
            request.wfile.write(bytes(65536))

    with answering(without_end) as peer, pytest.raises(MalformedMessage, match="too large"):
        send(peer.url)


def test_authorities_of_the_environment_are_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = certificates.authority("environment")
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    connections, _ = SoapClient("https://[2001:db8::1]/a", make_spool=SpoolFolder(tmp_path).open)._connections
    trusted = connections.conn_kw["ssl_context"].get_ca_certs(binary_form=True)
    assert trusted
    assert authority.cert_der not in trusted
    assert connections.host == "2001:db8::1"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (says(404, b"<html/>", Content_Type="text/html"), "HTTP status 404 and Content-Type 'text/html'"),
        (says(200, b"<html/>", Content_Type="text/html"), "HTTP status 200"),
        (says(500, ANSWER), "HTTP status 500 without a fault"),
    ],
)
def test_what_is_no_answer_is_told(
    send: Callable[..., Reply], answer: Callable[[BaseHTTPRequestHandler], None], error: str
) -> None:
    with answering(answer) as peer, pytest.raises((MalformedMessage, SoapFault), match=error):
        send(peer.url)


def ended_list(folder: Path) -> bytes:
    """A revocation list of the authority in a folder, out of date."""
    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    start = certificates.START
    made = x509.CertificateRevocationListBuilder().issuer_name(ca.subject).last_update(start)
    return made.next_update(start + timedelta(days=1)).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("lists", "alert"),
    [(ended_list, "CERTIFICATE_EXPIRED"), (lambda _: certificates.revocation_list("other-ca"), "UNKNOWN_CA")],
    ids=["ended", "missing"],
)
def test_a_list_at_the_other_end_may_be_why_a_certificate_is_not_welcome(
    tmp_path: Path, lists: Callable[[Path], bytes], alert: str
) -> None:
    """The alert is the one of a certificate that has ended itself, or is of no authority that is trusted there."""
    create_demonstration(tmp_path)
    (tmp_path / "ca.crl").write_bytes(lists(tmp_path))
    files = TlsFiles(certificate=tmp_path / "hub.pem", key=tmp_path / "hub.key", peer_ca=tmp_path / "ca.pem")
    theirs, ours = server_context(replace(files, crl=tmp_path / "ca.crl")), client_context(files)

    told_why = threading.Event()

    def refuse() -> None:
        connection, _ = listening.accept()
        with theirs.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as end:
            with suppress(ssl.SSLError):
                end.do_handshake()
            # What is closed at once may take the alert with it.
            told_why.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        waiting = threading.Thread(target=refuse)
        waiting.start()
        spools = SpoolFolder(tmp_path / "spool")
        client = SoapClient(f"https://127.0.0.1:{listening.getsockname()[1]}/a", make_spool=spools.open, tls=ours)
        with pytest.raises(Unavailable) as told:
            client.send(iti42.TRANSACTION, Payload((b"<q/>",)), Packaging.SIMPLE)
        told_why.set()
        waiting.join()
        spools.close()
    assert alert in str(told.value)
    assert "the revocation list that is kept there of its authority may have ended or be missing" in str(told.value)


def test_https_where_no_tls_is_spoken_is_told(tmp_path: Path) -> None:
    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(1)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            connection.recv(65536)

    spools = SpoolFolder(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        waiting = threading.Thread(target=answer)
        waiting.start()
        client = SoapClient(f"https://127.0.0.1:{listening.getsockname()[1]}/a", make_spool=spools.open)
        with pytest.raises(Unavailable, match="what answers there does not speak TLS"):
            client.send(iti42.TRANSACTION, Payload((b"<q/>",)), Packaging.SIMPLE)
        waiting.join()
    spools.close()
