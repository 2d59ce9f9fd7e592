"""Points in time as XML Schema writes them (part 2, dateTime), always with their offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")


def write_instant(moment: datetime, *, timespec: str = "milliseconds") -> str:
    """`moment` in UTC, ending in Z."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def read_instant(text: str) -> datetime | None:
    """The moment a dateTime means; None for anything else, and for one without offset."""
    return _remembered(text) if len(text) <= _REMEMBERED_LENGTH else _read(text)


def _read(text: str) -> datetime | None:
    if _DATE_TIME.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


_REMEMBERED_LENGTH = 40
"""characters: what is sent is remembered only where it is as short as times are"""
# An assertion says the same ones each time it is used.
_remembered = lru_cache(maxsize=4096)(_read)
