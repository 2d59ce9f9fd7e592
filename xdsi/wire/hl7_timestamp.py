"""The HL7 time stamp (TS), one form in versions 2 and 3: YYYY[MM[DD[HH[MM[SS[.S...]]]]]][+ZZZZ]."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_TS = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:\.(\d+))?(?:([+-])(\d\d)(\d\d))?")


def write(moment: datetime) -> str:
    """To the second, in UTC and saying so; a moment without zone is taken as UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")


def read(text: str) -> datetime | None:
    """The moment, UTC where no zone is given; None for anything that is not a time stamp."""
    match = _TS.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) if part else None for part in match.groups()[:6])
    fraction, sign, zone_hours, zone_minutes = match.groups()[6:]
    zone = UTC
    if sign:
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        try:
            zone = timezone(offset if sign == "+" else -offset)
        except ValueError:
            return None
    try:
        return datetime(
            year or 0,
            month or 1,
            day or 1,
            hour or 0,
            minute or 0,
            second or 0,
            int((fraction or "0")[:6].ljust(6, "0")),
            tzinfo=zone,
        )
    except ValueError:
        return None


def read_date(text: str) -> str | None:
    """The date in a time stamp, to the precision it was given with: YYYY, YYYYMM or YYYYMMDD."""
    match = _TS.fullmatch(text)
    if match is None or read(text) is None:
        return None
    return "".join(part for part in match.groups()[:3] if part)
