"""A first look at the bytes of a file: which element a document begins with. Never raises, and reads little."""

from __future__ import annotations

import re
from typing import Final

_LOOKED_AT: Final = 64 * 1024
_START = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)[\s/>]")


def first_element(raw: bytes) -> str:
    """The local name of the root element, or empty text where the file does not look like XML."""
    head = raw[:_LOOKED_AT]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head[:4]:
        text = head.decode("utf-16", "replace") if head[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
    else:
        text = head.decode("utf-8", "replace")
    text = text.lstrip("\ufeff \t\r\n")
    if not text.startswith("<"):
        return ""
    at = 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        if text.startswith("<?", at):
            at = text.find("?>", at) + 2
        elif text.startswith("<!--", at):
            at = text.find("-->", at) + 3
        elif text.startswith("<!", at):
            at = text.find(">", at) + 1
        else:
            found = _START.match(text, at)
            return found[1] if found else ""
        if at < 3:
            return ""
