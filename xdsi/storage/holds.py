"""Legal holds in the database; what changes them and the audit record of it are one unit of work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, insert, or_, select, update
from sqlalchemy.engine import Connection, Engine, Row

from xdsi.domain.audit import AuditEvent, AuditTrail
from xdsi.domain.holds import Held, HeldKind, Hold
from xdsi.domain.identifiers import PatientId
from xdsi.domain.ports import Registry
from xdsi.storage.database import reading, writing
from xdsi.storage.people import People
from xdsi.storage.tables import hold as t
from xdsi.storage.wording import in_batches


def held(connection: Connection, people: People, unique_ids: Sequence[str], patients: Iterable[PatientId]) -> Held:
    """What of these is under a hold now; a hold on a patient counts for all identifiers of the person."""
    persons = {patient: people.person(patient) for patient in patients}
    keys = {key for person in persons.values() if person is not None for key in person.keys}
    found = _select(connection, HeldKind.PATIENT, t.c.patient_key, sorted(keys))
    named = _select(connection, HeldKind.PATIENT, t.c.target, sorted(patient.cx for patient in persons))
    return Held(
        unique_ids=_select(connection, HeldKind.DOCUMENT, t.c.target, sorted(set(unique_ids))),
        patients=frozenset(
            patient
            for patient, person in persons.items()
            if patient.cx in named or (person is not None and found.intersection(person.keys))
        ),
    )


def _select(connection: Connection, kind: HeldKind, column: Any, values: Sequence[Any]) -> frozenset[Any]:
    """The values among these that a hold of a kind names."""
    return frozenset(
        value
        for some in in_batches(values)
        for value in connection.execute(select(column).where(t.c.kind == kind, column.in_(some), _active())).scalars()
    )


def _active() -> ColumnElement[bool]:
    now = _text(datetime.now(UTC))
    return and_(t.c.ended == "", or_(t.c.until == "", t.c.until > now))


class SqlHolds:
    """The table `hold`; implements the port Holds for a repository, whose registry may lie in the same database."""

    def __init__(self, engine: Engine, *, trail: AuditTrail, registry: Registry, repository_unique_id: str) -> None:
        self._engine = engine
        self._trail = trail
        self._registry = registry
        self._repository = repository_unique_id

    def of_documents(self, unique_ids: Sequence[str]) -> frozenset[str]:
        """The uniqueIds among these that are held, themselves or through their patient."""
        with self._registry.reading() as session:
            entries = session.resources_by_unique_id([(self._repository, id_) for id_ in unique_ids])
            patients = {entry.patient for entry in entries if entry.patient is not None}
            found = session.held(unique_ids, sorted(patients, key=lambda one: one.cx))
        through = {entry.unique_id for entry in entries if entry.patient in found.patients}
        return found.unique_ids | through

    def add(self, hold: Hold, patient_key: int | None, describe: Callable[[Hold], AuditEvent]) -> Hold:
        """Place a hold."""
        row = {
            "kind": hold.kind,
            "target": hold.target,
            "patient_key": patient_key,
            "reason": hold.reason,
            "placed_by": hold.placed_by,
            "placed_at": _text(hold.placed_at),
            "until": _text(hold.until) if hold.until is not None else "",
        }
        with writing(self._engine) as connection:
            number = connection.execute(insert(t).values(row).returning(t.c.number)).scalar_one()
            placed = _hold(connection.execute(select(t).where(t.c.number == number)).one())
            self._trail.append([describe(placed)], trace="", connection=connection)
        return placed

    def remove(self, number: int, describe: Callable[[Hold], AuditEvent]) -> Hold:
        """End a hold; LookupError where there is none of that number, or it was ended."""
        with writing(self._engine) as connection:
            mark = update(t).where(t.c.number == number, t.c.ended == "").values(ended=_text(datetime.now(UTC)))
            row = connection.execute(mark.returning(t)).one_or_none()
            if row is None:
                raise LookupError(f"there is no hold {number}")
            ended = _hold(row)
            self._trail.append([describe(ended)], trace="", connection=connection)
        return ended

    def all(self) -> list[Hold]:
        """Every hold that nobody ended, those that have ended by themselves included."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(t).where(t.c.ended == "").order_by(t.c.number))
            return [_hold(row) for row in rows]


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        number=row.number,
        kind=HeldKind(row.kind),
        target=row.target,
        reason=row.reason,
        placed_by=row.placed_by,
        placed_at=datetime.fromisoformat(row.placed_at),
        until=datetime.fromisoformat(row.until) if row.until else None,
    )


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")
