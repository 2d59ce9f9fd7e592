"""storage/packed and storage/lists: every text comes back, no two texts look alike, both engines agree."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from xdsi.domain.codes import Code
from xdsi.storage import lists, packed
from xdsi.storage.database import reading
from xdsi.storage.packed import pack, unpack
from xdsi.storage.wording import normal

UUID = "urn:uuid:01234567-89ab-4cde-8f01-23456789abcd"
LOOKALIKES = (
    UUID.upper(), UUID + " ", UUID[:-1], UUID.replace("4cde", "4CDE"), UUID[:-1] + "\u0663",
    "x" * 15, "x" * 16, "x" * 17, "\t" + "x" * 14, "\t" + "x" * 15, "\n", "\t1", "\x01", "\x02" + "x" * 16,
    "0", "1", "01", "00", "-1", "1.", ".1", "1..2", "1.02", "1.2", "0.0", "2.25.0", "2.25.01", f"2.25.{2**128 - 1}",
    f"2.25.{2**128}", "2.25.1.2", "2.999.1.2.3.4.5.6.7.8.9.10.11.12.13.14", "\u0661", "1.\u0662",
    "1.2.840.10008.5.1.4.1.1.88.59", f"2.25.{2**112}", f"2.25.{2**112 - 1}",
    "9" * 36, "9" * 37, "9" * 250, "\x80", "\u0394", "Approved", "Approved ", "approved",
)  # fmt: skip


def texts() -> st.SearchStrategy[str]:
    arcs = st.lists(st.integers(0, 2**130), min_size=1, max_size=12)
    return st.one_of(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.text("0123456789.", max_size=40),
        arcs.map(lambda found: ".".join(map(str, found))),
        st.uuids().map(lambda one: one.urn),
        st.integers(0, 2**129).map(lambda number: f"2.25.{number}"),
        st.sampled_from(LOOKALIKES),
    )


@given(texts())
def test_every_text_comes_back(text: str) -> None:
    assert unpack(pack(text)) == text
    # One more at most, two where it looks like a UUID: nothing grows beyond what an index takes.
    assert len(pack(text)) <= len(text.encode()) + 2


@pytest.mark.parametrize("text", ["", UUID, *LOOKALIKES, *packed._WORDS])
def test_texts_that_look_like_packed_ones_come_back(text: str) -> None:
    assert unpack(pack(text)) == text


def test_no_two_texts_look_alike() -> None:
    every = ["", UUID, *LOOKALIKES, *packed._WORDS]
    assert len({pack(text) for text in every}) == len(set(every))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (UUID, "0123456789ab4cde8f0123456789abcd"),
        ("", ""),
        ("uuid", "80"),
        ("Approved", "85"),
        ("urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember", "8b"),
        ("2.16.840.1.113883.6.96", "97"),
        ("urn:ihe:rad:PDF", "ab"),
        ("1.2.840.113549", "010102864886f70d"),
        (f"2.25.{2**127 + 258}", "0280" + "00" * 13 + "0102"),
        ("2.25.258", "0102198202"),
        ("394914008", "031789e8d8"),
        ("CT", "4354"),
        ("\tx", "000978"),
    ],
)
def test_what_is_stored_depends_on_the_forms(text: str, kept: str) -> None:
    """Another form here would make what is stored unreadable: words are added at the end, nothing else changes."""
    assert pack(text) == bytes.fromhex(kept)
    assert unpack(bytes.fromhex(kept)) == text


@pytest.mark.parametrize("kept", ["ff", "05", "1f41"])
def test_what_nothing_packed_is_refused(kept: str) -> None:
    with pytest.raises(ValueError, match=r"number|begins"):
        unpack(bytes.fromhex(kept))


CODES = [
    Code("N", "2.16.840.1.113883.5.25"), Code('"[]\\,', "2.999"), Code("", "x"), Code("u\u0308", ""), Code("x", ""),
]  # fmt: skip


@pytest.mark.parametrize("code", CODES)
def test_a_code_comes_back_from_a_list(code: Code) -> None:
    (kept,) = lists.read(lists.write([lists.coded(code)]))
    assert lists.uncoded(kept) == (normal(code.code), normal(code.scheme))


@pytest.mark.parametrize(
    "values", [[], ["a"], ["a", "a"], ['"', "\\", "\n\t", "'%_", "\u00e4\U0001f600", "[1]", "null"]]
)
def test_a_list_is_rows_to_a_database(engine: Engine, values: list[str]) -> None:
    rows, value = lists.items(sa.bindparam("kept", type_=sa.Text))
    with reading(engine) as connection:
        found = connection.execute(sa.select(value).select_from(rows), {"kept": lists.write(values)}).scalars().all()
    assert found == values
    assert list(lists.read(lists.write(values))) == values
