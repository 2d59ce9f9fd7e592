"""storage/audit_lanes: which chain a transaction's records go to, seen without a database that makes writers wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from xdsi.storage import audit_lanes
from xdsi.storage.audit_chain import Head
from xdsi.storage.audit_lanes import Lanes

Placed = list[tuple[str, int]]


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> Placed:
    """Where records were put."""
    found: Placed = []

    def extend(connection: sa.Connection, head: Head, contents: Iterable[Mapping[str, Any]]) -> Head:
        for _ in contents:
            head = Head(head.chain, head.sequence + 1, "hash")
            found.append((head.chain, head.sequence))
        return head

    monkeypatch.setattr(audit_lanes, "extend", extend)
    return found


@pytest.fixture
def engine() -> Iterator[sa.Engine]:
    engine = sa.create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
    yield engine
    engine.dispose()


@pytest.fixture
def lanes(engine: sa.Engine) -> Iterator[Lanes]:
    lanes = Lanes(engine, "p")
    yield lanes
    lanes.close()


def test_transactions_open_together_have_lanes_of_their_own(engine: sa.Engine, lanes: Lanes, placed: Placed) -> None:
    with engine.connect() as one, engine.connect() as two:
        with one.begin(), two.begin():
            for connection in (one, two, one):
                lanes.append(connection, [{}])
        with two.begin():
            lanes.append(two, [{}, {}])
    assert placed[:3] == [("p/1", 1), ("p/2", 1), ("p/1", 2)]
    assert placed[3:] in ([("p/1", 3), ("p/1", 4)], [("p/2", 2), ("p/2", 3)])


def test_a_rolled_back_transaction_leaves_no_gap(engine: sa.Engine, lanes: Lanes, placed: Placed) -> None:
    with engine.connect() as connection:
        for end in ("commit", "rollback", "commit"):
            connection.begin()
            lanes.append(connection, [{}])
            getattr(connection, end)()
    with engine.connect() as connection:
        connection.begin()
        lanes.append(connection, [{}])
        # Closed without an end: rolled back.
    with engine.connect() as connection, connection.begin():
        lanes.append(connection, [{}])
    assert placed == [("p/1", 1), ("p/1", 2), ("p/1", 2), ("p/1", 3), ("p/1", 3)]


def test_savepoints_within_savepoints_take_back_what_they_hold(engine: sa.Engine, lanes: Lanes, placed: Placed) -> None:
    with engine.connect() as connection, connection.begin():
        lanes.append(connection, [{}])
        outer = connection.begin_nested()
        lanes.append(connection, [{}])
        inner = connection.begin_nested()
        lanes.append(connection, [{}])
        inner.commit()
        lanes.append(connection, [{}])
        outer.rollback()
        lanes.append(connection, [{}])
    assert [sequence for _, sequence in placed] == [1, 2, 3, 4, 2]


def test_a_savepoint_older_than_the_first_record_takes_back_all(
    engine: sa.Engine, lanes: Lanes, placed: Placed
) -> None:
    with engine.connect() as connection, connection.begin():
        outer = connection.begin_nested()
        inner = connection.begin_nested()
        lanes.append(connection, [{}])
        inner.commit()
        lanes.append(connection, [{}])
        outer.rollback()
        lanes.append(connection, [{}])
    assert [sequence for _, sequence in placed] == [1, 2, 1]


def test_transactions_without_records_do_not_matter(engine: sa.Engine, lanes: Lanes, placed: Placed) -> None:
    with engine.connect() as connection:
        with connection.begin():
            connection.begin_nested().rollback()
            connection.begin_nested().commit()
        connection.begin().rollback()
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("SELECT * FROM nowhere"))
    assert placed == []


def test_an_error_before_the_commit_is_no_doubt(engine: sa.Engine, lanes: Lanes, placed: Placed) -> None:
    with engine.connect() as connection, connection.begin():
        lanes.append(connection, [{}])
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("SELECT * FROM nowhere"))
    with engine.connect() as connection, connection.begin():
        lanes.append(connection, [{}])
    assert placed == [("p/1", 1), ("p/1", 2)]


def test_closing_twice_does_no_harm(engine: sa.Engine) -> None:
    lanes = Lanes(engine, "p")
    lanes.close()
    lanes.close()
