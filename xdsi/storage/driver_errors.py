"""What an error of SQLite or PostgreSQL says about the database: away, locked, full; or a defect of ours."""

from __future__ import annotations

import sqlite3

import psycopg

from xdsi.domain.errors import Contended, OutOfRoom, Unavailable

_SQLITE_FULL = 13
# Primary result codes of SQLite that say nothing about the statement: busy, locked, out of memory, read-only, I/O
# error, corrupt, disk full, cannot open, locking protocol, not a database.
_SQLITE_AWAY = frozenset({5, 6, 7, 8, 10, 11, 13, 14, 15, 26})
_SQLSTATE_UNDONE = frozenset({"40001", "40P01"})
"""Serialisation failure, deadlock: PostgreSQL has rolled back, for certain."""
_SQLSTATE_SILENT = ("08", "57P")
"""The connection, or the server, went down: what it was doing at that moment may have been done."""
_SQLSTATE_FULL = "53100"
# Classes of SQLSTATE likewise: connection, transaction rolled back (deadlock, serialisation), insufficient resources,
# object not in state (lock timeout), operator intervention, system error; 25006 is a standby that cannot write.
_SQLSTATE_AWAY = ("08", "40", "53", "55", "57", "58", "25006")


def as_unavailable(cause: BaseException | None, doing: str = "database") -> Unavailable:
    """What is told of a driver's error for which the database could not do its work."""
    kind = Unavailable
    if isinstance(cause, psycopg.Error) and cause.sqlstate in _SQLSTATE_UNDONE:
        kind = Contended
    elif _primary(cause) == _SQLITE_FULL or (isinstance(cause, psycopg.Error) and cause.sqlstate == _SQLSTATE_FULL):
        kind = OutOfRoom
    return kind(f"{doing}: {cause}")


def fell_silent(cause: BaseException | None) -> bool:
    """True where it is not known whether the database did what it was doing."""
    return isinstance(cause, psycopg.Error) and (cause.sqlstate or "").startswith(_SQLSTATE_SILENT)


def is_unavailable(cause: BaseException | None) -> bool:
    """True for a driver's error that says that the database could not do its work, whatever the statement was."""
    if isinstance(cause, sqlite3.Error):
        return _primary(cause) in _SQLITE_AWAY
    if isinstance(cause, psycopg.Error):
        if cause.sqlstate is None:
            return isinstance(cause, psycopg.OperationalError)
        return cause.sqlstate.startswith(_SQLSTATE_AWAY)
    return False


def _primary(cause: BaseException | None) -> int | None:
    """The primary result code of an error of SQLite."""
    code = getattr(cause, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None
