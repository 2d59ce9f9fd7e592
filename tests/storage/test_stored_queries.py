"""storage/stored_queries: every query gives what the plain way gives, by way of indexes only."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy.engine import Engine

from tests.storage.comparison import compare
from tests.storage.statements import watched
from tests.storage.worlds import QUERIES, Dice, World, dice, fill, query_for, worlds
from xdsi.domain.identifiers import PatientId
from xdsi.spec import uuids
from xdsi.storage.database import reading
from xdsi.storage.registry import SqlRegistry
from xdsi.storage.stored_queries import QUERIES as IMPLEMENTED
from xdsi.storage.tables import metadata


def test_all_queries_of_the_main_table_are_there() -> None:
    assert IMPLEMENTED.keys() == QUERIES.keys()
    assert len(IMPLEMENTED) == 17


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(worlds(), dice)
def test_queries_give_what_the_plain_way_gives(engine: Engine, world: World, die: Dice) -> None:
    """A few examples; `make long` compares 100,000 queries on each engine."""
    compare(engine, world, die)


@pytest.mark.parametrize("query_id", QUERIES)
def test_no_statement_reads_a_whole_table(engine: Engine, query_id: str) -> None:
    """Whatever parameters are sent: an index narrows by patient, by id or by a code first."""
    sqlite = engine.dialect.name == "sqlite"
    name = uuid.uuid4().hex
    world = World([PatientId(f"{name}{number}", "2.999.1.1") for number in range(2)], [])
    die = Dice(7)
    fill(die, world, name, entries=6, sets=2, folders=3)
    registry = SqlRegistry(engine)
    with registry.writing() as session:
        session.save(world.submission)
    plans: dict[str, str] = {}

    def explain(driver: Any, statement: str, parameters: Any) -> None:
        if statement not in plans and sqlite:
            plans[statement] = ""  # not while it runs
        elif statement not in plans:
            # A table this small is read as a whole unless that is forbidden; then only where no index serves.
            driver.execute("SET LOCAL enable_seqscan = off")
            steps = driver.execute(f"EXPLAIN {statement}", parameters)
            plans[statement] = "\n".join(row[0] for row in steps)

    with watched(engine, explain):
        for _ in range(60):
            query = query_for(die, world, query_id, most=8)
            if query_id in BY_ATTRIBUTE and not any(name in query.parameters for name in BY_ATTRIBUTE[query_id]):
                continue  # the rules refuse it: one of these must be sent
            with registry.reading() as session:
                found = session.find(query)
                session.evidence(found)
                list(session.fragments([one.id for one in found]))
    assert len(plans) > 5
    if sqlite:
        with reading(engine) as connection:
            for statement in plans:
                steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")
                plans[statement] = "\n".join(row[3] for row in steps)
    for statement, plan in plans.items():
        scanned = re.findall(rf"(?:SCAN|Seq Scan on) (?:{'|'.join(metadata.tables)})(?:_p\d\d)?\b.*", plan)
        assert not scanned, f"{statement}\n{plan}"


BY_ATTRIBUTE = {
    uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS: (
        "$XDSDocumentEntryPatientId",
        "$XDSDocumentEntryClassCode",
        "$XDSDocumentEntryEventCodeList",
        "$XDSDocumentEntryHealthcareFacilityTypeCode",
    ),
    uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS: ("$XDSFolderPatientId", "$XDSFolderCodeList"),
}
