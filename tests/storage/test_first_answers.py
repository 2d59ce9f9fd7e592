"""storage/first_answers: the answer of a message lasts ten minutes, for all workers, and only with what it tells of."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from xdsi.domain.repetition import FirstAnswer, Sending
from xdsi.storage.first_answers import LASTING_SECONDS, SqlFirstAnswers
from xdsi.storage.registry import SqlRegistry
from xdsi.storage.tables import answered_message

SENDING = Sending("ab12", "urn:uuid:1", "0" * 64)
ANSWER = FirstAnswer(b"<Success/>", "1" * 32)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_found_again(engine: Engine) -> None:
    answers = SqlFirstAnswers(engine)
    assert answers.recall(SENDING, None) is None
    answers.keep(SENDING, ANSWER, None)
    assert answers.recall(SENDING, None) == ANSWER


@pytest.mark.parametrize("other", [{"sender": "cd34"}, {"message_id": "urn:uuid:2"}, {"digest": "f" * 64}])
def test_another_message_is_not_taken_for_it(engine: Engine, other: dict[str, str]) -> None:
    answers = SqlFirstAnswers(engine)
    answers.keep(SENDING, ANSWER, None)
    assert answers.recall(replace(SENDING, **other), None) is None


def test_other_workers_know_it_and_a_restart_forgets_nothing(
    engine: Engine, another_engine: Callable[[], Engine]
) -> None:
    SqlFirstAnswers(engine).keep(SENDING, ANSWER, None)
    assert SqlFirstAnswers(another_engine()).recall(SENDING, None) == ANSWER


def test_after_ten_minutes_it_is_forgotten_and_removed(engine: Engine) -> None:
    clock = Clock()
    answers = SqlFirstAnswers(engine, clock=clock)
    answers.keep(SENDING, ANSWER, None)
    clock.now += LASTING_SECONDS
    assert answers.recall(SENDING, None) == ANSWER
    clock.now += 1
    assert answers.recall(SENDING, None) is None
    again = FirstAnswer(b"<Failure/>", "2" * 32)
    answers.keep(replace(SENDING, message_id="urn:uuid:2"), again, None)
    with engine.connect() as connection:
        assert [row.message_id for row in connection.execute(sa.select(answered_message))] == ["urn:uuid:2"]


def test_an_answer_that_ended_gives_way_to_a_new_one(engine: Engine) -> None:
    clock = Clock()
    answers = SqlFirstAnswers(engine, clock=clock)
    answers.keep(SENDING, ANSWER, None)
    clock.now += LASTING_SECONDS + 1
    again = FirstAnswer(b"<Failure/>", "2" * 32)
    answers.keep(SENDING, again, None)
    assert answers.recall(SENDING, None) == again


def test_what_is_rolled_back_was_never_answered(engine: Engine) -> None:
    answers, registry = SqlFirstAnswers(engine), SqlRegistry(engine)
    unit = registry.writing()
    answers.keep(SENDING, ANSWER, unit.__enter__())
    assert not unit.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert answers.recall(SENDING, None) is None
    with registry.writing() as session:
        answers.keep(SENDING, ANSWER, session)
    assert answers.recall(SENDING, None) == ANSWER


def test_of_the_same_message_at_once_one_is_handled(engine: Engine) -> None:
    answers, registry = SqlFirstAnswers(engine), SqlRegistry(engine)
    together = threading.Barrier(6)

    def arrive(number: int) -> FirstAnswer | None:
        together.wait(timeout=30)
        with registry.writing() as session:
            first = answers.recall(SENDING, session)
            if first is None:
                answers.keep(SENDING, FirstAnswer(b"", str(number)), session)
        return first

    with ThreadPoolExecutor(6) as pool:
        firsts = list(pool.map(arrive, range(6)))
    assert firsts.count(None) == 1
    assert {first.trace for first in firsts if first is not None} == {str(firsts.index(None))}


def test_what_has_no_unit_of_work_is_handled_alone(engine: Engine, tmp_path: Path) -> None:
    """As for ITI-41, which may not hold the database while it waits for a registry."""
    answers = SqlFirstAnswers(engine, in_flight=tmp_path / "in-flight.lock")
    together = threading.Barrier(6)

    def arrive(number: int) -> FirstAnswer | None:
        together.wait(timeout=30)
        with answers.alone(SENDING):
            first = answers.recall(SENDING, None)
            if first is None:
                answers.keep(SENDING, FirstAnswer(b"", str(number)), None)
        return first

    with ThreadPoolExecutor(6) as pool:
        firsts = list(pool.map(arrive, range(6)))
    assert firsts.count(None) == 1


def test_other_messages_do_not_wait(engine: Engine, tmp_path: Path) -> None:
    answers = SqlFirstAnswers(engine, in_flight=tmp_path / "in-flight.lock")
    with answers.alone(SENDING), ThreadPoolExecutor(1) as pool:

        def arrive() -> bool:
            with answers.alone(replace(SENDING, message_id="urn:uuid:2")):
                return True

        assert pool.submit(arrive).result(timeout=30)
