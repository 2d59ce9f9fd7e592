"""From an id to the patient whose rows hold the object: the only way into the tables without a patient.

ITI TF-2 3.18.4.1.2.3.7.5 to .13: queries by entryUUID, uniqueId or logicalID.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Table, and_, bindparam, select
from sqlalchemy.engine import Connection, Row

from xdsi.storage.prepared import Prepared
from xdsi.storage.tables import identifier as t
from xdsi.storage.wording import BATCH, in_batches


class IdKind(StrEnum):
    """identifier.kind."""

    UUID = "uuid"
    UNIQUE = "unique"
    LOGICAL = "lid"
    STUDY = "study"
    TARGET = "target"


class Route(NamedTuple):
    """Where an object lies, and what led there."""

    id: str
    letter: str
    patient_key: int
    value: str
    kind: str

    @property
    def place(self) -> tuple[int, str]:
        """The object's primary key."""
        return self.patient_key, self.id


_ROUTES = Prepared(
    select(t.c.object_id, t.c.tie, t.c.object_kind, t.c.patient_key, t.c.value, t.c.kind).where(
        t.c.value.in_(bindparam("values", expanding=True)), t.c.kind.in_(bindparam("kinds", expanding=True))
    )
)


class Routes:
    """Looks ids up within one transaction; remembers objects by entryUUID."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.known: dict[str, Route] = {}
        self._associations: list[Sequence[Row[Any]]] = []

    def find(self, values: Iterable[str], *kinds: IdKind) -> list[Route]:
        """Where these values lead, in no particular order."""
        return [
            Route(row.object_id or row.tie or row.value, row.object_kind, row.patient_key, row.value, row.kind)
            for batch in in_batches(dict.fromkeys(values))
            for row in _ROUTES.rows(self._connection, {"values": batch, "kinds": kinds})
        ]

    def of_ids(self, ids: Collection[str]) -> Mapping[str, Route]:
        """Where objects lie by entryUUID; unknown ids are absent."""
        missing = [id_ for id_ in ids if id_ not in self.known]
        if missing and self._associations:
            self._note_ends()
            missing = [id_ for id_ in missing if id_ not in self.known]
        if missing:
            self.known.update((route.value, route) for route in self.find(missing, IdKind.UUID))
        return {id_: self.known[id_] for id_ in ids if id_ in self.known}

    def note(self, id_: str, letter: str, patient_key: int) -> None:
        """Remember an object that another way led to."""
        if id_ not in self.known:
            self.known[id_] = Route(id_, letter, patient_key, id_, IdKind.UUID)

    def note_all(self, letter: str, rows: Iterable[Any]) -> None:
        """Remember the objects of one kind that rows tell of."""
        known = self.known
        for row in rows:
            if row.id not in known:
                known[row.id] = Route(row.id, letter, row.patient_key, row.id, IdKind.UUID)

    def forget(self, ids: Iterable[str]) -> None:
        """Objects that are no longer registered."""
        self._note_ends()
        for id_ in ids:
            self.known.pop(id_, None)

    def note_ends(self, associations: Sequence[Row[Any]]) -> None:
        """Remember what rows of associations say of their ends; it is worked out when an id is missing."""
        self._associations.append(associations)

    def _note_ends(self) -> None:
        for row in chain.from_iterable(self._associations):
            self.note(row.source, row.source_kind, row.patient_key)
            self.note(row.target, row.target_kind, row.target_patient_key)
        self._associations.clear()


_KEYS = "place_keys"
_IDS = "place_ids"
_KEYS_IN_A_STATEMENT = 16


def at_places(table: Table, second: str = "id") -> ColumnElement[bool]:
    """The condition that a row is at one of the places of `place_binds`.

    Two lists instead of pairs, because SQLite finds pairs by reading the whole table. They say the same: an id lies
    with one patient, and where it is the end of an association, every patient who has one is asked for.
    """
    return and_(
        table.c.patient_key.in_(bindparam(_KEYS, expanding=True)),
        table.c[second].in_(bindparam(_IDS, expanding=True)),
    )


def place_binds(places: Iterable[tuple[int, str]]) -> Iterator[dict[str, Any]]:
    """The values for `at_places`, in batches of few patients, since engines look for every key with every id."""
    keys: dict[int, None] = {}
    ids: dict[str, None] = {}
    for key, id_ in sorted(places):
        if len(ids) == BATCH or (len(keys) == _KEYS_IN_A_STATEMENT and key not in keys):
            yield {_KEYS: list(keys), _IDS: list(ids)}
            keys, ids = {}, {}
        keys[key] = None
        ids[id_] = None
    if ids:
        yield {_KEYS: list(keys), _IDS: list(ids)}
