"""The multipart reader: what senders send, in whatever pieces it arrives, and what is refused."""

from __future__ import annotations

import base64
import re
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdsi.domain.errors import MalformedMessage
from xdsi.wire import multipart
from xdsi.wire.multipart import (
    MultipartLimits,
    MultipartReader,
    PartData,
    PartEnd,
    PartStart,
    parse_content_type,
)

CONTENT_TYPE = 'multipart/related; type="application/xop+xml"; start="<root@x>"; boundary="B"'
ROOT = b"--B\r\nContent-Type: application/xop+xml\r\nContent-ID: <root@x>\r\n\r\n<envelope/>"
PART = b"--B\r\nContent-Type: application/dicom\r\nContent-ID: <1@x>\r\n\r\n%b"
MESSAGE = b"\r\n".join((ROOT, PART % b"one\r\n--\r\n", b"--B--\r\n"))
LINE_FEEDS = MESSAGE.replace(b"\r\n", b"\n")


@dataclass(frozen=True)
class Part:
    start: PartStart
    data: bytes


def read(
    chunks: Iterable[bytes | bytearray], content_type: str = CONTENT_TYPE, limits: MultipartLimits | None = None
) -> list[Part]:
    """All parts of a message, checking that its events come in order."""
    reader = MultipartReader(content_type, limits)
    events = [event for chunk in chunks for event in reader.feed(chunk)] + reader.close()
    parts: list[Part] = []
    is_open = False
    for event in events:
        assert isinstance(event, PartStart) is not is_open
        if isinstance(event, PartStart):
            parts.append(Part(event, b""))
        elif isinstance(event, PartData):
            assert len(event.data)
            parts[-1] = replace(parts[-1], data=parts[-1].data + event.data)
        is_open = not isinstance(event, PartEnd)
    assert not is_open
    return parts


def read_whole(raw: bytes, content_type: str = CONTENT_TYPE, limits: MultipartLimits | None = None) -> list[Part]:
    """The parts, which must be the same when the message comes byte by byte."""
    parts = read([raw], content_type, limits)
    assert read((raw[at : at + 1] for at in range(len(raw))), content_type, limits) == parts
    return parts


def test_reads_a_message() -> None:
    root, part = read_whole(MESSAGE)
    assert root == Part(
        PartStart(
            "root@x",
            "application/xop+xml",
            "binary",
            True,
            {"content-type": "application/xop+xml", "content-id": "<root@x>"},
        ),
        b"<envelope/>",
    )
    assert (part.start.content_id, part.start.content_type, part.start.is_root) == ("1@x", "application/dicom", False)
    assert part.data == b"one\r\n--\r\n"


def message(*parts: bytes, boundary: bytes = b"B") -> bytes:
    """A message from header blocks with data."""
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"


LIMITS = MultipartLimits(parts=3, headers=4, header_block=120, preamble=10, epilogue=10, root=20, part=30, message=600)
ROOT_PART = b"Content-Type: application/xop+xml\r\nContent-ID: <root@x>\r\n\r\n<envelope/>"

# How stacks in use write it: (Content-Type, message, data of each part, number of the root).
FORMS = {
    "no CRLF at the end": (CONTENT_TYPE, MESSAGE[:-2], [b"<envelope/>", b"one\r\n--\r\n"], 0),
    "half a CRLF at the end": (CONTENT_TYPE, MESSAGE[:-1], [b"<envelope/>", b"one\r\n--\r\n"], 0),
    "no CRLF before the closing boundary": (
        CONTENT_TYPE,
        ROOT + b"\r\n" + PART % b"one" + b"--B--\r\n",
        [b"<envelope/>", b"one"],
        0,
    ),
    "no CRLF before nor after it": (CONTENT_TYPE, ROOT + b"--B--", [b"<envelope/>"], 0),
    "preamble and epilogue": (
        CONTENT_TYPE,
        b"hello\r\n" + MESSAGE + b"bye\r\n--B\r\n",
        [b"<envelope/>", b"one\r\n--\r\n"],
        0,
    ),
    "line feeds alone, as files and scripts have them": (
        CONTENT_TYPE,
        b"hello\n" + LINE_FEEDS + b"bye\n",
        [b"<envelope/>", b"one\n--\n"],
        0,
    ),
    "line feeds alone, and none at the end": (CONTENT_TYPE, LINE_FEEDS[:-1], [b"<envelope/>", b"one\n--\n"], 0),
    "empty line first": (CONTENT_TYPE, b"\r\n" + MESSAGE, [b"<envelope/>", b"one\r\n--\r\n"], 0),
    "padding after boundaries": (
        CONTENT_TYPE,
        MESSAGE.replace(b"--B\r\n", b"--B \t\r\n").replace(b"--B--", b"--B-- "),
        [b"<envelope/>", b"one\r\n--\r\n"],
        0,
    ),
    "empty part": (CONTENT_TYPE, message(ROOT_PART, b"Content-ID: <1>\r\n\r\n"), [b"<envelope/>", b""], 0),
    "empty part without an empty line of its own": (
        CONTENT_TYPE,
        message(ROOT_PART, b"Content-ID: <1>\r\n"),
        [b"<envelope/>", b""],
        0,
    ),
    "only a root": (CONTENT_TYPE, message(ROOT_PART), [b"<envelope/>"], 0),
    "root is not the first": (CONTENT_TYPE, message(b"Content-ID: <1>\r\n\r\n1", ROOT_PART), [b"1", b"<envelope/>"], 1),
    "no start: the first is the root": (
        'multipart/related; type="application/xop+xml"; boundary="B"',
        message(b"Content-Type: application/xop+xml\r\n\r\n<a/>", b"Content-ID: 1\r\n\r\n1"),
        [b"<a/>", b"1"],
        0,
    ),
    "empty start": ('multipart/related; start=""; boundary=B', message(ROOT_PART), [b"<envelope/>"], 0),
    "start without brackets": ("multipart/related;start=root@x;boundary=B", message(ROOT_PART), [b"<envelope/>"], 0),
    "start in single quotes": (
        "Multipart/Related; START='<root@x>'; Boundary=B ;start-info='application/soap+xml'",
        message(ROOT_PART),
        [b"<envelope/>"],
        0,
    ),
    "Content-ID without brackets": (
        CONTENT_TYPE,
        message(ROOT_PART.replace(b"<root@x>", b" root@x ")),
        [b"<envelope/>"],
        0,
    ),
    "folded header, names in capitals": (
        CONTENT_TYPE,
        message(
            b'CONTENT-TYPE: application/xop+xml; charset=UTF-8;\r\n\ttype="application/soap+xml"\r\n'
            b"CONTENT-ID:<root@x>\r\nCONTENT-TRANSFER-ENCODING: 8BIT\r\n\r\n<envelope/>"
        ),
        [b"<envelope/>"],
        0,
    ),
    "WCF": (
        'multipart/related; type="application/xop+xml";start="<http://tempuri.org/0>";boundary="uuid:6a43+id=17";'
        'start-info="application/soap+xml"; action="urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"',
        message(
            b"Content-ID: <http://tempuri.org/0>\r\nContent-Transfer-Encoding: 8bit\r\n"
            b'Content-Type: application/xop+xml;charset=utf-8;type="application/soap+xml"\r\n\r\n<s/>',
            b"Content-ID: <http://tempuri.org/1/636>\r\nContent-Transfer-Encoding: binary\r\n"
            b"Content-Type: application/octet-stream\r\n\r\n\x00\x01",
            boundary=b"uuid:6a43+id=17",
        ),
        [b"<s/>", b"\x00\x01"],
        0,
    ),
    "a SOAP root as it is": (
        CONTENT_TYPE,
        message(ROOT_PART.replace(b"xop+xml", b"soap+xml; a=b")),
        [b"<envelope/>"],
        0,
    ),
    "base64": (
        CONTENT_TYPE,
        message(ROOT_PART, b"Content-ID: <1>\r\nContent-Transfer-Encoding: Base64\r\n\r\nb25l\r\n\r\nIGEgYg==\r\n"),
        [b"<envelope/>", b"one a b"],
        0,
    ),
    "empty base64": (
        CONTENT_TYPE,
        message(ROOT_PART, b"Content-ID: <1>\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
        [b"<envelope/>", b""],
        0,
    ),
    "base64 root": (
        CONTENT_TYPE,
        message(ROOT_PART.replace(b"\r\n\r\n<envelope/>", b"\r\nContent-Transfer-Encoding: base64\r\n\r\nPGEvPg==")),
        [b"<a/>"],
        0,
    ),
}


@pytest.mark.parametrize(("content_type", "raw", "data", "root"), FORMS.values(), ids=FORMS.keys())
def test_takes_every_form_in_use(content_type: str, raw: bytes, data: list[bytes], root: int) -> None:
    parts = read_whole(raw, content_type)
    assert [part.data for part in parts] == data
    assert [number for number, part in enumerate(parts) if part.start.is_root] == [root]


# Data that looks like a boundary and is none: a boundary stands at the start of a line and fills it.
LOOK_ALIKES = [
    b"--B",
    b"x--B\r\n",
    b"x--B--\r\n",
    b"\r\n--BB\r\n",
    b"\r\n--B-\r\n",
    b"\r\n--B-x",
    b"\r\n--B--x\r\n",
    b"\r\n--B---\r\n",
    b"\r\n--B\n",
    b"\r\n--B\r\r\n",
    b"\n--B\r\n",
    b"\r--B\r\n",
    b"\r\n-B\r\n",
    b"\r\n --B\r\n",
    b"\r\n--b\r\n",
    b"\r\n--\r\nB\r\n",
    b"\r\n--B" + b" " * 65 + b"\r\n",
    b"\r\r\n--Bx\r\n\r\n--B\t--\r\n",
]


@pytest.mark.parametrize("data", LOOK_ALIKES)
def test_look_alikes_are_data(data: bytes) -> None:
    data = b"x" + data
    assert [part.data for part in read_whole(message(ROOT_PART, b"Content-ID: <1>\r\n\r\n" + data))][1] == data


bodies = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"--", b"-", b"B", b" ", b"x", b"\r\n--B", b"\x00"])).map(
        b"".join
    ),
)
A_BOUNDARY = re.compile(rb"\r\n--B(--)?[ \t]{0,64}\r\n")


def pieces(data: st.DataObject, raw: bytes) -> Iterator[bytes]:
    """The message in pieces of random size."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=20)))
    for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        yield raw[begin:end]


@given(st.lists(bodies.filter(lambda body: not A_BOUNDARY.search(b"\r\n" + body + b"\r\n")), max_size=4), st.data())
def test_gives_back_any_content_in_any_pieces(contents: list[bytes], data: st.DataObject) -> None:
    raw = message(ROOT_PART, *(b"Content-ID: <%d>\r\n\r\n%b" % numbered for numbered in enumerate(contents)))
    parts = read(pieces(data, raw))
    assert [(part.start.content_id, part.data) for part in parts[1:]] == [(str(n), c) for n, c in enumerate(contents)]


def outcome(chunks: Iterable[bytes | bytearray]) -> list[Part] | None:
    """What came of a message: its parts, or None when it was refused."""
    try:
        return read(chunks, limits=LIMITS)
    except MalformedMessage:
        return None


FRAGMENTS = [
    ROOT_PART,
    b"--B",
    b"--B--",
    b"\r\n",
    b"\r\n\r\n",
    b"Content-ID: <1>",
    b"Content-ID: <2>",
    b" ",
    b"-",
    b"\r",
    b"x",
]
AS_A_WHOLE = 64 * 1024
"""chunks of this size are handed on without a copy where no boundary is near"""


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=6), st.data())
def test_large_chunks_are_read_like_small_ones(noise: list[bytes], data: st.DataObject) -> None:
    paddings = st.integers(0, 2 * AS_A_WHOLE)
    body = b"".join(bytes(data.draw(paddings)) + one for one in noise)
    raw = message(ROOT_PART, b"Content-ID: <0>\r\n\r\n" + body + bytes(data.draw(paddings)))
    chunks: list[bytes | bytearray] = []
    rest = raw
    while rest:
        size = data.draw(st.integers(AS_A_WHOLE - 10, 3 * AS_A_WHOLE))
        chunks.append(bytearray(rest[:size]))
        rest = rest[size:]
    assert outcome(chunks) == outcome(raw[at : at + 1000] for at in range(0, len(raw), 1000))


@given(st.integers(1, AS_A_WHOLE + 100))
def test_a_boundary_astride_two_large_chunks_is_found(at: int) -> None:
    content = bytes(AS_A_WHOLE)
    raw = message(ROOT_PART, b"Content-ID: <0>\r\n\r\n" + content + content)
    begin = len(raw) - at
    assert [part.data for part in read([raw[: begin // 2], raw[begin // 2 : begin], raw[begin:]])][1:] == [content * 2]


@given(st.binary(max_size=200), st.data())
def test_decodes_base64_in_any_pieces(content: bytes, data: st.DataObject) -> None:
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    headers = b"Content-ID: <1>\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    assert read(pieces(data, message(ROOT_PART, headers + encoded)))[1].data == content


@given(st.lists(st.sampled_from(FRAGMENTS)).map(b"".join), st.data())
def test_the_pieces_never_matter(noise: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(MESSAGE)))
    raw = MESSAGE[:at] + noise + MESSAGE[at:]
    assert outcome(pieces(data, raw)) == outcome([raw])


@pytest.mark.parametrize("length", range(len(MESSAGE) - 2))
def test_a_message_cut_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(MalformedMessage, match="cut off"):
        read([MESSAGE[:length]])


OTHER = b"Content-ID: <%d>\r\n\r\n1"

REFUSED = {
    "four parts": (CONTENT_TYPE, message(ROOT_PART, OTHER % 1, OTHER % 2, OTHER % 3), "too many parts"),
    "five headers": (CONTENT_TYPE, message(b"A: 1\r\nB: 2\r\nC: 3\r\n" + ROOT_PART), "too many headers"),
    "long header block": (CONTENT_TYPE, message(b"A: " + b"1" * 100 + b"\r\n" + ROOT_PART), "headers too long"),
    "header block without end": (CONTENT_TYPE, b"--B\r\nA: " + b"1" * 400, "headers too long"),
    "long preamble": (CONTENT_TYPE, b"0123456789\r\n\r\n" + MESSAGE, "no boundary line"),
    "preamble without end": (CONTENT_TYPE, b"x" * 400, "no boundary line"),
    "long epilogue": (CONTENT_TYPE, MESSAGE + b"0123456789x", "epilogue too long"),
    "large root": (CONTENT_TYPE, message(ROOT_PART + b"1234567890"), "part too large"),
    "large part": (CONTENT_TYPE, message(ROOT_PART, OTHER % 1 + b"0" * 30), "part too large"),
    "large after decoding": (
        CONTENT_TYPE,
        message(ROOT_PART, b"Content-ID: <1>\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * 11),
        "part too large",
    ),
    "large message": (CONTENT_TYPE, message(ROOT_PART, b" " * 600), "message too large|headers too long"),
    "nothing": (CONTENT_TYPE, b"", "cut off"),
    "no part": (CONTENT_TYPE, b"--B--\r\n", "no root part"),
    "no part that start names": (CONTENT_TYPE, message(OTHER % 1), "no root part"),
    "start in other case": (CONTENT_TYPE.replace("root@x", "ROOT@X"), MESSAGE, "no root part"),
    "root of another type": (
        CONTENT_TYPE,
        message(b"Content-ID: <root@x>\r\nContent-Type: application/dicom\r\n\r\n"),
        "wrong Content-Type",
    ),
    "root without type": (CONTENT_TYPE, message(b"Content-ID: <root@x>\r\n\r\n"), "wrong Content-Type"),
    "the same Content-ID twice": (CONTENT_TYPE, message(ROOT_PART, OTHER % 1, OTHER % 1), "second part with this"),
    "the root's Content-ID again": (CONTENT_TYPE, message(ROOT_PART, ROOT_PART), "second part with this"),
    "no Content-ID": (CONTENT_TYPE, message(ROOT_PART, b"\r\n1"), "part without Content-ID"),
    "empty Content-ID": (CONTENT_TYPE, message(ROOT_PART, b"Content-ID: < >\r\n\r\n1"), "part without Content-ID"),
    "no headers at all": (CONTENT_TYPE, message(ROOT_PART, b"\r\n1"), "part without Content-ID"),
    "header twice": (CONTENT_TYPE, message(b"content-id: <2>\r\n" + ROOT_PART), "twice"),
    "header without colon": (CONTENT_TYPE, message(b"Content\r\n" + ROOT_PART), "malformed header"),
    "header without name": (CONTENT_TYPE, message(b": 1\r\n" + ROOT_PART), "malformed header"),
    "blank before the colon": (CONTENT_TYPE, message(b"A : 1\r\n" + ROOT_PART), "malformed header"),
    "folded first line": (CONTENT_TYPE, message(b" A: 1\r\n" + ROOT_PART), "malformed header"),
    "line feed in a header": (CONTENT_TYPE, message(b"A: 1\nB: 2\r\n" + ROOT_PART), "malformed header"),
    "a boundary line with CRLF among line feeds": (
        CONTENT_TYPE,
        LINE_FEEDS.replace(b"--B--\n", b"--B--\r\n"),
        "cut off",
    ),
    "a line feed among boundary lines with CRLF": (CONTENT_TYPE, MESSAGE.replace(b"--B--\r\n", b"--B--\nx"), "cut off"),
    "null in a header": (CONTENT_TYPE, message(b"A: \x00\r\n" + ROOT_PART), "malformed header"),
    "quoted-printable": (
        CONTENT_TYPE,
        message(ROOT_PART, b"Content-ID: <1>\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41"),
        "Transfer-Encoding not accepted",
    ),
    **{
        f"base64 {what}": (
            CONTENT_TYPE,
            message(ROOT_PART, b"Content-ID: <1>\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded),
            why,
        )
        for what, encoded, why in [
            ("cut off", b"QUJ", "cut off"),
            ("without padding", b"QQ", "cut off"),
            ("after its padding", b"QQ==QUJD", "base64"),
            ("far after its padding", b"QQ==" + b"\r\n" * 8 + b"QUJD", "base64"),
            ("of other characters", b"QU!D", "not base64"),
            ("for URLs", b"QU-_", "not base64"),
            ("of padding", b"====", "not base64"),
        ]
    },
    "another media type": ("text/xml; boundary=B", MESSAGE, "not a multipart message"),
    "multipart/form-data": ("multipart/form-data; boundary=B", MESSAGE, "not a multipart message"),
    "no boundary": ("multipart/related", MESSAGE, "bad boundary"),
    "empty boundary": ('multipart/related; boundary=""', MESSAGE, "bad boundary"),
    "boundary of 71 characters": (f"multipart/related; boundary={'B' * 71}", MESSAGE, "bad boundary"),
    "boundary that ends in a blank": ('multipart/related; boundary="B "', MESSAGE, "bad boundary"),
    "boundary with a line break": ('multipart/related; boundary="B\r\nB"', MESSAGE, "bad boundary"),
    "boundary beyond RFC 2046": ('multipart/related; boundary="B*"', MESSAGE, "bad boundary"),
    "boundary beyond ASCII": ('multipart/related; boundary="Bé"', MESSAGE, "bad boundary"),
    "two boundaries": ("multipart/related; boundary=B; boundary=C", MESSAGE, "two values"),
}


@pytest.mark.parametrize(("content_type", "raw", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses(content_type: str, raw: bytes, why: str) -> None:
    with pytest.raises(MalformedMessage, match=why):
        read([raw], content_type, LIMITS)
    with pytest.raises(MalformedMessage, match=why):
        read((raw[at : at + 1] for at in range(len(raw))), content_type, LIMITS)


ALLOWED = {
    "three parts": message(ROOT_PART, OTHER % 1, OTHER % 2),
    "four headers": message(b"A: 1\r\nB: 2\r\n" + ROOT_PART),
    "root and part of full size": message(ROOT_PART + b"123456789", OTHER % 1 + b"0" * 29),
    "preamble and epilogue of full size": b"012345\r\n" + MESSAGE + b"0123456789",
    "70 characters of every kind": message(ROOT_PART, boundary=b"'()+_,-./:=?" + b" " * 57 + b"B"),
}


@pytest.mark.parametrize("raw", ALLOWED.values(), ids=ALLOWED.keys())
def test_takes_what_the_limits_allow(raw: bytes) -> None:
    boundary = raw[2 : raw.index(b"\r\n")].decode() if raw.startswith(b"--") else "B"
    assert read_whole(raw, f'multipart/related; start="<root@x>"; boundary="{boundary}"', LIMITS)


def test_has_limits_by_default() -> None:
    assert MultipartLimits() == MultipartLimits(
        parts=100,
        headers=32,
        header_block=8192,
        preamble=1024,
        epilogue=1024,
        root=5 * 2**20,
        part=2**31,
        message=2**31,
    )


def test_holds_no_more_than_a_chunk() -> None:
    reader = MultipartReader(CONTENT_TYPE)
    reader.feed(ROOT + b"\r\n" + PART % b"")
    chunk = (b"\r\n--BB" * 2**18)[: 2**20]
    tracemalloc.start()
    try:
        received = 0
        for _ in range(12):
            for event in reader.feed(chunk):
                assert isinstance(event, PartData)
                received += len(event.data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert received > 11 * 2**20
    assert peak < 4 * 2**20


@pytest.mark.parametrize(
    ("value", "media_type", "parameters"),
    [
        ("", "", {}),
        ("Text/XML", "text/xml", {}),
        ("application/soap+xml;charset=UTF-8", "application/soap+xml", {"charset": "UTF-8"}),
        (' a/b ; C = "d;e=\\"f\\"" ; g=h/i ', "a/b", {"c": 'd;e="f"', "g": "h/i"}),
        ("a/b; c='d'; boundary='e'", "a/b", {"c": "d", "boundary": "'e'"}),
        ("a/b; c=d; C=d", "a/b", {"c": "d"}),
        ("a/b;;c=;d;e=f;", "a/b", {"c": "", "e": "f"}),
        (
            'a/b; action="urn:ihe:iti:2007:RegistryStoredQuery"',
            "a/b",
            {"action": "urn:ihe:iti:2007:RegistryStoredQuery"},
        ),
        ('a/b; c="d', "a/b", {"c": '"d'}),
    ],
)
def test_parses_content_types(value: str, media_type: str, parameters: dict[str, str]) -> None:
    assert parse_content_type(value) == (media_type, parameters)


@pytest.mark.parametrize("length", [10, 60_000])
def test_what_is_remembered_of_content_types_is_bounded_and_nobodys(length: int) -> None:
    """Given a Content-Type as long as a header may be, it is read each time as it is, and not remembered."""
    value = f'multipart/related; boundary="{"b" * 9}"; start="{"s" * length}"'
    before = multipart._parsed.cache_info().currsize
    for _ in range(2):
        media_type, parameters = parse_content_type(value)
        assert (media_type, parameters["start"]) == ("multipart/related", "s" * length)
        parameters["start"] = "changed"
    assert multipart._parsed.cache_info().currsize - before <= (length < 1000)
