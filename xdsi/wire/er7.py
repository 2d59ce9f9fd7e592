"""HL7 v2 in its vertical-bar form (ER7): segments, fields, repetitions, components, escapes, character sets.

HL7 v2.3.1 chapter 2. Own code of this size and not the hl7 package: that one leaves escapes, MSH-18 and every check
of form to its caller, which is most of what there is to do here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xdsi.domain.errors import MalformedMessage
from xdsi.spec.hl7 import DATA_TYPE_ERROR, SEGMENT_SEQUENCE_ERROR

NULL = '""'
"""A field that says: delete what you know."""

# HL7 table 0211, and how senders write the same in practice
CHARACTER_SETS: Mapping[str, str] = {
    "ASCII": "ascii",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    "UNICODE UTF-8": "utf-8",
    "UNICODE": "utf-8",
    "UTF-8": "utf-8",
}

_SEGMENT_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_ESCAPED_BYTES = re.compile(r"X((?:[0-9A-Fa-f]{2})+)")


class Hl7Malformed(MalformedMessage):
    """A malformed HL7 v2 message; `code` is what table 0357 calls it."""

    def __init__(self, code: str, message: str, *, location: str = "", expected: str = "") -> None:
        super().__init__(message, location=location, expected=expected)
        self.code = code


@dataclass(frozen=True, slots=True)
class Delimiters:
    """MSH-1 and MSH-2."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    @property
    def encoding_characters(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent


STANDARD = Delimiters()


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; `raw[n]` is field n as sent (in MSH, field 1 is the delimiter itself)."""

    name: str
    raw: tuple[str, ...]
    delimiters: Delimiters = STANDARD
    encoding: str = "ascii"

    def field(self, number: int) -> str:
        """Field `number` as sent, empty where the segment ends before it."""
        return self.raw[number] if number < len(self.raw) else ""

    def repetitions(self, number: int) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """Field `number` taken apart: repetitions of components of subcomponents, unescaped, outer blanks removed."""
        d = self.delimiters
        text = self.field(number)
        if not text:
            return ()
        return tuple(
            tuple(
                tuple(self._unescape(sub).strip() for sub in component.split(d.subcomponent))
                for component in repetition.split(d.component)
            )
            for repetition in text.split(d.repetition)
        )

    def value(self, number: int, component: int = 1) -> str:
        """The first subcomponent of one component of the first repetition."""
        repetitions = self.repetitions(number)
        return part(repetitions[0], component) if repetitions else ""

    def joined(self, number: int) -> str:
        """The components of the first repetition, unescaped, joined by `^`."""
        repetitions = self.repetitions(number)
        return "^".join(component[0] for component in repetitions[0]) if repetitions else ""

    def _unescape(self, text: str) -> str:
        d = self.delimiters
        if d.escape not in text:
            return text
        pieces = text.split(d.escape)
        meaning = {"F": d.field, "S": d.component, "T": d.subcomponent, "R": d.repetition, "E": d.escape}
        meaning |= {"H": "", "N": "", ".br": " ", ".sp": " "}
        result = [pieces[0]]
        index = 1
        while index < len(pieces):
            # An escape that is not closed, or not known here, stays as it was sent.
            if index + 1 == len(pieces):
                result.append(d.escape + pieces[index])
                break
            result.append(self._meaning(pieces[index], meaning))
            result.append(pieces[index + 1])
            index += 2
        return "".join(result)

    def _meaning(self, escape: str, meaning: Mapping[str, str]) -> str:
        if escape in meaning:
            return meaning[escape]
        match = _ESCAPED_BYTES.fullmatch(escape)
        if match:
            try:
                return bytes.fromhex(match[1]).decode(self.encoding)
            except UnicodeDecodeError:
                pass
        return self.delimiters.escape + escape + self.delimiters.escape


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a list of segments, MSH first."""

    segments: tuple[Segment, ...]

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    def all(self, name: str) -> tuple[Segment, ...]:
        """Every segment of that name."""
        return tuple(segment for segment in self.segments if segment.name == name)

    def only(self, name: str) -> Segment:
        """The segment of that name; raises Hl7Malformed unless there is exactly one."""
        found = self.all(name)
        if len(found) != 1:
            what = "is missing" if not found else "is there more than once"
            raise Hl7Malformed(
                SEGMENT_SEQUENCE_ERROR, f"segment {name} {what}", location=name, expected=f"one {name} segment"
            )
        return found[0]


def part(repetition: tuple[tuple[str, ...], ...], component: int, subcomponent: int = 1) -> str:
    """One subcomponent of a repetition, empty where it was not sent; both count from 1."""
    if component > len(repetition) or subcomponent > len(repetition[component - 1]):
        return ""
    return repetition[component - 1][subcomponent - 1]


def parse(raw: bytes) -> Message:
    """Read a whole message; raises Hl7Malformed."""
    header = parse_header(raw)
    try:
        text = raw.decode(header.encoding)
    except UnicodeDecodeError as error:
        raise Hl7Malformed(
            DATA_TYPE_ERROR,
            f"the message is not {header.field(18) or 'ASCII or UTF-8'} (byte {error.start})",
            location="MSH-18",
            expected="the character set of the message",
        ) from error
    segments = [_segment(line, header) for line in _lines(text)]
    if any(segment.name == "MSH" for segment in segments[1:]):
        raise Hl7Malformed(SEGMENT_SEQUENCE_ERROR, "a second MSH segment", location="MSH", expected="one message")
    return Message(tuple(segments))


def parse_header(raw: bytes) -> Segment:
    """Read MSH alone, whatever follows it; raises Hl7Malformed."""
    first = re.split(rb"[\r\n]", raw.lstrip(b"\r\n"), maxsplit=1)[0].decode("latin-1")
    if not first.startswith("MSH") or len(first) < 9:
        raise Hl7Malformed(
            SEGMENT_SEQUENCE_ERROR, "the message does not begin with MSH", location="MSH", expected="MSH|^~\\&|..."
        )
    separator = first[3]
    encoding_characters = first[4:].split(separator, 1)[0]
    used = separator + encoding_characters
    if len(encoding_characters) < 4 or len(set(used)) != len(used) or not all(_can_delimit(c) for c in used):
        raise Hl7Malformed(
            DATA_TYPE_ERROR, "the delimiters cannot be used", location="MSH-2", expected="four different characters"
        )
    delimiters = Delimiters(separator, *encoding_characters[:4])
    fields = first.split(separator)
    declared = fields[17].split(delimiters.repetition)[0].strip() if len(fields) > 17 else ""
    # UTF-8 contains ASCII, the character set of a message that names none.
    encoding = CHARACTER_SETS.get(declared.upper()) if declared else "utf-8"
    if encoding is None:
        raise Hl7Malformed(
            DATA_TYPE_ERROR,
            f"character set {declared!r} is not supported",
            location="MSH-18",
            expected=", ".join(CHARACTER_SETS),
        )
    text = first.encode("latin-1").decode(encoding, errors="replace")
    return Segment("MSH", ("MSH", separator, *text.split(separator)[1:]), delimiters, encoding)


def _can_delimit(character: str) -> bool:
    return character.isascii() and character.isprintable() and not character.isalnum() and character not in ' "'


def _lines(text: str) -> Iterable[str]:
    # The segment terminator is CR; some senders add LF, and files often have LF alone.
    lines = text.split("\r") if "\r" in text.strip("\r\n") else text.split("\n")
    return (line for line in (line.strip("\r\n") for line in lines) if line)


def _segment(line: str, header: Segment) -> Segment:
    fields = line.split(header.delimiters.field)
    if _SEGMENT_NAME.fullmatch(fields[0]) is None:
        raise Hl7Malformed(
            SEGMENT_SEQUENCE_ERROR, f"{fields[0][:10]!r} is not the name of a segment", expected="three capital letters"
        )
    if fields[0] == "MSH":
        fields.insert(1, header.delimiters.field)
    return Segment(fields[0], tuple(fields), header.delimiters, header.encoding)


def escape(text: str) -> str:
    """Text as a component may carry it, in the standard delimiters."""
    if text.isalnum():
        return text
    return "".join(_ESCAPES.get(c) or (c if c >= " " else f"\\X{ord(c):02X}\\") for c in text)


_ESCAPES = {"|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\\": "\\E\\"}


def components(*texts: str) -> str:
    """A field of components, trailing empty ones left out."""
    return "^".join(escape(text) for text in texts).rstrip("^")


def segment(name: str, fields: Mapping[int, str]) -> str:
    """One segment from its encoded fields by number."""
    last = max(fields, default=0)
    if name == "MSH":
        numbered = [STANDARD.encoding_characters, *(fields.get(n, "") for n in range(3, last + 1))]
    else:
        numbered = [fields.get(n, "") for n in range(1, last + 1)]
    return "|".join([name, *numbered]).rstrip("|")


def message(header: Mapping[int, str], segments: Iterable[str]) -> bytes:
    """A whole message; MSH-18 is set where the text is more than ASCII."""
    body = list(segments)
    if not all(text.isascii() for text in (*header.values(), *body)):
        header = {**header, 18: "UNICODE UTF-8"}
    return ("\r".join([segment("MSH", header), *body]) + "\r").encode("utf-8")
