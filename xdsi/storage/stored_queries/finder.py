"""Runs the statements of a stored query and makes what they give into found objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from sqlalchemy.engine import Connection, Row

from xdsi.domain.identifiers import PatientId
from xdsi.domain.stored_query import FoundObject, ObjectKind, StoredQuery, Value
from xdsi.spec import uuids
from xdsi.storage.facts import resource_of
from xdsi.storage.former import as_latest
from xdsi.storage.people import People
from xdsi.storage.prepared import Prepared
from xdsi.storage.routes import Routes, place_binds
from xdsi.storage.stored_queries.selections import MOST, Level, Scope, Selection
from xdsi.storage.wording import LETTERS

Place = tuple[int, str]
"""(patient key, id of an object or of an end of an association)"""

_TYPE: Final = "$XDSDocumentEntryType"


class Finder:
    """One transaction's view of the registry for stored queries; `home` is this community's."""

    def __init__(self, connection: Connection, people: People, routes: Routes, home: str) -> None:
        self.connection = connection
        self.people = people
        self.routes = routes
        self.home = home

    def keys_of(self, patients: Iterable[Value]) -> list[int]:
        """The keys of everything that belongs to these patients; an unknown or a subsumed identifier has nothing."""
        keys: dict[int, None] = {}
        for cx in patients:
            try:
                patient = PatientId.parse(str(cx))
            except ValueError:
                continue
            if self.people.status(patient) == "active":
                person = self.people.person(patient)
                keys.update(dict.fromkeys(person.keys if person is not None else ()))
        return list(keys)

    def of_patients(
        self, selection: Selection, query: StoredQuery, keys: Sequence[int], level: Level
    ) -> list[Row[Any]]:
        """Objects of these patients that meet the query's parameters, newest first."""
        if not keys:
            return []
        statement, binds = selection.statement(query, Scope.PATIENTS, level)
        return self._run(statement, binds | {"patients": keys})

    def everywhere(self, selection: Selection, query: StoredQuery, level: Level) -> list[Row[Any]]:
        """Objects of whatever patient that meet the query's parameters, newest first."""
        statement, binds = selection.statement(query, Scope.EVERYWHERE, level)
        return self._run(statement, binds)

    def at(
        self,
        selection: Selection,
        query: StoredQuery,
        places: Iterable[Place],
        level: Level,
        scope: Scope = Scope.PLACES,
    ) -> list[Row[Any]]:
        """Objects at these places that meet the query's parameters, newest first."""
        statement, binds = selection.statement(query, scope, level)
        found: list[Row[Any]] = []
        several = False
        for placed in place_binds(places):
            several = bool(found)
            found.extend(self._run(statement, binds | placed))
            if len(found) >= MOST:
                break
        if several:
            newest = selection.newest.name
            found.sort(key=lambda row: (getattr(row, newest), row.id), reverse=True)
        return found[:MOST]

    def _run(self, statement: Prepared, binds: dict[str, Any]) -> list[Row[Any]]:
        return statement.rows(self.connection, binds)

    def found(self, selection: Selection, rows: Sequence[Row[Any]]) -> list[FoundObject]:
        """The rows as found objects, under the surviving patient."""
        survivors = self.people.survivors({row.patient_key for row in rows})
        kind = selection.kind
        letter = LETTERS[kind]
        if kind is ObjectKind.ASSOCIATION:
            self.routes.note_ends(rows)
        of_entries = rows if kind is ObjectKind.DOCUMENT_ENTRY else ()
        instead = as_latest(of_entries, self.connection, self.people, self.routes, self.home)
        self.routes.note_all(letter, rows)
        objects = []
        for row in rows:
            key, patient = survivors[row.patient_key]
            home = row.home_community_id or self.home
            if kind is ObjectKind.DOCUMENT_ENTRY:
                resource = instead.get(row.id) or resource_of(row, patient, self.home)
                one = FoundObject(id=row.id, kind=kind, patient_key=key, home_community_id=home, resource=resource)
            elif kind is ObjectKind.ASSOCIATION:
                one = FoundObject(
                    id=row.id,
                    kind=kind,
                    patient_key=key,
                    home_community_id=home,
                    source=row.source,
                    target=row.target,
                    association_type=row.type,
                )
            else:
                one = FoundObject(id=row.id, kind=kind, patient_key=key, home_community_id=home)
            objects.append(one)
        return objects

    @staticmethod
    def cut(*parts: Sequence[FoundObject]) -> list[FoundObject]:
        """The parts one after the other, as far as an answer may go."""
        return list(chain(*parts))[:MOST]


def level_of(query: StoredQuery, below: Level = Level.ONE) -> Level:
    """MetadataLevel: 1 where absent."""
    return Level.TWO if str(query.value("$MetadataLevel") or "1") == "2" else below


def of_type(query: StoredQuery) -> StoredQuery:
    """The query with its DocumentEntryType; Stable where it was not sent (ITI TF-2 3.18.4.1.2.3.6.2).

    Where types are excluded the others are wanted.
    """
    if query.values(_TYPE) or query.values(f"{_TYPE}Exclude"):
        return query
    return replace(query, parameters={**query.parameters, _TYPE: ((uuids.STABLE,),)})
