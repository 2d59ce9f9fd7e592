"""Forms of values, by name: what holds for a text and how to say it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from xdsi.domain.dicom_time import plain_date, plain_time, zone
from xdsi.domain.identifiers import is_oid

_CLOCK = r"\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"

FORMS: Mapping[str, tuple[str, Callable[[str], bool]]] = {
    "uid": ("a UID: digits and points, at most 64 characters, no component with a leading zero", is_oid),
    "date": ("a date YYYYMMDD", lambda text: len(text) == 8 and bool(plain_date(text))),
    "time": ("a time HHMMSS", lambda text: ":" not in text and bool(plain_time(text))),
    "offset": ("an offset such as +0100", lambda text: zone(text) is not None),
    "url": ("an address https://...", lambda text: re.fullmatch(r"https?://[^/\s]+\S*", text) is not None),
    "ae": ("1 to 16 characters", lambda text: 0 < len(text) <= 16),
    "integer": ("a whole number", lambda text: re.fullmatch(r"[+-]?[0-9]{1,11}", text) is not None),
    "count": ("a whole number, 1 or more", lambda text: re.fullmatch(r"0*[1-9][0-9]{0,10}", text) is not None),
    "instant": (
        "a date and time with an offset from UTC",
        lambda text: re.fullmatch(rf"\d{{4}}-\d\d-\d\dT{_CLOCK}", text) is not None,
    ),
    "moment": (
        "a date, or a date and time with an offset from UTC",
        lambda text: (
            re.fullmatch(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?", text) is not None
        ),
    ),
    "urn-uid": ("urn:oid: and a UID", lambda text: text.startswith("urn:oid:") and is_oid(text[8:])),
}
