"""storage/s3_blobs on a real SeaweedFS: what only S3 can do to a document, and what a crash leaves there."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from sqlalchemy.engine import Engine

from tests.seaweedfs import BUCKET, SeaweedFS
from tests.servers import wait_until
from tests.storage.stores import Clock, S3Inside
from xdsi.domain.errors import Unavailable
from xdsi.domain.submission import Document
from xdsi.storage.blobs import GRACE_SECONDS
from xdsi.storage.documents import SqlDocumentStore
from xdsi.storage.forms import PLAIN, Form
from xdsi.storage.s3_blobs import S3Blobs
from xdsi.storage.s3_bucket import Bucket, S3Location
from xdsi.storage.s3_upload import PART
from xdsi.storage.sealing import FRAME, Keys
from xdsi.storage.spool import SpoolFolder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def inside(seaweedfs: SeaweedFS, sqlite_engine: Engine) -> Iterator[S3Inside]:
    found = S3Inside(seaweedfs, f"s3-{secrets.token_hex(4)}", sqlite_engine, Clock())
    yield found
    found.blobs.close()


def document(data: bytes) -> Document:
    return Document(lambda: iter((data,)), len(data))


def location(inside: S3Inside) -> S3Location:
    return S3Location(bucket=BUCKET, prefix=inside.prefix, endpoint=inside.server.endpoint)


def test_a_large_document_is_on_its_way_before_it_has_arrived(inside: S3Inside, tmp_path: Path) -> None:
    data = os.urandom(2 * PART + 5)
    with SpoolFolder(tmp_path / "spool").open(inside.follow) as spool:
        part = spool.part()
        part.write(data[:PART])
        until = time.monotonic() + 20
        while not inside.everything() and time.monotonic() < until:
            time.sleep(0.01)
        assert len(inside.everything()) == 1, "an upload has begun"
        part.write(data[PART:])
        sha256 = inside.blobs.put(part.finish())
    assert len(inside.copies(data)) == 1
    found = inside.blobs.find(sha256)
    assert found is not None
    assert b"".join(found.open(PART - 1)) == data[PART - 1 :]


def test_an_upload_that_takes_hours_is_not_collected_on_its_way(inside: S3Inside, tmp_path: Path) -> None:
    """Given a sender who is slow but steady, when the hourly clean-up comes by, what he sent before goes on, too."""
    with SpoolFolder(tmp_path / "spool", in_memory=0).open(inside.follow) as spool:
        first, second = spool.part(), spool.part()
        for part in (first, second):
            part.write(os.urandom(PART))
        wait_until(lambda: len(inside.everything()) == 2)
        for _ in range(7):
            inside.clock.now += GRACE_SECONDS / 2
            second.write(b"x")
            inside.blobs.collect(lambda _: False, grace=GRACE_SECONDS)
        for part in (first, second):
            found = inside.blobs.find(inside.blobs.put(part.finish()))
            assert found is not None
            assert found.size == part.size
    assert len(inside.everything()) == 4, "two documents, and what refers to them"


def test_small_parts_that_come_for_hours_keep_the_large_one_before_them(inside: S3Inside, tmp_path: Path) -> None:
    """Given a large part that has arrived, when what comes slowly behind it is so small that nobody follows it."""
    with SpoolFolder(tmp_path / "spool", in_memory=1_000_000).open(inside.follow) as spool:
        first, second = spool.part(), spool.part()
        first.write(os.urandom(PART + 5))
        wait_until(lambda: len(inside.everything()) == 1)
        for _ in range(7):
            inside.clock.now += GRACE_SECONDS / 2
            second.write(b"x")
            inside.blobs.collect(lambda _: False, grace=GRACE_SECONDS)
        found = inside.blobs.find(inside.blobs.put(first.finish()))
        assert found is not None
        assert found.size == first.size


def test_a_copy_that_takes_hours_is_not_collected_on_its_way(inside: S3Inside) -> None:
    """As when documents move from a slow store."""

    def slowly() -> Iterator[bytes]:
        for _ in range(5):
            yield os.urandom(PART)
            inside.clock.now += GRACE_SECONDS / 2
            inside.blobs.collect(lambda _: False, grace=GRACE_SECONDS)

    found = inside.blobs.find(inside.blobs.put(Document(slowly, 5 * PART)))
    assert found is not None
    assert found.size == 5 * PART


def test_a_service_that_is_away_is_unavailable(inside: S3Inside, sqlite_engine: Engine, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = replace(location(inside), endpoint=f"http://127.0.0.1:{unused.getsockname()[1]}")
        blobs = S3Blobs(away, sqlite_engine)
        with pytest.raises(Unavailable, match="s3://documents"):
            blobs.find("0" * 64)
        with pytest.raises(Unavailable):
            blobs.put(document(b"x"))
        with SpoolFolder(tmp_path / "spool").open(blobs.follow) as spool:
            part = spool.part()
            part.write(os.urandom(PART + 1))
            with pytest.raises(Unavailable):
                blobs.put(part.finish())
        blobs.close()


def test_a_service_that_does_not_answer_is_unavailable_after_the_time_limit(
    inside: S3Inside, sqlite_engine: Engine
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        blobs = S3Blobs(replace(location(inside), endpoint=endpoint, timeout_seconds=0.2), sqlite_engine)
        with pytest.raises(Unavailable, match=r"[Tt]ime"):
            blobs.find("0" * 64)


def test_a_service_that_refuses_the_key_is_unavailable(
    inside: S3Inside, sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # which remembers the right one
    stranger = S3Blobs(location(inside), sqlite_engine)
    with pytest.raises(Unavailable, match=r"SignatureDoesNotMatch|Forbidden|403"):
        stranger.find("0" * 64)


def test_server_side_encryption_is_asked_for(inside: S3Inside) -> None:
    bucket = Bucket(replace(location(inside), encryption="AES256"))
    bucket.put("one", b"sealed by the service")
    upload = bucket.begin("two")
    bucket.complete("two", upload, {1: bucket.send("two", upload, 1, b"in parts", 8)})
    for key, data in (("one", b"sealed by the service"), ("two", b"in parts")):
        head = inside.client.head_object(Bucket=BUCKET, Key=f"{inside.prefix}/{key}")
        assert head["ServerSideEncryption"] == "AES256"
        assert b"".join(bucket.open(key)) == data


def test_a_download_that_breaks_off_is_taken_up_where_it_broke(inside: S3Inside) -> None:
    data = os.urandom(3_000_000)
    sha256 = inside.blobs.put(document(data))
    with _Breaking(inside.server.ports["s3"], after=1_200_000) as port:
        through = Bucket(replace(location(inside), endpoint=f"http://127.0.0.1:{port.number}"))
        (key,) = inside.copies(data)
        assert b"".join(through.open(key.removeprefix(f"{inside.prefix}/"))) == data
        assert port.broken >= 1
    assert sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("form", [PLAIN, Form(keys=Keys("a", {"a": b"k" * 32}))], ids=["plain", "sealed"])
def test_the_end_of_a_document_is_asked_for_as_a_range(inside: S3Inside, form: Form) -> None:
    """Given a large document, when its last bytes are wanted, S3 is asked for what holds them alone."""
    data = os.urandom(2 * PART)
    blobs = inside.again(form)
    found = blobs.find(blobs.put(document(data)))
    assert found is not None
    ranges: list[str] = []
    blobs.bucket._client.meta.events.register(
        "before-send.s3.GetObject", lambda request, **_: ranges.append(str(request.headers.get("Range", b"")))
    )
    assert b"".join(found.open(len(data) - 10)) == data[-10:]
    # The first look finds out how it is written.
    begins = [int(re.findall(r"bytes=(\d+)-", one)[0]) for one in ranges[1:]]
    assert len(begins) >= 1
    assert min(begins) >= len(data) - 2 * FRAME
    blobs.close()


def test_the_newest_copy_that_is_whole_is_read_and_the_others_go(inside: S3Inside) -> None:
    clock = inside.clock
    sha256 = inside.blobs.put(document(b"twice"))
    first = inside.blobs.find(sha256)
    inside.blobs.put(document(b"twice"))
    second = inside.blobs.find(sha256)
    assert first is not None
    assert second is not None
    assert second.copy > first.copy
    assert second.set_aside()
    third = inside.blobs.find(sha256)
    assert third is not None
    assert third.copy == first.copy, "the older one is there until its time has come"
    clock.now += GRACE_SECONDS + 1
    inside.blobs.collect(lambda _: True, grace=GRACE_SECONDS)
    assert inside.blobs.find(sha256) is not None, "nothing is left that could take its place"


WRITER = """
import os, sys
from pathlib import Path
from xdsi.storage.database import open_database
from xdsi.storage.s3_blobs import S3Blobs
from xdsi.storage.s3_bucket import S3Location
from xdsi.storage.s3_upload import PART
from xdsi.storage.spool import SpoolFolder
place = S3Location(bucket="documents", prefix=sys.argv[2], endpoint=sys.argv[3])
blobs = S3Blobs(place, open_database(sys.argv[1]))
spool = SpoolFolder(Path(sys.argv[4])).open(blobs.follow)
whole = spool.part()
whole.write(os.urandom(2 * PART))
print(blobs.put(whole.finish()), flush=True)
part = spool.part()
while True:
    part.write(os.urandom(100_000))
    print(part.size, flush=True)
"""


def test_what_a_killed_process_left_in_the_bucket_is_collected(
    inside: S3Inside, sqlite_engine: Engine, tmp_path: Path
) -> None:
    url = sqlite_engine.url.render_as_string()
    command = [sys.executable, "-c", WRITER, url, inside.prefix, inside.server.endpoint, str(tmp_path / "spool")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    sha256 = process.stdout.readline().strip()
    store = SqlDocumentStore(sqlite_engine, inside.blobs)
    store.publish("2.999.1", "text/plain", sha256, 2 * PART, "")
    for line in process.stdout:
        if int(line) > 3 * PART:
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()
    inside.clock.now = time.time() + GRACE_SECONDS + 60
    store.collect()
    found = store.find("2.999.1")
    assert found is not None
    assert found.verify(always=True)
    assert len(inside.everything()) == 2, "the document and what refers to it"


class _Breaking:
    """Passes connections on and breaks each answer after so many bytes."""

    def __init__(self, to: int, *, after: int) -> None:
        self._to = to
        self._after = after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.number = int(self._listener.getsockname()[1])
        self.broken = 0
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> _Breaking:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with closing(client), socket.create_connection(("127.0.0.1", self._to)) as server:
                self._open = [client, server]
                self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        # The request of a download is one packet.
        server.sendall(client.recv(65536))
        passed = 0
        while passed < self._after and (data := server.recv(65536)):
            client.sendall(data)
            passed += len(data)
        self.broken += passed >= self._after
