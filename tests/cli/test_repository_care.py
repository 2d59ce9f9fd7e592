"""`xdsi repository verify` and `migrate` beside a running server."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from tests.app.repository_client import RepositoryClient
from tests.servers import REPOSITORY, environment, serving
from xdsi import app
from xdsi.cli import main
from xdsi.domain.submission import Document
from xdsi.settings import load


def run(config: Path, data: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "xdsi", "--config", str(config), "--json", "repository", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=REPOSITORY, timeout=120, check=False,
        env=environment(XDSI_SERVER__DATA_DIR=str(data)),
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def test_a_store_moves_while_the_server_runs(tmp_path: Path) -> None:
    data, newest = tmp_path / "data", tmp_path / "newest"
    before, during, after = (tmp_path / f"{name}.toml" for name in ("before", "during", "after"))
    before.write_text("")
    during.write_text(f'[repository]\nstore = "file://{newest}"\nformer_stores = ["file://{data / "documents"}"]\n')
    after.write_text(f'[repository]\nstore = "file://{newest}"\n')
    with serving(data, "--profile", "open", config=before) as server:
        assert RepositoryClient(server, tmp_path).provide("2.999.7.1", b"one").accepted
        status, found = run(before, data, "migrate", "--to", f"file://{newest}")
        assert (status, found["message"]) == (0, "1 document copied, 0 there already, 0 failed")
        assert RepositoryClient(server, tmp_path).provide("2.999.7.2", b"two").accepted
    with serving(data, "--profile", "open", config=during) as server:
        client = RepositoryClient(server, tmp_path)
        assert client.provide("2.999.7.3", b"three").accepted
        assert [client.retrieve(f"2.999.7.{number}") for number in (1, 2, 3)] == [b"one", b"two", b"three"]
        status, found = run(during, data, "migrate")
        assert (status, found["message"]) == (0, "1 document copied, 2 there already, 0 failed")
        assert run(after, data, "verify")[0] == 0
        (stored,) = [path for path in (newest / "blobs").rglob("*") if path.is_file() and path.read_bytes() == b"three"]
        stored.write_bytes(b"thrEE")
        status, found = run(after, data, "verify")
        assert (status, found["status"]) == (1, "failed")
        assert found["items"] == [{"finding": "rotten", "name": "2.999.7.3"}]
        assert found["message"] == "3 documents: 1 rotten"
        with client.retrieved("2.999.7.3") as answer:
            assert answer.documents == ()


def keep(config: Path, count: int) -> None:
    """Documents in the store of some settings, each with bytes of its own."""
    with app.Parts(load(config)) as parts:
        for number in range(count):
            data = b"document %d" % number
            sha256 = parts.documents.stage(Document(lambda data=data: iter((data,)), len(data)))  # type: ignore[misc]
            parts.documents.publish(f"2.999.7.{number}", "text/plain", sha256, len(data), "")


def told(*arguments: object) -> tuple[int, dict[str, Any]]:
    """Status and answer of a command in this process."""
    with redirect_stdout(io.StringIO()) as output:
        status = main(["--json", *map(str, arguments)])
    return status, json.loads(output.getvalue())


def shown(config: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What somebody at a terminal sees of a command that ends well."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with redirect_stdout(io.StringIO()) as output:
        assert main(["--config", str(config), *arguments]) == 0
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.getvalue())


def test_who_waits_for_a_check_or_a_move_sees_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given three documents, a bar goes from none to all of them, and the last line says what was found."""
    config = tmp_path / "node.toml"
    config.write_text(f"[server]\ndata_dir = '{tmp_path / 'data'}'\n")
    keep(config, 3)
    move = ("migrate", "--to", f"file://{tmp_path / 'other'}")
    for action, last in (
        (("verify",), "3 documents: all whole, nothing extra"), (move, "3 documents copied, 0 there already, 0 failed"),
    ):  # fmt: skip
        text = shown(config, monkeypatch, "repository", *action)
        frames = [int(done) for done in re.findall(r"documents .* ([0-3])/3 ", text.replace("\r", "\n"))]
        assert (frames[0], frames[-1], frames == sorted(frames)) == (0, 3, True)
        assert text.rstrip().endswith(last)


def test_a_missing_key_is_told_without_calling_bytes_extra(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("6b" * 32)
    (tmp_path / "key").chmod(0o600)
    sealed, bare = tmp_path / "sealed.toml", tmp_path / "bare.toml"
    bare.write_text(f"[server]\ndata_dir = '{tmp_path / 'data'}'\n")
    sealed.write_text(
        bare.read_text()
        + f"[repository]\nencryption_key = 'a'\nencryption_keys = {{ a = 'file:{tmp_path / 'key'}' }}\n"
    )
    keep(sealed, 2)
    status, found = told("--config", bare, "repository", "verify")
    assert (status, found["items"]) == (1, [{"finding": "locked", "name": f"2.999.7.{number}"} for number in (0, 1)])
    assert found["message"].startswith("2 documents: 2 locked; extra bytes were not looked for")
    (tmp_path / "key").write_text("78" * 32)
    status, found = told("--config", sealed, "repository", "verify")
    assert (status, found["items"]) == (1, [])
    assert "encryption_keys.a is not the key that documents are encrypted with" in found["message"]
    (tmp_path / "key").write_text("6b" * 32)
    assert told("--config", sealed, "repository", "verify")[0] == 0


def test_where_every_document_is_missing_the_store_is_asked_for(tmp_path: Path) -> None:
    config, moved = tmp_path / "node.toml", tmp_path / "moved.toml"
    config.write_text(f"[server]\ndata_dir = '{tmp_path / 'data'}'\n")
    moved.write_text(config.read_text() + f"[repository]\nstore = 'file://{tmp_path / 'elsewhere'}'\n")
    keep(config, 2)
    status, found = told("--config", moved, "repository", "verify")
    assert (status, [item["finding"] for item in found["items"]]) == (1, ["missing", "missing"])
    assert "is this the store they were put into?" in found["message"]
    next(path for path in (tmp_path / "data" / "documents" / "blobs").rglob("*") if path.is_file()).unlink()
    assert "is this the store" not in told("--config", config, "repository", "verify")[1]["message"]


def test_a_backup_names_some_of_the_documents_that_it_lacks(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f"[server]\ndata_dir = '{tmp_path / 'data'}'\n")
    keep(config, 13)
    for path in (tmp_path / "data" / "documents" / "blobs").rglob("*"):
        if path.is_file() and path.read_bytes() != b"document 7":
            path.unlink()
    status, found = told("--config", config, "backup", tmp_path / "copy")
    (item,) = found["items"]
    assert (status, item["documents"], len(item["absent"])) == (1, 1, 12)
    assert found["message"].count(", ") == 1 + 1 + 9
    assert found["message"].endswith(" and 2 more")
