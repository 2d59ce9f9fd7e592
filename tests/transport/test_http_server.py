"""transport/http_server: one peer does not keep the others waiting, and a connection ends where it is said to end."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from gunicorn.config import Config
from gunicorn.http.wsgi import Response

from tests import certificates
from xdsi.transport import http_server
from xdsi.transport.http_server import HttpServer
from xdsi.transport.tls import TlsFiles, client_context

# Each waits two seconds in gunicorn; together far longer than any request may take here.
LINGERING = 30
PATIENCE = 20.0
AT_ONCE = 1024 * 1024


def _application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = [("Content-Type", "text/plain"), ("Content-Length", "2")]
    if environ["PATH_INFO"] == "/close":
        headers.append(("Connection", "close"))
    if environ["PATH_INFO"] == "/hash":
        found = hashlib.sha256()
        sizes = []
        while data := environ["wsgi.input"].read(AT_ONCE):
            found.update(data)
            sizes.append(len(data))
        assert all(size == AT_ONCE for size in sizes[:-1])
        headers[-1] = ("Content-Length", "64")
        start_response("200 OK", headers)
        return [found.hexdigest().encode()]
    start_response("200 OK", headers)
    return [b"ok"]


def _serve(port: int, tls: TlsFiles | None, ready: Any) -> None:
    threads = 16
    if tls is not None:
        # Who stays with a connection does so for good.
        threads, http_server._STAY_MILLISECONDS = 2, 1_000_000
    server = HttpServer(
        lambda: _application, address="127.0.0.1", port=port, tls=tls, threads=threads, when_ready=ready.set
    )
    server.run()


@contextmanager
def served(tls: TlsFiles | None = None) -> Iterator[tuple[int, Any]]:
    """The port and the process of a server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_serve, args=(number, tls, ready))
    process.start()
    assert ready.wait(30)
    try:
        yield number, process
    finally:
        process.terminate()
        process.join(30)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served() as (number, _):
        yield number


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """The files of the server below."""
    folder = tmp_path_factory.mktemp("tls")
    node = certificates.identity("node", "2048", issuer="ca")
    tls = TlsFiles(certificate=folder / "node.pem", key=folder / "node.key", peer_ca=folder / "ca.pem")
    tls.certificate.write_bytes(node.cert_pem)
    tls.key.write_bytes(node.key_pem)
    tls.peer_ca.write_bytes(certificates.authority("ca").cert_pem)
    return tls


@pytest.fixture(scope="module")
def patient(tls: TlsFiles) -> Iterator[Callable[[], socket.socket]]:
    """Connects to a server of two threads, over TLS, which stay with their connections as long as they may."""
    context = client_context(tls)
    context.check_hostname = False
    with served(tls) as (number, _):
        yield lambda: context.wrap_socket(socket.create_connection(("127.0.0.1", number), timeout=PATIENCE))


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def answered(connection: socket.socket, times: int = 1) -> bytes:
    """So many answers of two bytes, or what came until the connection ended."""
    answers = b""
    while answers.count(b"\r\n\r\nok") < times and (data := connection.recv(10_000)):
        answers += data
    return answers


def test_connection_close_of_the_application_is_announced_and_kept(port: int) -> None:
    with requests.Session() as session:
        assert session.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE).headers["Connection"] == "keep-alive"
        assert session.get(f"http://127.0.0.1:{port}/close", timeout=PATIENCE).headers["Connection"] == "close"
        assert session.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE).text == "ok"


class _Sent(list[bytes]):
    """A connection: what was sent on it, piece by piece."""

    is_slow = False

    def sendall(self, data: bytes) -> None:
        self.append(bytes(data))

    def connected(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("method", "body", "pieces"),
    [("POST", [b"ok"], ["head+ok"]), ("HEAD", [b"ok"], ["head+"]), ("POST", [b"o", b"k"], ["head+", "o", "k"])],
)
def test_a_small_answer_leaves_together_with_its_head(method: str, body: list[bytes], pieces: list[str]) -> None:
    sent = _Sent()
    unreader = SimpleNamespace(sock=sent)
    request = SimpleNamespace(method=method, version=(1, 1), headers=[], unreader=unreader, should_close=lambda: False)
    response = Response(request, None, Config())

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return body

    for piece in http_server._heeding_close(application)({"wsgi.input": None}, response.start_response):
        response.write(piece)
    response.close()

    head = sent[0].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.count(b"Content-Length: 2\r\n") == 1
    assert [one.replace(head, b"head+").decode() for one in sent] == pieces


def test_peers_that_do_not_close_keep_nobody_waiting(port: int) -> None:
    held = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(LINGERING)]
    try:
        for one in held:
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for one in held:
            assert one.recv(1000).startswith(b"HTTP/1.1 200")
        with requests.Session() as session:
            assert session.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE).text == "ok"
    finally:
        for one in held:
            one.close()


@pytest.mark.parametrize("size", [0, 1, 1000, AT_ONCE - 1, AT_ONCE, 3 * AT_ONCE + 17])
def test_a_body_arrives_as_it_was_sent_and_the_connection_goes_on(port: int, size: int) -> None:
    body = os.urandom(size)
    head = f"POST /hash HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        # The next request comes along with the end of this one.
        connection.sendall(head + body + head + body)
        answers = b""
        while answers.count(hashlib.sha256(body).hexdigest().encode()) < 2 and (data := connection.recv(10_000)):
            answers += data
    assert answers.count(b"HTTP/1.1 200") == 2
    assert answers.count(hashlib.sha256(body).hexdigest().encode()) == 2


def test_a_body_in_chunks_arrives_as_it_was_sent(port: int) -> None:
    pieces = [os.urandom(size) for size in (1, 70_000, 2 * AT_ONCE, 3)]
    with requests.Session() as session:
        answer = session.post(f"http://127.0.0.1:{port}/hash", data=iter(pieces), timeout=PATIENCE)
    assert answer.text == hashlib.sha256(b"".join(pieces)).hexdigest()


# -- threads that stay with a connection which they answered


def test_a_thread_that_stays_with_a_connection_keeps_nobody_waiting(patient: Callable[[], socket.socket]) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(patient()) for _ in range(6)]
        for _ in range(3):
            for one in connections:
                one.sendall(GET)
                assert answered(one).endswith(b"ok")


def test_a_thread_that_stays_answers_nobody_who_may_not_stay(
    patient: Callable[[], socket.socket], tls: TlsFiles
) -> None:
    """The server's files changed between two requests that one thread would have answered."""
    with patient() as one:
        for _ in range(2):
            one.sendall(GET)
            assert answered(one).endswith(b"ok")
        changed = tls.peer_ca.stat().st_mtime_ns + 1_000_000_000
        os.utime(tls.peer_ca, ns=(changed, changed))
        with suppress(ConnectionError, ssl.SSLError):
            one.sendall(GET)
            assert answered(one) == b""
    with patient() as again:
        again.sendall(GET)
        assert answered(again).endswith(b"ok")


@contextmanager
def worker_with_connection() -> Iterator[tuple[Any, Any, socket.socket]]:
    """A worker of two threads that does not run, a connection of it, and the other end of that."""
    config = Config()
    config.set("threads", 2)
    worker = http_server.Worker(1, os.getpid(), [], None, 30, config, None)
    worker._wanted.make()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        own, address = listener.accept()
    with client, own:
        yield worker, http_server._Connection(config, own, address, own.getsockname()), client
    worker._wanted.close()
    worker.tmp.close()


@pytest.mark.parametrize(
    ("engaged", "alive", "sent", "stays"),
    [
        pytest.param(2, True, b"", False, id="nothing comes"),
        pytest.param(2, True, GET, True, id="the next request comes"),
        pytest.param(3, True, GET, False, id="another waits for a thread"),
        pytest.param(2, False, GET, False, id="the worker stops"),
    ],
)
def test_a_thread_stays_for_the_next_request_unless_it_is_wanted(
    engaged: int, alive: bool, sent: bytes, stays: bool
) -> None:
    with worker_with_connection() as (worker, connection, client):
        worker.alive = alive
        worker._engage(engaged)
        connection.init()
        client.sendall(sent)
        assert worker._next(connection) is stays


@pytest.mark.parametrize("stops", [False, True], ids=["another waits", "the worker stops"])
def test_a_thread_that_stays_leaves_at_once_when_it_is_wanted(monkeypatch: pytest.MonkeyPatch, *, stops: bool) -> None:
    monkeypatch.setattr(http_server, "_STAY_MILLISECONDS", 1_000_000)
    with worker_with_connection() as (worker, connection, _):
        worker._engage(2)
        connection.init()
        worker.method_queue.init()
        stayed: list[bool] = []
        thread = threading.Thread(target=lambda: stayed.append(worker._next(connection)))
        thread.start()
        if stops:
            worker.handle_exit(15, None)
        else:
            worker._engage(1)
        thread.join(PATIENCE)
        assert stayed == [False]
        worker.method_queue.close()


def test_who_is_woken_because_he_was_wanted_does_not_stay_with_one_who_asked_nothing() -> None:
    with worker_with_connection() as (worker, connection, _):
        connection.init()
        # The flag went up, and was put down for another who left, after this thread woke up and before it looked.
        os.write(worker._wanted._ends[1], b"!")
        assert worker._next(connection) is False


def test_nobody_stays_in_a_worker_that_lost_its_arbiter() -> None:
    with worker_with_connection() as (worker, connection, client):
        connection.init()
        client.sendall(GET)
        worker.log, worker.ppid = logging.getLogger("test"), os.getppid()
        assert (worker.is_parent_alive(), worker._next(connection)) == (True, True)
        worker.ppid = -1
        assert (worker.is_parent_alive(), worker._next(connection)) == (False, False)


def test_a_worker_keeps_the_values_of_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server.gthread.ThreadWorker, "init_process", lambda _worker: None)
    with worker_with_connection() as (worker, _, _):
        worker._wanted.close()
        worker.init_process()
        given = {name: setting.get() for name, setting in worker.cfg.settings.items()}
        assert {name: vars(worker.cfg)[name] for name in given} == given
        assert worker.cfg.threads == 2
        assert not worker.cfg.is_ssl


def test_who_has_a_thread_or_waits_for_one_is_counted_until_it_is_given_back() -> None:
    with worker_with_connection() as (worker, connection, client):
        worker.tpool, worker.nr_conns = worker.get_thread_pool(), 1
        worker.method_queue.init()
        worker._engage(2)
        client.close()
        worker.enqueue_req(connection)
        assert (worker._engaged, worker._wanted.up) == (3, True)
        with selectors.DefaultSelector() as poller:
            poller.register(worker.method_queue.fileno(), selectors.EVENT_READ)
            assert poller.select(PATIENCE)
            worker.method_queue.run_callbacks(None)
            assert (worker._engaged, worker._wanted.up, worker.nr_conns) == (2, False, 0)
            poller.register(worker._wanted, selectors.EVENT_READ)
            assert not poller.select(0)
        worker.tpool.shutdown()
        worker.method_queue.close()


@pytest.mark.parametrize("first", [8192, 10_000], ids=["left with TLS", "read by gunicorn"])
def test_a_request_that_came_with_the_last_one_is_answered(patient: Callable[[], socket.socket], first: int) -> None:
    # One record of TLS, of which gunicorn asks for 8192 bytes at once: what is left is in no socket.
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    length = first - len(head % 1000)
    both = head % length + b"x" * length + GET
    with patient() as stayed_with, patient() as other:
        for connection in (stayed_with, other):
            connection.sendall(both)
            assert answered(connection, 2).count(b"HTTP/1.1 200") == 2


def test_more_connections_than_threads_are_all_served(port: int) -> None:
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) for _ in range(100)
        ]
        for _ in range(5):
            for one in connections:
                one.sendall(GET)
            for one in connections:
                assert answered(one).endswith(b"ok")


def test_a_peer_that_closes_after_its_answer_leaves_the_thread_to_others(patient: Callable[[], socket.socket]) -> None:
    for _ in range(6):
        with patient() as connection:
            connection.sendall(GET)
            assert answered(connection).endswith(b"ok")


def test_a_server_that_stops_answers_what_was_asked_and_says_that_it_closes() -> None:
    last: list[bytes] = []
    with served() as (port, process), ExitStack() as stack:
        asked = threading.Barrier(5)

        def ask(connection: socket.socket) -> None:
            connection.sendall(GET)
            answer = answered(connection)
            asked.wait(PATIENCE)
            while answer and b"Connection: close" not in answer:
                connection.sendall(GET)
                answer = answered(connection)
            last.append(answer)

        connections = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(4)]
        threads = [threading.Thread(target=ask, args=(stack.enter_context(one),)) for one in connections]
        for thread in threads:
            thread.start()
        asked.wait(PATIENCE)
        process.terminate()
        for thread in threads:
            thread.join()
        process.join(30)
        assert process.exitcode == 0
    assert len(last) == 4
    assert all(answer.endswith(b"ok") for answer in last)
