"""Of several processes that share a database one publishes, and when it ends another one does."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.servers import wait_until
from xdsi.storage.sole_publisher import SolePublisher


class Clock:
    """Each look is due."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10.0
        return self.now


def test_one_of_two_publishes_and_the_other_takes_over(engine: Engine) -> None:
    one, other = SolePublisher(engine, monotonic=Clock()), SolePublisher(engine, monotonic=Clock())
    postgresql = engine.dialect.name == "postgresql"
    assert one.held()
    assert other.held() is not postgresql, "a database of one server has one publisher"
    assert one.held()
    one.release()
    wait_until(other.held)
    assert one.held() is not postgresql
    for each in (one, other):
        each.release()


def test_who_loses_its_connection_is_not_the_one_any_more(engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        return
    one, other = SolePublisher(engine, monotonic=Clock()), SolePublisher(engine, monotonic=Clock())
    assert one.held()
    with engine.connect() as connection:
        query = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
        assert connection.execute(sa.text(query)).scalars().all() == [True]
    wait_until(lambda: not one.held())
    wait_until(other.held)
    assert not one.held()
    for each in (one, other):
        each.release()


def test_the_database_is_asked_once_a_second(engine: Engine) -> None:
    now = 0.0
    one = SolePublisher(engine, monotonic=lambda: now)
    other = SolePublisher(engine, monotonic=lambda: now)
    assert one.held()
    assert other.held() is (engine.dialect.name != "postgresql")
    one.release()
    assert other.held() is (engine.dialect.name != "postgresql")
    now = 1.0
    assert other.held()
    other.release()
