"""What of a recorded message is nobody's business who reads a report: the values and signatures of assertions."""

from __future__ import annotations

import re

HIDDEN = "(not shown)"
_BEGIN = re.compile(r"<(?:[\w.-]+:)?(?:Security|Assertion|EncryptedAssertion)[\s>]")
_END = re.compile(r"</(?:[\w.-]+:)?(?:Security|Assertion|EncryptedAssertion)\s*>")
# An element that was cut off with the message ends where the text ends.
_NAMES = "SignatureValue|DigestValue|CipherValue|AttributeValue|NameID|Password|BinarySecurityToken"
_VALUE = re.compile(rf"(<((?:[\w.-]+:)?(?:{_NAMES}))(?:\s[^<>]*)?(?<!/)>)(.*?)(</\2\s*>|\Z)", re.DOTALL)


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
