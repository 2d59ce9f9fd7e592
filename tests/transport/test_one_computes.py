"""Small questions compute in turns (domain/computing): who takes one, who gives it back, and who waits for nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.domain.test_computing import DEADLINE, Answering, ended, until
from tests.test_exchange import World
from tests.transport.test_large_questions import Endpoint
from xdsi.domain.computing import OneComputes
from xdsi.domain.consent import Action
from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.exchange import Call
from xdsi.transport.large_questions import LARGE

SMALL = 1000


class Stuck(World):
    """The first question that is handled waits until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.told = threading.Event(), threading.Event()

    def handle(self, call: Call[Any]) -> Any:
        if not self.reached.is_set():
            self.reached.set()
            assert self.told.wait(DEADLINE)
        return super().handle(call)


def in_a_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_small_question_is_not_even_decoded_while_another_one_computes(tmp_path: Path) -> None:
    world, turns = World(), OneComputes(patience=DEADLINE)
    endpoint = Endpoint(tmp_path, world, turns)
    other = Answering(turns)
    with ended(other):
        assert other.computes.wait(DEADLINE)
        asking = in_a_thread(lambda: endpoint.post(SMALL))
        until(lambda: turns.waiting == 1)
        assert (world.steps, endpoint.statuses) == ([], [])
        other.end()
        asking.join(DEADLINE)
    assert (world.steps[0], endpoint.statuses, turns.held) == ("decode", ["200 OK"], False)


def test_a_question_that_is_stuck_holds_no_other(tmp_path: Path) -> None:
    """Given one that waits for what does not come, as a consent of another repository, when three more are asked."""
    world, turns = Stuck(), OneComputes()
    endpoint = Endpoint(tmp_path, world, turns)
    stuck = in_a_thread(lambda: endpoint.post(SMALL))
    try:
        assert world.reached.wait(DEADLINE)
        others = [in_a_thread(lambda: endpoint.post(SMALL)) for _ in range(3)]
        for one in others:
            one.join(DEADLINE)
        assert (endpoint.statuses, stuck.is_alive()) == (["200 OK"] * 3, True)
    finally:
        world.told.set()
        stuck.join(DEADLINE)
    assert (endpoint.statuses, turns.held, turns.waiting) == (["200 OK"] * 4, False, 0)


@pytest.mark.parametrize(
    ("size", "row"),
    [(LARGE, {}), (SMALL, {"writes": True, "action": None}), (SMALL, {"changes": True, "action": Action.QUERY})],
    ids=["large", "writes", "changes"],
)
def test_who_asks_much_or_changes_something_takes_no_turn(tmp_path: Path, size: int, row: dict[str, Any]) -> None:
    turns = OneComputes(patience=DEADLINE)
    endpoint = Endpoint(tmp_path, World(), turns, **row)
    with turns.turn():
        in_a_thread(lambda: endpoint.post(size)).join(DEADLINE)
        assert endpoint.statuses == ["200 OK"]


@pytest.mark.parametrize(
    ("step", "error", "status"),
    [
        ("decode", MalformedMessage("no query", location="Body"), "200 OK"),
        ("locate", Unavailable("the database is away"), "200 OK"),
        ("handle", RuntimeError("unforeseen"), "500 Internal Server Error"),
        ("audit", Unavailable("the disk is full"), "200 OK"),
        ("encode", RuntimeError("unforeseen"), "500 Internal Server Error"),
    ],
    ids=["decode", "locate", "handle", "audit", "encode"],
)
def test_a_turn_is_given_back_where_a_question_fails(
    tmp_path: Path, step: str, error: BaseException, status: str
) -> None:
    world, turns = World(), OneComputes(patience=DEADLINE)
    world.fail[step] = error
    endpoint = Endpoint(tmp_path, world, turns)
    for _ in range(2):
        endpoint.post(SMALL)
        assert not turns.held
    assert endpoint.statuses == [status] * 2
