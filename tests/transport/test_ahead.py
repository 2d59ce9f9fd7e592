"""transport/ahead: the next piece of an answer is made while this one is sent where that saves time, unchanged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdsi.domain.errors import IntegrityLost
from xdsi.transport.ahead import GATHERED, ahead

PATIENCE = 20.0
PIECE = bytes(GATHERED)


class Clock:
    """Time that passes when somebody says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


slow = pytest.mark.parametrize("making", [0.0, 1.0], ids=["made at once", "slow to make"])


@slow
@given(sizes=st.lists(st.integers(0, 100) | st.integers(GATHERED - 50, GATHERED + 50), max_size=12))
def test_the_bytes_are_the_same(pool: ThreadPoolExecutor, making: float, sizes: list[int]) -> None:
    clock = Clock()

    def pieces() -> Iterator[bytes]:
        for number, size in enumerate(sizes):
            clock.now += making
            yield bytes([number % 256]) * size

    given_out = list(ahead(pieces(), pool, clock=clock))
    assert b"".join(given_out) == b"".join(bytes([number % 256]) * size for number, size in enumerate(sizes))
    assert all(given_out)
    assert all(len(one) + len(following) >= GATHERED for one, following in pairwise(given_out))


@slow
def test_what_goes_wrong_is_raised_after_what_came_before(pool: ThreadPoolExecutor, making: float) -> None:
    clock = Clock()

    def pieces() -> Iterator[bytes]:
        clock.now += making
        yield PIECE
        yield b"whole"
        raise IntegrityLost("rotten")

    sending = ahead(pieces(), pool, clock=clock)
    assert [next(sending), next(sending)] == [PIECE, b"whole"]
    with pytest.raises(IntegrityLost, match="rotten"):
        next(sending)


def test_what_is_slow_to_make_is_made_while_others_are_sent(pool: ThreadPoolExecutor) -> None:
    made, clock = threading.Event(), Clock()

    def pieces() -> Iterator[bytes]:
        clock.now += 1.0
        yield PIECE
        yield PIECE
        made.set()
        yield PIECE

    sending = ahead(pieces(), pool, clock=clock)
    next(sending)
    next(sending)
    assert made.wait(PATIENCE)
    sending.close()


def test_what_is_made_sooner_than_it_is_sent_is_made_by_who_sends_it(pool: ThreadPoolExecutor) -> None:
    by, clock = [], Clock()

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            clock.now += 0.1
            by.append(threading.current_thread())
            yield PIECE

    for number, _ in enumerate(ahead(pieces(), pool, clock=clock), 1):
        assert len(by) == number, "none is made before it is asked for"
        clock.now += 0.11
    assert set(by) == {threading.current_thread()}


def test_what_is_computed_is_made_by_who_sends_it(pool: ThreadPoolExecutor) -> None:
    """Given pieces that are hashed and deciphered, when that takes longer than sending them, one thread does both."""
    by, clock, busy = [], Clock(), Clock()

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            # It shares its processor with another one's work.
            clock.now += 2.0
            busy.now += 1.0
            by.append(threading.current_thread())
            yield PIECE

    assert len(list(ahead(pieces(), pool, clock=clock, computed=busy))) == 100
    assert set(by) == {threading.current_thread()}


def test_slow_sending_before_excuses_no_slow_making_after(pool: ThreadPoolExecutor) -> None:
    """Given a receiver who took his time, when the store becomes slow, the next pieces are soon made beside sending."""
    made, clock = threading.Event(), Clock()

    def pieces() -> Iterator[bytes]:
        yield PIECE
        clock.now += 0.2
        yield PIECE
        yield PIECE
        made.set()
        yield PIECE

    sending = ahead(pieces(), pool, clock=clock)
    next(sending)
    clock.now += 3600
    next(sending)
    next(sending)
    assert made.wait(PATIENCE)
    sending.close()


@slow
def test_who_stops_receiving_closes_the_source_and_no_more_is_made(pool: ThreadPoolExecutor, making: float) -> None:
    closed, clock = threading.Event(), Clock()
    made = []

    def pieces() -> Iterator[bytes]:
        try:
            for number in range(100):
                clock.now += making
                made.append(number)
                yield PIECE
        finally:
            closed.set()

    sending = ahead(pieces(), pool, clock=clock)
    next(sending)
    sending.close()
    assert closed.is_set()
    assert len(made) <= 2
