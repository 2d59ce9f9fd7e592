"""The hardened parser and the escapes: what comes in, what is refused, what can leave."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.wire import xml

PLAIN = '<n:a xmlns:n="urn:n" b="1">é<!--c--><n:c/>t</n:a>'

ACCEPTED = {
    "UTF-8": PLAIN.encode(),
    "UTF-8 with declaration": f'<?xml version="1.0" encoding="UTF-8"?>\n{PLAIN}'.encode(),
    "UTF-8, declared in small letters": f'<?xml version="1.0" encoding="utf-8"?>{PLAIN}'.encode(),
    "UTF-8 with byte order mark": PLAIN.encode("utf-8-sig"),
    "UTF-16 with byte order mark": PLAIN.encode("utf-16"),
    "UTF-16 with declaration": f'<?xml version="1.0" encoding="UTF-16"?>{PLAIN}'.encode("utf-16"),
    "UTF-16BE by its declaration": f'<?xml version="1.0" encoding="UTF-16BE"?>{PLAIN}'.encode("utf-16-be"),
    "comment and instruction around": f"<!--x--><?p q?>{PLAIN}<!--y-->".encode(),
    "a document type in a comment is none": f"<!-- <!DOCTYPE a> -->{PLAIN}".encode(),
}


@pytest.mark.parametrize("raw", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepts(raw: bytes) -> None:
    root = xml.parse(raw)
    assert root.tag == xml.E("urn:n", "a")
    assert xml.content(root) == "ét"


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))


def wide(count: int, pattern: str) -> bytes:
    """An element with many attributes or declarations."""
    return f"<a {' '.join(pattern.format(number) for number in range(count))}/>".encode()


NESTED = "<a>" * 300 + "</a>" * 300

# What is refused by its bytes: parsing it would take far more memory than it has bytes, whatever came of it.
AT_ONCE = {
    "entities that nobody declared": (b'<!DOCTYPE a SYSTEM "x"><a>' + b"&x;" * 1000 + b"</a>", "document type"),
    "a document type after instructions": (b"<?a?>" * 100 + b"<!DOCTYPE a><a/>", "document type"),
    "a document type after comments": (b"<!--> <a/> --><!-- -->\n<!DOCTYPE a><a/>", "document type"),
    "a document type far into a comment": (
        b"<!--" + b"x" * 70_000 + b'--><!DOCTYPE a SYSTEM "x"><a>' + b"&x;" * 1000 + b"</a>", "document type",
    ),
    "a document type in UTF-16": ("<!DOCTYPE a><a/>".encode("utf-16"), "document type"),
    "tags in UTF-7": (b'<?xml version="1.0" encoding="UTF-7"?>' + b"+ADw-a/+AD4-", "encoding"),
    "an encoding far away": (b'<?xml version="1.0"' + b" " * 1000 + b'encoding="UTF-7"?><a/>', "declaration"),
    "a declaration in one encoding, the rest in another": (
        b'<?xml version="1.0" encoding="UTF-16LE"' + "?><a/>".encode("utf-16-le"), "encoding",
    ),
}  # fmt: skip

REFUSED = {
    "nothing": (b"", "not well-formed"),
    "not XML": (b"PK\x03\x04", "not well-formed"),
    "cut off": (b"<a><b></b>", "not well-formed"),
    "two roots": (b"<a/><b/>", "not well-formed"),
    "undeclared prefix": (b"<n:a/>", "not well-formed"),
    "undeclared prefix before a warning": (b"<n:a><b xmlns='relative'/></n:a>", "not well-formed"),
    "undeclared prefix of an attribute before a warning": (b"<a n:b='1'><b xmlns='relative'/></a>", "not well-formed"),
    "attribute twice before a warning": (
        b"<a xmlns:m='urn:x' xmlns:n='urn:x' m:b='1' n:b='2'><b xmlns='relative'/></a>",
        "not well-formed",
    ),
    "namespace that is no URI before a warning": (b"<n:a xmlns:n='http:}//x' xmlns='relative'/>", "not well-formed"),
    "undeclared entity": (b"<a>&x;</a>", "not well-formed"),
    "null character": (b"<a>\x00</a>", "not well-formed"),
    "null character further on": (b"<abc>\x00</abc>", "encoding"),
    "null character reference": (b"<a>&#0;</a>", "not well-formed"),
    "byte that is not UTF-8": (b"<a>\xe9</a>", "not well-formed"),
    "empty document type": (b"<!DOCTYPE a><a/>", "document type"),
    "internal entity": (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "document type"),
    "internal entity in UTF-16": ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'.encode("utf-16"), "document type"),
    "external entity": (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>', "document type"),
    "external document type": (b'<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd"><a/>', "document type"),
    "parameter entity": (b'<!DOCTYPE a [<!ENTITY % x SYSTEM "file:///etc/hostname"> %x;]><a/>', "document type"),
    "attribute default": (b'<!DOCTYPE a [<!ATTLIST a b CDATA "c">]><a/>', "document type"),
    "billion laughs": (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l11;</a>'.encode(), "amplification|document type"),
    "billion laughs in an attribute": (
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a b="&l11;"/>'.encode(),
        "document type",
    ),
    **{f"{name}, before anything is made of it": row for name, row in AT_ONCE.items()},
    "ISO-8859-1": ('<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'.encode("latin-1"), "encoding"),
    "US-ASCII": (b'<?xml version="1.0" encoding="US-ASCII"?><a/>', "encoding"),
    "UTF-7": ('<?xml version="1.0" encoding="UTF-7"?><a>é</a>'.encode("utf-7"), "encoding"),
    "UTF-32": ("<a/>".encode("utf-32"), "encoding"),
    "gzip": (bytes.fromhex("1f8b0800000000000003b349d4b70300d0e4ab4c04000000"), "not well-formed"),
    "300 levels": (NESTED.encode(), "Excessive depth"),
    "65 levels": (("<a>" * 65 + "</a>" * 65).encode(), "too deeply"),
    "65 levels of a large document": (("<a>" * 65 + " " * 9000 + "</a>" * 65).encode(), "too deeply"),
    "257 attributes": (b"<r>" + wide(257, 'c{}=""') + b"</r>", "too many attributes"),
    "257 attributes of a large document": (b"<r>" + b" " * 9000 + wide(257, 'c{}=""') + b"</r>", "too many attributes"),
    "100 000 attributes": (wide(100_000, 'c{}=""'), "too many attributes"),
    "500 001 tags": (b"<r>" + b"<e/>" * 499_999 + b"</r>", "too many tags"),
    "500 001 attributes and tags": (b"<r>" + b'<e a="" b=""/>' * 166_667 + b"</r>", "too many tags"),
    "257 namespaces": (wide(257, 'xmlns:c{}="u"'), "too many attributes"),
    "more than 5 MiB": (b"<a>" + b" " * xml.LIMIT + b"</a>", "too large"),
}


@pytest.mark.parametrize(("raw", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses(raw: bytes, why: str) -> None:
    with pytest.raises(MalformedMessage, match=why):
        xml.parse(raw)


@pytest.mark.parametrize(("raw", "why"), AT_ONCE.values(), ids=AT_ONCE.keys())
def test_refuses_before_anything_is_made_of_it(raw: bytes, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml.etree, "XMLParser", None)
    with pytest.raises(MalformedMessage, match=why):
        xml.parse(raw)


@pytest.mark.parametrize(
    "raw",
    [
        ("<a>" * 64 + "</a>" * 64).encode(),
        wide(256, 'c{}=""'),
        b"<a>" * 63 + b" " * 9000 + wide(256, 'c{}=""') + b"</a>" * 63,
        b"<a>" + b" " * (xml.LIMIT - 7) + b"</a>",
    ],
    ids=["64 levels", "256 attributes", "both in a large document", "5 MiB"],
)
def test_accepts_up_to_the_limit(raw: bytes) -> None:
    assert xml.parse(raw).tag == "a"


def test_text_above_ten_million_characters_needs_huge() -> None:
    raw = b"<a>" + b"Q" * 10_000_001 + b"</a>"
    with pytest.raises(MalformedMessage):
        xml.parse(raw, limit=len(raw))
    assert len(xml.parse(raw, limit=len(raw), huge=True).text or "") == 10_000_001


def test_huge_keeps_the_other_limits() -> None:
    with pytest.raises(MalformedMessage, match="too deeply"):
        xml.parse(NESTED.encode(), huge=True)


def test_names_the_place() -> None:
    with pytest.raises(MalformedMessage) as caught:
        xml.parse(b"<a>\n  <b></a>")
    assert caught.value.location == "line 2, column 10"


def test_does_not_depend_on_the_default_parser() -> None:
    etree.set_default_parser(etree.XMLParser(recover=True))
    try:
        with pytest.raises(MalformedMessage):
            xml.parse(b"<a><b></a>")
    finally:
        etree.set_default_parser(None)


def test_does_not_run_xinclude(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    include = f'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{secret.as_uri()}" parse="text"/></a>'
    assert b"secret<" not in xml.serialize(xml.parse(include.encode()))


def test_serialize_gives_a_piece_that_stands_on_its_own() -> None:
    root = xml.parse('<?xml version="1.0"?><n:a xmlns:n="urn:n"><n:b>é</n:b>tail</n:a>'.encode())
    assert xml.serialize(root[0]) == '<n:b xmlns:n="urn:n">é</n:b>'.encode()


def test_standalone_has_nothing_around_it() -> None:
    root = xml.parse(b'<a xmlns="urn:a" xmlns:n="urn:n"><b xmlns=""><n:c ID="x">1<!--2-->3</n:c>tail</b></a>')
    copy = xml.standalone(root[0][0])
    assert copy.getparent() is None
    assert (copy.tail, copy.getprevious(), copy.getnext()) == (None, None, None)
    assert etree.tostring(copy, method="c14n", exclusive=True, with_comments=False) == (
        b'<n:c xmlns:n="urn:n" ID="x">13</n:c>'
    )
    assert len(copy) == 1
    copy.set("ID", "y")
    assert root[0][0].get("ID") == "x"


def test_standalone_limits_the_namespaces_in_scope() -> None:
    with pytest.raises(MalformedMessage, match="namespaces"):
        xml.standalone(xml.parse(b"<r>" + wide(257, 'xmlns:c{}="u"') + b"</r>")[0])


@pytest.mark.parametrize(
    ("raw", "content"),
    [
        (b"<a/>", ""),
        (b"<a> \n x\ty \r</a>", "x\ty"),
        (b"<a>alice<!--x-->evil</a>", "aliceevil"),
        (b"<a>1<?p q?>2<b>3<!--4--></b>5</a>", "1235"),
        (b"<a><![CDATA[<x>]]></a>", "<x>"),
        ("<a>\u00a0x</a>".encode(), "\u00a0x"),
    ],
)
def test_content_is_all_text(raw: bytes, content: str) -> None:
    assert xml.content(xml.parse(raw)) == content


def is_legal(character: str) -> bool:
    """Production Char of XML 1.0, section 2.2."""
    code = ord(character)
    return code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF


@given(st.text(st.characters()))
@example("\x00\x0b\ud800\ufffe\uffff\x1f")
@example("<a b=\"c\" d='e'>&amp;]]>\r\n\t \x85\u2028")
def test_whatever_is_escaped_comes_back_legal(value: str) -> None:
    raw = f'<a b="{xml.attribute(value)}">{xml.text(value)}</a>'.encode()
    expected = "".join(character if is_legal(character) else "\ufffd" for character in value)
    root = xml.parse(raw)
    assert root.get("b") == expected
    assert (root.text or "") == expected
