"""MTOM: binary content of a SOAP message as parts beside the envelope, streamed in both directions.

XOP 1.0, MTOM 1.0, RFC 2392 (cid URLs); ITI TF-2 Appendix V.8. `multipart` holds the reader.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from urllib.parse import quote, unquote

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.spec.namespaces import XOP
from xdsi.wire import xml
from xdsi.wire.multipart import (
    Event,
    MultipartLimits,
    MultipartReader,
    PartData,
    PartEnd,
    PartStart,
    parse_content_type,
)

__all__ = [
    "INCLUDE",
    "Attachment",
    "Event",
    "MultipartLimits",
    "MultipartReader",
    "MultipartWriter",
    "PartData",
    "PartEnd",
    "PartStart",
    "find_includes",
    "include",
    "new_content_ids",
    "parse_content_type",
    "part_of",
]

INCLUDE = xml.E(XOP, "Include")
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,256}")
_IN_URL = re.compile(r"[A-Za-z0-9@:._~-]*")
"""what stands in a cid URL as it is"""
_CONTENT_TYPE = re.compile(r"[ -~]{1,512}")
_ACTION = re.compile(r"[!#-\[\]-~]*")


def part_of(element: etree._Element, content_ids: Collection[str]) -> str | None:
    """The Content-ID of the part that is an element's content, or None when the content is inline.

    MalformedMessage unless the xop:Include stands alone and names one of `content_ids`, the parts of this message.
    Nothing but cid: is ever looked at.
    """
    includes = element.findall(INCLUDE)
    if not includes:
        return None
    reference = includes[0]
    stray = (element.text or "") + (reference.tail or "") + xml.content(reference)
    if len(element) != 1 or len(reference) or stray.strip():
        raise _malformed(element, "xop:Include beside other content", "the Include alone")
    href = reference.get("href", "").strip()
    if href[:4].lower() != "cid:":
        raise _malformed(element, "xop:Include without a cid: URL", "cid: and a Content-ID of this message")
    written = href[4:]
    # RFC 2392 escapes the Content-ID; some senders put the same escaped text into both places.
    for content_id in (unquote(written), written):
        if content_id in content_ids:
            return content_id
    raise _malformed(element, "xop:Include of a part that is not there", "a Content-ID of this message")


def find_includes(root: etree._Element, content_ids: Collection[str]) -> dict[str, etree._Element]:
    """The elements whose content came as a part, by Content-ID.

    `content_ids` are all parts of the message but the root part: each must be the content of exactly one element.
    """
    found: dict[str, etree._Element] = {}
    for reference in root.iter(INCLUDE):
        element = reference.getparent()
        if element is None:
            raise _malformed(reference, "xop:Include as the root element", "an Include inside an element")
        content_id = part_of(element, content_ids)
        if content_id is None or content_id in found:
            raise _malformed(element, "part included twice", "one Include for each part")
        found[content_id] = element
    if len(found) < len(set(content_ids)):
        raise MalformedMessage("part that no xop:Include names", location="multipart", expected="one for each part")
    return found


def _malformed(element: etree._Element, message: str, expected: str) -> MalformedMessage:
    return MalformedMessage(message, location=element.getroottree().getpath(element), expected=expected)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part to send. `open` gives its bytes when its turn has come; `size` where known, for Content-Length."""

    content_id: str
    content_type: str
    open: Callable[[], Iterator[bytes]]
    size: int | None = None

    def __post_init__(self) -> None:
        _check_headers(self.content_id, self.content_type)  # before the first byte is out


def _check_headers(content_id: str, content_type: str) -> None:
    """Nothing from a message or a database may end a header line."""
    if not _CONTENT_ID.fullmatch(content_id):
        raise ValueError(f"not a Content-ID: {content_id!r}")
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise ValueError(f"not a media type: {content_type!r}")


def new_content_ids() -> Iterator[str]:
    """Fresh Content-IDs for the parts of one message."""
    message = secrets.token_hex(16)
    return (f"{number}.{message}@xdsi" for number in count(1))


def include(content_id: str) -> bytes:
    """The xop:Include that stands for a part."""
    written = content_id if _IN_URL.fullmatch(content_id) else xml.attribute(quote(content_id, safe="@:"))
    return f'<xop:Include xmlns:xop="{XOP}" href="cid:{written}"/>'.encode()


class MultipartWriter:
    """The bytes around the parts of one message.

    The boundary is new for each message: content can contain any fixed text, and nobody can plant one not yet chosen.
    """

    part_end = b"\r\n"

    def __init__(self, *, action: str = "", boundary: str = "", root_id: str = "root@xdsi") -> None:
        if not _ACTION.fullmatch(action):
            raise ValueError(f"not an action URI: {action!r}")
        self.boundary = boundary or f"xdsi-{secrets.token_hex(16)}"
        self.root_id = root_id
        self.action = action

    @property
    def content_type(self) -> str:
        """The Content-Type of the message."""
        parameters = (
            'multipart/related; type="application/xop+xml"',
            f'start="<{self.root_id}>"',
            'start-info="application/soap+xml"',
            f'boundary="{self.boundary}"',
        )
        return "; ".join(parameters) + (f'; action="{self.action}"' if self.action else "")

    def root_header(self) -> bytes:
        """What precedes the envelope."""
        return self.part_header(self.root_id, 'application/xop+xml; charset=UTF-8; type="application/soap+xml"')

    def part_header(self, content_id: str, content_type: str) -> bytes:
        """What precedes a part."""
        _check_headers(content_id, content_type)
        return self._header(content_id, content_type)

    def _header(self, content_id: str, content_type: str) -> bytes:
        return (
            f"--{self.boundary}\r\n"
            f"Content-Type: {content_type}\r\n"
            "Content-Transfer-Encoding: binary\r\n"
            f"Content-ID: <{content_id}>\r\n\r\n"
        ).encode("ascii")

    def closing(self) -> bytes:
        """What ends the message."""
        return f"--{self.boundary}--\r\n".encode("ascii")

    def content_length(self, root_size: int, attachments: Sequence[Attachment]) -> int | None:
        """The size of the whole message; None when the size of a part is not known."""
        total = len(self.root_header()) + root_size + len(self.part_end) + len(self.closing())
        around = len(self._header("", "")) + len(self.part_end)
        for attachment in attachments:
            if attachment.size is None:
                return None
            total += around + len(attachment.content_id) + len(attachment.content_type) + attachment.size
        return total

    def message(self, root: Iterable[bytes], attachments: Iterable[Attachment]) -> Iterator[bytes]:
        """The message as pieces: the envelope, then each part, opened in its turn and closed before the next."""
        yield self.root_header()
        yield from root
        # It may be long, and what follows takes long to leave.
        del root
        for attachment in attachments:
            yield self.part_end + self._header(attachment.content_id, attachment.content_type)
            yield from attachment.open()
        yield self.part_end + self.closing()
