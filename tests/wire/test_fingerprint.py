"""wire/fingerprint: what makes the Body of a message the same one."""

from __future__ import annotations

from hashlib import sha256

import pytest
from lxml import etree

from xdsi.domain.submission import Document
from xdsi.wire import xml
from xdsi.wire.fingerprint import fingerprint
from xdsi.wire.message import Message

XOP = "http://www.w3.org/2004/08/xop/include"


def body(text: str) -> etree._Element:
    return xml.parse(text.encode())


def document(content: bytes) -> Document:
    return Document(lambda: iter([content]), len(content), "", sha256(content).hexdigest())


def with_part(content_id: str, content: bytes, *, name: str = "D1") -> Message:
    text = f'<a><d id="{name}"><xop:Include xmlns:xop="{XOP}" href="cid:{content_id}"/></d></a>'
    return Message((body(text),), {content_id: document(content)})


def test_prefixes_and_quotes_make_no_other_message() -> None:
    inside = body('<e:Envelope xmlns:e="urn:e" xmlns:b="urn:b"><b:x n="1" m="2"/></e:Envelope>')[0]
    assert fingerprint(Message((inside,))) == fingerprint(Message((body("<b:x  xmlns:b='urn:b' m='2' n='1'></b:x>"),)))


@pytest.mark.parametrize("other", ["<a>2</a>", "<b>1</b>", '<a i="1">1</a>', "<a>1 </a>"])
def test_what_is_said_makes_it(other: str) -> None:
    assert fingerprint(Message((body("<a>1</a>"),))) != fingerprint(Message((body(other),)))


def test_the_number_of_elements_counts() -> None:
    one, two = body("<a/>"), body("<a/>")
    assert fingerprint(Message((one,))) != fingerprint(Message((one, two)))


def test_a_part_counts_by_its_bytes_not_by_its_name() -> None:
    first = fingerprint(with_part("1@a", b"bytes"))
    assert first == fingerprint(with_part("2@b", b"bytes"))
    assert first != fingerprint(with_part("1@a", b"other"))
    assert first != fingerprint(with_part("1@a", b"bytes", name="D2"))


def test_the_message_is_left_as_it_was() -> None:
    message = with_part("1@a", b"bytes")
    before = etree.tostring(message.body)
    fingerprint(message)
    assert etree.tostring(message.body) == before


def test_a_namespace_that_is_no_uri_is_no_obstacle() -> None:
    assert len(fingerprint(Message((body('<a xmlns="relative"/>'),)))) == 64
