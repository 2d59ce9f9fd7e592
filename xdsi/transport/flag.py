"""A flag that threads see while they wait for something else, too."""

from __future__ import annotations

import os
from contextlib import suppress


class Flag:
    """What threads see that wait for something else, too: its file is readable while it is up."""

    def __init__(self) -> None:
        self.up = False
        self._ends = (-1, -1)

    def make(self) -> None:
        """Have a file, of this process alone."""
        self._ends = os.pipe()
        for end in self._ends:
            os.set_blocking(end, False)

    def fileno(self) -> int:
        return self._ends[0]

    def put(self, *, up: bool) -> None:
        """Up or down; by one thread alone."""
        if up and not self.up:
            self.up = True
            os.write(self._ends[1], b"!")
        elif self.up and not up:
            self.up = False
            with suppress(BlockingIOError):
                os.read(self._ends[0], 1)

    def close(self) -> None:
        for end in self._ends:
            os.close(end)
