"""`make bench`: every comparison in one run, with what was aimed at.

The figures go to standard output and, for machines, to bench-out/bench.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import images, nginx, queries, repository
from tests.bench.figures import Comparison
from tests.bench.processes import ROOT


def _runs(given: argparse.Namespace) -> list[Callable[[Path], Comparison]]:
    rounds, seconds = given.rounds, given.seconds
    runs: list[Callable[[Path], Comparison]] = []
    if given.only in (None, "queries"):
        runs += [
            lambda folder: queries.open_profile(folder, rounds=rounds, seconds=seconds),
            lambda folder: queries.full_profile(folder, rounds=rounds, seconds=seconds),
        ]
    peers = nginx.installed() and shutil.which("curl")
    if given.only in (None, "images") and peers:
        runs += [
            lambda folder: images.open_profile(folder, count=1200, rounds=rounds),
            lambda folder: images.full_profile(folder, count=1200, rounds=rounds),
            lambda folder: images.open_profile(folder, count=1, rounds=rounds),
            lambda folder: images.full_profile(folder, count=1, rounds=rounds),
        ]
    if given.only in (None, "repository"):
        runs += [
            lambda folder: repository.provide_to_folder(folder, rounds=rounds),
            lambda folder: repository.provide_to_s3(folder, rounds=rounds),
            lambda folder: repository.manifests(folder, rounds=rounds),
            lambda folder: repository.manifests(folder, rounds=rounds, workers=2),
        ]
    if given.only in (None, "repository") and peers:
        runs += [
            lambda folder: repository.retrieve(folder, count=1, rounds=rounds, full=True),
            lambda folder: repository.retrieve(folder, count=1300, rounds=rounds, full=True),
            lambda folder: repository.retrieve(folder, count=1, rounds=rounds, full=False),
            lambda folder: repository.retrieve(folder, count=1300, rounds=rounds, full=False),
        ]
    if given.only != "queries" and not peers:
        sys.stderr.write("nginx or curl is not installed: images and retrieved documents are not measured\n")
    return runs


def machine() -> dict[str, Any]:
    """What was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION,
        "commit": commit.stdout.strip(),
    }


def main() -> int:
    """Measure, show, write down."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each comparison")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round of queries")
    parser.add_argument("--only", choices=["queries", "images", "repository"], help="one part only")
    given = parser.parse_args()
    at, load, began = datetime.now(UTC).isoformat(timespec="seconds"), os.getloadavg(), time.monotonic()
    done: list[Comparison] = []
    for run in _runs(given):
        with tempfile.TemporaryDirectory(prefix="xdsi-bench-") as folder:
            comparison = run(Path(folder) / "run")
        done.append(comparison)
        sys.stdout.write("\n".join(comparison.lines()) + "\n")
        sys.stdout.flush()
    seconds = round(time.monotonic() - began)
    after = os.getloadavg()
    sys.stdout.write(f"{seconds} s on {os.cpu_count()} cores; load before {load[0]:.1f}, after {after[0]:.1f}\n")
    out = ROOT / "bench-out"
    out.mkdir(exist_ok=True)
    record = {
        "at": at,
        "seconds": seconds,
        "load": {"before": load, "after": after},
        "machine": machine(),
        "comparisons": [comparison.record() for comparison in done],
    }
    (out / "bench.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
