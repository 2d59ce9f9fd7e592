"""Where relationships lead from a document, to any depth, in one statement.

ITI TF-3 4.2.2.2. A chain of documents may be long; who asks link by link keeps every other writer waiting meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import CTE, ColumnElement, and_, bindparam, select
from sqlalchemy.engine import Connection

from xdsi.domain.stored_query import FoundObject, ObjectKind
from xdsi.spec.uuids import RELATIONSHIPS
from xdsi.storage import tables as t
from xdsi.storage.prepared import Prepared
from xdsi.storage.routes import at_places, place_binds

_a = t.association.c
_links = select(_a.id, _a.type, _a.source, _a.target, _a.target_patient_key, _a.status)
_first = _links.where(at_places(t.association, "source")).cte("leads", recursive=True)


def _holds(link: CTE) -> ColumnElement[bool]:
    return and_(link.c.status == "Approved", link.c.type.in_(bindparam("types", expanding=True)))


# UNION, not UNION ALL: what was found already is not followed again, so that a circle ends. What holds is asked of the
# links that are followed, not of those that are looked for: PostgreSQL would think these so few that it reads the whole
# table for each step.
_leads = _first.union(
    _links.join(_first, and_(_a.patient_key == _first.c.target_patient_key, _a.source == _first.c.target)).where(
        _holds(_first)
    )
)
_LEADING: Final = Prepared(
    select(_leads.c.id, _leads.c.type, _leads.c.source, _leads.c.target).where(_holds(_leads)).limit(bindparam("most"))
)


def leading_on(connection: Connection, places: Iterable[tuple[int, str]], most: int) -> list[FoundObject]:
    """The Approved relationships that lead from these documents, and from where they lead; no more than `most`."""
    found: dict[str, FoundObject] = {}
    for placed in place_binds(places):
        for row in _LEADING.rows(connection, placed | {"types": sorted(RELATIONSHIPS), "most": most}):
            found[row.id] = FoundObject(
                id=row.id,
                kind=ObjectKind.ASSOCIATION,
                source=row.source,
                target=row.target,
                association_type=row.type,
            )
        if len(found) >= most:
            break
    return list(found.values())[:most]
