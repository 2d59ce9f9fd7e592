"""How slowly an answer may come: seconds of silence, and a rate below which the whole of it is given up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator


class Pace:
    """Counts how long was waited for the bytes of one answer; time in which nobody reads does not count."""

    def __init__(self, seconds: float, rate: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`rate` in bytes a second, 0 for any; `seconds` are granted beforehand."""
        self._left = seconds
        self._rate = rate
        self._monotonic = monotonic
        self._since = 0.0

    def waits(self) -> None:
        """Bytes are waited for."""
        self._since = self._monotonic()

    def came(self, count: int) -> None:
        """So many came; raises TimeoutError where that is too slow for all that came so far."""
        if self._rate <= 0:
            return
        self._left += count / self._rate - (self._monotonic() - self._since)
        if self._left < 0:
            raise TimeoutError(f"it comes at less than {self._rate:g} bytes a second")


def in_pieces(read: Callable[[int], bytes], pace: Pace, size: int) -> Iterator[bytes]:
    """An answer in pieces of at least `size` bytes but the last; `read` gives what is there, of at most so many."""
    waiting: list[bytes] = []
    held = 0
    while True:
        pace.waits()
        # To wait for a number of bytes would take as long as they come, one by one.
        some = read(size)
        pace.came(len(some))
        waiting.append(some)
        held += len(some)
        if held >= size or not some:
            if held:
                yield b"".join(waiting)
            waiting, held = [], 0
        if not some:
            return
