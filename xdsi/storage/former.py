"""What decides on former versions of DocumentEntries: the attributes that their latest versions have.

docs/policy.md section 6. Otherwise a new confidentiality or another patient would leave the former version to whoever
could see it before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.engine import Connection

from xdsi.domain.consent import Resource
from xdsi.storage.facts import RESOURCE_COLUMNS, resource_of
from xdsi.storage.people import People
from xdsi.storage.prepared import Prepared
from xdsi.storage.routes import IdKind, Routes, at_places, place_binds
from xdsi.storage.tables import document_entry as t

_LATEST: Final = Prepared(select(*RESOURCE_COLUMNS).where(at_places(t), t.c.latest))


def as_latest(
    rows: Sequence[Any], connection: Connection, people: People, routes: Routes, home: str
) -> dict[str, Resource]:
    """For each row with RESOURCE_COLUMNS that is a former version, by its id: the latest one under the former id."""
    former = {row.id: row.logical_id for row in rows if not row.latest}
    if not former:
        return {}
    ways = routes.find(former.values(), IdKind.UUID, IdKind.LOGICAL)
    newest = {
        row.logical_id: row
        for placed in place_binds(way.place for way in ways if way.letter == "D")
        for row in _LATEST.rows(connection, placed)
    }
    survivors = people.survivors({row.patient_key for row in newest.values()})
    return {
        id_: replace(resource_of(row, survivors[row.patient_key][1], home), entry_uuid=id_)
        for id_, logical_id in former.items()
        if (row := newest.get(logical_id)) is not None
    }
