"""Performed procedure steps in the database."""

from __future__ import annotations

from sqlalchemy.engine import Engine

from xdsi.domain.performed_step import PerformedStep
from xdsi.storage.performed_steps import SqlPerformedSteps

DAY = 24 * 3600.0


def test_a_step_from_its_beginning_to_its_end(engine: Engine) -> None:
    steps = SqlPerformedSteps(engine)
    assert steps.find("1.2.9") is None
    steps.begin("1.2.9", ["1.2.3", "1.2.4", "1.2.3"], now=1.0)
    steps.begin("1.2.9", ["1.2.3", "1.2.4"], now=2.0)
    assert SqlPerformedSteps(engine).find("1.2.9") == PerformedStep("1.2.9", ("1.2.3", "1.2.4"))
    steps.end("1.2.9", now=3.0)
    assert steps.find("1.2.9") == PerformedStep("1.2.9", ("1.2.3", "1.2.4"), ended=True)


def test_what_was_told_of_long_ago_is_forgotten(engine: Engine) -> None:
    steps = SqlPerformedSteps(engine)
    steps.begin("1.2.9", ["1.2.3"], now=0.0)
    steps.begin("1.2.8", ["1.2.3"], now=80 * DAY)
    assert steps.find("1.2.9") is not None
    steps.begin("1.2.7", ["1.2.3"], now=100 * DAY)
    assert steps.find("1.2.9") is None
    assert steps.find("1.2.8") is not None
