"""Makes a large population larger, inside PostgreSQL: `python -m tests.bench.multiplying URL --times 10`.

Every patient is copied with all rows under new ids and a new key, which takes a tenth of the time that casting new
objects takes. Only referenceIdList keeps the study of the original. What matters for measuring is as it would be:
numbers, lengths, indexes, plans. A run that broke off goes on with the next copy of a table.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.bench.filling import _analyze, _without_indexes, step_begins
from xdsi.storage.database import open_database
from xdsi.storage.tables import metadata

_TABLES = (
    "identifier", "submission_set", "document_entry", "folder", "association", "code",
)  # fmt: skip
_IDS = {"id", "object_id", "source", "target", "unique_id", "logical_id", "value", "tie"}
_KEYS = {"patient_key", "target_patient_key"}


def _renamed(column: str) -> str:
    """Another id for each copy: the first byte of a UUID, the last of an arc under 2.25, or one more arc, say which.

    In the forms of `xdsi.storage.packed`; nothing stays nothing.
    """
    uuid = f"set_byte({column}, 0, (get_byte({column}, 0) + :copy) % 256)"
    arc = f"set_byte({column}, 16, (get_byte({column}, 16) + :copy) % 256)"
    return (
        f"CASE WHEN length({column}) = 0 THEN {column} WHEN length({column}) = 16 THEN {uuid}"
        f" WHEN get_byte({column}, 0) = 2 THEN {arc} ELSE {column} || set_byte('\\x00'::bytea, 0, :copy) END"
    )


def _statement(table: str) -> str:
    columns = [column.name for column in metadata.tables[table].c]
    selected = []
    for column in columns:
        if column in _KEYS:
            selected.append(f"{column} + :copy * :step")
        elif column in _IDS:
            selected.append(_renamed(column))
        else:
            selected.append(column)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(selected)} FROM {table}"
        " WHERE patient_key <= :step"
    )


def multiply(url: str, times: int, *, processes: int = 2) -> int:
    """Make a population so many times as large; returns how many patients there are then."""
    engine = open_database(url, statement_seconds=36_000)
    began = time.monotonic()

    def told(what: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.0f} s  {what}\n")
        sys.stdout.flush()

    with _without_indexes(engine, told), ThreadPoolExecutor(processes) as pool:
        step = _patients(engine, times)
        done = [pool.submit(_copy, engine, copy, step) for copy in range(1, times)]
        for number, one in enumerate(done, 1):
            one.result()
            told(f"copy {number}")
    told("indexes made")
    _analyze(engine, step * times)
    told("analyzed")
    engine.dispose()
    return step * times


def _patients(engine: Engine, times: int) -> int:
    """Copy the patients, once; returns how many there were."""
    with engine.begin() as connection:
        done = connection.execute(sa.text("SELECT step FROM bench_done WHERE step LIKE 'patients %'")).scalar()
        if done is not None:
            return int(done.split()[1])
        step: int = connection.execute(sa.text("SELECT max(key) FROM patient")).scalar_one()
        rows = (
            "INSERT INTO patient (key, authority, id, status, survivor_key) SELECT key + copy * :step, authority,"
            " 'B' || key + copy * :step, status, survivor_key + copy * :step FROM patient,"
            " generate_series(1, :times - 1) copy WHERE key <= :step"
        )
        connection.execute(sa.text(rows), {"step": step, "times": times})
        step_begins(connection, f"patients {step}")
        return step


def _copy(engine: Engine, copy: int, step: int) -> None:
    for table in _TABLES:
        with engine.begin() as connection:
            if not step_begins(connection, f"copy {copy} of {table}"):
                continue
            statement = _statement(table).replace(":copy", str(copy)).replace(":step", str(step))
            connection.exec_driver_sql(statement.replace("%", "%%"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.multiplying", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--times", type=int, default=10)
    given = parser.parse_args()
    multiply(given.url, given.times)


if __name__ == "__main__":
    main()
