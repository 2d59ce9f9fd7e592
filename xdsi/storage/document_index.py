"""Which uniqueId names which bytes, and when those were last found right."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import String, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from xdsi.storage.database import reading, writing
from xdsi.storage.document_hash import Expected
from xdsi.storage.prepared import Prepared, PreparedChange
from xdsi.storage.tables import document as t
from xdsi.storage.wording import in_batches


def _known(blake3: Any) -> Any:
    """What is there stays where nothing is given."""
    return func.coalesce(func.nullif(blake3, ""), t.c.blake3)


_USE = select(t.c.unique_id).where(t.c.sha256 == bindparam("hash")).limit(1)
_REFRESHED = (
    update(t)
    .where(
        t.c.sha256 == bindparam("hash"),
        (t.c.verified != bindparam("state"))
        | t.c.quarantined
        | (t.c.blake3 != _known(bindparam("swift", type_=String))),
    )
    .values(verified=bindparam("state"), quarantined=False, blake3=_known(bindparam("swift", type_=String)))
)
_REFRESH: Final = PreparedChange(_REFRESHED, _REFRESHED)
_PAGE = 1000


def _add(dialect: Any) -> Any:
    """Answers with a row unless other bytes are there under the uniqueId."""
    columns = (*Indexed._fields, "claimed")
    insert = dialect.insert(t).values({name: bindparam(name) for name in columns})
    again = insert.on_conflict_do_update(
        index_elements=["unique_id"],
        set_={
            "claims": t.c.claims + 1,
            "claimed": insert.excluded.claimed,
            "blake3": _known(insert.excluded.blake3),
        },
        where=t.c.sha256 == insert.excluded.sha256,
    )
    return again.returning(t.c.unique_id)


class Indexed(NamedTuple):
    """One row."""

    unique_id: str
    sha256: str
    sha1: str
    size: int
    mime_type: str
    verified: str
    quarantined: bool
    stored: str = ""
    blake3: str = ""
    """empty for what came before this was computed"""

    @property
    def expected(self) -> Expected:
        """The hashes that its bytes must have."""
        return Expected(self.sha256, self.blake3)


_COLUMNS: Final = [t.c[name] for name in Indexed._fields]
_BY_UNIQUE_IDS: Final = Prepared(select(*_COLUMNS).where(t.c.unique_id.in_(bindparam("ids", expanding=True))))
_AFTER: Final = select(*_COLUMNS).where(t.c.unique_id > bindparam("after")).order_by(t.c.unique_id).limit(_PAGE)
# ON CONFLICT is the same on both engines but lies in their dialects.
_ADD: Final = PreparedChange(_add(postgresql), _add(sqlite))


class DocumentIndex:
    """The table `document`; every call is its own transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, unique_id: str) -> Indexed | None:
        """What a uniqueId names, or None."""
        return self.find_all((unique_id,)).get(unique_id)

    def find_all(self, unique_ids: Iterable[str]) -> dict[str, Indexed]:
        """What these uniqueIds name, those that name something."""
        found: dict[str, Indexed] = {}
        with reading(self._engine) as connection:
            for some in in_batches(dict.fromkeys(unique_ids)):
                rows = _BY_UNIQUE_IDS.rows(connection, {"ids": some})
                found.update([(row.unique_id, _indexed(row)) for row in rows])
        return found

    def all(self) -> Iterator[Indexed]:
        """Everything, in the order of uniqueIds, read in pages."""
        after = ""
        while True:
            with reading(self._engine) as connection:
                page = [_indexed(row) for row in connection.execute(_AFTER, {"after": after})]
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].unique_id

    def count(self) -> int:
        """How many uniqueIds there are."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.count()).select_from(t)).scalar_one())

    def add(self, entry: Indexed) -> None:
        """Let a uniqueId name bytes; the same bytes again are one more claim to it, ValueError for others."""
        row: dict[str, Any] = {name: getattr(entry, name) for name in Indexed._fields} | {"claimed": entry.stored}
        with writing(self._engine) as connection:
            if not _ADD.returned(connection, row):
                raise ValueError(f"other bytes are published under {entry.unique_id}")
            # A fresh copy also serves the other names of these bytes.
            values = {"hash": entry.sha256, "state": entry.verified, "swift": entry.blake3}
            _REFRESH.execute(connection, values)

    def remove(self, unique_id: str) -> None:
        """Take one claim back; with the last one the uniqueId is forgotten."""
        with writing(self._engine) as connection:
            own = t.c.unique_id == unique_id
            connection.execute(update(t).where(own).values(claims=t.c.claims - 1))
            connection.execute(delete(t).where(own, t.c.claims <= 0))
            connection.execute(update(t).where(own, t.c.confirmed > t.c.claims).values(confirmed=t.c.claims))

    def unconfirmed(self, before: str, after: str = "") -> list[tuple[str, str]]:
        """uniqueIds with claims of which it is not known that they were registered, none newer; with the newest's time.

        A page of them, in order, from the one after `after` on.
        """
        query = (
            select(t.c.unique_id, t.c.claimed)
            .where(t.c.claims > t.c.confirmed, t.c.claimed < before, t.c.unique_id > after)
            .order_by(t.c.unique_id)
            .limit(_PAGE)
        )
        with reading(self._engine) as connection:
            return [(row.unique_id, row.claimed) for row in connection.execute(query)]

    def confirm(self, unique_ids: Iterable[str]) -> None:
        """All claims to these stand."""
        with writing(self._engine) as connection:
            confirm(connection, unique_ids)

    def revoke(self, unique_id: str, claimed: str) -> None:
        """Take the claims back that nobody confirmed, unless there is a newer one."""
        with writing(self._engine) as connection:
            same = (t.c.unique_id == unique_id) & (t.c.claimed == claimed)
            connection.execute(update(t).where(same).values(claims=t.c.confirmed))
            connection.execute(delete(t).where(same, t.c.claims <= 0))

    def erase(self, unique_ids: Sequence[str], also: Callable[[Any], None]) -> None:
        """Forget uniqueIds with all claims to them, and do `also` in the same transaction."""
        with writing(self._engine) as connection:
            for some in in_batches(sorted(unique_ids)):
                connection.execute(delete(t).where(t.c.unique_id.in_(some)))
            also(connection)

    def uses(self, sha256: str) -> bool:
        """True when a uniqueId names these bytes."""
        with reading(self._engine) as connection:
            return connection.execute(_USE, {"hash": sha256}).first() is not None

    def set_verified(self, sha256: str, state: str, blake3: str) -> None:
        """Note the state of the file in which its hash was right, and its other hash where it is known."""
        with writing(self._engine) as connection:
            values = {"verified": state} | ({"blake3": blake3} if blake3 else {})
            connection.execute(update(t).where(t.c.sha256 == sha256).values(values))

    def set_quarantined(self, sha256: str) -> None:
        """Note that the file no longer had its hash."""
        with writing(self._engine) as connection:
            connection.execute(update(t).where(t.c.sha256 == sha256).values(quarantined=True, verified=""))


def confirm(connection: Connection, unique_ids: Iterable[str]) -> None:
    """All claims to these stand, in somebody's transaction."""
    for some in in_batches(sorted(unique_ids)):
        named = t.c.unique_id.in_(some)
        connection.execute(update(t).where(named, t.c.claims > t.c.confirmed).values(confirmed=t.c.claims))


def _indexed(row: Any) -> Indexed:
    id_, sha256, sha1, size, type_, verified, quarantined, stored, blake3 = row
    # Thousands of documents of one answer are of few types.
    return Indexed(id_, sha256, sha1, size, sys.intern(type_), verified, bool(quarantined), stored, blake3)
