"""HL7 v2 messages in ER7: tables of segments and fields, and what the product's own readers say.

ITI TF-2 3.8, RAD TF-2 4.2 to 4.4 and 4.28; HL7 v2 chapter 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.findings import Finding, Level
from xdsi.rules.validation import er7 as rules
from xdsi.validation.profile import Profile
from xdsi.validation.validator import Judged, Terms, Validator
from xdsi.wire import er7, hl7v2, hl7v2_orders

MAX_SEGMENTS = 20_000
MAX_PARTS = 250_000
_SEPARATORS = (b"|", b"^", b"~", b"&")
_BREAK = re.compile(r"\r\n|\r|\n")
_FORMAT = "HL7 v2 chapter 2 (ER7)"
_SEGMENT = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?")


def _bare(raw: bytes) -> bytes:
    """Without the frame of MLLP."""
    return raw.removeprefix(b"\x0b").rstrip(b"\r\n").removesuffix(b"\x1c") if raw[:1] == b"\x0b" else raw


def _knows(raw: bytes) -> bool:
    return _bare(raw).lstrip(b"\r\n")[:3] == b"MSH"


def _check(raw: bytes, terms: Terms) -> Judged:
    if sum(map(raw.count, _SEPARATORS)) > MAX_PARTS:
        raise MalformedMessage("too many fields and components", expected=f"at most {MAX_PARTS}")
    message = er7.parse(_bare(raw))
    if len(message.segments) > MAX_SEGMENTS:
        raise MalformedMessage(f"{len(message.segments)} segments", expected=f"at most {MAX_SEGMENTS}")
    lines = [
        number for number, line in enumerate(_BREAK.split(_bare(raw).decode("latin-1")), start=1) if line.strip("\n\r")
    ]
    segments = list(zip(message.segments, lines, strict=False))
    header = message.header
    about = "^".join(part for part in (header.value(9, 1), header.value(9, 2)) if part)
    found = list(rules.check(segments))
    told = {one.place.split(".")[0] for one in found}
    for one in _by_reader(_bare(raw), header.value(9, 1), header.value(9, 2)):
        if not any(one.location.startswith(place) for place in told):
            found.append(_finding(one, segments))
    found.extend(_by_profile(terms.profile, segments))
    return Judged(findings=found, about=about)


def _by_reader(raw: bytes, kind: str, trigger: str) -> Iterator[MalformedMessage]:
    try:
        if kind == "ADT" and trigger in hl7v2.TRIGGERS:
            feed = hl7v2.decode(raw)
            for place, patients in (("PID-3", feed.patients), ("MRG-1", feed.prior)):
                if patients and not any(one.authority for one in patients):
                    yield MalformedMessage(
                        "no identifier has an assigning authority", location=place, expected="ID^^^&OID&ISO"
                    )
        elif kind in hl7v2_orders.TYPES:
            hl7v2_orders.decode(raw)
        elif kind == "ACK":
            hl7v2.decode_acknowledgement(raw)
    except MalformedMessage as error:
        yield error


def _finding(error: MalformedMessage, segments: list[tuple[er7.Segment, int]]) -> Finding:
    match = _SEGMENT.match(error.location)
    line = next((line for segment, line in segments if match and segment.name == match[1]), 0)
    return Finding(
        rule="HL7.form",
        level=Level.ERROR,
        place=error.location,
        text=error.message,
        expected=error.expected,
        clause="ITI TF-2 3.8.4.1; RAD TF-2 4.2, 4.28",
        line=line,
    )


def _by_profile(profile: Profile, segments: list[tuple[er7.Segment, int]]) -> Iterator[Finding]:
    for rule in profile.fields:
        for segment, line in segments:
            if segment.name != rule.segment:
                continue
            value = segment.value(rule.field, rule.component)
            if not value or (rule.matches is not None and rule.matches.fullmatch(value) is None):
                yield rule.said.finding(f"{segment.name}-{rule.field}.{rule.component}", line, value)


VALIDATORS = (Validator(key="hl7v2", name="HL7 v2 message", knows=_knows, check=_check, format_clause=_FORMAT),)
