"""Syslog messages and their frames on TLS: RFC 5424 and RFC 5425, without any I/O.

ITI TF-2 3.20.4.1 (MSGID, PRI, no byte order mark); receivers accept what the RFCs and older senders allow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from xdsi.domain.errors import MalformedMessage

LIMIT = 1024 * 1024
"""octets of one frame; RFC 5425 and DICOM PS3.15 A.6 ask receivers for much less"""
MSGID = "IHE+RFC-3881"
FACILITY = 10
"""security/authorization"""
NOTICE = 5
WARNING = 4

_BOM = b"\xef\xbb\xbf"
_NIL = "-"
_HEADER = re.compile(
    rb"<(?P<pri>[0-9]{1,3})>1 (?P<time>[!-~]{1,64}) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48})"
    rb" (?P<process>[!-~]{1,128}) (?P<id>[!-~]{1,32}) "
)
_ELEMENT = re.compile(rb'\[[!#-<>-Z^-~\\]{1,32}(?: [!#-<>-Z^-~\\]{1,32}="(?:[^"\\\]]|\\.)*")*\]', re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogMessage:
    """One RFC 5424 message; empty text stands for the nil value `-`."""

    message: bytes
    time: datetime | None
    hostname: str = ""
    app_name: str = ""
    process_id: str = ""
    message_id: str = MSGID
    facility: int = FACILITY
    severity: int = NOTICE


def encode(message: SyslogMessage) -> bytes:
    """The message without its frame."""
    if message.time is None:
        time = _NIL
    else:
        time = message.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    header = " ".join(
        (
            f"<{message.facility * 8 + message.severity}>1",
            time,
            _printable(message.hostname, 255),
            _printable(message.app_name, 48),
            _printable(message.process_id, 128),
            _printable(message.message_id, 32),
            _NIL,
        )
    )
    return header.encode("ascii") + b" " + message.message


def frame(message: SyslogMessage) -> bytes:
    """The message with its octet count in front (RFC 5425 section 4.3)."""
    encoded = encode(message)
    return str(len(encoded)).encode("ascii") + b" " + encoded


def decode(raw: bytes) -> SyslogMessage:
    """Read a message; MalformedMessage where the header is not RFC 5424. A byte order mark before MSG is dropped."""
    header = _HEADER.match(raw)
    if header is None:
        raise MalformedMessage("not a syslog message", location="header", expected="<PRI>1 and the fields of RFC 5424")
    priority = int(header["pri"])
    if priority > 191:
        raise MalformedMessage(f"PRI {priority} does not exist", location="header", expected="at most 191")
    return SyslogMessage(
        message=raw[_end_of_structured_data(raw, header.end()) :].removeprefix(b" ").removeprefix(_BOM),
        time=_time(header["time"].decode("ascii")),
        hostname=_field(header["host"]),
        app_name=_field(header["app"]),
        process_id=_field(header["process"]),
        message_id=_field(header["id"]),
        facility=priority // 8,
        severity=priority % 8,
    )


def _end_of_structured_data(raw: bytes, start: int) -> int:
    end = start
    if raw[start : start + 1] == b"-":
        end = start + 1
    else:
        while element := _ELEMENT.match(raw, end):
            end = element.end()
    if end == start or raw[end : end + 1] not in (b" ", b""):
        raise MalformedMessage("structured data cannot be read", location=f"octet {end}", expected="- or [id ...]")
    return end


def _time(text: str) -> datetime | None:
    if text == _NIL:
        return None
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedMessage(f"not a time: {text!r}", location="TIMESTAMP", expected="RFC 3339") from None


def _field(value: bytes) -> str:
    text = value.decode("ascii")
    return "" if text == _NIL else text


def _printable(text: str, limit: int) -> str:
    return "".join(char if "!" <= char <= "~" else "_" for char in text[:limit]) or _NIL


class FrameReader:
    """Takes octets as they arrive and gives whole messages; raises MalformedMessage once the stream makes no sense."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._expected: int | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now."""
        self._buffer += data
        messages: list[bytes] = []
        while True:
            if self._expected is None:
                self._expected = self._count()
            if self._expected is None or len(self._buffer) < self._expected:
                return messages
            messages.append(bytes(self._buffer[: self._expected]))
            del self._buffer[: self._expected]
            self._expected = None

    @property
    def idle(self) -> bool:
        """True between two frames, so that an end of the stream loses nothing."""
        return self._expected is None and not self._buffer

    def _count(self) -> int | None:
        digits, space, _ = self._buffer[: len(str(self._limit)) + 1].partition(b" ")
        if not digits and not space:
            return None
        if not digits.isdigit() or digits.startswith(b"0"):
            raise MalformedMessage(
                "not an octet count", location="frame", expected="decimal digits without a leading zero, then a space"
            )
        if len(digits) > len(str(self._limit)) or int(digits) > self._limit:
            raise MalformedMessage("frame too large", location="frame", expected=f"at most {self._limit} octets")
        if not space:
            return None
        del self._buffer[: len(digits) + 1]
        return int(digits)
