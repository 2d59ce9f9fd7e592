"""`make bench-registry`: stored queries at two sizes, a large patient as a stream, registrations with queries beside.

Figures go to standard output and to bench-out/registry.json. A population that was loaded before is used again with
`--data FOLDER` (one folder for each engine and size); without it everything is made in a temporary folder.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.bench import asking, filling, multiplying, population, postgresql
from tests.bench.__main__ import machine
from tests.bench.processes import ROOT, Server, free_port, python, running
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED
from xdsi.storage.database import open_database

SMALL = 10_000
AIM_LATENCY, AIM_REGISTRATIONS, AIM_BESIDE = 1.3, 400.0, 2.0


@contextmanager
def database(engine: str, folder: Path, entries: int, times: int = 1) -> Iterator[str]:
    """The URL of a database with a population of so many entries, loaded where it is not there yet.

    On PostgreSQL it can be made so many `times` as large by copying patients (`multiplying`).
    """
    if engine == "sqlite":
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "xdsi.sqlite3"
        if not (folder / "loaded").exists():
            filling.load(f"sqlite:///{path}", entries, say=True)
            (folder / "loaded").touch()
        yield f"sqlite:///{path}"
        return
    if not (folder / "loaded").exists():
        with postgresql.server(folder, postgresql.LOADING) as url:
            filling.load(url, entries, processes=2, say=True)
            if times > 1:
                multiplying.multiply(url, times)
        (folder / "loaded").touch()
    with postgresql.server(folder) as url:
        yield url


@contextmanager
def hub(url: str, folder: Path, *, workers: int = 1) -> Iterator[Server]:
    """`xdsi serve --profile open` on a database."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = folder / "settings.toml"
    settings.write_text(f"[server]\nworkers = {workers}\n[registry]\ndatabase = {json.dumps(url)}\n")
    command = python("xdsi", "--config", settings, "serve", "--profile", "open", "--port", str(port))
    command += ["--data", folder / "data"]
    with running(command, port=port, tls=False, log=folder / "serve.log") as server:
        yield server


def latencies(small: Server, large: Server, sizes: tuple[int, int], count: int) -> list[dict[str, Any]]:
    """Each stored query at both sizes in turns, warm: p95 and the ratio of the two."""
    sides = []
    for server, entries in zip((small, large), sizes, strict=True):
        asked = asking.queries(asking.sample(entries, filling.SEED))
        url = f"{server.url}{asking.PATH}"
        sides.append({name: [asking.message(one, url) for one in found] for name, found in asked.items()})
    clients = [asking.Client(server.port) for server in (small, large)]
    rows = []
    for name in sides[1]:
        lists = [side.get(name, []) for side in sides]
        if not all(lists):
            continue
        took: tuple[list[float], list[float]] = ([], [])
        lengths: tuple[list[int], list[int]] = ([], [])
        warm = [*asking.in_turns(*lists)] * 2
        counted = [both for both, _ in zip(itertools.cycle(warm), range(count), strict=False)]
        for turn, both in enumerate([*warm, *counted]):
            for side, (client, body) in enumerate(zip(clients, both, strict=True)):
                seconds, answer = client.ask(body)
                if turn >= len(warm):
                    took[side].append(seconds)
                    lengths[side].append(len(answer))
        p95 = [asking.p95(values) * 1000 for values in took]
        median = [statistics.median(values) * 1000 for values in took]
        row = {"query": name, "median_ms": median, "p95_ms": p95, "bytes": [statistics.median(one) for one in lengths]}
        row |= {"ratio_median": median[1] / median[0], "ratio_p95": p95[1] / p95[0]}
        rows.append(row)
        say(
            f"  {name:<34} median {median[0]:6.1f} {median[1]:6.1f} ms ({row['ratio_median']:.2f})"
            f"   p95 {p95[0]:6.1f} {p95[1]:6.1f} ms ({row['ratio_p95']:.2f})   {row['bytes'][1]:8.0f} bytes"
        )
    for client in clients:
        client.close()
    return rows


def large_patient(server: Server, entries: int) -> dict[str, Any]:
    """All 5,000 entries of one patient, as LeafClass."""
    number = len(population.sizes(entries, filling.SEED)) + 1
    parameters: dict[str, Any] = {
        "$XDSDocumentEntryPatientId": ((population.cx(number),),),
        "$XDSDocumentEntryStatus": ((APPROVED,),),
    }
    query = StoredQuery(uuids.FIND_DOCUMENTS, ReturnType.LEAF_CLASS, parameters)
    body = asking.message(query, f"{server.url}{asking.PATH}")
    client = asking.Client(server.port)
    client.stream(body)
    before = server.memory().now
    server.forget_highest()
    measured = [client.stream(body) for _ in range(5)]
    grown = server.memory().highest - before
    client.close()
    first, whole, length = (statistics.median(column) for column in zip(*measured, strict=True))
    found = {"first_byte_s": first, "whole_s": whole, "bytes": length, "grown_mib": grown / 2**20}
    say(
        f"  a patient with {filling.LARGE} entries: {length / 2**20:.1f} MiB, first byte after {first * 1000:.0f} ms of"
        f" {whole * 1000:.0f}, resident memory grown by {found['grown_mib']:.1f} MiB"
    )
    return found


def floor(url: str, seconds: float) -> float:
    """Bare durable inserts of single rows, one connection: what the disk and the engine give."""
    row = b"x" * 1000
    until = time.perf_counter() + seconds
    done = 0
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///")).with_name("floor.sqlite3")
        with sqlite3.connect(path, isolation_level=None) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("CREATE TABLE IF NOT EXISTS floor (n INTEGER PRIMARY KEY, b BLOB)")
            while time.perf_counter() < until:
                connection.execute("INSERT INTO floor (b) VALUES (?)", (row,))
                done += 1
        connection.close()
        path.unlink()
        return done / seconds
    engine = open_database(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection_:
        connection_.execute(sa.text("CREATE TABLE floor (n bigserial PRIMARY KEY, b bytea)"))
        while time.perf_counter() < until:
            connection_.exec_driver_sql("INSERT INTO floor (b) VALUES (%s)", (row,))
            done += 1
        connection_.execute(sa.text("DROP TABLE floor"))
    engine.dispose()
    return done / seconds


def registrations(server: Server, url: str, folder: Path, entries: int, seconds: float) -> dict[str, Any]:
    """The floor, queries alone, registrations alone, and both."""
    chosen = asking.queries(asking.sample(entries, filling.SEED))["FindDocuments"]
    files = []
    for number, query in enumerate(chosen):
        files.append(folder / f"query{number:03}.xml")
        files[-1].write_bytes(asking.message(query, f"{server.url}{asking.PATH}"))
    patients = len(population.sizes(entries, filling.SEED))

    def run(clients: int, rate: float) -> dict[str, Any]:
        command = python("tests.bench.storm", "--port", str(server.port), "--seconds", str(seconds))
        command += ["--clients", str(clients), "--rate", str(rate), "--patients", str(patients), "--queries", *files]
        done = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, cwd=ROOT)
        found: dict[str, Any] = json.loads(done.stdout)
        if found["refused"]:
            raise RuntimeError(found["first_refusal"])
        return found

    run(4, 20)
    found = {"floor": floor(url, 3), "queries_alone": run(0, 100), "alone": run(16, 0), "both": run(16, 100)}
    alone, both = found["queries_alone"], found["both"]
    say(
        f"  registrations/s: {found['alone']['registrations']:.0f} alone, {both['registrations']:.0f} beside"
        f" 100 queries/s (answered {both['queries']:.0f}/s); floor {found['floor']:.0f} bare durable inserts/s\n"
        f"  p95 of those queries: {both['query_p95'] * 1000:.0f} ms; without registrations"
        f" {alone['query_p95'] * 1000:.0f} ms"
    )
    return found


def disk(url: str) -> int:
    """Bytes that the database takes, indexes included."""
    if url.startswith("sqlite"):
        return Path(url.removeprefix("sqlite:///")).stat().st_size
    engine = open_database(url)
    with engine.connect() as connection:
        size: int = connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one()
    engine.dispose()
    return size


def measure(engine: str, folder: Path, entries: int, given: argparse.Namespace) -> dict[str, Any]:
    """Everything on one engine."""
    say(f"{engine}: {SMALL} and {entries} entries" + (f" times {given.times}" if given.times > 1 else ""))
    found: dict[str, Any] = {"engine": engine, "entries": entries}
    with ExitStack() as stack:
        run = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xdsi-bench-")))
        times = given.times if engine == "postgresql" else 1
        name = f"{engine}-{entries}" + (f"x{times}" if times > 1 else "")
        urls = [
            stack.enter_context(database(engine, folder / f"{engine}-{SMALL}", SMALL)),
            stack.enter_context(database(engine, folder / name, entries, times)),
        ]
        found["disk_bytes"] = disk(urls[1])
        each = found["disk_bytes"] / (entries + filling.LARGE) / times
        say(f"  disk: {found['disk_bytes'] / 2**30:.2f} GiB, {each:.0f} bytes an entry")
        servers = [
            stack.enter_context(hub(url, run / str(number), workers=given.workers)) for number, url in enumerate(urls)
        ]
        found["queries"] = latencies(servers[0], servers[1], (SMALL, entries), given.count)
        found["large_patient"] = large_patient(servers[1], entries)
        if given.seconds:
            found["registrations"] = registrations(servers[1], urls[1], run, entries, given.seconds)
    return found


def say(text: str) -> None:
    """For people, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Measure, show, write down."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.registry", description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000, help="of the larger population")
    parser.add_argument("--engine", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--data", type=Path, help="folder of populations, kept; default: a temporary one")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of each server")
    parser.add_argument("--count", type=int, default=200, help="questions of each stored query")
    parser.add_argument("--times", type=int, default=1, help="copies of it, PostgreSQL only (tests.bench.multiplying)")
    parser.add_argument("--seconds", type=float, default=10, help="of each storm of registrations; 0: none")
    given = parser.parse_args()
    engines = ["sqlite", "postgresql"] if given.engine == "both" else [given.engine]
    if postgresql.programs() is None and "postgresql" in engines:
        say("PostgreSQL is not installed: not measured")
        engines.remove("postgresql")
    at, load = datetime.now(UTC).isoformat(timespec="seconds"), os.getloadavg()
    results = []
    with ExitStack() as stack:
        folder = given.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xdsi-bench-")))
        folder.chmod(0o755)
        for engine in engines:
            results.append(measure(engine, folder.resolve(), given.entries, given))
    say(f"load before {load[0]:.1f}, after {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    out = ROOT / "bench-out"
    out.mkdir(exist_ok=True)
    record = {"at": at, "load": load, "machine": machine(), "workers": given.workers, "results": results}
    (out / "registry.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
