"""storage/documents: acknowledged bytes are there after a crash, and only bytes with the right hash leave."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import current_thread

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from xdsi.domain.errors import IntegrityLost, OutOfRoom
from xdsi.domain.retrieval import Soundness
from xdsi.domain.submission import Document
from xdsi.storage import blobs, documents
from xdsi.storage.blobs import FileBlob, FolderBlobs
from xdsi.storage.database import open_database, writing
from xdsi.storage.documents import SqlDocumentStore
from xdsi.storage.forms import Form
from xdsi.storage.moving import MovingBlobs
from xdsi.storage.spool import SpoolFolder
from xdsi.storage.tables import document as rows

ROOT = Path(__file__).resolve().parents[2]


class Clock:
    now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "documents"


@pytest.fixture
def store(engine: Engine, folder: Path, clock: Clock) -> SqlDocumentStore:
    return SqlDocumentStore(engine, FolderBlobs(folder, clock=clock), clock=clock)


@pytest.fixture
def sqlite_store(sqlite_engine: Engine, folder: Path, clock: Clock) -> SqlDocumentStore:
    """Where the engine does not matter."""
    return SqlDocumentStore(sqlite_engine, FolderBlobs(folder, clock=clock), clock=clock)


def document(data: bytes) -> Document:
    return Document(lambda: iter([data[:10], data[10:]]), len(data), hashlib.sha1(data).hexdigest())


def publish(store: SqlDocumentStore, unique_id: str, data: bytes) -> str:
    sha256 = store.stage(document(data))
    store.publish(unique_id, "text/plain", sha256, len(data), hashlib.sha1(data).hexdigest())
    return sha256


def blob(folder: Path, data: bytes) -> Path:
    sha256 = hashlib.sha256(data).hexdigest()
    return folder / "blobs" / sha256[:2] / sha256


def files(folder: Path, kind: str) -> list[str]:
    return sorted(path.name for path in (folder / kind).rglob("*") if path.is_file())


def read(store: SqlDocumentStore, unique_id: str) -> bytes:
    found = store.find(unique_id)
    assert found is not None
    return b"".join(found.document.open())


def test_a_published_document_is_what_was_staged(store: SqlDocumentStore) -> None:
    sha256 = store.stage(document(b"hello world!"))
    assert sha256 == hashlib.sha256(b"hello world!").hexdigest()
    assert store.find("2.999.1") is None, "not retrievable before it is published"
    store.publish("2.999.1", "text/plain", sha256, 12, "0" * 40)
    found = store.find("2.999.1")
    assert found is not None
    assert (found.unique_id, found.mime_type) == ("2.999.1", "text/plain")
    assert (found.document.size, found.document.sha1, found.document.sha256) == (12, "0" * 40, sha256)
    assert found.verify()
    assert b"".join(found.document.open()) == b"".join(found.document.open()) == b"hello world!"


def test_the_same_bytes_are_stored_once_under_many_names(store: SqlDocumentStore, folder: Path) -> None:
    for number in range(3):
        publish(store, f"2.999.{number}", b"the same")
    publish(store, "2.999.0", b"the same")
    assert len(files(folder, "blobs")) == 1
    assert [read(store, f"2.999.{number}") for number in range(3)] == [b"the same"] * 3
    assert [found.unique_id for found in store.all()] == ["2.999.0", "2.999.1", "2.999.2"]


@pytest.mark.parametrize("patience", [pytest.param(3600.0, id="by one"), pytest.param(-1.0, id="by several")])
def test_many_documents_are_found_and_examined_together(
    store: SqlDocumentStore, folder: Path, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    """Given many documents, one of them rotten, when they are examined, each answer is its own, whether reading waits
    (then several threads read) or not."""
    monkeypatch.setattr(documents, "_WAITED", patience)
    readers: set[str] = set()
    whole = FileBlob.whole
    monkeypatch.setattr(FileBlob, "whole", lambda *given: (readers.add(current_thread().name), whole(*given))[1])
    ids = [f"2.999.{number}" for number in range(100)]
    for one in ids:
        publish(store, one, one.encode())
    path = store._blobs.path(hashlib.sha256(b"2.999.70").hexdigest())  # type: ignore[attr-defined]
    path.write_bytes(b"2.999.7O")
    found = store.find_all([*ids, "2.999.none", ids[0]])
    assert sorted(found) == sorted(ids)
    examined = dict(zip(ids, store.examine([found[one] for one in ids]), strict=True))
    assert [one for one in ids if examined[one] is not Soundness.SOUND] == ["2.999.70"]
    assert examined["2.999.70"] is Soundness.LOST
    assert store.find_all([]) == {}
    assert list(store.examine([])) == []
    assert {name.startswith("examine") for name in readers} == ({False} if patience > 0 else {False, True})


def test_other_bytes_under_a_published_name_are_refused(store: SqlDocumentStore) -> None:
    publish(store, "2.999.1", b"first")
    with pytest.raises(ValueError, match="other bytes"):
        publish(store, "2.999.1", b"second")
    assert read(store, "2.999.1") == b"first"


def test_a_unique_id_is_never_part_of_a_path(sqlite_store: SqlDocumentStore, folder: Path) -> None:
    publish(sqlite_store, "../../../etc/passwd\n%2e%2e", b"x")
    assert read(sqlite_store, "../../../etc/passwd\n%2e%2e") == b"x"
    assert files(folder, "blobs") == [hashlib.sha256(b"x").hexdigest()]


def test_files_are_private(sqlite_store: SqlDocumentStore, folder: Path) -> None:
    publish(sqlite_store, "2.999.1", b"x")
    assert blob(folder, b"x").stat().st_mode & 0o777 == 0o600
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in folder.rglob("*") if path.is_dir())


def test_a_document_that_changes_while_it_is_staged_is_refused(sqlite_store: SqlDocumentStore, folder: Path) -> None:
    good = document(b"hello")
    for changed in (
        Document(good.open, 6, good.sha1),
        Document(good.open, 5, good.sha1, hashlib.sha256(b"other").hexdigest()),
    ):
        with pytest.raises(IntegrityLost):
            sqlite_store.stage(changed)
    assert files(folder, "incoming") == files(folder, "blobs") == []


# --- the spool


def test_a_spooled_file_is_taken_over_not_copied(sqlite_store: SqlDocumentStore, folder: Path, tmp_path: Path) -> None:
    with SpoolFolder(tmp_path / "spool", in_memory=0).open() as spool:
        part = spool.part()
        part.write(b"spooled")
        spooled = part.finish()
        assert part.path is not None
        inode = part.path.stat().st_ino
        sha256 = sqlite_store.stage(spooled)
        assert b"".join(spooled.open()) == b"spooled", "still readable"
        sqlite_store.publish("2.999.1", "text/plain", sha256, spooled.size, spooled.sha1)
    assert blob(folder, b"spooled").stat().st_ino == inode
    assert read(sqlite_store, "2.999.1") == b"spooled"


def test_a_small_part_in_memory_is_written(sqlite_store: SqlDocumentStore, tmp_path: Path) -> None:
    with SpoolFolder(tmp_path / "spool").open() as spool:
        part = spool.part()
        part.write(b"small")
        sha256 = sqlite_store.stage(part.finish())
    sqlite_store.publish("2.999.1", "text/plain", sha256, 5, "")
    assert read(sqlite_store, "2.999.1") == b"small"


# --- withdrawing and collecting


def test_what_was_withdrawn_is_not_found_and_collected_later(
    store: SqlDocumentStore, folder: Path, clock: Clock
) -> None:
    publish(store, "2.999.1", b"refused")
    store.withdraw("2.999.1")
    store.withdraw("2.999.1")
    assert store.find("2.999.1") is None
    assert store.collect() == []
    clock.now += blobs.GRACE_SECONDS + 1
    assert store.collect() == [hashlib.sha256(b"refused").hexdigest()]
    assert files(folder, "blobs") == files(folder, "journal") == []
    publish(store, "2.999.1", b"accepted")
    assert read(store, "2.999.1") == b"accepted"


def test_bytes_that_another_name_uses_stay(store: SqlDocumentStore, folder: Path, clock: Clock) -> None:
    publish(store, "2.999.1", b"shared")
    publish(store, "2.999.2", b"shared")
    store.withdraw("2.999.1")
    clock.now += blobs.GRACE_SECONDS + 1
    assert store.collect() == []
    assert read(store, "2.999.2") == b"shared"
    assert files(folder, "journal") == []


def test_collect_takes_what_was_staged_long_ago_and_never_published(
    sqlite_store: SqlDocumentStore, folder: Path, clock: Clock
) -> None:
    orphan = sqlite_store.stage(document(b"orphan"))
    (folder / "incoming" / "left").write_bytes(b"half")
    os.utime(folder / "incoming" / "left", (clock.now, clock.now))
    publish(sqlite_store, "2.999.1", b"published")
    clock.now += blobs.GRACE_SECONDS + 1
    fresh = sqlite_store.stage(document(b"fresh"))
    assert sqlite_store.collect() == [orphan]
    assert files(folder, "journal") == [fresh]
    assert files(folder, "incoming") == []
    assert read(sqlite_store, "2.999.1") == b"published"
    sqlite_store.publish("2.999.2", "text/plain", fresh, 5, "")
    assert read(sqlite_store, "2.999.2") == b"fresh"


def test_a_mark_is_used_again_and_is_young_then(sqlite_store: SqlDocumentStore, folder: Path, clock: Clock) -> None:
    publish(sqlite_store, "2.999.1", b"first")
    (mark,) = (folder / "spare").iterdir()
    inode = mark.stat().st_ino
    clock.now += blobs.GRACE_SECONDS + 1
    second = sqlite_store.stage(document(b"second"))
    assert files(folder, "spare") == []
    assert (folder / "journal" / second).stat().st_ino == inode
    assert sqlite_store.collect() == []
    clock.now += blobs.GRACE_SECONDS + 1
    assert sqlite_store.collect() == [second]


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_spare_marks_that_another_process_took_are_made_anew(
    sqlite_store: SqlDocumentStore, folder: Path, taken: int
) -> None:
    staged = [sqlite_store.stage(document(b"%d" % number)) for number in range(3)]
    for number, sha256 in enumerate(staged):
        sqlite_store.publish(f"2.999.{number}", "text/plain", sha256, 1, "")
    for spare in sorted((folder / "spare").iterdir())[:taken]:
        spare.unlink()
    fresh = [sqlite_store.stage(document(b"fresh %d" % number)) for number in range(3)]
    assert files(folder, "journal") == sorted(fresh)
    assert files(folder, "spare") == []


@pytest.mark.parametrize("when", ["before the store is opened", "while a mark is out", "while a mark is spare"])
@pytest.mark.parametrize("gone", [False, True], ids=["not to be written", "gone"])
def test_without_a_folder_for_spare_marks_nothing_is_lost(folder: Path, clock: Clock, when: str, *, gone: bool) -> None:
    def spoil() -> None:
        shutil.rmtree(folder / "spare", ignore_errors=True)
        if not gone:
            (folder / "spare").write_bytes(b"no folder")

    folder.mkdir(exist_ok=True)
    if when.startswith("before"):
        spoil()
    store = blobs.FolderBlobs(folder, clock=clock)
    sha256 = store.put(document(b"first"))
    if when.endswith("out"):
        spoil()
    store.confirm(sha256)
    if when.endswith("spare"):
        spoil()
    assert not store.doubted(sha256)
    second = store.put(document(b"second"))
    store.doubt(sha256)
    clock.now += blobs.GRACE_SECONDS + 1
    assert sorted(store.collect(lambda _: False)) == sorted([sha256, second])
    assert files(folder, "blobs") == files(folder, "journal") == []


def test_no_more_marks_are_kept_than_are_used_at_once(sqlite_store: SqlDocumentStore, folder: Path) -> None:
    several = blobs._SPARE_MARKS + 2
    staged = [sqlite_store.stage(document(b"%03d" % number)) for number in range(several)]
    for number, sha256 in enumerate(staged):
        sqlite_store.publish(f"2.999.{number}", "text/plain", sha256, 3, "")
    assert len(files(folder, "spare")) == blobs._SPARE_MARKS
    assert files(folder, "journal") == []


def test_collect_takes_spare_marks_that_nobody_uses(sqlite_store: SqlDocumentStore, folder: Path, clock: Clock) -> None:
    publish(sqlite_store, "2.999.1", b"published")
    assert sqlite_store.collect() == []
    assert len(files(folder, "spare")) == 1
    clock.now += blobs.GRACE_SECONDS + 1
    assert sqlite_store.collect() == []
    assert files(folder, "spare") == []
    publish(sqlite_store, "2.999.2", b"another")
    assert read(sqlite_store, "2.999.2") == b"another"


def test_staging_again_renews_the_grace(sqlite_store: SqlDocumentStore, clock: Clock) -> None:
    sqlite_store.stage(document(b"twice"))
    clock.now += blobs.GRACE_SECONDS + 1
    sqlite_store.stage(document(b"twice"))
    assert sqlite_store.collect() == []


# --- integrity


def rot(path: Path) -> None:
    """Change the last byte and nothing that shows from outside but times."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_rotten_document_is_not_delivered_and_goes_into_quarantine(store: SqlDocumentStore, folder: Path) -> None:
    publish(store, "2.999.1", b"precious")
    publish(store, "2.999.2", b"precious")
    rot(blob(folder, b"precious"))
    found = store.find("2.999.1")
    assert found is not None
    assert not found.verify()
    assert len(files(folder, "quarantine")) == 1
    for unique_id in ("2.999.1", "2.999.2"):
        again = store.find(unique_id)
        assert again is not None, "it was stored, so it is not unknown"
        assert not again.verify()
        with pytest.raises(IntegrityLost):
            b"".join(again.document.open())


def test_what_was_examined_is_looked_for_once(sqlite_store: SqlDocumentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(sqlite_store, "2.999.1", b"precious")
    found = sqlite_store.find_all(["2.999.1"])["2.999.1"]
    looked = []
    find = FolderBlobs.find
    monkeypatch.setattr(FolderBlobs, "find", lambda *given: (looked.append(given), find(*given))[1])
    assert sqlite_store.examine([found]) == [Soundness.SOUND]
    assert b"".join(found.document.open()) == b"precious"
    assert len(looked) == 1


def test_what_rots_after_it_was_examined_is_not_delivered(store: SqlDocumentStore, folder: Path) -> None:
    publish(store, "2.999.1", b"precious")
    found = store.find_all(["2.999.1"])["2.999.1"]
    assert list(store.examine([found])) == [Soundness.SOUND]
    rot(blob(folder, b"precious"))
    given_out = []
    with pytest.raises(IntegrityLost):
        given_out.extend(found.document.open())
    assert given_out == []
    assert len(files(folder, "quarantine")) == 1


@pytest.mark.parametrize("now", ["elsewhere", "in another form", "gone"])
def test_what_is_moved_after_it_was_examined_is_looked_for_again(
    sqlite_engine: Engine, folder: Path, tmp_path: Path, now: str
) -> None:
    data = b"precious " * 1000
    newest = FolderBlobs(folder if now == "in another form" else tmp_path / "newest", form=Form(compress=True))
    moving = SqlDocumentStore(sqlite_engine, MovingBlobs(newest, [FolderBlobs(folder)]))
    publish(SqlDocumentStore(sqlite_engine, FolderBlobs(folder)), "2.999.1", data)
    found = moving.find_all(["2.999.1"])["2.999.1"]
    assert moving.examine([found]) == [Soundness.SOUND]
    if now != "gone":
        newest.put(document(data))
    if now != "in another form":
        blob(folder, data).unlink()
    if now == "gone":
        with pytest.raises(IntegrityLost, match="not in the store"):
            b"".join(found.document.open())
    else:
        assert b"".join(found.document.open()) == data
    assert files(folder, "quarantine") == []


def test_the_same_bytes_submitted_anew_mend_a_rotten_document(sqlite_store: SqlDocumentStore, folder: Path) -> None:
    publish(sqlite_store, "2.999.1", b"precious")
    rot(blob(folder, b"precious"))
    found = sqlite_store.find("2.999.1")
    assert found is not None
    assert not found.verify()
    publish(sqlite_store, "2.999.2", b"precious")
    for unique_id in ("2.999.1", "2.999.2"):
        again = sqlite_store.find(unique_id)
        assert again is not None
        assert again.verify()
        assert b"".join(again.document.open()) == b"precious"


def test_large_documents_are_hashed_first_only_when_their_file_changed(
    sqlite_store: SqlDocumentStore, folder: Path, sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "ALWAYS_VERIFIED", 4)
    hashed = []
    small_file = blobs.small_file
    monkeypatch.setattr(blobs, "small_file", lambda path, size: hashed.append(path) or small_file(path, size))

    def verify(unique_id: str, *, always: bool = False) -> bool:
        found = sqlite_store.find(unique_id)
        assert found is not None
        return found.verify(always=always)

    publish(sqlite_store, "2.999.1", b"large")
    publish(sqlite_store, "2.999.2", b"tiny")
    hashed.clear()
    assert (verify("2.999.1"), len(hashed)) == (True, 0)
    assert (verify("2.999.2"), len(hashed)) == (True, 1)
    assert (verify("2.999.1", always=True), len(hashed)) == (True, 2)
    path = blob(folder, b"large")
    os.utime(path, (1, 1))
    assert (verify("2.999.1"), len(hashed)) == (True, 3)
    assert (verify("2.999.1"), len(hashed)) == (True, 3)
    before = path.stat()
    rot(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (verify("2.999.1"), len(hashed)) == (False, 5), "twice, because BLAKE3 is known by now and SHA-256 decides"
    with sqlite_engine.connect() as connection:
        states = {row.unique_id: row.quarantined for row in connection.execute(sa.select(rows))}
    assert states == {"2.999.1": True, "2.999.2": False}


def test_a_document_that_cannot_be_read_is_not_put_into_quarantine(
    sqlite_store: SqlDocumentStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(sqlite_store, "2.999.1", b"precious")

    def refuse(path: Path, size: int) -> bytes:
        raise OSError(5, "Input/output error")

    found = sqlite_store.find("2.999.1")
    assert found is not None
    with monkeypatch.context() as patch:
        patch.setattr(blobs, "small_file", refuse)
        assert not found.verify()
    assert files(folder, "quarantine") == []
    assert found.verify()


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100])
def test_a_small_file_is_read_at_once_whatever_became_of_it(
    sqlite_store: SqlDocumentStore, folder: Path, size: int
) -> None:
    """Whole, shorter, longer, of more bytes than anybody should read: the same bytes, or other ones."""
    data = b"0123456789" * 10
    publish(sqlite_store, "2.999.1", data[:size])
    found = sqlite_store._blobs.find(hashlib.sha256(data[:size]).hexdigest())
    assert found is not None
    assert found.whole(size) == data[:size]
    path = blob(folder, data[:size])
    for other in (data[: size - 1] if size else b"x", data[:size] + b"x", data[:size] + b"x" * 1_000_000):
        path.write_bytes(other)
        again = sqlite_store._blobs.find(hashlib.sha256(data[:size]).hexdigest())
        assert again is not None
        assert again.whole(size) != data[:size]
        assert len(again.whole(size)) < 200


# --- durability


def test_bytes_and_names_are_flushed_before_they_are_acknowledged(
    sqlite_store: SqlDocumentStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_store.stage(document(b"the first, which makes the folders"))
    events: list[str] = []
    fsync, replace, confirm = os.fsync, os.replace, blobs.FolderBlobs.confirm

    def note(what: str, path: str) -> None:
        events.append(f"{what} {Path(path).relative_to(folder).parts[0]}")

    def flush(descriptor: int) -> None:
        note("flush", str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", lambda file, to: (replace(file, to), note("replace", to)))
    monkeypatch.setattr(blobs.FolderBlobs, "confirm", lambda self, sha: (events.append("confirm"), confirm(self, sha)))
    sha256 = sqlite_store.stage(document(b"durable"))
    # The bytes, the mark that finds them after a crash, their name, and the name on the disk.
    assert events == ["flush incoming", "flush journal", "replace blobs", "flush blobs"]
    sqlite_store.publish("2.999.1", "text/plain", sha256, 7, "")
    assert events[4:] == ["confirm"]
    shutil.rmtree(blob(folder, b"durable").parent)
    del events[:]
    sqlite_store.stage(document(b"durable"))
    assert events == ["flush blobs", "flush incoming", "flush journal", "replace blobs", "flush blobs"], "a new folder"


def test_a_nearly_full_disk_is_unavailable(sqlite_engine: Engine, folder: Path) -> None:
    store = SqlDocumentStore(sqlite_engine, FolderBlobs(folder, reserve=1 << 60))
    with pytest.raises(OutOfRoom, match="would be left"):
        store.stage(document(b"x"))
    assert files(folder, "incoming") == []


def test_a_disk_that_refuses_is_unavailable(sqlite_store: SqlDocumentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blobs, "write_all", refuse)
    with pytest.raises(OutOfRoom, match="No space left"):
        sqlite_store.stage(document(b"x"))


WRITER = """
import sys
from itertools import count
from pathlib import Path
from xdsi.domain.submission import Document
from xdsi.storage.database import open_database, writing
from xdsi.storage.blobs import FolderBlobs
from xdsi.storage.documents import SqlDocumentStore
from xdsi.storage.forms import Form
from xdsi.storage.moving import MovingBlobs
store = SqlDocumentStore(open_database(sys.argv[1]), FolderBlobs(Path(sys.argv[2])))
for number in count():
    data = b"%d " % number * 5000
    sha256 = store.stage(Document(lambda: iter([data]), len(data)))
    print("staged", sha256, flush=True)
    if number % 3:
        store.publish(f"2.999.{number}", "text/plain", sha256, len(data), "")
        print("published", number, flush=True)
"""


def test_a_killed_process_loses_nothing_it_acknowledged(
    sqlite_store: SqlDocumentStore, sqlite_engine: Engine, folder: Path, clock: Clock
) -> None:
    command = [sys.executable, "-c", WRITER, sqlite_engine.url.render_as_string(), str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.split())
        if len(lines) == 25:
            process.send_signal(signal.SIGKILL)
            break
    lines.extend(line.split() for line in process.stdout)
    process.wait()
    process.stdout.close()
    published = [int(number) for kind, number in (line for line in lines if len(line) == 2) if kind == "published"]
    assert len(published) >= 9
    engine = open_database(sqlite_engine.url.render_as_string())
    store = SqlDocumentStore(engine, FolderBlobs(folder, clock=clock), clock=clock)
    clock.now = time.time() + blobs.GRACE_SECONDS + 60
    removed = store.collect()
    for number in published:
        found = store.find(f"2.999.{number}")
        assert found is not None
        assert found.verify()
        assert b"".join(found.document.open()) == b"%d " % number * 5000
    kept = {found.document.sha256 for found in store.all()}
    assert set(files(folder, "blobs")) == kept, "what was staged only is gone"
    assert not kept & set(removed)
    assert files(folder, "incoming") == files(folder, "journal") == []
    engine.dispose()


def test_verifying_inside_a_unit_of_work_does_not_wait_for_itself(
    store: SqlDocumentStore, engine: Engine, folder: Path
) -> None:
    publish(store, "2.999.1", b"precious")
    publish(store, "2.999.2", b"rotten")
    os.utime(blob(folder, b"precious"), (1, 1))
    rot(blob(folder, b"rotten"))
    with writing(engine):
        found, rotten = store.find("2.999.1"), store.find("2.999.2")
        assert found is not None
        assert found.verify()
        assert rotten is not None
        assert not rotten.verify()
    assert files(folder, "quarantine") != []


# -- what was published and never registered


def registering(*known: str) -> Callable[[Sequence[str]], set[str]]:
    return lambda asked: set(known) & set(asked)


def test_what_was_published_and_never_registered_is_taken_back(
    store: SqlDocumentStore, folder: Path, clock: Clock
) -> None:
    publish(store, "2.999.1", b"registered")
    publish(store, "2.999.2", b"lost on the way")
    clock.now += blobs.GRACE_SECONDS
    publish(store, "2.999.3", b"on its way")
    clock.now += 60
    assert store.review(registering("2.999.1")) == ["2.999.2"]
    assert [one.unique_id for one in store.all()] == ["2.999.1", "2.999.3"]
    assert len(store.collect(grace=-1)) == 1
    clock.now += blobs.GRACE_SECONDS
    assert store.review(registering()) == ["2.999.3"], "what was found registered once is not asked about again"


def test_a_second_submission_that_was_never_registered_takes_nothing_from_the_first(
    store: SqlDocumentStore, clock: Clock
) -> None:
    publish(store, "2.999.1", b"twice")
    clock.now += blobs.GRACE_SECONDS + 60
    assert store.review(registering("2.999.1")) == []
    publish(store, "2.999.1", b"twice")
    clock.now += blobs.GRACE_SECONDS + 60
    store.review(registering())
    assert read(store, "2.999.1") == b"twice"
    store.withdraw("2.999.1")
    assert store.find("2.999.1") is None, "one claim was left"


def test_a_claim_that_comes_during_the_review_stands(store: SqlDocumentStore, clock: Clock) -> None:
    publish(store, "2.999.1", b"again")
    clock.now += blobs.GRACE_SECONDS + 60

    def meanwhile(asked: Sequence[str]) -> set[str]:
        publish(store, "2.999.1", b"again")
        return set()

    store.review(meanwhile)
    assert read(store, "2.999.1") == b"again"
