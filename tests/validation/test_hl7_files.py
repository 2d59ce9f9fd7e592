"""What is said of HL7 messages: of each fault that fault alone."""

from __future__ import annotations

import pytest

from tests import message_samples as samples
from tests.validation.faults import Change, check, having, swap, twice, without
from xdsi.validation import validate

ADT, A40 = samples.adt(), samples.adt("A40")
VERSION_2: dict[str, tuple[bytes, Change, str, str]] = {
    "no time": (ADT, swap("20260504100000", "", 1), "HL7.MSH-7", "MSH-7"),
    "processing of nothing": (ADT, swap("|P|2.3.1", "|X|2.3.1"), "HL7.MSH-11", "MSH-11"),
    "version of nothing": (ADT, swap("|P|2.3.1", "|P|3"), "HL7.MSH-12", "MSH-12"),
    "no control id": (ADT, swap("5f0c6b1e-0000-4000-8000-000000000001", ""), "HL7.MSH-10", "MSH-10"),
    "no patient": (ADT, swap("P1^^^&2.999.1.1&ISO", ""), "HL7.PID-3", "PID-3"),
    "patient of nobody": (ADT, swap("P1^^^&2.999.1.1&ISO", "P1"), "HL7.form", "PID-3"),
    "birth date that is none": (ADT, swap("19700101", "01/01/1970"), "HL7.PID-7", "PID-7"),
    "sex of nothing": (ADT, swap("|F", "|Q"), "HL7.PID-8", "PID-8"),
    "no visit": (ADT, lambda raw: raw[: raw.index(b"PV1")], "HL7.PV1.missing", "PV1"),
    "nothing merged": (A40, lambda raw: raw[: raw.index(b"MRG")], "HL7.MRG.missing", "MRG"),
    "merged into nobody": (A40, swap("MRG|P0^^^&2.999.1.1&ISO", "MRG|"), "HL7.MRG-1", "MRG-1"),
    "segments in another order": (
        A40, lambda raw: b"\r".join([*raw.split(b"\r")[:1], *raw.split(b"\r")[:0:-1][1:], b""]), "HL7.order", "",
    ),
    "order control of nothing": (samples.ORDER, swap("ORC|NW", "ORC|1"), "HL7.ORC-1", "ORC-1"),
    "order of nothing": (samples.ORDER, swap("71260^CT chest^C4", ""), "HL7.OBR-4", "OBR-4"),
    "result of no kind": (samples.REPORT, swap("OBX|1|ST", "OBX|1|??"), "HL7.OBX-2", "OBX-2"),
    "report without a status": (samples.REPORT, swap("|A77|||||||F", "|A77"), "HL7.OBR-25", "OBR-25"),
}  # fmt: skip


@pytest.mark.parametrize("name", VERSION_2)
def test_one_fault_of_a_message_is_found_alone(name: str) -> None:
    raw, change, rule, place = VERSION_2[name]
    if name == "segments in another order":
        (one,) = validate(change(raw)).findings
        assert one.rule == rule
        return
    check(change(raw), rule, place)


def test_the_line_of_a_finding_is_that_of_its_segment() -> None:
    raw = ADT.replace(b"19700101", b"x")
    for separator in (b"\r", b"\n", b"\r\n"):
        (one,) = validate(raw.replace(b"\r", separator)).findings
        assert one.line == 3
    (one,) = validate(b"\x0b" + raw + b"\x1c\r").findings
    assert one.line == 3


def test_of_several_segments_the_one_is_named() -> None:
    second = b"OBX|2|??|x||y||||||F\r"
    (one,) = validate(samples.REPORT + second).findings
    assert (one.place, one.line) == ("OBX[2]-2", 5)


VERSION_3: dict[str, tuple[Change, str, str]] = {
    "no id": (without("/*/hl7:id"), "SCHEMA", "creationTime"),
    "another interaction": (
        having("/*/hl7:interactionId/@extension", "PRPA_IN201302UV02"), "HL7V3.form", "interactionId",
    ),
    "time that is none": (having("/*/hl7:creationTime/@value", "2026-05-04"), "SCHEMA", "@value"),
    "no sender": (without("/*/hl7:sender"), "SCHEMA", "controlActProcess"),
    "no patient": (without("//hl7:patient/hl7:id"), "SCHEMA", "statusCode"),
    "sender twice": (twice("/*/hl7:sender"), "SCHEMA", "sender[2]"),
}  # fmt: skip


@pytest.mark.parametrize("name", VERSION_3)
def test_one_fault_of_an_interaction_is_found_alone(name: str) -> None:
    change, rule, place = VERSION_3[name]
    check(change(samples.interaction()), rule, place)


QUERY = samples.interaction().replace(b"PRPA_IN201301UV02", b"PRPA_IN201305UV02")
WRAPPERS: dict[str, tuple[Change, str, str]] = {
    "right": (bytes, "", ""),
    "no processing code": (without("/*/hl7:processingCode"), "HL7V3.processingCode", "PRPA_IN201305UV02"),
    "another interaction": (
        having("/*/hl7:interactionId/@extension", "PRPA_IN201306UV02"), "HL7V3.interactionId", "@extension",
    ),
    "time that is none": (having("/*/hl7:creationTime/@value", "yesterday"), "HL7V3.creationTime", "creationTime"),
    "device of nowhere": (having("//hl7:sender/hl7:device/hl7:id/@root", "here"), "?HL7V3.device", "id"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRAPPERS)
def test_of_other_interactions_the_wrapper_is_judged(name: str) -> None:
    change, rule, place = WRAPPERS[name]
    if not rule:
        assert validate(QUERY).findings == ()
    else:
        check(change(QUERY), rule, place)
