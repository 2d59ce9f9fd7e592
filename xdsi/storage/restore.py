"""Puts back what `backup` took: everything verified by its hash, and nothing overwritten unless that is asked for.

The database first, then the documents; until both are whole a mark in the data folder keeps everybody from serving.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError

from xdsi.domain.errors import IntegrityLost, Refused
from xdsi.domain.ports import BlobStore
from xdsi.domain.submission import Document
from xdsi.storage.backup import SQLITE, Backup, Progress, hash_of, listed, place, quoted
from xdsi.storage.database import open_database, upgrade
from xdsi.storage.files import chunks_of, flush
from xdsi.storage.tables import metadata

UNFINISHED: Final = "restore.unfinished"
"""in the data folder, as long as a restore is not done"""
_MARKS: Final = ("services.lock", "in-flight.lock", "xdsi.sqlite3", "xdsi.lock", UNFINISHED)
_OWN: Final = frozenset(
    {"pki", "documents", "spool", "from-pacs", "transcoded", "consent-copies", "publishing.lock", "backup.lock"}
)
"""what else a node keeps in its data folder; other folders may have things of such a name, too"""
_FIRST: Final = frozenset({"alembic_version", "document", "document_entry", "submission_set"})
"""tables that a node's database has at any schema"""
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""a file that is no database any more may be what is to be restored"""


def check(folder: Path, url: str) -> Backup:
    """What a backup holds, if all its files are what they were; raises LookupError or IntegrityLost."""
    backup = Backup.read(folder)
    engine = make_url(url).get_backend_name()
    if backup.engine != engine:
        raise LookupError(f"{folder} is a backup of {backup.engine}, registry.database is {engine}")
    for name, digest in backup.files.items():
        try:
            right = hash_of(folder / name) == digest
        except FileNotFoundError:
            raise IntegrityLost(f"{folder / name} is missing") from None
        if not right:
            raise IntegrityLost(f"{folder / name} is not what was backed up")
    return backup


def is_empty(url: str) -> bool:
    """True where a database holds nothing that a restore would overwrite."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).exists():
        return True
    engine = open_database(url)
    try:
        tables = [name for name in inspect(engine).get_table_names() if name in metadata.tables]
        with engine.connect() as connection:
            return all(connection.execute(text(f'SELECT 1 FROM "{name}" LIMIT 1')).first() is None for name in tables)  # noqa: S608
    except DatabaseError as error:
        if isinstance(error, OperationalError):
            raise
        # It is damaged: something was kept there.
        return False
    finally:
        engine.dispose()


def foreign_file(data: Path) -> str:
    """What a data folder has that is not a node's, where nothing is there that a node leaves; empty for nothing.

    Settings may be there before, and what the system keeps in a file system of its own.
    """
    names = sorted(one.name for one in data.iterdir()) if data.exists() else []
    if any(name in names for name in _MARKS):
        return ""
    others = (name for name in names if name not in _OWN and name != "lost+found" and not name.endswith(".toml"))
    return next(others, "")


def foreign_table(url: str) -> str:
    """A table that would be lost and is another program's; raises Refused where that cannot be found out."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(str(parsed.database))
        # The whole file would be replaced.
        there = lost = _sqlite_tables(path.resolve()) if path.exists() else []
    else:
        engine = open_database(url)
        try:
            there = inspect(engine).get_table_names()
        finally:
            engine.dispose()
        lost = [name for name in there if _is_ours(name)]
    return lost[0] if lost and not _FIRST.issubset(there) else ""


def _sqlite_tables(path: Path) -> list[str]:
    try:
        # Read only: what its program did not finish is undone by that program.
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as opened:
            rows = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            return [str(name) for (name,) in rows]
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            return []
        raise Refused(
            f"what is in {path} cannot be seen ({error}); if no other program uses it, move it away"
        ) from error


def database(folder: Path, backup: Backup, url: str) -> None:
    """Make the database what it was, at the newest schema; what was there is gone."""
    if backup.engine == "sqlite":
        _restore_sqlite(folder, Path(str(make_url(url).database)))
    engine = open_database(url)
    try:
        if backup.engine == "postgresql":
            _restore_postgresql(folder, backup, engine)
        _compare(engine, backup)
        upgrade(engine)
    finally:
        engine.dispose()


def _restore_sqlite(folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = target.with_name(target.name + ".restored")
    with suppress(FileNotFoundError):
        temporary.unlink()
    shutil.copyfile(folder / SQLITE, temporary)
    temporary.chmod(0o600)
    flush(temporary)
    # The log of what was there would be taken for that of what comes.
    for ending in ("-wal", "-shm"):
        target.with_name(target.name + ending).unlink(missing_ok=True)
    temporary.rename(target)
    flush(target.parent)


def _restore_postgresql(folder: Path, backup: Backup, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        for name in inspect(connection).get_table_names():
            if _is_ours(name):
                connection.execute(text(f'DROP TABLE "{name}" CASCADE'))
    upgrade(engine, backup.revision)
    with engine.begin() as connection:
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(text(f"SET LOCAL {limit} = 0"))
        for name in _there(backup):
            _fill(connection, name, backup.columns[name], folder / "tables" / f"{name}.copy")
        for name in _there(backup):
            _count_on(connection, name)


def _is_ours(name: str) -> bool:
    return name in metadata.tables or name == "alembic_version"


def _there(backup: Backup) -> list[str]:
    """The tables of a backup, those that others refer to first."""
    ordered = [table.name for table in metadata.sorted_tables if table.name in backup.tables]
    return [*ordered, *(name for name in backup.tables if name not in ordered)]


def _fill(connection: Connection, name: str, columns: list[str], file: Path) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f'COPY "{name}" ({quoted(columns)}) FROM STDIN') as rows:
        for chunk in chunks_of(file):
            rows.write(chunk)


def _count_on(connection: Connection, name: str) -> None:
    """Keys that the database gives out go on from the highest."""
    table = metadata.tables.get(name)
    for column in table.columns if table is not None else ():
        if column.autoincrement is True:
            sequence = f"pg_get_serial_sequence('\"{name}\"', '{column.name}')"
            highest = f'SELECT max("{column.name}") FROM "{name}"'  # noqa: S608
            connection.execute(text(f"SELECT setval({sequence}, m, true) FROM ({highest}) AS h(m) WHERE m IS NOT NULL"))  # noqa: S608


def _compare(engine: Engine, backup: Backup) -> None:
    with engine.connect() as connection:
        for name, expected in backup.tables.items():
            found = connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one()  # noqa: S608
            if found != expected:
                raise IntegrityLost(f"table {name} has {found} rows; {expected} were backed up")


def documents(folder: Path, backup: Backup, blobs: BlobStore, progress: Progress) -> int:
    """Put every document of a backup into a store, each verified by its hash; returns how many."""
    absent = set(backup.absent)
    done = 0
    for sha256, size in listed(folder):
        file = place(folder, sha256)
        # Not there are those that were not whole and those removed since; the count says whether that is all.
        if sha256 in absent or not file.exists():
            continue
        if file.stat().st_size != size or hash_of(file) != sha256:
            raise IntegrityLost(f"{file} is not what was backed up")
        blobs.put(Document(_opener(file), size, "", sha256))
        blobs.confirm(sha256)
        done += 1
        progress(done, backup.documents)
    if done != backup.documents:
        raise IntegrityLost(f"{done} documents are here; {backup.documents} were backed up")
    return done


def _opener(file: Path) -> Any:
    def chunks() -> Iterator[bytes]:
        return chunks_of(file)

    return chunks
