"""Faults that a simulated peer commits on purpose: what each does to an answer, a request or an assertion.

For trying out how a system bears them; no server of a domain does any of this.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from urllib.parse import unquote_to_bytes

from xdsi.domain.errors import SoapFault
from xdsi.spec import namespaces as ns
from xdsi.wire import soap


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """An answer or a request as bytes; `status` counts for answers, `send` is how many bytes of the body are sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    send: int | None = None

    def typed(self, content_type: str) -> HttpMessage:
        """With another Content-Type."""
        kept = [one for one in self.headers if one[0].lower() not in ("content-type", "content-length")]
        return replace(self, headers=(*kept, ("Content-Type", content_type)))


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `apply` is None for those that are a matter of time or of the connection."""

    name: str
    text: str
    apply: Callable[[HttpMessage], HttpMessage] | None = None


def _body(pattern: bytes, new: bytes) -> Callable[[HttpMessage], HttpMessage]:
    """Every match in the body replaced."""
    compiled = re.compile(pattern, re.DOTALL)
    return lambda message: replace(message, body=compiled.sub(new, message.body))


def _malformed(message: HttpMessage) -> HttpMessage:
    at = message.body.rfind(b"</")
    return replace(message, body=message.body[:at] + b"</" + message.body[at + 3 :] if at >= 0 else b"<")


_ERROR = (
    f'<rs:RegistryErrorList xmlns:rs="{ns.RS}" highestSeverity="{ns.SEVERITY_ERROR}"><rs:RegistryError '
    f'errorCode="%s" codeContext="simulated" severity="{ns.SEVERITY_ERROR}"/></rs:RegistryErrorList>'
)
_RESPONSE = re.compile(rb"<(?:[\w.-]+:)?(?:RegistryResponse|AdhocQueryResponse)\b[^>]*?(/?)>")
_STATUS = re.compile(rb'status="[^"]*"')


def _answering(status: str, code: str) -> Callable[[HttpMessage], HttpMessage]:
    """The answer with another status, and an error in it."""
    error = (_ERROR % code).encode()

    def change(match: re.Match[bytes]) -> bytes:
        opened = _STATUS.sub(f'status="{status}"'.encode(), match[0])
        name = re.match(rb"<([\w.:-]+)", opened)
        assert name is not None
        if match[1]:
            return opened[:-2] + b">" + error + b"</" + name[1] + b">"
        return opened + error

    def apply(message: HttpMessage) -> HttpMessage:
        plain = re.sub(
            rb"<(\w+:)?RegistryErrorList\b.*?</(\w+:)?RegistryErrorList>", b"", message.body, flags=re.DOTALL
        )
        return replace(message, body=_RESPONSE.sub(change, plain, count=1))

    return apply


_DELIVERED = re.compile(rb"<(\w+:)?DocumentResponse>.*?</(?:\w+:)?DocumentResponse>", re.DOTALL)
_HREF = re.compile(rb"""href=["']cid:([^"']+)["']""")


def _partial(message: HttpMessage) -> HttpMessage:
    """PartialSuccess; of several documents the last is missing, with its part."""
    message = _answering(ns.PARTIAL_SUCCESS, "XDSRepositoryError")(message)
    delivered = list(_DELIVERED.finditer(message.body))
    if len(delivered) < 2:
        return message
    last = delivered[-1]
    body = message.body[: last.start()] + message.body[last.end() :]
    if (href := _HREF.search(last[0])) is not None:
        named = re.search(
            rb"\r\nContent-ID:[ \t]*<" + re.escape(unquote_to_bytes(href[1])) + rb">", body, re.IGNORECASE
        )
        begin = body.rfind(b"\r\n--", 0, named.start()) if named is not None else -1
        if begin >= 0:
            boundary = body[begin : body.index(b"\r\n", begin + 2)]
            body = body[:begin] + body[body.index(boundary, begin + len(boundary)) :]
    return replace(message, body=body)


def _altered(message: HttpMessage) -> HttpMessage:
    """The last byte of the last part, or of the inline document, is another one."""
    end = message.body.rfind(b"\r\n--")
    end = message.body.rfind(b"\r\n--", 0, end) if message.body.count(b"\r\n--") > 2 else end
    if message.body[:2] == b"--" and end > 0:
        at = message.body.rfind(b"\r\n--", 0, len(message.body) - 4)
        return replace(message, body=message.body[: at - 1] + bytes([message.body[at - 1] ^ 1]) + message.body[at:])
    return _body(rb">([A-Za-z0-9+/=]{4})(?=[A-Za-z0-9+/=]*</(?:\w+:)?Document>)", b">AAAA")(message)


def _soap_fault(message: HttpMessage) -> HttpMessage:
    body = soap.write_fault(SoapFault("Receiver", "simulated"), trace="0" * 32)
    return replace(message, status=500, body=body).typed(soap.CONTENT_TYPE)


def _page(message: HttpMessage) -> HttpMessage:
    return replace(message, status=502, body=b"<html><body>Bad Gateway</body></html>").typed("text/html")


def _short(message: HttpMessage) -> HttpMessage:
    return replace(message, send=len(message.body) * 2 // 3)


_MESSAGE_ID = rb"(<(?:\w+:)?%s[^>]*>)[^<]*"
ANSWERS: Final[Mapping[str, Fault]] = {
    one.name: one
    for one in (
        Fault("slow", "waits before it answers (--delay)"),
        Fault("no-answer", "closes the connection without an answer"),
        Fault("truncated", "closes the connection within the answer", _short),
        Fault("wrong-id", "relates to a message that nobody sent", _body(_MESSAGE_ID % b"RelatesTo", rb"\1urn:uuid:0")),
        Fault("no-id", "relates to no message", _body(rb"<(\w+:)?RelatesTo[^>]*>[^<]*</(\w+:)?RelatesTo>", b"")),
        Fault(
            "wrong-action", "has the wsa:Action of something else", _body(_MESSAGE_ID % b"Action", rb"\1urn:simulated")
        ),
        Fault("malformed", "is no well-formed XML", _malformed),
        Fault("partial", "is PartialSuccess with an error; of several documents the last is missing", _partial),
        Fault("failure", "is a Failure", _answering(ns.FAILURE, "XDSRegistryError")),
        Fault("busy", "is a Failure: the registry is busy", _answering(ns.FAILURE, "XDSRegistryBusy")),
        Fault("altered", "has other bytes in its last document", _altered),
        Fault("fault", "is a SOAP fault", _soap_fault),
        Fault("page", "is an HTML page of a proxy", _page),
        Fault("wrong-type", "says that it is text", lambda message: message.typed("text/plain")),
    )
}


def _without_parts(message: HttpMessage) -> HttpMessage:
    found = re.search(rb"\r\n(--[^\r\n]+)\r\n", message.body)
    if found is None:
        return message
    return replace(message, body=message.body[: found.start()] + b"\r\n" + found[1] + b"--\r\n")


REQUESTS: Final[Mapping[str, Fault]] = {
    one.name: one
    for one in (
        Fault("slow", "sends in small pieces, with a pause before each (--delay)"),
        Fault(
            "wrong-id",
            "has the wsa:MessageID of every other message",
            _body(_MESSAGE_ID % b"MessageID", rb"\1urn:uuid:0"),
        ),
        Fault("no-action", "has no wsa:Action", _body(rb"<(\w+:)?Action[^>]*>[^<]*</(\w+:)?Action>", b"")),
        Fault(
            "wrong-action", "has the wsa:Action of something else", _body(_MESSAGE_ID % b"Action", rb"\1urn:simulated")
        ),
        Fault("malformed", "is no well-formed XML", _malformed),
        Fault("partial", "lacks the parts that it refers to", _without_parts),
        Fault("wrong-type", "says that it is text", lambda message: message.typed("text/plain")),
        Fault("soap-1.1", "is of SOAP 1.1", _body(re.escape(ns.SOAP).encode(), ns.SOAP11.encode())),
    )
}
ASSERTIONS: Final[Mapping[str, Fault]] = {
    one.name: one
    for one in (
        Fault("slow", "waits before it answers (--delay)"),
        Fault("expired", "ended an hour ago"),
        Fault("not-yet", "begins in an hour"),
        Fault("long", "lives for a day"),
        Fault("unsigned", "has no signature", _body(rb"<(\w+:)?Signature\b.*</(\w+:)?Signature>", b"")),
        Fault("altered", "was altered after it was signed", _body(rb"(<saml2:NameID[^>]*>)", rb"\1x")),
        Fault("wrong-audience", "is for somebody else"),
        Fault("wrong-issuer", "is of an issuer that nobody knows"),
        Fault("wrong-key", "is signed by somebody else"),
        Fault("no-role", "says no role"),
    )
}


def _altered_token(message: HttpMessage) -> HttpMessage:
    """Another subject, and the signature that was there."""
    head, body, signature = message.body.split(b".")
    claims = {**json.loads(base64.urlsafe_b64decode(body + b"==")), "sub": "x"}
    altered = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    return replace(message, body=b".".join((head, altered, signature)))


def _unsigned_token(message: HttpMessage) -> HttpMessage:
    """The algorithm none, and no signature."""
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=")
    return replace(message, body=b".".join((head, message.body.split(b".")[1], b"")))


TOKENS: Final[Mapping[str, Fault]] = {
    **ASSERTIONS,
    "altered": replace(ASSERTIONS["altered"], apply=_altered_token),
    "unsigned": replace(ASSERTIONS["unsigned"], apply=_unsigned_token),
}
"""the same faults, of access tokens"""
AUDIT: Final[Mapping[str, Fault]] = {
    one.name: one
    for one in (
        Fault("slow", "waits before it reads on (--delay)"),
        Fault("drop", "closes the connection after each record"),
        Fault("deaf", "takes connections and reads nothing"),
    )
}
MOMENTS: Final[Mapping[str, timedelta]] = {"expired": timedelta(hours=-1, minutes=-5), "not-yet": timedelta(hours=1)}
"""when an assertion with a fault begins, from now"""
