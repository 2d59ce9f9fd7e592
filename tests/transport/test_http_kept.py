"""A kept connection sends what the library would, at once, and reads answers as the library does."""

from __future__ import annotations

import socket
from http.client import HTTPException, HTTPResponse
from typing import Any

import pytest

from xdsi.transport import http_kept
from xdsi.transport.http_kept import Connections

PLAIN = b"HTTP/1.1 200 OK\r\nServer: any\r\nContent-Type: text/xml; charset=UTF-8\r\nContent-Length: 4\r\n"
HEADS = {
    "plain": PLAIN + b"\r\nbody",
    "plain, and more": PLAIN + b"\r\nbodyHTTP/1.1 500 Another\r\n\r\n",
    "no reason": b"HTTP/1.1 500 \r\nContent-Length:4\r\n\r\nbody",
    "no space before the reason": b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nbody",
    "spaces": b"HTTP/1.1 200  All  right \r\nContent-Length:   4\r\nX:  a b  \r\nY:\r\n\r\nbody",
    "closes": PLAIN + b"CONNECTION: Keep-Alive, Close\r\n\r\nbody",
    "ends early": PLAIN + b"\r\nbo",
    "nothing": b"",
    "half a head": PLAIN,
    "no length": b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nbody",
    "no headers": b"HTTP/1.1 200 OK\r\n\r\nbody",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "two lengths": PLAIN + b"Content-length: 5\r\n\r\nbody5",
    "a wrong length": b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nbody",
    "a length in words": b"HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nbody",
    "a length without end": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nbody",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    "chunks and a length": PLAIN + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    "folded": PLAIN + b"X: a\r\n b\r\n\r\nbody",
    "folded at once": b"HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 4\r\n\r\nbody",
    "repeated": PLAIN + b"X: a\r\nx: b\r\n\r\nbody",
    "two connections": PLAIN + b"Connection: keep-alive\r\nConnection: close\r\n\r\nbody",
    "no name": PLAIN + b": a\r\n\r\nbody",
    "a space in a name": PLAIN + b"X : a\r\nZ: c\r\n\r\nbody",
    "no colon": PLAIN + b"X\r\nZ: c\r\n\r\nbody",
    "a tab": PLAIN + b"X:\ta\tb\r\n\r\nbody",
    "beyond ASCII": PLAIN + b"X: \xe9\x85\r\n\r\nbody",
    "controls": PLAIN + b"X: a\x0bb\x1cc\x00\r\n\r\nbody",
    "a bare return": PLAIN + b"X: a\rY: b\r\n\r\nbody",
    "bare line feeds": PLAIN.replace(b"\r\n", b"\n") + b"\nbody",
    "continued": b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN + b"\r\nbody",
    "continued with a length": b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n" + PLAIN + b"\r\nbody",
    "other information": b"HTTP/1.1 103 Early\r\nContent-Length: 4\r\n\r\n" + PLAIN + b"\r\nbody",
    "no content": b"HTTP/1.1 204 None\r\nContent-Length: 4\r\n\r\nbody",
    "not modified": b"HTTP/1.1 304 None\r\nContent-Length: 4\r\n\r\nbody",
    "HTTP/1.0": PLAIN.replace(b"1.1", b"1.0") + b"\r\nbody",
    "HTTP/1.2": PLAIN.replace(b"1.1", b"1.2", 1) + b"\r\nbody",
    "HTTP/2.0": PLAIN.replace(b"1.1", b"2.0") + b"\r\nbody",
    "no HTTP": b"220 mail.example ESMTP\r\n\r\n",
    "no status": b"HTTP/1.1 2OO OK\r\nContent-Length: 4\r\n\r\nbody",
    "99 lines": PLAIN + b"".join(b"X-%d: a\r\n" % number for number in range(96)) + b"\r\nbody",
    "100 lines": PLAIN + b"".join(b"X-%d: a\r\n" % number for number in range(97)) + b"\r\nbody",
    "more than is read at once": PLAIN + b"X: " + b"a" * 9000 + b"\r\n\r\nbody",
    "a line without end": PLAIN + b"X: " + b"a" * 70000 + b"\r\n\r\nbody",
}


def read(kind: type[HTTPResponse], raw: bytes, method: str) -> dict[str, Any]:
    """All that is known of an answer once it was read."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(raw)
        theirs.close()
        answer = kind(ours, method=method)
        try:
            answer.begin()
            known = {
                name: getattr(answer, name)
                for name in ("status", "version", "reason", "chunked", "length", "will_close")
            }
            assert answer.msg is answer.headers
            return {
                **known,
                "headers": answer.msg.items(),
                "defects": [str(defect) for defect in answer.msg.defects],
                "body": [answer.read1(3), answer.read1(3), answer.read1(3)],
                "closed": answer.isclosed(),
            }
        except HTTPException as error:
            return {"error": repr(error)}
        finally:
            answer.close()


@pytest.mark.parametrize("method", ["POST", "HEAD"])
@pytest.mark.parametrize("raw", HEADS.values(), ids=list(HEADS))
def test_an_answer_is_read_as_by_the_library(raw: bytes, method: str) -> None:
    assert read(Connections.ConnectionCls.response_class, raw, method) == read(HTTPResponse, raw, method)


def test_a_plain_head_takes_no_parser_for_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(HTTPResponse, "begin")
    assert read(Connections.ConnectionCls.response_class, HEADS["plain"], "POST")["status"] == 200


class Sent(list[bytes]):
    """A socket that only takes."""

    sendall = list.append

    def settimeout(self, _: object) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def sent(body: Any, headers: dict[str, str] | None = None) -> list[bytes]:
    connection = Connections.ConnectionCls("registry.example", 8080)
    connection.sock = taken = Sent()  # type: ignore[assignment]
    connection.request("POST", "/a?b", body=body, headers=headers or {"Accept": "text/xml"})
    return taken


def test_a_small_request_is_sent_at_once_and_says_what_it_said_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    together = sent(b"<body/>")
    monkeypatch.setattr(http_kept, "_TOGETHER", 6)
    apart = sent(b"<body/>")
    assert (len(together), len(apart)) == (1, 2)
    assert together[0] == b"".join(apart)
    assert together[0].startswith(b"POST /a?b HTTP/1.1\r\nHost: registry.example:8080\r\n")
    assert sent(iter((b"<body/>",)))[1:] == [b"7\r\n<body/>\r\n", b"0\r\n\r\n"]


def test_a_request_that_is_none_leaves_nothing_for_the_next_one() -> None:
    connection = Connections.ConnectionCls("registry.example", 8080)
    connection.sock = taken = Sent()  # type: ignore[assignment]
    with pytest.raises(ValueError, match="Invalid header value"):
        connection.request("POST", "/", body=b"1", headers={"Accept": "text/xml\r\nHost: other"})
    connection.close()
    connection.sock = taken  # type: ignore[assignment]
    connection.request("POST", "/", body=b"2", headers={})
    assert [whole[-1:] for whole in taken] == [b"2"]
