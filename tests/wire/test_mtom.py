"""MTOM: what an xop:Include may say, and what the writer sends, read back by the reader and by the standard library."""

from __future__ import annotations

import email.policy
from collections.abc import Callable, Iterator
from email.parser import BytesParser
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import corpus
from xdsi.domain.errors import MalformedMessage
from xdsi.wire import mtom, soap, xml

XOP = 'xmlns:xop="http://www.w3.org/2004/08/xop/include"'


def including(*hrefs: str) -> str:
    """A body with one Document for each href."""
    return "".join(f'<d><xop:Include href="{href}"/></d>' for href in hrefs)


# Body, Content-IDs of the parts, Content-ID that each Document gets.
RESOLVED = {
    "nothing": ("<d>QUJD</d>", [], [None]),
    "one": (including("cid:1@x"), ["1@x"], ["1@x"]),
    "some inline": (including("cid:1@x") + "<d>QUJD</d>", ["1@x"], ["1@x", None]),
    "in another order": (including("cid:2", "cid:1"), ["1", "2"], ["2", "1"]),
    "scheme in capitals": (including("CID:1@x"), ["1@x"], ["1@x"]),
    "escaped": (including("cid:1%40x"), ["1@x"], ["1@x"]),
    "a URL as Content-ID": (including("cid:http%3A%2F%2Ftempuri.org%2F1%2F636"), ["http://tempuri.org/1/636"], ...),
    "a URL as Content-ID, not escaped": (including("cid:http://tempuri.org/0"), ["http://tempuri.org/0"], ...),
    "escaped text in both places": (including("cid:1@urn%3Aihe"), ["1@urn%3Aihe"], ["1@urn%3Aihe"]),
    "escaped once only": (including("cid:1%2540x"), ["1%40x"], ["1%40x"]),
    "beyond ASCII": (including("cid:%C3%A9"), ["é"], ["é"]),
    "white space around the Include": ('<d>\n <xop:Include href="cid:1"/>\n</d>', ["1"], ["1"]),
    "Include with an end tag": ('<d><xop:Include href="cid:1"></xop:Include></d>', ["1"], ["1"]),
}


@pytest.mark.parametrize(("body", "parts", "expected"), RESOLVED.values(), ids=RESOLVED.keys())
def test_finds_the_part_of_each_element(body: str, parts: list[str], expected: list[str | None]) -> None:
    root = xml.parse(f"<r {XOP}>{body}</r>".encode())
    expected = parts if expected is ... else expected
    assert [mtom.part_of(element, parts) for element in root] == expected
    found = mtom.find_includes(root, parts)
    assert {root.index(element): content_id for content_id, element in found.items()} == {
        number: content_id for number, content_id in enumerate(expected) if content_id is not None
    }


UNRESOLVED = {
    "file": (including("file:///etc/hostname"), ["1"], "without a cid"),
    "http": (including("http://192.0.2.1/"), ["1"], "without a cid"),
    "network path": (including("//192.0.2.1/1"), ["1"], "without a cid"),
    "relative": (including("1"), ["1"], "without a cid"),
    "fragment": (including("#1"), ["1"], "without a cid"),
    "empty": (including(""), ["1"], "without a cid"),
    "no href": ("<d><xop:Include/></d>", ["1"], "without a cid"),
    "href of another namespace": ('<d><xop:Include xop:href="cid:1"/></d>', ["1"], "without a cid"),
    "unknown part": (including("cid:2"), ["1"], "not there"),
    "empty Content-ID": (including("cid:"), ["1"], "not there"),
    "Content-ID in other case": (including("cid:A"), ["a"], "not there"),
    "Content-ID with brackets": (including("cid:&lt;1&gt;"), ["1"], "not there"),
    "escaped twice": (including("cid:1%2540x"), ["1@x"], "not there"),
    "part used twice": (including("cid:1", "cid:1"), ["1"], "twice"),
    "part used twice, written differently": (including("cid:1@x", "cid:1%40x"), ["1@x"], "twice"),
    "part not used": (including("cid:1"), ["1", "2"], "no xop:Include"),
    "part without any Include": ("<d/>", ["1"], "no xop:Include"),
    "text before": ('<d>QUJD<xop:Include href="cid:1"/></d>', ["1"], "beside"),
    "text after": ('<d><xop:Include href="cid:1"/>QUJD</d>', ["1"], "beside"),
    "text inside": ('<d><xop:Include href="cid:1">QUJD</xop:Include></d>', ["1"], "beside"),
    "element beside": ('<d><xop:Include href="cid:1"/><e/></d>', ["1"], "beside"),
    "element inside": ('<d><xop:Include href="cid:1"><e/></xop:Include></d>', ["1"], "beside"),
    "comment beside": ('<d><!----><xop:Include href="cid:1"/></d>', ["1"], "beside"),
    "two in one element": ('<d><xop:Include href="cid:1"/><xop:Include href="cid:2"/></d>', ["1", "2"], "beside"),
    "Include in an Include": (
        '<d><xop:Include href="cid:1"><xop:Include href="cid:2"/></xop:Include></d>',
        ["1", "2"],
        "beside",
    ),
}


@pytest.mark.parametrize(("body", "parts", "why"), UNRESOLVED.values(), ids=UNRESOLVED.keys())
def test_refuses_includes(body: str, parts: list[str], why: str) -> None:
    with pytest.raises(MalformedMessage, match=why) as caught:
        mtom.find_includes(xml.parse(f"<r {XOP}>{body}</r>".encode()), parts)
    assert caught.value.location


def test_refuses_an_include_as_the_root() -> None:
    with pytest.raises(MalformedMessage, match="root"):
        mtom.find_includes(xml.parse(f'<xop:Include {XOP} href="cid:1"/>'.encode()), ["1"])


def of(*pieces: bytes) -> Callable[[], Iterator[bytes]]:
    """Bytes that lie somewhere."""
    return lambda: iter(pieces)


def read(content_type: str, raw: bytes) -> list[tuple[mtom.PartStart, bytes]]:
    """The parts of a message."""
    reader = mtom.MultipartReader(content_type)
    parts: list[tuple[mtom.PartStart, bytes]] = []
    for event in reader.feed(raw) + reader.close():
        if isinstance(event, mtom.PartStart):
            parts.append((event, b""))
        elif isinstance(event, mtom.PartData):
            parts[-1] = (parts[-1][0], parts[-1][1] + event.data)
    return parts


@given(st.lists(st.lists(st.binary(max_size=50), max_size=3), max_size=4))
def test_reader_and_writer_agree(contents: list[list[bytes]]) -> None:
    writer = mtom.MultipartWriter()
    attachments = [
        mtom.Attachment(content_id, "application/dicom", of(*pieces), sum(map(len, pieces)))
        for pieces, content_id in zip(contents, mtom.new_content_ids(), strict=False)
    ]
    root = b"<r>" + b"".join(b"<d>%b</d>" % mtom.include(attachment.content_id) for attachment in attachments) + b"</r>"
    raw = b"".join(writer.message([root[:2], root[2:]], attachments))

    assert writer.content_length(len(root), attachments) == len(raw)
    (start, envelope), *parts = read(writer.content_type, raw)
    assert start.is_root
    assert envelope == root
    assert [(part.content_id, part.content_type, data) for part, data in parts] == [
        (attachment.content_id, "application/dicom", b"".join(attachment.open())) for attachment in attachments
    ]
    found = mtom.find_includes(xml.parse(envelope), [part.content_id for part, _ in parts])
    assert list(found) == [attachment.content_id for attachment in attachments]


def test_writes_what_a_mime_parser_reads() -> None:
    writer = mtom.MultipartWriter(action="urn:ihe:iti:2007:RetrieveDocumentSet")
    raw = b"".join(writer.message([b"<r/>"], [mtom.Attachment("1@x", "text/plain; charset=UTF-8", of(b"one\r\n"))]))
    headers = f"MIME-Version: 1.0\r\nContent-Type: {writer.content_type}\r\n\r\n".encode()
    parsed = BytesParser(policy=email.policy.HTTP).parsebytes(headers + raw)
    assert not parsed.defects
    assert dict(parsed["Content-Type"].params) == {
        "type": "application/xop+xml",
        "start": "<root@xdsi>",
        "start-info": "application/soap+xml",
        "boundary": writer.boundary,
        "action": "urn:ihe:iti:2007:RetrieveDocumentSet",
    }
    root, part = parsed.iter_parts()
    assert root["Content-ID"] == "<root@xdsi>"
    assert str(root["Content-Type"]) == 'application/xop+xml; charset="UTF-8"; type="application/soap+xml"'
    assert (part["Content-ID"], part["Content-Transfer-Encoding"]) == ("<1@x>", "binary")
    assert part.get_payload(decode=True) == b"one\r\n"


def test_boundaries_and_content_ids_are_never_the_same() -> None:
    assert len({mtom.MultipartWriter().boundary for _ in range(100)}) == 100
    assert len({*islice(mtom.new_content_ids(), 100), *islice(mtom.new_content_ids(), 100)}) == 200


def test_opens_each_part_in_its_turn() -> None:
    log: list[str] = []

    def lying(name: str) -> Callable[[], Iterator[bytes]]:
        def generate() -> Iterator[bytes]:
            log.append(f"open {name}")
            try:
                yield name.encode()
                yield b"more"
            finally:
                log.append(f"close {name}")

        return generate

    attachments = [mtom.Attachment(name, "text/plain", lying(name)) for name in ("a", "b", "c")]
    pieces = mtom.MultipartWriter().message([b"<r/>"], attachments)
    for piece in pieces:
        if piece == b"b":
            break
    assert log == ["open a", "close a", "open b"]
    pieces.close()  # type: ignore[attr-defined]
    assert log == ["open a", "close a", "open b", "close b"]


def test_content_length_needs_every_size() -> None:
    known = mtom.Attachment("1", "text/plain", of(b"1"), 1)
    unknown = mtom.Attachment("2", "text/plain", of(b"2"))
    assert mtom.MultipartWriter().content_length(5, [known, unknown]) is None


@pytest.mark.parametrize("text", ["", "a\r\nb", "a\nb", "a\x00b", "é"])
def test_nothing_ends_a_header_line(text: str) -> None:
    with pytest.raises(ValueError):
        mtom.Attachment(text, "text/plain", of())
    with pytest.raises(ValueError):
        mtom.Attachment("1", text, of())
    with pytest.raises(ValueError):
        mtom.MultipartWriter().part_header("1", text)
    if text:
        with pytest.raises(ValueError):
            mtom.MultipartWriter(action=text)


@pytest.mark.parametrize("content_id", ["a b", "<a>", "a>", "a" * 257])
def test_content_ids_are_plain(content_id: str) -> None:
    with pytest.raises(ValueError):
        mtom.Attachment(content_id, "text/plain", of())


def test_include_escapes_the_content_id() -> None:
    element = xml.parse(b"<d>" + mtom.include('a&"%/b@x') + b"</d>")
    assert element[0].get("href") == "cid:a%26%22%25%2Fb@x"
    assert mtom.part_of(element, ['a&"%/b@x']) == 'a&"%/b@x'


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("sample", "boundary"),
    [
        ("NoXop", "MIMEBoundary_95b57d7287e4fa4b528a8f050c41f8ad829c20332f23b48d"),
        ("dicom", "uuid:376733a6-6a2d-4583-a687-04c08acf6a49+id=17"),
    ],
)
def test_reads_messages_of_other_stacks(sample: str, boundary: str) -> None:
    raw = corpus("nist-toolkit2", "testkit", "tests", "PnrXop", sample, "body.txt").read_bytes()
    content_type = (
        f'multipart/related; boundary="{boundary}"; type="application/xop+xml"; start-info="application/soap+xml"; '
        'action="urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"'
    )
    ((start, envelope),) = read(content_type, raw.replace(b"\n", b"\r\n"))  # the file is kept with line feeds only
    assert start.is_root
    message = soap.read_envelope(envelope)
    assert message.action == "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
    assert mtom.find_includes(message.root, ()) == {}
