"""Values that follow from an object alone, kept by its identity: to compare or to hash one is to walk through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

MOST: Final = 4096

A = TypeVar("A")
B = TypeVar("B")


class ByIdentity(Generic[A, B]):
    """A pure function of objects that never change; its last values are kept with their objects."""

    def __init__(self, work: Callable[[A], B], *, lasting: Callable[[B], bool] = lambda value: True) -> None:
        """`lasting` says of a value whether it and its object are to be kept."""
        self._work = work
        self._lasting = lasting
        self._known: dict[int, tuple[A, B]] = {}

    def __call__(self, of: A) -> B:
        """The value for this very object."""
        known = self._known.get(id(of))
        if known is not None:
            # Its object is kept with it, so that no other has this identity.
            return known[1]
        value = self._work(of)
        if not self._lasting(value):
            return value
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[id(of)] = of, value
        return value
