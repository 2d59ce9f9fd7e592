"""Walks all chains of audit records and names every place where they are not what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from xdsi.domain.audit_records import Direction, Finding, Tampering, VerifyReport
from xdsi.storage.audit_chain import GENESIS, Head, read_links, record_hash
from xdsi.storage.tables import audit_chain_head, audit_record

_BATCH = 300


def verify(
    connection: Connection,
    *,
    known: Mapping[str, tuple[int, str]] | None = None,
    progress: Callable[[int], None] = lambda records: None,
) -> VerifyReport:
    """Check every record, every chain and every witness of a head: links, the list of heads, and the heads in `known`.

    `known` are heads of an earlier report that was kept elsewhere; `progress` hears how many records are done.
    """
    listed = connection.execute(sa.select(audit_chain_head)).all()
    walk, links = _Walk(), 0
    # What names a head is looked up after the walk, when it is known how long each chain is.
    doubts: dict[str, tuple[Head, str]] = {}
    witnesses: list[Head] = []
    for row in _records(connection):
        walk.step(row)
        if row["direction"] == Direction.LINK.value:
            links += 1
            witnesses += read_links(row["xml"])
        if len(witnesses) >= _BATCH:
            _look_up(connection, witnesses, "a link names", doubts)
            witnesses = []
        if walk.records % 1000 == 0:
            progress(walk.records)
    _look_up(connection, witnesses, "a link names", doubts)
    _look_up(connection, [Head(row.chain, row.sequence, row.hash) for row in listed], "the list of heads names", doubts)
    earlier = [Head(chain, sequence, digest) for chain, (sequence, digest) in (known or {}).items()]
    _look_up(connection, earlier, "an earlier report names", doubts)
    progress(walk.records)
    unlisted = walk.heads.keys() - {row.chain for row in listed}
    return VerifyReport(
        records=walk.records,
        chains=len(walk.heads),
        links=links,
        findings=(*walk.findings, *_tails(walk.heads, doubts), *map(_unlisted, sorted(unlisted))),
        heads=walk.heads,
    )


class _Walk:
    """Goes through records ordered by chain and sequence."""

    def __init__(self) -> None:
        self.records = 0
        self.heads: dict[str, tuple[int, str]] = {}
        self.findings: list[Finding] = []

    def step(self, row: Mapping[str, Any]) -> None:
        """Compare one record with the one before it and with its own hash."""
        self.records += 1
        chain, sequence = row["chain"], row["sequence"]
        last, previous = self.heads.get(chain, (0, GENESIS))
        whole = sequence == last + 1
        if sequence > last + 1:
            self._find(Tampering.REMOVED, chain, last + 1, "records are missing", sequence - 1)
        if sequence < 1 or (whole and row["previous_hash"] != previous):
            self._find(Tampering.DISPLACED, chain, sequence, f"{_named(row)} does not follow the one before it")
        elif record_hash(row) != row["hash"]:
            self._find(Tampering.CHANGED, chain, sequence, f"{_named(row)} does not have its hash")
        self.heads[chain] = (max(sequence, last), row["hash"])

    def _find(self, tampering: Tampering, chain: str, sequence: int, detail: str, last: int | None = None) -> None:
        self.findings.append(
            Finding(
                tampering=tampering,
                chain=chain,
                sequence=sequence,
                last_sequence=sequence if last is None else last,
                detail=detail,
            )
        )


def _named(row: Mapping[str, Any]) -> str:
    """A record as it can be looked for in the trail, by what it says of itself now."""
    about = [row["time"], row["transaction"], f"trace {row['trace']}" if row["trace"] else ""]
    return f"record {row['id']} ({', '.join(filter(None, about))})"


def _records(connection: Connection) -> Iterator[Mapping[str, Any]]:
    statement = sa.select(audit_record).order_by(audit_record.c.chain, audit_record.c.sequence)
    result = connection.execute(statement, execution_options={"yield_per": _BATCH})
    for row in result.mappings():
        yield dict(row)


def _look_up(connection: Connection, witnesses: Iterable[Head], who: str, doubts: dict[str, tuple[Head, str]]) -> None:
    heads = [head for head in witnesses if head.sequence > 0]
    place = sa.tuple_(audit_record.c.chain, audit_record.c.sequence)
    for start in range(0, len(heads), _BATCH):
        part = heads[start : start + _BATCH]
        rows = connection.execute(
            sa.select(audit_record.c.chain, audit_record.c.sequence, audit_record.c.hash).where(
                place.in_([(head.chain, head.sequence) for head in part])
            )
        )
        present = {(row.chain, row.sequence): row.hash for row in rows}
        for head in part:
            if present.get((head.chain, head.sequence)) != head.hash:
                doubts.setdefault(head.chain, (head, who))


def _tails(heads: Mapping[str, tuple[int, str]], doubts: Mapping[str, tuple[Head, str]]) -> Iterator[Finding]:
    for chain, (head, who) in sorted(doubts.items()):
        last = heads.get(chain, (0, ""))[0]
        ends = f"the chain ends at {last}" if last else "there is no such chain"
        yield Finding(
            tampering=Tampering.TAIL,
            chain=chain,
            sequence=min(last + 1, head.sequence),
            last_sequence=head.sequence,
            detail=f"{who} record {head.sequence}; " + (ends if last < head.sequence else "it is not what it was"),
        )


def _unlisted(chain: str) -> Finding:
    detail = "the chain is not in the list of heads"
    return Finding(tampering=Tampering.TAIL, chain=chain, sequence=0, last_sequence=0, detail=detail)
