"""storage/database and storage/unit_of_work: snapshots, durability, turns of writers, what counts as unavailable."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import Connection, Engine

from xdsi.domain.errors import Contended, OutOfRoom, Unavailable
from xdsi.storage import turns, unit_of_work
from xdsi.storage.database import glancing, open_database, reading, upgrade, writing
from xdsi.storage.tables import PARTITIONED, metadata, partitions
from xdsi.storage.tables import patient as t


def add(connection: Connection, id_: str) -> None:
    connection.execute(t.insert().values(authority="2.999", id=id_))


def ids(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(connection.execute(sa.select(t.c.id)).scalars())


def test_the_migrations_make_the_tables_of_the_page(engine: Engine) -> None:
    with engine.connect() as connection:
        # Partitions are tables to whoever looks, but not of the page.
        parts = {part for table in PARTITIONED for part in partitions(table)}

        def of_the_page(thing: object, name: str | None, kind: str, reflected: bool, other: object) -> bool:
            return not (kind == "table" and name in parts)

        options = {"compare_type": False, "include_object": of_the_page}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_several_processes_may_upgrade_at_once(tmp_path: Path) -> None:
    engines = [open_database(f"sqlite:///{tmp_path / 'new' / 'xdsi.db'}") for _ in range(3)]
    with ThreadPoolExecutor(len(engines)) as pool:
        list(pool.map(upgrade, engines))
    assert "document_entry" in sa.inspect(engines[0]).get_table_names()
    for engine in engines:
        engine.dispose()


def test_many_may_open_a_new_file_at_the_same_moment(tmp_path: Path) -> None:
    for turn in range(20):
        engines = [open_database(f"sqlite:///{tmp_path / str(turn) / 'xdsi.db'}") for _ in range(8)]
        together = threading.Barrier(len(engines), timeout=60)

        def connect(engine: Engine, together: threading.Barrier = together) -> str:
            together.wait()
            with engine.connect() as connection:
                return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar())

        with ThreadPoolExecutor(len(engines)) as pool:
            assert list(pool.map(connect, engines)) == ["wal"] * len(engines)
        for engine in engines:
            engine.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://localhost/xdsi"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"SQLite"):
        open_database(url)


def test_sqlite_flushes_every_commit_and_checks_references(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'xdsi.db'}")
    with engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_a_reader_sees_one_state(engine: Engine) -> None:
    with reading(engine) as connection:
        assert connection.execute(sa.select(t.c.id)).scalars().all() == []
        with writing(engine) as other:
            add(other, "A")
        assert connection.execute(sa.select(t.c.id)).scalars().all() == []
    assert ids(engine) == {"A"}


def test_an_exception_undoes_the_unit_of_work(engine: Engine) -> None:
    def fail() -> None:
        with writing(engine) as connection:
            add(connection, "A")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ids(engine) == set()
    with writing(engine) as connection:
        add(connection, "B")
    assert ids(engine) == {"B"}


def test_text_is_compared_byte_by_byte(engine: Engine) -> None:
    with writing(engine) as connection:
        for id_ in ("b", "B", "a-c", "ab", "é", "Z"):
            add(connection, id_)
        ordered = connection.execute(sa.select(t.c.id).order_by(t.c.id)).scalars().all()
        matched = connection.execute(sa.select(t.c.id).where(t.c.id.like("b"))).scalars().all()
    assert ordered == sorted(["b", "B", "a-c", "ab", "é", "Z"])
    assert matched == ["b"]


def test_many_writers_each_get_their_own_result(engine: Engine) -> None:
    def write(number: int) -> bool:
        try:
            with writing(engine) as connection:
                add(connection, str(number))
                if number % 3 == 0:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(write, range(90)))
    assert ids(engine) == {str(number) for number, kept in enumerate(done) if kept}
    assert sum(done) == 60


def test_writers_that_queue_share_a_commit_and_return_after_it(sqlite_engine: Engine) -> None:
    engine = sqlite_engine
    commits = []
    sa.event.listen(engine, "commit", lambda connection: commits.append(connection))
    inside = threading.Event()
    finish = threading.Event()

    def slow() -> None:
        with writing(engine) as connection:
            add(connection, "first")
            inside.set()
            finish.wait()

    def quick(number: int) -> bool:
        with writing(engine) as connection:
            add(connection, str(number))
        return str(number) in ids(engine)

    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(slow)
        inside.wait()
        others = [pool.submit(quick, number) for number in range(8)]
        while len(_queue(engine)) < 8:
            time.sleep(0.001)
        finish.set()
        first.result()
        assert all(other.result() for other in others)
    assert len(commits) == 1


def _queue(engine: Engine) -> object:
    return engine.get_execution_options()["xdsi_group"]._queue


def test_the_connection_that_writes_is_kept_until_the_engine_is_given_up(sqlite_engine: Engine) -> None:
    engine = sqlite_engine
    engine.dispose()
    opened: list[object] = []
    sa.event.listen(engine, "connect", lambda connection, record: opened.append(connection))
    used = []
    for number in range(3):
        with writing(engine) as connection:
            add(connection, str(number))
            used.append(connection.connection.driver_connection)
    assert len(set(map(id, used))) == len(opened) == 1
    engine.dispose()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        used[0].execute("SELECT 1")
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:
        raise ZeroDivisionError
    with writing(engine) as connection:
        add(connection, "3")
    assert ids(engine) == {"0", "1", "2", "3"}


def test_a_connection_that_read_is_kept_until_the_engine_is_given_up(sqlite_engine: Engine) -> None:
    """Each look at it sees what was written before; after an error it is not kept, nor when it was taken before."""
    engine = sqlite_engine
    used = []
    for number in range(3):
        with reading(engine) as connection:
            assert len(connection.execute(sa.select(t.c.id)).all()) == number
            used.append(connection)
        with glancing(engine) as connection:
            assert not connection.in_transaction()
            used.append(connection)
        with writing(engine) as connection:
            add(connection, str(number))
    assert len(set(map(id, used))) == 1
    with suppress(ZeroDivisionError), reading(engine) as connection:
        assert connection is used[0]
        raise ZeroDivisionError
    assert used[0].closed
    with glancing(engine) as kept:
        driver: Any = kept.connection.driver_connection
    engine.dispose()
    assert kept.closed
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        driver.execute("SELECT 1")
    with reading(engine) as connection:
        engine.dispose()
    assert connection.closed


def test_no_more_connections_are_kept_for_readers_than_others_leave(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'x.db'}", connections=2)
    with reading(engine) as one, reading(engine) as two:
        pass
    assert [one.closed, two.closed].count(False) == 1
    with engine.connect(), reading(engine):
        pass
    engine.dispose()


def test_a_single_connection_is_there_for_readers_after_a_commit_and_during_one(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'x.db'}", connections=1)
    upgrade(engine)
    for number in range(2):
        with writing(engine) as connection:
            add(connection, str(number))
            assert ids(engine) == {str(one) for one in range(number)}
        assert ids(engine) == {str(one) for one in range(number + 1)}
    engine.dispose()


def test_a_commit_that_fails_fails_for_everyone_in_it(sqlite_engine: Engine) -> None:
    engine = sqlite_engine

    def refuse(connection: Connection) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, _sqlite_error(13))

    sa.event.listen(engine, "commit", refuse)
    inside, finish = threading.Event(), threading.Event()

    def write(id_: str) -> None:
        with writing(engine) as connection:
            add(connection, id_)
            inside.set()
            finish.wait()

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(write, "A")]
        inside.wait()
        both.append(pool.submit(write, "B"))
        while not _queue(engine):
            time.sleep(0.001)
        finish.set()
        for one in both:
            with pytest.raises(Unavailable):
                one.result()
    sa.event.remove(engine, "commit", refuse)
    assert ids(engine) == set()
    with writing(engine) as connection:
        add(connection, "C")
    assert ids(engine) == {"C"}


def _sqlite_error(code: int) -> Exception:
    error = sqlite3.OperationalError("as if")
    error.sqlite_errorcode = code  # type: ignore[attr-defined]
    return error


def test_a_savepoint_that_is_gone_is_told_by_an_error_of_sqlalchemy(sqlite_engine: Engine) -> None:
    """Given that SQLite rolled back by itself, as it does on a full disk, then the group knows that it is broken."""
    with suppress(Unavailable, sa.exc.OperationalError), writing(sqlite_engine) as connection:
        savepoint = connection.begin_nested()
        add(connection, "A")
        driver: Any = connection.connection.driver_connection
        driver.execute("ROLLBACK")
        with pytest.raises(sa.exc.OperationalError, match="no such savepoint"):
            savepoint.rollback()
    assert ids(sqlite_engine) == set()


def test_a_unit_of_work_inside_another_is_a_mistake_not_a_deadlock(sqlite_engine: Engine) -> None:
    engine = sqlite_engine
    with pytest.raises(RuntimeError, match="inside"), writing(engine), writing(engine):
        pass
    with writing(engine) as connection:
        add(connection, "A")
    assert ids(engine) == {"A"}


def test_who_waits_too_long_for_a_turn_is_told_so(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = sqlite_engine
    monkeypatch.setattr(unit_of_work, "PATIENCE_SECONDS", 0.05)

    def late() -> None:
        with writing(engine) as connection:
            add(connection, "late")

    with ThreadPoolExecutor(1) as pool, writing(engine) as connection:
        add(connection, "A")
        with pytest.raises(Unavailable, match="busy"):
            pool.submit(late).result()
    with writing(engine) as connection:
        add(connection, "B")
    assert ids(engine) == {"A", "B"}


def test_another_process_that_writes_for_long_makes_sqlite_unavailable(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a server that keeps its turn, then another process gives up after a time, and can write afterwards."""
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.05)
    engine = sqlite_engine
    other = open_database(engine.url.render_as_string())
    with writing(engine) as connection:
        add(connection, "A")
        with pytest.raises(Unavailable, match="locked"), writing(other) as late:
            add(late, "B")
    with writing(other) as connection:
        add(connection, "C")
    other.dispose()
    assert ids(engine) == {"A", "C"}


def test_a_program_that_takes_no_turns_makes_sqlite_unavailable_as_well(sqlite_engine: Engine) -> None:
    engine = sqlite_engine

    @sa.event.listens_for(engine, "connect")
    def impatient(connection: object, record: object) -> None:
        connection.execute("PRAGMA busy_timeout=50")  # type: ignore[attr-defined]

    engine.dispose()
    program = sqlite3.connect(str(engine.url.database), isolation_level=None)
    program.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"), writing(engine) as connection:
        add(connection, "B")
    program.execute("ROLLBACK")
    program.close()
    with writing(engine) as connection:
        add(connection, "C")
    assert ids(engine) == {"C"}


def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    engine = open_database(f"postgresql://xdsi@/xdsi?host={tmp_path}")
    with pytest.raises(Unavailable), reading(engine):
        pass
    with pytest.raises(Unavailable), writing(engine):
        pass
    engine.dispose()


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "xdsi.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    engine = open_database(f"sqlite:///{tmp_path / 'xdsi.db'}")
    with pytest.raises(Unavailable), reading(engine) as connection:
        connection.execute(sa.select(t))
    engine.dispose()


def test_what_a_driver_says_itself_is_understood(engine: Engine) -> None:
    away = sqlite3.OperationalError("disk I/O error")
    away.sqlite_errorcode = sqlite3.SQLITE_IOERR
    for error in (away, psycopg.OperationalError("the connection is lost")):
        with pytest.raises(Unavailable), reading(engine):
            raise error
    with pytest.raises(sqlite3.ProgrammingError), reading(engine):
        raise sqlite3.ProgrammingError("a defect")


def test_a_wrong_statement_is_a_defect_and_stays_one(engine: Engine) -> None:
    with pytest.raises(sa.exc.DBAPIError), reading(engine) as connection:
        connection.execute(sa.text("SELECT * FROM no_such_table"))


def test_the_loser_of_a_deadlock_is_told_that_its_work_may_be_done_again(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        return  # it has one writer at a time
    with writing(engine) as connection:
        for id_ in ("A", "B"):
            add(connection, id_)
    both_hold_one = threading.Barrier(2, timeout=60)

    def touch(first: str, second: str) -> str:
        try:
            with writing(engine) as connection:
                connection.execute(sa.update(t).where(t.c.id == first).values(consent_epoch=1))
                both_hold_one.wait()
                connection.execute(sa.update(t).where(t.c.id == second).values(consent_epoch=2))
        except Contended:
            return "undone"
        return "done"

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(touch, "AB", "BA"))
    assert sorted(results) == ["done", "undone"]


def test_a_statement_that_takes_too_long_is_stopped(database_url: str) -> None:
    if database_url.startswith("sqlite"):
        return
    engine = open_database(database_url, statement_seconds=1)
    with pytest.raises(Unavailable, match="statement timeout"), reading(engine) as connection:
        connection.execute(sa.text("SELECT pg_sleep(60)"))
    engine.dispose()


def test_a_full_pool_is_unavailable(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.db'}", pool_size=1, max_overflow=0, pool_timeout=0.01)
    with reading(engine), pytest.raises(Unavailable, match="no free"), reading(engine):
        pass
    engine.dispose()


def test_what_another_wrote_is_not_told_in_my_error(tmp_path: Path) -> None:
    """Given two units of work in one commit, when the other's statement fails, then mine does not repeat its values."""
    engine = open_database(f"sqlite:///{tmp_path / 'xdsi.db'}")
    upgrade(engine)
    begun = threading.Event()

    def first() -> None:
        with writing(engine) as connection:
            add(connection, "A")
            begun.set()
            group = engine.get_execution_options()["xdsi_group"]
            until = time.monotonic() + 10
            while not group._queue and time.monotonic() < until:  # until the other waits to join this commit
                time.sleep(0.001)

    def second() -> None:
        begun.wait(10)
        with writing(engine) as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
            add(connection, "SECRET" * 100_000)

    with ThreadPoolExecutor(2) as pool:
        errors = [done.exception(30) for done in [pool.submit(first), pool.submit(second)]]
    engine.dispose()
    assert all(isinstance(error, OutOfRoom) for error in errors)
    assert "SECRET" not in str(errors[0])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("again", [True, False])
def test_a_database_that_falls_silent_while_it_commits_may_have_done_so(engine: Engine, again: bool) -> None:
    """Given a lost connection, where something was still to be done it was not all done; where not, who knows."""

    def write() -> None:
        with writing(engine) as connection:
            _cut(connection)
            if again:
                connection.execute(sa.text("SELECT 1"))

    with pytest.raises(Unavailable) as caught:
        write()
    assert caught.value.uncertain is not again


@pytest.mark.parametrize(
    ("said", "uncertain"),
    [(psycopg.errors.CrashShutdown, True), (psycopg.errors.AdminShutdown, True),
     (psycopg.errors.ConnectionFailure, True), (psycopg.errors.SerializationFailure, False),
     (psycopg.errors.DiskFull, False)],
)  # fmt: skip
def test_what_a_database_says_while_it_commits_tells_whether_it_may_have_done_so(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch, said: type[psycopg.Error], uncertain: bool
) -> None:
    """A server that goes down may have committed before it said so; what it undid itself was not done."""

    def fail(self: sa.RootTransaction) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, said("it says so"))

    engine = sqlite_engine.execution_options(xdsi_group=None)
    monkeypatch.setattr(sa.engine.RootTransaction, "commit", fail)
    with pytest.raises(Unavailable) as caught, writing(engine):
        pass
    assert caught.value.uncertain is uncertain
    assert isinstance(caught.value, OutOfRoom) is (said is psycopg.errors.DiskFull)


def _cut(connection: sa.Connection) -> None:
    """End the connection's server process from another one."""
    number = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    with connection.engine.connect() as other:
        other.execute(sa.text("SELECT pg_terminate_backend(:number, 5000)"), {"number": number})
