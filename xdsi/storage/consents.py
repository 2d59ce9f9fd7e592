"""Consents in verified form, kept beside the DocumentEntry of the document that states them.

Whatever changes the consents of a patient makes the consent epoch grow, so that policies compiled before are no longer
used (docs/policy.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import and_, bindparam, exists, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from xdsi.domain.consent import Consent, SignatureStatus
from xdsi.domain.identifiers import PatientId
from xdsi.storage.people import People
from xdsi.storage.prepared import Prepared
from xdsi.storage.routes import at_places, place_binds
from xdsi.storage.serial import from_json, to_json
from xdsi.storage.tables import consent as t
from xdsi.storage.tables import document_entry as entry

_IN_FORCE = Prepared(
    select(t)
    .where(
        t.c.patient_key.in_(bindparam("patients", expanding=True)),
        # From the consents to their entries: SQLite would join from all entries of the patient, who may have thousands.
        exists().where(
            entry.c.patient_key == t.c.patient_key,
            entry.c.id == t.c.entry_uuid,
            entry.c.status == "Approved",
            entry.c.latest,
        ),
    )
    .order_by(t.c.signed_at.desc(), t.c.entry_uuid)
)
_PENDING = (
    select(t.c.entry_uuid)
    .join(entry, and_(entry.c.patient_key == t.c.patient_key, entry.c.id == t.c.entry_uuid))
    .where(t.c.status == SignatureStatus.PENDING.value, entry.c.status == "Approved", entry.c.latest)
)
_BEARERS = select(t.c.patient_key).distinct().where(at_places(t, "entry_uuid"))


def of_patients(connection: Connection, keys: Sequence[int], survivor: PatientId) -> list[Consent]:
    """Consents whose DocumentEntry is Approved, under the surviving patient, newest signature first."""
    return [
        _remembered(row, survivor) if len(row.policy) <= _KEPT_LENGTH else _consent(row, survivor)
        for row in _IN_FORCE.rows(connection, {"patients": keys})
    ]


def _consent(row: Any, survivor: PatientId) -> Consent:
    return Consent(
        unique_id=row.unique_id,
        entry_uuid=row.entry_uuid,
        patient=survivor,
        policy=_policy(row.policy) if len(row.policy) <= _KEPT_LENGTH else from_json(row.policy),
        status=SignatureStatus(row.status),
        valid_from=_time(row.valid_from),
        valid_until=_time(row.valid_until),
        signer=row.signer,
        signed_at=_time(row.signed_at),
        reason=row.reason,
    )


_KEPT, _KEPT_LENGTH = 4096, 16 * 1024
"""how many consents and policies are kept as objects, and of how many characters at most (docs/decisions/0016)"""
_policy = lru_cache(maxsize=_KEPT)(from_json)
# A row is read anew in every snapshot: the same words are the same consent.
_remembered = lru_cache(maxsize=_KEPT)(_consent)


def save(connection: Connection, people: People, consent: Consent, patient_key: int) -> None:
    """Add or replace a consent; it lies with the patient of its DocumentEntry."""
    row: dict[str, Any] = {
        "patient_key": patient_key,
        "entry_uuid": consent.entry_uuid,
        "unique_id": consent.unique_id,
        "status": consent.status.value,
        "valid_from": _text(consent.valid_from),
        "valid_until": _text(consent.valid_until),
        "signer": consent.signer,
        "signed_at": _text(consent.signed_at),
        "reason": consent.reason,
        "policy": to_json(consent.policy),
    }
    # ON CONFLICT is the same on both engines but lies in their dialects.
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(t).values(row)
    changes = {name: value for name, value in row.items() if name not in ("patient_key", "entry_uuid")}
    connection.execute(insert.on_conflict_do_update(index_elements=["patient_key", "entry_uuid"], set_=changes))
    people.advance_epoch([patient_key])


def pending(connection: Connection) -> list[str]:
    """The entries of consents that are pending, while they are Approved."""
    return list(connection.execute(_PENDING).scalars())


def bearers(connection: Connection, places: Iterable[tuple[int, str]]) -> Collection[int]:
    """The patients for whom one of these entries is a consent."""
    return {key for binds in place_binds(places) for key in connection.execute(_BEARERS, binds).scalars()}


def _text(time: datetime | None) -> str:
    return time.astimezone(UTC).isoformat() if time is not None else ""


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
