"""Turns of computing: of the threads that answer small questions one computes, while the others wait for it.

Python runs one thread at a time. Where several compute, each statement of a database and each document of XML lets the
interpreter go for a moment; another thread takes it, and the first waits to get it back. With sixteen clients that
costs more than their answers. So they go one after the other, in the order in which they came.

A turn is a courtesy: nothing is right or wrong because of it. Nobody waits for one who holds anything else. Who keeps
his for longer than the others have patience loses it to the first of them, and goes on without.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

PATIENCE: Final = 0.01
"""seconds, two or three times what a small question takes: who holds a turn for longer is slow, or waits"""


class OneComputes:
    """The turns of one process."""

    def __init__(self, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._held: threading.Lock | None = None
        """A turn is a lock that is closed while its thread waits for it."""
        self._since = 0.0

    @property
    def held(self) -> bool:
        """Whether somebody has the turn."""
        return self._held is not None

    @property
    def waiting(self) -> int:
        """How many wait for it."""
        return len(self._waiting)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Compute when the others have; who has a turn already goes on with that."""
        if _OWN.turn is not None:
            yield
            return
        turn = threading.Lock()
        turn.acquire()
        try:
            self._wait(turn)
            _OWN.turns, _OWN.turn = self, turn
            yield
        finally:
            if _OWN.turn is turn:
                _OWN.turns = _OWN.turn = None
            self._give(turn)

    def _wait(self, turn: threading.Lock) -> None:
        with self._lock:
            if self._held is None:
                self._hold(turn)
                return
            self._waiting.append(turn)
        while not turn.acquire(timeout=self._patience):
            with self._lock:
                slow = self._clock() - self._since >= self._patience
                if slow and self._waiting and self._waiting[0] is turn:
                    self._waiting.popleft()
                    self._hold(turn)
                    return

    def _hold(self, turn: threading.Lock) -> None:
        self._held = turn
        self._since = self._clock()

    def _give(self, turn: threading.Lock) -> None:
        """Let the next one compute, where it is not so already."""
        with self._lock:
            if self._held is not turn:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                return
            self._held = None
            if self._waiting:
                following = self._waiting.popleft()
                self._hold(following)
                following.release()


class _Own(threading.local):
    """What the thread has that looks at it."""

    turns: OneComputes | None = None
    turn: threading.Lock | None = None


_OWN = _Own()


def give_turn_back() -> None:
    """Before this thread waits for something else than a processor; does nothing where it has no turn."""
    turns, turn = _OWN.turns, _OWN.turn
    if turns is not None and turn is not None:
        _OWN.turns = _OWN.turn = None
        turns._give(turn)
