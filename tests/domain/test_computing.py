"""domain/computing: one computes, the others wait in the order in which they came, and for nobody who is slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from xdsi.domain.computing import OneComputes, give_turn_back

DEADLINE = 20.0
LOOKS = 0.001


class Clock:
    """A clock that stands still until it is set; `looks` counts who looked at it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now


class Answering:
    """A thread that takes a turn and keeps it until it is told to end."""

    def __init__(self, turns: OneComputes) -> None:
        self._turns = turns
        self.computes = threading.Event()
        self.told = threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        with self._turns.turn():
            self.computes.set()
            assert self.told.wait(DEADLINE)

    def end(self) -> None:
        """Let it end, and wait until it has."""
        self.told.set()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        time.sleep(LOOKS)


def queue(turns: OneComputes, count: int) -> list[Answering]:
    """So many threads that wait, one after the other."""
    before = turns.waiting
    threads = []
    for number in range(count):
        threads.append(Answering(turns))
        until(lambda number=number: turns.waiting == before + number + 1)  # type: ignore[misc]
    return threads


@contextmanager
def ended(*threads: Answering) -> Iterator[None]:
    """Nobody is left behind, whatever a test finds."""
    try:
        yield
    finally:
        for thread in threads:
            thread.end()


def test_who_waits_computes_in_the_order_of_coming() -> None:
    turns = OneComputes(patience=DEADLINE)
    with turns.turn():
        waiting = queue(turns, 5)
        assert [one.computes.is_set() for one in waiting] == [False] * 5
    with ended(*waiting):
        for number, one in enumerate(waiting):
            assert one.computes.wait(DEADLINE)
            assert [other.computes.is_set() for other in waiting[number + 1 :]] == [False] * (4 - number)
            one.end()
    assert not turns.held


def test_who_holds_a_turn_for_too_long_loses_it_to_the_first_and_to_nobody_else() -> None:
    clock = Clock()
    turns = OneComputes(patience=LOOKS, clock=clock)
    with turns.turn():
        first, second = queue(turns, 2)
        with ended(first, second):
            clock.now = LOOKS
            assert first.computes.wait(DEADLINE)
            seen = clock.looks
            until(lambda: clock.looks > seen + 5)
            assert (second.computes.is_set(), turns.waiting) == (False, 1), "the first has only just begun"
            first.end()
            assert second.computes.wait(DEADLINE)
            give_turn_back()
            assert turns.held, "the second's; the turn of who was overtaken is his no more"
    assert not turns.held


def test_nobody_is_overtaken_within_patience() -> None:
    clock = Clock()
    turns = OneComputes(patience=LOOKS, clock=clock)
    slow = Answering(turns)
    assert slow.computes.wait(DEADLINE)
    following, last = queue(turns, 2)
    with ended(slow, following, last):
        clock.now = 0.9 * LOOKS
        slow.end()
        assert following.computes.wait(DEADLINE)
        clock.now = 1.5 * LOOKS
        seen = clock.looks
        until(lambda: clock.looks > seen + 5)
        assert not last.computes.is_set(), "the turn has changed hands since the last one came"


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_a_turn_is_given_back_whatever_happens(kind: type[BaseException]) -> None:
    turns = OneComputes(patience=DEADLINE)
    with pytest.raises(kind), turns.turn():
        raise kind
    assert not turns.held
    with turns.turn():
        assert turns.held


def test_what_is_given_back_early_is_the_next_ones_until_he_ends() -> None:
    turns = OneComputes(patience=DEADLINE)
    with turns.turn():
        (other,) = queue(turns, 1)
        give_turn_back()
        assert other.computes.wait(DEADLINE)
        give_turn_back()
        assert turns.held
    with ended(other):
        assert turns.held
    assert not turns.held


def test_a_thread_has_one_turn_at_most() -> None:
    turns, others = OneComputes(patience=DEADLINE), OneComputes(patience=DEADLINE)
    with turns.turn():
        with turns.turn(), others.turn():
            assert (turns.held, others.held) == (True, False)
        assert turns.held, "the inner one was none of its own"
    assert not turns.held


def test_a_thread_without_a_turn_gives_none_back() -> None:
    turns = OneComputes(patience=DEADLINE)
    holder = Answering(turns)
    with ended(holder):
        assert holder.computes.wait(DEADLINE)
        give_turn_back()
        assert turns.held


def test_who_is_interrupted_while_waiting_keeps_nobody_waiting() -> None:
    clock = Clock()

    def failing() -> float:
        if threading.current_thread().name == "interrupted":
            raise KeyboardInterrupt
        return clock()

    turns = OneComputes(patience=LOOKS, clock=failing)
    outcome: list[BaseException] = []

    def answer() -> None:
        try:
            with turns.turn():
                pass
        except BaseException as error:
            outcome.append(error)

    with turns.turn():
        interrupted = threading.Thread(target=answer, name="interrupted")
        interrupted.start()
        interrupted.join(DEADLINE)
        assert (len(outcome), turns.waiting) == (1, 0)
        (other,) = queue(turns, 1)
    with ended(other):
        assert other.computes.wait(DEADLINE)


def test_many_threads_compute_one_at_a_time() -> None:
    turns = OneComputes(patience=DEADLINE)
    computing: list[int] = []
    most: list[int] = []

    def answer(number: int) -> None:
        for _ in range(50):
            with turns.turn():
                computing.append(number)
                time.sleep(0)  # others may run
                most.append(len(computing))
                computing.remove(number)

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert (max(most), len(most), turns.held, turns.waiting) == (1, 400, False, 0)
