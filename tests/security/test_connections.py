"""Who has shown no certificate, or says nothing, holds no thread of the server."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import certificates
from xdsi.domain.subject import Peer
from xdsi.transport.http_pace import Deadlines
from xdsi.transport.http_server import HttpServer
from xdsi.transport.peers import peer_of_socket
from xdsi.transport.tls import TlsFiles, client_context, fingerprint

THREADS = 2
# More than the threads; and far longer than an answer takes, far less than the server waits for who is silent.
SILENT, PATIENCE, OPENING = 8, 20.0, 60.0


def _application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    try:
        environ["wsgi.input"].read(1000)
    except OSError:
        start_response("400 Bad Request", [("Content-Length", "0"), ("Connection", "close")])
        return []
    if environ["PATH_INFO"] == "/large":
        start_response("200 OK", [("Content-Length", str(64 * 1024**2))])
        return iter([bytes(1024**2)] * 64)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def _serve(port: int, files: TlsFiles, deadlines: Deadlines, ready: Any) -> None:
    logging.basicConfig(level=logging.INFO)
    HttpServer(
        lambda: _application,
        address="127.0.0.1",
        port=port,
        tls=files,
        threads=THREADS,
        when_ready=ready.set,
        deadlines=deadlines,
    ).run()


def _files(folder: Path) -> TlsFiles:
    (folder / "ca.pem").write_bytes(certificates.authority("nodes").cert_pem)
    node = certificates.identity("node", "2048", issuer="nodes")
    (folder / "node.pem").write_bytes(node.cert_pem)
    (folder / "node.key").write_bytes(node.key_pem)
    return TlsFiles(certificate=folder / "node.pem", key=folder / "node.key", peer_ca=folder / "ca.pem")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return _files(tmp_path_factory.mktemp("pki"))


def _running(files: TlsFiles, deadlines: Deadlines) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_serve, args=(number, files, deadlines, ready))
    process.start()
    try:
        assert ready.wait(30)
        yield number
    finally:
        process.terminate()
        process.join(30)


_server = contextlib.contextmanager(_running)


@pytest.fixture(scope="module")
def port(files: TlsFiles) -> Iterator[int]:
    yield from _running(files, Deadlines(opening_seconds=OPENING))


@pytest.fixture(scope="module")
def hasty_port(files: TlsFiles) -> Iterator[int]:
    yield from _running(files, Deadlines(opening_seconds=0.2))


@pytest.fixture
def impatient_port(files: TlsFiles) -> Iterator[int]:
    yield from _running(files, Deadlines(grace_seconds=0.2, minimum_bytes_per_second=1.0))


def _connected(port: int, files: TlsFiles) -> ssl.SSLSocket:
    context = client_context(files)
    context.check_hostname = False
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))


def _answer(port: int, files: TlsFiles) -> bytes:
    with _connected(port, files) as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return one.recv(1000)


@pytest.mark.parametrize(
    "said", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], ids=["nothing", "a byte", "half a hello"]
)
def test_unfinished_handshakes_keep_nobody_waiting(port: int, files: TlsFiles, said: bytes) -> None:
    held = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(SILENT)]
    try:
        for one in held:
            one.sendall(said)
        assert _answer(port, files).startswith(b"HTTP/1.1 200")
    finally:
        for one in held:
            one.close()


def test_nodes_that_ask_nothing_keep_nobody_waiting(port: int, files: TlsFiles) -> None:
    held = [_connected(port, files) for _ in range(SILENT)]
    try:
        assert _answer(port, files).startswith(b"HTTP/1.1 200")
    finally:
        for one in held:
            one.close()


def test_who_does_not_finish_the_handshake_is_disconnected(hasty_port: int) -> None:
    with socket.create_connection(("127.0.0.1", hasty_port), timeout=PATIENCE) as one:
        one.sendall(b"\x16")
        assert one.recv(1000) == b""


@pytest.mark.parametrize(
    "body", [b"ZZ\r\nhello\r\n", b"5;" + b"a" * 100_000, b"5\r\nhelloXX", b"0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"],
    ids=["no size", "long extension", "no end", "many trailers"],
)  # fmt: skip
def test_chunks_that_are_none_are_the_senders_fault(port: int, files: TlsFiles, body: bytes) -> None:
    with _connected(port, files) as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        assert one.recv(1000).startswith(b"HTTP/1.1 400")


def test_slow_senders_leave_threads_for_others(impatient_port: int, files: TlsFiles) -> None:
    held = [_connected(impatient_port, files) for _ in range(SILENT)]
    over = threading.Event()

    def trickle() -> None:
        while not over.wait(0.05):
            for one in held:
                with contextlib.suppress(OSError):
                    one.sendall(b"x")

    for one in held:
        one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    sender = threading.Thread(target=trickle)
    sender.start()
    try:
        assert _answer(impatient_port, files).startswith(b"HTTP/1.1 200")
    finally:
        over.set()
        sender.join()
        for one in held:
            one.close()


BEGUN = {
    "a byte": b"P",
    "no body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
}


@pytest.mark.parametrize("said", BEGUN.values(), ids=BEGUN)
def test_nodes_that_begin_a_request_and_fall_silent_leave_threads_for_others(
    port: int, files: TlsFiles, said: bytes
) -> None:
    _answered_beside(port, files, said)


def _answered_beside(port: int, files: TlsFiles, said: bytes) -> None:
    """One more than there are threads say this and no more; another one is answered all the same."""
    with contextlib.ExitStack() as held:
        for _ in range(THREADS + 1):
            held.enter_context(_connected(port, files)).sendall(said)
        assert _answer(port, files).startswith(b"HTTP/1.1 200")


def test_who_falls_silent_is_a_line_of_the_log(files: TlsFiles, capfd: pytest.CaptureFixture[str]) -> None:
    with _server(files, Deadlines(idle_seconds=0.2)) as port:
        for said in BEGUN.values():
            with _connected(port, files) as one:
                one.sendall(said)
                while one.recv(1000):
                    pass
    told = capfd.readouterr().err
    assert told.count("127.0.0.1: connection given up: nothing came") == 2
    assert "Traceback" not in told


LARGE = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"


def test_nodes_that_take_nothing_of_their_answers_leave_threads_for_others(port: int, files: TlsFiles) -> None:
    _answered_beside(port, files, LARGE)


def test_who_takes_nothing_of_his_answer_is_a_line_of_the_log(
    files: TlsFiles, capfd: pytest.CaptureFixture[str]
) -> None:
    """And an answer goes on for as long as some of it is taken."""
    with _server(files, Deadlines(write_seconds=0.2)) as port:
        with _connected(port, files) as one:
            one.sendall(LARGE)
            come, until = 0, time.monotonic() + PATIENCE
            told = ""
            while "nothing was taken" not in told and time.monotonic() < until:
                time.sleep(0.05)
                told += capfd.readouterr().err
            while more := one.recv(1024**2):
                come += len(more)
            assert 0 < come < 64 * 1024**2
        with _connected(port, files) as one:
            one.sendall(LARGE)
            come = 0
            while come < 64 * 1024**2:
                come += len(one.recv(1024**2))
    told += capfd.readouterr().err
    assert told.count("127.0.0.1: connection given up: nothing was taken") == 1
    assert "Traceback" not in told


def test_a_peer_that_went_away_is_nobody(files: TlsFiles) -> None:
    here, there = socket.socketpair()
    with here:
        there.close()
        gone = client_context(files).wrap_socket(here, server_hostname="localhost", do_handshake_on_connect=False)
        with gone:
            assert peer_of_socket(gone, "192.0.2.1", {}) == Peer(address="192.0.2.1")


def _visit(folder: Path) -> tuple[TlsFiles, TlsFiles, Callable[[], None]]:
    """A server's files with a revocation list, those of a node that it lets in, and how that one is revoked."""
    crl = folder / "nodes.crl"
    crl.write_bytes(certificates.revocation_list("nodes"))
    own = _files(folder)
    client = certificates.identity("visitor", "2048", issuer="nodes")
    (folder / "visitor.pem").write_bytes(client.cert_pem)
    (folder / "visitor.key").write_bytes(client.key_pem)
    visitor = replace(own, certificate=folder / "visitor.pem", key=folder / "visitor.key")

    def revoke() -> None:
        fresh = folder / "fresh.crl"
        fresh.write_bytes(certificates.revocation_list("nodes", client))
        fresh.replace(crl)

    return replace(own, crl=crl), visitor, revoke


def test_who_is_revoked_is_refused_by_the_server_that_runs(tmp_path: Path) -> None:
    """The operator puts the authority's new list in place; the next connection is refused, without a restart."""
    own, visitor, revoke = _visit(tmp_path)
    with _server(own, Deadlines(opening_seconds=OPENING)) as port:
        assert _answer(port, visitor).startswith(b"HTTP/1.1 200")
        revoke()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            assert _answer(port, visitor)
        assert _answer(port, own).startswith(b"HTTP/1.1 200")


def _ask(one: ssl.SSLSocket) -> bytes:
    """What is answered on a connection that is kept; nothing where it is closed."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"ok") and (more := one.recv(1000)):
            answer += more
        return answer
    return b""


def test_who_is_revoked_asks_nothing_more_on_the_connection_that_he_has(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whether he asks again at once, or not before the server has closed what nobody used; the log tells it."""
    own, visitor, revoke = _visit(tmp_path)
    with _server(own, Deadlines(opening_seconds=OPENING)) as port:
        with _connected(port, visitor) as busy, _connected(port, visitor) as idle, _connected(port, visitor) as silent:
            assert all(_ask(one).startswith(b"HTTP/1.1 200") for one in (busy, busy, idle))
            revoke()
            assert _ask(busy) == b""
            assert idle.recv(1000) == b""
            assert _ask(silent) == b"", "let in before, and never asked"
        assert _answer(port, own).startswith(b"HTTP/1.1 200")
    told = [line for line in capfd.readouterr().err.splitlines() if "who was let in has to come again" in line]
    der = ssl.PEM_cert_to_DER_cert(visitor.certificate.read_text("ascii"))
    assert len(told) == 3
    assert all("127.0.0.1" in line and "visitor" in line and fingerprint(der) in line for line in told)
