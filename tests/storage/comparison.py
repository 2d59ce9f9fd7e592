"""One random registry in a real database: each stored query twice, beside what the plain way selects."""

from __future__ import annotations

from sqlalchemy.engine import Engine

from tests.storage.worlds import QUERIES, Dice, World, expected, query_for
from xdsi.domain.identity import Demographics
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.stored_query import ObjectKind
from xdsi.storage.identities import SqlPatientIdentities
from xdsi.storage.registry import SqlRegistry


def compare(engine: Engine, world: World, die: Dice) -> int:
    """How many objects were found; AssertionError where the database and the plain way differ.

    The database may hold other worlds.
    """
    registry = SqlRegistry(engine)
    with registry.writing() as session:
        session.save(world.submission)
    identities = SqlPatientIdentities(engine)
    for patient in world.patients:
        identities.add(patient, Demographics())
    # The last of a chain first, so that each is active when it is merged.
    for subsumed, survivor in reversed(world.merges):
        identities.merge(subsumed, survivor)
    return sum(_compare(registry, world, die, query_id) for query_id in (*QUERIES, *QUERIES))


def _compare(registry: SqlRegistry, world: World, die: Dice, query_id: str) -> int:
    query = query_for(die, world, query_id)
    objects = {one.entry_uuid: one for one in world.submission.objects}
    with registry.reading() as session:
        # A query for all patients also sees other worlds.
        found = [one for one in session.find(query) if one.id in objects]
    assert {one.id for one in found} == expected(query, world), query
    assert len(found) == len({one.id for one in found}), "each object once"
    entries = [one for one in found if one.kind is ObjectKind.DOCUMENT_ENTRY]
    times = [(objects[one.id].creation_time, one.id) for one in entries]
    assert times == sorted(times, reverse=True), "newest first"
    for one in found:
        stored = objects[one.id]
        assert one.kind.value == type(stored).__name__
        if isinstance(stored, DocumentEntry):
            assert one.resource is not None
            latest = world.latest(stored)
            assert one.resource.patient == world.survivor(latest.patient_id)
            assert one.resource.unique_id == stored.unique_id
            assert one.resource.event_codes == latest.event_codes
            assert one.resource.availability_status == latest.availability_status
        if one.kind is ObjectKind.ASSOCIATION:
            assert (one.source, one.target, one.association_type) == (stored.source, stored.target, stored.type)
    keys = {(getattr(objects[one.id], "patient_id", ""), one.patient_key) for one in found}
    persons = {(world.survivor(cx), key) for cx, key in keys if cx}
    assert len(persons) == len({key for _, key in persons}) == len({person for person, _ in persons})
    return len(found)
