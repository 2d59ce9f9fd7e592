"""Removing registered objects for good, with everything that was kept of them.

Remove Metadata and Documents 3.62.4.1.3. The state of what is to be removed and what names it must not change between
the look and the deed: the rows are locked first, and whoever names a registered object holds it until the commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from sqlalchemy import Table, bindparam, case, delete, select, update
from sqlalchemy.engine import Connection, Row

from xdsi.storage import consents, document_index, lists
from xdsi.storage import tables as t
from xdsi.storage.people import People
from xdsi.storage.routes import IdKind, Routes, at_places, place_binds
from xdsi.storage.rows import studies
from xdsi.storage.wording import in_batches

_OBJECTS: Final = {"D": t.document_entry, "S": t.submission_set, "F": t.folder, "A": t.association}
_VERSIONED: Final = {"D": t.document_entry, "F": t.folder}
_PARTS: Final[dict[str, tuple[Table, ...]]] = {
    "D": (t.code,), "S": (), "F": (t.code,), "A": (),
}  # fmt: skip
"""the rows that an object has beside its own"""
_NAMES: Final = {
    "D": ("unique_id", "logical_id"), "S": ("unique_id",), "F": ("unique_id", "logical_id"), "A": ("target",),
}  # fmt: skip
"""the columns by which the table of identifiers leads to it"""
_LARGE: Final = frozenset({"fragment", "facts"})
_LOCK: Final = {
    letter: select(table.c.id).where(at_places(table)).order_by(table.c.id).with_for_update()
    for letter, table in _OBJECTS.items()
}
_HOLD: Final = {
    letter: select(table.c.id).where(at_places(table)).order_by(table.c.id).with_for_update(read=True, key_share=True)
    for letter, table in _OBJECTS.items()
}
_PATIENTS: Final = (
    select(t.patient.c.key)
    .where(t.patient.c.key.in_(bindparam("patients", expanding=True)))
    .order_by(t.patient.c.key)
    .with_for_update(key_share=True)
)
_objects: Any = bindparam("objects", expanding=True)
# Whichever of the three says what object a value leads to.
_FORGET: Final = delete(t.identifier).where(
    t.identifier.c.value.in_(bindparam("values", expanding=True)),
    case(
        (t.identifier.c.object_id != "", t.identifier.c.object_id),
        (t.identifier.c.tie != "", t.identifier.c.tie),
        else_=t.identifier.c.value,
    ).in_(_objects),
)


def lock(connection: Connection, routes: Routes, ids: Collection[str]) -> None:
    """Let nobody else change or name these objects until the end of the unit of work.

    A unit of work on SQLite has the database for itself. On PostgreSQL the patient comes before his objects, as with
    everybody who writes: two who took them the other way round would wait for each other.
    """
    if connection.dialect.name == "postgresql":
        patients = {route.patient_key for route in routes.of_ids(ids).values()}
        connection.execute(_PATIENTS, {"patients": sorted(patients)})
    _rows(connection, routes, ids, _LOCK)


def hold(connection: Connection, routes: Routes, ids: Collection[str]) -> set[str]:
    """Let nobody remove these objects until the end of the unit of work; returns those that are still there."""
    return _rows(connection, routes, ids, _HOLD)


def _rows(connection: Connection, routes: Routes, ids: Collection[str], statements: dict[str, Any]) -> set[str]:
    known = routes.of_ids(ids).values()
    if connection.dialect.name != "postgresql":
        return {route.id for route in known}
    return {
        row.id
        for letter, statement in statements.items()
        for placed in place_binds(route.place for route in known if route.letter == letter)
        for row in connection.execute(statement, placed)
    }


def remove(connection: Connection, people: People, routes: Routes, ids: Collection[str]) -> None:
    """Delete objects, what they consist of and every way to them; consents among them end at once."""
    known = list(routes.of_ids(ids).values())
    places = {letter: [route.place for route in known if route.letter == letter] for letter in _OBJECTS}
    people.advance_epoch(consents.bearers(connection, places["D"]))
    _delete(connection, t.consent, "entry_uuid", places["D"])
    names = set(ids)
    chains: dict[str, set[str]] = {}
    documents: set[str] = set()
    for letter, table in _OBJECTS.items():
        for row in _select(connection, table, "id", places[letter]):
            names.update(getattr(row, column) for column in _NAMES[letter])
            if letter == "D":
                documents.add(row.unique_id)
                names.update(studies(lists.read(row.reference_ids)))
            if letter in _VERSIONED:
                chains.setdefault(letter, set()).add(row.logical_id)
        for part in _PARTS[letter]:
            _delete(connection, part, "object_id", places[letter])
        _delete(connection, table, "id", places[letter])
    # Documents outlive their metadata: nobody may take them for such as were never registered.
    document_index.confirm(connection, documents)
    for values in in_batches(sorted(names)):
        for objects in in_batches(sorted(ids)):
            connection.execute(_FORGET, {"values": values, "objects": objects})
    routes.forget(ids)
    for letter, logical_ids in chains.items():
        _mark_latest(connection, routes, letter, logical_ids)


def _mark_latest(connection: Connection, routes: Routes, letter: str, logical_ids: Collection[str]) -> None:
    """Of the versions that are left the highest is the latest one."""
    table = _VERSIONED[letter]
    left = [route.place for route in routes.find(logical_ids, IdKind.UUID, IdKind.LOGICAL) if route.letter == letter]
    newest: dict[str, Row[Any]] = {}
    for row in _select(connection, table, "id", left):
        if row.logical_id in logical_ids and row.version > getattr(newest.get(row.logical_id), "version", 0):
            newest[row.logical_id] = row
    for placed in place_binds((row.patient_key, row.id) for row in newest.values()):
        connection.execute(update(table).where(at_places(table)).values(latest=True), placed)


def _select(connection: Connection, table: Table, second: str, places: Iterable[tuple[int, str]]) -> list[Row[Any]]:
    columns = [column for column in table.c if column.name not in _LARGE]
    statement = select(*columns).where(at_places(table, second))
    return [row for placed in place_binds(places) for row in connection.execute(statement, placed)]


def _delete(connection: Connection, table: Table, second: str, places: Iterable[tuple[int, str]]) -> None:
    for placed in place_binds(places):
        connection.execute(delete(table).where(at_places(table, second)), placed)
