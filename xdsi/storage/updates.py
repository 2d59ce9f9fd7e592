"""What changes registered objects in place: a version that is no longer the latest, another availabilityStatus.

Metadata Update 4.1.5, 3.57.4.1.3. Each statement says in what state it expects its rows, so that of two requests at the
same moment the second finds nothing left to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Table, Update, bindparam, update
from sqlalchemy.engine import Connection

from xdsi.storage import consents
from xdsi.storage import tables as t
from xdsi.storage.people import People
from xdsi.storage.routes import Routes, at_places, place_binds
from xdsi.storage.wording import short_status

_VERSIONED: Final = {"D": t.document_entry, "F": t.folder}


def _returning(statement: Update, table: Table) -> Any:
    return statement.returning(table.c.patient_key, table.c.id)


_SUPERSEDE: Final = {
    letter: _returning(
        update(table).where(at_places(table), table.c.latest).values(latest=False, status="Deprecated"), table
    )
    for letter, table in _VERSIONED.items()
}


def _set_status(table: Table) -> Any:
    statement = update(table).where(at_places(table), table.c.status == bindparam("original"))
    if "latest" in table.c:
        statement = statement.where(table.c.latest)
    return _returning(statement.values(status=bindparam("new")), table)


_SET_STATUS: Final = {letter: _set_status(table) for letter, table in (*_VERSIONED.items(), ("A", t.association))}


def supersede(connection: Connection, people: People, routes: Routes, ids: Sequence[str]) -> list[str]:
    """Deprecate versions that have a next one; returns the ids of those that were still the latest."""
    return _change(connection, people, routes, ids, _SUPERSEDE, {})


def set_status(
    connection: Connection, people: People, routes: Routes, ids: Sequence[str], original: str, new: str
) -> list[str]:
    """Change the status of DocumentEntries, Folders (their latest versions) and Associations that have the original."""
    binds = {"original": short_status(original), "new": short_status(new)}
    return _change(connection, people, routes, ids, _SET_STATUS, binds)


def _change(
    connection: Connection,
    people: People,
    routes: Routes,
    ids: Sequence[str],
    statements: dict[str, Any],
    binds: dict[str, str],
) -> list[str]:
    known = routes.of_ids(ids).values()
    done: set[str] = set()
    for letter, statement in statements.items():
        places = [route.place for route in known if route.letter == letter]
        changed = [
            (row.patient_key, row.id)
            for placed in place_binds(places)
            for row in connection.execute(statement, placed | binds)
        ]
        done.update(id_ for _, id_ in changed)
        if letter == "D" and changed:
            people.advance_epoch(consents.bearers(connection, changed))
    return [id_ for id_ in dict.fromkeys(ids) if id_ in done]
