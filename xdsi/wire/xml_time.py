"""Points in time as XML Schema writes them (part 2, dateTime), always with their offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")


def write_instant(moment: datetime, *, timespec: str = "milliseconds") -> str:
    """`moment` in UTC, ending in Z."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def read_instant(text: str) -> datetime | None:
    """The moment a dateTime means; None for anything else, and for one without offset."""
    if _DATE_TIME.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
