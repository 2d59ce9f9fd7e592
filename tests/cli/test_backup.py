"""The drill: a node is backed up while it serves, lost, and restored; and what `xdsi restore` refuses."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import builders
from tests.cli.test_commands import done, failed, xdsi
from tests.seaweedfs import BUCKET, SeaweedFS
from tests.servers import Server, envelope, exchange, http, serving
from tests.storage.conftest import seaweedfs
from tests.transactions.ports import document
from xdsi import app
from xdsi.domain.identifiers import new_entry_uuid, new_oid
from xdsi.domain.retrieval import DocumentRequest, RetrieveRequest
from xdsi.domain.submission import Provision
from xdsi.settings import load, replaced
from xdsi.spec.namespaces import SUCCESS
from xdsi.wire import xml
from xdsi.wire.ebxml import provision, retrieve
from xdsi.wire.message import Message, Packaging

__all__ = ["seaweedfs"]
PROVIDE = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
RETRIEVE = "urn:ihe:iti:2007:RetrieveDocumentSet"
HERE = "2.999.1.2"
_KILLED = """
import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("CREATE TABLE letters (text BLOB)")
c.executemany("INSERT INTO letters VALUES (?)", [(bytes(2000),)] * 200)
c.execute("PRAGMA cache_size=1")
c.execute("BEGIN")
c.execute("UPDATE letters SET text = randomblob(2000)")
os._exit(0)
"""


def provide(server: Server, content: bytes) -> str:
    """Provide one document; its uniqueId, once it is acknowledged."""
    one = builders.document_entry(new_entry_uuid(), unique_id=new_oid(), hash="", size="", repository_unique_id="")
    own = builders.submission_set(new_entry_uuid(), unique_id=new_oid())
    request = Provision(builders.submission(one, sets=[own]), {one.entry_uuid: document(content)})
    body = b"".join(provision.encode(request, Packaging.SIMPLE).body)
    answer = requests.post(
        server.url("repository"), data=envelope(PROVIDE, body, message_id=f"urn:uuid:{new_oid()}"),
        headers={"Content-Type": "application/soap+xml"}, timeout=60,
    )  # fmt: skip
    assert SUCCESS in answer.text, answer.text
    return one.unique_id


def fetch(server: Server, unique_id: str) -> bytes | None:
    """The bytes of a document, or None where it is not available."""
    request = RetrieveRequest((DocumentRequest("", HERE, unique_id),))
    body = b"".join(retrieve.encode_request(request, Packaging.SIMPLE).body)
    answer = exchange(server, http(envelope(RETRIEVE, body), path="/services/repository"))
    assert answer.status == 200
    root = xml.parse(answer.body)
    found = retrieve.decode_answer(Message((root.find("{*}Body")[0],)))  # type: ignore[index]
    return b"".join(found.documents[0].document.open()) if found.documents else None


def settings(folder: Path, data: Path, s3: SeaweedFS | None = None) -> Path:
    """Each node with a folder of its own, or with a place of its own in S3."""
    file = folder / f"{data.name}.toml"
    place = f"s3://{BUCKET}/{folder.name}/{data.name}"
    store = f"[repository]\nstore = '{place}'\ns3_endpoint = '{s3.endpoint}'\n" if s3 is not None else ""
    file.write_text(f"[server]\ndata_dir = '{data}'\n{store}", "utf-8")
    return file


def lose(s3: SeaweedFS, prefix: str) -> int:
    """Remove everything in one place of the bucket; how much it was."""
    client = s3.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    names = [one["Key"] for page in pages for one in page.get("Contents", ())]
    for name in names:
        client.delete_object(Bucket=BUCKET, Key=name)
    return len(names)


def objects(data: Path) -> dict[str, set[Any]]:
    """What the registry holds."""
    with closing(sqlite3.connect(f"file:{data / 'xdsi.sqlite3'}?mode=ro", uri=True)) as connection:
        tables = ("document_entry", "submission_set", "association", "identifier", "patient", "consent", "document")
        return {table: set(map(repr, connection.execute(f"SELECT * FROM {table}"))) for table in tables}


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_what_was_acknowledged_before_the_backup_is_there_after_the_restore(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    lost, found, copy = tmp_path / "lost", tmp_path / "found", tmp_path / "copy"
    s3: SeaweedFS | None = request.getfixturevalue("seaweedfs") if kind == "s3" else None
    contents: dict[str, bytes] = {}
    over = threading.Event()

    def keep_providing(server: Server) -> None:
        number = 0
        while not over.is_set():
            content = f"during the backup {number}".encode() * (1 + number % 3000)
            contents[provide(server, content)] = content
            number += 1

    with serving(lost, "--profile", "open", config=settings(tmp_path, lost, s3)) as server:
        for number in range(10):
            content = f"before the backup {number}".encode()
            contents[provide(server, content)] = content
        before = dict(contents)
        busy = [threading.Thread(target=keep_providing, args=(server,)) for _ in range(3)]
        for one in busy:
            one.start()
        try:
            (item,) = done("backup", copy, config=settings(tmp_path, lost, s3))
        finally:
            over.set()
            for one in busy:
                one.join()
        assert item["documents"] >= len(before)
        assert item["absent"] == []
        assert "a server runs" in failed("restore", copy, "--force", config=settings(tmp_path, lost, s3))
        server.kill()
    at_the_end = objects(lost)
    shutil.rmtree(lost)
    if s3 is not None:
        assert lose(s3, f"{tmp_path.name}/lost/") >= len(before)

    (restored,) = done("restore", copy, config=settings(tmp_path, found, s3))
    assert restored["documents"] == item["documents"]
    for table, kept in objects(found).items():
        assert kept <= at_the_end[table] or table in ("patient", "document"), f"nothing but what was there: {table}"
    status, verified = xdsi("audit", "verify", config=settings(tmp_path, found, s3))
    assert (status, verified["items"]) == (0, [])

    with serving(found, "--profile", "open", config=settings(tmp_path, found, s3)) as server:
        for unique_id, content in before.items():
            assert fetch(server, unique_id) == content
        later = [id_ for id_ in contents if id_ not in before]
        for unique_id in later:
            assert fetch(server, unique_id) in (None, contents[unique_id]), "whole or not at all"
        provide(server, b"life goes on")
    recorded = done("audit", "search", "--limit", "5000", config=settings(tmp_path, found, s3))
    assert [record["event"] for record in recorded].count("Use of Restricted Function") == 1


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a node without documents."""
    folder = tmp_path_factory.mktemp("copied")
    with app.Parts(replaced(load(), "server", data_dir=folder / "data")) as parts:
        parts.engine.connect().close()
    done("backup", folder / "copy", config=settings(folder, folder / "data"))
    return folder / "copy"


def test_nothing_is_overwritten_without_being_asked(copied: Path, tmp_path: Path) -> None:
    config = settings(tmp_path, tmp_path / "data")
    done("restore", copied, config=config)
    digest = hashlib.sha256((tmp_path / "data" / "xdsi.sqlite3").read_bytes()).hexdigest()
    assert "--force" in failed("restore", copied, config=config)
    assert hashlib.sha256((tmp_path / "data" / "xdsi.sqlite3").read_bytes()).hexdigest() == digest
    done("restore", copied, "--force", config=config)


def test_a_restore_goes_into_the_folder_that_is_named(copied: Path, tmp_path: Path) -> None:
    done("restore", copied, "--data", tmp_path / "named", config=settings(tmp_path, tmp_path / "data"))
    assert (tmp_path / "named" / "xdsi.sqlite3").exists()
    assert not (tmp_path / "data").exists()


def test_a_folder_of_something_else_is_left_as_it_is_without_being_asked(copied: Path, tmp_path: Path) -> None:
    other = tmp_path / "home"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    assert "'letter.txt'" in failed("restore", copied, "--data", other)
    assert [one.name for one in other.iterdir()] == ["letter.txt"]
    done("restore", copied, "--data", other, "--force")
    assert (other / "letter.txt").read_text() == "dear"


def at_database(tmp_path: Path, file: Path) -> Path:
    """Settings of a node whose database would be this one."""
    config = tmp_path / "other.toml"
    config.write_text(f"[server]\ndata_dir = '{tmp_path / 'data'}'\n[registry]\ndatabase = 'sqlite:///{file}'\n")
    return config


@pytest.mark.parametrize("tables", [("invoices",), ("document", "letters"), ("alembic_version", "invoices")])
def test_a_database_of_something_else_is_left_as_it_is(copied: Path, tmp_path: Path, tables: Sequence[str]) -> None:
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as other:
        for table in tables:
            other.execute(f"CREATE TABLE {table} (number INTEGER)")
    before = file.read_bytes()
    for force in ([], ["--force"]):
        assert f"'{tables[0]}'" in failed("restore", copied, *force, config=at_database(tmp_path, file))
    assert file.read_bytes() == before


def test_a_database_that_somebody_else_writes_is_left_as_it_is(copied: Path, tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE invoices (number INTEGER)")
        other.execute("BEGIN EXCLUSIVE")
        assert "cannot be seen" in failed("restore", copied, "--force", config=at_database(tmp_path, file))
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("SELECT count(*) FROM invoices").fetchone() == (0,)


def test_what_another_program_had_not_finished_is_left_to_it(copied: Path, tmp_path: Path) -> None:
    """Given a database that was killed while it wrote, with the journal beside it that undoes that."""
    file = tmp_path / "other.db"
    subprocess.run([sys.executable, "-c", _KILLED, file], check=True)
    left = {one.name: one.read_bytes() for one in tmp_path.glob("other.db*")}
    assert left["other.db-journal"]
    for force in ([], ["--force"]):
        assert "cannot be seen" in failed("restore", copied, *force, config=at_database(tmp_path, file))
    assert {one.name: one.read_bytes() for one in tmp_path.glob("other.db*")} == left


def test_a_database_that_is_damaged_is_replaced(copied: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.db"
    file.write_bytes(b"no database any more" * 1000)
    config = at_database(tmp_path, file)
    assert "--force" in failed("restore", copied, config=config)
    done("restore", copied, "--force", config=config)


@pytest.mark.parametrize("left", ["pki", "lost+found", "node.toml", "services.lock", "restore.unfinished"])
def test_what_a_node_left_or_needs_is_its_own(copied: Path, tmp_path: Path, left: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    if left in {"pki", "lost+found"}:
        (data / left).mkdir()
    else:
        (data / left).touch()
    if left in {"services.lock", "restore.unfinished"}:
        (data / "notes.txt").touch()
    done("restore", copied, "--data", data, "--force")


def test_a_restore_that_was_not_finished_keeps_everybody_from_serving(copied: Path, tmp_path: Path) -> None:
    config, data = settings(tmp_path, tmp_path / "data"), tmp_path / "data"
    done("restore", copied, config=config)
    (data / "restore.unfinished").touch()
    assert "was not finished" in failed("patient", "list", config=config)
    assert "--force" in failed("restore", copied, config=config)
    done("restore", copied, "--force", config=config)
    assert done("patient", "list", config=config) == []


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    config = settings(tmp_path, tmp_path / "data")
    assert "holds no backup" in failed("restore", tmp_path, config=config)
    assert "nothing is kept" in failed("backup", tmp_path / "copy", config=config)
    assert not (tmp_path / "copy").exists()


def test_a_backup_goes_into_a_new_or_empty_folder(copied: Path) -> None:
    config = settings(copied.parent, copied.parent / "data")
    assert "not empty" in failed("backup", copied, config=config)
