"""`xdsi repository verify` and `migrate` beside a running server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.app.repository_client import RepositoryClient
from tests.servers import REPOSITORY, environment, serving


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
        assert (status, found["message"]) == (0, "1 document copied, 0 there before, 0 failed")
        assert RepositoryClient(server, tmp_path).provide("2.999.7.2", b"two").accepted
    with serving(data, "--profile", "open", config=during) as server:
        client = RepositoryClient(server, tmp_path)
        assert client.provide("2.999.7.3", b"three").accepted
        assert [client.retrieve(f"2.999.7.{number}") for number in (1, 2, 3)] == [b"one", b"two", b"three"]
        status, found = run(during, data, "migrate")
        assert (status, found["message"]) == (0, "1 document copied, 2 there before, 0 failed")
        assert run(after, data, "verify")[0] == 0
        (stored,) = [path for path in (newest / "blobs").rglob("*") if path.is_file() and path.read_bytes() == b"three"]
        stored.write_bytes(b"thrEE")
        status, found = run(after, data, "verify")
        assert (status, found["status"]) == (1, "failed")
        assert found["items"] == [{"finding": "rotten", "name": "2.999.7.3"}]
        assert found["message"] == "3 documents: 1 rotten"
        with client.retrieved("2.999.7.3") as answer:
            assert answer.documents == ()
