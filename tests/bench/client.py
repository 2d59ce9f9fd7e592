"""A load generator for what wrk cannot do: raw sockets, a client certificate, a thread for each connection."""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.bench.hub import tls_files
from xdsi.transport.tls import client_context

PROCESSES = 2
_BUFFER = 64 * 1024


class Connection:
    """One kept connection that asks again as soon as it has the answer."""

    def __init__(self, port: int, pki: Path | None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if pki is not None:
            context = client_context(tls_files(pki, "consumer"))
            self._socket = context.wrap_socket(self._socket, server_hostname="localhost")
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)

    def ask(self, request: bytes) -> bool:
        """Send a request and read the whole answer; True for a success."""
        self._socket.sendall(request)
        filled, head = 0, -1
        while head < 0:
            received = self._socket.recv_into(self._view[filled:])
            if not received:
                return False
            filled += received
            head = self._buffer.find(b"\r\n\r\n", 0, filled)
        headers = bytes(self._view[:head]).lower()
        at = headers.index(b"content-length:") + 15
        left = int(headers[at:].split(b"\r\n", 1)[0]) - (filled - head - 4)
        while left > 0:
            received = self._socket.recv_into(self._buffer)
            if not received:
                return False
            left -= received
        return headers.startswith(b"http/1.1 200 ")


def _process(given: argparse.Namespace, requests: list[bytes], number: int, ready: Any, results: Any) -> None:
    count = given.connections // PROCESSES
    connections = [Connection(given.port, given.pki) for _ in range(count)]
    totals = [0] * count
    errors = [0] * count
    ready.wait()
    until = time.perf_counter() + given.seconds

    def run(index: int) -> None:
        at = (number * count + index) * 7
        while time.perf_counter() < until:
            at += 1
            if connections[index].ask(requests[at % len(requests)]):
                totals[index] += 1
            else:
                errors[index] += 1
                return

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((sum(totals), sum(errors)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--pki", type=Path)
    parser.add_argument("--header", default="", help="one more line of each request's head")
    parser.add_argument("messages", nargs="+", type=Path)
    given = parser.parse_args()
    requests = []
    for file in given.messages:
        body = file.read_bytes()
        head = f"POST {given.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/soap+xml; charset=UTF-8\r\n"
        head += f"{given.header}\r\n" if given.header else ""
        requests.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    processes = multiprocessing.get_context("fork")
    ready, results = processes.Barrier(PROCESSES + 1), processes.Queue()
    started = [
        processes.Process(target=_process, args=(given, requests, number, ready, results))
        for number in range(PROCESSES)
    ]
    for process in started:
        process.start()
    ready.wait()
    began = time.perf_counter()
    found = [results.get(timeout=given.seconds + 30) for _ in started]
    seconds = time.perf_counter() - began
    for process in started:
        process.join()
    sys.stdout.write(f"{sum(count for count, _ in found)} {seconds} {sum(errors for _, errors in found)}\n")


if __name__ == "__main__":
    main()
