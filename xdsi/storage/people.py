"""Whose rows a query reads: from an identifier to the person, from a row's patient key to the survivor.

ITI TF-2 3.18.4.1.2.3.9.1: objects of the whole chain of merges appear under the surviving identifier.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, bindparam, exists, select, update
from sqlalchemy.engine import Connection

from xdsi.domain.identifiers import PatientId
from xdsi.storage import identities
from xdsi.storage.prepared import Prepared
from xdsi.storage.tables import patient as rows
from xdsi.storage.wording import in_batches

_alias = rows.alias("alias")
_columns = (rows.c.key, rows.c.authority, rows.c.id, rows.c.status, rows.c.survivor_key, rows.c.consent_epoch)
_NAMED: ColumnElement[bool] = and_(rows.c.authority == bindparam("authority"), rows.c.id == bindparam("id"))
_NAMESAKE = select(*_columns, exists().where(_alias.c.survivor_key == rows.c.key).label("merged")).where(_NAMED)
_LOOKUP = Prepared(_NAMESAKE)
# Writers for one person take turns; rows that only refer to it need not wait (a foreign key's check).
_LOOKUP_AND_LOCK = Prepared(_NAMESAKE.with_for_update(key_share=True, of=rows))
_BY_KEY = Prepared(select(*_columns).where(rows.c.key.in_(bindparam("keys", expanding=True))))
_MERGED_INTO = Prepared(select(*_columns).where(rows.c.survivor_key.in_(bindparam("keys", expanding=True))))


@dataclass(frozen=True, slots=True)
class Person:
    """A patient after merges: the survivor's key and identifier, and those of all that were merged into it."""

    key: int
    id: PatientId
    keys: tuple[int, ...]
    ids: tuple[PatientId, ...]
    """as the keys, the survivor's first"""
    consent_epoch: int


@dataclass(frozen=True, slots=True)
class _Row:
    key: int
    id: PatientId
    status: str
    survivor_key: int | None
    consent_epoch: int
    merged: bool = True


class People:
    """Reads the patient table within one transaction and remembers what it read."""

    def __init__(self, connection: Connection, *, locking: bool) -> None:
        self._connection = connection
        self._lookup = _LOOKUP_AND_LOCK if locking and connection.dialect.name == "postgresql" else _LOOKUP
        self._named: dict[PatientId, _Row | None] = {}
        self._rows: dict[int, _Row] = {}
        self._survivors: dict[int, _Row] = {}

    def status(self, patient: PatientId) -> str:
        """`active`, `subsumed` or `unknown`."""
        row = self._find(patient)
        return row.status if row is not None else "unknown"

    def key_to_write(self, patient: PatientId) -> int:
        """The identifier's own key; one that nobody announced becomes known."""
        row = self._find(patient)
        if row is not None:
            return row.key
        key = identities.key_of(self._connection, patient, create=True)
        del self._named[patient]
        if key is None:
            raise RuntimeError(f"{patient.cx} could not be made known")
        return key

    def person(self, patient: PatientId) -> Person | None:
        """The person an identifier stands for, also a subsumed one; None when unknown."""
        row = self._find(patient)
        if row is None:
            return None
        survivor = self._survivor_of([row.key])[row.key]
        if survivor is row and not row.merged:
            return Person(row.key, row.id, (row.key,), (row.id,), row.consent_epoch)
        chain = {survivor.key: survivor}
        level: Collection[int] = (survivor.key,)
        while level:
            found = [one for one in self._select(_MERGED_INTO, level) if one.key not in chain]
            chain.update((one.key, one) for one in found)
            level = [one.key for one in found]
        for key in chain:
            self._survivors[key] = survivor
        ids = tuple(one.id for one in chain.values())
        epoch = sum(one.consent_epoch for one in chain.values())
        return Person(survivor.key, survivor.id, tuple(chain), ids, epoch)

    def survivors(self, keys: Iterable[int]) -> dict[int, tuple[int, PatientId]]:
        """For each key of a row, the key and the identifier of the survivor."""
        return {key: (row.key, row.id) for key, row in self._survivor_of(set(keys)).items()}

    def advance_epoch(self, keys: Collection[int]) -> None:
        """Note that the consents of these patients changed."""
        if keys:
            changed = rows.c.key.in_(sorted(keys))
            self._connection.execute(update(rows).where(changed).values(consent_epoch=rows.c.consent_epoch + 1))
            self._named.clear()
            self._rows.clear()
            self._survivors.clear()

    def _find(self, patient: PatientId) -> _Row | None:
        if patient not in self._named:
            found = self._lookup.first(self._connection, {"authority": patient.authority, "id": patient.id})
            row = None
            if found is not None:
                row = _Row(found.key, patient, found.status, found.survivor_key, found.consent_epoch, found.merged)
                self._rows[row.key] = row
            self._named[patient] = row
        return self._named[patient]

    def _survivor_of(self, keys: Collection[int]) -> dict[int, _Row]:
        missing = [key for key in keys if key not in self._survivors]
        while missing:
            unread: dict[int, int] = {}
            for key in missing:
                end = self._follow(key)
                if isinstance(end, _Row):
                    self._survivors[key] = end
                else:
                    unread[key] = end
            for row in self._select(_BY_KEY, set(unread.values())):
                self._rows[row.key] = row
            if not self._rows.keys() >= set(unread.values()):
                raise LookupError(f"no patient has one of the keys {sorted(unread.values())}")
            missing = list(unread)
        return {key: self._survivors[key] for key in keys}

    def _follow(self, key: int) -> _Row | int:
        """The row at the end of the chain, or the key of the first one that was not read yet."""
        seen: set[int] = set()
        while True:
            row = self._rows.get(key)
            if row is None:
                return key
            if row.survivor_key is None or row.survivor_key in seen:
                return row
            seen.add(key)
            key = row.survivor_key

    def _select(self, statement: Prepared, keys: Collection[int]) -> list[_Row]:
        return [
            _Row(row.key, PatientId(row.id, row.authority), row.status, row.survivor_key, row.consent_epoch)
            for batch in in_batches(sorted(keys))
            for row in statement.rows(self._connection, {"keys": batch})
        ]
