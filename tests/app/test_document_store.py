"""The stores of the settings, as a running repository uses them: what arrives, what leaves, and what is rotten."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.repository_client import RepositoryClient
from tests.seaweedfs import BUCKET, SeaweedFS
from tests.servers import PATIENCE, Server, serving
from tests.storage.conftest import seaweedfs
from xdsi import app
from xdsi.app import document_store
from xdsi.app.document_store import FolderLocation
from xdsi.domain.errors import ConfigurationError, Unavailable, XdsiError
from xdsi.domain.submission import Document
from xdsi.settings import Repository, Settings
from xdsi.settings import Server as ServerSettings
from xdsi.storage.forms import Form
from xdsi.storage.s3_bucket import S3Location
from xdsi.storage.sealing import Keys

__all__ = ["seaweedfs"]
LARGE = 9 * 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("store") / "data", "--profile", "open") as one:
        yield one


def metric(server: Server, name: str) -> int:
    with urllib.request.urlopen(f"{server.base_url}/metrics", timeout=PATIENCE) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def alerts(server: Server, code: bytes = b"document-integrity") -> int:
    """How many audit records have a code, by default that a document is lost; they are written beside the exchange."""
    with sqlite3.connect(f"file:{server.data / 'xdsi.sqlite3'}?mode=ro", uri=True, timeout=PATIENCE) as connection:
        rows = connection.execute("SELECT xml FROM audit_record").fetchall()
    connection.close()
    return sum(code in bytes(row[0] if isinstance(row[0], bytes) else row[0].encode()) for row in rows)


def until(holds: object, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


def blob(server: Server) -> Path:
    (only,) = [path for path in (server.data / "documents" / "blobs").rglob("*") if path.is_file()]
    return only


def test_a_rotten_document_is_an_error_an_alert_and_a_metric(server: Server, tmp_path: Path) -> None:
    client = RepositoryClient(server, tmp_path)
    assert client.provide("2.999.7.1", b"precious").accepted
    path = blob(server)
    path.write_bytes(b"preciouS")
    with client.retrieved("2.999.7.1") as answer:
        assert [problem.code for problem in answer.outcome.problems] == ["XDSRepositoryError"]
        assert answer.documents == ()
    assert not path.exists(), "it is in quarantine"
    assert metric(server, "xdsi_documents_lost_total") == 1
    until(lambda: alerts(server) == 1)


def test_a_document_that_rots_unseen_is_never_delivered_whole(tmp_path: Path) -> None:
    """Too large to be hashed before the answer begins, and its file looks as it did when it was last verified."""
    data = os.urandom(LARGE)
    with serving(tmp_path / "data", "--profile", "open") as server:
        client = RepositoryClient(server, tmp_path)
        assert client.provide("2.999.7.2", data).accepted
        path = blob(server)
        with path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(bytes([data[-1] ^ 1]))
        found = path.stat()
        state = f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}"
        with sqlite3.connect(server.data / "xdsi.sqlite3", timeout=PATIENCE) as connection:
            connection.execute("UPDATE document SET verified = ?", (state,))
        connection.close()
        with pytest.raises(XdsiError) as broken, client.retrieved("2.999.7.2"):
            pass
        assert isinstance(broken.value, Unavailable), "the connection ends before the document does"
        assert not path.exists()
        until(lambda: metric(server, "xdsi_documents_lost_total") == 1 and alerts(server) == 1)
        with client.retrieved("2.999.7.2") as answer:
            assert [problem.code for problem in answer.outcome.problems] == ["XDSRepositoryError"]


def test_a_repository_keeps_its_documents_in_s3(seaweedfs: SeaweedFS, tmp_path: Path) -> None:
    prefix = f"served-{secrets.token_hex(4)}"
    config = tmp_path / "s3.toml"
    config.write_text(
        f'[repository]\nstore = "s3://{BUCKET}/{prefix}"\ns3_endpoint = "{seaweedfs.endpoint}"\n', "utf-8"
    )
    large = os.urandom(2 * LARGE)
    with serving(tmp_path / "data", "--profile", "open", config=config) as server:
        client = RepositoryClient(server, tmp_path)
        assert client.provide("2.999.7.1", b"small").accepted
        assert client.provide("2.999.7.2", large).accepted
        assert client.provide("2.999.7.1", b"other bytes").problems[0].code == "XDSNonIdenticalHash"
        with urllib.request.urlopen(f"{server.base_url}/health/ready", timeout=PATIENCE) as ready:
            assert b'"documents":"ok"' in ready.read()
        assert client.retrieve("2.999.7.1") == b"small"
        assert client.retrieve("2.999.7.2") == large
    spooled = [path for path in (tmp_path / "data" / "spool").rglob("*") if path.is_file() and "lock" not in path.name]
    assert spooled == []
    assert not (tmp_path / "data" / "documents").exists()


def readiness(server: Server) -> int:
    try:
        with urllib.request.urlopen(f"{server.base_url}/health/ready", timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_bucket_that_goes_away_and_comes_back_needs_no_restart(seaweedfs: SeaweedFS, tmp_path: Path) -> None:
    """Given a server at work, when S3 is killed, what is asked for fails and nothing is lost; then all goes on."""
    config = tmp_path / "s3.toml"
    place = f"s3://{BUCKET}/away-{secrets.token_hex(4)}"
    config.write_text(f'[repository]\nstore = "{place}"\ns3_endpoint = "{seaweedfs.endpoint}"\n', "utf-8")
    large = os.urandom(LARGE)
    with serving(tmp_path / "data", "--profile", "open", config=config) as server:
        client = RepositoryClient(server, tmp_path)
        assert client.provide("2.999.7.1", b"before").accepted
        seaweedfs.stop()
        try:
            for unique_id, data in (("2.999.7.2", b"meanwhile"), ("2.999.7.3", large)):
                assert [one.code for one in client.provide(unique_id, data).problems] == ["XDSRepositoryError"]
            with client.retrieved("2.999.7.1") as answer:
                assert [one.code for one in answer.outcome.problems] == ["XDSRepositoryError"]
            assert readiness(server) == 503
            assert metric(server, "xdsi_documents_lost_total") == 0
        finally:
            seaweedfs.start()
        until(lambda: readiness(server) == 200)
        assert client.retrieve("2.999.7.1") == b"before"
        for unique_id, data in (("2.999.7.2", b"meanwhile"), ("2.999.7.3", large)):
            with client.retrieved(unique_id) as answer:
                assert [one.code for one in answer.outcome.problems] == ["XDSDocumentUniqueIdError"], "not half of it"
            assert client.provide(unique_id, data).accepted
            assert client.retrieve(unique_id) == data


def test_a_repository_keeps_its_documents_encrypted(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(b64encode(b"k" * 32).decode() + "\n", "ascii")
    key.chmod(0o600)
    config = tmp_path / "sealed.toml"
    config.write_text(
        f'[repository]\ncompression = "gzip"\nencryption_key = "2026"\nencryption_keys = {{ "2026" = "file:{key}" }}\n',
        "utf-8",
    )
    data = b"in confidence " * 200_000
    with serving(tmp_path / "data", "--profile", "open", config=config) as server:
        client = RepositoryClient(server, tmp_path)
        assert client.provide("2.999.7.1", b"in confidence").accepted
        assert client.provide("2.999.7.2", data).accepted
        assert client.retrieve("2.999.7.1") == b"in confidence"
        assert client.retrieve("2.999.7.2") == data
        files = [path for path in (server.data / "documents").rglob("*") if path.is_file()]
        assert not [path for path in files if b"confidence" in path.read_bytes()]
        assert sum(path.stat().st_size for path in files) < 100_000
    with serving(tmp_path / "data", "--profile", "open") as server:
        with RepositoryClient(server, tmp_path).retrieved("2.999.7.1") as answer:
            (problem,) = answer.outcome.problems
        assert (problem.code, answer.documents) == ("XDSRepositoryError", ())
        assert "encrypted with a key that this repository was not given" in problem.context
        assert metric(server, "xdsi_documents_without_key_total") == 1
        until(lambda: alerts(server, b"encryption-key") == 1)
        assert alerts(server) == 0
    with serving(tmp_path / "data", "--profile", "open", config=config) as server:
        assert RepositoryClient(server, tmp_path).retrieve("2.999.7.1") == b"in confidence", "it was not set aside"


KEY = b64encode(b"k" * 32).decode()


@pytest.mark.parametrize("text", [KEY, f"{KEY}\n", (b"k" * 32).hex()])
def test_a_key_is_32_bytes_in_a_file_or_in_the_environment(text: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(text, "ascii")
    (tmp_path / "key").chmod(0o640)
    for place in (f"file:{tmp_path / 'key'}", "env:KEY"):
        found = document_store.form(
            Repository(encryption_key="a", encryption_keys={"a": place}, compression="gzip"), {"KEY": text}
        )
        assert found == Form(compress=True, keys=Keys("a", {"a": b"k" * 32}))
    assert KEY not in repr(found)
    assert "kkkk" not in repr(found)


@pytest.mark.parametrize(
    ("changes", "environment", "reason"),
    [
        ({"encryption_key": "b"}, {"KEY": KEY}, "valid: a key of encryption_keys"),
        ({"encryption_key": ""}, {"KEY": KEY}, "needs repository.encryption_key"),
        ({}, {}, "no environment variable KEY"),
        ({}, {"KEY": "short"}, "32"),
        ({}, {"KEY": b64encode(b"k" * 16).decode()}, "has 16 bytes"),
        ({"encryption_keys": {"a": "KEY"}}, {"KEY": KEY}, "valid: file:/path or env:NAME"),
        ({"encryption_keys": {"a": "file:/nowhere/key"}}, {}, "cannot be read"),
        ({"encryption_keys": {"a": "file:/etc/hostname"}}, {}, "by everybody"),
    ],
)
def test_keys_that_cannot_be_used_are_told(changes: dict[str, Any], environment: dict[str, str], reason: str) -> None:
    given = {"encryption_key": "a", "encryption_keys": {"a": "env:KEY"}} | changes
    with pytest.raises(ConfigurationError, match=reason) as refused:
        document_store.form(Repository(**given), environment)
    assert KEY not in str(refused.value)


def test_a_repository_whose_store_is_away_says_so(tmp_path: Path) -> None:
    config = tmp_path / "away.toml"
    config.write_text(
        '[repository]\nstore = "s3://documents"\ns3_endpoint = "http://127.0.0.1:9"\ns3_timeout_seconds = 1\n', "utf-8"
    )
    with serving(tmp_path / "data", "--profile", "open", config=config) as server:
        outcome = RepositoryClient(server, tmp_path).provide("2.999.7.1", b"small")
        assert [problem.code for problem in outcome.problems] == ["XDSRepositoryError"]
        with pytest.raises(urllib.error.HTTPError) as unready:
            urllib.request.urlopen(f"{server.base_url}/health/ready", timeout=PATIENCE)
        assert unready.value.code == 503
        unready.value.close()


def test_a_node_with_a_wrong_key_says_so_before_anybody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Given documents sealed with a key, when a node starts with another one under its id, log and readiness tell."""
    reason = "encryption_keys.a is not the key"
    for key, ready in (("6b", ""), ("78", reason)):
        monkeypatch.setenv("KEY", key * 32)
        settings = Settings(
            server=ServerSettings(data_dir=tmp_path),
            repository=Repository(encryption_key="a", encryption_keys={"a": "env:KEY"}),
        )
        with app.Parts(settings) as parts:
            if not ready:
                parts.documents.stage(Document(lambda: iter((b"x",)), 1))
            told = parts.ready()["documents"]()
            assert (ready in told) if ready else told == ""
            parts.tidy()
            assert (reason in caplog.text) is bool(ready)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", FolderLocation(Path("/data/documents"))),
        ("file:///srv/documents", FolderLocation(Path("/srv/documents"))),
        ("s3://bucket", S3Location(bucket="bucket")),
        ("s3://bucket/a/b/", S3Location(bucket="bucket", prefix="a/b")),
    ],
)
def test_a_store_is_a_folder_or_a_bucket(url: str, expected: FolderLocation | S3Location) -> None:
    assert document_store.location(url, Repository(), Path("/data")) == expected


@pytest.mark.parametrize("url", ["/srv/documents", "file://host/x", "ftp://host/x", "s3://", "s3://BAD_/x"])
def test_other_stores_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"repository\.store"):
        document_store.location(url, Repository(), Path("/data"))


@pytest.mark.parametrize(
    ("repository", "reason"),
    [
        (Repository(s3_endpoint="http://192.0.2.7:9000"), "plain HTTP"),
        (Repository(s3_endpoint="http://s3.example"), "plain HTTP"),
        (Repository(s3_kms_key="key"), "aws:kms"),
    ],
)
def test_a_way_to_s3_that_is_not_private_is_refused(repository: Repository, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        document_store.location("s3://bucket", repository, Path("/data"))
