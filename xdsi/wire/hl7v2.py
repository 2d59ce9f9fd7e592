"""ITI-8 messages: ADT^A01, A04, A05, A08, A40 of HL7 v2.3.1, and their acknowledgement, as feed events.

ITI TF-2: 3.8.4.1.2, 3.8.4.2.2, C.2.3.
"""

from __future__ import annotations

import re
import uuid
from datetime import datetime

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import PatientId, is_oid
from xdsi.domain.identity import (
    Application,
    Demographics,
    FeedAnswer,
    FeedEvent,
    FeedProblem,
    PatientIdentityFeed,
    PersonName,
)
from xdsi.spec import hl7
from xdsi.wire import er7, hl7_timestamp
from xdsi.wire.er7 import Hl7Malformed, Segment, part

TRIGGERS = {
    "A01": FeedEvent.ADD,
    "A04": FeedEvent.ADD,
    "A05": FeedEvent.ADD,
    "A08": FeedEvent.UPDATE,
    "A40": FeedEvent.MERGE,
}
_USUAL_TRIGGER = {FeedEvent.ADD: "A04", FeedEvent.UPDATE: "A08", FeedEvent.MERGE: "A40"}
_PATIENT_CLASS = {"A01": "I", "A04": "O", "A05": "P", "A08": "O"}

_ACCEPTED, _REFUSED = frozenset({"AA", "CA"}), frozenset({"AE", "AR", "CE", "CR"})

UNAVAILABLE = FeedAnswer(accepted=False, problems=(FeedProblem(hl7.INTERNAL_ERROR, "not available at the moment"),))

# Where the rules' names of places lie in the message.
_PLACES = {"patients": "PID-3", "prior": "MRG-1"}
_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:-(\d+)(?:\[(\d+)\])?(?:\.(\d+)(?:\.(\d+))?)?)?")


def decode(raw: bytes) -> PatientIdentityFeed:
    """Read a feed message; raises MalformedMessage with the place as `PID-3` or `PID-3[2].4`."""
    message = er7.parse(raw)
    header = message.header
    trigger = _checked_trigger(header)
    _check_event(message, trigger)
    kind = TRIGGERS[trigger]
    pid = message.only("PID")
    prior: tuple[PatientId, ...] = ()
    if kind is FeedEvent.MERGE:
        prior = _identifiers(message.only("MRG"), 1)
    return PatientIdentityFeed(
        kind=kind,
        patients=_identifiers(pid, 3),
        prior=prior,
        demographics=_demographics(pid),
        message_id=header.value(10),
        sender=Application(header.joined(3), header.joined(4)),
        receiver=Application(header.joined(5), header.joined(6)),
        created=hl7_timestamp.read(header.value(7)),
        trigger=trigger,
    )


def encode(feed: PatientIdentityFeed) -> bytes:
    """Write a feed message; a trigger of another form than A01 gives way to the usual one of its kind."""
    trigger = feed.trigger if TRIGGERS.get(feed.trigger) is feed.kind else _USUAL_TRIGGER[feed.kind]
    created = hl7_timestamp.write(feed.created) if feed.created is not None else ""
    structure = "ADT_A39" if feed.kind is FeedEvent.MERGE else "ADT_A01"
    header = {
        3: _application(feed.sender.name),
        4: _application(feed.sender.facility),
        5: _application(feed.receiver.name),
        6: _application(feed.receiver.facility),
        7: created,
        9: f"ADT^{trigger}^{structure}",
        10: er7.escape(feed.message_id),
        11: "P",
        12: "2.3.1",
    }
    said = feed.demographics
    pid = {
        3: "~".join(_cx(patient) for patient in feed.patients),
        5: _name(said.name),
        7: _or_null(said.birth_date),
        8: _or_null(said.sex),
    }
    segments = [er7.segment("EVN", {1: trigger, 2: created}), er7.segment("PID", pid)]
    if feed.kind is FeedEvent.MERGE:
        segments.append(er7.segment("MRG", {1: "~".join(_cx(patient) for patient in feed.prior)}))
    else:
        segments.append(er7.segment("PV1", {2: _PATIENT_CLASS[trigger]}))
    return er7.message(header, segments)


def refusal(error: MalformedMessage) -> FeedAnswer:
    """The answer to a message that could not be read."""
    code = error.code if isinstance(error, Hl7Malformed) else hl7.DATA_TYPE_ERROR
    text = f"{error.message}; expected {error.expected}" if error.expected else error.message
    return FeedAnswer(accepted=False, problems=(FeedProblem(code, text, error.location),))


def acknowledge(raw: bytes, answer: FeedAnswer, now: datetime, *, control_id: str = "") -> bytes:
    """Write the ACK to a message, as far as its header can be read (C.2.3)."""
    try:
        asked = er7.parse_header(raw)
    except Hl7Malformed:
        asked = Segment("MSH", ("MSH",))
    code = "AA"
    if not answer.accepted:
        code = "AR" if any(p.code in hl7.REJECTIONS for p in answer.problems) else "AE"
    trigger = asked.value(9, 2)
    header = {
        3: _application(asked.joined(5)),
        4: _application(asked.joined(6)),
        5: _application(asked.joined(3)),
        6: _application(asked.joined(4)),
        7: hl7_timestamp.write(now),
        9: er7.components("ACK", trigger),
        10: er7.escape(control_id or uuid.uuid4().hex[:20]),
        11: _application(asked.joined(11)) or "P",
        12: er7.escape(asked.value(12)) or "2.3.1",
    }
    acknowledged = er7.segment("MSA", {1: code, 2: er7.escape(asked.value(10))})
    return er7.message(header, [acknowledged, *(_error(problem) for problem in answer.problems)])


def decode_acknowledgement(raw: bytes, *, to: str = "") -> FeedAnswer:
    """Read an ACK; raises MalformedMessage when it is none, or not the one to message `to`."""
    message = er7.parse(raw)
    acknowledged = message.only("MSA")
    code = acknowledged.value(1)
    if code not in _ACCEPTED | _REFUSED:
        raise Hl7Malformed(
            hl7.TABLE_VALUE_NOT_FOUND, f"acknowledgement code {code!r}", location="MSA-1", expected="AA, AE or AR"
        )
    if to and acknowledged.value(2) != to:
        raise Hl7Malformed(
            hl7.UNKNOWN_KEY_IDENTIFIER,
            f"the answer is to message {acknowledged.value(2)!r}",
            location="MSA-2",
            expected=repr(to),
        )
    if code in _ACCEPTED:
        return FeedAnswer(accepted=True)
    problems = tuple(_problem(segment) for segment in message.all("ERR"))
    unexplained = FeedProblem("", acknowledged.value(3) or f"answered {code}")
    return FeedAnswer(accepted=False, problems=problems or (unexplained,))


def _checked_trigger(header: Segment) -> str:
    if header.value(9, 1) != "ADT":
        raise Hl7Malformed(
            hl7.UNSUPPORTED_MESSAGE_TYPE,
            hl7.MESSAGE_ERRORS[hl7.UNSUPPORTED_MESSAGE_TYPE],
            location="MSH-9.1",
            expected="ADT",
        )
    trigger = header.value(9, 2)
    if trigger not in TRIGGERS:
        raise Hl7Malformed(
            hl7.UNSUPPORTED_TRIGGER,
            hl7.MESSAGE_ERRORS[hl7.UNSUPPORTED_TRIGGER],
            location="MSH-9.2",
            expected=", ".join(TRIGGERS),
        )
    for number in (10, 11, 12):
        if not header.value(number):
            raise Hl7Malformed(
                hl7.REQUIRED_FIELD_MISSING, f"MSH-{number} is empty", location=f"MSH-{number}", expected="a value"
            )
    if header.value(11) not in ("P", "T", "D"):
        raise Hl7Malformed(
            hl7.UNSUPPORTED_PROCESSING_ID,
            hl7.MESSAGE_ERRORS[hl7.UNSUPPORTED_PROCESSING_ID],
            location="MSH-11",
            expected="P, T or D",
        )
    if not header.value(12).startswith("2."):
        raise Hl7Malformed(
            hl7.UNSUPPORTED_VERSION, hl7.MESSAGE_ERRORS[hl7.UNSUPPORTED_VERSION], location="MSH-12", expected="2.3.1"
        )
    return trigger


def _check_event(message: er7.Message, trigger: str) -> None:
    # Nothing in EVN is needed, so a sender may leave it out; but it must not speak of another event.
    for event in message.all("EVN"):
        if event.value(1) not in ("", trigger):
            raise Hl7Malformed(hl7.DATA_TYPE_ERROR, f"EVN-1 is {event.value(1)!r}", location="EVN-1", expected=trigger)


def _identifiers(segment: Segment, number: int) -> tuple[PatientId, ...]:
    found = []
    for index, repetition in enumerate(segment.repetitions(number), 1):
        value = part(repetition, 1)
        if len(repetition[0]) > 1:
            # Taking its first part for the whole would name another patient.
            raise Hl7Malformed(
                hl7.DATA_TYPE_ERROR,
                "the identifier has subcomponents",
                location=f"{segment.name}-{number}[{index}].1",
                expected="text, with the delimiter escaped where it is meant",
            )
        if value and value != er7.NULL:
            found.append(PatientId(value, _authority(repetition)))
    if not found:
        place = f"{segment.name}-{number}"
        raise Hl7Malformed(
            hl7.REQUIRED_FIELD_MISSING, f"{place} has no identifier", location=place, expected="ID^^^&OID&ISO"
        )
    return tuple(found)


def _authority(repetition: tuple[tuple[str, ...], ...]) -> str:
    namespace, universal, kind = (part(repetition, 4, n).replace(er7.NULL, "") for n in (1, 2, 3))
    if not universal:
        return namespace
    if is_oid(universal) and kind.upper() in ("ISO", ""):
        return universal
    return f"&{universal}&{kind}"


def _cx(patient: PatientId) -> str:
    identifier = er7.escape(patient.id)
    if not patient.authority:
        return identifier
    if is_oid(patient.authority):
        return f"{identifier}^^^&{patient.authority}&ISO"
    return f"{identifier}^^^" + "&".join(er7.escape(text) for text in patient.authority.split("&"))


def _demographics(pid: Segment) -> Demographics:
    name: PersonName | None = None
    if pid.field(5).strip() == er7.NULL:
        name = PersonName()
    else:
        for repetition in pid.repetitions(5):
            parts = [part(repetition, n).replace(er7.NULL, "") for n in range(1, 6)]
            if any(parts):
                name = PersonName(family=parts[0], given=parts[1], further=parts[2], suffix=parts[3], prefix=parts[4])
                break
    sex = pid.value(8).upper()
    return Demographics(
        name=name,
        birth_date=_birth_date(pid.value(7).strip()),
        sex="" if sex == er7.NULL else (sex if sex in tuple("FMOUAN") else None),
    )


def _birth_date(said: str) -> str | None:
    if said in ("", er7.NULL):
        return "" if said else None
    date = hl7_timestamp.read_date(said)
    if date is None:
        # Left out in silence, it would be lost while its sender believes it is known here.
        raise Hl7Malformed(
            hl7.DATA_TYPE_ERROR,
            f"the birth time {said!r} is no time stamp",
            location="PID-7",
            expected="YYYY[MM[DD[HH[MM[SS]]]]]",
        )
    return date


def _name(name: PersonName | None) -> str:
    if name is None:
        return " "  # PID-5 is required; a blank says nothing
    return er7.components(*name.parts) or er7.NULL


def _or_null(value: str | None) -> str:
    if value is None:
        return ""
    return er7.escape(value) or er7.NULL


def _application(text: str) -> str:
    return er7.components(*text.split("^"))


def _error(problem: FeedProblem) -> str:
    fields = {
        3: er7.components(problem.code, hl7.MESSAGE_ERRORS.get(problem.code, ""), "HL70357"),
        4: "E",
        8: er7.escape(problem.text),
    }
    place = _PLACE.fullmatch(_PLACES.get(problem.location, problem.location))
    if place is not None:
        segment, field, repetition, component, subcomponent = place.groups()
        numbers = [segment, "1"]
        if field:
            numbers += [field, repetition or ("1" if component else ""), component or "", subcomponent or ""]
        fields[2] = er7.components(*numbers)
    return er7.segment("ERR", fields)


def _problem(segment: Segment) -> FeedProblem:
    """From ERR-2, 3 and 8 (v2.5), or from ERR-1 (v2.3.1: place and code in one field)."""
    number = 2 if segment.field(2) else 1
    repetitions = segment.repetitions(number)
    place = ""
    if repetitions and part(repetitions[0], 1):
        place = part(repetitions[0], 1)
        if part(repetitions[0], 3):
            place += f"-{part(repetitions[0], 3)}"
    if segment.field(3):
        return FeedProblem(segment.value(3), segment.value(8) or segment.value(3, 2), place)
    code = part(repetitions[0], 4) if repetitions else ""
    text = part(repetitions[0], 4, 2) if repetitions else ""
    return FeedProblem(code, text, place)
