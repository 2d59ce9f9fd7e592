"""`make bench-imaging`: what a hospital's side costs, each part beside another program in the same run."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import manifests, pacs
from tests.bench.figures import Comparison
from tests.bench.processes import ROOT

PARTS: dict[str, tuple[Callable[..., Comparison], ...]] = {
    "manifests": (manifests.kos_and_pydicom, manifests.kos_and_highdicom, manifests.mado_and_pydicom),
    "images": (pacs.rad69_plain, pacs.rad69_tls, pacs.rad107_plain, pacs.from_folder),
}


def main() -> int:
    """Measure, show, write down."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.imaging", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each comparison")
    parser.add_argument("--only", choices=PARTS, help="one part only")
    parser.add_argument("--named", default="", help="of the part only what has this name")
    given = parser.parse_args()
    at, done = datetime.now(UTC).isoformat(timespec="seconds"), []
    for name in [given.only] if given.only else PARTS:
        for run in (one for one in PARTS[name] if given.named in one.__name__):
            with tempfile.TemporaryDirectory(prefix="xdsi-bench-") as folder:
                comparison = run(Path(folder), rounds=given.rounds)
            done.append(comparison)
            sys.stdout.write("\n".join(comparison.lines()) + "\n")
            sys.stdout.flush()
    out = ROOT / "bench-out"
    out.mkdir(exist_ok=True)
    record = {"at": at, "load": os.getloadavg(), "comparisons": [one.record() for one in done]}
    (out / "bench-imaging.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
