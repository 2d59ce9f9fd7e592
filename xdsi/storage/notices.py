"""Notices that wait to be sent, and those that were: sent at least once, each with its own number."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from xdsi.domain.notification import Notice, Recipient, StoredNotice
from xdsi.storage.database import reading, writing
from xdsi.storage.tables import notice as t


def add(connection: Connection, notices: Iterable[Notice], at: datetime) -> None:
    """Store notices in the transaction of what they tell of."""
    rows = [
        {
            "recipient": one.recipient.value,
            "patient": one.patient.replace("\x00", "\ufffd"),
            "at": _text(at),
            "content": json.dumps(one.content),
        }
        for one in notices
    ]
    if rows:
        connection.execute(sa.insert(t), rows)


class SqlNotices:
    """Implements the port Notices."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, *, patient: str = "", waiting: bool = False, limit: int = 1000) -> list[StoredNotice]:
        """The newest notices, oldest first: of one patient, or only those that were not sent."""
        statement = sa.select(t).order_by(t.c.id.desc()).limit(limit)
        if patient:
            statement = statement.where(t.c.patient == patient)
        if waiting:
            statement = statement.where(t.c.sent_at == "")
        with reading(self._engine) as connection:
            return [_stored(row) for row in reversed(connection.execute(statement).all())]

    def waiting(self, recipient: Recipient, limit: int) -> list[StoredNotice]:
        """The oldest notices for a recipient that were not sent."""
        statement = (
            sa.select(t).where(t.c.recipient == recipient.value, t.c.sent_at == "").order_by(t.c.id).limit(limit)
        )
        with reading(self._engine) as connection:
            return [_stored(row) for row in connection.execute(statement)]

    def sent(self, number: int, at: datetime) -> None:
        """Remember that a notice arrived."""
        self._note(number, sent_at=_text(at), reason="")

    def failed(self, number: int, reason: str) -> None:
        """Remember an attempt that did not succeed."""
        self._note(number, reason=reason[:500].replace("\x00", "\ufffd"))

    def _note(self, number: int, **values: str) -> None:
        with writing(self._engine) as connection:
            connection.execute(sa.update(t).where(t.c.id == number).values(attempts=t.c.attempts + 1, **values))


def _stored(row: Row[tuple[object, ...]]) -> StoredNotice:
    return StoredNotice(
        id=row.id,
        recipient=Recipient(row.recipient),
        patient=row.patient,
        at=datetime.fromisoformat(row.at),
        content=json.loads(row.content),
        attempts=row.attempts,
        sent_at=datetime.fromisoformat(row.sent_at) if row.sent_at else None,
        reason=row.reason,
    )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
