"""`make bench`: every comparison in one run, with what was aimed at.

The figures go to standard output and, for machines, to bench-out/bench.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import images, queries
from tests.bench.figures import Comparison
from tests.bench.processes import ROOT


def main() -> int:
    """Measure, show, write down."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each comparison")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round of queries")
    parser.add_argument("--only", choices=["queries", "images"], help="one half only")
    given = parser.parse_args()
    runs: list[Callable[[Path], Comparison]] = []
    if given.only != "images":
        runs += [
            lambda folder: queries.open_profile(folder, rounds=given.rounds, seconds=given.seconds),
            lambda folder: queries.full_profile(folder, rounds=given.rounds, seconds=given.seconds),
        ]
    if given.only != "queries":
        runs += [
            lambda folder: images.open_profile(folder, count=1200, rounds=given.rounds),
            lambda folder: images.open_profile(folder, count=1, rounds=given.rounds),
            lambda folder: images.full_profile(folder, count=1200, rounds=given.rounds),
        ]
    done: list[Comparison] = []
    for run in runs:
        with tempfile.TemporaryDirectory(prefix="xdsi-bench-") as folder:
            comparison = run(Path(folder) / "run")
        done.append(comparison)
        sys.stdout.write("\n".join(comparison.lines()) + "\n")
        sys.stdout.flush()
    out = ROOT / "bench-out"
    out.mkdir(exist_ok=True)
    record = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "comparisons": [comparison.record() for comparison in done],
    }
    (out / "bench.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
