"""The two threads of an association: who has stopped the reactor gets all answers."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

from tests.servers import wait_until
from xdsi.transport.reactor_gate import ReactorGate


def test_a_reactor_that_is_said_to_wait_takes_nothing() -> None:
    """Let go and stopped again before it wakes, as between two requests, it may not go on unseen."""
    association = SimpleNamespace(_is_paused=False, taking=0, ends=False)
    gate = ReactorGate(association)
    gate.clear()

    def reactor() -> None:
        # As in Association._run_reactor of pynetdicom.
        while not association.ends:
            association._is_paused = True
            gate.wait()
            association._is_paused = False
            association.taking += 1

    thread = threading.Thread(target=reactor, daemon=True)
    thread.start()
    for _ in range(200):
        gate.set()
        gate.clear()
        wait_until(lambda: association._is_paused)
        taken = association.taking
        time.sleep(0.001)
        assert association.taking == taken
    association.ends = True
    gate.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_wait_with_a_limit() -> None:
    association = SimpleNamespace(_is_paused=True)
    gate = ReactorGate(association)
    assert gate.wait(0)
    assert not association._is_paused
    gate.clear()
    association._is_paused = True
    assert not gate.wait(0.01)
    assert association._is_paused
