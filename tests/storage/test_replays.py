"""storage/replays: an assertion counts once, for all workers of a process group."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy.engine import Engine

from xdsi.storage.database import open_database
from xdsi.storage.replays import SqlReplayMemory

LATER = datetime.now(UTC) + timedelta(hours=1)


def test_the_second_use_is_told(engine: Engine) -> None:
    used = SqlReplayMemory(engine)
    assert not used("idp", "_1", LATER)
    assert used("idp", "_1", LATER)
    assert not used("idp", "_2", LATER)
    assert not used("other", "_1", LATER)


def test_other_processes_remember_too(engine: Engine, another_engine: Callable[[], Engine]) -> None:
    assert not SqlReplayMemory(engine)("idp", "_1", LATER)
    assert SqlReplayMemory(another_engine())("idp", "_1", LATER)


def test_of_many_at_once_one_is_the_first(engine: Engine) -> None:
    used = SqlReplayMemory(engine)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: used("idp", "_1", LATER), range(16)))
    assert sorted(answers) == [False] + [True] * 15


def test_what_has_ended_is_forgotten(engine: Engine) -> None:
    used = SqlReplayMemory(engine)
    assert not used("idp", "_1", datetime.now(UTC) - timedelta(seconds=5))
    assert not used("idp", "_2", LATER)
    assert not used("idp", "_1", LATER)


def test_a_use_survives_a_restart(database_url: str) -> None:
    for expected in (False, True):
        engine = open_database(database_url)
        assert SqlReplayMemory(engine)("idp", "_1", LATER) is expected
        engine.dispose()
