"""Segments and fields of HL7 v2 messages, as tables: identity feeds, orders, reports, acknowledgements.

ITI TF-2 3.8.4.1.2 (ADT, HL7 2.3.1); RAD TF-2 4.2, 4.3 (ORM, OMG, OMI), 4.28 (ORU); HL7 v2 chapters 2, 3, 4, 7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from xdsi.domain.findings import Finding, Level


class Segment(Protocol):
    """A segment as the codec reads it."""

    @property
    def name(self) -> str:
        """Three letters."""

    def value(self, number: int, component: int = 1) -> str:
        """A component of the field's first repetition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A field that each segment of a name has: a value, of a form where there is one."""

    segment: str
    field: int
    clause: str
    component: int = 1
    form: str = ""
    required: bool = True
    level: Level = Level.ERROR
    triggers: frozenset[str] = frozenset()
    """of the messages it counts for; empty: all"""


_TIME = re.compile(r"\d{4}(\d\d(\d\d(\d\d(\d\d(\d\d(\.\d{1,4})?)?)?)?)?)?([+-]\d{4})?")
_TYPES = frozenset(
    "AD CE CF CK CN CP CX DT ED FT MO NM PN RP SN ST TM TN TS TX XAD XCN XON XPN XTN CWE DTM".split()  # noqa: SIM905
)

FORMS: Final[Mapping[str, tuple[str, Callable[[str], bool]]]] = {
    "time": ("YYYY[MM[DD[HH[MM[SS]]]]], with a zone or without", lambda text: _TIME.fullmatch(text) is not None),
    "processing": ("P, T or D", lambda text: text in ("P", "T", "D")),
    "version": ("2.3.1, or a later version", lambda text: re.fullmatch(r"2\.\d(\.\d)?", text) is not None),
    "sex": ("F, M, O, U, A or N", lambda text: text in ("F", "M", "O", "U", "A", "N", '""')),
    "order": ("NW, SN, CA, XO or another code of table 0119", lambda text: re.fullmatch(r"[A-Z]{2}", text) is not None),
    "type": ("a data type of HL7", lambda text: text in _TYPES),
    "result": ("F, C, P, R or another code of table 0123", lambda text: re.fullmatch(r"[A-Z]", text) is not None),
    "acknowledgement": ("AA, AE, AR, CA, CE or CR", lambda text: text in ("AA", "AE", "AR", "CA", "CE", "CR")),
}

_MSH, _FEED = "HL7 v2 chapter 2, 2.24.1 (MSH)", "ITI TF-2 3.8.4.1.2"
HEADER: Final = (
    Row(segment="MSH", field=3, clause=_MSH, level=Level.WARNING),
    Row(segment="MSH", field=5, clause=_MSH, level=Level.WARNING),
    Row(segment="MSH", field=7, clause=_MSH, form="time"),
    Row(segment="MSH", field=9, clause=_MSH),
    Row(segment="MSH", field=10, clause=_MSH),
    Row(segment="MSH", field=11, clause=_MSH, form="processing"),
    Row(segment="MSH", field=12, clause=_MSH, form="version"),
)
_PATIENT = (
    Row(segment="PID", field=3, clause=_FEED),
    Row(segment="PID", field=5, clause=_FEED),
    Row(segment="PID", field=7, clause=_FEED, form="time", required=False),
    Row(segment="PID", field=8, clause=_FEED, form="sex", required=False),
)
_ORDER, _REPORT = "RAD TF-2 4.2.4.1, 4.3.4.1", "RAD TF-2 4.28.4.1"
_ACK = "HL7 v2 chapter 2, 2.24.2 (MSA); ITI TF-2 C.2.3"
FIELDS: Final[Mapping[str, tuple[Row, ...]]] = {
    "ADT": (
        Row(segment="EVN", field=2, clause=_FEED, form="time"),
        *_PATIENT,
        Row(segment="PV1", field=2, clause=_FEED, triggers=frozenset({"A01", "A04", "A05", "A08"})),
        Row(segment="MRG", field=1, clause=_FEED),
    ),
    "ORM": (
        *_PATIENT,
        Row(segment="ORC", field=1, clause=_ORDER, form="order"),
        Row(segment="OBR", field=4, clause=_ORDER),
    ),
    "OMG": (
        *_PATIENT,
        Row(segment="ORC", field=1, clause=_ORDER, form="order"),
        Row(segment="OBR", field=4, clause=_ORDER),
    ),
    "OMI": (
        *_PATIENT,
        Row(segment="ORC", field=1, clause=_ORDER, form="order"),
        Row(segment="OBR", field=4, clause=_ORDER),
        Row(segment="IPC", field=1, clause=_ORDER),
        Row(segment="IPC", field=3, clause=_ORDER),
    ),
    "ORU": (
        *_PATIENT,
        Row(segment="OBR", field=4, clause=_REPORT),
        Row(segment="OBR", field=25, clause=_REPORT, form="result"),
        Row(segment="OBX", field=2, clause=_REPORT, form="type"),
        Row(segment="OBX", field=3, clause=_REPORT),
        Row(segment="OBX", field=11, clause=_REPORT, form="result"),
    ),
    "ACK": (Row(segment="MSA", field=1, clause=_ACK, form="acknowledgement"), Row(segment="MSA", field=2, clause=_ACK)),
}

SEGMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "ADT": ("MSH", "EVN", "PID"),
    "ADT^A01": ("MSH", "EVN", "PID", "PV1"),
    "ADT^A04": ("MSH", "EVN", "PID", "PV1"),
    "ADT^A05": ("MSH", "EVN", "PID", "PV1"),
    "ADT^A08": ("MSH", "EVN", "PID", "PV1"),
    "ADT^A40": ("MSH", "EVN", "PID", "MRG"),
    "ORM": ("MSH", "PID", "ORC", "OBR"),
    "OMG": ("MSH", "PID", "ORC", "OBR"),
    "OMI": ("MSH", "PID", "ORC", "OBR", "IPC"),
    "ORU": ("MSH", "PID", "OBR"),
    "ACK": ("MSH", "MSA"),
}
"""what has to be there, and in which order the first of each name comes"""


def check(segments: Sequence[tuple[Segment, int]]) -> Iterator[Finding]:
    """Every segment and field that is not as the message's tables have it; segments come with their lines."""
    header = segments[0][0]
    kind, trigger = header.value(9, 1), header.value(9, 2)
    names = [segment.name for segment, _ in segments]
    wanted = SEGMENTS.get(f"{kind}^{trigger}") or SEGMENTS.get(kind, ())
    for name in wanted:
        if name not in names:
            yield _finding(f"{name}.missing", name, f"no {name} segment", "one", _clause(kind), segments[0][1])
    there = [name for name in wanted if name in names]
    at = [names.index(name) for name in there]
    if at != sorted(at):
        number = next(n for n in range(1, len(at)) if at[n] < at[n - 1])
        text = f"{there[number]} comes before {there[number - 1]}"
        yield _finding("order", there[number], text, " ".join(wanted), _clause(kind), segments[at[number]][1])
    counts: dict[str, int] = {}
    for segment, line in segments:
        counts[segment.name] = counts.get(segment.name, 0) + 1
        which = f"[{counts[segment.name]}]" if names.count(segment.name) > 1 else ""
        for row in (*HEADER, *FIELDS.get(kind, ())):
            if row.segment == segment.name and (not row.triggers or trigger in row.triggers):
                yield from _field(row, segment, which, line)


def _clause(kind: str) -> str:
    return {"ADT": _FEED, "ORU": _REPORT, "ACK": _ACK}.get(kind, _ORDER)


def _field(row: Row, segment: Segment, which: str, line: int) -> Iterator[Finding]:
    value = segment.value(row.field, row.component)
    place = f"{segment.name}{which}-{row.field}"
    wanted, holds = FORMS[row.form] if row.form else ("a value", bool)
    rule = f"{segment.name}-{row.field}"
    # Components beside an empty first one are a value, too: `^^Family` is none, `^^^&OID&ISO` is.
    empty = not value and not any(segment.value(row.field, component) for component in range(2, 6))
    if row.required and empty:
        yield _finding(rule, place, f"{place} is empty", wanted, row.clause, line, row.level)
    elif value and not holds(value):
        yield _finding(rule, place, f"{place} is {value[:80]!r}", wanted, row.clause, line, row.level)


def _finding(
    rule: str, place: str, text: str, expected: str, clause: str, line: int, level: Level = Level.ERROR
) -> Finding:
    return Finding(rule=f"HL7.{rule}", level=level, place=place, text=text, expected=expected, clause=clause, line=line)
