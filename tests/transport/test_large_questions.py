"""transport/large_questions: few large questions are answered at once, and none is kept for long."""

from __future__ import annotations

import threading

from xdsi.transport.large_questions import LARGE, Turns

DEADLINE = 20.0


def test_a_large_question_waits_until_another_one_has_been_answered() -> None:
    turns, begun = Turns(at_once=1, patience=DEADLINE), threading.Event()

    def ask() -> None:
        with turns.one(LARGE):
            begun.set()

    with turns.one(LARGE):
        second = threading.Thread(target=ask)
        second.start()
        second.join(0.05)
        assert not begun.is_set()
    second.join(DEADLINE)
    assert begun.is_set()


def test_a_small_question_does_not_wait() -> None:
    turns = Turns(at_once=1, patience=DEADLINE)
    began = []
    with turns.one(LARGE), turns.one(LARGE - 1):
        began.append("small")
    assert began == ["small"]


def test_a_turn_is_given_back_whatever_happens() -> None:
    turns = Turns(at_once=1, patience=DEADLINE)
    for _ in range(3):
        try:
            with turns.one(LARGE):
                raise ValueError
        except ValueError:
            continue


def test_who_has_waited_long_goes_on_and_takes_no_turn_from_others() -> None:
    turns = Turns(at_once=1, patience=0.01)
    with turns.one(LARGE):
        for _ in range(3):
            with turns.one(LARGE):
                pass
    assert turns._free.acquire(blocking=False)
    assert not turns._free.acquire(blocking=False), "given back once, by the one that had it"
