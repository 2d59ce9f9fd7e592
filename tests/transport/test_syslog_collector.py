"""transport/syslog_collector: what it takes, what it refuses, and that one sender cannot harm the others."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.transport.audit_setting import MemoryStore, Pki, until
from xdsi.domain.errors import Refused
from xdsi.domain.subject import Node, Peer
from xdsi.transport.syslog_collector import Collector, CollectorLimits

HEADER = b"<85>1 2026-02-03T10:11:12.345Z a.example.org xds 4711 IHE+RFC-3881 - "


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@contextmanager
def collecting(certificates: Pki, store: MemoryStore, **options: Any) -> Iterator[Collector]:
    collector = Collector("127.0.0.1", 0, certificates.server(), store.store, refused=store.refused, **options)
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


@contextmanager
def connected(collector: Collector, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    plain = socket.create_connection(("127.0.0.1", collector.port), 30)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        yield connection


def framed(message: bytes) -> bytes:
    return b"%d %s" % (len(HEADER + message), HEADER + message)


def is_closed(connection: ssl.SSLSocket) -> bool:
    try:
        return connection.recv(1) == b""
    except OSError:
        return True


def test_a_message_is_stored_with_who_sent_it(certificates: Pki, store: MemoryStore) -> None:
    with (
        collecting(certificates, store) as collector,
        connected(collector, certificates.client("hub")) as connection,
    ):
        connection.sendall(framed(b"<AuditMessage/>") + framed(b"\xef\xbb\xbf<Other/>"))
        until(lambda: len(store.messages) == 2)
    assert store.messages == [b"<AuditMessage/>", b"<Other/>"]
    assert store.peers[0] == Peer(
        address="127.0.0.1",
        certificate_sha256=certificates.hub.sha256,
        certificate_subject="organizationName=xdsi demonstration, commonName=hub",
    )


def test_a_message_may_come_in_pieces(certificates: Pki, store: MemoryStore) -> None:
    with (
        collecting(certificates, store) as collector,
        connected(collector, certificates.client()) as connection,
    ):
        for octet in framed(b"<AuditMessage/>"):
            connection.sendall(bytes([octet]))
        until(lambda: store.messages == [b"<AuditMessage/>"])


def test_an_orderly_close_is_answered_after_everything_is_stored(certificates: Pki, store: MemoryStore) -> None:
    with (
        collecting(certificates, store) as collector,
        connected(collector, certificates.client()) as connection,
    ):
        connection.sendall(framed(b"<AuditMessage/>") * 100)
        connection.unwrap()
        assert len(store.messages) == 100


def test_what_has_no_syslog_header_is_kept_as_it_is(certificates: Pki, store: MemoryStore) -> None:
    with (
        collecting(certificates, store) as collector,
        connected(collector, certificates.client()) as connection,
    ):
        connection.sendall(b"15 <AuditMessage/>" + framed(b"next"))
        until(lambda: len(store.messages) == 2)
    assert store.messages == [b"<AuditMessage/>", b"next"]


@pytest.mark.parametrize("noise", [b"<AuditMessage/>", b"007 x", b"1000 ", b"99999999"])
def test_what_is_not_framed_is_refused(certificates: Pki, store: MemoryStore, noise: bytes) -> None:
    limits = CollectorLimits(frame=999)
    with collecting(certificates, store, limits=limits) as collector:
        with connected(collector, certificates.client()) as connection:
            connection.sendall(noise)
            assert is_closed(connection)
        with connected(collector, certificates.client()) as connection:
            connection.sendall(framed(b"<AuditMessage/>"))
            until(lambda: store.messages)
        until(lambda: store.refusals)
    assert "frame" in store.refusals[0][1]
    assert store.refusals[0][0].certificate_subject.endswith("hospital-a")


def test_a_record_that_cannot_be_stored_breaks_the_connection(certificates: Pki) -> None:
    store = MemoryStore(breaks_at=1)
    with (
        collecting(certificates, store) as collector,
        connected(collector, certificates.client()) as connection,
    ):
        connection.sendall(framed(b"1") + framed(b"2") + framed(b"3"))
        assert is_closed(connection)
    assert store.messages == [b"1"]


def test_a_peer_is_admitted_or_refused_by_name(certificates: Pki, store: MemoryStore) -> None:
    def admit(peer: Peer) -> Peer:
        if peer.certificate_sha256 != certificates.hub.sha256:
            raise Refused("not permitted ITI-20")
        return Peer(address=peer.address, node=Node(name="the hub"))

    with collecting(certificates, store, admit=admit) as collector:
        with connected(collector, certificates.client("hub")) as connection:
            connection.sendall(framed(b"1"))
            until(lambda: store.messages)
        with connected(collector, certificates.client()) as connection:
            connection.sendall(framed(b"2"))
            assert is_closed(connection)
    assert store.peers == [Peer(address="127.0.0.1", node=Node(name="the hub"))]
    assert [reason for _, reason in store.refusals] == ["not permitted ITI-20"]


def test_who_is_struck_from_the_nodes_sends_nothing_more(certificates: Pki, store: MemoryStore) -> None:
    struck: list[str] = []

    def admit(peer: Peer) -> Peer:
        if peer.certificate_sha256 in struck:
            raise Refused("not permitted ITI-20")
        return peer

    with (
        collecting(certificates, store, admit=admit) as collector,
        connected(collector, certificates.client("hub")) as connection,
    ):
        connection.sendall(framed(b"1"))
        until(lambda: store.messages)
        struck.append(certificates.hub.sha256)
        connection.sendall(framed(b"2"))
        assert is_closed(connection)
        until(lambda: store.refusals)
    assert store.messages == [b"1"]


def test_more_connections_than_allowed_are_closed(certificates: Pki, store: MemoryStore) -> None:
    with collecting(certificates, store, limits=CollectorLimits(connections=1)) as collector:
        with connected(collector, certificates.client()) as connection:
            connection.sendall(framed(b"1"))
            until(lambda: store.messages)
            with pytest.raises(OSError), connected(collector, certificates.client()):
                pass
            connection.sendall(framed(b"2"))
            until(lambda: len(store.messages) == 2)
        until(lambda: not collector._open)
        with connected(collector, certificates.client()) as connection:
            connection.sendall(framed(b"3"))
            until(lambda: len(store.messages) == 3)
    assert [reason for _, reason in store.refusals] == ["more than 1 connections"]


@pytest.mark.parametrize("stage", ["handshake", "frame", "idle"])
def test_a_sender_that_takes_too_long_is_cut_off(certificates: Pki, store: MemoryStore, stage: str) -> None:
    limits = CollectorLimits(
        handshake_seconds=0.2 if stage == "handshake" else 30,
        frame_seconds=0.2 if stage == "frame" else 30,
        idle_seconds=0.2 if stage == "idle" else 30,
    )
    with collecting(certificates, store, limits=limits) as collector:
        if stage == "handshake":
            with socket.create_connection(("127.0.0.1", collector.port), 30) as plain:
                assert plain.recv(1) == b""
        else:
            with connected(collector, certificates.client()) as connection:
                connection.sendall(b"500 <85>1" if stage == "frame" else framed(b"1"))
                assert is_closed(connection)


def test_the_context_may_be_chosen_for_each_connection(certificates: Pki, store: MemoryStore) -> None:
    contexts = [certificates.server("stranger"), certificates.server()]
    collector = Collector("127.0.0.1", 0, lambda: contexts[0], store.store, refused=store.refused)
    collector.start()
    with pytest.raises(ssl.SSLCertVerificationError), connected(collector, certificates.client()):
        pass
    del contexts[0]
    with connected(collector, certificates.client()) as connection:
        connection.sendall(framed(b"1"))
        until(lambda: store.messages)
    collector.stop()


@pytest.mark.parametrize("change", ["files", "time"])
def test_who_would_not_be_let_in_any_more_adds_no_record(
    certificates: Pki, store: MemoryStore, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other files of TLS, or a certificate that has ended: the sender comes again, and brings what was not taken."""
    contexts = [certificates.server()]
    collector = Collector("127.0.0.1", 0, lambda: contexts[0], store.store, refused=store.refused)
    collector.start()
    with connected(collector, certificates.client()) as connection:
        connection.sendall(framed(b"1"))
        until(lambda: store.messages)
        if change == "files":
            contexts[0] = certificates.server()
        else:
            monkeypatch.setattr("xdsi.transport.tls.time.time", lambda: time.monotonic() + 4e9)
        connection.sendall(framed(b"2"))
        assert is_closed(connection)
    collector.stop()
    assert store.messages == [b"1"]


def test_stopping_ends_every_connection(certificates: Pki, store: MemoryStore) -> None:
    with collecting(certificates, store) as collector:
        with connected(collector, certificates.client()) as connection:
            connection.sendall(framed(b"1"))
            until(lambda: store.messages)
            collector.stop()
            assert is_closed(connection)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", collector.port), 5)
    assert not collector._open
