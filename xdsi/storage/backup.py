"""A copy of everything a node keeps, taken while it serves: one snapshot of the database, and the documents it names.

    backup.json      what it is, with the hash of each file; written last, so that what has none is no backup
    database.sqlite3 or tables/NAME.copy, one for each table (PostgreSQL's COPY)
    documents.txt    SHA-256 and size of every document that the snapshot names
    documents/       ab/abcd...: their bytes as they were submitted

Registry, consents, audit trail and the index of documents are one database, so that one snapshot holds them together.
Documents are found by their hash and never change: those that the snapshot names are copied after it was taken.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from xdsi.domain.errors import IntegrityLost
from xdsi.domain.ports import BlobStore
from xdsi.storage.document_index import DocumentIndex
from xdsi.storage.files import chunks_of, create, flush, make_folder, write_all
from xdsi.storage.tables import metadata

ABOUT: Final = "backup.json"
SQLITE: Final = "database.sqlite3"
LIST: Final = "documents.txt"
FORM: Final = 1
_HASHES = "SELECT sha256, max(size), count(*) FROM document {} GROUP BY sha256 ORDER BY sha256"

Progress = Callable[[int, int], None]
"""hears how many documents are done, and of how many"""


def _nobody(done: int, of: int) -> None:
    """Nobody looks."""


@dataclass(slots=True)
class Backup:
    """What a backup holds, as its `backup.json` says."""

    taken: str
    engine: str
    revision: str
    tables: dict[str, int]
    """rows of each table"""
    columns: dict[str, list[str]]
    """of each table, in the order of its rows"""
    files: dict[str, str]
    """SHA-256 of each file but the documents', whose names say it"""
    documents: int = 0
    bytes: int = 0
    absent: list[str] = field(default_factory=list)
    """hashes of documents that could not be had whole: quarantined, rotten or gone"""
    about: dict[str, str] = field(default_factory=dict)
    form: int = FORM

    def write(self, folder: Path) -> None:
        """Make it a backup."""
        content = {name: getattr(self, name) for name in self.__slots__}
        temporary = folder / f"{ABOUT}.new"
        with create(temporary) as file:
            write_all(file, json.dumps(content, indent=1).encode() + b"\n")
        flush(temporary)
        temporary.rename(folder / ABOUT)
        flush(folder)

    @classmethod
    def read(cls, folder: Path) -> Backup:
        """What a folder holds; LookupError for what is no backup, or one of another form."""
        try:
            content: dict[str, Any] = json.loads((folder / ABOUT).read_text("utf-8"))
            found = cls(**content)
        except FileNotFoundError:
            raise LookupError(f"{folder} holds no backup, or one that was not finished") from None
        except (ValueError, TypeError) as error:
            raise LookupError(f"{folder / ABOUT} cannot be read: {error}") from error
        if found.form != FORM:
            raise LookupError(f"{folder} is a backup of form {found.form}; this version reads form {FORM}")
        return found


def take(
    engine: Engine,
    blobs: BlobStore | None,
    folder: Path,
    *,
    about: Mapping[str, str],
    progress: Progress = _nobody,
) -> Backup:
    """Copy everything into a new or empty folder; FileExistsError for one that holds something.

    Others may go on writing. What cannot be had whole is in `absent`; the backup holds the rest.
    """
    make_folder(folder)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    copy = _copy_sqlite if engine.dialect.name == "sqlite" else _copy_postgresql
    revision, tables = copy(engine, folder)
    columns = {name: [column.name for column in metadata.tables[name].columns] for name in tables}
    backup = Backup(taken, engine.dialect.name, revision, tables, columns, _hashes(folder), about=dict(about))
    if blobs is not None:
        _copy_documents(engine, blobs, folder, backup, progress)
    backup.write(folder)
    return backup


# -- the database


def _copy_sqlite(engine: Engine, folder: Path) -> tuple[str, dict[str, int]]:
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("VACUUM INTO ?", (str(folder / SQLITE),))
    flush(folder / SQLITE)
    with closing(sqlite3.connect(f"file:{folder / SQLITE}?mode=ro", uri=True)) as copied:
        _list(folder, copied.execute(_HASHES.format("WHERE quarantined = 0")))
        (revision,) = copied.execute("SELECT version_num FROM alembic_version").fetchone()
        counts = {name: copied.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in _names()}  # noqa: S608
    return str(revision), counts


def _copy_postgresql(engine: Engine, folder: Path) -> tuple[str, dict[str, int]]:
    make_folder(folder / "tables")
    with engine.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            for limit in ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout"):
                connection.execute(text(f"SET LOCAL {limit} = 0"))
            revision = str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())
            counts = {name: _copy_table(connection, name, folder / "tables") for name in _names()}
            _list(folder, connection.execute(text(_HASHES.format("WHERE NOT quarantined"))))
    return revision, counts


def _copy_table(connection: Connection, name: str, folder: Path) -> int:
    driver: Any = connection.connection.driver_connection
    columns = quoted(column.name for column in metadata.tables[name].columns)
    with driver.cursor() as cursor, create(folder / f"{name}.copy") as file:
        # Through a SELECT, because a table may have parts.
        with cursor.copy(f'COPY (SELECT {columns} FROM "{name}") TO STDOUT') as rows:  # noqa: S608
            for some in rows:
                write_all(file, bytes(some))
        count: int = cursor.rowcount
    flush(folder / f"{name}.copy")
    return count


def quoted(names: Iterable[str]) -> str:
    """Columns as statements name them."""
    return ", ".join(f'"{name}"' for name in names)


def _names() -> list[str]:
    return [table.name for table in metadata.sorted_tables]


def _list(folder: Path, rows: Any) -> None:
    with create(folder / LIST) as file:
        for sha256, size, _ in rows:
            write_all(file, f"{sha256} {size}\n".encode())
    flush(folder / LIST)


def _hashes(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hash_of(path) for path in files}


def hash_of(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    for chunk in chunks_of(path):
        found.update(chunk)
    return found.hexdigest()


# -- the documents


def listed(folder: Path) -> Iterator[tuple[str, int]]:
    """Hash and size of every document that the snapshot names, quarantined ones left out."""
    with (folder / LIST).open(encoding="ascii") as lines:
        for line in lines:
            sha256, size = line.split()
            yield sha256, int(size)


def place(folder: Path, sha256: str) -> Path:
    """Where a document's bytes lie in a backup."""
    return folder / "documents" / sha256[:2] / sha256


def _copy_documents(engine: Engine, blobs: BlobStore, folder: Path, backup: Backup, progress: Progress) -> None:
    index = DocumentIndex(engine)
    total = sum(1 for _ in listed(folder))
    make_folder(folder / "documents")
    for number, (sha256, size) in enumerate(listed(folder), 1):
        # What was removed on purpose since the snapshot is no loss.
        if _copy_document(blobs, sha256, size, place(folder, sha256)):
            backup.documents += 1
            backup.bytes += size
        elif index.uses(sha256):
            backup.absent.append(sha256)
        progress(number, total)


def _copy_document(blobs: BlobStore, sha256: str, size: int, path: Path) -> bool:
    """Copy one; False where it is not here, or not what it was."""
    blob = blobs.find(sha256)
    if blob is None:
        return False
    make_folder(path.parent)
    found, count = hashlib.sha256(), 0
    try:
        with create(path) as file:
            for chunk in blob.open():
                found.update(chunk)
                count += len(chunk)
                write_all(file, chunk)
        flush(path)
    except IntegrityLost:
        found.update(b"not whole")
    if (found.hexdigest(), count) == (sha256, size):
        return True
    path.unlink()
    return False
