"""MLLP, the block that carries an HL7 v2 message on a stream: 0x0B, the message, 0x1C 0x0D.

HL7 v2 Implementation Support Guide, minimal lower layer protocol; ITI TF-2 C.2.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdsi.domain.errors import MalformedMessage

START = b"\x0b"
END = b"\x1c\r"
LIMIT = 1024 * 1024
"""bytes of a message, where the caller does not say otherwise"""


def frame(message: bytes) -> bytes:
    """The block for one message."""
    return START + message + END


class Deframer:
    """Takes a stream apart into messages, however its bytes arrive, and keeps no more than one message's worth."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0

    @property
    def inside(self) -> bool:
        """True while a message has begun and not ended."""
        return bool(self._buffer)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The messages that are complete with this chunk; raises MalformedMessage where the stream is no MLLP."""
        self._buffer += chunk
        while self._buffer:
            if not self._buffer.startswith(START):
                self._skip_line_ends()
                continue
            end = self._buffer.find(END, self._searched)
            if end < 0:
                self._searched = max(len(self._buffer) - 1, 0)
                self._check_size(len(self._buffer) - 1)
                return
            self._check_size(end - 1)
            message = bytes(self._buffer[1:end])
            if START in message:
                raise MalformedMessage("a block begins inside a block", location="MLLP", expected="0x1C 0x0D first")
            del self._buffer[: end + len(END)]
            self._searched = 0
            yield message

    def _skip_line_ends(self) -> None:
        rest = self._buffer.lstrip(b"\r\n")
        if rest and not rest.startswith(START):
            raise MalformedMessage(
                f"byte 0x{rest[0]:02X} between messages", location="MLLP", expected="0x0B before a message"
            )
        self._buffer[:] = rest

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise MalformedMessage("message too large", location="MLLP", expected=f"at most {self._limit} bytes")
