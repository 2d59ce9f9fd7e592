"""Answers to a GET of WADO-RS and WADO-URI (RAD TF-2 4.107 and 4.55; PS3.18): parts, and what is expected of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .answers import BadAnswer, RetrievedDocument, multipart, printable
from .checks import Complaint, delivered, file_meta
from .model import Expectation
from .templates import Values

_TRACE = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class RestAnswer:
    """What came back, taken apart."""

    http: int
    headers: Mapping[str, str]
    media_type: str
    body: bytes
    documents: tuple[RetrievedDocument, ...]
    """its parts, or its one body; the id of a DICOM file is its SOP Instance UID"""


def read(http: int, headers: Mapping[str, str], body: bytes) -> RestAnswer:
    """Take an answer apart; BadAnswer where its parts cannot be found."""
    content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "multipart/related":
        parts = multipart(content_type, body)
    else:
        parts = [({"content-type": media_type}, body)] if body else []
    documents = tuple(_document(own.get("content-type", ""), content) for own, content in parts)
    return RestAnswer(http, headers, media_type, body, documents)


def _document(type_: str, content: bytes) -> RetrievedDocument:
    media_type = type_.partition(";")[0].strip().lower()
    return RetrievedDocument(id=file_meta(content, 0x03), repository="", type=media_type, content=content)


def complaints(answer: RestAnswer, expected: Expectation, values: Values, *, traced: bool) -> Iterator[Complaint]:
    """What is not as the case expects it."""
    if answer.http not in expected.http:
        wanted = " or ".join(map(str, expected.http))
        yield Complaint(f"HTTP {wanted}", f"HTTP {answer.http}: {printable(answer.body[:200])!r}")
        return
    if expected.media_type and answer.media_type != expected.media_type:
        yield Complaint(f"media type {expected.media_type}", answer.media_type or "none")
    types = sorted({one.type for one in answer.documents})
    if expected.part_type and types != [expected.part_type]:
        yield Complaint(f"parts of {expected.part_type}", f"{types}")
    lowered = {name.lower(): text for name, text in answer.headers.items()}
    for name, pattern in expected.headers.items():
        found = lowered.get(name.lower(), "")
        if not re.search(values.expand(pattern, xml=False), found):
            yield Complaint(f"header {name} with {pattern}", found or "none")
    text = answer.body.decode("utf-8", "replace")
    for pattern in expected.text:
        if not re.search(values.expand(pattern, xml=False), text):
            yield Complaint(f"a body with {pattern}", printable(answer.body[:200]))
    yield from delivered(answer.documents, expected, values)
    if traced and not _TRACE.fullmatch(lowered.get("xdsi-trace", "")):
        yield Complaint("header Xdsi-Trace of 32 hexadecimal digits", lowered.get("xdsi-trace", "none"))


__all__ = ["BadAnswer", "RestAnswer", "complaints", "read"]
