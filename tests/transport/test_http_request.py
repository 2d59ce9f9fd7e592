"""A request with a plain head is what gunicorn makes of it, and any other is left to gunicorn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from xdsi.transport.http_request import PlainRequest

LINE = b"POST /services/registry?a=b HTTP/1.1\r\n"
FIELDS = b'Host: hub.example:8080\r\nContent-Type: text/xml; a="b c"\r\nContent-Length: 4\r\n'
PLAIN = LINE + FIELDS + b"\r\nbodyGET"
BYTES = b'\0\t\n\r !"#%/:;?_{\x7f\x80\xffaZ0'
"""each takes the place of each byte of a head, and stands before it"""
HEADS = {
    "nothing": b"",
    "plain": PLAIN,
    "no length": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "no headers": b"GET / HTTP/1.1\r\n\r\n",
    "an empty line before": b"\r\n" + PLAIN,
    "an empty query": PLAIN.replace(b"a=b", b""),
    "two questions": PLAIN.replace(b"a=b", b"a?b/c"),
    "a fragment": PLAIN.replace(b"a=b", b"a#b"),
    "two slashes": PLAIN.replace(b" /s", b" //s"),
    "three slashes": PLAIN.replace(b" /s", b" ///a?b///s"),
    "slashes within": PLAIN.replace(b" /s", b" /a//b:c//s"),
    "brackets": PLAIN.replace(b" /s", b" /[s"),
    "all characters": PLAIN.replace(b" /s", b" /" + bytes(set(range(0x21, 0x7F)) - set(b"#?"))),
    "a whole address": PLAIN.replace(b" /", b" http://hub.example/"),
    "options": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "connect": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "another method": PLAIN.replace(b"POST", b"PATCH"),
    "HTTP/1.0": PLAIN.replace(b"/1.1", b"/1.0"),
    "HTTP/2.0": PLAIN.replace(b"/1.1", b"/2.0"),
    "values with spaces": LINE + b"Host:a\r\nX:   b  c  \r\nY:\r\nZ:  \r\n\r\n",
    "a value with a colon": LINE + b"Host: a:b:c\r\n\r\n",
    "no host": LINE + b"X: y\r\n\r\n",
    "two hosts": LINE + b"Host: a\r\nhost: b\r\n\r\n",
    "two lengths": LINE + FIELDS + b"Content-Length: 4\r\n\r\nbody",
    "repeated": LINE + b"Cookie: a\r\nX: y\r\nCookie: b\r\n\r\n",
    "a wrong length": PLAIN.replace(b"Length: 4", b"Length: +4"),
    "a length below zero": PLAIN.replace(b"Length: 4", b"Length: -4"),
    "chunks": LINE + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    "chunks and a length": LINE + FIELDS + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    "chunks twice": LINE + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
    "another coding": LINE + b"Transfer-Encoding: br\r\n\r\n",
    "closes": LINE + b"Connection: Close\r\n\r\n",
    "expects": LINE + FIELDS + b"Expect: 100-Continue\r\n\r\nbody",
    "expects something else": LINE + FIELDS + b"Expect: much\r\n\r\nbody",
    "of a scheme": LINE + b"X-Forwarded-Proto: https\r\n\r\n",
    "of two schemes": LINE + b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n\r\n",
    "an underscore": LINE + b"X_Client: a\r\n\r\n",
    "folded": LINE + b"Host: a\r\n b\r\n\r\n",
    "folded at once": LINE + b" Host: a\r\n\r\n",
    "as many headers as may be": LINE + b"".join(b"X-%d: a\r\n" % number for number in range(100)) + b"\r\n",
    "a header more": LINE + b"".join(b"X-%d: a\r\n" % number for number in range(101)) + b"\r\n",
    "a long target": PLAIN.replace(b"a=b", b"a" * 8000),
    "too long a target": PLAIN.replace(b"a=b", b"a" * 9000),
    "a long value": LINE + b"X: " + b"a" * 9000 + b"\r\n\r\n",
    "half a head": LINE + FIELDS,
    "half a line": LINE[:20],
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


def config() -> Config:
    made = Config()
    made.set("limit_request_fields", 100)
    made.set("limit_request_field_size", 8190)
    return made


CONFIG = config()


def read(kind: type[Request], pieces: list[bytes], peer: str) -> dict[str, Any]:
    """All that is known of a request, and what is left of it."""
    unreader = IterUnreader(iter(pieces))
    try:
        request = kind(CONFIG, unreader, (peer, 1234))
    except (Exception, StopIteration) as error:
        return {"error": (type(error), str(error))}
    names = ("method", "uri", "path", "query", "fragment", "version", "headers", "scheme", "_expected_100_continue")
    try:
        body = request.body.read()
    except Exception as error:
        body = repr(error)
    return {
        **{name: getattr(request, name) for name in names},
        "body": (type(request.body.reader), body),
        "closes": request.should_close(),
        "left": unreader.take_buffered() + b"".join(unreader.iter or ()),
    }


def same(pieces: list[bytes], peer: str = "127.0.0.1") -> None:
    assert read(PlainRequest, pieces, peer) == read(Request, pieces, peer), pieces


def changed(raw: bytes) -> Iterator[bytes]:
    """A message with each byte of its head left out, another, or with one before it."""
    for at in range(raw.index(b"\r\n\r\n") + 4):
        yield raw[:at] + raw[at + 1 :]
        for byte in BYTES:
            yield raw[:at] + bytes((byte,)) + raw[at + 1 :]
            yield raw[:at] + bytes((byte,)) + raw[at:]


@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.1"])
@pytest.mark.parametrize("raw", HEADS.values(), ids=list(HEADS))
def test_a_request_is_read_as_by_gunicorn(raw: bytes, peer: str) -> None:
    same([raw], peer)


def test_a_request_with_any_other_byte_is_read_as_by_gunicorn() -> None:
    for raw in changed(PLAIN):
        same([raw])


def test_a_request_in_two_pieces_is_read_as_by_gunicorn() -> None:
    for at in range(1, len(PLAIN)):
        same([PLAIN[:at], PLAIN[at:]])


def test_a_plain_head_takes_none_of_gunicorns_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Request, "parse")
    found = read(PlainRequest, [PLAIN], "127.0.0.1")
    assert (found["path"], found["query"], found["left"]) == ("/services/registry", "a=b", b"GET")
