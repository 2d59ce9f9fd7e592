"""Patient identifiers and their merges in the database; implements the port PatientIdentities.

A merge changes one row: what belongs to the subsumed identifier stays under its own key and is found by way of the
chain when reading. ITI TF-2: 3.8.4.2.4, 3.18.4.1.2.3.9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from xdsi.domain.errors import Refused
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import Demographics, KnownPatient, PatientStatus, PersonName
from xdsi.storage.database import reading, writing
from xdsi.storage.prepared import Prepared
from xdsi.storage.tables import patient as rows
from xdsi.storage.tables import patient_demographics as said

_IS = and_(rows.c.authority == bindparam("authority"), rows.c.id == bindparam("id"))
_STATUS = select(rows.c.status).where(_IS)
_KEY = Prepared(select(rows.c.key).where(_IS))


def _make_known(dialect: Any) -> Any:
    insert = dialect.insert(rows).values(authority=bindparam("authority"), id=bindparam("id"))
    # An update that changes nothing, so that the key comes back also when another writer was faster.
    insert = insert.on_conflict_do_update(index_elements=["authority", "id"], set_={"id": insert.excluded.id})
    return insert.returning(rows.c.key)


_MAKE_KNOWN = {"postgresql": _make_known(postgresql), "sqlite": _make_known(sqlite)}

# From an identifier up to the survivor, then down to everything merged into that. UNION, not UNION ALL: ends on a ring.
_up = select(rows.c.key, rows.c.survivor_key).where(_IS).cte("up", recursive=True)
_up = _up.union(select(rows.c.key, rows.c.survivor_key).join(_up, rows.c.key == _up.c.survivor_key))
_down = select(_up.c.key).where(_up.c.survivor_key.is_(None)).cte("down", recursive=True)
_down = _down.union(select(rows.c.key).join(_down, rows.c.survivor_key == _down.c.key))
_CHAIN = Prepared(
    select(rows.c.key, rows.c.id, rows.c.authority)
    .join(_down, rows.c.key == _down.c.key)
    .order_by(rows.c.survivor_key.is_not(None), rows.c.key)
)


def key_of(connection: Connection, patient: PatientId, *, create: bool) -> int | None:
    """The identifier's own internal key, which never changes; `create` makes an unknown one known first."""
    row = _KEY.first(connection, _named(patient))
    if row is not None:
        return int(row.key)
    if not create:
        return None
    return int(connection.execute(_MAKE_KNOWN[connection.dialect.name], _named(patient)).scalar_one())


def keys_of_chain(connection: Connection, patient: PatientId) -> tuple[int, ...]:
    """The keys of all identifiers of the person, the survivor's first; empty for an unknown identifier."""
    return tuple(row.key for row in _CHAIN.rows(connection, _named(patient)))


class SqlPatientIdentities:
    """The identifiers in a database; by itself every call is its own transaction."""

    def __init__(
        self,
        engine: Engine,
        *,
        connection: Connection | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._connection = connection
        self._clock = clock

    def within(self, connection: Connection) -> SqlPatientIdentities:
        """The same identifiers seen and changed within an open transaction."""
        return SqlPatientIdentities(self._engine, connection=connection, clock=self._clock)

    def known(self, patient: PatientId) -> bool:
        """True for an active identifier: one that documents may be registered for."""
        return self.status(patient) is PatientStatus.ACTIVE

    def status(self, patient: PatientId) -> PatientStatus:
        """Active, subsumed or unknown."""
        with self._reading() as connection:
            found = connection.execute(_STATUS, _named(patient)).scalar()
        return PatientStatus(found) if found is not None else PatientStatus.UNKNOWN

    def add(self, patient: PatientId, demographics: Demographics, source: str = "") -> None:
        """Make an identifier known; one that is known already keeps its status and takes the new demographics."""
        now = self._clock().isoformat()
        changes = _columns(demographics) | ({"source": source} if source else {})
        with self._writing() as connection:
            key = key_of(connection, patient, create=True)
            insert = _insert(connection, said).values(patient_key=key, created=now, updated=now, **changes)
            connection.execute(
                insert.on_conflict_do_update(index_elements=["patient_key"], set_={"updated": now, **changes})
            )

    def merge(self, subsumed: PatientId, survivor: PatientId) -> None:
        """End one identifier in favour of another, for good; raises Refused unless both are active at this moment.

        The consent epoch of both grows, since the consents that speak for the person are others from now on.
        """
        with self._writing() as connection:
            keys = {p: key_of(connection, p, create=False) for p in (subsumed, survivor)}
            wanted = [key for key in keys.values() if key is not None]
            # Locked in one order, so that of two merges in opposite directions the second sees the first.
            locked = select(rows.c.key, rows.c.status).where(rows.c.key.in_(wanted)).order_by(rows.c.key)
            states = {row.key: row.status for row in connection.execute(locked.with_for_update(key_share=True))}
            for patient, key in keys.items():
                if key is None or states[key] != PatientStatus.ACTIVE:
                    raise Refused(f"{patient.cx} is not an active identifier")
            if len(states) != 2:
                raise Refused(f"{subsumed.cx} cannot be merged into itself")
            connection.execute(
                update(rows)
                .where(rows.c.key == keys[subsumed])
                .values(status=PatientStatus.SUBSUMED.value, survivor_key=keys[survivor])
            )
            connection.execute(
                update(rows).where(rows.c.key.in_(states)).values(consent_epoch=rows.c.consent_epoch + 1)
            )

    def survivor_of(self, patient: PatientId) -> PatientId:
        """The identifier at the end of the chain of merges; the identifier itself where it was never merged."""
        return next(iter(self.aliases(patient)), patient)

    def aliases(self, patient: PatientId) -> tuple[PatientId, ...]:
        """All identifiers of the same person, the survivor first; empty for an unknown one."""
        with self._reading() as connection:
            return tuple(PatientId(row.id, row.authority) for row in _CHAIN.rows(connection, _named(patient)))

    def list(self, *, limit: int = 1000, after: PatientId | None = None) -> Sequence[KnownPatient]:
        """Known identifiers in the order they became known, those after `after`."""
        into = rows.alias("survivor")
        query = (
            select(rows, said, into.c.id.label("into_id"), into.c.authority.label("into_authority"))
            .outerjoin(said, said.c.patient_key == rows.c.key)
            .outerjoin(into, into.c.key == rows.c.survivor_key)
            .order_by(rows.c.key)
            .limit(limit)
        )
        with self._reading() as connection:
            if after is not None:
                query = query.where(rows.c.key > (key_of(connection, after, create=False) or 0))
            return tuple(_known(row) for row in connection.execute(query))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._connection is not None:
            yield self._connection
        else:
            with reading(self._engine) as connection:
                yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self._connection is not None:
            yield self._connection
        else:
            with writing(self._engine) as connection:
                yield connection


def _named(patient: PatientId) -> dict[str, str]:
    return {"authority": patient.authority, "id": patient.id}


def _insert(connection: Connection, table: Any) -> Any:
    # ON CONFLICT is the same on both engines but lies in their dialects.
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def _columns(demographics: Demographics) -> dict[str, str]:
    """What was said; what was not stays as it is."""
    stated = {
        "name": demographics.name.xpn if demographics.name is not None else None,
        "birth_date": demographics.birth_date,
        "sex": demographics.sex,
    }
    return {column: value for column, value in stated.items() if value is not None}


def _known(row: Any) -> KnownPatient:
    return KnownPatient(
        patient=PatientId(row.id, row.authority),
        status=PatientStatus(row.status),
        survivor=PatientId(row.into_id, row.into_authority) if row.into_id is not None else None,
        demographics=Demographics(
            name=PersonName.parse(row.name) if row.name else None,
            birth_date=row.birth_date or None,
            sex=row.sex or None,
        ),
        source=row.source or "",
        created=datetime.fromisoformat(row.created) if row.created else None,
        updated=datetime.fromisoformat(row.updated) if row.updated else None,
    )
