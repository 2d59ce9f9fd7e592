"""The one place where the cases and the answers of somebody's server are parsed: no entities, nothing is fetched."""

from __future__ import annotations

import re

from lxml import etree

MOST_MARKUP = 1_000_000
"""tags and attributes of what others wrote: each takes a hundred bytes of memory, however short it is written"""
_LARGE = 9_000_000
"""bytes above which libxml2 has to be told that they are meant"""
_PROLOG = 64 * 1024
_BEFORE_THE_ROOT = re.compile(r"(?:\s|<\?.*?\?>|<!--.*?-->)*+", re.DOTALL)
_ENCODING = re.compile(r"""<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([^"']*)["']""")
_ENCODINGS = frozenset({"utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "iso-8859-1", "windows-1252"})


def parse(raw: bytes | str, *, indented: bool = False) -> etree._Element:
    """The root element of a case's own text; `indented`: blanks between elements mean nothing.

    Raises etree.XMLSyntaxError.
    """
    return _read(raw.encode() if isinstance(raw, str) else raw, indented=indented, large=True)


def parse_foreign(raw: bytes, *, indented: bool = False) -> etree._Element:
    """The root element of what somebody else wrote; a document type, or markup without measure, is refused, too."""
    if raw.count(b"<") + (raw.count(b'"') + raw.count(b"'")) // 2 > MOST_MARKUP:
        raise _refused(f"more than {MOST_MARKUP} tags and attributes")
    wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw[:4]
    big = raw[:2] == b"\xfe\xff" or raw[:1] == b"\0"
    text = raw[:_PROLOG].decode(("utf-16-be" if big else "utf-16-le") if wide else "utf-8", "replace").lstrip("\ufeff")
    encoding = _ENCODING.match(text)
    if (encoding is not None and encoding[1].lower() not in _ENCODINGS) or (not wide and b"\0" in raw):
        raise _refused("a character encoding that is not taken")
    if _begins_with_a_document_type(text, whole=len(raw) <= _PROLOG):
        raise _refused("a document type declaration, which SOAP forbids")
    return _read(raw, indented=indented, large=len(raw) > _LARGE)


def _read(raw: bytes, *, indented: bool, large: bool) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=large, remove_blank_text=indented
    )
    return etree.fromstring(raw, parser)


def _refused(why: str) -> etree.XMLSyntaxError:
    return etree.XMLSyntaxError(why, 0, 0, 0)  # type: ignore[call-arg, arg-type]  # as lxml makes it itself


def _begins_with_a_document_type(text: str, *, whole: bool) -> bool:
    """Whether one stands before the root element, or may, because what was read of the document ends before that."""
    rest = text[_BEFORE_THE_ROOT.match(text).end() :]  # type: ignore[union-attr]  # it matches nothing, too
    return rest.startswith("<!DOCTYPE") or (not whole and (not rest or rest.startswith(("<?", "<!--"))))
