"""A database with the tables of the audit trail, and events to keep in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from tests.audit_samples import NOW, facts
from xdsi.domain.audit import AuditEvent
from xdsi.domain.audit_records import Finding, Tampering
from xdsi.rules.audit import events_for
from xdsi.storage.audit_trail import DatabaseAuditTrail
from xdsi.storage.database import writing
from xdsi.storage.tables import audit_chain_head, audit_record
from xdsi.wire import audit

NEVER = 1_000_000_000.0


def event(number: int = 0, transaction: str = "ITI-18", **changes: Any) -> AuditEvent:
    """An event `number` seconds after the first."""
    (made,) = events_for(facts(transaction, **changes))
    return replace(made, time=NOW + timedelta(seconds=number))


@contextmanager
def opened(engine: sa.Engine, host: str = "hub", **options: Any) -> Iterator[DatabaseAuditTrail]:
    """A trail that links chains when it begins and when it is closed, and not between."""
    settings: dict[str, Any] = {"encode": audit.encode, "decode": audit.decode, "link_seconds": NEVER}
    trail = DatabaseAuditTrail(engine, host=host, **settings | options)
    try:
        yield trail
    finally:
        trail.close()


def written(engine: sa.Engine, records: int, host: str = "hub") -> str:
    """One process' life: that many records, stored one by one; returns the chain."""
    with opened(engine, host) as trail:
        for number in range(records):
            trail.append([event(number)], trace=f"{number:032x}")
        return trail.chain


def all_rows(engine: sa.Engine) -> list[sa.Row[Any]]:
    """All records, as they came."""
    with engine.connect() as connection:
        return list(connection.execute(sa.select(audit_record).order_by(audit_record.c.id)).all())


def rows(engine: sa.Engine) -> list[sa.Row[Any]]:
    """All records but links, as they came."""
    return [row for row in all_rows(engine) if row.direction != "link"]


def heads(engine: sa.Engine) -> dict[str, sa.Row[Any]]:
    """The list of heads."""
    with engine.connect() as connection:
        return {row.chain: row for row in connection.execute(sa.select(audit_chain_head)).all()}


def tamper(engine: sa.Engine, statement: sa.Executable) -> None:
    """What somebody with the password of the database does."""
    with writing(engine) as connection:
        connection.execute(statement)


def found(engine: sa.Engine, **options: Any) -> list[tuple[Tampering, str, int, int]]:
    """What a verification says."""
    with opened(engine, "verifier") as trail:
        findings: tuple[Finding, ...] = trail.verify(**options).findings
        return [(one.tampering, one.chain, one.sequence, one.last_sequence) for one in findings]
