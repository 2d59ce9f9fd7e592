"""`python -m tests.storage [CASES]`: stored queries of random registries, on each engine; 100,000 cases unless told.

A case is one query with random parameters on a random registry. A few registries share a database; each database is
new. Every processor takes its share. `--first SEED` begins at another registry, so that a run can be had in parts.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from tests.faults.postgresql import postgresql
from tests.storage.comparison import compare
from tests.storage.worlds import QUERIES, Dice, world_of
from xdsi.storage.database import open_database, upgrade

BATCH = 25
EACH = 2 * len(QUERIES)
"""cases of one registry"""

Databases = Callable[[str], str]
"""makes an empty database of the given name and gives its URL"""


@contextmanager
def sqlite_databases() -> Iterator[Databases]:
    with tempfile.TemporaryDirectory(prefix="xdsi-queries-") as name:
        template = Path(name, "template.db")
        _upgraded(f"sqlite:///{template}")
        yield partial(_sqlite, template)


def _sqlite(template: Path, name: str) -> str:
    path = template.with_name(f"{name}.db")
    shutil.copy(template, path)
    return f"sqlite:///{path}"


@contextmanager
def postgresql_databases() -> Iterator[Databases]:
    with postgresql() as server:
        _created(server.url, "template", "template0")
        _upgraded(_named(server.url, "template"))
        yield partial(_postgresql, server.url)


def _postgresql(server: str, name: str) -> str:
    _created(server, name, "template")
    return _named(server, name)


def _named(server: str, name: str) -> str:
    return server.replace("/postgres?", f"/{name}?")


def _created(server: str, name: str, template: str) -> None:
    url = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    engine.dispose()


def _upgraded(url: str) -> None:
    engine = open_database(url)
    upgrade(engine)
    engine.dispose()


def run(databases: Databases, seeds: range) -> tuple[int, int]:
    """How many cases these registries were, and how many objects were found."""
    found = 0
    engine = open_database(databases(f"from_{seeds.start}"))
    for seed in seeds:
        die = Dice(seed)
        sizes = {"entries": die.randint(1, 10), "sets": die.randint(1, 4), "folders": die.randint(0, 5)}
        world = world_of(die, die.randint(1, 3), **sizes)
        try:
            found += compare(engine, world, die)
        except AssertionError as difference:
            raise AssertionError(f"seed {seed}: {difference}\n{world}") from difference
    engine.dispose()
    return EACH * len(seeds), found


def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(prog="python -m tests.storage", description=__doc__)
    options.add_argument("cases", type=int, nargs="?", default=100_000)
    options.add_argument("--first", type=int, default=0, metavar="SEED", help="of the first registry")
    options.add_argument("--processes", type=int, default=os.cpu_count())
    given = options.parse_args(arguments)
    end = given.first - (-given.cases // EACH)
    batches = [range(at, min(at + BATCH, end)) for at in range(given.first, end, BATCH)]
    for engine, opened in (("SQLite", sqlite_databases), ("PostgreSQL", postgresql_databases)):
        begun = time.monotonic()
        with opened() as databases, ProcessPoolExecutor(given.processes) as processes:
            results = list(processes.map(run, itertools.repeat(databases), batches))
        asked, found = (sum(column) for column in zip(*results, strict=True))
        seconds = time.monotonic() - begun
        sys.stdout.write(f"{engine}: {asked} queries, {found} objects found, no difference ({seconds:.0f} s)\n")
    sys.stdout.write(f"registries {given.first} to {end - 1}\n")


if __name__ == "__main__":
    main()
