"""Chains of audit records: each record's hash covers its content and the hash of the record before it.

A chain has one writer. Its head can be named in another chain (a link), so that a cut tail shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from struct import Struct
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from xdsi.domain.audit_records import Direction
from xdsi.domain.notification import Notice
from xdsi.storage import notices
from xdsi.storage.prepared import Prepared, PreparedInsert
from xdsi.storage.tables import audit_chain_head, audit_record

NOTICES = "notices"
"""key of a content, beside its columns: what is to be told of it"""
GENESIS = "0" * 64
"""what the first record of a chain follows"""
LINKS = "/links"
"""end of the name of a chain that holds links only"""
COVERED = (
    "chain", "sequence", "time", "trace", "transaction", "patient", "user_id", "outcome", "direction", "peer", "xml",
    "previous_hash",
)  # fmt: skip
_covered = itemgetter(*COVERED)
_length = Struct(">Q").pack

_INSERT = PreparedInsert(audit_record, (*COVERED, "hash", "digest"))
_IDS = Prepared(
    sa.select(audit_record.c.id)
    .where(audit_record.c.chain == sa.bindparam("chain"), audit_record.c.sequence >= sa.bindparam("first"))
    .order_by(audit_record.c.sequence)
)


def instant(time: datetime) -> str:
    """Text of a fixed length that sorts as the times do."""
    if time.tzinfo is not UTC:
        time = time.astimezone(UTC)
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def record_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 over every covered column, each with its length in front."""
    # One after the other: all at once are long enough for other threads to be let go first, while these wait for us.
    found = hashlib.sha256()
    for value in _covered(row):
        encoded = value if isinstance(value, bytes) else str(value).encode()
        found.update(_length(len(encoded)) + encoded)
    return found.hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends."""

    chain: str
    sequence: int = 0
    hash: str = GENESIS

    def follow(self, content: Mapping[str, Any]) -> tuple[dict[str, Any], Head]:
        """The row that stores a content next, and the head after it."""
        row = {**content, "chain": self.chain, "sequence": self.sequence + 1, "previous_hash": self.hash}
        row["hash"] = record_hash(row)
        return row, Head(self.chain, self.sequence + 1, row["hash"])


def content(
    *,
    xml: bytes,
    time: datetime,
    direction: Direction,
    trace: str = "",
    transaction: str = "",
    patient: str = "",
    user_id: str = "",
    outcome: int = 0,
    peer: str = "",
) -> dict[str, Any]:
    """The columns of a record that do not depend on its place."""
    return {
        "time": instant(time),
        "trace": _storable(trace),
        "transaction": _storable(transaction),
        "patient": _storable(patient),
        "user_id": _storable(user_id),
        "outcome": int(outcome),
        "direction": direction.value,
        "peer": _storable(peer),
        "xml": xml,
        "digest": hashlib.sha256(xml).hexdigest() if direction is Direction.RECEIVED else None,
    }


def _storable(text: str) -> str:
    if text.isascii() and "\x00" not in text:
        return text
    # What a database cannot hold must not keep a record from being written.
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def extend(connection: Connection, head: Head, contents: Iterable[Mapping[str, Any]]) -> Head:
    """Insert contents behind a head, and what is to be told of them; the new head."""
    if head.sequence == 0:
        connection.execute(
            sa.insert(audit_chain_head),
            {"chain": head.chain, "sequence": 0, "hash": GENESIS, "time": instant(datetime.now(UTC))},
        )
    rows = []
    told: list[Notice] = []
    for one in contents:
        row, head = head.follow(one)
        told += row.pop(NOTICES, ())
        rows.append(row)
    if rows:
        _INSERT.many(connection, rows)
    if told:
        notices.add(connection, told, datetime.now(UTC))
    return head


def ids_behind(connection: Connection, head: Head) -> list[int]:
    """The ids of the records behind a former head of their chain, in order."""
    return [row.id for row in _IDS.rows(connection, {"chain": head.chain, "first": head.sequence + 1})]


def head_of(connection: Connection, chain: str) -> Head | None:
    """The last record of a chain as it now lies in the table."""
    row = connection.execute(
        sa.select(audit_record.c.sequence, audit_record.c.hash)
        .where(audit_record.c.chain == chain)
        .order_by(audit_record.c.sequence.desc())
        .limit(1)
    ).first()
    return Head(chain, row.sequence, row.hash) if row else None


def write_links(heads: Iterable[Head]) -> bytes:
    """The content of a link record: one line per head."""
    return "".join(f"{head.sequence} {head.hash} {head.chain}\n" for head in heads).encode()


def read_links(raw: bytes) -> list[Head]:
    """The heads a link record names; lines that are none are left out, because the record's hash tells on them."""
    heads = []
    for line in raw.decode("utf-8", "replace").split("\n"):
        sequence, _, rest = line.partition(" ")
        digest, _, chain = rest.partition(" ")
        if sequence.isdecimal() and len(digest) == len(GENESIS) and chain:
            heads.append(Head(chain, int(sequence), digest))
    return heads
