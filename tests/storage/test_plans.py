"""storage/stored_queries on a PostgreSQL that believes it is large: no plan reads a whole table."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.storage.registered import association, entry, submission
from tests.storage.statements import watched
from tests.storage.test_stored_queries import BY_ATTRIBUTE
from tests.storage.worlds import QUERIES, Dice, World, fill, query_for
from xdsi.domain.identifiers import PatientId
from xdsi.spec import uuids
from xdsi.storage.database import open_database, upgrade
from xdsi.storage.packed import Packed, pack
from xdsi.storage.registry import SqlRegistry
from xdsi.storage.tables import metadata

_KEYS = "(1 + i % 4000)"
_ID = "decode(md5('{}' || i), 'hex')"
_CODE = "('C' || {} % 40)::bytea, ('2.999.' || {} % 3)::bytea"
_UUID, _EVENT, _FOLDER = (f"'\\x{pack(word).hex()}'::bytea" for word in ("uuid", "event", "folder"))
_APPROVED, _HAS_MEMBER = (f"'\\x{pack(word).hex()}'::bytea" for word in ("Approved", uuids.HAS_MEMBER))
# Rows without meaning but of the usual length: a plan rests on how many there are and how values are spread.
POPULATION = {
    "patient (authority, id)": "SELECT '2.999.1.1', 'M' || i FROM generate_series(1, 4000) i",
    "document_entry (patient_key, id, unique_id, status, on_demand, availability, creation_time, class_code,"
    " class_scheme, facility_type_code, facility_type_scheme, author_persons, facts, fragment)": (
        f"SELECT {_KEYS}, {_ID.format('d')}, ('2.25.' || i)::bytea, {_APPROVED}, false, 'O'::bytea,"
        f" (20200101000000 + i)::text, {_CODE.format('i', 'i')}, {_CODE.format('i', 'i')}, '[\"7^Doe\"]',"
        " repeat('f', 100), repeat('x', 300)::bytea FROM generate_series(1, 16000) i"
    ),
    "submission_set (patient_key, id, unique_id, submission_time, status, author_persons, fragment)": (
        f"SELECT {_KEYS}, {_ID.format('s')}, ('2.26.' || i)::bytea, (20200101000000 + i)::text, {_APPROVED},"
        " '[\"7^Doe\"]', repeat('x', 100)::bytea FROM generate_series(1, 16000) i"
    ),
    "folder (patient_key, id, unique_id, last_update_time, status, fragment)": (
        f"SELECT {_KEYS}, {_ID.format('f')}, ('2.27.' || i)::bytea, (20200101000000 + i)::text, {_APPROVED},"
        " repeat('x', 100)::bytea FROM generate_series(1, 8000) i"
    ),
    "association (patient_key, id, type, source, target, source_kind, target_kind, target_patient_key, status,"
    " fragment)": (
        f"SELECT {_KEYS}, {_ID.format('a')}, {_HAS_MEMBER}, {_ID.format('s')}, {_ID.format('d')}, 'S', 'D',"
        f" {_KEYS}, {_APPROVED}, repeat('x', 10)::bytea FROM generate_series(1, 16000) i"
    ),
    "code (patient_key, object_id, kind, code, scheme)": (
        f"SELECT {_KEYS}, {_ID.format('d')}, {_EVENT}, {_CODE.format('i', 'i')} FROM generate_series(1, 40000) i"
        f" UNION ALL SELECT {_KEYS}, {_ID.format('f')}, {_FOLDER}, {_CODE.format('i', 'i')}"
        " FROM generate_series(1, 20000) i"
    ),
    "identifier (value, kind, tie, object_id, object_kind, patient_key)": (
        f"SELECT {_ID.format('d')}, {_UUID}, ''::bytea, ''::bytea, 'D', {_KEYS} FROM generate_series(1, 32000) i"
    ),
    "consent (patient_key, entry_uuid, unique_id, status, policy)": (
        f"SELECT {_KEYS}, {_ID.format('d')}, '2.25.' || i, 'valid', repeat('p', 400) FROM generate_series(1, 8000) i"
    ),
}
"""by table and the columns that matter; packed ones that are left out are empty"""


def _insert(table: str, rows: str) -> str:
    """The statement that puts rows into a table, with nothing in the packed columns that were not named."""
    name, _, columns = table.removesuffix(")").partition(" (")
    named = columns.split(", ")
    empty = [c.name for c in metadata.tables[name].c if isinstance(c.type, Packed) and c.name not in named]
    nothing = ", ''::bytea" * len(empty)
    return f"INSERT INTO {name} ({', '.join([*named, *empty])}) SELECT r.*{nothing} FROM ({rows}) r"


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
                connection.exec_driver_sql(_insert(table, rows).replace("%", "%%"))
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


def test_relationships_are_followed_without_reading_a_whole_table(large: Engine) -> None:
    registry = SqlRegistry(large)
    chain = [entry() for _ in range(4)]
    links = [association(uuids.APND, one.entry_uuid, two.entry_uuid) for one, two in pairwise(chain)]
    with registry.writing() as session:
        session.save(submission(*chain, associations=tuple(links)))
    plans: list[str] = []

    def explain(driver: Any, statement: str, parameters: Any) -> None:
        plans.append("\n".join(row[0] for row in driver.execute(f"EXPLAIN {statement}", parameters)))

    with watched(large, explain), registry.reading() as session:
        assert len(session.relationships_from([chain[0].entry_uuid], 100)) == len(links)
    assert len(plans) == 2
    for plan in plans:
        assert not re.search(r"Seq Scan on (association|identifier)", plan), plan
