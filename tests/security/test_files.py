"""Files with patients' data are not for everybody on the machine."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from xdsi import cli
from xdsi.domain.submission import Document
from xdsi.storage.blobs import FolderBlobs


@pytest.fixture
def open_handed() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_handed")
def test_what_a_command_writes_others_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDSI_SERVER__DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("XDSI_CONFIG", raising=False)
    assert cli.main(["db", "upgrade"]) == 0
    assert cli.main(["consent", "list", "P1^^^&2.999.1.1&ISO"]) == 0
    written = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
    assert len(written) > 1
    assert [path.name for path in written if stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO] == []


@pytest.mark.usefixtures("open_handed")
@pytest.mark.parametrize("content", [b"MZ\x90\0", b"\x7fELF\2\1\1", b"#!/bin/sh\ntouch ran\n", b"%PDF-1.7 /OpenAction"])
def test_no_document_can_be_run(tmp_path: Path, content: bytes) -> None:
    """A program that came as a document is kept as bytes: under its hash, without a mode or an ending to run it by."""
    blobs = FolderBlobs(tmp_path)
    digest = blobs.put(Document(lambda: iter((content,)), len(content)))
    assert digest == hashlib.sha256(content).hexdigest()
    path = blobs.path(digest)
    assert (path.name, path.read_bytes()) == (digest, content)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
