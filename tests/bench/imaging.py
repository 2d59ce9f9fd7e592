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

from tests.bench import latency, manifests, pacs
from tests.bench.figures import Comparison
from tests.bench.processes import ROOT

PARTS: dict[str, tuple[Callable[..., Comparison | latency.Latency], ...]] = {
    "manifests": (manifests.kos_and_pydicom, manifests.kos_and_highdicom, manifests.mado_and_pydicom),
    "images": (
        pacs.rad69_plain,
        pacs.rad69_tls,
        pacs.rad69_dicomweb,
        pacs.rad107_plain,
        pacs.from_folder,
        pacs.from_folder_tls,
    ),
    "latency": (latency.stable_to_findable,),
}


def main() -> int:
    """Measure, show, write down."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.imaging", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each comparison")
    parser.add_argument("--only", choices=PARTS, help="one part only")
    parser.add_argument("--named", default="", help="of the part only what has this name")
    parser.add_argument("--studies", type=int, default=latency.STUDIES, help="how many arrive, for latency")
    given = parser.parse_args()
    at = datetime.now(UTC).isoformat(timespec="seconds")
    done: list[Comparison | latency.Latency] = []
    for name in [given.only] if given.only else PARTS:
        for run in (one for one in PARTS[name] if given.named in one.__name__):
            with tempfile.TemporaryDirectory(prefix="xdsi-bench-") as folder:
                more = {"count": given.studies} if name == "latency" else {}
                comparison = run(Path(folder), rounds=given.rounds, **more)
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
