"""wire/hl7_timestamp: HL7 time stamps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdsi.wire import hl7_timestamp


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025", datetime(2025, 1, 1, tzinfo=UTC)),
        ("202503", datetime(2025, 3, 1, tzinfo=UTC)),
        ("20250304", datetime(2025, 3, 4, tzinfo=UTC)),
        ("202503041510", datetime(2025, 3, 4, 15, 10, tzinfo=UTC)),
        ("20250304151059.1234567", datetime(2025, 3, 4, 15, 10, 59, 123456, tzinfo=UTC)),
        ("20250304151059+0130", datetime(2025, 3, 4, 15, 10, 59, tzinfo=timezone(timedelta(minutes=90)))),
        ("20250304151059-0500", datetime(2025, 3, 4, 15, 10, 59, tzinfo=timezone(timedelta(hours=-5)))),
    ],
)
def test_a_time_stamp_is_read(text: str, moment: datetime) -> None:
    assert hl7_timestamp.read(text) == moment


@pytest.mark.parametrize(
    "text", ["", "25", "20251301", "20250230", "20250101256060", "20250101+9999", "2025-01-01", "x"]
)
def test_anything_else_is_none(text: str) -> None:
    assert hl7_timestamp.read(text) is None
    assert hl7_timestamp.read_date(text) is None


@pytest.mark.parametrize(
    ("text", "date"), [("1985", "1985"), ("198507", "198507"), ("19850730", "19850730"), ("19850730101500", "19850730")]
)
def test_a_date_keeps_its_precision(text: str, date: str) -> None:
    assert hl7_timestamp.read_date(text) == date


offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1), timezones=offsets))
def test_what_is_written_is_read(moment: datetime) -> None:
    assert hl7_timestamp.read(hl7_timestamp.write(moment)) == moment.replace(microsecond=0)


def test_a_moment_without_zone_is_utc() -> None:
    assert hl7_timestamp.write(datetime(2025, 3, 4)) == "20250304000000+0000"
