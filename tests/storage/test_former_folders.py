"""Documents of a folder that lie two folders deep, as they were laid before, beside those that lie in one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from tests.storage.stores import Clock, FolderInside
from tests.storage.test_blob_stores import SEALED, document, publish, read
from xdsi.storage.blobs import GRACE_SECONDS
from xdsi.storage.documents import SqlDocumentStore
from xdsi.storage.forms import PLAIN

FORMER, FRESH = b"laid two folders deep", b"laid in one folder"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[PLAIN, SEALED], ids=["plain", "sealed"])
def inside(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> FolderInside:
    return FolderInside(tmp_path / "documents", clock, request.param)


@pytest.fixture
def store(inside: FolderInside, sqlite_engine: Engine) -> SqlDocumentStore:
    store = SqlDocumentStore(sqlite_engine, inside.blobs)
    publish(store, "2.999.1", FORMER)
    publish(store, "2.999.2", FRESH)
    path = where(inside, FORMER)
    deep = path.parent / path.name[2:4]
    deep.mkdir()
    path.rename(deep / path.name)
    return store


def where(inside: FolderInside, data: bytes) -> Path:
    return inside.blobs.path(hashlib.sha256(data).hexdigest())


def files(inside: FolderInside) -> list[Path]:
    return [path for path in (inside.folder / "blobs").rglob("*") if path.is_file()]


def test_both_are_given_out_and_told_of(store: SqlDocumentStore, inside: FolderInside) -> None:
    assert [read(store, "2.999.1"), read(store, "2.999.2")] == [FORMER, FRESH]
    assert sorted(inside.blobs.settled()) == sorted(path.name for path in files(inside))
    assert len(list(inside.blobs._sources())) == 2


def test_the_same_bytes_again_replace_the_file_where_it_lies(store: SqlDocumentStore, inside: FolderInside) -> None:
    """Given that it rotted there, then a fresh copy mends it, and there is no second one."""
    former = next(path for path in files(inside) if len(path.parent.name) == 2 and path.parent.parent.name != "blobs")
    former.write_bytes(b"rotten")
    publish(store, "2.999.3", FORMER)
    assert [read(store, "2.999.1"), read(store, "2.999.3")] == [FORMER, FORMER]
    assert former in files(inside)
    assert len(files(inside)) == 2


def test_where_it_lies_twice_the_one_that_is_read_is_replaced(store: SqlDocumentStore, inside: FolderInside) -> None:
    former = next(path for path in files(inside) if len(path.parent.name) == 2 and path.parent.parent.name != "blobs")
    where(inside, FORMER).write_bytes(b"rotten")
    publish(store, "2.999.3", FORMER)
    assert read(store, "2.999.3") == FORMER
    assert former in files(inside)


def test_what_was_withdrawn_is_collected(store: SqlDocumentStore, inside: FolderInside, clock: Clock) -> None:
    store.withdraw("2.999.1")
    clock.now += GRACE_SECONDS + 1
    assert store.collect() == [hashlib.sha256(FORMER).hexdigest()]
    assert [read(store, "2.999.2")] == [FRESH]
    assert len(files(inside)) == 1


@pytest.mark.parametrize("inside", [PLAIN], ids=["plain"], indirect=True)
def test_written_in_another_form_it_lies_in_one_folder(store: SqlDocumentStore, inside: FolderInside) -> None:
    """Given that documents are encrypted from now on, when the same bytes come again, then the former file is gone."""
    again = inside.again(SEALED)
    again.put(document(FORMER))
    found = again.find(hashlib.sha256(FORMER).hexdigest())
    assert found is not None
    assert b"".join(found.open()) == FORMER
    assert [path.parent.parent.name for path in files(inside)] == ["blobs", "blobs"]


def test_who_only_reads_makes_no_folders(inside: FolderInside) -> None:
    """An operator's command, run as another user before the node stores anything, would keep the node out of them."""
    blobs = inside.again(PLAIN)
    assert blobs.find("00" * 32) is None
    assert list(blobs.settled()) == []
    assert list((inside.folder / "blobs").iterdir()) == []
    blobs.put(document(FRESH))
    assert len(list((inside.folder / "blobs").iterdir())) == 256


def test_a_folder_that_somebody_removed_is_made_again(inside: FolderInside) -> None:
    inside.blobs.put(document(FORMER))
    where(inside, FRESH).parent.rmdir()
    inside.blobs.put(document(FRESH))
    assert sorted(files(inside)) == sorted(where(inside, one) for one in (FORMER, FRESH))
