"""transport/ahead: the next piece of an answer is made while this one is sent, and nothing else changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdsi.domain.errors import IntegrityLost
from xdsi.transport.ahead import GATHERED, ahead

PATIENCE = 20.0


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


@given(sizes=st.lists(st.integers(0, 100) | st.integers(GATHERED - 50, GATHERED + 50), max_size=12))
def test_the_bytes_are_the_same(pool: ThreadPoolExecutor, sizes: list[int]) -> None:
    pieces = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    given_out = list(ahead(iter(pieces), pool))
    assert b"".join(given_out) == b"".join(pieces)
    assert all(given_out)
    assert all(len(one) >= GATHERED for one in given_out[:-1])


def test_what_goes_wrong_is_raised_after_what_came_before(pool: ThreadPoolExecutor) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(GATHERED)
        yield b"whole"
        raise IntegrityLost("rotten")

    sending = ahead(pieces(), pool)
    assert [next(sending), next(sending)] == [bytes(GATHERED), b"whole"]
    with pytest.raises(IntegrityLost, match="rotten"):
        next(sending)


def test_the_next_piece_is_made_while_this_one_is_sent(pool: ThreadPoolExecutor) -> None:
    made = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield bytes(GATHERED)
        made.set()
        yield bytes(GATHERED)

    sending = ahead(pieces(), pool)
    next(sending)
    assert made.wait(PATIENCE)
    sending.close()


def test_who_stops_receiving_closes_the_source_and_no_more_is_made(pool: ThreadPoolExecutor) -> None:
    closed = threading.Event()
    made = []

    def pieces() -> Iterator[bytes]:
        try:
            for number in range(100):
                made.append(number)
                yield bytes(GATHERED)
        finally:
            closed.set()

    sending = ahead(pieces(), pool)
    next(sending)
    sending.close()
    assert closed.is_set()
    assert len(made) <= 2
