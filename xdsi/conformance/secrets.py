"""What of a message is nobody's business who reads a report: what assertions say, and what lets somebody in."""

from __future__ import annotations

import re
from dataclasses import replace

from .results import Finding

HIDDEN = "(not shown)"
_BEGIN = re.compile(r"<(?:[\w.-]+:)?(?:Security|Assertion|EncryptedAssertion)[\s>]")
_END = re.compile(r"</(?:[\w.-]+:)?(?:Security|Assertion|EncryptedAssertion)\s*>")
# An element that was cut off with the message ends where the text ends.
_NAMES = "SignatureValue|DigestValue|CipherValue|AttributeValue|NameID|Password|BinarySecurityToken"
_VALUE = re.compile(rf"(<((?:[\w.-]+:)?(?:{_NAMES}))(?:\s[^<>]*)?(?<!/)>)(.*?)(</\2\s*>|\Z)", re.DOTALL)

_KEYS = r"token|secret|passw|pwd|api-?_?key|credential|signature|assertion|jwt|auth"
_PARAMETER = re.compile(rf"([?&](?:amp;)?(?:[\w.-]*(?:{_KEYS})[\w.-]*|key|sig)=)[^&;\s\"'<>#]+", re.IGNORECASE)
_USERINFO = re.compile(r"(://)[^/\s@\"'<>?#]+@")
_SHOWN_TO_SERVERS = re.compile(r"\b(IHE-SAML|Bearer|Basic)(\s+)[A-Za-z0-9+/=._~-]{12,}", re.IGNORECASE)
_HEADER = re.compile(rf"{_KEYS}|authorization|cookie", re.IGNORECASE)


def masked(text: str) -> str:
    """The text without the values in assertions and security headers, from the first of them to the end of the last."""
    begin = _BEGIN.search(text)
    if begin is None:
        return text
    ends = [one.end() for one in _END.finditer(text, begin.start())]
    # Where the last one is cut off, everything behind its beginning belongs to it.
    begun = [one.start() for one in _BEGIN.finditer(text)]
    end = ends[-1] if ends and len(ends) >= len(begun) else len(text)
    inside = _VALUE.sub(lambda found: f"{found[1]}{HIDDEN}{found[4]}", text[begin.start() : end])
    return text[: begin.start()] + inside + text[end:]


def without_credentials(text: str) -> str:
    """The text without users of URLs, the values of query parameters that are called as secrets are, and tokens."""
    text = _PARAMETER.sub(rf"\1{HIDDEN}", _USERINFO.sub(rf"\1{HIDDEN}@", text))
    return _SHOWN_TO_SERVERS.sub(rf"\1\2{HIDDEN}", text)


def header(name: str, text: str) -> str:
    """The value of an HTTP header, as a report shows it."""
    return HIDDEN if _HEADER.search(name) else without_credentials(text)


def told(text: str) -> str:
    """A sentence for people, which may quote a message."""
    return without_credentials(masked(text))


def of_finding(finding: Finding) -> Finding:
    """A finding that gives nothing away."""
    return replace(finding, expected=told(finding.expected), found=told(finding.found))


def decoded(body: bytes) -> str:
    """The text of a message, UTF-16 as well, so that nothing is hidden by its encoding."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace")
    if body[:2] == b"<\0":
        return body.decode("utf-16-le", "replace")
    if body[:2] == b"\0<":
        return body.decode("utf-16-be", "replace")
    # A part of a multipart body may be in UTF-16.
    return body.replace(b"\0", b"").decode("utf-8", "replace")
