"""Keeps the two threads of a pynetdicom association from taking each other's messages.

An association has a thread that takes what the peer asks of us; whoever sends a request stops it first and takes the
answers. pynetdicom stops it by clearing an Event, then waits for a flag. A thread that waits at the Event for its turn
goes on when the Event is set, even if it was cleared again before it woke; its flag says meanwhile that it waits. On a
busy machine it then takes the first answer of the next request, and an archive seems to have less than it has.
"""

from __future__ import annotations

import threading
from typing import Any

from pynetdicom import evt


class ReactorGate:
    """In place of the Event: who passes says so before the gate can be closed behind him."""

    def __init__(self, association: Any) -> None:
        self._association = association
        self._changed = threading.Condition()
        self._open = True

    def is_set(self) -> bool:
        """Whether the reactor may go on."""
        return self._open

    def set(self) -> None:
        """Let the reactor go on."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Let it wait when it comes here; `_is_paused` is true after this only when it does."""
        with self._changed:
            self._open = False

    def wait(self, timeout: float | None = None) -> bool:
        """Until the gate is open; where it still is not after `timeout` seconds, false."""
        with self._changed:
            passes = self._changed.wait_for(self.is_set, timeout)
            if passes:
                self._association._is_paused = False
            return passes


def _install(event: Any) -> None:
    event.assoc._reactor_checkpoint = ReactorGate(event.assoc)


GATED = (evt.EVT_CONN_OPEN, _install)
"""handler for each association that we ask for; the connection opens before its reactor runs"""
