"""DICOM dates and times, and UTC."""

from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdsi.domain.dicom_time import offset_at, plain_date, plain_time, utc, zone

EAST = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("20260301", "20260301"),
        ("2026.03.01", "20260301"),
        ("20260230", ""),
        ("2026", ""),
        ("2026W101", ""),
        ("20260301-20260302", ""),
        ("", ""),
        ("today", ""),
    ],
)
def test_dates(text: str, plain: str) -> None:
    assert plain_date(text) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("10", "10"),
        ("1011", "1011"),
        ("101112.123456", "101112.123456"),
        ("10:11:12", "101112"),
        ("2411", ""),
        ("1", ""),
        ("", ""),
        ("101112.", ""),
    ],
)
def test_times(text: str, plain: str) -> None:
    assert plain_time(text) == plain


@pytest.mark.parametrize(
    ("offset", "hours"), [("+0100", 1), ("-0330", -3.5), ("+0000", 0), ("-0000", None), ("+1500", None), ("0100", None)]
)
def test_offsets(offset: str, hours: float | None) -> None:
    where = zone(offset)
    assert where == (None if hours is None else timezone(timedelta(hours=hours)))


@pytest.mark.parametrize(
    ("day", "time", "expected"),
    [
        ("20260301", "101112.5", "20260301091112"),
        ("20260301", "1011", "202603010911"),
        ("20260301", "10", "202603010900"),
        ("20260301", "003000", "20260228233000"),
        ("20260301", "", "20260301"),
        ("20260301", "bad", "20260301"),
        ("", "101112", ""),
        ("00010101", "0000", "00010101"),
    ],
)
def test_utc(day: str, time: str, expected: str) -> None:
    assert utc(day, time, EAST) == expected


@pytest.mark.parametrize(("day", "offset"), [("20260115", "+0100"), ("20260715", "+0200"), ("", "")])
def test_an_offset_is_that_of_the_day(day: str, offset: str) -> None:
    assert offset_at(day, "1200", ZoneInfo("Europe/Brussels")) == offset


@given(st.text(), st.text())
def test_any_text_is_read_without_an_exception(day: str, time: str) -> None:
    assert utc(day, time, UTC).isascii()
