"""The value sets of an affinity domain from a file: our own TOML, or the codes.xml of IHE connectathons.

ITI TF-1 Appendix L (what an affinity domain agrees on). Our own form:

    mime_types = ["application/dicom", "application/pdf"]
    assigning_authorities = ["2.999.1.1"]

    [codes.classCode]
    "2.16.840.1.113883.6.1" = { "57016-8" = "Privacy policy acknowledgment Document" }
    "2.999.20" = ["REPORTS", "IMAGES"]

Each table under `codes` is an attribute; its keys are coding schemes, their values the codes, with or without names.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from lxml import etree

from xdsi.domain.codes import Code, CodeSets
from xdsi.domain.errors import MalformedMessage
from xdsi.wire import xml

ATTRIBUTES: Final = frozenset({
    "associationDocumentation", "classCode", "confidentialityCode", "contentTypeCode", "eventCodeList",
    "folderCodeList", "formatCode", "healthcareFacilityTypeCode", "practiceSettingCode", "typeCode",
})  # fmt: skip
LIMIT: Final = 20 * 1024 * 1024


def decode(raw: bytes) -> CodeSets:
    """The value sets of a file; its first sign says which of the two forms it has."""
    if raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _from_xml(xml.parse(raw, limit=LIMIT))
    try:
        document = tomllib.loads(raw.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MalformedMessage(f"not a file of value sets: {error}", expected="TOML in UTF-8, or codes.xml") from None
    return from_table(document)


def from_table(document: Mapping[str, Any]) -> CodeSets:
    """The value sets of a table of our own form."""
    unknown = document.keys() - {"codes", "mime_types", "assigning_authorities"}
    if unknown:
        expected = "codes, mime_types or assigning_authorities"
        raise MalformedMessage(f"unknown key {min(unknown)!r}", location=min(unknown), expected=expected)
    tables = document.get("codes", {})
    if not isinstance(tables, dict):
        raise MalformedMessage("codes is no table", location="codes", expected="a table of attributes")
    return CodeSets(
        attributes={name: frozenset(_codes(name, schemes)) for name, schemes in tables.items()},
        mime_types=frozenset(value.lower() for value in _texts(document, "mime_types")),
        assigning_authorities=frozenset(_texts(document, "assigning_authorities")),
    )


def _codes(name: str, schemes: Any) -> Iterator[Code]:
    place = f"codes.{name}"
    if name not in ATTRIBUTES:
        raise MalformedMessage(f"unknown attribute {name!r}", location=place, expected=", ".join(sorted(ATTRIBUTES)))
    if not isinstance(schemes, dict):
        raise MalformedMessage(f"{name} is no table", location=place, expected="a table of coding schemes")
    for scheme, codes in schemes.items():
        named = codes.items() if isinstance(codes, dict) else ((code, "") for code in _list(codes, place))
        for code, display in named:
            if not (isinstance(code, str) and code and isinstance(display, str)):
                expected = "texts in quotes"
                raise MalformedMessage(f"{code!r} is no code of {scheme}", location=place, expected=expected)
            yield Code(code, scheme, display)


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise MalformedMessage(f"{value!r} is neither list nor table", location=place, expected="a list or a table")
    return value


def _texts(document: Mapping[str, Any], key: str) -> Iterable[str]:
    values = _list(document.get(key, []), key)
    if not all(isinstance(value, str) and value for value in values):
        raise MalformedMessage(f"{key} has something else than texts", location=key, expected="texts in quotes")
    return values


def _from_xml(root: etree._Element) -> CodeSets:
    """CodeType elements with Code elements; the mimeType table has the media type as its code."""
    if root.tag != "Codes":
        raise MalformedMessage(f"{root.tag} is not a table of codes", location="root", expected="Codes")
    attributes: dict[str, frozenset[Code]] = {}
    mime_types: frozenset[str] = frozenset()
    for table in root.iterfind("CodeType"):
        name = table.get("name") or ""
        codes = [
            Code(one.get("code") or "", one.get("codingScheme") or "", one.get("display") or "")
            for one in table.iterfind("Code")
        ]
        if name == "mimeType":
            mime_types = frozenset(code.code.lower() for code in codes)
        elif name in ATTRIBUTES:
            attributes[name] = attributes.get(name, frozenset()) | frozenset(codes)
    authorities = (one.get("id") or "" for one in root.iterfind("AssigningAuthority"))
    return CodeSets(attributes, mime_types, frozenset(filter(None, map(_authority, authorities))))


def _authority(hd: str) -> str:
    """The OID of `namespace&OID&ISO`."""
    parts = hd.split("&")
    return parts[1] if len(parts) > 1 else hd
