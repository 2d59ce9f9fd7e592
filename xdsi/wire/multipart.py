"""Reader for multipart/related, as a machine without I/O: bytes in as they arrive, events out.

RFC 2046 section 5.1 (boundaries), RFC 2387 (multipart/related), RFC 2045 section 6 (transfer encodings). A document
is never held as a whole: at most a chunk and the length of a boundary line stay in memory.

    preamble -> headers -> data -> headers -> data ... -> epilogue
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from xdsi.domain.errors import MalformedMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipartLimits:
    """What a message may hold at most; sizes in bytes, of parts after transfer decoding."""

    parts: int = 100
    headers: int = 32
    """of one part"""
    header_block: int = 8 * 1024
    preamble: int = 1024
    epilogue: int = 1024
    root: int = 5 * 1024 * 1024
    part: int = 2 * 1024**3
    message: int = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class PartStart:
    """The headers of a part; ids are without angle brackets, header names in lower case."""

    content_id: str
    content_type: str
    transfer_encoding: str
    is_root: bool
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """The next bytes of the part, transfer encoding undone; a view that keeps the chunk it came with alive."""

    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is complete."""


Event: TypeAlias = PartStart | PartData | PartEnd

_USUAL = 1024
"""characters of a Content-Type that is remembered; who sends them chooses how long they are"""
_PARAMETER = re.compile(r""";\s*([^\s=;]+)\s*=\s*("(?:\\.|[^"\\])*"|'[^';]*'|[^;]*)""", re.DOTALL)
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_LINE_END = re.compile(rb"(?:(--)?[ \t]{0,64}(?:(\r\n)|\r?\Z)|-\Z)")
"""what follows the boundary: 1 on the closing line, 2 when the line is complete"""
_BARE_LINE_END = re.compile(rb"(?:(--)?[ \t]{0,64}(?:(\n)|\Z)|-\Z)")
_LAST_LINE_END = re.compile(rb"--[ \t]*(?:\r\n?)?\Z")
"""what follows the boundary at the end of the input"""
_BARE_LAST_LINE_END = re.compile(rb"--[ \t]*\n?\Z")
_FOLD = re.compile(r"\r?\n[ \t]+")
_HEADER_NAME = re.compile(r"[!-9;-~]+")
_CONTROL = re.compile(r"[\x00\r\n]")
_LARGE = 64 * 1024
"""chunks from here on are worth a look before they are copied"""
_ENCODINGS = frozenset({"binary", "8bit", "7bit", "base64"})
_ROOT_TYPES = frozenset({"application/xop+xml", "application/soap+xml"})


def parse_content_type(value: str) -> tuple[str, dict[str, str]]:
    """The media type in lower case and its parameters by lower-case name, whatever the quoting and spacing.

    Single quotes are taken for quotes, as some senders mean them, except around a boundary, which may contain them.
    """
    if len(value) > _USUAL:
        return _taken_apart(value)
    media_type, parameters = _parsed(value)
    return media_type, parameters.copy()


# Each message has the same ones, its own as often as somebody asks for them.
@lru_cache(maxsize=128)
def _parsed(value: str) -> tuple[str, dict[str, str]]:
    return _taken_apart(value)


def _taken_apart(value: str) -> tuple[str, dict[str, str]]:
    parameters: dict[str, str] = {}
    media_type, _, _ = value.partition(";")
    for match in _PARAMETER.finditer(value):
        name, text = match[1].lower(), match[2].strip()
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
        elif len(text) > 1 and text[0] == text[-1] == "'" and name != "boundary":
            text = text[1:-1]
        if parameters.setdefault(name, text) != text:
            raise MalformedMessage(f"two values for parameter {name}", location="Content-Type")
    return media_type.strip().lower(), parameters


class MultipartReader:
    """Takes a message apart: `feed` it, then `close` it; MalformedMessage when the message is wrong or too much.

    After an exception the reader must not be used again.
    """

    def __init__(self, content_type: str, limits: MultipartLimits | None = None, *, rooted: bool = True) -> None:
        """`rooted` is false for messages whose parts are equals and need no Content-ID (DICOM PS3.18 8.7)."""
        media_type, parameters = parse_content_type(content_type)
        boundary = parameters.get("boundary", "")
        if media_type != "multipart/related":
            raise MalformedMessage("not a multipart message", location="Content-Type", expected="multipart/related")
        if not _BOUNDARY.fullmatch(boundary):
            raise MalformedMessage("bad boundary", location="Content-Type", expected="1 to 70 characters of RFC 2046")
        self.limits = limits or MultipartLimits()
        self._start = bare_content_id(parameters.get("start", ""))
        self._newline = b"\r\n"
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._line_end, self._last_line_end = _LINE_END, _LAST_LINE_END
        # An expression with the boundary in it takes longer to compile than most messages to read, and each message
        # has its own: only where it is needed.
        self._line: re.Pattern[bytes] | None = None
        self._step = self._preamble
        self._buffer = b"\r\n"  # so that the first boundary line, too, follows a line break
        self._at = 0
        self._skip = 0
        self._received = 0
        self._parts = 0
        self._ids: set[str] = set()
        self._rooted = rooted
        self._root_seen = not rooted
        self._part_limit = 0
        self._part_limit_name = ""
        self._part_size = 0
        self._base64: _Base64 | None = None

    def feed(self, chunk: bytes | bytearray) -> list[Event]:
        """The events that these bytes complete; a bytearray is not to be changed afterwards."""
        self._received += len(chunk)
        if self._received > self.limits.message:
            raise MalformedMessage(
                "message too large", expected=f"at most {self.limits.message} bytes", limit="message"
            )
        events: list[Event] = []
        if len(chunk) >= _LARGE and self._step == self._data and self._pass_on(events, chunk):
            return events
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        while self._step(events):
            pass
        return events

    def _pass_on(self, events: list[Event], chunk: bytes | bytearray) -> bool:
        """Hand out a chunk from the middle of a part as it is, without a copy; False where a boundary may be near."""
        rest = self._buffer[self._at :]
        width = len(self._delimiter)
        if self._skip or self._delimiter in rest + chunk[:width] or self._delimiter in chunk:
            return False
        hold = len(chunk) - width - 2
        self._give(events, rest)
        self._give(events, memoryview(chunk)[:hold])
        self._buffer, self._at = bytes(chunk[hold:]), 0
        return True

    def close(self) -> list[Event]:
        """The events that the end of the input completes; MalformedMessage when the message was cut off."""
        events: list[Event] = []
        if self._step == self._data and (end := self._last_line()) >= 0:
            self._end_part(events, end)
            self._step = self._epilogue
        if self._step != self._epilogue:
            raise MalformedMessage("message is cut off", location=f"part {self._parts}", expected="closing boundary")
        if not self._root_seen:
            raise MalformedMessage("no root part", expected=f"a part {self._start!r}, as parameter start says")
        return events

    # Each step looks at the buffer from _at on, and says whether it got further.

    def _preamble(self, events: list[Event]) -> bool:
        end, line = self._next_boundary()
        if end > 0:
            bare = re.search(re.escape(self._delimiter[1:]) + rb"[ \t]{0,64}\n", self._buffer)
            if bare is not None and bare.start() < end:
                self._end_lines_with_lf()
                end, line = self._next_boundary()
        if end > self.limits.preamble:
            raise MalformedMessage("no boundary line", location="preamble", expected=self._delimiter[2:].decode())
        return line is not None and self._turn(line)

    def _end_lines_with_lf(self) -> None:
        """Read a message whose first boundary line ends with LF alone (RFC 2046 has CRLF) so to its end."""
        self._newline, self._delimiter = b"\n", self._delimiter[1:]
        self._line_end, self._line, self._last_line_end = _BARE_LINE_END, None, _BARE_LAST_LINE_END

    def _headers(self, events: list[Event]) -> bool:
        # _at is before the line break of the boundary line, so that an empty block ends like any other.
        width = len(self._newline)
        end = self._buffer.find(self._newline * 2, self._at)
        if (end if end >= 0 else len(self._buffer)) - self._at > self.limits.header_block:
            raise self._refusal("headers too long", f"at most {self.limits.header_block} bytes")
        if end < 0:
            return False
        self._start_part(events, self._read_headers(self._buffer[self._at + width : end]))
        # The empty line may also be the line break of the next boundary line: stay before it, but hand out only
        # what follows it.
        self._at, self._skip = end + width, width
        self._step = self._data
        return True

    def _data(self, events: list[Event]) -> bool:
        end, line = self._next_boundary()
        if line is None:
            self._emit(events, end)
            return False
        self._end_part(events, end)
        return self._turn(line)

    def _epilogue(self, events: list[Event]) -> bool:
        if len(self._buffer) - self._at > self.limits.epilogue:
            raise MalformedMessage("epilogue too long", expected=f"at most {self.limits.epilogue} bytes")
        return False

    def _next_boundary(self) -> tuple[int, re.Match[bytes] | None]:
        """Where the bytes end that certainly precede the next boundary line; that line, once all of it is there."""
        at = self._buffer.find(self._delimiter, self._at)
        if at >= 0:
            line = self._line_end.match(self._buffer, at + len(self._delimiter))
            if line is None:
                # Passes over lines that only begin like one, however many.
                if self._line is None:
                    self._line = re.compile(re.escape(self._delimiter) + self._line_end.pattern)
                line = self._line.search(self._buffer, at)
                at = line.start() if line is not None else -1
            if line is not None:
                return at, line if line[2] else None
        # Held back: the beginning of a boundary line, or a closing one without the line break before it.
        return len(self._buffer) - len(self._delimiter) - 2, None

    def _last_line(self) -> int:
        """Where the closing line begins that the input ends with, with the line break before it, if any; else -1."""
        newline, boundary = self._newline, self._delimiter[len(self._newline) :]
        at = self._buffer.find(boundary, self._at)
        while at >= 0 and not self._last_line_end.match(self._buffer, at + len(boundary)):
            at = self._buffer.find(boundary, at + 1)
        before = at - len(newline)
        return before if before >= self._at and self._buffer.startswith(newline, before) else at

    def _turn(self, line: re.Match[bytes]) -> bool:
        if line[1]:
            self._at, self._step = line.end(), self._epilogue
            return True
        self._parts += 1
        if self._parts > self.limits.parts:
            raise MalformedMessage("too many parts", expected=f"at most {self.limits.parts}", limit="parts")
        self._at, self._step = line.end() - len(self._newline), self._headers
        return True

    def _read_headers(self, block: bytes) -> dict[str, str]:
        text = block.decode("utf-8", "replace")
        if "\n " in text or "\n\t" in text:
            text = _FOLD.sub(" ", text)
        lines = [line for line in text.split(self._newline.decode()) if line]
        if len(lines) > self.limits.headers:
            raise self._refusal("too many headers", f"at most {self.limits.headers}")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not _HEADER_NAME.fullmatch(name) or _CONTROL.search(value):
                raise self._refusal("malformed header", "name: value")
            key = name.lower()
            if key in headers:
                raise self._refusal(f"header {name} twice", "once")
            headers[key] = value.strip()
        return headers

    def _start_part(self, events: list[Event], headers: dict[str, str]) -> None:
        content_id = bare_content_id(headers.get("content-id", ""))
        content_type = headers.get("content-type", "")
        encoding = headers.get("content-transfer-encoding", "binary").lower()
        is_root = self._rooted and (self._parts == 1 if not self._start else content_id == self._start)
        if not content_id and not is_root and self._rooted:
            raise self._refusal("part without Content-ID", "one, so that the root part can refer to it")
        if content_id in self._ids and self._rooted:
            raise self._refusal("a second part with this Content-ID", "once")
        if encoding not in _ENCODINGS:
            raise self._refusal("Content-Transfer-Encoding not accepted", "binary or base64")
        if is_root and parse_content_type(content_type)[0] not in _ROOT_TYPES:
            raise self._refusal("wrong Content-Type of the root part", "application/xop+xml")
        self._ids.add(content_id)
        self._root_seen = self._root_seen or is_root
        self._base64 = _Base64() if encoding == "base64" else None
        self._part_limit = self.limits.root if is_root else self.limits.part
        self._part_limit_name = "root" if is_root else "part"
        self._part_size = 0
        events.append(PartStart(content_id, content_type, encoding, is_root, headers))

    def _emit(self, events: list[Event], end: int) -> None:
        start = self._at + self._skip
        if end <= start:
            return
        self._at, self._skip = end, 0
        self._give(events, memoryview(self._buffer)[start:end])

    def _give(self, events: list[Event], data: bytes | memoryview) -> None:
        if self._base64 is not None:
            data = self._base64.decode(data)
        self._part_size += len(data)
        if self._part_size > self._part_limit:
            raise self._refusal("part too large", f"at most {self._part_limit} bytes", limit=self._part_limit_name)
        if data:
            events.append(PartData(data))

    def _end_part(self, events: list[Event], end: int) -> None:
        self._emit(events, end)
        if self._base64 is not None:
            self._base64.finish()
        events.append(PartEnd())

    def _refusal(self, what: str, expected: str, *, limit: str = "") -> MalformedMessage:
        return MalformedMessage(what, location=f"part {self._parts}", expected=expected, limit=limit)


class _Base64:
    """Undoes base64 (RFC 2045 section 6.8) piece by piece."""

    def __init__(self) -> None:
        self._rest = b""
        self._ended = False

    def decode(self, piece: bytes | memoryview) -> bytes:
        """The bytes that are complete by now."""
        encoded = self._rest + bytes(piece).translate(None, b" \t\r\n")
        whole = len(encoded) & ~3
        if self._ended and encoded:
            raise MalformedMessage("base64 goes on after its padding")
        try:
            decoded = binascii.a2b_base64(encoded[:whole], strict_mode=True)
        except binascii.Error as error:
            raise MalformedMessage(f"not base64: {error}") from None
        self._rest = encoded[whole:]
        self._ended = self._ended or encoded.endswith(b"=", 0, whole)
        return decoded

    def finish(self) -> None:
        """Check that the text ended where a group of four ends."""
        if self._rest:
            raise MalformedMessage("base64 is cut off")


def bare_content_id(value: str) -> str:
    """A Content-ID or `start` value without white space and angle brackets around it."""
    value = value.strip()
    return value[1:-1].strip() if value.startswith("<") and value.endswith(">") else value
