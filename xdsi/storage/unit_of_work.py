"""Group commit for SQLite: writers take turns, and those of one process who queue share one durable commit.

SQLite has one writer at a time and flushes the disk at every commit; sixteen clients at once would wait for sixteen
flushes. Each unit of work after the first runs in a savepoint of the group's transaction, so it is still all or
nothing, and returns only when the commit that carries it is durable.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from xdsi.domain.errors import Unavailable
from xdsi.storage.driver_errors import as_unavailable
from xdsi.storage.turns import Turns

LARGEST_GROUP = 32
PATIENCE_SECONDS = 10.0


class NestedUnitOfWork(RuntimeError):
    """A thread that is writing would have to wait for itself."""


class _Group:
    """One transaction and those whose work it carries."""

    def __init__(self, connection: Connection, times_released: int) -> None:
        self.connection = connection
        self.times_released = times_released
        self.transaction = connection.begin()
        self.members = 0
        self.broken = False
        self.error: BaseException | None = None
        self.ended = False
        self.waiting: list[_Turn] = []
        """those who have done their part, while others of the group write"""


class _Savepoint:
    """What `Connection.begin_nested` does without an object that looks after what else is nested in it.

    Whoever listens to the engine is told of it, and its errors are those of SQLAlchemy.
    """

    _NAME = "member"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.dispatch.savepoint(connection, self._NAME)
        connection.dialect.do_savepoint(connection, self._NAME)

    def release(self) -> None:
        connection = self._connection
        connection.dispatch.release_savepoint(connection, self._NAME, None)
        connection.dialect.do_release_savepoint(connection, self._NAME)

    def roll_back(self) -> None:
        connection = self._connection
        connection.dispatch.rollback_savepoint(connection, self._NAME, None)
        connection.dialect.do_rollback_to_savepoint(connection, self._NAME)


class _Member:
    """One unit of work within a group's transaction."""

    __slots__ = ("_savepoint", "group")

    def __init__(self, group: _Group) -> None:
        self.group = group
        group.members += 1
        # The first needs no savepoint: with it goes the transaction, which is nobody else's yet.
        self._savepoint = _Savepoint(group.connection) if group.members > 1 else None

    def end(self, error: BaseException | None) -> None:
        """What it did is part of the transaction, or undone for the sake of an error."""
        savepoint = self._savepoint
        if savepoint is None:
            self.group.broken = self.group.broken or error is not None
        elif error is not None:
            self._undo(savepoint, error)
        else:
            try:
                savepoint.release()
            except BaseException as failure:
                self._undo(savepoint, failure)
                raise

    def _undo(self, savepoint: _Savepoint, error: BaseException) -> None:
        try:
            savepoint.roll_back()
        except SQLAlchemyError:
            # A full disk rolls everything back by itself: what others wrote in this group is gone, too.
            self.group.broken, self.group.error = True, error


class _Turn:
    """What one thread waits for; an Event takes several times as long to make, to wait for and to set."""

    def __init__(self) -> None:
        self.given = False
        self._gate = threading.Lock()
        self._gate.acquire()

    def give(self) -> None:
        self.given = True
        self._gate.release()

    def wait(self, seconds: float = -1) -> None:
        """For ever, if not said how long."""
        self._gate.acquire(timeout=seconds)


class _Unit:
    """A unit of work while somebody writes in it."""

    __slots__ = ("_member", "_shared")
    _member: _Member

    def __init__(self, shared: SharedCommit) -> None:
        self._shared = shared

    def __enter__(self) -> Connection:
        self._member = self._shared.begin()
        return self._member.group.connection

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._shared.end(self._member, error)


class SharedCommit:
    """Lets the threads of a process write in turns, in the order they came; `turns` keeps processes apart."""

    def __init__(self, engine: Engine, turns: Turns | None = None) -> None:
        self._engine = engine
        self._turns = turns
        self._mutex = threading.Lock()
        self._queue: deque[_Turn] = deque()
        self._busy = False
        self._group: _Group | None = None
        self._writer = 0
        self._kept: Connection | None = None
        self._times_released = 0

    def release(self) -> None:
        """Close what is kept for the next group, connection and turns: the engine is given up."""
        with self._mutex:
            kept, self._kept = self._kept, None
            self._times_released += 1
        if kept is not None:
            # Its pool is given up before this is told: what went back to it would stay open, and its log would stay.
            kept.detach()
            kept.close()
        if self._turns is not None:
            self._turns.release()

    def unit(self) -> _Unit:
        """A unit of work of its own; when this is left normally its effects are durable."""
        return _Unit(self)

    def begin(self) -> _Member:
        """Wait for one's turn, and take part in the transaction of the group."""
        writer = threading.get_ident()
        if self._writer == writer:
            raise NestedUnitOfWork("a unit of work inside another one of the same thread")
        self._take_turn()
        self._writer = writer
        try:
            group = self._group = self._group or self._begin()
            return _Member(group)
        except BaseException:
            self._leave()
            raise

    def end(self, member: _Member, error: BaseException | None) -> None:
        """Let the others write, and return when what was written is durable."""
        try:
            member.end(error)
        finally:
            self._leave()
        if error is not None:
            return
        group = member.group
        self._await_end(group)
        if group.error is not None:
            # Without the statement and its values, which another member's transaction may have brought.
            cause = getattr(group.error, "orig", None)
            raise as_unavailable(cause or group.error, "the commit failed") from group.error

    def _leave(self) -> None:
        self._writer = 0
        self._pass_turn()

    def _await_end(self, group: _Group) -> None:
        with self._mutex:
            if group.ended:
                return
            mine = _Turn()
            group.waiting.append(mine)
        mine.wait()

    def _take_turn(self) -> None:
        with self._mutex:
            if not self._busy:
                self._busy = True
                return
            mine = _Turn()
            self._queue.append(mine)
        try:
            mine.wait(PATIENCE_SECONDS)
        except BaseException:
            if not self._leave_queue(mine):
                self._pass_turn()
            raise
        if self._leave_queue(mine):
            raise Unavailable("the database is busy writing")

    def _leave_queue(self, mine: _Turn) -> bool:
        """False when the turn was handed over already."""
        with self._mutex:
            if not mine.given:
                self._queue.remove(mine)
        return not mine.given

    def _begin(self) -> _Group:
        if self._turns is not None:
            self._turns.take()
        try:
            with self._mutex:
                connection, self._kept = self._kept, None
                times_released = self._times_released
            if connection is None:
                connection = self._engine.connect()
            try:
                return _Group(connection, times_released)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            self._let_others()
            raise

    def _let_others(self) -> None:
        if self._turns is not None:
            self._turns.give()

    def _pass_turn(self) -> None:
        group = self._group
        if group is not None:
            with self._mutex:
                if self._queue and not group.broken and group.members < LARGEST_GROUP:
                    self._queue.popleft().give()
                    return
        try:
            if group is not None:
                self._end(group)
        finally:
            with self._mutex:
                if self._queue:
                    self._queue.popleft().give()
                else:
                    self._busy = False

    def _end(self, group: _Group) -> None:
        self._group = None
        kept = False
        try:
            if group.broken:
                with suppress(SQLAlchemyError):
                    group.transaction.rollback()
            else:
                group.transaction.commit()
                with self._mutex:
                    # To take one from the pool and to give it back would cost each group as much as a statement.
                    kept = group.times_released == self._times_released
                    if kept:
                        self._kept = group.connection
        except BaseException as error:
            group.error = error
            with suppress(SQLAlchemyError):
                group.transaction.rollback()
            if not isinstance(error, SQLAlchemyError):
                raise
        finally:
            if not kept:
                with suppress(SQLAlchemyError):
                    group.connection.close()
            self._let_others()
            with self._mutex:
                group.ended = True
            for one in group.waiting:
                one.give()
