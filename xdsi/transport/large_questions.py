"""Turns for questions that ask for much at once: what each needs until its answer begins is held for few of them.

A question for thousands of documents is megabytes of objects while it is decoded, found, decided on, examined and
recorded, and a connection to the database; the answer then leaves with a fraction of that. To do it for all who ask at
the same time takes the memory of all, and no less time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LARGE: Final = 64 * 1024
"""bytes of a message, without what is attached"""
_AT_ONCE: Final = 2
_PATIENCE: Final = 5.0
"""Who has waited for so many seconds goes on without a turn: nobody is kept by those that wait for something else."""


class Turns:
    """One for each endpoint; small questions need none."""

    def __init__(self, at_once: int = _AT_ONCE, patience: float = _PATIENCE) -> None:
        self._free = threading.Semaphore(at_once)
        self._patience = patience

    @contextmanager
    def one(self, size: int) -> Iterator[None]:
        """A turn for a question of so many bytes."""
        if size < LARGE or not self._free.acquire(timeout=self._patience):
            yield
            return
        try:
            yield
        finally:
            self._free.release()
