"""Requests that are made to be read in two ways, and text that is made to be read slowly."""

from __future__ import annotations

import importlib
import pkgutil
import re
import socket

import pytest

import xdsi
from tests.servers import Server

TWO_LENGTHS = (
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length: -5\r\n",
    "Content-Length: 5\r\n 6\r\n",
    "Content-Length: \u0665\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: \x0bchunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "X: y\nTransfer-Encoding: chunked\r\n",
    "X: y\rContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
)
ONE_LENGTH = ("Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n")


@pytest.mark.parametrize("lengths", TWO_LENGTHS)
def test_a_request_with_two_lengths_is_no_request(open_server: Server, lengths: str) -> None:
    """Nothing that follows it on the connection is taken for another request."""
    answer = _answers(open_server, lengths, path="/services/registry")
    assert b'"live"' not in answer
    assert not answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("lengths", ONE_LENGTH)
def test_behind_a_request_with_one_length_another_may_follow(open_server: Server, lengths: str) -> None:
    assert b'"live"' in _answers(open_server, lengths, path="/validator", method="GET")


def _answers(server: Server, lengths: str, *, path: str, method: str = "POST") -> bytes:
    """What comes back on a connection for a request with these lengths, and another behind it."""
    smuggled = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/soap+xml\r\n{lengths}\r\n"
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"0\r\n\r\n" + smuggled)
        connection.shutdown(socket.SHUT_WR)
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            pass
    return answer


def patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Every pattern that a module keeps."""
    found: dict[str, re.Pattern[str]] = {}
    for module in pkgutil.walk_packages(xdsi.__path__, "xdsi."):
        if module.name.endswith("__main__") or ".migrations" in module.name:
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                found.setdefault(value.pattern, value)
    return sorted(found.items())


@pytest.mark.parametrize(
    "hostile", ["1", "1.", "0.0", "a", " ", "^", "&", "-", "a-", "'", "\\", "<", "%", "\t\n", "=;"]
)
def test_no_pattern_takes_long(hostile: str) -> None:
    """A pattern that goes back and forth over its input would not come to an end before the test's time is over."""
    text = hostile * (3000 // len(hostile)) + "\0"
    for _, pattern in patterns():
        pattern.fullmatch(text)
        pattern.match(text)
        pattern.search(text)
