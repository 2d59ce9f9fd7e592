"""Sends documents: one from a file with as little work as possible, and many small ones over kept connections."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

from tests.bench.hub import tls_files
from tests.bench.messages import FIRST, Provided
from tests.bench.processes import Server
from xdsi.transport.tls import client_context

_PATH = "/services/repository"


def _head(content_type: str, length: int) -> bytes:
    head = (
        f"POST {_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    )
    return head.encode()


def _connection(server: Server, pki: Path | None) -> socket.socket:
    """To a server; with TLS as a hospital whose certificate lies in a folder."""
    made = socket.create_connection(("127.0.0.1", server.port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if pki is None:
        return made
    return client_context(tls_files(pki, "hospital-a")).wrap_socket(made, server_hostname="127.0.0.1")


def upload(server: Server, message: Provided, number: int, content: Path, pki: Path | None = None) -> float:
    """Provide a file; seconds from the connection to the end of the answer."""
    before, after = message.around(number)
    size = content.stat().st_size
    began = time.perf_counter()
    with _connection(server, pki) as connection, content.open("rb") as file:
        connection.sendall(_head(message.content_type, len(before) + size + len(after)) + before)
        connection.sendfile(file)
        connection.sendall(after)
        answer = _answer(connection)
    seconds = time.perf_counter() - began
    _require_success(answer)
    return seconds


def at_once(server: Server, message: Provided, numbers: range, content: Path) -> None:
    """Provide a file several times at the same time."""
    failed: list[BaseException] = []

    def one(number: int) -> None:
        try:
            upload(server, message, number, content)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def small_ones(
    server: Server, message: Provided, content: bytes, numbers: range, connections: int, pki: Path | None = None
) -> float:
    """Provide a small document under each number, over so many connections; documents a second."""
    todo = iter(numbers)
    turn = threading.Lock()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with _connection(server, pki) as connection:
                while True:
                    with turn:
                        number = next(todo, None)
                    if number is None:
                        return
                    before, after = message.around(number)
                    body = before + content.replace(*_numbers(number)) + after
                    connection.sendall(_head(message.content_type, len(body)) + body)
                    _require_success(_answer(connection))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if failed:
        raise failed[0]
    return len(numbers) / seconds


def _numbers(number: int) -> tuple[bytes, bytes]:
    return str(FIRST).encode(), str(FIRST + number).encode()


def _answer(connection: socket.socket) -> bytes:
    received = bytearray()
    while b"\r\n\r\n" not in received:
        if not (data := connection.recv(65536)):
            raise RuntimeError(f"no answer: {bytes(received)!r}")
        received += data
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    lines = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    left = int(lines[b"content-length"]) - len(body)
    while left > 0 and (data := connection.recv(65536)):
        received += data
        left -= len(data)
    return bytes(received)


def _require_success(answer: bytes) -> None:
    if b"ResponseStatusType:Success" not in answer:
        raise RuntimeError(answer[:3000].decode(errors="replace"))
