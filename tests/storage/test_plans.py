"""storage/stored_queries on a PostgreSQL that believes it is large: no plan reads a whole table."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.storage.statements import watched
from tests.storage.test_stored_queries import BY_ATTRIBUTE
from tests.storage.worlds import QUERIES, Dice, World, fill, query_for
from xdsi.domain.identifiers import PatientId
from xdsi.storage.database import open_database, upgrade
from xdsi.storage.registry import SqlRegistry
from xdsi.storage.tables import metadata

_KEYS = "(1 + i % 4000)"
_ID = "'urn:uuid:' || md5('{}' || i)"
_CODE = "'C' || {} % 40, '2.999.' || {} % 3"
# Rows without meaning but of the usual length: a plan rests on how many there are and how values are spread.
POPULATION = {
    "patient (authority, id)": "SELECT '2.999.1.1', 'M' || i FROM generate_series(1, 4000) i",
    "document_entry (patient_key, id, unique_id, status, on_demand, availability, creation_time, class_code,"
    " class_scheme, facility_type_code, facility_type_scheme, facts, fragment)": (
        f"SELECT {_KEYS}, {_ID.format('d')}, '2.25.' || i, 'Approved', false, 'Online', (20200101000000 + i)::text,"
        f" {_CODE.format('i', 'i')}, {_CODE.format('i', 'i')}, repeat('f', 500), repeat('x', 900)::bytea"
        " FROM generate_series(1, 16000) i"
    ),
    "submission_set (patient_key, id, unique_id, submission_time, status, fragment)": (
        f"SELECT {_KEYS}, {_ID.format('s')}, '2.26.' || i, (20200101000000 + i)::text, 'Approved',"
        " repeat('x', 400)::bytea FROM generate_series(1, 16000) i"
    ),
    "folder (patient_key, id, unique_id, last_update_time, status, fragment)": (
        f"SELECT {_KEYS}, {_ID.format('f')}, '2.27.' || i, (20200101000000 + i)::text, 'Approved',"
        " repeat('x', 300)::bytea FROM generate_series(1, 8000) i"
    ),
    "association (patient_key, id, type, source, target, source_kind, target_kind, target_patient_key, status,"
    " fragment)": (
        f"SELECT {_KEYS}, {_ID.format('a')}, 'HasMember', {_ID.format('s')}, {_ID.format('d')}, 'S', 'D',"
        f" {_KEYS}, 'Approved', repeat('x', 150)::bytea FROM generate_series(1, 16000) i"
    ),
    "code (patient_key, object_id, kind, code, scheme)": (
        f"SELECT {_KEYS}, {_ID.format('d')}, k, {_CODE.format('i', 'i')} FROM generate_series(1, 40000) i,"
        " unnest(ARRAY['event', 'confidentiality']) k UNION ALL"
        f" SELECT {_KEYS}, {_ID.format('f')}, 'folder', {_CODE.format('i', 'i')}"
        " FROM generate_series(1, 20000) i"
    ),
    "author_person (patient_key, object_id, position, person)": (
        f"SELECT {_KEYS}, {_ID.format('d')}, 0, i % 500 || '^Doe^Jo' FROM generate_series(1, 60000) i"
    ),
    "reference_id (patient_key, object_id, position, value)": (
        f"SELECT {_KEYS}, {_ID.format('d')}, 0, 'A' || i || '^^^&2.999.6&ISO' FROM generate_series(1, 40000) i"
    ),
    "identifier (value, kind, object_id, object_kind, patient_key)": (
        f"SELECT {_ID.format('d')}, 'uuid', {_ID.format('d')}, 'D', {_KEYS} FROM generate_series(1, 32000) i"
    ),
    "consent (patient_key, entry_uuid, unique_id, status, policy)": (
        f"SELECT {_KEYS}, {_ID.format('d')}, '2.25.' || i, 'valid', repeat('p', 400) FROM generate_series(1, 8000) i"
    ),
}


@pytest.fixture(scope="module")
def large(postgresql_server: str) -> Iterator[Engine]:
    """A database of its own, with thousands of rows in each part of each table, and statistics of them."""
    server = sa.create_engine(
        sa.make_url(postgresql_server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with server.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE large"))
    engine = open_database(postgresql_server.replace("/postgres?", "/large?"))
    try:
        upgrade(engine)
        with engine.begin() as connection:
            for table, rows in POPULATION.items():
                connection.exec_driver_sql(f"INSERT INTO {table} {rows}".replace("%", "%%"))
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")
        yield engine
    finally:
        engine.dispose()
        with server.connect() as connection:
            connection.execute(sa.text("DROP DATABASE large"))
        server.dispose()


@pytest.mark.parametrize("query_id", QUERIES)
def test_no_plan_reads_a_whole_table(large: Engine, query_id: str) -> None:
    """As planned when nothing is forbidden: with the numbers of a large registry, whatever parameters are sent."""
    name = uuid.uuid4().hex
    world = World([PatientId(f"{name}{number}", "2.999.1.1") for number in range(2)], [])
    die = Dice(13)
    fill(die, world, name, entries=6, sets=2, folders=3)
    registry = SqlRegistry(large)
    with registry.writing() as session:
        session.save(world.submission)
    plans: dict[str, str] = {}

    def explain(driver: Any, statement: str, parameters: Any) -> None:
        if statement not in plans:
            plans[statement] = "\n".join(row[0] for row in driver.execute(f"EXPLAIN {statement}", parameters))

    with watched(large, explain):
        for _ in range(30):
            query = query_for(die, world, query_id, most=8)
            if query_id in BY_ATTRIBUTE and not any(name in query.parameters for name in BY_ATTRIBUTE[query_id]):
                continue
            with registry.reading() as session:
                found = session.find(query)
                session.evidence(found)
                list(session.fragments([one.id for one in found]))
    assert len(plans) > 3
    for statement, plan in plans.items():
        scanned = re.findall(rf"Seq Scan on (?:{'|'.join(metadata.tables)})(?:_p\d\d)?\b.*", plan)
        assert not scanned, f"{statement}\n{plan}"


def test_a_query_for_a_patient_touches_one_part_of_each_table(large: Engine) -> None:
    with large.connect() as connection:
        for table in ("document_entry", "submission_set", "folder", "association", "code"):
            steps = connection.exec_driver_sql(f"EXPLAIN SELECT * FROM {table} WHERE patient_key = 1789").scalars()
            assert len(set(re.findall(rf"\b{table}_p\d\d\b", "\n".join(steps)))) == 1
