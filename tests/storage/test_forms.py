"""storage/forms and storage/sealing: what was written is read, from anywhere, and whatever was done to it is found."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from xdsi.domain.errors import IntegrityLost, Unavailable
from xdsi.domain.retrieval import Soundness
from xdsi.domain.submission import Document
from xdsi.storage.blobs import FolderBlobs
from xdsi.storage.documents import SqlDocumentStore
from xdsi.storage.forms import MAGIC, PLAIN, Encoding, Form, is_text
from xdsi.storage.sealing import FRAME, TAG, Keys
from xdsi.storage.spool import SpoolFolder

KEYS = Keys("a", {"a": b"a" * 32})
SEALED = Form(keys=KEYS)
FORMS = {
    "as it is": PLAIN,
    "compressed": Form(compress=True),
    "sealed": SEALED,
    "compressed and sealed": Form(compress=True, keys=KEYS),
}
TEXT = b"<ClinicalDocument>the same words again and again</ClinicalDocument>\n" * 9000
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def document(data: bytes, cut: int = 50_000) -> Document:
    return Document(lambda: iter([data[at : at + cut] for at in range(0, len(data), cut)]), len(data))


def written(data: bytes, form: Form, cut: int = 50_000) -> bytes:
    return b"".join(Encoding(document(data, cut), form))


def read(stored: bytes, form: Form, start: int = 0, cut: int = 70_000) -> bytes:
    def source(at: int) -> Iterator[bytes]:
        return iter([stored[begin : begin + cut] for begin in range(at, len(stored), cut)])

    return b"".join(form.read(source, len(stored), start))


@every_form
@given(
    size=st.sampled_from([0, 1, 7, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 5]),
    start=st.floats(0, 1),
    cut=st.integers(1000, 300_000),
    text=st.booleans(),
)
def test_what_was_written_is_read_from_anywhere(form: Form, size: int, start: float, cut: int, text: bool) -> None:
    data = (TEXT if text else b"\0" + TEXT)[:size]
    at = int(start * len(data))
    assert read(written(data, form, cut), form, at, cut) == data[at:]


@every_form
def test_a_document_that_looks_like_a_stored_one_is_only_a_document(form: Form) -> None:
    inner = written(TEXT, SEALED)
    for data in (inner, MAGIC, MAGIC + b"\xff" * 100):
        assert read(written(data, form), form) == data


def test_text_becomes_smaller_and_everything_else_stays() -> None:
    form = FORMS["compressed"]
    assert len(written(TEXT, form)) < len(TEXT) / 20
    image = os.urandom(1000) + b"\0"
    assert written(image, form) == image
    assert [is_text(one) for one in (b"", b"a", b"a\0")] == [False, True, False]


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "first byte of the body": lambda s: s[:100] + bytes([s[100] ^ 1]) + s[101:],
    "last byte": lambda s: s[:-1] + bytes([s[-1] ^ 1]),
    "key id": lambda s: s.replace(b"\x01a", b"\x01b", 1),
    "salt": lambda s: s[:20] + bytes([s[20] ^ 1]) + s[21:],
    "flags": lambda s: s[:8] + bytes([s[8] ^ 1]) + s[9:],
    "cut off in a frame": lambda s: s[:-FRAME],
    "cut off after a frame": lambda s: s[: len(s) - (FRAME + TAG)],
    "without its end": lambda s: s[: -(40 + TAG)],
    "cut off in the header": lambda s: s[:12],
    "longer": lambda s: s + b"x",
    "two frames change places": lambda s: (
        s[:43] + s[43 + FRAME + TAG : 43 + 2 * (FRAME + TAG)] + s[43 : 43 + FRAME + TAG] + s[43 + 2 * (FRAME + TAG) :]
    ),
    "a frame twice": lambda s: s[: 43 + FRAME + TAG] + s[43 : 43 + FRAME + TAG] + s[43 + 2 * (FRAME + TAG) :],
    "without a frame": lambda s: s[:43] + s[43 + FRAME + TAG :],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_is_done_to_a_sealed_document_is_found(change: Callable[[bytes], bytes]) -> None:
    stored = written(os.urandom(4 * FRAME), Form(keys=Keys("a", {"a": b"a" * 32, "b": b"a" * 32})))
    reader = Form(keys=Keys("a", {"a": b"a" * 32, "b": b"a" * 32}))
    assert len(read(stored, reader)) == 4 * FRAME
    changed = change(stored)
    assert changed != stored
    with pytest.raises(IntegrityLost):
        read(changed, reader)


def test_frames_of_another_document_are_found() -> None:
    one, other = (written(os.urandom(3 * FRAME), SEALED) for _ in range(2))
    header = len(one) - (3 * (FRAME + TAG) + 40 + TAG)
    with pytest.raises(IntegrityLost):
        read(one[:header] + other[header:], SEALED)


@given(st.integers(0, 5000), st.integers(0, 7))
def test_a_compressed_document_that_was_changed_is_found_or_is_the_same(at: int, bit: int) -> None:
    """What slips through the checksum of gzip is found by the SHA-256 of the store."""
    form = FORMS["compressed"]
    stored = bytearray(written(TEXT, form))
    at = 10 + at % (len(stored) - 10)
    stored[at] ^= 1 << bit
    with suppress(IntegrityLost):
        assert hashlib.sha256(read(bytes(stored), form)).digest() == hashlib.sha256(TEXT).digest()


def test_a_compressed_document_never_gives_more_than_its_end_says() -> None:
    bomb = zlib.compressobj(wbits=31)
    body = bomb.compress(b"a" * 50_000_000) + bomb.flush()
    trailer = b"\0" * 32 + (1000).to_bytes(8, "big")
    stored = MAGIC + b"\x01\x00" + body + trailer
    with pytest.raises(IntegrityLost):
        read(stored, PLAIN)


def test_without_its_key_a_document_is_unavailable_not_rotten(sqlite_engine: Engine, tmp_path: Path) -> None:
    store = SqlDocumentStore(sqlite_engine, FolderBlobs(tmp_path, form=SEALED))
    sha256 = store.stage(document(b"secret"))
    store.publish("2.999.1", "text/plain", sha256, 6, "")
    with pytest.raises(Unavailable, match="encrypted with the key 'a'"):
        read(written(b"secret", SEALED), PLAIN)
    forgotten = Form(keys=Keys("b", {"b": b"b" * 32}))
    with pytest.raises(Unavailable, match="no encryption key 'a'"):
        read(written(b"secret", SEALED), forgotten)
    told: list[str] = []
    for form in (PLAIN, forgotten):
        other = SqlDocumentStore(
            sqlite_engine, FolderBlobs(tmp_path, form=form), lost=lambda *what: pytest.fail("it is not lost"),
            without_key=told.append,
        )  # fmt: skip
        found = other.find("2.999.1")
        assert found is not None
        assert found.soundness() is Soundness.LOCKED
    assert told == ["a", "a"]
    again = store.find("2.999.1")
    assert again is not None
    assert again.verify(), "it was not put into quarantine"


def test_keys_can_be_changed_while_documents_stay(sqlite_engine: Engine, tmp_path: Path) -> None:
    """A store without keys, with one, with another, and with none: everything is read with the keys that are named."""
    forms = [PLAIN, SEALED, Form(keys=Keys("b", {"a": b"a" * 32, "b": b"b" * 32}))]
    for number, form in enumerate(forms):
        store = SqlDocumentStore(sqlite_engine, FolderBlobs(tmp_path, form=form))
        data = b"document %d" % number
        store.publish(f"2.999.{number}", "text/plain", store.stage(document(data)), len(data), "")
        for earlier in range(number + 1):
            found = store.find(f"2.999.{earlier}")
            assert found is not None
            assert found.verify()
            assert b"".join(found.document.open()) == b"document %d" % earlier
    newest = FolderBlobs(tmp_path, form=forms[-1])
    for number in range(3):
        newest.put(document(b"document %d" % number))
    files = [path.read_bytes() for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert len(files) == 3, "what was written before is not left beside the new one"
    assert all(one[8:11] == b"\x02\x01b" for one in files)


def test_neither_names_nor_files_tell_what_a_sealed_document_is(tmp_path: Path) -> None:
    data = b"the patient has told us in confidence " * 5000
    blobs = FolderBlobs(tmp_path / "documents", form=SEALED)
    with SpoolFolder(tmp_path / "spool").open(form=SEALED) as spool:
        part = spool.part()
        part.write(data[:100_000])
        part.write(data[100_000:])
        finished = part.finish()
        assert b"".join(finished.open()) == data, "it can be read before it is stored"
        (spooled,) = [path for path in (tmp_path / "spool").rglob("*") if path.is_file() and "lock" not in path.name]
        assert b"confidence" not in spooled.read_bytes()
        inode = spooled.stat().st_ino
        sha256 = blobs.put(finished)
    everything = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.stat().st_ino == inode for path in everything), "taken over, not copied"
    assert not [path for path in everything if sha256 in path.name or b"confidence" in path.read_bytes()]
    assert b"".join(FolderBlobs(tmp_path / "documents", form=SEALED).find(sha256).open()) == data  # type: ignore[union-attr]
