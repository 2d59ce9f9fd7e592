"""storage/spool: parts wait in private files that vanish with the request or with the process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.storage.spool import IN_MEMORY, Part, RequestSpool, SpooledDocument, SpoolFolder


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "lock" not in path.name]


@given(st.lists(st.binary(max_size=50)), st.integers(0, 60))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], small: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    with RequestSpool(folder, limit=None, in_memory=small) as spool:
        part = spool.part()
        for piece in pieces:
            part.write(piece)
        document = part.finish()
        data = b"".join(pieces)
        assert b"".join(document.open()) == b"".join(document.open()) == data
        assert document.size == len(data)
        assert document.sha1 == hashlib.sha1(data).hexdigest()
        assert document.sha256 == hashlib.sha256(data).hexdigest()
        assert document.blake3 == blake3(data).hexdigest()
        assert len(files(folder)) == (len(data) > small)
    assert files(folder) == []


def test_a_part_keeps_its_bytes_when_the_caller_reuses_the_buffer(tmp_path: Path) -> None:
    with SpoolFolder(tmp_path).open() as spool:
        part = spool.part()
        buffer = bytearray(b"abc")
        part.write(buffer)
        buffer[:] = b"xyz"
        assert b"".join(part.finish().open()) == b"abc"


def test_large_pieces_are_hashed_and_kept_like_small_ones(tmp_path: Path) -> None:
    data = os.urandom(9 * 1024 * 1024 + 11)
    with SpoolFolder(tmp_path).open() as spool:
        part = spool.part()
        for at in range(0, len(data), 1_000_003):
            part.write(data[at : at + 1_000_003])
        document = part.finish()
        assert b"".join(document.open()) == data
        assert (document.sha1, document.sha256) == (hashlib.sha1(data).hexdigest(), hashlib.sha256(data).hexdigest())
        assert document.blake3 == blake3(data).hexdigest()


def test_files_are_private(tmp_path: Path) -> None:
    with SpoolFolder(tmp_path / "spool").open() as spool:
        part = spool.part()
        part.write(bytes(IN_MEMORY + 1))
        part.finish()
        (file,) = files(tmp_path)
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("in_memory", [0, 1000])
def test_a_part_beyond_the_limit_is_refused(tmp_path: Path, in_memory: int) -> None:
    with SpoolFolder(tmp_path, limit=10, in_memory=in_memory).open() as spool:
        part = spool.part()
        part.write(b"0123456789")
        with pytest.raises(MalformedMessage, match="at most 10 bytes"):
            part.write(b"x")


def test_a_disk_that_refuses_is_unavailable() -> None:
    part = Part(Path("/no/such/folder"), limit=None, in_memory=0)
    with pytest.raises(Unavailable, match="spool"):
        part.write(b"x")


def test_close_removes_everything_but_what_was_taken_over(tmp_path: Path) -> None:
    spool = SpoolFolder(tmp_path / "spool", in_memory=0).open()
    documents = []
    for data in (b"kept", b"gone"):
        part = spool.part()
        part.write(data)
        documents.append(part.finish())
    unfinished = spool.part()
    unfinished.write(b"half")
    kept = documents[0]
    assert isinstance(kept, SpooledDocument)
    assert kept.part is not None
    assert kept.part.path is not None
    kept.part.moved(kept.part.path.rename(tmp_path / "kept"))
    spool.close()
    spool.close()
    assert files(tmp_path) == [tmp_path / "kept"]
    assert b"".join(kept.open()) == b"kept"


def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_else(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from xdsi.storage.spool import SpoolFolder;"
        "part = SpoolFolder(Path(sys.argv[1]), in_memory=0).open().part();"
        "part.write(b'x'); os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=root, check=False)
    assert killed.returncode == -9
    assert len(files(tmp_path)) == 1
    other = SpoolFolder(tmp_path, in_memory=0)
    part = other.open().part()
    part.write(b"in use")
    part.finish()
    SpoolFolder(tmp_path).close()
    assert [file.read_bytes() for file in files(tmp_path)] == [b"in use"]
    other.close()
    other.close()
    assert files(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
