"""Writes everything that is registered as lines, out of one snapshot, a few patients at a time."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import BindParameter, Table, bindparam, func, select
from sqlalchemy.engine import Connection, Engine, Row

from xdsi.storage import tables as t
from xdsi.storage.database import reading
from xdsi.storage.prepared import Prepared
from xdsi.storage.transfer import lines

PATIENTS_AT_ONCE: Final = 20

_keys: BindParameter[Any] = bindparam("keys", expanding=True)
_other = t.patient.alias("other")
_PATIENTS: Final = (
    select(
        t.patient,
        _other.c.authority.label("survivor_authority"),
        _other.c.id.label("survivor_id"),
        *[column.label(f"demographics_{column.name}") for column in t.patient_demographics.c],
    )
    .select_from(
        t.patient.outerjoin(_other, _other.c.key == t.patient.c.survivor_key).outerjoin(
            t.patient_demographics, t.patient_demographics.c.patient_key == t.patient.c.key
        )
    )
    .where(t.patient.c.key > bindparam("after"))
    .order_by(t.patient.c.key)
    .limit(PATIENTS_AT_ONCE)
)
_ASSOCIATIONS: Final = Prepared(
    select(*[column for column in t.association.c if column.name != "target_patient_key"],
           t.association.c.target_patient_key, t.patient.c.authority.label("target_authority"),
           t.patient.c.id.label("target_id"))
    .join_from(t.association, t.patient, t.patient.c.key == t.association.c.target_patient_key)
    .where(t.association.c.patient_key.in_(_keys))
    .order_by(t.association.c.patient_key, t.association.c.id)
)  # fmt: skip


def _of_patients(table: Table) -> Prepared:
    return Prepared(select(table).where(table.c.patient_key.in_(_keys)).order_by(*table.primary_key.columns))


_OBJECTS: Final = {letter: _of_patients(table) for letter, table in lines.OBJECTS.items()} | {"A": _ASSOCIATIONS}
_PARTS: Final = {name: _of_patients(t.metadata.tables[name]) for name in lines.PART_COLUMNS}
_CONSENTS: Final = _of_patients(t.consent)


def export(engine: Engine, progress: Callable[[int, int], None] = lambda done, total: None) -> Iterator[str]:
    """All lines; `progress` hears of DocumentEntries done and how many there are."""
    with reading(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        patients = connection.execute(select(func.count()).select_from(t.patient)).scalar_one()
        entries = connection.execute(select(func.count()).select_from(t.document_entry)).scalar_one()
        header = {"version": lines.VERSION, "patients": patients, "entries": entries}
        yield lines._write({"xdsi": "metadata", **header}) + "\n"
        after = done = objects = 0
        while batch := connection.execute(_PATIENTS, {"after": after}).all():
            after = batch[-1].key
            found = _Batch(connection, [row.key for row in batch])
            for row in batch:
                yield _patient(row)
                for letter, line in found.lines(row.key):
                    objects += letter in lines.OBJECTS
                    done += letter == "D"
                    yield line
            progress(done, entries)
        yield lines.write("end", {"patients": patients, "objects": objects})


class _Batch:
    """The rows of a few patients."""

    def __init__(self, connection: Connection, keys: Sequence[int]) -> None:
        self._connection = connection
        self._keys = keys
        self._objects = {letter: self._rows(statement) for letter, statement in _OBJECTS.items()}
        self._consents = self._rows(_CONSENTS)
        self._parts: dict[tuple[str, int, str], list[tuple[Any, ...]]] = defaultdict(list)
        for name, statement in _PARTS.items():
            names = [column.name for column in lines.PART_COLUMNS[name]]
            for rows in self._rows(statement).values():
                for row in rows:
                    part = tuple(getattr(row, column) for column in names)
                    self._parts[name, row.patient_key, row.object_id].append(part)

    def _rows(self, statement: Prepared) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = defaultdict(list)
        for row in statement.rows(self._connection, {"keys": self._keys}):
            found[row.patient_key].append(row)
        return found

    def lines(self, key: int) -> Iterator[tuple[str, str]]:
        """A letter and the line, for each object and each consent of a patient."""
        for letter, table in lines.OBJECTS.items():
            for row in self._objects[letter].get(key, ()):
                content: dict[str, Any] = {column.name: _plain(row, column) for column in lines.columns_of(letter)}
                if letter == "A" and row.target_patient_key != key:
                    content["target_patient"] = {"authority": row.target_authority, "id": row.target_id}
                for part in lines.PARTS[letter]:
                    if rows := self._parts.get((part.name, key, row.id)):
                        content[part.name] = rows
                content["fragment"] = base64.b64encode(row.fragment).decode()
                yield letter, lines.write(table.name, content)
        for row in self._consents.get(key, ()):
            yield (
                "consent",
                lines.write("consent", {column.name: getattr(row, column.name) for column in lines.CONSENT}),
            )


def _plain(row: Any, column: Any) -> Any:
    found = getattr(row, column.name)
    # SQLite has numbers for what is true.
    return bool(found) if column.type.python_type is bool else found


def _patient(row: Row[Any]) -> str:
    content: dict[str, Any] = {"authority": row.authority, "id": row.id, "status": row.status}
    content["consent_epoch"] = row.consent_epoch
    if row.survivor_id is not None:
        content["survivor"] = {"authority": row.survivor_authority, "id": row.survivor_id}
    if row.demographics_patient_key is not None:
        content["demographics"] = {
            column.name: getattr(row, f"demographics_{column.name}") for column in lines.DEMOGRAPHICS
        }
    return lines.write("patient", content)
