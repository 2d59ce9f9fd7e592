"""`make bench-trust`: what it costs to know who asks and what the patient signed.

Both sides are `xdsi serve` with the same documents, asked in turns by one client over plain HTTP on loopback: the open
profile, and a hub behind a proxy that makes every check of a national domain (node, assertion, consent, audit). Figures
go to standard output and to bench-out/trust.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.bench import asking, consents, content, hub
from tests.bench.__main__ import machine
from tests.bench.load import CONNECTIONS
from tests.bench.processes import ROOT, Server, python

AIM_ADDED_MS, AIM_THROUGHPUT = 1.0, 0.6
ASSERTIONS = 4000
"""messages with an assertion of their own, more than a round asks"""


@dataclass(frozen=True)
class Asker:
    """One way to ask one server."""

    name: str
    server: Server
    messages: Sequence[Path]
    header: str = ""

    def rate(self, seconds: float) -> tuple[float, float]:
        """Answers a second over all connections, and milliseconds of the server's processor for each."""
        command = python("tests.bench.client", "--port", str(self.server.port), "--path", asking.PATH)
        command += ["--seconds", str(seconds), "--connections", str(CONNECTIONS), "--header", self.header]
        before = self.server.processor()
        done = subprocess.run(
            [*map(str, command), *map(str, self.messages)], capture_output=True, text=True, check=True, cwd=ROOT
        )
        count, took, errors = done.stdout.split()
        if int(errors) or not int(count):
            raise RuntimeError(f"{self.name}: {count} answers, {errors} errors")
        return int(count) / float(took), (self.server.processor() - before) * 1000 / int(count)


def latencies(askers: Sequence[Asker], count: int) -> list[float]:
    """The median time of an answer in milliseconds, one client, the askers in turns."""
    clients = [asking.Client(one.server.port, one.header) for one in askers]
    bodies = [itertools.cycle([file.read_bytes() for file in one.messages]) for one in askers]
    took: list[list[float]] = [[] for _ in askers]
    for turn in range(count + 2 * content.PATIENTS):
        for client, body, values in zip(clients, bodies, took, strict=True):
            seconds, answer = client.ask(next(body))
            if answer.count(b"<rim:ExtrinsicObject ") != content.FOUND:
                raise RuntimeError(f"not {content.FOUND} entries: {answer[:2000]!r}")
            if turn >= 2 * content.PATIENTS:  # warm
                values.append(seconds * 1000)
    for client in clients:
        client.close()
    return [statistics.median(values) for values in took]


def compare(folder: Path, *, count: int, rounds: int, seconds: float) -> dict[str, Any]:
    """FindDocuments with ten entries: open, with one assertion used again and again, with a new one each time."""
    with hub.full_hub(folder / "full") as full:
        content.fill(full)
        usual = content.write_queries(full, folder / "usual")
        fresh = content.write_queries(full, folder / "fresh", assertions=ASSERTIONS)
        pem = (full.pki / "consumer.pem").read_text()
    header = f"{hub.CERTIFICATE_HEADER}: {quote(pem)}"
    with hub.hub_behind_proxy(full) as proxied, hub.open_hub(folder / "open") as opened:
        content.fill(opened)
        askers = [
            Asker("open profile", opened.server, content.write_queries(opened, folder / "bare")),
            Asker("every check, one assertion for many requests", proxied.server, usual, header),
            Asker("every check, a new assertion for each request", proxied.server, fresh, header),
        ]
        medians = latencies(askers, count)
        rates = [[one.rate(seconds) for one in askers] for _ in range(rounds + 1)][1:]
    found = []
    for number, one in enumerate(askers):
        column = [row[number] for row in rates]
        found.append(
            {
                "name": one.name,
                "median_ms": medians[number],
                "added_ms": medians[number] - medians[0],
                "rate": statistics.median(rate for rate, _ in column),
                "ratio": statistics.median(row[number][0] / row[0][0] for row in rates),
                "processor_ms": statistics.median(spent for _, spent in column),
            }
        )
    say(f"{'FindDocuments, ten entries, LeafClass':<48} {'median':>8} {'added':>8} {'rate':>8} {'ratio':>6} {'CPU':>8}")
    for row in found:
        say(
            f"  {row['name']:<46} {row['median_ms']:5.2f} ms {row['added_ms']:5.2f} ms {row['rate']:6.0f}/s"
            f" {row['ratio']:6.2f} {row['processor_ms']:5.2f} ms"
        )
    checked = found[1]
    for what, is_, aim, reached in (
        ("added at the median", checked["added_ms"], f"at most {AIM_ADDED_MS} ms", checked["added_ms"] <= AIM_ADDED_MS),
        ("throughput", checked["ratio"], f"at least {AIM_THROUGHPUT}", checked["ratio"] >= AIM_THROUGHPUT),
    ):
        say(f"  {what} {is_:.2f}, aim {aim}: {'reached' if reached else 'NOT reached'}")
    return {"find_documents": found}


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Measure, show, write down."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.trust", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="questions of each side, one at a time")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of throughput")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round")
    parser.add_argument("--consents", type=int, default=100_000, help="beside how many the decision is timed; 0: not")
    parser.add_argument("--questions", type=int, default=2000, help="decisions beside them")
    parser.add_argument("--only", choices=["queries", "consents"], help="one part only")
    given = parser.parse_args()
    at, load = datetime.now(UTC).isoformat(timespec="seconds"), os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="xdsi-bench-") as folder:
        found: dict[str, Any] = {}
        if given.only != "consents":
            found |= compare(Path(folder), count=given.count, rounds=given.rounds, seconds=given.seconds)
        if given.consents and given.only != "queries":
            found["decisions"] = consents.compare(Path(folder) / "consents", given.consents, given.questions, say)
    say(f"load before {load[0]:.1f}, after {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    out = ROOT / "bench-out"
    out.mkdir(exist_ok=True)
    record = {"at": at, "load": [load, os.getloadavg()], "machine": machine(), **found}
    (out / "trust.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
