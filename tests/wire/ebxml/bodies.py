"""Payloads turned into the messages that their receiver would see."""

from __future__ import annotations

from xdsi.domain.submission import Document
from xdsi.wire import xml
from xdsi.wire.message import Message, Payload


def body_of(payload: Payload) -> bytes:
    """The encoded body."""
    return b"".join(payload.body)


def received(payload: Payload) -> Message:
    """The message as the other end gets it, its parts by Content-ID."""
    parts = {part.content_id: Document(open=part.open, size=part.size or 0) for part in payload.attachments}
    return Message((xml.parse(body_of(payload), huge=True, limit=100_000_000),), parts)


def message(text: str | bytes, **parts: bytes) -> Message:
    """A message from its body, with parts by Content-ID."""
    root = xml.parse(text.encode() if isinstance(text, str) else text, huge=True, limit=100_000_000)
    return Message((root,), {id_: document(data) for id_, data in parts.items()})


def document(content: bytes, chunk: int = 1000) -> Document:
    """A document that comes in chunks."""
    chunks = [content[i : i + chunk] for i in range(0, len(content), chunk)]
    return Document(open=lambda: iter(chunks), size=len(content))


def content_of(one: Document) -> bytes:
    """All bytes of a document."""
    return b"".join(one.open())
