"""Links between chains: records that name the heads of chains, so that none can be cut short unseen.

Each process that has news writes one about every minute and at its end; an idle system writes none.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from xdsi.domain.audit_records import Direction
from xdsi.storage.audit_chain import LINKS, Head, content, extend, head_of, instant, write_links
from xdsi.storage.tables import audit_chain_head

_HEADS = audit_chain_head.c
_FORGET_AFTER = timedelta(days=1)


def link(connection: Connection, own: Head, *, process: str, now: datetime, first: bool, last: bool) -> Head:
    """Name in the chain `own` every head that has moved since it was named last; returns the head after that.

    Chains of links are named along with others, and on a process's `first` call for themselves too; `last` closes the
    chains of the process.
    """
    ours = _HEADS.chain.startswith(process + "/", autoescape=True)
    listed = connection.execute(
        sa.select(audit_chain_head)
        .where(sa.or_(~_HEADS.closed, ~_HEADS.linked, ours), _HEADS.chain != own.chain)
        .order_by(_HEADS.chain)
    ).all()
    moved: list[Head] = []
    for row in listed:
        actual = head_of(connection, row.chain)
        # A chain shorter than it was is not named anew: that would hide what was cut off.
        if actual is not None and (actual.sequence > row.sequence or (not row.linked and actual.hash == row.hash)):
            moved.append(actual)
    if moved and (first or any(LINKS not in head.chain for head in moved)):
        record = content(xml=write_links(moved), time=now, direction=Direction.LINK, transaction="chain-heads")
        own = extend(connection, own, [record])
        for head in moved:
            _note(connection, head, now, linked=True, closed=False)
    connection.execute(
        sa.update(audit_chain_head)
        .where(_HEADS.linked, ~_HEADS.closed, ~ours, _HEADS.time < instant(now - _FORGET_AFTER))
        .values(closed=True)
    )
    if last:
        if own.sequence:
            _note(connection, own, now, linked=False, closed=True)
        connection.execute(sa.update(audit_chain_head).where(ours).values(closed=True))
    return own


def _note(connection: Connection, head: Head, now: datetime, *, linked: bool, closed: bool) -> None:
    connection.execute(
        sa.update(audit_chain_head)
        .where(_HEADS.chain == head.chain)
        .values(sequence=head.sequence, hash=head.hash, time=instant(now), linked=linked, closed=closed)
    )
