"""The bytes of a message as they may lie in a file: an envelope, a multipart body, either with the headers of HTTP.

ITI TF-2 Appendix V.8; MTOM 1.0, XOP 1.0, RFC 2387.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.submission import Document
from xdsi.validation.looks import first_element
from xdsi.wire import mtom

_HTTP = re.compile(rb"(?:HTTP/\d(?:\.\d)? \d{3}[^\r\n]*|[A-Z]{3,7} [^\r\n ]+ HTTP/\d(?:\.\d)?)\r?\n")
_FIELD = re.compile(rb"([!#-'*+.0-9A-Z^-z|~-]+):[ \t]*([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)\r?\n")
_BOUNDARY = re.compile(rb"(?:\r?\n)*--([!-~](?:[ -~]{0,68}[!-~])?)[ \t]*\r?\n(?:content-|mime-)", re.IGNORECASE)
LIMITS: Final = mtom.MultipartLimits()
SOAP_TYPES: Final = frozenset({"application/soap+xml", "application/xop+xml", "multipart/related"})
_XML_TYPES: Final = frozenset({"", "application/soap+xml", "application/xop+xml", "application/xml", "text/xml"})
_ROOT_TYPE = re.compile(r';\s*type="?([^";\s]+)', re.IGNORECASE)
_WITHOUT_BODY: Final = ("GET ", "HEAD ", "DELETE ", "OPTIONS ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """A message taken out of its packaging; `first` is the line of the file on which the envelope begins."""

    root: bytes
    first: int = 1
    multipart: bool = False
    content_type: str = ""
    """of the HTTP message, where its headers are in the file"""
    parts: Mapping[str, Document] = field(default_factory=dict)


def looks_packaged(raw: bytes) -> bool:
    """True for the beginning of an HTTP message or of a multipart body; never raises."""
    return bool(_HTTP.match(raw) or _BOUNDARY.match(raw) or _mime(raw))


def _mime(raw: bytes) -> bool:
    """True for MIME headers, multipart/related among them, at the beginning."""
    head, _ = _headers(raw)
    return head.get("content-type", "").lower().startswith("multipart/related")


def _headers(raw: bytes) -> tuple[Mapping[str, str], int]:
    """The headers at the beginning, by lower-case name, and where the body begins; at most 64 KiB of them."""
    match = _HTTP.match(raw)
    at = match.end() if match else 0
    found: dict[str, str] = {}
    while at < 64 * 1024 and (one := _FIELD.match(raw, at)) is not None:
        found[one[1].decode("latin-1").lower()] = " ".join(one[2].decode("latin-1").split())
        at = one.end()
    if found or match:
        end = re.compile(rb"\r?\n").match(raw, at)
        return found, end.end() if end else at
    return {}, 0


def unpack(raw: bytes) -> Packaged:
    """The envelope and its parts; MalformedMessage for packaging that a server could not read either."""
    given, start = _headers(raw)
    content_type, body = body_of(raw)
    if not content_type.lower().startswith("multipart/related"):
        return Packaged(root=body, first=_line(raw, start), content_type=content_type)
    root, parts = _take_apart(content_type, body)
    at = raw.find(root, start) if root else -1
    return Packaged(
        root=root,
        first=_line(raw, at) if at > 0 else 1,
        multipart=True,
        content_type=given.get("content-type", ""),
        parts=parts,
    )


def body_of(raw: bytes) -> tuple[str, bytes]:
    """The Content-Type and the body: that of the headers, or of a multipart body without any; else an empty one."""
    headers, start = _headers(raw)
    content_type = headers.get("content-type", "")
    bare = _BOUNDARY.match(raw, start)
    if bare is not None and not content_type.lower().startswith("multipart/"):
        content_type = f'multipart/related; type="application/xop+xml"; boundary="{bare[1].decode("latin-1")}"'
    return content_type, raw[start:]


def other_than_soap(raw: bytes) -> tuple[str, str]:
    """Of an HTTP message without SOAP, such as a WADO request: its first line, and what it holds; else nothing."""
    match = _HTTP.match(raw)
    if match is None:
        return "", ""
    line = match[0].decode("latin-1").strip()
    headers, start = _headers(raw)
    content_type = headers.get("content-type", "")
    held = media = media_type(content_type)
    if line.startswith(_WITHOUT_BODY):
        held = "a request without a body"
    elif media == "multipart/related":
        root = _ROOT_TYPE.search(content_type)
        held = f"{media} of {root[1]}" if root and root[1].lower() not in _XML_TYPES else ""
    elif line.startswith("HTTP/") and not raw[start:].strip():
        held = "an answer without a body"
    elif media in _XML_TYPES or first_element(raw[start:]) == "Envelope" or _BOUNDARY.match(raw, start):
        held = ""
    return (line, held) if held else ("", "")


def media_type(content_type: str) -> str:
    """What stands before the parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def _line(raw: bytes, at: int) -> int:
    return raw.count(b"\n", 0, at) + 1


def _take_apart(content_type: str, body: bytes) -> tuple[bytes, Mapping[str, Document]]:
    reader = mtom.MultipartReader(content_type, LIMITS)
    root: bytearray | None = None
    parts: dict[str, bytearray] = {}
    here = bytearray()
    for event in (*reader.feed(body), *reader.close()):
        if isinstance(event, mtom.PartStart):
            here = bytearray()
            if event.is_root:
                root = here
            else:
                parts[event.content_id] = here
        elif isinstance(event, mtom.PartData):
            here += event.data
    if root is None:
        raise MalformedMessage("the root part is missing", expected="the part named by start, or the first")
    return bytes(root), {content_id: _document(bytes(data)) for content_id, data in parts.items()}


def _document(content: bytes) -> Document:
    def chunks() -> Iterator[bytes]:
        yield content

    return Document(
        open=chunks,
        size=len(content),
        sha1=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
    )
