"""Stored queries on the storage alone, without HTTP, audit or decisions: `python -m tests.bench.direct SMALL LARGE`.

SMALL and LARGE are folders that `tests.bench.registry --data` filled, asked in turns. What a query costs besides
does not depend on how much is stored.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from tests.bench import asking, filling, postgresql
from xdsi.domain.stored_query import StoredQuery
from xdsi.storage.database import open_database
from xdsi.storage.registry import SqlRegistry


def ask(registry: SqlRegistry, query: StoredQuery) -> float:
    """Seconds to find what a query selects and to put its answer together."""
    began = time.perf_counter()
    with registry.reading() as session:
        found = session.find(query)
        for _ in session.fragments([one.id for one in found]):
            pass
    return time.perf_counter() - began


def main() -> int:
    """Measure and show."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.direct", description=__doc__)
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("--small-entries", type=int, default=10_000)
    parser.add_argument("--large-entries", type=int, default=1_000_000)
    parser.add_argument("--count", type=int, default=300)
    given = parser.parse_args()
    with ExitStack() as stack:
        sides = []
        for folder, entries in ((given.small, given.small_entries), (given.large, given.large_entries)):
            path = folder.resolve() / "xdsi.sqlite3"
            url = f"sqlite:///{path}" if path.exists() else stack.enter_context(postgresql.server(folder.resolve()))
            engine = open_database(url)
            stack.callback(engine.dispose)
            sides.append((SqlRegistry(engine), asking.queries(asking.sample(entries, filling.SEED))))
        for name in sides[1][1]:
            took: tuple[list[float], list[float]] = ([], [])
            for turn in range(120 + given.count):
                for side, (registry, queries) in enumerate(sides):
                    if name in queries:
                        seconds = ask(registry, queries[name][turn % len(queries[name])])
                        if turn >= 120:
                            took[side].append(seconds * 1000)
            if all(took):
                median, p95 = ([how(one) for one in took] for how in (statistics.median, asking.p95))
                sys.stdout.write(
                    f"{name:<34} median {median[0]:7.2f} {median[1]:7.2f} ms ({median[1] / median[0]:.2f})"
                    f"   p95 {p95[0]:7.2f} {p95[1]:7.2f} ms ({p95[1] / p95[0]:.2f})\n"
                )
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
