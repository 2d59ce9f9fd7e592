"""Many threads, one durable write: who submits while a write is under way goes into the next one together.

No thread of its own writes: who submits and finds nobody writing leads, and writes for all who came meanwhile; then the
first of those who wait leads. Handing each item to another thread and waiting for it costs more than writing it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from xdsi.domain.computing import give_turn_back
from xdsi.domain.errors import Unavailable

log = logging.getLogger("xdsi.audit")

T = TypeVar("T")
R = TypeVar("R")

LARGEST_GROUP = 500


class _Entry(Generic[T, R]):
    """An item on its way, and what became of it."""

    __slots__ = ("error", "gate", "item", "result", "settled")

    def __init__(self, item: T) -> None:
        self.item = item
        self.settled = False
        self.result: R
        self.error: BaseException | None = None
        self.gate: threading.Lock | None = None
        """while somebody waits for it: opened when it is settled, or when he is to lead"""

    def settle(self, error: BaseException | None = None) -> None:
        self.error = error
        self.settled = True
        gate = self.gate
        if gate is not None:
            gate.release()


class GroupWriter(Generic[T, R]):
    """Hands groups of items to `write`, which stores them in one transaction and returns one result per item.

    After its first item a group waits at most `linger` seconds, and only for threads that are preparing an item.
    `tick` runs every `interval` seconds on a thread of its own, never at the same time as `write`, and once more at the
    end. Who waits for others to write gives up after `timeout`; who writes is bound by the limits of `write`.
    """

    def __init__(
        self,
        write: Callable[[list[T]], list[R]],
        *,
        tick: Callable[[], None],
        interval: float,
        linger: float = 0.005,
        timeout: float = 30,
    ) -> None:
        self._write = write
        self._tick = tick
        self._interval = interval
        self._linger = linger
        self._timeout = timeout
        self._lock = threading.Lock()
        self._prepared = threading.Condition(self._lock)
        self._queue: deque[_Entry[T, R]] = deque()
        self._coming = 0
        self._led = False
        self._ticking: threading.Lock | None = None
        """while periodic work waits for its turn"""
        self._closed = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-links", daemon=True)
        self._thread.start()

    def submit(self, prepare: Callable[[], T]) -> R:
        """Return when the item that `prepare` makes is durable; raises what kept it from being so."""
        with self._lock:
            self._coming += 1
        try:
            entry: _Entry[T, R] = _Entry(prepare())
        except BaseException:
            with self._lock:
                self._come()
            raise
        with self._lock:
            self._come()
            if self._closed:
                raise Unavailable("closed: nothing more is written")
            self._queue.append(entry)
            leads = not self._led
            self._led = True
            if not leads:
                entry.gate = threading.Lock()
                entry.gate.acquire()
        # The disk is waited for from here on, or who writes to it.
        give_turn_back()
        if leads or self._follow(entry):
            self._lead(entry)
        if entry.error is not None:
            raise entry.error
        return entry.result

    def close(self) -> None:
        """Write what was submitted, run `tick` a last time, and end."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._end.set()
        self._thread.join()

    def _come(self) -> None:
        self._coming -= 1
        if not self._coming:
            self._prepared.notify_all()

    def _follow(self, entry: _Entry[T, R]) -> bool:
        """Wait until an entry is settled; True where its thread is to lead instead."""
        gate = entry.gate
        assert gate is not None
        try:
            opened = gate.acquire(timeout=self._timeout) or not self._leave(entry, gate)
        except BaseException:
            if not self._leave(entry, gate) and not entry.settled:
                entry.gate = None
                self._lead()
            raise
        if not opened:
            raise Unavailable(f"not written within {self._timeout:g} s")
        entry.gate = None
        return not entry.settled

    def _leave(self, entry: _Entry[T, R], gate: threading.Lock) -> bool:
        """Wait no longer for an entry, which is written all the same; False where the gate is open by now."""
        with self._lock:
            if gate.acquire(blocking=False):
                return False
            entry.gate = None
            return True

    def _lead(self, own: _Entry[T, R] | None = None) -> None:
        """Write until one's own entry is settled, and let another one lead."""
        interrupted: BaseException | None = None
        while True:
            if own is None or own.settled or interrupted is not None:
                with self._lock:
                    if self._hand_on():
                        break
            try:
                self._write_group()
            except BaseException as error:
                # Whoever waits must not wait for a thread that ends.
                interrupted = error
        if interrupted is not None:
            raise interrupted

    def _hand_on(self) -> bool:
        """Give up the lead; False where something is left to be written that nobody waits for."""
        if self._ticking is not None:
            # Before all others: there may be no end of them.
            self._ticking.release()
            self._ticking = None
            return True
        for entry in self._queue:
            if entry.gate is not None:
                entry.gate.release()
                return True
        self._led = bool(self._queue)
        return not self._led

    def _write_group(self) -> None:
        with self._lock:
            if self._coming:
                self._prepared.wait_for(lambda: not self._coming, self._linger)
            group = [self._queue.popleft() for _ in range(min(len(self._queue), LARGEST_GROUP))]
        try:
            if group:
                self._commit(group)
        finally:
            for entry in group:
                if not entry.settled:
                    entry.settle(Unavailable("interrupted: it is not known whether this was written", uncertain=True))

    def _commit(self, group: list[_Entry[T, R]]) -> None:
        try:
            results = self._write([entry.item for entry in group])
        except Unavailable as error:
            for entry in group:
                entry.settle(error)
        except Exception as error:
            if len(group) == 1:
                group[0].settle(error)
                return
            # One item that cannot be stored must not take the others with it.
            for entry in group:
                self._commit([entry])
        else:
            for entry, result in zip(group, results, strict=True):
                entry.result = result
                entry.settle()

    def _run(self) -> None:
        while not self._end.is_set():
            self._periodically()
            self._end.wait(self._interval)
        self._periodically()

    def _periodically(self) -> None:
        with self._lock:
            turn = threading.Lock() if self._led else None
            if turn is not None:
                turn.acquire()
                self._ticking = turn
            self._led = True
        if turn is not None:
            turn.acquire()
        try:
            while self._closed and self._queue:
                self._write_group()
            self._tick()
        except Exception:
            # It is tried again; records themselves are not held up by it.
            log.exception("periodic work failed")
        finally:
            self._lead()
