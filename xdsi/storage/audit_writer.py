"""Many threads, one durable write: whoever submits while a write is under way goes into the next one together."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from xdsi.domain.errors import Unavailable

log = logging.getLogger("xdsi.audit")

T = TypeVar("T")
R = TypeVar("R")

LARGEST_GROUP = 500


class GroupWriter(Generic[T, R]):
    """Hands groups of items to `write`, which stores them in one transaction and returns one result per item.

    After its first item a group waits at most `linger` seconds, and only for threads that are preparing an item.
    `tick` runs every `interval` seconds on the same thread, and once more at the end.
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
        self._queue: queue.SimpleQueue[tuple[T, Future[R]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._coming = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)
        self._thread.start()

    def submit(self, prepare: Callable[[], T]) -> R:
        """Return when the item that `prepare` makes is durable; raises what kept it from being so."""
        with self._lock:
            self._coming += 1
        future: Future[R] = Future()
        try:
            item = prepare()
        except BaseException:
            with self._lock:
                self._coming -= 1
            raise
        with self._lock:
            self._coming -= 1
            if self._closed:
                raise Unavailable("closed: nothing more is written")
            self._queue.put((item, future))
        try:
            return future.result(self._timeout)
        except TimeoutError:
            raise Unavailable(f"not written within {self._timeout:g} s") from None

    def close(self) -> None:
        """Write what was submitted, run `tick` a last time, and end."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        going_on = True
        while going_on:
            group, going_on = self._collect(due)
            if group:
                self._commit(group)
            if time.monotonic() >= due or not going_on:
                due = time.monotonic() + self._interval
                try:
                    self._tick()
                except Exception:
                    # It is tried again; records themselves are not held up by it.
                    log.exception("periodic work failed")

    def _collect(self, due: float) -> tuple[list[tuple[T, Future[R]]], bool]:
        group: list[tuple[T, Future[R]]] = []
        until = due
        while len(group) < LARGEST_GROUP:
            try:
                entry = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if entry is None:
                return group, False
            if not group:
                until = time.monotonic() + self._linger
            group.append(entry)
            with self._lock:
                if not self._coming and self._queue.empty():
                    break
        return group, True

    def _commit(self, group: list[tuple[T, Future[R]]]) -> None:
        try:
            results = self._write([item for item, _ in group])
        except Unavailable as error:
            for _, future in group:
                future.set_exception(error)
        except Exception as error:
            if len(group) == 1:
                group[0][1].set_exception(error)
                return
            # One item that cannot be stored must not take the others with it.
            for entry in group:
                self._commit([entry])
        else:
            for (_, future), result in zip(group, results, strict=True):
                future.set_result(result)
