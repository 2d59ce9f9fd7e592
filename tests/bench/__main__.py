"""`make bench`: measure, print the ratios, write them to bench-out/; exit status 1 where an aim was not reached."""

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

from tests.bench import images, nginx, queries
from tests.bench.figures import Comparison
from tests.bench.processes import ROOT

Measurement = Callable[[Path], Comparison]


def measurements(rounds: int, seconds: float) -> dict[str, Measurement]:
    """What is measured, by the names that `--only` takes."""
    found: dict[str, Measurement] = {
        "queries": lambda folder: queries.open_profile(folder, rounds=rounds, seconds=seconds),
        "queries-full": lambda folder: queries.full_profile(folder, rounds=rounds, seconds=seconds),
        "images": lambda folder: images.open_profile(folder, count=1200, rounds=rounds),
        "images-tls": lambda folder: images.full_profile(folder, count=1200, rounds=rounds),
        "large-image": lambda folder: images.open_profile(folder, count=1, rounds=rounds),
        "large-image-tls": lambda folder: images.full_profile(folder, count=1, rounds=rounds),
    }
    if not (nginx.installed() and shutil.which("curl")):
        sys.stderr.write("nginx or curl is not installed: images are not measured\n")
        found = {name: one for name, one in found.items() if name.startswith("queries")}
    return found


def machine() -> dict[str, Any]:
    """Where it was measured, and how busy that machine was with other things."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    model = [line.partition(":")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "cores": os.cpu_count(),
        "processor": model[0].strip() if model else platform.machine(),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION,
        "load_before": os.getloadavg(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="measure this alone; may be repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round of queries")
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    given = parser.parse_args()
    chosen = measurements(given.rounds, given.seconds)
    unknown = set(given.only or ()) - set(chosen)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(chosen)}")
    about = machine()
    began = time.monotonic()
    found: dict[str, Comparison] = {}
    for name, measure in chosen.items():
        if given.only and name not in given.only:
            continue
        with tempfile.TemporaryDirectory(prefix="xdsi-bench-") as folder:
            found[name] = measure(Path(folder) / name)
        sys.stdout.write("\n".join(found[name].lines()) + "\n")
        sys.stdout.flush()
    about["load_after"] = os.getloadavg()
    about["seconds"] = round(time.monotonic() - began)
    given.out.mkdir(exist_ok=True)
    file = given.out / f"{about['date'].replace(':', '')}.json"
    record = {"machine": about, "comparisons": {name: one.record() for name, one in found.items()}}
    file.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    sys.stdout.write(f"{about['seconds']} s on {about['cores']} cores; written to {file}\n")
    return 0 if all(one.reached for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
