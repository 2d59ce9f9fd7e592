"""The data types (ITI TF-3 table 4.2.3.1.7-2): what is well formed, what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdsi.rules import formats
from xdsi.rules.formats import Check
from xdsi.spec.namespaces import APPROVED, DEPRECATED

RIGHT: dict[Check, list[str]] = {
    formats.dtm: ["2024", "202402", "20240229", "2024022923", "202402292359", "20240229235959", "0001"],
    formats.oid: ["2.999", "0.1", "1.2.0.3", "129.6.58.92.1.1", "2." + "1" * 62],
    formats.oid_urn: ["urn:oid:2.999.1"],
    formats.entry_uuid: ["urn:uuid:0a8b6a1c-1111-4222-8333-444455556666", "doc1", "a:b"],
    formats.identifier: ["2.999.1", "2.999^ext", "urn:uuid:1", "http://example.org/1?a=b", "ü"],
    formats.sha1: ["da39a3ee5e6b4b0d3255bfef95601890afd80709", "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"],
    formats.size: ["0", "061224", "9999999999999999999"],
    formats.language: ["en", "en-us", "de-CH-1996", "sr-Latn-RS"],
    formats.mime_type: ["text/plain", "application/vnd.x+json", "multipart/related; type=text/xml"],
    formats.uri: ["a.txt", "urn:x:1", "https://example.org/ü"],
    formats.status: [APPROVED, DEPRECATED],
    formats.availability: list(formats.AVAILABILITIES),
    formats.cx: ["P1^^^&2.999.1&ISO", "ST-1000^^^&1.3.6.1.4.1.21367.2003.3.9&ISO"],
    formats.cxi: [
        "A77^^^&2.999.6&ISO^urn:ihe:iti:xds:2013:accession",
        "A77^^^^urn:ihe:iti:xds:2013:accession",
        "1.2.840.1^^^^urn:ihe:iti:xds:2016:studyInstanceUID",
        "2.999.1^^^^urn:ihe:iti:xdw:2013:workflowInstanceId",
        "urn:oid:2.999.1^^^&2.999&ISO^urn:ihe:iti:xdw:2013:workflowInstanceId",
        "ext^^^&2.999&ISO^urn:ihe:iti:xds:2013:uniqueId",
        "R1^^^ns&2.999&ISO^urn:ihe:iti:xds:2013:referral",
        "R1^^^&2.999&ISO^urn:ihe:iti:xds:2013:order^urn:oid:2.999",
        "X^^^^urn:my:own:kind",
    ],
    formats.xcn: [
        "77^Doe^Jo^^^Dr^^^&2.999.4&ISO", "^Smitty^Gerald^^^", "^Smitty", "77", "Gerald Smitty",
        "11375^Welby^Marcus^J^Jr. MD^Dr^^^ns&1.2.840.113619.6.197&ISO",
    ],
    formats.xon: [
        "Cleveland Clinic", "Hospital^^^^^^^^^2.999.5", "Hospital^^^^^&2.999.5&ISO^^^^45",
        "Hospital^^^^^^^^^urn:oid:2.9",
    ],
    formats.xtn: [
        "^^Internet^a@b.example", "^NET^Internet^a@b.example", "^PRS^PH^^31^^(042) 1123 4567",
        "^PRS^PH^^^^+31 42 1123 4567", "^^PH^^^^^^^^^+31421", "(414)555-1212",
    ],
    formats.recipient: [
        "Hospital^^^^^^^^^2.999.5|77^Doe^Jo|^^Internet^a@b.example", "|77^Doe", "Hospital", "||^^Internet^a@b.example",
    ],
    formats.pid_field: ["PID-3|L1^^^&2.999.2&ISO", "PID-5|Doe^John~Doe^Jo", "PID-8|F", "PID-39|", "PID-11|1 Main|St"],
    formats.coded_string: ["radiology", "309343006^^^&2.16.840.1.113883.6.96&ISO"],
    formats.extra_slot_name: ["urn:my:company:slot", "URN:x:y"],
}  # fmt: skip

WRONG: dict[Check, list[str]] = {
    formats.dtm: [
        "", "24", "20241", "202413", "20240230", "2024022924", "202402292360", "2024-02-29", "20240229T12",
        "20240229120000.1", "20240229120000+0100", "0000", "٢٠٢٤", "20240229235960", " 2024",
    ],
    formats.oid: ["", "1", "1.", ".1", "1..2", "01.2", "1.02", "1.2.a", "urn:oid:1.2", "1.2 ", "2." + "1" * 63],
    formats.oid_urn: ["2.999", "urn:oid:", "urn:uuid:1", "urn:oid:01.2"],
    formats.entry_uuid: [
        "", "urn:uuid:", "urn:uuid:0A8B6A1C-1111-4222-8333-444455556666", "urn:uuid:0a8b6a1c", "URN:UUID:x", "a b",
        "a\n", "urn:uuid:{0a8b6a1c-1111-4222-8333-444455556666}",
    ],
    formats.identifier: ["a b", "a\tb", "a\u202eb", "a\x7f", "\ufeffa", "a\u200bb"],
    formats.sha1: ["da39a3", "g" * 40, "0" * 41],
    formats.size: ["-1", "1.0", "1 kB", "٣", "1" * 20],
    formats.language: ["en_US", "englishlanguage", "en-", "e n"],
    formats.mime_type: ["text", "text/", "/plain", "text/pl ain", "téxt/plain"],
    formats.uri: ["a b", "a\n"],
    formats.status: ["Approved", "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Approved"],
    formats.availability: ["Online"],
    formats.cx: [
        "P1", "P1^^^2.999", "P1^^^&2.999.1", "P1^^^&2.999.1&ISO^PI", "^^^&2.999.1&ISO", "P1^^^ns&2.999.1&ISO",
        "P1^1^^&2.999.1&ISO", "P1^^^&2.0999&ISO", "P1~P2^^^&2.999.1&ISO", "P1^^^&2.999.1&ISO~P2^^^&2.999.1&ISO",
    ],
    formats.cxi: [
        "A77", "A77^^^&2.999.6&ISO", "A77^^^&2.999.6&ISO^", "^^^&2.999.6&ISO^urn:x", "A77^1^^&2.999.6&ISO^urn:x",
        "A77^^^&2.999.6&UUID^urn:x", "A77^^^^urn:ihe:iti:xds:2013:referral",
        "notauid^^^^urn:ihe:iti:xds:2016:studyInstanceUID",
        "1.2^^^&2.999.6&ISO^urn:ihe:iti:xds:2016:studyInstanceUID", "A^^^^urn:x^y^z",
    ],
    formats.xcn: ["", "^", "^^Jo", "77^Doe~78^Roe", "77^Doe^^^^^^^2.999", "77^Doe^^^^^^^&2.999&UUID"],
    formats.xon: ["^^^^^^^^^2.999.5", "Hospital^^^^^^^^^45", "Hospital^^^^^2.999^^^^45", "Hospital^L^^^^^^^^2.999.5"],
    formats.xtn: ["", "^^Internet", "^PRS^PH", "^^PH^^31"],
    formats.recipient: ["", "||", "|", "^^^|77^Doe", "Hospital|^^Jo", "a|77^Doe|^^Internet|x"],
    formats.pid_field: ["PID-3", "PID-0|x", "PID-40|x", "PID-03|x", "PV1-3|x", "3|x", ""],
    formats.coded_string: ["a^b", "1^^^&x&ISO", "1^^^&2.999&UUID"],
    formats.extra_slot_name: ["", "mySlot", "urn:ihe:iti:xds:2099:new", "URN:IHE:x", "urn:a b"],
}  # fmt: skip


def rows(table: dict[Check, list[str]]) -> list[tuple[Check, str]]:
    return [(check, text) for check, texts in table.items() for text in texts]


def name(value: object) -> str:
    return value.__name__ if callable(value) else repr(value)[:40]


@pytest.mark.parametrize(("check", "text"), rows(RIGHT), ids=name)
def test_well_formed(check: Check, text: str) -> None:
    assert check(text) == ""


@pytest.mark.parametrize(("check", "text"), rows(WRONG), ids=name)
def test_not_well_formed(check: Check, text: str) -> None:
    assert len(check(text)) > 10


@given(st.text(max_size=40), st.sampled_from(list(RIGHT)))
def test_any_text_is_judged(text: str, check: Check) -> None:
    assert isinstance(check(text), str)


@given(st.datetimes())
def test_any_time_is_well_formed_at_any_precision(time: object) -> None:
    digits = f"{time:%Y%m%d%H%M%S}".rjust(14, "0")
    assert [formats.dtm(digits[:length]) for length in (4, 6, 8, 10, 12, 14)] == [""] * 6
