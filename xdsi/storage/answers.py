"""Stored fragments with their gaps filled: as the bytes of an answer, or decoded into domain objects.

ITI TF-2 3.18.4.1.2.3.6 (LeafClass): a registry gives back what was submitted, under the surviving patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Select, null, select
from sqlalchemy.engine import Connection, Engine

from xdsi.domain.metadata import RegistryObject
from xdsi.spec.namespaces import RIM
from xdsi.storage import lists
from xdsi.storage import tables as t
from xdsi.storage.database import reading
from xdsi.storage.people import People
from xdsi.storage.prepared import Prepared
from xdsi.storage.routes import Route, Routes, at_places, place_binds
from xdsi.storage.wording import in_batches, long_status
from xdsi.wire import xml
from xdsi.wire.ebxml import fragments, objects

AT_ONCE: Final = 200
"""Larger answers are read in batches of this size, on a connection of their own."""

_TABLES: Final = {"D": t.document_entry, "S": t.submission_set, "F": t.folder, "A": t.association}


def _columns(letter: str) -> Select[Any]:
    c = _TABLES[letter].c
    versioned = (c.logical_id, c.version) if letter in "DF" else (c.id.label("logical_id"), null().label("version"))
    updated = c.last_update_time if letter == "F" else null().label("last_update_time")
    others = ("source", "target", "unique_id", "author_persons", "reference_ids")
    named = [c[name] if name in c else null().label(name) for name in others]
    return select(c.patient_key, c.id, c.status, *versioned, updated, *named, c.fragment)


_AT_PLACES: Final = {letter: Prepared(_columns(letter).where(at_places(table))) for letter, table in _TABLES.items()}


def read(connection: Connection, people: People, routes: Mapping[str, Route], home: str) -> dict[str, bytes]:
    """The filled fragments of objects by entryUUID; one that is not there is absent."""
    rows: list[Any] = []
    by_letter: dict[str, list[tuple[int, str]]] = {}
    for route in routes.values():
        by_letter.setdefault(route.letter, []).append((route.patient_key, route.id))
    for letter, places in by_letter.items():
        for binds in place_binds(places):
            rows.extend(_AT_PLACES[letter].rows(connection, binds))
    patients = {key: patient.cx for key, (_, patient) in people.survivors({row.patient_key for row in rows}).items()}
    return {
        row.id: fragments.fill(
            row.fragment,
            id=row.id,
            unique_id=row.unique_id or "",
            persons=lists.read(row.author_persons or ""),
            references=lists.read(row.reference_ids or ""),
            ends=(row.source or "", row.target or ""),
            status=long_status(row.status),
            version=row.version or 1,
            lid=row.logical_id,
            patient_id=patients[row.patient_key],
            last_update_time=row.last_update_time,
            home=home,
        )
        for row in rows
    }


def stream(engine: Engine, ids: Sequence[str], routes: Mapping[str, Route], home: str) -> Iterator[bytes]:
    """The filled fragments in the order of the ids, read in batches as they are consumed."""
    with reading(engine) as connection:
        people = People(connection, locking=False)
        for batch in in_batches(ids, AT_ONCE):
            found = read(connection, people, {id_: routes[id_] for id_ in batch if id_ in routes}, home)
            yield from (found[id_] for id_ in batch if id_ in found)


def decode(pieces: Iterable[bytes]) -> Iterator[RegistryObject]:
    """The registry objects that filled fragments stand for."""
    for batch in in_batches(pieces, 100):
        listed = b'<rim:RegistryObjectList xmlns:rim="%s">%s</rim:RegistryObjectList>'
        yield from objects.decode(xml.parse(listed % (RIM.encode(), b"".join(batch)))).objects


def objects_at(connection: Connection, people: People, routes: Routes, ids: Sequence[str]) -> list[RegistryObject]:
    """Registered objects by entryUUID, in that order; unknown ids are left out."""
    found = read(connection, people, routes.of_ids(ids), "")
    return list(decode(found[id_] for id_ in ids if id_ in found))
