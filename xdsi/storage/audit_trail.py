"""The audit trail: append-only, durable before return, chained by hashes, and the outbox of what is to be forwarded.

ITI TF-2 3.20.4.1.1. One trail per process: its records form the chain `NAME/0` where they are stored by themselves and
`NAME/1`, `NAME/2` ... where they share a caller's transaction; `NAME/links` names the heads of all chains.
"""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row
from sqlalchemy.exc import SQLAlchemyError

from xdsi.domain.audit import AuditEvent
from xdsi.domain.audit_records import Direction, OutboxEntry, TrailRecord, VerifyReport
from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.notification import Notice
from xdsi.domain.subject import Peer
from xdsi.storage.audit_chain import LINKS, NOTICES, Head, content, extend, ids_behind, instant
from xdsi.storage.audit_lanes import Lanes
from xdsi.storage.audit_links import link
from xdsi.storage.audit_verify import verify
from xdsi.storage.audit_writer import GroupWriter
from xdsi.storage.database import reading, writing
from xdsi.storage.driver_errors import as_unavailable
from xdsi.storage.tables import audit_record

_Content = dict[str, Any]
_RECORD = audit_record.c
_IDS_IN_A_STATEMENT = 500


class DatabaseAuditTrail:
    """Implements the ports AuditTrail and AuditOutbox. Made in the process that uses it: it does not survive a fork."""

    def __init__(
        self,
        engine: Engine,
        *,
        encode: Callable[[AuditEvent], bytes],
        decode: Callable[[bytes], AuditEvent],
        host: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        link_seconds: float = 60,
        notices: Callable[[AuditEvent, str], Sequence[Notice]] = lambda event, trace: (),
    ) -> None:
        self._engine = engine
        self._notices = notices
        self._encode = encode
        self._decode = decode
        self._clock = clock
        self._process = os.getpid()
        self.chain = f"{host or socket.gethostname()}-{self._process}-{secrets.token_hex(6)}"
        self._restarts = 0
        self._head = Head(f"{self.chain}/0")
        self._links = Head(self.chain + LINKS)
        self._linked = False
        self._closing = False
        self._lanes = Lanes(engine, self.chain)
        self._link_seconds = link_seconds
        self._lock = threading.Lock()
        self._group: GroupWriter[list[_Content], list[int]] | None = None

    def append(self, events: Sequence[AuditEvent], *, trace: str, connection: Connection | None = None) -> list[int]:
        """Store records in the transaction of `connection`, else durably before return; then their numbers are told.

        Raises Unavailable where they cannot be stored; with a connection, what the database raises. Within a unit of
        work give its connection: without it the record would wait for the unit, and the unit for the record.
        """
        group = self._writer()
        if not events:
            return []
        if connection is not None:
            self._lanes.append(connection, [self._own(event, trace) for event in events])
            return []
        return _submit(group, lambda: [self._own(event, trace) for event in events])

    def receive(self, raw: bytes, peer: Peer) -> int:
        """Store a record of another node, durable on return; one that came before is not stored twice."""
        group = self._writer()
        sender = peer.node.name if peer.node else peer.certificate_subject or peer.address
        return _submit(group, lambda: [self._foreign(raw, sender)])[0]

    def close(self) -> None:
        """Write what is waiting, link the heads of the chains a last time, and end."""
        with self._lock:
            self._closing = True
        if self._group is not None:
            self._group.close()
        self._lanes.close()

    def verify(
        self,
        *,
        known: Mapping[str, tuple[int, str]] | None = None,
        progress: Callable[[int], None] = lambda records: None,
    ) -> VerifyReport:
        """Walk all chains, of this process and of all others; `known` are heads of an earlier report kept elsewhere."""
        with reading(self._engine) as connection:
            return verify(connection, known=known, progress=progress)

    def search(
        self,
        *,
        patient: str = "",
        user: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        outcome: int | None = None,
        trace: str = "",
        transaction: str = "",
        limit: int = 1000,
    ) -> list[TrailRecord]:
        """The newest records that fit every criterion given (`until` excluded), oldest first."""
        statement = sa.select(audit_record).where(_RECORD.direction != Direction.LINK.value)
        for column, wanted in (
            (_RECORD.patient, patient),
            (_RECORD.user_id, user),
            (_RECORD.trace, trace),
            (_RECORD.transaction, transaction),
        ):
            if wanted:
                statement = statement.where(column == wanted)
        if since is not None:
            statement = statement.where(_RECORD.time >= instant(since))
        if until is not None:
            statement = statement.where(_RECORD.time < instant(until))
        if outcome is not None:
            statement = statement.where(_RECORD.outcome == int(outcome))
        statement = statement.order_by(_RECORD.time.desc(), _RECORD.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [_record(row) for row in reversed(connection.execute(statement).all())]

    def pending(self, limit: int, *, excluding: Collection[int] = ()) -> list[OutboxEntry]:
        """The oldest records not yet forwarded, in order, without those excluded."""
        statement = sa.select(_RECORD.id, _RECORD.time, _RECORD.xml).where(_waiting()).order_by(_RECORD.id).limit(limit)
        if excluding:
            statement = statement.where(_RECORD.id.not_in(list(excluding)))
        with reading(self._engine) as connection:
            return [OutboxEntry(row.id, _time(row.time), row.xml) for row in connection.execute(statement)]

    def mark_sent(self, ids: Collection[int]) -> None:
        """Remember that records arrived."""
        self._mark(ids, forwarded_at=instant(self._clock()))

    def mark_failed(self, ids: Collection[int]) -> None:
        """Count an attempt that did not succeed."""
        self._mark(ids)

    def backlog(self) -> tuple[int, datetime | None]:
        """How many records wait to be forwarded, and the time of the oldest."""
        with reading(self._engine) as connection:
            count, oldest = connection.execute(
                sa.select(sa.func.count(), sa.func.min(_RECORD.time)).where(_waiting())
            ).one()
        return count, _time(oldest) if oldest else None

    def _writer(self) -> GroupWriter[list[_Content], list[int]]:
        if os.getpid() != self._process:
            raise RuntimeError("the audit trail was made in another process")
        with self._lock:
            if self._closing:
                raise Unavailable("the audit trail is closed")
            # Begun with the first record: who only reads the trail adds nothing to it.
            if self._group is None:
                self._group = GroupWriter(self._write, tick=self._link, interval=self._link_seconds)
            return self._group

    def _own(self, event: AuditEvent, trace: str) -> _Content:
        own = content(
            xml=self._encode(event),
            time=event.time,
            direction=Direction.SENT,
            trace=trace,
            transaction=event.transaction,
            patient=event.patient,
            user_id=event.user_id,
            outcome=event.outcome,
        )
        notices = self._notices(event, trace)
        return {**own, NOTICES: notices} if notices else own

    def _foreign(self, raw: bytes, sender: str) -> _Content:
        try:
            event = self._decode(raw)
        except MalformedMessage:
            # Evidence all the same; it can be found by the time it came.
            return content(xml=raw, time=self._clock(), direction=Direction.RECEIVED, peer=sender)
        return content(
            xml=raw,
            time=event.time,
            direction=Direction.RECEIVED,
            transaction=event.transaction,
            patient=event.patient,
            user_id=event.user_id,
            outcome=event.outcome,
            peer=sender,
        )

    def _write(self, group: list[list[_Content]]) -> list[list[int]]:
        numbers: dict[str | int, int] = {}
        fresh: dict[str | int, _Content] = {}
        try:
            with writing(self._engine) as connection:
                numbers.update(_stored(connection, [one["digest"] for contents in group for one in contents]))
                for contents in group:
                    fresh.update((_key(one), one) for one in contents if _key(one) not in numbers)
                head = extend(connection, self._head, fresh.values()) if fresh else self._head
                ids = ids_behind(connection, self._head) if fresh else []
        except Exception:
            # Nobody knows whether a commit that failed took place: what was written may be the end of this chain.
            self._restarts += 1
            self._head = Head(f"{self.chain}/0.{self._restarts}")
            raise
        self._head = head
        numbers.update(zip(fresh, ids, strict=True))
        return [[numbers[_key(one)] for one in contents] for contents in group]

    def _link(self) -> None:
        try:
            with writing(self._engine) as connection:
                head = link(
                    connection,
                    self._links,
                    process=self.chain,
                    now=self._clock(),
                    first=not self._linked,
                    last=self._closing,
                )
        except Exception:
            self._restarts += 1
            self._links = Head(f"{self.chain}{LINKS}.{self._restarts}")
            raise
        self._links = head
        self._linked = True

    def _mark(self, ids: Collection[int], **values: Any) -> None:
        ordered = sorted(ids)
        with writing(self._engine) as connection:
            for start in range(0, len(ordered), _IDS_IN_A_STATEMENT):
                part = ordered[start : start + _IDS_IN_A_STATEMENT]
                statement = sa.update(audit_record).where(_RECORD.id.in_(part))
                connection.execute(statement.values(attempts=_RECORD.attempts + 1, **values))


def _submit(group: GroupWriter[list[_Content], list[int]], prepare: Callable[[], list[_Content]]) -> list[int]:
    try:
        return group.submit(prepare)
    except (SQLAlchemyError, sqlite3.Error, psycopg.Error) as error:
        raise as_unavailable(getattr(error, "orig", error), "the audit trail cannot be written") from error


def _key(one: _Content) -> str | int:
    digest: str | None = one["digest"]
    return digest or id(one)


def _stored(connection: Connection, digests: list[str | None]) -> dict[str, int]:
    received = [digest for digest in digests if digest]
    if not received:
        return {}
    rows = connection.execute(sa.select(_RECORD.digest, _RECORD.id).where(_RECORD.digest.in_(received)))
    return {row.digest: row.id for row in rows}


def _waiting() -> sa.ColumnElement[bool]:
    # Literals, so that the index of waiting records is used.
    return sa.and_(_RECORD.forwarded_at.is_(None), sa.literal_column("direction = 'sent'"))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _record(row: Row[Any]) -> TrailRecord:
    return TrailRecord(
        id=row.id,
        chain=row.chain,
        sequence=row.sequence,
        time=_time(row.time),
        trace=row.trace,
        transaction=row.transaction,
        patient=row.patient,
        user_id=row.user_id,
        outcome=row.outcome,
        direction=Direction(row.direction),
        peer=row.peer,
        xml=row.xml,
        forwarded_at=_time(row.forwarded_at) if row.forwarded_at else None,
    )
