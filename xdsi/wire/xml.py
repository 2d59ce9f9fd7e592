"""The one XML parser, hardened, and the escapes for XML that is written by hand.

No other module calls an lxml parser. XML 1.0 (fifth edition); SOAP 1.2 part 1 section 5 forbids document types.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any, Final

from lxml import etree

from xdsi.domain.errors import MalformedMessage

LIMIT = 5 * 1024 * 1024
"""bytes of a document, where the caller does not say otherwise"""
MAX_DEPTH = 64
MAX_ATTRIBUTES = 256
"""of one element; for namespaces in scope, too"""
MAX_MARKUP = 500_000
"""tags and attributes of a document: each takes a hundred bytes of memory or more, however short it is written"""

_ENCODINGS = frozenset({"UTF-8", "UTF8", "UTF-16", "UTF-16LE", "UTF-16BE"})
_HARDENED: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "attribute_defaults": False,
    "recover": False,
    "remove_comments": False,
    "remove_pis": False,
    "strip_cdata": True,
    "decompress": False,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How deep a document may be, and how wide its elements."""

    depth: int = MAX_DEPTH
    attributes: int = MAX_ATTRIBUTES


SHAPE = Shape()


_COUNTED: Final = 8 * 1024
"""bytes of a document in which signs are counted faster than elements are looked at"""


@cache
def _too_deep(depth: int) -> etree.XPath:
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


@cache
def _misshapen(shape: Shape) -> etree.XPath:
    """One expression for all: to begin with another one takes as long as to look at some elements."""
    return etree.XPath(f"boolean({'/*' * (shape.depth + 1)}) or boolean(//*/@*[{shape.attributes + 1}])")


def parse(
    raw: bytes, *, limit: int = LIMIT, huge: bool = False, max_markup: int = MAX_MARKUP, shape: Shape = SHAPE
) -> etree._Element:
    """The root element of a document from outside, or MalformedMessage.

    Refused: more than `limit` bytes or `max_markup` tags and attributes, a document type (hence entities), encodings
    other than UTF-8 and UTF-16, more levels, or attributes of one element, than `shape` says. `huge` admits text nodes
    above libxml2's 10 MB: for messages with inline base64 documents, which have a limit of their own.
    """
    if len(raw) > limit:
        raise MalformedMessage("XML document too large", expected=f"at most {limit} bytes")
    # Counted before they are made: by what every tag and every attribute has, where there are enough bytes for so many.
    if len(raw) > max_markup and raw.count(b"<") + (raw.count(b'"') + raw.count(b"'")) // 2 > max_markup:
        raise MalformedMessage("too many tags and attributes", expected=f"at most {max_markup}", limit="markup")
    _check_prolog(raw)
    root = _read(raw, huge=huge)
    document: Any = root.getroottree().docinfo
    if document.doctype or document.internalDTD is not None:
        raise MalformedMessage("document type declaration", location="prolog", expected="none")
    if (document.encoding or "UTF-8").upper() not in _ENCODINGS:
        raise MalformedMessage("character encoding not accepted", location="prolog", expected="UTF-8 or UTF-16")
    # Many messages are too small to be deep or wide; threads that evaluate an expression wait for each other.
    small = len(raw) <= _COUNTED and raw.count(b"<") <= 2 * shape.depth and raw.count(b"=") <= shape.attributes
    if not small and (_misshapen(shape)(root) or len(root.nsmap) > shape.attributes):
        if _too_deep(shape.depth)(root):
            raise MalformedMessage(
                "elements nested too deeply", expected=f"at most {shape.depth} levels", limit="depth"
            )
        most = f"at most {shape.attributes}"
        raise MalformedMessage("too many attributes on one element", expected=most, limit="attributes")
    return root


_DECLARATION = re.compile(r"<\?xml\s([^>]{0,200}\?>)?")
_ENCODING = re.compile(r"""encoding\s*=\s*["']([^"']*)["']""")
_PROLOG = 64 * 1024
"""bytes before the root element"""
_DOCTYPE = re.compile(rb"<\0?!\0?D\0?O\0?C\0?T\0?Y\0?P\0?E")


def _check_prolog(raw: bytes) -> None:
    """Refuse encodings and document types before anything is made of them.

    The markup of shifted encodings cannot be counted beforehand, and neither can what entities of a document type cost.
    """
    wide = is_utf_16(raw)
    if not wide and b"\0" in raw:
        raise MalformedMessage("character encoding not accepted", location="prolog", expected="UTF-8 or UTF-16")
    big = raw[:2] == b"\xfe\xff" or raw[:1] == b"\0"
    codec = ("utf-16-be" if big else "utf-16-le") if wide else "utf-8"
    text = raw[:_PROLOG].decode(codec, "replace").lstrip("\ufeff")
    if (declaration := _DECLARATION.match(text)) is not None:
        if declaration[1] is None:
            raise MalformedMessage("unreasonable XML declaration", location="prolog", expected="version and encoding")
        encoding = _ENCODING.search(declaration[1])
        if encoding is not None and encoding[1].upper() not in _ENCODINGS:
            raise MalformedMessage("character encoding not accepted", location="prolog", expected="UTF-8 or UTF-16")
    # A document type stands in the prolog; behind markup that is no prolog it is an error, found while parsing, which
    # must not have cost much until then.
    if _in_prolog(text, "<!DOCTYPE") or (
        (wide or b"!" in raw) and _DOCTYPE.search(raw) and raw.count(b"&") > MAX_ATTRIBUTES
    ):
        raise MalformedMessage("document type declaration", location="prolog", expected="none")


def is_utf_16(raw: bytes) -> bool:
    """True for a document whose first bytes say so; libxml2 takes it for UTF-16 by the same bytes."""
    return raw[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in raw[:4]


def _in_prolog(text: str, what: str) -> bool:
    """True when this stands before the root element, after any comments and processing instructions."""
    at = 0
    while True:
        at = len(text) - len(text[at:].lstrip())
        if text.startswith("<?", at):
            at = text.find("?>", at) + 2
        elif text.startswith("<!--", at):
            at = text.find("-->", at + 4) + 3
        else:
            return text.startswith(what, at)
        if at < 4:  # not found
            return False


def standalone(element: etree._Element) -> etree._Element:
    """A copy of an element of a parsed document as the root of its own, with nothing else reachable from it.

    Signatures are verified on such copies: no twin or wrapper outside can be read, and C14N sees the namespaces right.
    """
    if len(element.nsmap) > MAX_ATTRIBUTES:
        raise MalformedMessage("too many namespaces in scope", expected=f"at most {MAX_ATTRIBUTES}")
    return _read(serialize(element), huge=True)


def serialize(element: etree._Element) -> bytes:
    """The element in UTF-8, with the namespace declarations it needs and no XML declaration: a piece of a message."""
    encoded: bytes = etree.tostring(element, encoding="UTF-8", xml_declaration=False, with_tail=False)
    return encoded


def serialize_text(element: etree._Element) -> str:
    """The same as text, which takes less time; encoded in UTF-8 it is what `serialize` gives."""
    written: str = etree.tostring(element, encoding="unicode", with_tail=False)
    return written


def _read(raw: bytes, *, huge: bool) -> etree._Element:
    # A new parser each time: lxml serialises threads on a shared one.
    parser = etree.XMLParser(huge_tree=huge, **_HARDENED)
    try:
        root = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        reason = str(error.msg).partition("\n")[0].removesuffix(f", line {line}, column {column}")
        raise _not_well_formed(reason, line, column) from None
    # libxml2 forgets an error of namespaces, such as an attribute twice or a prefix of nothing, over a later warning.
    for one in parser.error_log:
        if one.level >= etree.ErrorLevels.ERROR:
            raise _not_well_formed(one.message, one.line, one.column)
    return root


def _not_well_formed(reason: str, line: int, column: int) -> MalformedMessage:
    return MalformedMessage(f"not well-formed XML: {reason}", location=f"line {line}, column {column}")


@lru_cache(maxsize=1000)
def E(namespace: str, local: str) -> str:  # noqa: N802 - short, because codecs are full of it
    """The name of an element or attribute in Clark notation, `{namespace}local`."""
    return f"{{{namespace}}}{local}"


def content(element: etree._Element) -> str:
    """All text of an element without surrounding white space; unlike `.text`, a comment inside does not cut it."""
    value = "".join(str(piece) for piece in element.itertext()) if len(element) else element.text or ""
    return value.strip(" \t\r\n")


_UNSAFE_IN_TEXT = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_UNSAFE_IN_ATTRIBUTE = re.compile('[&<>"\r\n\t\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0], "\ufffd")


# Called for everything that is written, and most of it needs no escapes.
text: Final[Callable[[str], str]] = partial(_UNSAFE_IN_TEXT.sub, _escape)
"""A value as element content. What XML 1.0 cannot carry (section 2.2) leaves as U+FFFD, never as it is."""
attribute: Final[Callable[[str], str]] = partial(_UNSAFE_IN_ATTRIBUTE.sub, _escape)
"""A value as an attribute's between double quotes; line breaks and tabs survive normalisation."""
