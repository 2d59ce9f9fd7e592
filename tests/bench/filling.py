"""Loads a population into a database: `python -m tests.bench.filling URL --entries 10000`.

Indexes are made when the rows are there, and on PostgreSQL several processes load at once. What is done is noted in the
database (`bench_done`, `bench_index`), so that a load that broke off goes on where it was.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from tests.bench import population
from xdsi.storage import bulk
from xdsi.storage.database import open_database, upgrade
from xdsi.storage.tables import PARTITIONED, identifier, metadata, patient

SEED = 20260101
LARGE = 5000
"""entries of the one patient who has more than anybody: the last"""
_TABLES = [
    metadata.tables[name] for name in (
        "patient", "identifier", "submission_set", "document_entry", "folder", "association", "code",
    )
]  # fmt: skip
_ROWS_AT_ONCE = 20_000
_PATIENTS_AT_ONCE = 2_000


def load(url: str, entries: int, *, seed: int = SEED, processes: int = 1, say: bool = False) -> int:
    """Fill an empty database; returns the number of patients, of whom the last is the large one."""
    engine = open_database(url, statement_seconds=36_000)
    upgrade(engine)
    counts = [*population.sizes(entries, seed), LARGE]
    began = time.monotonic()

    def told(what: str) -> None:
        if say:
            sys.stdout.write(f"{time.monotonic() - began:7.0f} s  {what}\n")
            sys.stdout.flush()

    starts = range(0, len(counts), _PATIENTS_AT_ONCE)
    parts = [(start + 1, counts[start : start + _PATIENTS_AT_ONCE]) for start in starts]
    with _without_indexes(engine, told):
        told(f"{len(counts)} patients, {sum(counts)} entries")
        if engine.dialect.name == "sqlite" or processes == 1:
            for number, (first, part) in enumerate(parts, 1):
                _load_part(engine, first, part, seed)
                if number % 10 == 0:
                    told(f"{number} of {len(parts)} parts")
        else:
            work = [(url, first, part, seed) for first, part in parts]
            with multiprocessing.get_context("spawn").Pool(processes) as pool:
                for number, _ in enumerate(pool.imap_unordered(_load_in_process, work), 1):
                    if number % 10 == 0:
                        told(f"{number} of {len(parts)} parts")
    told("indexes made")
    _analyze(engine, len(counts))
    told("analyzed")
    engine.dispose()
    return len(counts)


_engines: dict[str, Engine] = {}


def _load_in_process(work: tuple[str, int, list[int], int]) -> None:
    url, first, part, seed = work
    if url not in _engines:
        _engines[url] = open_database(url, statement_seconds=36_000)
    _load_part(_engines[url], first, part, seed)


def _load_part(engine: Engine, first: int, counts: list[int], seed: int) -> None:
    with engine.execution_options(xdsi_writes=True).begin() as connection:
        if not step_begins(connection, f"part {first}"):
            return
        rows: dict[str, list[tuple[object, ...]]] = {table.name: [] for table in _TABLES}
        for one in population.patients(counts, seed, first=first):
            for name, found in one.rows.items():
                rows[name].extend(found)
            if len(rows["identifier"]) > _ROWS_AT_ONCE:
                _flush(connection, rows)
        _flush(connection, rows)


def step_begins(connection: Connection, step: str) -> bool:
    """Note a step in the transaction that does it; False where it was done before."""
    done = connection.execute(sa.text("SELECT 1 FROM bench_done WHERE step = :step"), {"step": step}).first()
    if done is None:
        connection.execute(sa.text("INSERT INTO bench_done (step) VALUES (:step)"), {"step": step})
    return done is None


def _flush(connection: Connection, rows: dict[str, list[tuple[object, ...]]]) -> None:
    for table in _TABLES:
        bulk.insert(connection, table, rows[table.name])
        rows[table.name].clear()


@contextmanager
def _without_indexes(engine: Engine, told: object) -> Iterator[None]:
    """Drop what every row would have to be entered in, and make it again afterwards."""
    if engine.dialect.name == "sqlite":
        indexes = [index for table in _TABLES for index in table.indexes]
        with engine.execution_options(xdsi_writes=True).begin() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS bench_done (step text PRIMARY KEY)")
            for index in indexes:
                connection.exec_driver_sql(f"DROP INDEX IF EXISTS {index.name}")
        yield
        with engine.execution_options(xdsi_writes=True).begin() as connection:
            for index in indexes:
                index.create(connection)
        return
    _set_indexes_aside(engine)
    yield
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT position, name, statement FROM bench_index ORDER BY position"))
        indexes_ = found.all()
    for row in indexes_:
        with engine.begin() as connection:
            connection.exec_driver_sql(row.statement.replace("%", "%%"))
            connection.execute(sa.text("DELETE FROM bench_index WHERE position = :at"), {"at": row.position})
        told(row.name)  # type: ignore[operator]


def _set_indexes_aside(engine: Engine) -> None:
    """Drop indexes and keys, with what makes them again in `bench_index`; nothing where that has been done."""
    names = [table.name for table in (*PARTITIONED, identifier)]
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS bench_done (step text PRIMARY KEY)")
        connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS bench_index (position int PRIMARY KEY, name text, statement text)"
        )
        if connection.exec_driver_sql("SELECT 1 FROM bench_index LIMIT 1").first() is not None:
            return
        constraints = connection.execute(
            sa.text(
                "SELECT conrelid::regclass::text AS tab, conname, contype, pg_get_constraintdef(oid) AS def_"
                " FROM pg_constraint WHERE conrelid::regclass::text = ANY(:names) AND contype IN ('p', 'f')"
            ),
            {"names": names},
        ).all()
        indexes = connection.execute(
            sa.text(
                "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(:names)"
                " AND indexname <> ALL(:constraints)"
            ),
            {"names": names, "constraints": [row.conname for row in constraints]},
        ).all()
        again = [(row.indexname, row.indexdef.replace(" ON ONLY ", " ON ")) for row in indexes]
        for row in sorted(constraints, key=lambda row: row.contype == "f"):
            again.append((row.conname, f"ALTER TABLE {row.tab} ADD CONSTRAINT {row.conname} {row.def_}"))
            connection.exec_driver_sql(f"ALTER TABLE {row.tab} DROP CONSTRAINT {row.conname}")
        for row in indexes:
            connection.exec_driver_sql(f"DROP INDEX {row.indexname}")
        keep = sa.text("INSERT INTO bench_index (position, name, statement) VALUES (:position, :name, :statement)")
        for position, (name, statement) in enumerate(again):
            connection.execute(keep, {"position": position, "name": name, "statement": statement})


def _analyze(engine: Engine, patients: int) -> None:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("ANALYZE")
            connection.commit()
            return
        sequence = f"pg_get_serial_sequence('{patient.name}', 'key')"
        connection.execute(sa.text(f"SELECT setval({sequence}, {patients})"))
        connection.commit()
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("VACUUM (ANALYZE)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.filling", description=__doc__)
    parser.add_argument("url", help="of an empty database")
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    load(given.url, given.entries, seed=given.seed, processes=given.processes, say=True)


if __name__ == "__main__":
    main()
