"""Accept headers: quality, quotes, patterns (RFC 9110 section 12.5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdsi.domain.errors import MalformedMessage
from xdsi.wire.http import HttpRequest, read_accept


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("*/*", 1.0)]),
        (" , ", [("*/*", 1.0)]),
        ("a/b", [("a/b", 1.0)]),
        ("a/b;q=0.5, c/d", [("c/d", 1.0), ("a/b", 0.5)]),
        ("a/b, c/d", [("a/b", 1.0), ("c/d", 1.0)]),
        ("A/B ; Q=0.25", [("a/b", 0.25)]),
        ("a/b;q=0, c/d;q=0.001", [("c/d", 0.001)]),
        ('a/b; x="1,2; q=0", c/d', [("a/b", 1.0), ("c/d", 1.0)]),
        (r'a/b; x="\",", c/d', [("a/b", 1.0), ("c/d", 1.0)]),
        ("image/*,*/*;q=0.8", [("image/*", 1.0), ("*/*", 0.8)]),
    ],
)
def test_ranges_in_the_order_of_welcome(text: str, expected: list[tuple[str, float]]) -> None:
    assert [(one.media_type, one.q) for one in read_accept(text)] == expected


@pytest.mark.parametrize(
    "text", ["a", "a/", "/b", "a/b;q=2", "a/b;q=x", "a/b;q=0.1234", "a b/c", "a/b, ," + "c/d," * 200]
)
def test_what_is_no_accept_header(text: str) -> None:
    with pytest.raises(MalformedMessage):
        read_accept(text)


@given(st.text(alphabet=st.characters(codec="latin-1"), max_size=300))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    try:
        found = read_accept(text)
    except MalformedMessage:
        return
    assert all(0 < one.q <= 1 for one in found)
    assert [one.q for one in found] == sorted((one.q for one in found), reverse=True)


@pytest.mark.parametrize(
    ("text", "media_type", "covered"),
    [("*/*", "a/b", True), ("a/*", "a/b", True), ("a/*", "ab/c", False), ("a/b", "a/b", True), ("a/b", "a/c", False)],
)
def test_patterns(text: str, media_type: str, covered: bool) -> None:
    assert read_accept(text)[0].covers(media_type) is covered


def test_a_parameter_comes_once() -> None:
    request = HttpRequest(path="", query=(("a", "1"), ("b", "2"), ("b", "2")))
    assert (request.one("a"), request.one("c")) == ("1", "")
    with pytest.raises(MalformedMessage):
        request.one("b")
