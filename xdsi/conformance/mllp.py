"""HL7 v2 over MLLP (ITI TF-2 3.8, C.2): one message sent on a connection of its own, and its acknowledgement judged."""

from __future__ import annotations

import re
import socket
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from .answers import BadAnswer
from .cases import request_of
from .checks import Complaint
from .messages import HttpRequest
from .model import Case, Expectation, Step
from .sending import Limits, Received
from .templates import TemplateError, Values

_BEGIN, _END = b"\x0b", b"\x1c\r"
_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:-([1-9][0-9]?))?")
_ACKNOWLEDGED = "ITI TF-2 C.2.3; HL7 2.3.1 2.24.2 (MSA)"
CODES = frozenset({"AA", "AE", "AR"})


@dataclass(frozen=True)
class Acknowledgement:
    """What came back, in segments of fields; the number of a field is its place in the list."""

    text: str
    segments: tuple[tuple[str, ...], ...]

    def field(self, place: str) -> str:
        """What stands in a field such as MSA-1 of the first segment of that name; empty where there is none."""
        name, number = _split(place)
        found = next((one for one in self.segments if one[0] == name), ())
        return found[number] if number < len(found) else ""


def _split(place: str) -> tuple[str, int]:
    match = _PLACE.fullmatch(place)
    if match is None:
        raise TemplateError(f"{place!r} is no place in a message: expected PID or PID-3")
    return match[1], int(match[2] or 0)


def _fields(line: str) -> list[str]:
    """The fields of a segment by number; MSH-1 is the separator itself."""
    found = line.split("|")
    return [found[0], "|", *found[1:]] if found[0] == "MSH" else found


def _line(fields: Sequence[str]) -> str:
    return "|".join([fields[0], *fields[2:]] if fields[0] == "MSH" else fields)


def build(case: Case, step: Step, url: str, values: Values) -> HttpRequest:
    """The message of a step, a segment to a line in its file; MSH-10 is fresh each time."""
    control_id = values.expand(step.message_id, xml=False) or uuid.uuid4().hex[:20]
    values.given["control_id"] = control_id
    text = values.expand(request_of(case, step.request), xml=False)
    segments = [_fields(line) for line in text.splitlines() if line]
    for edit in step.change:
        segments = _changed(segments, edit, values)
    body = "".join(f"{_line(one)}\r" for one in segments).encode(step.http.encoding)
    return HttpRequest(url, {}, body, chunked=False, message_id=control_id, envelope=body, method="MLLP")


def _changed(segments: list[list[str]], edit: Mapping[str, object], values: Values) -> list[list[str]]:
    name, number = _split(str(edit["at"]))
    if not any(one[0] == name for one in segments):
        raise TemplateError(f"change: there is no segment {name}")
    changed: list[list[str]] = []
    for one in segments:
        if one[0] != name:
            changed.append(one)
        elif number:
            if not {"set", "remove"} & set(edit):
                raise TemplateError(f"change: {edit['at']} is a field: set it, or remove what stands in it")
            text = values.expand(str(edit.get("set", "")), xml=False)
            padded = [*one, *[""] * (number + 1 - len(one))]
            changed.append([*padded[:number], text, *padded[number + 1 :]])
        elif "append" in edit:
            changed.extend((one, _fields(values.expand(str(edit["append"]), xml=False))))
        elif "remove" not in edit:
            raise TemplateError(f"change: {edit['at']} is a segment: remove it, or append one to it")
    return changed


def context(certificate: tuple[str, str] | None, authorities: str) -> ssl.SSLContext:
    """Of a TLS connection that shows this certificate and trusts these authorities; empty: those of the system."""
    made = ssl.create_default_context(cafile=authorities or None)
    if certificate is not None:
        made.load_cert_chain(*certificate)
    return made


def send(request: HttpRequest, tls: ssl.SSLContext | None, *, pieces: int, limits: Limits) -> bytes:
    """The acknowledgement of one message; BadAnswer where what comes is no block, OSError where nothing comes."""
    place = urlsplit(request.url)
    until = time.monotonic() + limits.whole
    framed = _BEGIN + request.body + _END

    def left() -> float:
        seconds = until - time.monotonic()
        if seconds <= 0:
            raise BadAnswer(f"timed out: the exchange was not over after {limits.whole:g} s (--deadline)")
        return min(limits.silence, seconds)

    with socket.create_connection((place.hostname or "", place.port or 0), left()) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = tls.wrap_socket(plain, server_hostname=place.hostname) if tls is not None else plain
        with connection:
            for at in range(0, len(framed), pieces or len(framed)):
                connection.settimeout(left())
                connection.sendall(framed[at : at + (pieces or len(framed))])
            received = bytearray()
            while not received.endswith(_END):
                connection.settimeout(left())
                try:
                    chunk = connection.recv(64 * 1024)
                except TimeoutError:
                    left()
                    raise
                if not chunk:
                    break
                received += chunk
                if len(received) > limits.answer:
                    raise BadAnswer(f"the answer is larger than {limits.answer} bytes (--max-answer)")
    if not (received.startswith(_BEGIN) and received.endswith(_END)):
        raise BadAnswer(f"no MLLP block (0B ... 1C 0D): {bytes(received[:200])!r}")
    return bytes(received[1:-2])


def sent(
    request: HttpRequest, shown: tuple[str, str] | None, limits: Limits, *, authorities: str | bool, pieces: int = 0
) -> Received:
    """The same as the endpoint has it: with TLS where its address says so, and what hinders as `trouble`."""
    try:
        tls = None
        if request.url.startswith("mllps:"):
            tls = context(shown, authorities if isinstance(authorities, str) else "")
        return Received(body=send(request, tls, pieces=pieces, limits=limits))
    except (BadAnswer, OSError) as error:
        return Received(trouble=f"{type(error).__name__}: {error}")


def read(raw: bytes) -> Acknowledgement:
    """Take an acknowledgement apart; BadAnswer where it is no HL7 v2 message."""
    text = raw.decode("utf-8", "replace")
    if not text.startswith("MSH|^~\\&|") or not text.endswith("\r"):
        raise BadAnswer(f"no HL7 v2 message, each segment with a CR at its end: {text[:200]!r}")
    return Acknowledgement(text, tuple(tuple(_fields(line)) for line in text.split("\r") if line))


def complaints(
    answer: Acknowledgement, request: HttpRequest, expected: Expectation, values: Values
) -> Iterator[Complaint]:
    """What is not as the case expects it, and what every acknowledgement owes."""
    sent = [_fields(line) for line in request.envelope.decode("utf-8", "replace").split("\r") if line]
    header = [*sent[0], *[""] * 12]
    if answer.field("MSH-9").partition("^")[0] != "ACK":
        yield Complaint("MSH-9 ACK", answer.field("MSH-9"), _ACKNOWLEDGED)
    if answer.field("MSA-2") != header[10]:
        yield Complaint(f"MSA-2 {header[10]}", answer.field("MSA-2") or "none", _ACKNOWLEDGED)
    for ours, theirs in ((3, 5), (4, 6), (5, 3), (6, 4)):
        if answer.field(f"MSH-{theirs}") != header[ours]:
            yield Complaint(f"MSH-{theirs} {header[ours]}", answer.field(f"MSH-{theirs}") or "none", _ACKNOWLEDGED)
    if not answer.field("MSH-10"):
        yield Complaint("an MSH-10 of its own", "none", _ACKNOWLEDGED)
    code = answer.field("MSA-1")
    refused = expected.refused and code in CODES - {"AA"}
    if not refused and code != expected.acknowledgement:
        wanted = "AE or AR" if expected.refused else expected.acknowledgement
        yield Complaint(f"MSA-1 {wanted}", f"{code or 'none'}: {answer.text[:500]!r}")
    for place, pattern in expected.fields.items():
        if not re.search(values.expand(pattern, xml=False), answer.field(place)):
            yield Complaint(f"{place} with {pattern}", f"{answer.field(place) or 'none'}: {answer.text[:500]!r}")
