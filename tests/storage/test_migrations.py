"""storage/migrations: a database made by the first one comes to the newest with everything that was in it."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.storage.worlds import QUERIES, Dice, World, expected, fill, query_for
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import Demographics
from xdsi.storage.database import reading, upgrade, writing
from xdsi.storage.identities import SqlPatientIdentities
from xdsi.storage.registry import SqlRegistry
from xdsi.storage.tables import PARTITIONED, PARTITIONS, metadata, partitions

OF_THE_FIRST = (
    "patient", "identifier", "submission_set", "document_entry", "folder", "association", "code", "author_person",
    "reference_id", "consent", "document",
)  # fmt: skip


def contents(engine: Engine, first: sa.MetaData) -> dict[str, set[tuple[Any, ...]]]:
    """All rows of the first tables, without the columns that came later."""
    found: dict[str, set[tuple[Any, ...]]] = {}
    with reading(engine) as connection:
        for name in OF_THE_FIRST:
            columns = [metadata.tables[name].c[column.name] for column in first.tables[name].c]
            found[name] = {tuple(row) for row in connection.execute(sa.select(*columns))}
    return found


def filled(engine: Engine, die: Dice, *, count: int = 40) -> World:
    """A registry with merged patients, every kind of object, a consent and a document."""
    name = uuid.uuid4().hex
    patients = [PatientId(f"{name}{number}", "2.999.1.1") for number in range(count)]
    world = World(patients, [(patients[1], patients[0])])
    fill(die, world, name, entries=2 * count, sets=count, folders=count // 2)
    with SqlRegistry(engine).writing() as session:
        session.save(world.submission)
    identities = SqlPatientIdentities(engine)
    for patient in patients:
        identities.add(patient, Demographics())
    identities.merge(patients[1], patients[0])
    with writing(engine) as connection:
        key = sa.select(metadata.tables["patient"].c.key).limit(1).scalar_subquery()
        consent = {"entry_uuid": world.entries[0].entry_uuid, "unique_id": "2.999.7", "status": "valid", "policy": "{}"}
        connection.execute(metadata.tables["consent"].insert().values(patient_key=key, **consent))
        document = {"unique_id": "2.999.8", "sha256": "a" * 64, "sha1": "b" * 40, "size": 7, "mime_type": "text/plain"}
        connection.execute(metadata.tables["document"].insert().values(**document))
    return world


def test_a_database_of_the_first_migration_keeps_everything(engine: Engine, empty_engine: Engine) -> None:
    die = Dice(11)
    world = filled(engine, die)
    upgrade(empty_engine, "0001")
    first = sa.MetaData()
    first.reflect(empty_engine)
    rows = contents(engine, first)
    assert all(rows.values())
    assert first.tables.keys() == {*OF_THE_FIRST, "alembic_version"}
    with writing(empty_engine) as connection:
        for name in OF_THE_FIRST:
            names = [column.name for column in first.tables[name].c]
            values = [dict(zip(names, row, strict=True)) for row in rows[name]]
            # Who was merged refers to another patient, who has to be there.
            values.sort(key=lambda row: row.get("survivor_key") is not None)
            connection.execute(first.tables[name].insert(), values)
    upgrade(empty_engine)

    assert contents(empty_engine, first) == rows
    registry = SqlRegistry(empty_engine)
    for query_id in (*QUERIES, *QUERIES, *QUERIES):
        query = query_for(die, world, query_id)
        with registry.reading() as session:
            assert {one.id for one in session.find(query)} == expected(query, world), query.parameters


def test_postgresql_divides_the_tables_of_objects_by_patient(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        tables = sa.inspect(engine).get_table_names()
        assert not any(part in tables for table in PARTITIONED for part in partitions(table))
        return
    filled(engine, Dice(3))
    with reading(engine) as connection:
        for table in PARTITIONED:
            assert table.primary_key.columns.keys()[0] == "patient_key"
            rows = [
                connection.execute(sa.text(f"SELECT DISTINCT patient_key FROM {part}")).scalars().all()
                for part in partitions(table)
            ]
            keys = [key for part in rows for key in part]
            assert len(rows) == PARTITIONS
            assert keys, table.name
            assert len(keys) == len(set(keys)), "a patient's rows lie in one part"
