"""What every store of documents promises, on each kind of store; S3 is a real SeaweedFS."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from tests.storage.stores import Clock, FolderInside, Inside, S3Inside
from xdsi.domain.errors import IntegrityLost
from xdsi.domain.submission import Document
from xdsi.storage.blobs import GRACE_SECONDS
from xdsi.storage.documents import WITHHELD, SqlDocumentStore
from xdsi.storage.forms import PLAIN, Form
from xdsi.storage.s3_upload import PART
from xdsi.storage.sealing import Keys
from xdsi.storage.spool import SpoolFolder

SEALED = Form(compress=True, keys=Keys("a", {"a": b"k" * 32}))
KINDS = {"folder": PLAIN, "s3": PLAIN, "folder, sealed": SEALED, "s3, sealed": SEALED}
LARGE = 9 * 1024 * 1024
"""more than one part of an upload"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=KINDS.items(), ids=KINDS)
def inside(request: pytest.FixtureRequest, sqlite_engine: Engine, tmp_path: Path, clock: Clock) -> Iterator[Inside]:
    kind, form = request.param
    if kind.startswith("folder"):
        yield FolderInside(tmp_path / "documents", clock, form)
        return
    server = request.getfixturevalue("seaweedfs")
    found = S3Inside(server, f"test-{secrets.token_hex(4)}/", sqlite_engine, clock, form)
    found.prefix = found.prefix.strip("/")
    yield found
    found.blobs.close()


@pytest.fixture
def lost() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def store(inside: Inside, sqlite_engine: Engine, lost: list[tuple[str, str]]) -> SqlDocumentStore:
    return SqlDocumentStore(sqlite_engine, inside.blobs, lost=lambda *what: lost.append(what))


def document(data: bytes) -> Document:
    pieces = [data[at : at + 1_000_000] for at in range(0, len(data), 1_000_000)]
    return Document(lambda: iter(pieces), len(data), hashlib.sha1(data).hexdigest())


def publish(store: SqlDocumentStore, unique_id: str, data: bytes, given: Document | None = None) -> str:
    sha256 = store.stage(given or document(data))
    store.publish(unique_id, "text/plain", sha256, len(data), hashlib.sha1(data).hexdigest())
    return sha256


def read(store: SqlDocumentStore, unique_id: str) -> bytes:
    found = store.find(unique_id)
    assert found is not None
    return b"".join(found.document.open())


def rotten(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("size", [0, 1, WITHHELD, WITHHELD + 1, LARGE, 2 * PART])
def test_documents_of_every_size_come_back(store: SqlDocumentStore, inside: Inside, size: int) -> None:
    data = os.urandom(size)
    sha256 = publish(store, "2.999.1", data)
    assert sha256 == hashlib.sha256(data).hexdigest()
    found = store.find("2.999.1")
    assert found is not None
    assert found.verify(always=True)
    assert read(store, "2.999.1") == data
    blob = inside.blobs.find(sha256)
    assert blob is not None
    assert blob.size == size
    for start in {0, size // 2, max(0, size - 1), size}:
        assert b"".join(blob.open(start)) == data[start:], "from an offset on"


@pytest.mark.parametrize("size", [1, 100_000, LARGE, 2 * LARGE])
def test_a_document_is_stored_from_the_spool_it_arrived_in(
    store: SqlDocumentStore, inside: Inside, tmp_path: Path, size: int
) -> None:
    data = os.urandom(size)
    with SpoolFolder(tmp_path / "spool").open(inside.follow, inside.form) as spool:
        part = spool.part()
        for at in range(0, size, 300_000):
            part.write(data[at : at + 300_000])
        publish(store, "2.999.1", data, part.finish())
    assert read(store, "2.999.1") == data
    assert len(inside.copies(data)) == 1


def test_what_arrived_and_was_not_wanted_leaves_nothing(inside: Inside, tmp_path: Path, clock: Clock) -> None:
    with SpoolFolder(tmp_path / "spool").open(inside.follow, inside.form) as spool:
        part = spool.part()
        part.write(os.urandom(2 * LARGE))
        part.finish()
    clock.now += GRACE_SECONDS + 1
    inside.blobs.collect(lambda _: False, grace=GRACE_SECONDS)
    assert inside.everything() == []


def test_a_document_that_changes_while_it_is_staged_is_refused(store: SqlDocumentStore, inside: Inside) -> None:
    for data in (b"hello", os.urandom(LARGE)):
        good = document(data)
        for changed in (
            Document(good.open, len(data) + 1, good.sha1),
            Document(good.open, len(data), good.sha1, hashlib.sha256(b"other").hexdigest()),
        ):
            with pytest.raises(IntegrityLost):
                store.stage(changed)
        assert inside.copies(data) == []


def test_bytes_that_were_not_staged_cannot_be_published(store: SqlDocumentStore) -> None:
    with pytest.raises(LookupError):
        store.publish("2.999.1", "text/plain", "a" * 64, 5, "")
    sha256 = store.stage(document(b"hello"))
    with pytest.raises(LookupError):
        store.publish("2.999.1", "text/plain", sha256, 6, "")


@pytest.mark.parametrize("sha256", ["../../etc/passwd", "A" * 64, "", "a" * 63])
def test_only_hashes_name_documents(store: SqlDocumentStore, sha256: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        store.publish("2.999.1", "text/plain", sha256, 5, "")


def test_the_same_bytes_are_stored_once_under_many_names(store: SqlDocumentStore, inside: Inside, clock: Clock) -> None:
    for number in range(3):
        publish(store, f"2.999.{number}", b"the same")
    clock.now += GRACE_SECONDS + 1
    assert list(store.collect()) == []
    assert len(inside.copies(b"the same")) == 1
    assert [read(store, f"2.999.{number}") for number in range(3)] == [b"the same"] * 3


def test_what_was_withdrawn_is_collected_later(store: SqlDocumentStore, inside: Inside, clock: Clock) -> None:
    for data in (b"refused", os.urandom(LARGE)):
        publish(store, "2.999.1", data)
        store.withdraw("2.999.1")
        assert store.find("2.999.1") is None
        assert list(store.collect()) == []
        clock.now += GRACE_SECONDS + 1
        assert list(store.collect()) == [hashlib.sha256(data).hexdigest()]
        assert inside.everything() == []
    publish(store, "2.999.1", b"accepted")
    assert read(store, "2.999.1") == b"accepted"


def test_collect_takes_what_was_never_published_and_keeps_what_others_use(
    store: SqlDocumentStore, inside: Inside, clock: Clock
) -> None:
    orphan = store.stage(document(b"orphan"))
    publish(store, "2.999.1", b"shared")
    publish(store, "2.999.2", b"shared")
    store.withdraw("2.999.1")
    clock.now += GRACE_SECONDS + 1
    fresh = store.stage(document(b"fresh"))
    assert list(store.collect()) == [orphan]
    assert inside.copies(b"orphan") == []
    assert read(store, "2.999.2") == b"shared"
    store.publish("2.999.3", "text/plain", fresh, 5, "")
    assert read(store, "2.999.3") == b"fresh"


@pytest.mark.parametrize("size", [100, LARGE])
def test_a_rotten_document_is_told_of_and_not_delivered(
    store: SqlDocumentStore, inside: Inside, lost: list[tuple[str, str]], size: int
) -> None:
    data = os.urandom(size)
    publish(store, "2.999.1", data)
    publish(store, "2.999.2", data)
    inside.change(data, rotten)
    found = store.find("2.999.1")
    assert found is not None
    assert not found.verify()
    assert [unique_id for unique_id, _ in lost] == ["2.999.1"]
    for unique_id in ("2.999.1", "2.999.2"):
        again = store.find(unique_id)
        assert again is not None, "it was stored, so it is not unknown"
        assert not again.verify()
        with pytest.raises(IntegrityLost):
            b"".join(again.document.open())
    publish(store, "2.999.3", data)
    assert [read(store, f"2.999.{number}") for number in (1, 2, 3)] == [data] * 3, "a fresh copy serves all names"


def test_the_end_of_a_rotten_document_is_withheld(
    store: SqlDocumentStore, inside: Inside, lost: list[tuple[str, str]]
) -> None:
    data = os.urandom(LARGE)
    publish(store, "2.999.1", data)
    found = store.find("2.999.1")
    assert found is not None
    assert found.verify()
    inside.change(data, rotten)
    received = bytearray()
    with pytest.raises(IntegrityLost):
        received.extend(b"".join(_collecting(received, found.document.open())))
    assert len(received) <= LARGE - WITHHELD
    assert data.startswith(received)
    assert [unique_id for unique_id, _ in lost] == ["2.999.1"]
    assert not found.verify()


def _collecting(into: bytearray, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        into.extend(chunk)
        yield b""


@pytest.mark.parametrize("change", ["shorter", "longer", "gone"])
def test_a_document_of_another_length_is_rotten(store: SqlDocumentStore, inside: Inside, change: str) -> None:
    data = os.urandom(2 * WITHHELD)
    publish(store, "2.999.1", data)
    if change == "gone":
        inside.lose(data)
    else:
        inside.change(data, lambda now: now[:-1] if change == "shorter" else now + b"x")
    found = store.find("2.999.1")
    assert found is not None
    with pytest.raises(IntegrityLost):
        for _ in found.document.open():
            pass
    assert not found.verify()


def test_what_is_mended_before_anybody_noticed_is_whole(store: SqlDocumentStore, inside: Inside, clock: Clock) -> None:
    publish(store, "2.999.1", b"precious")
    inside.change(b"precious", rotten)
    publish(store, "2.999.2", b"precious")
    assert read(store, "2.999.1") == b"precious"
    clock.now += GRACE_SECONDS + 1
    store.collect()
    assert read(store, "2.999.1") == b"precious"


def test_a_reader_in_the_middle_is_not_disturbed_by_a_fresh_copy(store: SqlDocumentStore) -> None:
    data = os.urandom(LARGE)
    publish(store, "2.999.1", data)
    found = store.find("2.999.1")
    assert found is not None
    stream = found.document.open()
    begun = b"".join(islice(stream, 2))
    publish(store, "2.999.2", data)
    assert begun + b"".join(stream) == data


def test_many_threads_stage_publish_and_withdraw_the_same_bytes(store: SqlDocumentStore, clock: Clock) -> None:
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            store.collect()

    def work(number: int) -> None:
        for turn in range(4):
            publish(store, f"2.999.{number}", b"the same")
            assert read(store, f"2.999.{number}") == b"the same"
            if turn < 3:
                store.withdraw(f"2.999.{number}")

    with ThreadPoolExecutor(5) as pool:
        collector = pool.submit(collect)
        try:
            list(pool.map(work, range(4)))
        finally:
            stop.set()
        collector.result()
    clock.now += GRACE_SECONDS + 1
    assert list(store.collect()) == []
    assert [read(store, f"2.999.{number}") for number in range(4)] == [b"the same"] * 4
