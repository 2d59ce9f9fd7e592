"""storage/migrations: a database made by the first one comes to the newest with everything that was in it."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.storage import first_layout
from tests.storage.first_layout import OF_THE_FIRST
from tests.storage.worlds import QUERIES, Dice, World, expected, fill, query_for
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import Demographics
from xdsi.storage.database import reading, upgrade, writing
from xdsi.storage.identities import SqlPatientIdentities
from xdsi.storage.registry import SqlRegistry
from xdsi.storage.tables import PARTITIONED, PARTITIONS, metadata, partitions

NOT_COMPARED = {"fragment", "facts", "confirmed", "stored"}
"""what is left as it was and read in another way, and what a migration found out"""


def contents(engine: Engine) -> dict[str, set[tuple[Any, ...]]]:
    """All rows of the tables that there were at first, without what is read in another way."""
    found: dict[str, set[tuple[Any, ...]]] = {}
    with reading(engine) as connection:
        for name in OF_THE_FIRST:
            if name in metadata.tables:
                columns = [column for column in metadata.tables[name].c if column.name not in NOT_COMPARED]
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
    assert first.tables.keys() == {*OF_THE_FIRST, "alembic_version"}
    rows = first_layout.rows(engine, world, first)
    assert all(rows.values())
    with writing(empty_engine) as connection:
        for name in OF_THE_FIRST:
            # Who was merged refers to another patient, who has to be there.
            values = sorted(rows[name], key=lambda row: row.get("survivor_key") is not None)
            connection.execute(first.tables[name].insert(), values)
    upgrade(empty_engine)

    assert contents(empty_engine) == contents(engine)
    registries = SqlRegistry(engine), SqlRegistry(empty_engine)
    for query_id in (*QUERIES, *QUERIES, *QUERIES):
        query = query_for(die, world, query_id)
        with registries[0].reading() as fresh, registries[1].reading() as kept:
            found = kept.find(query)
            assert {one.id for one in found} == expected(query, world), query.parameters
            assert found == fresh.find(query), "and what is decided on is the same"
    ids = [one.entry_uuid for one in world.submission.objects]
    with registries[0].reading() as fresh, registries[1].reading() as kept:
        assert kept.objects(ids) == fresh.objects(ids)


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
