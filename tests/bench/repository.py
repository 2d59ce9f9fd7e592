"""The repository against what its work cannot do without: hashing and flushing, nginx, the client of S3."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config

from tests import imaging
from tests.bench import content, hub, messages, nginx
from tests.bench.figures import Comparison, Side, alternate
from tests.bench.images import MEMORY_AIM
from tests.bench.processes import Server, free_port, python, running
from tests.bench.sink import CIPHER, Sink
from tests.bench.upload import at_once, small_ones, upload
from tests.seaweedfs import BUCKET, SeaweedFS
from xdsi.domain.codes import Code
from xdsi.spec import imaging_codes

TOTAL = 600_000_000
_PATH = "/services/repository"
_SERVED = "answer.bin"
TOGETHER = 8


@contextmanager
def _serving(folder: Path, text: str = "", *, profile: bool = True) -> Iterator[Server]:
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "settings.toml"
    settings.write_text(text, "utf-8")
    command = python("xdsi", "--config", settings, "serve", "--port", str(port), "--data", folder / "data")
    command += ["--profile", "open"] if profile else []
    with running(command, port=port, tls=False, log=folder / "serve.log") as server:
        yield server


def _content(file: Path, size: int) -> Path:
    with file.open("wb") as written:
        left = size
        while left:
            left -= written.write(os.urandom(min(left, 4_000_000)))
    return file


class _Memory:
    """What transfers cost the process that serves, looked at again and again."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before = server.memory()
        self._highest = self._before.own
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()
        server.forget_highest()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self._highest = max(self._highest, self._server.memory().own)

    def note(self, what: str) -> dict[str, str]:
        self._over.set()
        self._looking.join()
        grown = self._highest - self._before.own
        mapped = self._server.memory().highest - self._before.now
        reached = "reached" if grown < MEMORY_AIM else "NOT reached"
        return {
            f"memory, {what}": f"at rest {self._before.own / 1e6:.0f} MB, at its highest {self._highest / 1e6:.0f} MB, "
            f"growth {grown / 2**20:.1f} MiB (aim below {MEMORY_AIM // 2**20} MiB: {reached}); with the file of the "
            f"database, counted for each connection, {mapped / 2**20:.1f} MiB"
        }


def provide_to_folder(folder: Path, *, rounds: int) -> Comparison:
    """ITI-41 of 600 MB against hashing and writing the same bytes with fsync."""
    folder.mkdir(parents=True)
    file, message = _content(folder / "content", TOTAL), messages.provide()
    with _serving(folder / "hub") as server:
        numbers = iter(range(1, 1000))
        upload(server, message, next(numbers), file)
        memory = _Memory(server)
        values = alternate(
            rounds,
            lambda: TOTAL / upload(server, message, next(numbers), file) / 1e6,
            lambda: TOTAL / _hash_and_write(file, folder / "written") / 1e6,
        )
        notes = memory.note("one at a time")
        memory = _Memory(server)
        at_once(server, message, range(2000, 2000 + TOGETHER), file)
        notes |= memory.note(f"{TOGETHER} at once")
    return Comparison(
        "ITI-41, 600 MB as MTOM, plain HTTP, a folder",
        "MB/s",
        Side("xdsi serve --profile open", values[0]),
        Side("SHA-256, write, fsync, rename, fsync", values[1]),
        0.5,
        notes,
    )


def _hash_and_write(content: Path, target: Path) -> float:
    began = time.perf_counter()
    found, temporary = hashlib.sha256(), target.with_suffix(".new")
    with content.open("rb", buffering=0) as read, temporary.open("wb", buffering=0) as written:
        while chunk := read.read(1 << 20):
            found.update(chunk)
            written.write(chunk)
        os.fsync(written.fileno())
    temporary.replace(target)
    names = os.open(target.parent, os.O_RDONLY)
    os.fsync(names)
    os.close(names)
    return time.perf_counter() - began


def provide_to_s3(folder: Path, *, rounds: int) -> Comparison:
    """ITI-41 of 600 MB to a repository on S3 against the S3 client's own upload."""
    folder.mkdir(parents=True)
    file, message = _content(folder / "content", TOTAL), messages.provide()
    service = SeaweedFS(folder / "seaweedfs")
    service.start()
    os.environ.update(service.environment)
    client = boto3.client(
        "s3",
        endpoint_url=service.endpoint,
        region_name="us-east-1",
        config=Config(request_checksum_calculation="when_required", response_checksum_validation="when_required"),
    )

    def own(number: int) -> float:
        began = time.perf_counter()
        client.upload_file(str(file), BUCKET, f"own/{number}")
        seconds = time.perf_counter() - began
        client.delete_object(Bucket=BUCKET, Key=f"own/{number}")
        return seconds

    text = f'[repository]\nstore = "s3://{BUCKET}/documents"\ns3_endpoint = "{service.endpoint}"\n'
    try:
        with _serving(folder / "hub", text) as server:
            numbers = iter(range(1, 1000))
            upload(server, message, next(numbers), file)
            memory = _Memory(server)
            values = alternate(
                rounds,
                lambda: TOTAL / upload(server, message, next(numbers), file) / 1e6,
                lambda: TOTAL / own(next(numbers)) / 1e6,
            )
            notes = memory.note("one at a time")
    finally:
        service.stop()
    return Comparison(
        "ITI-41, 600 MB as MTOM, plain HTTP, S3 (SeaweedFS)",
        "MB/s",
        Side("xdsi serve --profile open", values[0]),
        Side("boto3 upload_file", values[1]),
        0.6,
        notes,
    )


def retrieve(folder: Path, *, count: int, rounds: int, full: bool) -> Comparison:
    """ITI-43 of one large document, or of many in one answer, against nginx and the same bytes in one file.

    `full` with mutual TLS, one cipher on both sides, an assertion and a consent; else over plain HTTP.
    """
    folder.mkdir(parents=True)
    message = messages.provide()
    size = TOTAL if count == 1 else 150_000
    with hub.full_hub(folder / "hub") if full else hub.open_hub(folder / "hub") as running_hub:
        server, pki = running_hub.server, running_hub.pki if full else None
        if full:
            content.consent_to_all(running_hub, range(1, 2))
        if count == 1:
            upload(server, message, 1, _content(folder / "content", size), pki)
        else:
            # Each has other bytes: its own number is among them.
            raw = os.urandom(size - 10) + str(messages.FIRST).encode()
            small_ones(server, message, raw, range(1, count + 1), 4, pki)
        asked = folder / "request.mime"
        ids = [messages.unique_id(number) for number in range(1, count + 1)]
        content_type = messages.write_retrieval(ids, asked, running_hub if full else None)
        ours = Sink(_PATH, asked, pki, content_type=content_type)
        ours.rate(server)
        memory = _Memory(server)
        answered = ours.keep(server, folder / _SERVED)
        if answered < size * count * 0.99:
            raise RuntimeError(f"only {answered} bytes: {(folder / _SERVED).read_bytes()[:2000]!r}")
        used = 0.0

        def own() -> float:
            nonlocal used
            before = server.processor()
            rate = ours.rate(server)
            used += server.processor() - before
            return rate

        with nginx.serving(folder, folder / "nginx", pki) as peer:
            other = Sink(f"/{_SERVED}", pki=pki)
            values = alternate(rounds, own, lambda: other.rate(peer))
        notes = {"processor": f"{used / (rounds + 1):.2f} s for each answer", **memory.note("one at a time")}
        memory = _Memory(server)
        threads = [threading.Thread(target=ours.rate, args=(server,)) for _ in range(TOGETHER)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        notes |= memory.note(f"{TOGETHER} at once")
    what = "600 MB in one document" if count == 1 else f"{count:,} documents of 150 KB"
    return Comparison(
        f"ITI-43, {what}, {f'TLS ({CIPHER})' if full else 'plain HTTP'}",
        "MB/s",
        Side("xdsi serve, full profile" if full else "xdsi serve --profile open", values[0]),
        Side("nginx, one file, sendfile off", values[1]),
        0.8 if count == 1 else 0.5,
        notes,
    )


def manifests(folder: Path, *, rounds: int, workers: int = hub.WORKERS, each: int = 800) -> Comparison:
    """ITI-41 of manifests of 20 KB, durable and registered by another process, from sixteen clients.

    The repository has so many workers; a second one takes what the processors have left. Where there is more than one
    they stay on a processor each (`server.processors`), and the registry is where there is room.
    """
    raw = _manifest()
    patient = imaging.study().patient
    message = messages.provide(
        imaging_codes.MANIFEST_MIME_TYPE,
        Code(*imaging_codes.MANIFEST_FORMAT),
        f"{patient.id}^^^&{patient.issuer or '2.999.1.5'}&ISO",
    )
    text = '[domain]\nprofile = "open"\naccept_unknown_patients = true\n[consent]\nenforce = false\n[server]\nactors = '
    kept = f"processors = {sorted(os.sched_getaffinity(0))}\n" if workers > 1 else ""
    with _serving(folder / "registry", text + '["registry"]\n', profile=False) as registry:
        where = f'["repository"]\nworkers = {workers}\n{kept}'
        where += f'[repository]\nregistry_url = "{registry.url}/services/registry"\n'
        with _serving(folder / "repository", text + where, profile=False) as server:
            # Each worker has read its modules before it is measured.
            small_ones(server, message, raw, range(1, 101), 16)
            starts = iter(range(101, 1_000_000, each))

            def ours() -> float:
                first = next(starts)
                return small_ones(server, message, raw, range(first, first + each), 16)

            before = {server: server.processor(), registry: registry.processor()}
            (values,) = alternate(rounds, ours)
            used = [(one.processor() - then) * 1e3 / each / (rounds + 1) for one, then in before.items()]
    return Comparison(
        f"ITI-41, manifests of {len(raw) / 1000:.0f} KB, 16 clients, repository with {workers} "
        f"worker{', registry' if workers == 1 else 's, each on a processor of its own, registry'} in another process",
        "documents/s",
        Side("xdsi serve, repository and registry", values),
        Side("asked for", (150.0,) * rounds),
        1.0,
        {
            "hub": f"{hub.THREADS} threads each worker, one worker of the registry, plain HTTP between them",
            "processor": f"repository {used[0]:.1f} ms, registry {used[1]:.1f} ms for each document",
        },
    )


def _manifest() -> bytes:
    """A manifest of about 20 KB whose UID ends in the number that is changed."""
    count = 60
    while True:
        raw = imaging.manifest(imaging.large_study(count), sop_instance_uid=messages.unique_id(0))
        if len(raw) >= 20_000:
            return raw
        count += 10
