"""Value sets from a file: our own form and the connectathon's."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from tests.oracles import corpus
from xdsi.domain.codes import Code, CodeSets
from xdsi.domain.errors import MalformedMessage
from xdsi.wire import code_sets

OWN = b"""
mime_types = ["application/dicom", "Text/Plain"]
assigning_authorities = ["2.999.1.1"]

[codes.classCode]
"2.999.20" = ["REPORTS", "IMAGES"]
"2.16.840.1.113883.6.1" = { "57016-8" = "Privacy policy" }

[codes.folderCodeList]
"""
CONNECTATHON = """<?xml version="1.0" encoding="UTF-8"?>
<Codes>
 <CodeType name="classCode" classScheme="urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a">
  <Code code="REPORTS" display="Reports" codingScheme="2.999.20" system="http://example.org"/>
 </CodeType>
 <CodeType name="classCode"><Code code="IMAGES" display="Images" codingScheme="2.999.20"/></CodeType>
 <CodeType name="mimeType"><Code code="Text/Plain" ext="txt"/></CodeType>
 <CodeType name="somethingElse"><Code code="x" codingScheme="y"/></CodeType>
 <AssigningAuthority id="&amp;2.999.1.1&amp;ISO" display="A"/><AssigningAuthority id="2.999.1.2"/>
</Codes>
"""


def test_reads_our_own_form() -> None:
    read = code_sets.decode(OWN)
    assert read == CodeSets(
        {
            "classCode": frozenset({
                Code("REPORTS", "2.999.20"), Code("IMAGES", "2.999.20"), Code("57016-8", "2.16.840.1.113883.6.1"),
            }),
            "folderCodeList": frozenset(),
        },
        mime_types=frozenset({"application/dicom", "text/plain"}),
        assigning_authorities=frozenset({"2.999.1.1"}),
    )  # fmt: skip
    assert {code.display for code in read.attributes["classCode"]} == {"", "Privacy policy"}


def test_reads_the_connectathon_form() -> None:
    assert code_sets.decode(CONNECTATHON.encode()) == CodeSets(
        {"classCode": frozenset({Code("REPORTS", "2.999.20"), Code("IMAGES", "2.999.20")})},
        mime_types=frozenset({"text/plain"}),
        assigning_authorities=frozenset({"2.999.1.1", "2.999.1.2"}),
    )


def test_an_empty_file_admits_everything() -> None:
    read = code_sets.decode(b"")
    assert read == CodeSets()
    assert read.admits("classCode", Code("x", "y"))
    assert read.admits_mime_type("a/b")
    assert read.admits_authority("2.999")


def test_a_byte_order_mark_is_passed_over() -> None:
    assert code_sets.decode(b"\xef\xbb\xbf" + OWN) == code_sets.decode(OWN)
    assert code_sets.decode(b"\xef\xbb\xbf" + CONNECTATHON.encode()) == code_sets.decode(CONNECTATHON.encode())


MALFORMED = {
    "no TOML": b"mime_types = [",
    "another encoding": "mime_types = ['é']".encode("latin-1"),
    "an unknown key": b"mimetypes = []",
    "an unknown attribute": b"[codes.classcode]\n'2.9' = ['a']",
    "no table of attributes": b"codes = 1",
    "no table of schemes": b"codes.classCode = ['a']",
    "no list of codes": b"codes.classCode.'2.9' = 'a'",
    "a number as code": b"codes.classCode.'2.9' = [1]",
    "an empty code": b"codes.classCode.'2.9' = ['']",
    "a number as media type": b"mime_types = [1]",
    "a text as list": b"mime_types = 'a/b'",
    "another XML document": b"<x/>",
    "a document type": b"<!DOCTYPE Codes [<!ENTITY a 'b'>]><Codes/>",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
def test_refuses(raw: bytes) -> None:
    with pytest.raises(MalformedMessage) as refusal:
        code_sets.decode(raw)
    assert refusal.value.expected


@pytest.mark.oracle
def test_the_codes_of_a_connectathon() -> None:
    read = code_sets.decode(corpus("nist-toolkit2", "environment", "codes.xml").read_bytes())
    assert read.attributes.keys() == code_sets.ATTRIBUTES
    assert sum(map(len, read.attributes.values())) > 500
    assert read.admits("confidentialityCode", Code("N", "2.16.840.1.113883.5.25", "whatever"))
    assert not read.admits("confidentialityCode", Code("N", "2.16.840.1.113883.5.26"))
    assert read.admits_mime_type("application/dicom")
    assert not read.admits_mime_type("application/x-unheard-of")
    assert read.admits_authority("1.3.6.1.4.1.21367.13.20.1000")


def test_the_example_of_the_documentation_is_read() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "configuration.md").read_text("utf-8")
    (example,) = re.findall(r"^    mime_types.*?(?=^\S)", page, re.MULTILINE | re.DOTALL)
    read = code_sets.decode(textwrap.dedent(example).encode())
    assert read.admits("classCode", Code("IMAGES", "2.999.20"))
    assert not read.admits("classCode", Code("IMAGES", "2.999.21"))
    assert read.admits("typeCode", Code("IMAGES", "2.999.21")), "it has no table"
    named = re.findall(r"^Attributes are (.*?);", page, re.MULTILINE | re.DOTALL)[0].replace(" and ", ", ")
    assert set(re.split(r",\s+", named)) == code_sets.ATTRIBUTES
