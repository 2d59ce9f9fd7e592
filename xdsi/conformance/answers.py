"""An HTTP answer taken apart: envelope, parts, and the documents that they hold (XOP 1.0, RFC 2046)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from lxml import etree

from .templates import NAMESPACES
from .xml import parse_foreign

_MOST_PARTS = 10_000
_PARAMETER = re.compile(r""";\s*([\w-]+)\s*=\s*("[^"]*"|[^;]*)""")


def printable(raw: bytes) -> str:
    """Text of what somebody sent, on one line; what is no text is told in a word or left out."""
    text = raw.decode("utf-8", "replace")
    strange = [one for one in text if one == "\N{REPLACEMENT CHARACTER}" or not (one.isprintable() or one.isspace())]
    if 5 * len(strange) > len(text):
        return f"({len(raw)} bytes that are no text)"
    return " ".join("".join(" " if one in strange else one for one in text).split())


class BadAnswer(Exception):
    """The answer cannot be taken apart."""


@dataclass(frozen=True)
class RetrievedDocument:
    """One xds:DocumentResponse."""

    id: str
    repository: str
    type: str
    content: bytes


@dataclass(frozen=True)
class Answer:
    """What came back."""

    http: int
    headers: Mapping[str, str]
    packaging: str
    root: etree._Element
    parts: Mapping[str, bytes] = field(default_factory=dict)
    """attachments by Content-ID"""

    def all(self, path: str) -> list[etree._Element]:
        """Elements of the envelope."""
        found = self.root.xpath(path, namespaces=NAMESPACES)
        return [one for one in found if isinstance(one, etree._Element)] if isinstance(found, list) else []

    def text(self, path: str) -> str:
        """The text at a path; empty where there is none."""
        return str(self.root.xpath(f"string({path})", namespaces=NAMESPACES)).strip()

    def documents(self) -> list[RetrievedDocument]:
        """The documents of a RetrieveDocumentSetResponse, each with its bytes; BadAnswer where they are missing."""
        found = []
        for element in self.all("//xds:DocumentResponse"):
            found.append(
                RetrievedDocument(
                    id=_child(element, "DocumentUniqueId"),
                    repository=_child(element, "RepositoryUniqueId"),
                    type=_child(element, "mimeType"),
                    content=self._content(element.find(f"{{{NAMESPACES['xds']}}}Document")),
                )
            )
        return found

    def unreferenced(self) -> set[str]:
        """Content-IDs of attachments that no xop:Include names."""
        return set(self.parts) - {_content_id(one.get("href", "")) for one in self.all("//xop:Include")}

    def _content(self, element: etree._Element | None) -> bytes:
        if element is None:
            raise BadAnswer("a DocumentResponse without a Document")
        include = element.find(f"{{{NAMESPACES['xop']}}}Include")
        if include is None:
            try:
                return base64.b64decode("".join((element.text or "").split()), validate=True)
            except binascii.Error as error:
                raise BadAnswer(f"a Document is not base64: {error}") from None
        href = include.get("href", "")
        content = self.parts.get(_content_id(href))
        if content is None:
            raise BadAnswer(f"xop:Include names {href!r}, which is not among the parts {sorted(self.parts)}")
        return content


def _child(element: etree._Element, name: str) -> str:
    return (element.findtext(f"{{{NAMESPACES['xds']}}}{name}") or "").strip()


def _content_id(href: str) -> str:
    return unquote(href.removeprefix("cid:"))


def read(http: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Take an answer apart; BadAnswer says what it is not."""
    content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "multipart/related":
        root, parts = _split(body, _parameters(content_type))
        return Answer(http, headers, "mtom", _parse(root), parts)
    if media_type != "application/soap+xml":
        raise BadAnswer(f"HTTP {http}: Content-Type {content_type[:200]!r} is not SOAP 1.2: {printable(body[:200])!r}")
    return Answer(http, headers, "simple", _parse(body))


def _parse(raw: bytes) -> etree._Element:
    try:
        root = parse_foreign(raw)
    except etree.XMLSyntaxError as error:
        raise BadAnswer(f"the answer is not XML: {error}") from None
    if root.tag != f"{{{NAMESPACES['soap']}}}Envelope":
        raise BadAnswer(f"the answer is no SOAP 1.2 envelope but {root.tag}")
    return root


def _split(body: bytes, parameters: Mapping[str, str]) -> tuple[bytes, dict[str, bytes]]:
    if parameters.get("type", "").lower() != "application/xop+xml" or not parameters.get("boundary"):
        raise BadAnswer(f"multipart/related without type application/xop+xml or without boundary: {dict(parameters)}")
    start = parameters.get("start", "").strip("<>")
    root: bytes | None = None
    parts: dict[str, bytes] = {}
    for number, (headers, content) in enumerate(_pieces(body, parameters["boundary"])):
        content_id = headers.get("content-id", "").strip("<>")
        is_root = content_id == start if start else number == 0
        if is_root:
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/xop+xml":
                raise BadAnswer("the root part is not application/xop+xml")
            root = content
        elif not content_id or content_id in parts:
            raise BadAnswer(f"part {number} has no Content-ID of its own")
        else:
            parts[content_id] = content
    if root is None:
        raise BadAnswer(f"no part is the root part {start!r}")
    return root, parts


def multipart(content_type: str, body: bytes) -> list[tuple[dict[str, str], bytes]]:
    """The parts of a multipart body, each with its headers by lower-case name (RFC 2046)."""
    return list(_pieces(body, _parameters(content_type).get("boundary", "")))


def _parameters(content_type: str) -> dict[str, str]:
    return {match[1].lower(): match[2].strip('"') for match in _PARAMETER.finditer(content_type)}


def _pieces(body: bytes, boundary: str) -> Iterator[tuple[dict[str, str], bytes]]:
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"), _MOST_PARTS) if boundary else []
    if len(pieces) > _MOST_PARTS:
        raise BadAnswer(f"the multipart message has more than {_MOST_PARTS} parts")
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise BadAnswer("the multipart message has no part or no closing boundary")
    for number, piece in enumerate(pieces[1:-1]):
        head, empty_line, content = piece.partition(b"\r\n\r\n")
        if not empty_line:
            raise BadAnswer(f"part {number} has no end of headers")
        named = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
        yield {name.strip().lower(): value.strip() for name, _, value in named}, content
