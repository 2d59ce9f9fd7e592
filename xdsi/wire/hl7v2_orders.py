"""HL7 v2 messages about imaging orders and reports: of which studies they speak, and whether a report is final.

IHE RAD TF-2: 4.2 to 4.4 (ORM, OMG, OMI) and 4.28 (ORU). What they say elsewhere is for other systems.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsi.domain.errors import MalformedMessage
from xdsi.wire import er7
from xdsi.wire.dicom_text import is_uid
from xdsi.wire.er7 import Hl7Malformed, Message, Segment, part

TYPES = {"ORU": "R01", "ORM": "O01", "OMG": "O19", "OMI": "O23"}
REPORT = "ORU"
_FINAL = frozenset({"F", "C"})
"""OBR-25 and OBX-11: final, and a correction of what was final (tables 0123 and 0085)"""
_STUDY_INSTANCE_UID = frozenset({"113014", "110180"})
"""codes of DCM under which an observation gives a Study Instance UID"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMessage:
    """What a message says of orders and studies; `final` for a report that is."""

    kind: str
    accessions: tuple[str, ...]
    studies: tuple[str, ...]
    final: bool


def kind_of(raw: bytes) -> str:
    """The message type where it is one of these, else empty; never raises."""
    try:
        kind = er7.parse_header(raw).value(9)
    except MalformedMessage:
        return ""
    return kind if kind in TYPES else ""


def decode(raw: bytes) -> OrderMessage:
    """Read a message; raises MalformedMessage where it names neither an order nor a study."""
    message = er7.parse(raw)
    kind = message.header.value(9)
    if kind not in TYPES:
        raise Hl7Malformed("200", f"message type {kind!r} is not served", location="MSH-9.1",
                           expected=", ".join(sorted(TYPES)))  # fmt: skip
    accessions = tuple(dict.fromkeys(_accessions(message)))
    studies = tuple(dict.fromkeys(_studies(message)))
    if not accessions and not studies:
        raise Hl7Malformed("101", "neither an accession number nor a Study Instance UID", location="OBR-18",
                           expected="one of them")  # fmt: skip
    statuses = [segment.value(25) for segment in message.all("OBR")]
    final = kind == REPORT and bool(statuses) and all(status in _FINAL for status in statuses)
    return OrderMessage(kind=kind, accessions=accessions, studies=studies, final=final)


def _accessions(message: Message) -> Iterator[str]:
    for segment in message.all("IPC"):
        yield from _value(segment, 1)
    for segment in message.all("OBR"):
        # Where no field is given to the accession number, the filler's order number is.
        yield from _value(segment, 18) or _value(segment, 3)


def _studies(message: Message) -> Iterator[str]:
    for name, number in (("ZDS", 1), ("IPC", 3)):
        for segment in message.all(name):
            yield from filter(is_uid, _value(segment, number))
    for segment in message.all("OBX"):
        if segment.value(3) in _STUDY_INSTANCE_UID:
            for repetition in segment.repetitions(5):
                if is_uid(part(repetition, 1)):
                    yield part(repetition, 1)


def _value(segment: Segment, number: int) -> list[str]:
    value = segment.value(number)
    return [value] if value and value != '""' else []
