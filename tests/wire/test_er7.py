"""wire/er7: the syntax of HL7 v2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdsi.domain.errors import MalformedMessage
from xdsi.wire import er7
from xdsi.wire.er7 import Hl7Malformed, part

HEADER = "MSH|^~\\&|APP|FAC|RAPP|RFAC|20250102030405||ADT^A01|1|P|2.3.1"


def parse(text: str) -> er7.Message:
    return er7.parse(text.encode())


def pid(field: str, header: str = HEADER) -> er7.Segment:
    return parse(f"{header}\rPID|||{field}\r").only("PID")


@pytest.mark.parametrize("terminator", ["\r", "\n", "\r\n", "\r\n\r\n"])
def test_segments_end_with_cr_and_other_line_ends_do_no_harm(terminator: str) -> None:
    message = parse(terminator.join([HEADER, "EVN|A01", "PID|||1", ""]))
    assert [segment.name for segment in message.segments] == ["MSH", "EVN", "PID"]


def test_a_line_feed_inside_a_field_does_not_end_a_segment() -> None:
    assert parse(f"{HEADER}\rPID|||1||a\nb\r").only("PID").value(5) == "a\nb"


def test_fields_of_the_header_are_numbered_as_the_standard_does() -> None:
    header = parse(HEADER).header
    assert (header.field(1), header.field(2)) == ("|", "^~\\&")
    assert (header.value(3), header.value(9, 1), header.value(9, 2), header.value(12)) == ("APP", "ADT", "A01", "2.3.1")


def test_repetitions_components_and_subcomponents() -> None:
    segment = pid("1^^^NS&2.999&ISO~2^3")
    first, second = segment.repetitions(3)
    assert [part(first, 1), part(first, 4), part(first, 4, 2), part(first, 4, 4), part(first, 9)] == [
        "1", "NS", "2.999", "", "",
    ]  # fmt: skip
    assert second == (("2",), ("3",))
    assert segment.repetitions(30) == ()


def test_other_delimiters_are_taken_from_the_header() -> None:
    header = "MSH#*%!?#APP#FAC#RAPP#RFAC#20250102##ADT*A01#1#P#2.3.1"
    (first, second) = parse(f"{header}\rPID###1***NS?2.999?ISO%2!S!3\r").only("PID").repetitions(3)
    assert (part(first, 1), part(first, 4, 2), part(second, 1)) == ("1", "2.999", "2*3")


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"\X41C3A9\b", "Aéb"),
        (r"\H\bold\N\ text", "bold text"),
        (r"one\.br\two", "one two"),
        (r"a\Zunknown\b", r"a\Zunknown\b"),
        (r"a\XFF\b", r"a\XFF\b"),
        (r"a\b", r"a\b"),
        (r"a\E", r"a\E"),
        ("\\", "\\"),
        (r"\E\E\E", r"\E\E"),
    ],
)
def test_escapes(sent: str, meant: str) -> None:
    assert pid(sent).value(3) == meant


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("", "ascii"), ("", "utf-8"), ("ASCII", "ascii"), ("UNICODE UTF-8", "utf-8"), ("8859/1", "latin-1"),
     ("8859/15", "iso8859-15"), ("8859/2", "iso8859-2"), ("unicode utf-8~ASCII", "utf-8")],
)  # fmt: skip
def test_the_character_set_is_the_declared_one(declared: str, encoding: str) -> None:
    name = "Muller" if encoding == "ascii" else "Müller"
    raw = f"{HEADER}||||||{declared}\rPID|||1||{name}\r".encode(encoding)
    assert er7.parse(raw).only("PID").value(5) == name


MALFORMED = [
    (b"", "100", "MSH"),
    (b"hello", "100", "MSH"),
    (b"PID|||1\rMSH|^~\\&|", "100", "MSH"),
    (b"MSH", "100", "MSH"),
    (b"MSH|^~|A|B|C", "102", "MSH-2"),
    (b"MSH|^^\\&|A|B|C", "102", "MSH-2"),
    (b"MSHA^~\\&AAPPAFAC", "102", "MSH-2"),
    (HEADER.encode() + b"\rPID|||1||M\xfcller\r", "102", "MSH-18"),
    (HEADER.encode() + b"||||||ISO IR87\rPID|||1\r", "102", "MSH-18"),
    (HEADER.encode() + b"||||||ASCII\rPID|||1||M\xc3\xbcller\r", "102", "MSH-18"),
    (HEADER.encode() + b"\rpid|||1\r", "100", ""),
    (HEADER.encode() + b"\rPIDX|||1\r", "100", ""),
    (HEADER.encode() + b"\r|||1\r", "100", ""),
    (HEADER.encode() + b"\r" + HEADER.encode() + b"\r", "100", "MSH"),
]


@pytest.mark.parametrize(("raw", "code", "location"), MALFORMED)
def test_what_is_not_a_message_is_refused_with_its_place(raw: bytes, code: str, location: str) -> None:
    with pytest.raises(Hl7Malformed) as caught:
        er7.parse(raw)
    assert (caught.value.code, caught.value.location) == (code, location)


@pytest.mark.parametrize(("segments", "why"), [("", "missing"), ("PID|1\rPID|2\r", "more than once")])
def test_a_segment_that_must_be_there_once(segments: str, why: str) -> None:
    with pytest.raises(MalformedMessage, match=why) as caught:
        parse(f"{HEADER}\r{segments}").only("PID")
    assert caught.value.location == "PID"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for candidate in (raw, b"MSH|^~\\&|" + raw, HEADER.encode() + b"\r" + raw):
        try:
            message = er7.parse(candidate)
        except MalformedMessage:
            continue
        for segment in message.segments:
            for number in range(len(segment.raw)):
                segment.repetitions(number)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(str.strip))
def test_any_text_survives_escaping(text: str) -> None:
    raw = er7.message({3: er7.escape(text), 9: "ADT^A01"}, [er7.segment("PID", {3: er7.components(text, text)})])
    message = er7.parse(raw)
    assert len(message.segments) == 2
    assert message.header.value(3) == text
    assert [message.only("PID").value(3, n) for n in (1, 2)] == [text, text]


def test_text_beyond_ascii_names_its_character_set() -> None:
    assert er7.parse(er7.message({9: "ADT"}, ["PID|Ł"])).header.field(18) == "UNICODE UTF-8"
    assert er7.parse(er7.message({9: "ADT"}, ["PID|L"])).header.field(18) == ""
