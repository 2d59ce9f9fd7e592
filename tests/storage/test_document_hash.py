"""storage/document_hash: what leaves is compared with BLAKE3 where that is known of it, else with SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from blake3 import blake3
from sqlalchemy.engine import Engine

from xdsi.domain.errors import IntegrityLost
from xdsi.domain.submission import Document
from xdsi.storage.blobs import FileBlob, FolderBlobs
from xdsi.storage.document_hash import AT_ONCE
from xdsi.storage.documents import WITHHELD, SqlDocumentStore
from xdsi.storage.tables import document as rows

SMALL, LARGE = b"a small document", os.urandom(AT_ONCE + WITHHELD + 11)
NAME = "2.999.1"


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> SqlDocumentStore:
    return SqlDocumentStore(engine, FolderBlobs(tmp_path))


def publish(store: SqlDocumentStore, data: bytes, known: str, unique_id: str = NAME) -> None:
    sha256 = store.stage(Document(lambda: iter((data,)), len(data)))
    store.publish(unique_id, "text/plain", sha256, len(data), hashlib.sha1(data).hexdigest(), known)


def known(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        return {row.unique_id: row.blake3 for row in connection.execute(sa.select(rows))}


def of(data: bytes) -> str:
    return blake3(data).hexdigest()


def unknown(data: bytes) -> str:
    return ""


def delivered(store: SqlDocumentStore, unique_id: str = NAME) -> bytes:
    found = store.find(unique_id)
    assert found is not None
    received = bytearray()
    try:
        for piece in found.document.open():
            received += piece
    except IntegrityLost:
        received += b"<broken off>"
    return bytes(received)


def change(store: SqlDocumentStore, data: bytes, at: int) -> None:
    path = store._blobs.path(hashlib.sha256(data).hexdigest())  # type: ignore[attr-defined]
    changed = bytearray(data)
    changed[at] ^= 1
    path.write_bytes(changed)


def test_the_hash_is_blake3() -> None:
    """The hash of nothing, as the paper on BLAKE3 gives it in its test vectors."""
    assert of(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


@pytest.mark.parametrize("at", [0, -1], ids=["first byte", "last byte"])
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("hash_of", [of, unknown], ids=["BLAKE3", "SHA-256"])
def test_what_changed_is_never_delivered_whole(
    store: SqlDocumentStore, hash_of: Callable[[bytes], str], data: bytes, at: int
) -> None:
    publish(store, data, hash_of(data))
    assert delivered(store) == data
    change(store, data, at)
    received = delivered(store)
    assert received.endswith(b"<broken off>")
    assert len(received) <= max(0, len(data) - WITHHELD) + len(b"<broken off>")
    found = store.find(NAME)
    assert found is not None
    assert found.examine(always=False) == "quarantine"


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("hash_of", [of, unknown], ids=["BLAKE3", "SHA-256"])
def test_what_changed_is_found_before_the_answer_begins(
    store: SqlDocumentStore, hash_of: Callable[[bytes], str], data: bytes
) -> None:
    publish(store, data, hash_of(data))
    change(store, data, 5)
    found = store.find(NAME)
    assert found is not None
    assert not found.verify()


@pytest.mark.parametrize("before", ["", of(b"something else")], ids=["unknown", "wrong"])
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_verifying_everything_goes_by_sha256_and_notes_the_other(
    store: SqlDocumentStore, engine: Engine, data: bytes, before: str
) -> None:
    publish(store, data, before)
    found = store.find(NAME)
    assert found is not None
    assert found.examine(always=True) == ""
    assert known(engine) == {NAME: of(data)}
    assert delivered(store) == data


def test_a_second_submission_forgets_nothing_and_teaches_the_other_names(
    store: SqlDocumentStore, engine: Engine
) -> None:
    publish(store, SMALL, "")
    publish(store, SMALL, of(SMALL), "2.999.2")
    assert known(engine) == {NAME: of(SMALL), "2.999.2": of(SMALL)}
    publish(store, SMALL, "")
    publish(store, SMALL, "", "2.999.2")
    assert known(engine) == {NAME: of(SMALL), "2.999.2": of(SMALL)}


def test_who_looked_a_document_up_before_its_hash_was_known_does_not_forget_it(
    store: SqlDocumentStore, engine: Engine
) -> None:
    publish(store, SMALL, "")
    before = store.find(NAME)
    assert before is not None
    publish(store, SMALL, of(SMALL))
    assert before.examine(always=False) == ""
    assert known(engine) == {NAME: of(SMALL)}


@pytest.fixture
def lost(store: SqlDocumentStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(store, "_lost", lambda unique_id, reason: told.append(unique_id))
    return told


def examined(store: SqlDocumentStore) -> bool:
    found = store.find(NAME)
    assert found is not None
    return found.verify()


@pytest.mark.parametrize(
    "looked_at", [examined, lambda store: delivered(store) in (SMALL, LARGE)], ids=["before", "while"]
)
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_wrong_blake3_condemns_no_document(
    store: SqlDocumentStore, engine: Engine, lost: list[str], looked_at: Callable[[SqlDocumentStore], bool], data: bytes
) -> None:
    """Given an index that rotted, when the document leaves, then SHA-256 decides, and the index is mended."""
    publish(store, data, of(b"something else"))
    assert looked_at(store)
    assert known(engine) == {NAME: of(data)}
    change(store, data, -1)
    assert not looked_at(store)
    assert lost == [NAME]


def test_what_leaves_is_never_what_sha256_was_not_right_of(
    store: SqlDocumentStore, lost: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a disk that reads a wrong byte once, then nothing is lost, and nothing wrong left whole."""
    publish(store, LARGE, of(LARGE))
    open_ = FileBlob.open

    def once_wrong(blob: FileBlob, start: int = 0) -> Iterator[bytes]:
        monkeypatch.setattr(FileBlob, "open", open_)
        data = b"".join(open_(blob, start))
        yield bytes([data[0] ^ 1]) + data[1:]

    monkeypatch.setattr(FileBlob, "open", once_wrong)
    assert delivered(store).endswith(b"<broken off>")
    assert delivered(store) == LARGE
    assert lost == []
