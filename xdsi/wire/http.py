"""A REST request as it came and the answer as it leaves, without a socket (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from xdsi.domain.errors import MalformedMessage
from xdsi.wire.multipart import parse_content_type

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_Q = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_MAX_RANGES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A GET; `path` is what follows the path of the endpoint, decoded, `url` the endpoint's own address."""

    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    """names in lower case"""
    url: str = ""

    def one(self, name: str) -> str:
        """The value of a query parameter, empty text without one; MalformedMessage where there are two."""
        values = [value for key, value in self.query if key == name]
        if len(values) > 1:
            raise MalformedMessage(f"parameter {name} is given twice", location=name, expected="one value")
        return values[0] if values else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """Status, headers and the body in pieces; `length` where it is known before they are."""

    status: int
    content_type: str
    body: Iterable[bytes] = ()
    length: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One member of an Accept header: a media type, or a pattern of one, and how welcome it is."""

    media_type: str
    """lower case; `*/*` and `image/*` are patterns"""
    parameters: Mapping[str, str]
    """names in lower case, `q` taken out"""
    q: float = 1.0

    def covers(self, media_type: str) -> bool:
        """True for a media type that this range means."""
        main, _, sub = self.media_type.partition("/")
        return self.media_type in ("*/*", media_type) or (sub == "*" and media_type.startswith(f"{main}/"))


def read_accept(text: str) -> tuple[MediaRange, ...]:
    """The media ranges of an Accept header, most welcome first and otherwise as they came; without any, `*/*`.

    Those with q=0 are left out. RFC 9110 section 12.5.1.
    """
    found = [_media_range(part) for part in _members(text)]
    if len(found) > _MAX_RANGES:
        raise MalformedMessage("too many media ranges", location="Accept", expected=f"at most {_MAX_RANGES}")
    if not found:
        return (MediaRange("*/*", {}),)
    return tuple(sorted((one for one in found if one.q > 0), key=lambda one: -one.q))


def _media_range(text: str) -> MediaRange:
    media_type, parameters = parse_content_type(text)
    if not _TOKEN.fullmatch(media_type):
        raise MalformedMessage(f"{text.strip()!r} is not a media range", location="Accept", expected="type/subtype")
    q = parameters.pop("q", "1").strip()
    if not _Q.fullmatch(q):
        raise MalformedMessage(f"q={q} is not a weight", location="Accept", expected="0 to 1")
    return MediaRange(media_type, parameters, float(q))


def _members(text: str) -> Iterator[str]:
    """The members of a list, commas inside quotes left alone; empty ones are no members (RFC 9110 section 5.6.1)."""
    member, quoted, escaped = "", False, False
    for sign in text:
        if sign == "," and not quoted:
            if member.strip():
                yield member
            member = ""
            continue
        if sign == '"' and not escaped:
            quoted = not quoted
        escaped = quoted and sign == "\\" and not escaped
        member += sign
    if member.strip():
        yield member


def plain(status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> HttpAnswer:
    """An answer for people."""
    body = f"{text}\n".encode()
    return HttpAnswer(
        status=status, content_type="text/plain; charset=UTF-8", body=(body,), length=len(body), headers=headers
    )
