"""A SOAP request on its way in: its body as it arrives, within limits, and what is known of it by and by."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from xdsi.domain.errors import MalformedMessage, SoapFault
from xdsi.domain.ports import Spool
from xdsi.domain.subject import Caller
from xdsi.exchange import Trace, Transaction
from xdsi.wire import mtom, soap
from xdsi.wire.message import Message, Packaging
from xdsi.wire.xml import MAX_MARKUP, SHAPE, Shape

log = logging.getLogger("xdsi.soap")

READ_SIZE = 1024 * 1024
SETTINGS: Final = {
    "message": "limits.message_bytes",
    "simple": "limits.simple_bytes",
    "unverified": "limits.unverified_bytes",
    "root": "limits.root_bytes",
    "part": "limits.part_bytes",
    "parts": "limits.parts",
    "depth": "limits.xml_depth",
    "attributes": "limits.xml_attributes",
    "markup": "limits.xml_markup",
}
"""which setting has to be greater for a request that exceeds a limit, by the limit's name in MalformedMessage"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoapLimits:
    """What one request may carry."""

    simple_bytes: int = 32 * 1024 * 1024
    message_bytes: int = 4 * 1024**3
    unverified_bytes: int = 64 * 1024 * 1024
    """spooled before the root part was read and its sender verified"""
    shape: Shape = SHAPE
    markup: int = MAX_MARKUP
    """of the envelope"""
    multipart: mtom.MultipartLimits = field(default_factory=mtom.MultipartLimits)


class Recording(Protocol):
    """Keeps the bytes of one exchange, both ways, for people to look at."""

    def request(self, data: bytes) -> None:
        """Bytes as they came."""

    def response(self, data: bytes) -> None:
        """Bytes as they leave."""

    def name(self, transaction: str, packaging: str) -> None:
        """What the exchange turned out to be."""

    def close(self) -> None:
        """The exchange is over."""


@dataclass(slots=True)
class Received:
    """A request on its way through spyne."""

    trace: Trace
    spool: Spool
    packaging: Packaging = Packaging.SIMPLE
    connected: Callable[[], bool] = lambda: True
    """whether the connection is one that would be made now"""
    since: float = field(default_factory=time.monotonic)
    message_id: str = ""
    """of the request, as far as one could be read"""
    envelope: soap.Envelope | None = None
    size: int = 0
    """of the message in bytes, without what is attached"""
    transaction: Transaction[Any, Any] | None = None
    caller: Caller | None = None
    message: Message | None = None
    reply_to: str = ""
    recording: Recording | None = None

    def take(self) -> Message:
        """The message, which is not held here any longer."""
        assert self.message is not None
        message, self.message, self.envelope = self.message, None, None
        return message


def chunks_of(environ: Mapping[str, Any], limits: SoapLimits, recording: Recording | None) -> Iterator[bytes]:
    """The body as it arrives; MalformedMessage where it ends early or goes on, SoapFault where it says too much."""
    stream = environ["wsgi.input"]
    declared = environ.get("CONTENT_LENGTH")
    remaining = int(declared) if declared else None
    if remaining is not None and remaining > limits.message_bytes:
        raise SoapFault("Sender", f"request too large; at most {limits.message_bytes} bytes ({SETTINGS['message']})")
    total = 0
    while remaining is None or remaining > 0:
        wanted = READ_SIZE if remaining is None else min(READ_SIZE, remaining)
        data = stream.read(wanted)
        if not data:
            if remaining:
                raise MalformedMessage("the request ended early", expected=f"{remaining} more bytes")
            return
        total += len(data)
        if total > limits.message_bytes:
            most = f"at most {limits.message_bytes} bytes"
            raise MalformedMessage("request too large", expected=most, limit="message")
        if remaining is not None:
            remaining -= len(data)
        if recording is not None:
            recording.request(data)
        yield data


def discard(environ: Mapping[str, Any], limits: SoapLimits) -> None:
    """Take in the rest of a refused request, within the limit: who is still sending reads no answer."""
    left = limits.unverified_bytes
    if int(environ.get("CONTENT_LENGTH") or 0) > left:
        return
    try:
        while left > 0 and (data := environ["wsgi.input"].read(READ_SIZE)):
            left -= len(data)
    except OSError as error:
        log.debug("the rest of a refused request did not arrive: %s", error)


def whole(chunks: Iterator[bytes], limit: int) -> bytes:
    """A body in one piece; raises MalformedMessage where it is more than `limit` bytes."""
    raw = bytearray()
    for chunk in chunks:
        raw += chunk
        if len(raw) > limit:
            most = f"at most {limit} bytes, or MTOM"
            raise MalformedMessage("message too large for this packaging", expected=most, limit="simple")
    return bytes(raw)
