"""The lines of a file around what was found in it, for people to look at."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from xdsi.domain.findings import Finding, Level

WHOLE: Final = 400
"""lines of a file that is shown whole"""
AROUND: Final = 3
"""lines before and after a marked one, of a larger file"""
LONGEST: Final = 2000
"""characters shown of a line"""
_BREAK = re.compile(r"\r\n|\r|\n")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `mark` is the gravest level found on it, `skipped` how many lines before it are left out."""

    number: int
    text: str
    mark: str = ""
    skipped: int = 0


def excerpt(raw: bytes, findings: Iterable[Finding]) -> tuple[Line, ...]:
    """The file whole, or what is around its marked lines; nothing of a file that is no text."""
    marks: dict[int, Level] = {}
    for one in findings:
        if one.line and marks.get(one.line) is not Level.ERROR:
            marks[one.line] = one.level
    text = _text(raw)
    if text is None:
        return ()
    lines = _BREAK.split(text)
    shown = range(1, len(lines) + 1) if len(lines) <= WHOLE else sorted(
        {near for number in marks for near in range(number - AROUND, number + AROUND + 1) if 0 < near <= len(lines)}
    )  # fmt: skip
    found: list[Line] = []
    last = 0
    for number in shown:
        cut = _CONTROL.sub("\ufffd", lines[number - 1])
        cut = cut if len(cut) <= LONGEST else cut[:LONGEST] + "..."
        found.append(Line(number, cut, str(marks.get(number, "")), number - last - 1))
        last = number
    return tuple(found)


def _text(raw: bytes) -> str | None:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    if raw[128:132] == b"DICM":
        return None
    return raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
