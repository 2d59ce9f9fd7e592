"""The population of benchmarks is what registrations of the same objects would have left behind."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.bench import filling, population
from xdsi.domain.metadata import Association, DocumentEntry, Folder, SubmissionSet
from xdsi.storage import lists
from xdsi.storage import tables as t
from xdsi.storage.database import open_database
from xdsi.storage.rows import INSERT_ORDER, Ends, Rows
from xdsi.storage.wording import long_status
from xdsi.wire.ebxml import fragments

SEED = 8
OBJECTS = {"S": t.submission_set, "D": t.document_entry, "F": t.folder, "A": t.association}


def some() -> list[population.Patient]:
    """Patients among whom everything occurs: folders, replacements, images, documents."""
    return list(population.patients(population.sizes(700, SEED), SEED))


def named(table: sa.Table, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(table.c.keys(), row, strict=True))


def test_the_same_seed_makes_the_same_population() -> None:
    assert [one.rows for one in some()] == [one.rows for one in some()]
    other = population.patients(population.sizes(700, SEED + 1), SEED + 1)
    assert [one.rows for one in some()] != [one.rows for one in other]


def test_a_patient_does_not_depend_on_those_before() -> None:
    counts = population.sizes(700, SEED)
    alone = next(population.patients(counts[4:5], SEED, first=5))
    assert alone.rows == some()[4].rows


def test_most_patients_have_few_entries_and_some_have_many() -> None:
    counts = population.sizes(100_000, SEED)
    assert sum(counts) == 100_000
    assert (min(counts), max(counts)) == (1, population.LARGEST)
    half = sorted(counts)[len(counts) // 2]
    assert 7 <= half <= 12
    assert 15 <= sum(counts) / len(counts) <= 22


def test_rows_are_those_of_a_registration() -> None:
    patients = some()
    found: dict[str, list[dict[str, Any]]] = {table.name: [] for table in INSERT_ORDER}
    for one in patients:
        for table in INSERT_ORDER:
            found[table.name] += [named(table, row) for row in one.rows[table.name]]
    assert all(found.values())
    assert {row["status"] for row in found["document_entry"]} == {"Approved", "Deprecated"}

    keys = {one.number: population.cx(one.number) for one in patients}
    stored = {row["id"]: (letter, row) for letter, table in OBJECTS.items() for row in found[table.name]}
    ends: Ends = {id_: (letter, row["patient_key"]) for id_, (letter, row) in stored.items()}
    sources = {row["target"]: row["source"] for row in found["association"] if row["source_kind"] == "S"}
    made = Rows()
    for id_, (_, row) in stored.items():
        filled = fragments.fill(
            row["fragment"],
            id=id_,
            unique_id=row.get("unique_id", ""),
            persons=lists.read(row.get("author_persons", "")),
            references=lists.read(row.get("reference_ids", "")),
            ends=(row.get("source", ""), row.get("target", "")),
            status=long_status(row["status"]),
            version=1,
            lid=id_,
            patient_id=keys[row["patient_key"]],
            last_update_time=row.get("last_update_time"),
        )
        read = fragments.read(filled)
        assert isinstance(read, DocumentEntry | SubmissionSet | Folder | Association)
        source_id = stored[sources[id_]][1]["source_id"] if isinstance(read, DocumentEntry) else ""
        made.add(read, row["patient_key"], source_id=source_id, ends=ends)
    for table in INSERT_ORDER:
        plain = [{name: value for name, value in row.items() if name != "fragment"} for row in found[table.name]]
        again = [{name: value for name, value in row.items() if name != "fragment"} for row in made.by_table[table]]
        assert sorted(map(_sorted, plain)) == sorted(map(_sorted, again)), table.name


def _sorted(row: dict[str, Any]) -> str:
    return repr(sorted(row.items()))


@pytest.mark.parametrize("count", [300])
def test_a_population_is_loaded_with_all_indexes(tmp_path: Any, count: int) -> None:
    url = f"sqlite:///{tmp_path / 'xdsi.db'}"
    patients = filling.load(url, count, seed=SEED)
    assert filling.load(url, count, seed=SEED) == patients, "a load that was done before adds nothing"
    engine = open_database(url)
    with engine.connect() as connection:
        number = connection.execute(sa.select(sa.func.count()).select_from(t.document_entry)).scalar_one()
        assert number == count + filling.LARGE
        assert connection.execute(sa.select(sa.func.count()).select_from(t.patient)).scalar_one() == patients
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    indexes = {index["name"] for table in OBJECTS.values() for index in sa.inspect(engine).get_indexes(table.name)}
    assert indexes == {index.name for table in OBJECTS.values() for index in table.indexes}
    engine.dispose()
