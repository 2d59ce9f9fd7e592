"""The one place where the cases and the answers of somebody's server are parsed: no entities, nothing is fetched."""

from __future__ import annotations

from lxml import etree


def parse(raw: bytes | str, *, indented: bool = False) -> etree._Element:
    """The root element; `indented`: blanks between elements mean nothing. Raises etree.XMLSyntaxError."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, remove_blank_text=indented
    )
    return etree.fromstring(raw.encode() if isinstance(raw, str) else raw, parser)
