"""transport/mllp: the server and the client, plain and over TLS."""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests.memory_identities import MemoryIdentities
from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import FeedEvent, PatientIdentityFeed
from xdsi.domain.subject import Peer
from xdsi.transactions import iti08_patient_identity_feed as iti08
from xdsi.transport import pki, tls
from xdsi.transport.mllp import Limits, MllpServer, send
from xdsi.wire import mllp

HOST = "127.0.0.1"


def echo(message: bytes, peer: Peer) -> bytes:
    if message == b"fail":
        raise RuntimeError("a handler with a defect")
    return b"ACK " + message


@pytest.fixture
def server() -> Iterator[MllpServer]:
    with MllpServer(HOST, 0, echo) as running:
        yield running


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, port), 10) as connection:
        yield connection


def receive(connection: socket.socket, count: int = 1) -> list[bytes]:
    """The next messages, fewer where the connection ends first."""
    deframer, found = mllp.Deframer(), []
    while len(found) < count:
        try:
            chunk = connection.recv(4096)
        except ConnectionResetError:
            break
        if not chunk:
            break
        found += deframer.feed(chunk)
    return found


def test_a_message_is_answered(server: MllpServer) -> None:
    assert send(HOST, server.port, b"MSH|1") == b"ACK MSH|1"
    assert send(HOST, server.port, b"MSH|2") == b"ACK MSH|2"


def test_several_messages_on_one_connection_are_answered_in_order(server: MllpServer) -> None:
    with connected(server.port) as connection:
        connection.sendall(mllp.frame(b"1") + mllp.frame(b"2") + b"\r\n" + mllp.frame(b"3")[:-1])
        assert receive(connection, 2) == [b"ACK 1", b"ACK 2"]
        connection.sendall(b"\r")
        assert receive(connection) == [b"ACK 3"]


def test_a_message_of_the_greatest_size_passes() -> None:
    with MllpServer(HOST, 0, lambda message, peer: str(len(message)).encode()) as server:
        assert send(HOST, server.port, b"x" * mllp.LIMIT) == b"1048576"
        with pytest.raises(Unavailable):
            send(HOST, server.port, b"x" * (mllp.LIMIT + 1))


def test_a_failing_handler_costs_one_connection_only(server: MllpServer, caplog: pytest.LogCaptureFixture) -> None:
    with connected(server.port) as other:
        with pytest.raises(Unavailable, match="without an answer"):
            send(HOST, server.port, b"fail")
        other.sendall(mllp.frame(b"still here"))
        assert receive(other) == [b"ACK still here"]
    assert "could not be handled" in caplog.text


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", b"\x0ba\x0bb\x1c\r", b"\x0b" + b"x" * 200])
def test_what_is_no_mllp_ends_its_connection_and_the_server_goes_on(junk: bytes) -> None:
    with MllpServer(HOST, 0, echo, limits=Limits(message_bytes=100)) as server:
        with connected(server.port) as connection:
            connection.sendall(junk)
            assert receive(connection) == []
        assert send(HOST, server.port, b"1") == b"ACK 1"


def test_messages_before_the_junk_are_answered(server: MllpServer) -> None:
    with connected(server.port) as connection:
        connection.sendall(mllp.frame(b"1") + b"junk")
        assert receive(connection, 2) == [b"ACK 1"]


@pytest.mark.parametrize("begun", [b"", b"\x0bMSH"])
def test_a_slow_sender_is_cut(begun: bytes) -> None:
    with MllpServer(HOST, 0, echo, limits=Limits(idle=0.05, message=0.05)) as server, connected(server.port) as slow:
        slow.sendall(begun)
        assert receive(slow) == []


def test_a_sender_that_trickles_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    stop = threading.Event()
    with MllpServer(HOST, 0, echo, limits=Limits(message=0.2)) as server, connected(server.port) as slow:

        def trickle() -> None:
            with contextlib.suppress(OSError):
                slow.sendall(b"\x0b")
                while not stop.wait(0.02):
                    slow.sendall(b"x")

        sender = threading.Thread(target=trickle)
        sender.start()
        try:
            assert receive(slow) == []
        finally:
            stop.set()
            sender.join()
    assert "too slow" in caplog.text


def test_a_connection_too_many_is_closed_and_reported() -> None:
    refused: queue.Queue[str] = queue.Queue()
    server = MllpServer(
        HOST,
        0,
        echo,
        limits=Limits(connections=1),
        on_refused=lambda peer, why: refused.put(f"{peer.address} {why}"),
    )
    with server, connected(server.port) as first:
        first.sendall(mllp.frame(b"1"))
        assert receive(first) == [b"ACK 1"]
        with connected(server.port) as second:
            assert receive(second) == []
        assert refused.get(timeout=10) == "127.0.0.1 more than 1 connections"
        first.sendall(mllp.frame(b"2"))
        assert receive(first) == [b"ACK 2"]


def test_stopping_lets_a_message_in_hand_be_answered() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(message: bytes, peer: Peer) -> bytes:
        entered.set()
        go_on.wait(10)
        return b"done"

    server = MllpServer(HOST, 0, slow)
    server.start()
    with connected(server.port) as busy, connected(server.port) as idle:
        busy.sendall(mllp.frame(b"1"))
        assert entered.wait(10)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert receive(idle) == []
        go_on.set()
        assert receive(busy, 2) == [b"done"]
        stopping.join(10)
        assert not stopping.is_alive()


def test_a_stopped_server_can_start_again() -> None:
    server = MllpServer(HOST, 0, echo)
    server.stop()
    for _ in range(2):
        server.start()
        port = server.port
        assert send(HOST, port, b"1") == b"ACK 1"
        server.stop()
        with pytest.raises(Unavailable):
            send(HOST, port, b"1", timeout=5)
    with pytest.raises(RuntimeError):
        assert server.port


@contextlib.contextmanager
def answering(*pieces: bytes) -> Iterator[int]:
    """A peer that takes one connection and sends these bytes, whatever it is sent."""
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                for piece in pieces:
                    connection.sendall(piece)
                if not pieces:
                    connection.recv(100)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_the_client_refuses_an_answer_that_is_none() -> None:
    with answering(b"HTTP/1.1 400\r\n") as port, pytest.raises(MalformedMessage):
        send(HOST, port, b"1", timeout=5)
    with answering(b"\x0bhalf an answer") as port, pytest.raises(Unavailable, match="without an answer"):
        send(HOST, port, b"1", timeout=5)


def test_the_client_does_not_wait_forever() -> None:
    with answering() as port, pytest.raises(Unavailable):
        send(HOST, port, b"1", timeout=0.05)


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pki.Credential]:
    folder: Path = tmp_path_factory.mktemp("pki")
    authority = pki.create_authority(folder)
    other = pki.create_authority(folder, "other")
    return {
        "ca": authority,
        "hub": pki.issue_node(authority, folder, "hub"),
        "hospital": pki.issue_node(authority, folder, "hospital"),
        "stranger": pki.issue_node(other, folder, "stranger"),
    }


def files(credentials: dict[str, pki.Credential], name: str) -> tls.TlsFiles:
    own = credentials[name]
    return tls.TlsFiles(certificate=own.certificate_file, key=own.key_file, peer_ca=credentials["ca"].certificate_file)


@pytest.fixture
def secured(credentials: dict[str, pki.Credential]) -> Iterator[tuple[MllpServer, queue.Queue[Peer], queue.Queue[str]]]:
    peers: queue.Queue[Peer] = queue.Queue()
    refused: queue.Queue[str] = queue.Queue()

    def handler(message: bytes, peer: Peer) -> bytes:
        peers.put(peer)
        return echo(message, peer)

    with MllpServer(
        HOST,
        0,
        handler,
        tls.ReloadingContext(files(credentials, "hub")),
        limits=Limits(handshake=5),
        on_refused=lambda peer, reason: refused.put(reason),
    ) as server:
        yield server, peers, refused


Secured = tuple[MllpServer, "queue.Queue[Peer]", "queue.Queue[str]"]


def test_over_tls_the_peer_is_known_by_its_certificate(
    secured: Secured, credentials: dict[str, pki.Credential]
) -> None:
    server, peers, _ = secured
    context = tls.client_context(files(credentials, "hospital"))
    assert send(HOST, server.port, b"1", context) == b"ACK 1"
    peer = peers.get(timeout=10)
    assert peer.certificate_sha256 == credentials["hospital"].sha256
    assert "hospital" in peer.certificate_subject
    assert peer.address == HOST


@pytest.mark.parametrize("name", ["", "stranger"])
def test_over_tls_a_client_without_a_trusted_certificate_is_refused(
    secured: Secured, credentials: dict[str, pki.Credential], name: str
) -> None:
    server, peers, refused = secured
    if name:
        context = tls.client_context(files(credentials, name))
    else:
        context = ssl.create_default_context(cafile=str(credentials["ca"].certificate_file))
    with pytest.raises(Unavailable):
        send(HOST, server.port, b"1", context, timeout=10)
    reason = refused.get(timeout=10)
    assert reason.startswith("TLS")
    assert ("certificate shown, not proved: subject" in reason) is bool(name)
    assert not name or reason.endswith(f"SHA-256 {credentials[name].sha256}")
    assert peers.empty()
    # The next one is served.
    good = tls.client_context(files(credentials, "hospital"))
    assert send(HOST, server.port, b"2", good) == b"ACK 2"


def test_who_would_not_be_let_in_any_more_changes_nothing(
    credentials: dict[str, pki.Credential], tmp_path: Path
) -> None:
    """A feed's connection lasts for days; what it sends after the authorities changed is not even looked at."""
    ca = tmp_path / "authorities.pem"
    ca.write_bytes(credentials["ca"].certificate_file.read_bytes())
    heard: list[bytes] = []

    def handler(message: bytes, peer: Peer) -> bytes:
        heard.append(message)
        return echo(message, peer)

    current = tls.ReloadingContext(replace(files(credentials, "hub"), peer_ca=ca))
    with MllpServer(HOST, 0, handler, current) as server:
        plain = socket.create_connection((HOST, server.port), timeout=10)
        context = tls.client_context(files(credentials, "hospital"))
        with context.wrap_socket(plain, server_hostname=HOST) as feed:
            feed.sendall(mllp.frame(b"1"))
            assert feed.recv(100) == mllp.frame(b"ACK 1")
            ca.write_bytes(credentials["stranger"].certificate_file.read_bytes() + b"\n")
            feed.sendall(mllp.frame(b"2"))
            assert feed.recv(100) == b""
    assert heard == [b"1"]


def test_over_tls_plain_text_is_refused(secured: Secured) -> None:
    server, peers, refused = secured
    with pytest.raises(Unavailable):
        send(HOST, server.port, b"MSH|^~\\&|ADT|HOSPITAL", timeout=10)
    assert refused.get(timeout=10).startswith("TLS")
    assert peers.empty()


def test_the_client_refuses_a_server_of_another_authority(credentials: dict[str, pki.Credential]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials["stranger"].certificate_file, credentials["stranger"].key_file)
    with (
        MllpServer(HOST, 0, echo, context) as server,
        pytest.raises(Unavailable, match="certificate verify failed"),
    ):
        send(HOST, server.port, b"1", tls.client_context(files(credentials, "hospital")))


def test_a_handshake_that_never_comes_delays_nobody(
    credentials: dict[str, pki.Credential], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    context = tls.server_context(files(credentials, "hub"))
    with (
        MllpServer(HOST, 0, echo, context, limits=Limits(handshake=0.3)) as server,
        connected(server.port) as silent,
    ):
        assert send(HOST, server.port, b"1", tls.client_context(files(credentials, "hospital"))) == b"ACK 1"
        assert receive(silent) == []
    assert "TLS handshake" in caplog.text


def test_a_patient_identity_feed_over_tls(credentials: dict[str, pki.Credential]) -> None:
    store = MemoryIdentities()
    serve = partial(iti08.handle, identities=store, domain_authority="2.999.3")
    now = datetime(2025, 3, 4, tzinfo=UTC)
    server = MllpServer(
        HOST, 0, lambda raw, peer: iti08.respond(raw, serve, now), tls.server_context(files(credentials, "hub"))
    )
    with server:
        context = tls.client_context(files(credentials, "hospital"))
        deliver = partial(send, HOST, server.port, ssl_context=context)
        assert b"MSA|AE" in deliver(b"this is no HL7")
        patient = PatientId("1", "2.999.3")
        event = PatientIdentityFeed(kind=FeedEvent.ADD, patients=(patient,), message_id="M1")
        assert iti08.feed(event, deliver).accepted
    assert store.known(patient)
