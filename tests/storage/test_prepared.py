"""storage/prepared: the same rows as through SQLAlchemy, for lists of any length, on both engines."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from xdsi.storage import prepared
from xdsi.storage.database import reading, writing
from xdsi.storage.prepared import Prepared, PreparedChange, PreparedInsert
from xdsi.storage.tables import answered_message
from xdsi.storage.tables import patient as t

_PEOPLE = [("2.999.1", "A"), ("2.999.1", "B"), ("2.999.2", "A"), ("2.999.2", "it's 100%")]
_SELECT = (
    sa.select(t.c.authority, t.c.id.label("name"))
    .where(t.c.status == "active", t.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(t.c.authority, t.c.id)
)
_IDS = Prepared(_SELECT)
_PAIRS = Prepared(
    sa.select(t.c.id)
    .where(sa.tuple_(t.c.authority, t.c.id).in_(sa.bindparam("pairs", expanding=True)), t.c.id != sa.bindparam("but"))
    .order_by(t.c.id)
    .limit(2)
)


@pytest.fixture
def people(engine: Engine) -> Engine:
    with writing(engine) as connection:
        rows = [{"authority": authority, "id": id_} for authority, id_ in _PEOPLE]
        PreparedInsert(t, ("id", "authority")).many(connection, rows)
    return engine


@pytest.mark.parametrize("count", [0, 1, 2, 8, 9, 20])
def test_as_many_rows_are_inserted_as_are_given(engine: Engine, count: int) -> None:
    given = [{"authority": "2.999.1", "id": str(number)} for number in range(count)]
    with writing(engine) as connection:
        PreparedInsert(t, ("id", "authority")).many(connection, given)
    with reading(engine) as connection:
        found = connection.execute(sa.select(t.c.authority, t.c.id)).all()
    assert sorted(tuple(row) for row in found) == sorted((one["authority"], one["id"]) for one in given)


@pytest.mark.parametrize("count", [2, 20])
def test_one_row_that_is_refused_refuses_all(engine: Engine, count: int) -> None:
    given = [{"authority": "2.999.1", "id": str(number % (count - 1))} for number in range(count)]
    with pytest.raises((sqlite3.IntegrityError, psycopg.errors.UniqueViolation)), writing(engine) as connection:
        PreparedInsert(t, ("id", "authority")).many(connection, given)
    with reading(engine) as connection:
        assert connection.execute(sa.select(t.c.id)).all() == []


@pytest.mark.parametrize("ids", [["A"], ["A", "B"], ["B", "it's 100%", "C"], ["C"], []])
def test_rows_are_those_that_sqlalchemy_finds(people: Engine, ids: list[str]) -> None:
    with reading(people) as connection:
        expected = [(row.authority, row.name) for row in connection.execute(_SELECT, {"ids": ids})]
        assert [(row.authority, row.name) for row in _IDS.rows(connection, {"ids": ids})] == expected


@pytest.mark.parametrize(
    ("pairs", "but", "expected"),
    [
        ([("2.999.1", "A")], "", ["A"]),
        ([("2.999.1", "A"), ("2.999.2", "B")], "", ["A"]),
        (_PEOPLE, "", ["A", "A"]),
        (_PEOPLE, "A", ["B", "it's 100%"]),
        ([], "", []),
    ],
)
def test_lists_of_pairs_and_single_values(
    people: Engine, pairs: list[tuple[str, str]], but: str, expected: list[str]
) -> None:
    with reading(people) as connection:
        assert [row.id for row in _PAIRS.rows(connection, {"pairs": pairs, "but": but})] == expected


def test_the_first_row_or_none(people: Engine) -> None:
    with reading(people) as connection:
        assert _IDS.first(connection, {"ids": ["A", "B"]}).authority == "2.999.1"
        assert _IDS.first(connection, {"ids": ["C"]}) is None


def test_few_texts_are_kept(people: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "_TEXTS", 2)
    statement = Prepared(_SELECT)
    with reading(people) as connection:
        for count in range(1, 8):
            assert len(statement.rows(connection, {"ids": ["A"] * count})) == 2
            assert len(statement._texts) <= 2


def test_reading_sees_one_state(people: Engine) -> None:
    with reading(people) as connection:
        assert len(_IDS.rows(connection, {"ids": ["A"]})) == 2
        with writing(people) as other:
            PreparedInsert(t, ("id", "authority")).many(other, [{"authority": "2.999.3", "id": "A"}])
        assert len(_IDS.rows(connection, {"ids": ["A"]})) == 2
    with reading(people) as connection:
        assert len(_IDS.rows(connection, {"ids": ["A"]})) == 3


def test_a_row_is_replaced_where_that_is_said_and_refused_otherwise(engine: Engine) -> None:
    row = {"sender": "s", "message_id": "m", "digest": "d", "at": 1, "trace": "first", "answer": b"1"}
    replacing = PreparedInsert(answered_message, answered_message.c.keys(), replacing=("at", "answer"))
    with writing(engine) as connection:
        replacing.many(connection, [row])
        replacing.many(connection, [row | {"at": 2, "trace": "second", "answer": b"2"}])
        (found,) = connection.execute(sa.select(answered_message)).mappings()
    assert dict(found) == row | {"at": 2, "answer": b"2"}
    plain = PreparedInsert(answered_message, answered_message.c.keys())
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)), writing(engine) as connection:
        plain.many(connection, [row])


def test_a_change_says_what_it_returns_and_keeps_its_own_values(engine: Engine) -> None:
    key, values = sa.bindparam("of"), {"trace": sa.bindparam("trace"), "digest": "100% ours"}
    changed = sa.update(answered_message).where(answered_message.c.message_id == key).values(values)
    change = PreparedChange(changed, changed)
    telling = changed.returning(answered_message.c.trace, answered_message.c.digest)
    row = {"sender": "s", "message_id": "m", "digest": "d", "at": 1, "trace": "first", "answer": b"1"}
    with writing(engine) as connection:
        connection.execute(answered_message.insert(), [row])
        change.execute(connection, {"of": "m", "trace": "second"})
        change.execute(connection, {"of": "nobody's", "trace": "third"})
        (found,) = connection.execute(sa.select(answered_message)).mappings()
        assert dict(found) == row | {"trace": "second", "digest": "100% ours"}
        told = PreparedChange(telling, telling)
        assert [tuple(one) for one in told.returned(connection, {"of": "m", "trace": "4"})] == [("4", "100% ours")]
        assert list(told.returned(connection, {"of": "nobody's", "trace": "5"})) == []
