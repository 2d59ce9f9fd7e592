"""Files asked for ahead: in order and whole, or left to the usual way; never more than a few waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from xdsi.transport.http_ahead import CONNECTIONS, SMALL, Place
from xdsi.transport.http_client import HttpAccess, HttpClient


class Archive(ThreadingHTTPServer):
    """Keeps connections; what it answers is said by path, else the path itself as content."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        self.heads: list[dict[str, str]] = []
        self.connections: set[Any] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections are ended at will."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Archive

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.heads.append(dict(self.headers.items()))
        self.server.connections.add(self.client_address)
        self.server.answers.get(self.path, plain)(self)

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""


def plain(handler: BaseHTTPRequestHandler) -> None:
    send(handler, handler.path.encode() * 100)


def send(handler: BaseHTTPRequestHandler, content: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    given = {"Content-Type": "application/dicom", "Content-Length": str(len(content))} | headers
    for name, value in given.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def cut(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"x" * 10, Content_Length="500")
    handler.close_connection = True


def chunked(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"3\r\nabc\r\n0\r\n\r\n")


def longer_than_said(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"x" * 20, Content_Length="10")


def garbage(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n\r\n")
    handler.close_connection = True


@pytest.fixture
def archive() -> Iterator[Archive]:
    server = Archive()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def paths(count: int) -> list[str]:
    return [f"/file/{number}" for number in range(count)]


def answers(archive: Archive, *places: Place, access: HttpAccess | None = None) -> list[bytes | None]:
    client = HttpClient(archive.url, access or HttpAccess(read_seconds=5))
    return [one.content if one is not None else None for one in client.ahead(places, "application/dicom")]


def test_files_come_in_order_over_a_few_kept_connections(archive: Archive) -> None:
    wanted = paths(50)
    assert answers(archive, *(Place(one, 700) for one in wanted)) == [one.encode() * 100 for one in wanted]
    assert sorted(archive.asked) == sorted(wanted), "each once"
    assert len(archive.connections) <= CONNECTIONS


def test_credentials_and_what_is_wanted_are_said_each_time(archive: Archive) -> None:
    answers(archive, *(Place(one, 700) for one in paths(3)), access=HttpAccess(user="xdsi", password="secret"))
    assert {(one["Authorization"], one["Accept"], one["Accept-Encoding"]) for one in archive.heads} == {
        ("Basic eGRzaTpzZWNyZXQ=", "application/dicom", "identity")
    }


@pytest.mark.parametrize("size", [0, SMALL + 1])
def test_a_file_that_is_large_or_of_unknown_size_is_not_asked_for_ahead(archive: Archive, size: int) -> None:
    assert answers(archive, Place("/file/0", 700), Place("/large", size), Place("/file/1", 700)) == [
        b"/file/0" * 100, None, b"/file/1" * 100,
    ]  # fmt: skip
    assert "/large" not in archive.asked


@pytest.mark.parametrize(
    "answer",
    [
        cut,
        chunked,
        longer_than_said,
        garbage,
        lambda handler: send(handler, b"busy", 503),
        lambda handler: send(handler, b"gone", 404),
        lambda handler: send(handler, b"x", Content_Encoding="gzip"),
        lambda handler: send(handler, b"x", content_length="2"),
    ],
)
def test_what_is_not_a_plain_whole_answer_is_left_to_the_usual_way(
    archive: Archive, answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    archive.answers["/file/2"] = answer
    wanted = paths(8)
    found = answers(archive, *(Place(one, 700) for one in wanted))
    assert found == [None if one == "/file/2" else one.encode() * 100 for one in wanted]


def test_a_server_that_ends_each_connection_is_served_by_new_ones(archive: Archive) -> None:
    wanted = paths(9)
    for one in wanted:
        archive.answers[one] = lambda handler: send(handler, b"x", Connection="close")
    assert answers(archive, *(Place(one, 1) for one in wanted)) == [b"x"] * 9
    assert len(archive.connections) == 9


def test_a_server_that_never_answers_plainly_is_not_asked_everything_twice(archive: Archive) -> None:
    wanted = paths(100)
    archive.answers |= dict.fromkeys(wanted, chunked)
    assert answers(archive, *(Place(one, 700) for one in wanted)) == [None] * 100
    assert len(archive.asked) <= 3 + CONNECTIONS


def test_a_server_that_is_away_is_left_to_the_usual_way() -> None:
    away = HttpClient("http://127.0.0.1:9", HttpAccess(connect_seconds=1))
    assert list(away.ahead([Place("/file/0", 5)], "*/*")) == [None]


def test_few_files_wait_and_none_once_nobody_wants_them(archive: Archive) -> None:
    """However many files follow, only as many are asked for as there are connections."""
    coming = HttpClient(archive.url, HttpAccess(read_seconds=5)).ahead([Place(one, 700) for one in paths(500)], "*/*")
    assert next(coming) is not None
    del coming
    assert len(archive.asked) <= 1 + CONNECTIONS


def test_no_path_can_end_a_line_of_the_request(archive: Archive) -> None:
    assert answers(archive, Place("/file/0 HTTP/1.1\r\nX: y", 700)) == [None]
    assert archive.asked == []
