"""A document's bytes inside a message: as a part of its own (XOP), or inline as base64.

XML Schema base64Binary; ITI TF-2 Appendix V.8: a receiver takes any mix of both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.submission import Document
from xdsi.wire import mtom, xml
from xdsi.wire.message import Message

INLINE_LIMIT: Final = 10 * 1024 * 1024
"""bytes of one inline document; larger ones must come as parts"""
_MIME_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(\s*;[ -~]*)?")


class Contents:
    """The documents of one message; each part of it must be the content of exactly one element of its body."""

    def __init__(self, message: Message) -> None:
        self._parts: Mapping[str, Document] = message.parts
        if self._parts:
            mtom.find_includes(message.body, message.parts)

    def of(self, element: etree._Element) -> Document:
        """The document that is an element's content."""
        content_id = mtom.part_of(element, self._parts)
        return self._parts[content_id] if content_id is not None else _inline(element)


def _inline(element: etree._Element) -> Document:
    place = element.getroottree().getpath(element)
    if any(True for _ in element.iterchildren("*")):
        raise MalformedMessage("elements where base64 belongs", location=place, expected="base64 or one xop:Include")
    text = xml.content(element)
    if len(text) > 2 * INLINE_LIMIT:
        raise _too_large(place)
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedMessage("not base64", location=place, expected="base64 or one xop:Include") from None
    if len(content) > INLINE_LIMIT:
        raise _too_large(place)

    def chunks() -> Iterator[bytes]:
        yield content

    return Document(
        open=chunks,
        size=len(content),
        sha1=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _too_large(place: str) -> MalformedMessage:
    expected = f"at most {INLINE_LIMIT} bytes inline; send larger documents as parts (MTOM)"
    return MalformedMessage("inline document too large", location=place, expected=expected)


def base64_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """base64 text of bytes that come in chunks, without holding more than one of them."""
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        whole = len(data) - len(data) % 3
        rest = data[whole:]
        if whole:
            yield binascii.b2a_base64(data[:whole], newline=False)
    if rest:
        yield binascii.b2a_base64(rest, newline=False)


def attachment(document: Document, mime_type: str, content_id: str) -> mtom.Attachment:
    """The document as a part to send; a mimeType that no header can carry becomes application/octet-stream."""
    type_ = mime_type if _MIME_TYPE.fullmatch(mime_type) else "application/octet-stream"
    return mtom.Attachment(content_id, type_, document.open, document.size if document.size >= 0 else None)
