"""From an id to the patient whose rows hold the object: the only way into the tables without a patient.

ITI TF-2 3.18.4.1.2.3.7.5 to .13: queries by entryUUID, uniqueId or logicalID.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Table, bindparam, select, tuple_
from sqlalchemy.engine import Connection

from xdsi.storage.tables import identifier as t
from xdsi.storage.wording import in_batches


class IdKind(StrEnum):
    """identifier.kind."""

    UUID = "uuid"
    UNIQUE = "unique"
    LOGICAL = "lid"
    STUDY = "study"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Route:
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


_ROUTES = select(t.c.object_id, t.c.object_kind, t.c.patient_key, t.c.value, t.c.kind).where(
    t.c.value.in_(bindparam("values", expanding=True)), t.c.kind.in_(bindparam("kinds", expanding=True))
)


class Routes:
    """Looks ids up within one transaction; remembers objects by entryUUID."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.known: dict[str, Route] = {}

    def find(self, values: Iterable[str], *kinds: IdKind) -> list[Route]:
        """Where these values lead, in no particular order."""
        return [
            Route(*row)
            for batch in in_batches(dict.fromkeys(values))
            for row in self._connection.execute(_ROUTES, {"values": batch, "kinds": kinds})
        ]

    def of_ids(self, ids: Collection[str]) -> Mapping[str, Route]:
        """Where objects lie by entryUUID; unknown ids are absent."""
        missing = [id_ for id_ in ids if id_ not in self.known]
        if missing:
            self.known.update((route.value, route) for route in self.find(missing, IdKind.UUID))
        return {id_: self.known[id_] for id_ in ids if id_ in self.known}

    def note(self, id_: str, letter: str, patient_key: int) -> None:
        """Remember an object that another way led to."""
        if id_ not in self.known:
            self.known[id_] = Route(id_, letter, patient_key, id_, IdKind.UUID)


PLACES = "places"


def at_places(table: Table, second: str = "id") -> ColumnElement[bool]:
    """The condition that (patient_key, `second`) is among the pairs bound as PLACES."""
    return tuple_(table.c.patient_key, table.c[second]).in_(bindparam(PLACES, expanding=True))

