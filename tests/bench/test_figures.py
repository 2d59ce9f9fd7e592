"""tests/bench/figures: what rounds come to."""

from __future__ import annotations

from itertools import count

from tests.bench.figures import Comparison, Side, alternate


def test_the_ratio_is_that_of_the_medians() -> None:
    found = Comparison("reading", "MB/s", Side("ours", (9.0, 1.0, 4.0)), Side("theirs", (3.0, 2.0, 8.0)), aim=1.5)
    assert found.ratio == 4.0 / 3.0
    assert not found.reached
    assert found.pairs == (3.0, 0.5, 0.5)
    assert "aim 1.50: NOT reached" in "\n".join(found.lines())
    assert found.record()["ratio"] == found.ratio


def test_without_an_aim_nothing_is_missed() -> None:
    assert Comparison("reading", "MB/s", Side("ours", (1.0,)), Side("theirs", (2.0,))).reached


def test_sides_take_turns_and_the_first_turn_does_not_count() -> None:
    turn = count()
    assert alternate(2, lambda: float(next(turn)), lambda: float(next(turn))) == [(2.0, 4.0), (3.0, 5.0)]
