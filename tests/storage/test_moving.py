"""storage/moving and storage/document_check: nothing is lost on the way, and what is wrong is named."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from tests.storage.stores import Clock, FolderInside, Inside, S3Inside
from xdsi.domain.errors import Unavailable
from xdsi.domain.submission import Document
from xdsi.storage.blobs import GRACE_SECONDS
from xdsi.storage.document_check import Finding, examine
from xdsi.storage.documents import SqlDocumentStore
from xdsi.storage.forms import PLAIN, Form
from xdsi.storage.moving import Moved, MovingBlobs, move
from xdsi.storage.s3_bucket import Bucket, Listed
from xdsi.storage.sealing import Keys

LARGE = os.urandom(9 * 1024 * 1024)
DOCUMENTS = {"2.999.1": b"one", "2.999.2": b"two", "2.999.3": b"one", "2.999.4": LARGE}
SEALED = Form(keys=Keys("a", {"a": b"a" * 32}))
Make = Callable[..., Inside]


@pytest.fixture
def make(request: pytest.FixtureRequest, sqlite_engine: Engine, tmp_path: Path) -> Iterator[Make]:
    """A store of a kind, under a name."""
    made: list[Inside] = []

    def one(kind: str, name: str, form: Form = PLAIN) -> Inside:
        clock = Clock()
        if kind == "folder":
            made.append(FolderInside(tmp_path / name, clock, form))
        else:
            prefix = f"move-{name}-{secrets.token_hex(4)}"
            made.append(S3Inside(request.getfixturevalue("seaweedfs"), prefix, sqlite_engine, clock, form))
        return made[-1]

    yield one
    for inside in made:
        inside.blobs.close()


def fill(store: SqlDocumentStore, documents: dict[str, bytes] = DOCUMENTS) -> None:
    for unique_id, data in documents.items():
        document = Document(lambda data=data: iter((data,)), len(data))  # type: ignore[misc]
        store.publish(unique_id, "text/plain", store.stage(document), len(data), "")


def read(store: SqlDocumentStore, documents: dict[str, bytes] = DOCUMENTS) -> dict[str, bytes]:
    found = {unique_id: store.find(unique_id) for unique_id in documents}
    return {unique_id: b"".join(one.document.open()) for unique_id, one in found.items() if one is not None}


def check(store: SqlDocumentStore, inside: Inside) -> list[Finding]:
    return sorted(examine(store, inside.blobs, lambda: None), key=lambda one: (one.kind, one.name))


@pytest.mark.parametrize(
    ("kinds", "form"), [(("folder", "s3"), PLAIN), (("s3", "folder"), PLAIN), (("folder", "folder"), SEALED)]
)
def test_documents_move_while_both_stores_are_read(
    make: Make, sqlite_engine: Engine, kinds: tuple[str, str], form: Form
) -> None:
    former = make(kinds[0], "former")
    fill(SqlDocumentStore(sqlite_engine, former.blobs))
    newest = make(kinds[1], "newest", form)
    both = SqlDocumentStore(sqlite_engine, MovingBlobs(newest.blobs, [former.blobs]))
    steps: list[dict[str, bytes]] = []

    def step() -> None:
        fill(both, {f"2.999.10.{len(steps)}": b"meanwhile %d" % len(steps)})
        steps.append(read(both))

    moved = move(both.index, [former.blobs], newest.blobs, step)
    assert moved.copied == 3, "the same bytes once"
    assert moved.failed == []
    assert all(one == DOCUMENTS for one in steps)
    assert former.copies(b"meanwhile 0") == []
    alone = SqlDocumentStore(sqlite_engine, newest.blobs)
    assert read(alone) == DOCUMENTS
    assert read(alone, {f"2.999.10.{number}": b"" for number in range(4)})["2.999.10.0"] == b"meanwhile 0"
    assert check(alone, newest) == []
    assert move(both.index, [former.blobs], newest.blobs, lambda: None).copied == 0


def test_a_move_that_was_broken_off_goes_on(make: Make, sqlite_engine: Engine) -> None:
    former, newest = make("folder", "former"), make("folder", "newest")
    store = SqlDocumentStore(sqlite_engine, former.blobs)
    fill(store)
    # Killed between writing the copy and reading it back: it may be anything.
    newest.blobs.put(Document(lambda: iter((b"two",)), 3))
    newest.change(b"two", lambda data: b"twO")

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(store.index, [former.blobs], newest.blobs, stop)
    first = move(store.index, [former.blobs], newest.blobs, lambda: None)
    assert [unique_id for unique_id, _ in first.failed] == ["2.999.2"], "what was wrong is set aside"
    assert move(store.index, [former.blobs], newest.blobs, lambda: None) == Moved(copied=1, present=3)
    assert read(SqlDocumentStore(sqlite_engine, newest.blobs)) == DOCUMENTS


def test_what_is_rotten_or_missing_is_not_moved(make: Make, sqlite_engine: Engine) -> None:
    former, newest = make("folder", "former"), make("folder", "newest")
    store = SqlDocumentStore(sqlite_engine, former.blobs)
    fill(store)
    former.change(b"two", lambda data: b"twO")
    former.lose(LARGE)
    moved = move(store.index, [former.blobs], newest.blobs, lambda: None)
    assert [unique_id for unique_id, _ in moved.failed] == ["2.999.2", "2.999.4"]
    assert newest.copies(b"twO") == newest.copies(b"two") == newest.copies(LARGE) == []


def test_a_document_that_is_removed_during_the_move_does_not_come_back(make: Make, sqlite_engine: Engine) -> None:
    former, newest = make("folder", "former"), make("folder", "newest")
    both = SqlDocumentStore(sqlite_engine, MovingBlobs(newest.blobs, [former.blobs]))
    fill(SqlDocumentStore(sqlite_engine, former.blobs))
    move(both.index, [former.blobs], newest.blobs, lambda: both.withdraw("2.999.2"))
    for inside in (former, newest):
        inside.clock.now += GRACE_SECONDS + 1  # type: ignore[attr-defined]
    both.collect()
    assert former.copies(b"two") == newest.copies(b"two") == []
    assert read(both) == {id_: data for id_, data in DOCUMENTS.items() if id_ != "2.999.2"}


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_documents_of_an_older_key_are_written_anew(make: Make, sqlite_engine: Engine, kind: str) -> None:
    inside = make(kind, "store", SEALED)
    store = SqlDocumentStore(sqlite_engine, inside.blobs)
    fill(store)
    rekeyed = Form(keys=Keys("b", {"a": b"a" * 32, "b": b"b" * 32}))
    inside.blobs.form = rekeyed  # type: ignore[attr-defined]
    assert move(store.index, [], inside.blobs, lambda: None) == Moved(copied=3, present=1)
    inside.clock.now += GRACE_SECONDS + 1  # type: ignore[attr-defined]
    store.collect()
    inside.blobs.form = Form(keys=Keys("b", {"b": b"b" * 32}))  # type: ignore[attr-defined]
    assert read(store) == DOCUMENTS
    assert check(store, inside) == []


@pytest.mark.parametrize("kind", ["folder", "s3"])
@pytest.mark.parametrize("form", [PLAIN, SEALED], ids=["plain", "sealed"])
def test_a_check_names_what_is_missing_rotten_and_extra(
    make: Make, sqlite_engine: Engine, kind: str, form: Form
) -> None:
    inside = make(kind, "store", form)
    store = SqlDocumentStore(sqlite_engine, inside.blobs)
    fill(store)
    assert check(store, inside) == []
    store.stage(Document(lambda: iter((b"in doubt",)), 8))
    assert check(store, inside) == [], "a submission that is under way is not extra"
    sha256 = store.stage(Document(lambda: iter((b"nobody's",)), 8))
    inside.blobs.confirm(sha256)
    inside.change(b"two", lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
    inside.lose(LARGE)
    extra = Finding("extra", form.names(hashlib.sha256(b"nobody's").hexdigest())[0])
    expected = [extra, Finding("missing", "2.999.4"), Finding("rotten", "2.999.2")]
    assert check(store, inside) == expected
    assert check(store, inside) == [extra, Finding("missing", "2.999.4"), Finding("quarantine", "2.999.2")]


def test_what_is_submitted_while_a_bucket_is_listed_is_not_extra(
    make: Make, sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given bytes that arrive as the listing begins, when they are published behind the walk, they are somebody's."""
    inside = make("s3", "store")
    store = SqlDocumentStore(sqlite_engine, inside.blobs)
    fill(store)
    arrived: list[str] = []
    walked: list[None] = []
    listing = Bucket.under

    def under(self: Bucket, prefix: str) -> Iterator[Listed]:
        if prefix == "blobs/" and not arrived:
            arrived.append(store.stage(Document(lambda: iter((b"meanwhile",)), 9)))
        return listing(self, prefix)

    def step() -> None:
        walked.append(None)
        if len(walked) == len(DOCUMENTS):
            store.publish("2.998", "text/plain", arrived[0], 9, "")

    monkeypatch.setattr(Bucket, "under", under)
    assert list(examine(store, inside.blobs, step)) == []
    assert len(walked) == len(DOCUMENTS), "the walk was over before it was published"
    assert check(store, inside) == []


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_without_a_key_nobody_says_which_bytes_are_extra(make: Make, sqlite_engine: Engine, kind: str) -> None:
    """Their names depend on it: whoever removed what seems extra would remove every document."""
    inside = make(kind, "store", SEALED)
    fill(SqlDocumentStore(sqlite_engine, inside.blobs))
    for form in (PLAIN, Form(keys=Keys("b", {"b": b"b" * 32}))):
        blobs = inside.again(form)
        store = SqlDocumentStore(sqlite_engine, blobs)
        assert sorted(examine(store, blobs, lambda: None), key=lambda one: one.name) == [
            Finding("locked", unique_id) for unique_id in DOCUMENTS
        ]


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_another_key_under_the_same_id_touches_nothing(make: Make, sqlite_engine: Engine, kind: str) -> None:
    """Given documents sealed with a key, when the settings name another one so, nothing is called lost or written."""
    inside = make(kind, "store", SEALED)
    store = SqlDocumentStore(sqlite_engine, inside.blobs, clock=inside.clock)  # type: ignore[attr-defined]
    fill(store)
    store.stage(Document(lambda: iter((b"in doubt",)), 8))
    before = inside.everything()
    wrong = SqlDocumentStore(
        sqlite_engine, inside.again(Form(keys=Keys("a", {"a": b"x" * 32}))),
        lost=lambda *_: pytest.fail("it is not lost"), without_key=lambda _: pytest.fail("there is a key"),
    )  # fmt: skip
    found = wrong.find("2.999.1")
    assert found is not None
    inside.clock.now += GRACE_SECONDS + 1  # type: ignore[attr-defined]
    ways: list[Callable[[], object]] = [
        found.soundness,
        lambda: list(found.document.open()),
        lambda: wrong.stage(Document(lambda: iter((b"new",)), 3)),
        lambda: wrong.withdraw("2.999.1"),
        wrong.collect,
    ]
    for way in ways:
        with pytest.raises(Unavailable, match=r"encryption_keys\.a is not the key"):
            way()
    assert inside.everything() == before
    assert read(store) == DOCUMENTS
    assert len(store.collect()) == 1
    assert check(store, inside) == []
    newer = SqlDocumentStore(sqlite_engine, inside.again(Form(keys=Keys("b", {"a": b"a" * 32, "b": b"x" * 32}))))
    fill(newer, {"2.999.5": b"with an id of its own"})
    assert read(newer, {**DOCUMENTS, "2.999.5": b""}) == {**DOCUMENTS, "2.999.5": b"with an id of its own"}


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_store_without_marks_of_its_keys_is_asked_which_they_are(
    make: Make, sqlite_engine: Engine, kind: str
) -> None:
    """Given documents sealed before there were marks, when a wrong key comes first, the right one serves as before."""
    inside = make(kind, "store", SEALED)
    store = SqlDocumentStore(sqlite_engine, inside.blobs)
    fill(store)
    inside.change(b"one", lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]))
    before = inside.everything()
    inside.forget_keys()
    wrong = SqlDocumentStore(
        sqlite_engine, inside.again(Form(keys=Keys("a", {"a": b"x" * 32}))),
        lost=lambda *_: pytest.fail("it is not lost"), without_key=lambda _: pytest.fail("there is a key"),
    )  # fmt: skip
    found = wrong.find("2.999.2")
    assert found is not None
    ways: list[Callable[[], object]] = [found.soundness, lambda: wrong.stage(Document(lambda: iter((b"new",)), 3))]
    for way in ways * 2:
        with pytest.raises(Unavailable, match=r"encryption_keys\.a is not the key"):
            way()
    assert inside.everything() == before
    right = SqlDocumentStore(sqlite_engine, inside.again(Form(keys=Keys("b", {"a": b"a" * 32, "b": b"b" * 32}))))
    sound = {"2.999.2": b"two", "2.999.4": LARGE}
    assert read(right, sound) == sound
    for id_ in DOCUMENTS:
        one = wrong.find(id_)
        assert one is not None
        with pytest.raises(Unavailable):
            one.soundness()


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_key_that_opened_what_is_there_is_remembered(make: Make, sqlite_engine: Engine, kind: str) -> None:
    inside = make(kind, "store", SEALED)
    fill(SqlDocumentStore(sqlite_engine, inside.blobs), {"2.999.2": b"two"})
    inside.forget_keys()
    again = SqlDocumentStore(sqlite_engine, inside.again(SEALED))
    assert read(again, {"2.999.2": b""}) == {"2.999.2": b"two"}
    inside.lose(b"two")
    wrong = inside.again(Form(keys=Keys("a", {"a": b"x" * 32})))
    with pytest.raises(Unavailable, match=r"encryption_keys\.a is not the key"):
        wrong.find("0" * 64)
