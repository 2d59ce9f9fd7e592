"""What the visibility of found objects rests on: the DocumentEntries behind SubmissionSets, Folders and Associations.

docs/policy.md section 6. Statements are for a whole result, and as many whether it may be shown or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import and_, select
from sqlalchemy.engine import Connection

from xdsi.domain.codes import Code
from xdsi.domain.consent import Resource, ResourceKind
from xdsi.domain.stored_query import Evidence, FoundObject, ObjectKind
from xdsi.spec.uuids import HAS_MEMBER
from xdsi.storage import tables as t
from xdsi.storage.facts import RESOURCE_COLUMNS, resource_of
from xdsi.storage.former import as_latest
from xdsi.storage.people import People
from xdsi.storage.prepared import Prepared
from xdsi.storage.routes import Route, Routes, at_places, place_binds
from xdsi.storage.stored_queries.finder import Place
from xdsi.storage.stored_queries.selections import MOST

DEEPEST: Final = 8
"""How many associations to associations are followed; the rules of submission make one."""

_a = t.association.c
_ASSOCIATIONS: Final = Prepared(
    select(_a.patient_key, _a.id, _a.source, _a.target, _a.source_kind, _a.target_kind, _a.target_patient_key).where(
        at_places(t.association)
    )
)
_MEMBERS: Final = Prepared(
    select(_a.patient_key, _a.source, _a.target_patient_key, _a.target)
    .where(at_places(t.association, "source"), _a.type == HAS_MEMBER, _a.target_kind == "D")
    .limit(MOST)
)
_ENTRIES: Final = Prepared(select(*RESOURCE_COLUMNS).where(at_places(t.document_entry)))
_SETS: Final = Prepared(
    select(t.submission_set.c.patient_key, t.submission_set.c.id, t.submission_set.c.unique_id).where(
        at_places(t.submission_set)
    )
)
_FOLDERS: Final = Prepared(
    select(t.folder.c.patient_key, t.folder.c.id, t.folder.c.unique_id, t.code.c.code, t.code.c.scheme)
    .select_from(
        t.folder.outerjoin(
            t.code,
            and_(
                t.code.c.patient_key == t.folder.c.patient_key,
                t.code.c.object_id == t.folder.c.id,
                t.code.c.kind == "folder",
            ),
        )
    )
    .where(at_places(t.folder))
)


def gather(found: Sequence[FoundObject], connection: Connection, people: People, routes: Routes, home: str) -> Evidence:
    """The evidence for found objects; `home` is this community's, for entries that name none."""
    return _Gathering(connection, people, routes, home).of(found)


class _Gathering:
    def __init__(self, connection: Connection, people: People, routes: Routes, home: str) -> None:
        self.connection = connection
        self.people = people
        self.routes = routes
        self.home = home

    def of(self, found: Sequence[FoundObject]) -> Evidence:
        ends = self.ends(found)
        named = dict.fromkeys(one.id for one in found)
        named.update((end, None) for both in ends.values() for end in both)
        routes = self.routes.of_ids(named).values()
        containers = [route for route in routes if route.letter in "SF"]
        resources = {one.id: one.resource for one in found if one.resource is not None}
        places = {route.place for route in routes if route.letter == "D" and route.id not in resources}
        linked = self.select(_MEMBERS, (route.place for route in containers))
        links = self.of_one_person(linked)
        places.update((row.target_patient_key, row.target) for row in links if row.target not in resources)
        if max(len(linked), len(resources) + len(places)) >= MOST:
            return Evidence(complete=False)
        members: dict[str, list[str]] = {}
        for row in links:
            members.setdefault(row.source, []).append(row.target)
        resources.update(self.entries(places))
        resources.update(self.containers([route for route in containers if route.id not in members]))
        return Evidence(resources=resources, members=members, ends=ends)

    def ends(self, found: Sequence[FoundObject]) -> dict[str, tuple[str, str]]:
        """The ends of the Associations found, of the Associations among these, and so on."""
        ends = {one.id: (one.source, one.target) for one in found if one.kind is ObjectKind.ASSOCIATION}
        fresh = list(ends)
        for _ in range(DEEPEST):
            unread = {end for id_ in fresh for end in ends[id_] if end not in ends}
            places = [route.place for route in self.routes.of_ids(unread).values() if route.letter == "A"]
            if not places:
                break
            rows = self.select(_ASSOCIATIONS, places)
            self.routes.note_ends(rows)
            ends.update((row.id, (row.source, row.target)) for row in rows)
            fresh = [row.id for row in rows]
        return ends

    def of_one_person(self, links: Sequence[Any]) -> list[Any]:
        """The links to members of the container's own patient; what is there by reference does not speak for it."""
        survivors = self.people.survivors({key for row in links for key in (row.patient_key, row.target_patient_key)})
        return [row for row in links if survivors[row.patient_key][0] == survivors[row.target_patient_key][0]]

    def entries(self, places: Iterable[Place]) -> dict[str, Resource]:
        rows = self.select(_ENTRIES, places)
        survivors = self.people.survivors({row.patient_key for row in rows})
        resources = {row.id: resource_of(row, survivors[row.patient_key][1], self.home) for row in rows}
        return resources | as_latest(rows, self.connection, self.people, self.routes, self.home)

    def containers(self, routes: Sequence[Route]) -> dict[str, Resource]:
        """SubmissionSets and Folders that nothing but their patient speaks for."""
        survivors = self.people.survivors({route.patient_key for route in routes})
        resources = {
            row.id: Resource(
                unique_id=row.unique_id,
                kind=ResourceKind.SUBMISSION_SET,
                entry_uuid=row.id,
                patient=survivors[row.patient_key][1],
            )
            for row in self.select(_SETS, (route.place for route in routes if route.letter == "S"))
        }
        rows = self.select(_FOLDERS, (route.place for route in routes if route.letter == "F"))
        codes: dict[str, list[Code]] = {row.id: [] for row in rows}
        for row in rows:
            if row.code is not None:
                codes[row.id].append(Code(row.code, row.scheme))
        resources.update(
            (
                row.id,
                Resource(
                    unique_id=row.unique_id,
                    kind=ResourceKind.FOLDER,
                    entry_uuid=row.id,
                    patient=survivors[row.patient_key][1],
                    folder_codes=tuple(codes[row.id]),
                ),
            )
            for row in rows
        )
        return resources

    def select(self, statement: Prepared, places: Iterable[Place]) -> list[Any]:
        rows: list[Any] = []
        for placed in place_binds(places):
            rows.extend(statement.rows(self.connection, placed))
            if len(rows) >= MOST:
                break
        return rows
