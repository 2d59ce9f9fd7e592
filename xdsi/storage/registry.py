"""The registry in a database: sessions, each one snapshot or one unit of work; implements the port Registry.

ITI TF-2 3.18.4.1.3, 3.42.4.1.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final

from sqlalchemy import bindparam, select
from sqlalchemy.engine import Connection, Engine

from xdsi.domain.audit import AuditEvent, AuditTrail
from xdsi.domain.consent import Consent, Resource
from xdsi.domain.holds import Held
from xdsi.domain.identifiers import PatientId
from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject
from xdsi.domain.stored_query import Evidence, FoundObject, StoredQuery
from xdsi.domain.submission import Submission
from xdsi.spec.uuids import HAS_MEMBER
from xdsi.storage import (
    answers,
    changes,
    consents,
    database,
    evidence,
    holds,
    relationships,
    removal,
    stored_queries,
    updates,
)
from xdsi.storage import tables as t
from xdsi.storage.claims import claim_unique_ids
from xdsi.storage.facts import RESOURCE_COLUMNS, resource_of
from xdsi.storage.people import People
from xdsi.storage.prepared import Prepared
from xdsi.storage.routes import IdKind, Routes, at_places, place_binds
from xdsi.storage.stored_queries.finder import Finder
from xdsi.storage.wording import KINDS

_RESOURCES: Final = Prepared(
    select(*RESOURCE_COLUMNS)
    .where(at_places(t.document_entry), t.document_entry.c.latest)
    .order_by(t.document_entry.c.creation_time.desc(), t.document_entry.c.id.desc())
)
_TARGETING: Final = Prepared(
    select(t.association.c.id, t.association.c.patient_key)
    .where(at_places(t.association, "target"), t.association.c.type.in_(bindparam("types", expanding=True)))
    .order_by(t.association.c.id)
)
_BEGINNING: Final = Prepared(
    select(t.association.c.id, t.association.c.patient_key)
    .where(at_places(t.association, "source"))
    .order_by(t.association.c.id)
)
_ENDING: Final = Prepared(
    select(t.association.c.id, t.association.c.patient_key)
    .where(at_places(t.association, "target"))
    .order_by(t.association.c.id)
)
_FOLDERS_OF: Final = Prepared(
    select(t.association.c.patient_key, t.association.c.source).where(
        at_places(t.association, "target"),
        t.association.c.type == HAS_MEMBER,
        t.association.c.source_kind == "F",
        t.association.c.status == "Approved",
    )
)
_APPROVED_FOLDERS: Final = Prepared(
    select(t.folder.c.patient_key, t.folder.c.id)
    .where(at_places(t.folder), t.folder.c.status == "Approved", t.folder.c.latest)
    .order_by(t.folder.c.id)
)


class SqlRegistry:
    """The registry's storage; `trail` keeps the audit records of units of work, `home` is this community's id."""

    def __init__(self, engine: Engine, *, trail: AuditTrail | None = None, home: str = "") -> None:
        self._engine = engine
        self._trail = trail
        self._home = home

    def reading(self) -> _Open:
        """A read-only snapshot."""
        return self._opened(database.reading(self._engine), locking=False)

    def writing(self) -> _Open:
        """A unit of work; leaving it normally commits durably, an exception rolls back."""
        return self._opened(database.writing(self._engine), locking=True)

    def unit_of_work(self, writes: bool) -> Any:  # noqa: FBT001 - the shape of exchange.Actor.unit_of_work
        """`writing` or `reading`."""
        return self.writing() if writes else self.reading()

    def _opened(self, unit: AbstractContextManager[Connection], *, locking: bool) -> _Open:
        made = partial(SqlSession, self._engine, trail=self._trail, home=self._home, locking=locking)
        return _Open(unit, made)


class _Open:
    """A session while somebody has it."""

    __slots__ = ("_session", "_unit")

    def __init__(self, unit: AbstractContextManager[Connection], session: Callable[[Connection], SqlSession]) -> None:
        self._unit = unit
        self._session = session

    def __enter__(self) -> SqlSession:
        return self._session(self._unit.__enter__())

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self._unit.__exit__(kind, error, traceback)


class SqlSession:
    """One transaction on the registry; implements the port RegistrySession."""

    def __init__(
        self, engine: Engine, connection: Connection, trail: AuditTrail | None, home: str, *, locking: bool
    ) -> None:
        self._engine = engine
        self._trail = trail
        self._home = home
        self._locking = locking
        self.connection = connection
        self._people = People(connection, locking=locking)
        self._routes = Routes(connection)

    # --- patients

    def patient_status(self, patient: PatientId) -> str:
        """`active`, `subsumed` or `unknown`."""
        return self._people.status(patient)

    def patient_key(self, patient: PatientId) -> int | None:
        """The internal key of the surviving person, or None when unknown."""
        person = self._people.person(patient)
        return person.key if person is not None else None

    def aliases(self, patient: PatientId) -> tuple[PatientId, ...]:
        """All identifiers of the same person, the survivor first; empty for an unknown one."""
        person = self._people.person(patient)
        return person.ids if person is not None else ()

    def consent_epoch(self, patient: PatientId) -> int:
        """A number that grows with every change to the patient's consents, or to whom they speak for."""
        person = self._people.person(patient)
        return person.consent_epoch if person is not None else 0

    # --- objects

    def objects(self, ids: Sequence[str]) -> Mapping[str, RegistryObject]:
        """Registered objects by entryUUID, whatever their status; unknown ids are absent."""
        return {one.entry_uuid: one for one in self._objects(ids)}

    def entries_by_unique_id(self, unique_ids: Sequence[str]) -> Sequence[DocumentEntry]:
        """All DocumentEntries (any version, any status) with one of these uniqueIds."""
        routes = [route for route in self._routes.find(unique_ids, IdKind.UNIQUE) if route.letter == "D"]
        return [one for one in self._placed("D", [route.place for route in routes]) if isinstance(one, DocumentEntry)]

    def kinds_by_unique_id(self, unique_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """For each registered uniqueId, the kinds of object that carry it; a writer is alone with them from here on."""
        if self._locking:
            claim_unique_ids(self.connection, unique_ids)
        kinds: dict[str, set[str]] = {}
        for route in self._routes.find(unique_ids, IdKind.UNIQUE):
            kinds.setdefault(route.value, set()).add(KINDS[route.letter].value)
        return {value: frozenset(found) for value, found in kinds.items()}

    def folders_of(self, entry_uuid: str) -> Sequence[Folder]:
        """The Approved Folders that contain a DocumentEntry."""
        members = self._select(_FOLDERS_OF, self._as_target([entry_uuid]))
        rows = self._select(_APPROVED_FOLDERS, [(row.patient_key, row.source) for row in members])
        places = [(row.patient_key, row.id) for row in rows]
        return [one for one in self._placed("F", places) if isinstance(one, Folder)]

    def related_to(self, entry_uuids: Sequence[str], types: Sequence[str]) -> Sequence[Association]:
        """Associations of the given types, whatever their status, whose target is among the ids."""
        rows = self._select(_TARGETING, self._as_target(entry_uuids), types=list(types))
        places = [(row.patient_key, row.id) for row in rows]
        return [one for one in self._placed("A", places) if isinstance(one, Association)]

    def associations_of(self, ids: Sequence[str]) -> Sequence[Association]:
        """All Associations, whatever their status, with an end among the ids."""
        sources = [route.place for route in self._routes.of_ids(ids).values()]
        rows = [*self._select(_BEGINNING, sources), *self._select(_ENDING, self._as_target(ids))]
        places = dict.fromkeys((row.patient_key, row.id) for row in rows)
        return [one for one in self._placed("A", places) if isinstance(one, Association)]

    def relationships_from(self, ids: Sequence[str], most: int) -> Sequence[FoundObject]:
        """The Approved relationships that lead on from these documents, to any depth; no more than `most`."""
        places = [route.place for route in self._routes.of_ids(ids).values()]
        return relationships.leading_on(self.connection, places, most)

    def versions(self, logical_ids: Sequence[str]) -> Mapping[str, Sequence[DocumentEntry | Folder]]:
        """All versions of logical objects, the oldest first; unknown ids are absent."""
        routes = self._routes.find(logical_ids, IdKind.UUID, IdKind.LOGICAL)
        wanted = set(logical_ids)
        found: dict[str, list[DocumentEntry | Folder]] = {}
        for letter in "DF":
            for one in self._placed(letter, dict.fromkeys(route.place for route in routes if route.letter == letter)):
                if isinstance(one, DocumentEntry | Folder) and one.logical_id in wanted:
                    found.setdefault(one.logical_id, []).append(one)
        return {lid: sorted(chain, key=lambda one: one.version or 1) for lid, chain in found.items()}

    def _as_target(self, ids: Sequence[str]) -> list[tuple[int, str]]:
        """Where associations that point at these objects may lie."""
        return [(route.patient_key, route.value) for route in self._routes.find(ids, IdKind.UUID, IdKind.TARGET)]

    def _placed(self, letter: str, places: Iterable[tuple[int, str]]) -> list[RegistryObject]:
        ids = []
        for key, id_ in places:
            self._routes.note(id_, letter, key)
            ids.append(id_)
        return self._objects(ids)

    def _objects(self, ids: Sequence[str]) -> list[RegistryObject]:
        return answers.objects_at(self.connection, self._people, self._routes, ids) if ids else []

    def _select(self, statement: Prepared, places: Iterable[tuple[int, str]], **binds: Any) -> list[Any]:
        return [row for placed in place_binds(places) for row in statement.rows(self.connection, placed | binds)]

    # --- changes

    def save(self, submission: Submission) -> None:
        """Store objects with their final ids; Rejected where another submission took one of the ids meanwhile."""
        changes.save(self.connection, self._people, self._routes, submission)

    def deprecate(self, entry_uuids: Sequence[str]) -> Sequence[str]:
        """Set DocumentEntries to Deprecated; returns the ids that were still Approved (the others were too late)."""
        return changes.deprecate(self.connection, self._people, self._routes, entry_uuids)

    def touch_folders(self, entry_uuids: Sequence[str], last_update_time: str) -> None:
        """Set lastUpdateTime of Folders."""
        changes.touch_folders(self.connection, self._routes, entry_uuids, last_update_time)

    def supersede(self, ids: Sequence[str]) -> Sequence[str]:
        """Deprecate versions that have a next one; returns the ids of those that were still the latest."""
        return updates.supersede(self.connection, self._people, self._routes, ids)

    def set_status(self, ids: Sequence[str], original: str, new: str) -> Sequence[str]:
        """Change the status of DocumentEntries, Folders and Associations; returns the ids that had the original one."""
        return updates.set_status(self.connection, self._people, self._routes, ids, original, new)

    def lock(self, ids: Sequence[str]) -> None:
        """Let nobody else change or name these objects until the end of the unit of work."""
        removal.lock(self.connection, self._routes, ids)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete objects for good; consents among them end at once."""
        removal.remove(self.connection, self._people, self._routes, ids)

    def held(self, unique_ids: Sequence[str], patients: Sequence[PatientId]) -> Held:
        """What of these is under a legal hold now."""
        return holds.held(self.connection, self._people, unique_ids, patients)

    # --- queries

    def find(self, query: StoredQuery) -> Sequence[FoundObject]:
        """The objects a stored query selects, in the order of the answer."""
        return stored_queries.find(query, Finder(self.connection, self._people, self._routes, self._home))

    def evidence(self, found: Sequence[FoundObject]) -> Evidence:
        """What must be known to decide which of the found objects may be shown; a few statements for all of them."""
        return evidence.gather(found, self.connection, self._people, self._routes, self._home)

    def fragments(self, ids: Sequence[str]) -> Iterable[bytes]:
        """The stored ebRIM fragments of objects, filled with their present status, in the order given."""
        routes = self._routes.of_ids(ids)
        if len(ids) > answers.AT_ONCE:
            return answers.stream(self._engine, ids, routes, self._home)
        found = answers.read(self.connection, self._people, routes, self._home)
        return [found[id_] for id_ in ids if id_ in found]

    def resources_by_unique_id(self, requests: Sequence[tuple[str, str]]) -> Sequence[Resource]:
        """For (repositoryUniqueId, uniqueId) pairs, the latest version of every DocumentEntry (any status)."""
        routes = self._routes.find((unique_id for _, unique_id in requests), IdKind.UNIQUE)
        wanted = set(requests)
        return [
            resource
            for resource in self._resources([route.place for route in routes if route.letter == "D"])
            if (resource.repository_unique_id, resource.unique_id) in wanted
        ]

    def manifests_of_study(self, study_instance_uid: str) -> Sequence[Resource]:
        """DocumentEntries (any status, newest first) whose referenceIdList names this Study Instance UID."""
        return self._resources([route.place for route in self._routes.find([study_instance_uid], IdKind.STUDY)])

    def _resources(self, places: Sequence[tuple[int, str]]) -> list[Resource]:
        rows = self._select(_RESOURCES, places)
        survivors = self._people.survivors({row.patient_key for row in rows})
        return [resource_of(row, survivors[row.patient_key][1], self._home) for row in rows]

    # --- consents and audit

    def consents(self, patient: PatientId) -> Sequence[Consent]:
        """All stored consents of the person (every alias), whose DocumentEntry is Approved."""
        person = self._people.person(patient)
        return consents.of_patients(self.connection, person.keys, person.id) if person is not None else ()

    def pending_consents(self) -> Sequence[str]:
        """The entries of consents whose status is pending, while they are Approved."""
        return consents.pending(self.connection)

    def save_consent(self, consent: Consent) -> None:
        """Add or replace the verified form of a consent document; the patient's epoch grows."""
        route = self._routes.of_ids([consent.entry_uuid]).get(consent.entry_uuid)
        key = route.patient_key if route is not None else self._people.key_to_write(consent.patient)
        consents.save(self.connection, self._people, consent, key)

    def append_audit(self, events: Sequence[AuditEvent], trace: str) -> None:
        """Store audit records in this unit of work."""
        if self._trail is not None:
            self._trail.append(events, trace=trace, connection=self.connection)
