"""storage/backup and storage/restore: what comes back is what was there, on each engine, or nothing is touched."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url

from tests.storage.registered import entry, get_all, submission
from tests.transactions.ports import content_of, document
from xdsi.domain.errors import IntegrityLost
from xdsi.storage import backup, restore
from xdsi.storage.blobs import FolderBlobs
from xdsi.storage.database import open_database, upgrade
from xdsi.storage.documents import SqlDocumentStore
from xdsi.storage.registry import SqlRegistry
from xdsi.storage.tables import metadata

CONTENTS = {"2.999.7.1": b"first", "2.999.7.2": b"second" * 50_000, "2.999.7.3": b"first"}


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> SqlDocumentStore:
    """Three documents of two contents, and an entry."""
    with SqlRegistry(engine).writing() as session:
        session.save(submission(entry(title='Ü "quoted"\t\\back\nline')))
    store = SqlDocumentStore(engine, FolderBlobs(tmp_path / "documents"))
    for unique_id, content in CONTENTS.items():
        one = document(content)
        store.publish(unique_id, "text/plain", store.stage(one), one.size, one.sha1)
    return store


@pytest.fixture
def elsewhere(database_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of another database of the same kind, with nothing in it."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        yield f"sqlite:///{tmp_path / 'elsewhere' / 'xdsi.db'}"
        return
    there = url.set(database="elsewhere").render_as_string(hide_password=False)
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS elsewhere")
        connection.execute("CREATE DATABASE elsewhere")
        yield there
        connection.execute("DROP DATABASE elsewhere WITH (FORCE)")


def taken(engine: Engine, store: SqlDocumentStore, folder: Path, **options: Any) -> backup.Backup:
    return backup.take(engine, store._blobs, folder, about={"node": "hub"}, **options)


def put_back(folder: Path, url: str, to: Path) -> tuple[Engine, SqlDocumentStore]:
    found = restore.check(folder, url)
    restore.database(folder, found, url)
    engine = open_database(url)
    blobs = FolderBlobs(to)
    restore.documents(folder, found, blobs, lambda done, of: None)
    return engine, SqlDocumentStore(engine, blobs)


def rows(engine: Engine) -> dict[str, list[Any]]:
    with engine.connect() as connection:
        return {table.name: sorted(map(repr, connection.execute(sa.select(table)))) for table in metadata.sorted_tables}


def test_everything_comes_back(engine: Engine, store: SqlDocumentStore, elsewhere: str, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    made = taken(engine, store, tmp_path / "copy", progress=lambda *numbers: done.append(numbers))
    assert (made.documents, made.absent, done) == (2, [], [(1, 2), (2, 2)])
    assert restore.is_empty(elsewhere)
    before = rows(engine)
    back, documents = put_back(tmp_path / "copy", elsewhere, tmp_path / "back")
    assert rows(back) == before
    for unique_id, content in CONTENTS.items():
        found = documents.find(unique_id)
        assert found is not None
        assert found.verify(always=True)
        assert content_of(found.document) == content
    assert documents.collect(grace=-1) == []
    with SqlRegistry(back).reading() as session:
        assert session.find(get_all())
    # Keys that the database gives out go on where they were.
    with SqlRegistry(back).writing() as session:
        session.save(submission(entry(patient_id="NEW^^^&2.999.1.1&ISO")))
    back.dispose()
    assert not restore.is_empty(elsewhere)


def test_what_was_there_is_gone_after_a_restore(
    engine: Engine, store: SqlDocumentStore, elsewhere: str, tmp_path: Path
) -> None:
    taken(engine, store, tmp_path / "copy")
    before = rows(engine)
    other = open_database(elsewhere)
    upgrade(other)
    with SqlRegistry(other).writing() as session:
        session.save(submission(entry()))
    other.dispose()
    back, _ = put_back(tmp_path / "copy", elsewhere, tmp_path / "back")
    assert rows(back) == before
    back.dispose()


def test_what_comes_during_the_backup_is_in_it_or_not_but_never_half(
    engine: Engine, store: SqlDocumentStore, tmp_path: Path, another_engine: Callable[[], Engine]
) -> None:
    """A document that arrives after the snapshot, and one that is erased after it."""
    other = SqlDocumentStore(another_engine(), store._blobs)

    def meanwhile(done: int, of: int) -> None:
        if done == 1:
            late = document(b"late")
            other.publish("2.999.7.9", "text/plain", other.stage(late), late.size, late.sha1)
            other.erase(["2.999.7.2"], lambda connection: None)
            other.collect(grace=-1)

    made = taken(engine, store, tmp_path / "copy", progress=meanwhile)
    assert made.absent == [], "what was removed on purpose is no loss"
    whole = {sha256: backup.place(tmp_path / "copy", sha256).exists() for sha256, _ in backup.listed(tmp_path / "copy")}
    first, second = (hashlib.sha256(CONTENTS[id_]).hexdigest() for id_ in ("2.999.7.1", "2.999.7.2"))
    assert whole.keys() == {first, second}, "the late one is not in the snapshot"
    assert made.documents == sum(whole.values())
    assert restore.documents(tmp_path / "copy", made, FolderBlobs(tmp_path / "back"), lambda done, of: None) >= 1


@pytest.mark.parametrize("damage", ["rotten", "gone"])
def test_a_document_that_is_not_whole_is_told_of(
    engine: Engine, store: SqlDocumentStore, tmp_path: Path, damage: str
) -> None:
    found = store.find("2.999.7.2")
    assert found is not None
    sha256 = found.document.sha256
    path = store._blobs.path(sha256)  # type: ignore[attr-defined]
    if damage == "rotten":
        path.write_bytes(b"x" * path.stat().st_size)
    else:
        path.unlink()
    made = taken(engine, store, tmp_path / "copy")
    assert (made.documents, made.absent) == (1, [sha256])
    assert not backup.place(tmp_path / "copy", sha256).exists()


def test_a_folder_that_holds_something_is_left_alone(engine: Engine, store: SqlDocumentStore, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "precious").touch()
    with pytest.raises(FileExistsError):
        taken(engine, store, tmp_path / "copy")


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "unfinished": lambda folder: (folder / "backup.json").unlink(),
    "no JSON": lambda folder: (folder / "backup.json").write_text("{"),
    "another form": lambda folder: _change(folder, form=2),
    "another engine": lambda folder: _change(folder, engine="oracle"),
    "a list that was changed": lambda folder: (folder / "documents.txt").write_text(""),
    "a file that is missing": lambda folder: (folder / "documents.txt").unlink(),
}


def _change(folder: Path, **changes: Any) -> None:
    file = folder / "backup.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_whole_backup_is_refused_before_anything_is_touched(
    engine: Engine, store: SqlDocumentStore, elsewhere: str, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "copy"
    taken(engine, store, folder)
    DAMAGES[damage](folder)
    with pytest.raises((LookupError, IntegrityLost)):
        restore.check(folder, elsewhere)
    assert restore.is_empty(elsewhere)


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_document_that_changed_in_the_backup_is_not_restored(
    engine: Engine, store: SqlDocumentStore, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "copy"
    made = taken(engine, store, folder)
    file = next(path for path in (folder / "documents").rglob("*") if path.is_file())
    if damage == "changed":
        file.write_bytes(b"?" * file.stat().st_size)
    else:
        file.unlink()
    with pytest.raises(IntegrityLost):
        restore.documents(folder, made, FolderBlobs(tmp_path / "back"), lambda done, of: None)


def test_nobody_else_can_read_it(engine: Engine, store: SqlDocumentStore, tmp_path: Path) -> None:
    taken(engine, store, tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    shutil.rmtree(tmp_path / "copy")
