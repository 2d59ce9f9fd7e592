"""Opening the database: SQLite (WAL) embedded or PostgreSQL (psycopg 3), with the same promises on both.

A reading connection sees one snapshot; a writing one commits durably. What comes of a database that is away, locked
or full is `Unavailable`; everything else that a driver raises is a defect and stays what it is.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import alembic.command
import alembic.config
import psycopg
import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine, make_url

from xdsi.domain.errors import Unavailable
from xdsi.storage.driver_errors import as_unavailable, fell_silent, is_unavailable
from xdsi.storage.readers import Readers
from xdsi.storage.turns import Turns
from xdsi.storage.unit_of_work import SharedCommit

_BUSY_MILLISECONDS = 5000
_KEPT_OPEN = 16
_KEPT_BY_READERS = 4
"""who asks more at once is slower than what it would save"""


def open_database(url: str, *, connections: int = 64, statement_seconds: int = 30) -> Engine:
    """An engine for `sqlite:////path` or `postgresql://...`; connects when first used, one per process.

    Who finds all `connections` in use waits five seconds; PostgreSQL ends a statement after `statement_seconds`. SQLite
    has one more, which writes.
    """
    kept = min(connections, _KEPT_OPEN)
    # The connection used last is taken first: what it has read is still in the caches.
    pool = {"pool_size": kept, "max_overflow": connections - kept, "pool_timeout": 5, "pool_use_lifo": True}
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, pool, kept=min(connections - 1, _KEPT_BY_READERS))
    if parsed.get_backend_name() == "postgresql":
        return sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            connect_args={
                "connect_timeout": 5,
                "application_name": "xdsi",
                "options": f"-c timezone=UTC -c statement_timeout={statement_seconds}s -c lock_timeout=5s"
                # What joins a patient's rows lies in parts of the same number: join part by part.
                " -c idle_in_transaction_session_timeout=60s -c enable_partitionwise_join=on",
            },
            **pool,
        )
    raise ValueError(f"not a SQLite or PostgreSQL URL: {parsed.render_as_string()}")


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None for the URL of another."""
    parsed = make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _open_sqlite(url: URL, pool: dict[str, Any], *, kept: int) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ValueError("SQLite needs a file: sqlite:////path/to/file")
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The connection that writes is kept apart from the pool: whoever reads must not wait for it.
    pool = {**pool, "max_overflow": pool["max_overflow"] + 1}
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_MILLISECONDS / 1000}, **pool)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, record: Any) -> None:
        # The driver must not begin transactions by itself: it would begin none for a SELECT.
        connection.isolation_level = None
        _write_ahead(connection)
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            "case_sensitive_like=ON",
            "cache_size=-8192",
            "mmap_size=268435456",
            "wal_autocheckpoint=4000",
            "trusted_schema=OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        # A writer that began by reading could not become one once another has written.
        driver.execute("BEGIN IMMEDIATE" if connection.get_execution_options().get("xdsi_writes", False) else "BEGIN")

    dialect: Any = engine.dialect
    dialect.do_savepoint = partial(_savepoint, "SAVEPOINT")
    dialect.do_release_savepoint = partial(_savepoint, "RELEASE SAVEPOINT")
    dialect.do_rollback_to_savepoint = partial(_savepoint, "ROLLBACK TO SAVEPOINT")
    # In place, so that whoever listens to the engine hears of the group's transactions, too.
    writer = engine.execution_options(xdsi_writes=True)
    group = SharedCommit(writer, Turns(path))
    readers = Readers(engine, kept)
    event.listen(engine, "engine_disposed", lambda disposed: group.release())
    event.listen(engine, "engine_disposed", lambda disposed: readers.release())
    engine.update_execution_options(xdsi_group=group, xdsi_readers=readers)
    return engine


def _savepoint(what: str, connection: Connection, name: str) -> None:
    """What SQLAlchemy does about a savepoint, without composing the statement: that took a hundred times as long."""
    driver: Any = connection.connection.dbapi_connection
    try:
        driver.execute(f"{what} {name}")
    except sqlite3.Error:
        # It fails again, as an error of SQLAlchemy.
        connection.exec_driver_sql(f"{what} {name}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; SQLite does not wait for its turn here when others open a new file, too."""
    until = time.monotonic() + _BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not is_unavailable(error) or time.monotonic() > until:
                raise
        time.sleep(0.01)


class _Reading:
    """A connection while somebody reads by it."""

    __slots__ = ("_connection", "_engine", "_readers", "_times_released", "_transaction")
    _connection: Connection

    def __init__(self, engine: Engine, *, transaction: bool) -> None:
        self._engine = engine
        self._transaction = transaction
        self._readers: Readers | None = engine.get_execution_options().get("xdsi_readers")
        self._times_released = self._readers.times_released if self._readers is not None else 0

    def __enter__(self) -> Connection:
        with _MAPPED:
            self._connection = connection = self._engine.connect() if self._readers is None else self._readers.take()
            if not self._transaction:
                return connection
            try:
                if self._engine.dialect.name == "postgresql":
                    connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                # At once, because prepared statements go past SQLAlchemy, which would begin with the first it sees.
                connection.begin()
            except BaseException:
                connection.close()
                raise
            return connection

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        with _MAPPED:
            # After an error nobody knows what state it is in.
            if self._readers is None or error is not None:
                self._connection.close()
            else:
                self._readers.give(self._connection, self._times_released)
        _MAPPED.__exit__(kind, error, traceback)


def reading(engine: Engine) -> _Reading:
    """A connection in a read-only transaction: every statement sees the same state."""
    return _Reading(engine, transaction=True)


def glancing(engine: Engine) -> _Reading:
    """A connection for one prepared statement, which sees one state by itself: nobody begins a transaction for it."""
    return _Reading(engine, transaction=False)


class _Writing:
    """A unit of work while somebody writes in it."""

    __slots__ = ("_unit",)

    def __init__(self, engine: Engine) -> None:
        group: SharedCommit | None = engine.get_execution_options().get("xdsi_group")
        self._unit: AbstractContextManager[Connection] = _transaction(engine) if group is None else group.unit()

    def __enter__(self) -> Connection:
        with _MAPPED:
            return self._unit.__enter__()

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        with _MAPPED:
            self._unit.__exit__(kind, error, traceback)
        _MAPPED.__exit__(kind, error, traceback)


def writing(engine: Engine) -> _Writing:
    """A connection whose transaction commits durably when left normally and rolls back on an exception.

    Unavailable is `uncertain` where the database fell silent while it committed: it may have done so.
    """
    return _Writing(engine)


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        transaction = connection.begin()
        try:
            yield connection
        except BaseException:
            transaction.rollback()
            raise
        try:
            transaction.commit()
        except BaseException as error:
            lost = isinstance(error, exc.DBAPIError) and (error.connection_invalidated or fell_silent(error.orig))
            # It must not go back to the pool: its work may still be open, for whoever is next to commit.
            connection.invalidate()
            if lost and isinstance(error, exc.DBAPIError):
                raise Unavailable(f"database, while it committed: {error.orig}", uncertain=True) from error
            raise


class _Mapped:
    """Makes Unavailable of what a database raises that is away, locked or full; a class: each transaction has one."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, exc.TimeoutError):
            raise Unavailable(f"no free database connection: {error}") from error
        if isinstance(error, exc.DBAPIError):
            if error.connection_invalidated or is_unavailable(error.orig):
                raise as_unavailable(error.orig) from error
        elif isinstance(error, sqlite3.Error | psycopg.Error) and is_unavailable(error):
            raise as_unavailable(error) from error


_MAPPED: Final = _Mapped()


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to a revision, the newest if not said; several processes may do so at once."""
    config = alembic.config.Config()
    config.set_main_option("script_location", "xdsi.storage:migrations")
    with _MAPPED, engine.execution_options(xdsi_writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7832736901)")
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
