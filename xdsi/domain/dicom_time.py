"""DICOM dates, times and time zones, and the UTC form that metadata needs.

DICOM PS3.5 table 6.2-1 (DA, TM), PS3.3 C.12.1.1.8 (Timezone Offset From UTC); ITI TF-3 table 4.2.3.1.7-2 (DTM).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

_OFFSET = re.compile(r"([+-])(0[0-9]|1[0-4])([0-5][0-9])")
_TIME = re.compile(r"([01][0-9]|2[0-3])(?:([0-5][0-9])(?:([0-5][0-9])(?:\.[0-9]{1,6})?)?)?")


def plain_date(text: str) -> str:
    """A DA as YYYYMMDD, also from the dotted form of old files; empty where it is no date."""
    digits = text.replace(".", "")
    try:
        date.fromisoformat(digits)
    except ValueError:
        return ""
    return digits if len(digits) == 8 and digits.isdigit() else ""


def plain_time(text: str) -> str:
    """A TM, also from the form with colons of old files; empty where it is no time."""
    digits = text.replace(":", "")
    return digits if _TIME.fullmatch(digits) else ""


def zone(offset: str) -> timezone | None:
    """The time zone of a Timezone Offset From UTC, None for any other text."""
    match = _OFFSET.fullmatch(offset)
    if match is None or offset == "-0000":
        return None
    away = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-away if match[1] == "-" else away)


def offset_at(day: str, time: str, where: tzinfo) -> str:
    """The offset from UTC (`+0100`) that `where` had at a DA and TM; empty without a date."""
    local = _local(day, time)
    return local.replace(tzinfo=where).strftime("%z")[:5] if local else ""


def utc(day: str, time: str, where: tzinfo) -> str:
    """A DA and TM of the time zone `where` as DTM in UTC, to the second where known; the bare date without a time."""
    local = _local(day, time)
    if local is None:
        return ""
    digits = plain_time(time).partition(".")[0]
    if not digits:
        return plain_date(day)
    try:
        moment = local.replace(tzinfo=where).astimezone(UTC)
    except OverflowError:
        return plain_date(day)
    return moment.strftime("%Y%m%d%H%M%S" if len(digits) == 6 else "%Y%m%d%H%M")


def _local(day: str, time: str) -> datetime | None:
    digits = plain_date(day)
    if not digits:
        return None
    match = _TIME.fullmatch(plain_time(time))
    hour, minute, second = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    return datetime.strptime(digits, "%Y%m%d").replace(hour=hour, minute=minute, second=second)
