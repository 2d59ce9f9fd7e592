"""transport/http_server: one peer does not keep the others waiting, and a connection ends where it is said to end."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import requests

from xdsi.transport.http_server import HttpServer

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


def _serve(port: int, ready: Any) -> None:
    HttpServer(lambda: _application, address="127.0.0.1", port=port, tls=None, when_ready=ready.set).run()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_serve, args=(number, ready))
    process.start()
    assert ready.wait(30)
    yield number
    process.terminate()
    process.join(30)


def test_connection_close_of_the_application_is_announced_and_kept(port: int) -> None:
    with requests.Session() as session:
        assert session.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE).headers["Connection"] == "keep-alive"
        assert session.get(f"http://127.0.0.1:{port}/close", timeout=PATIENCE).headers["Connection"] == "close"
        assert session.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE).text == "ok"


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
