"""A data set that was announced and does not come: only the request that waits for it is ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pynetdicom.dimse_messages import N_CREATE_RQ

from tests.servers import wait_until
from xdsi.transport.announced_data import answered_without


class Association:
    """One that has received a request and waits."""

    def __init__(self) -> None:
        self.is_established = True
        self.ended: list[Any] = []
        self.dimse = SimpleNamespace(message=N_CREATE_RQ(), receive_primitive=self.ended.append)


def test_a_request_is_not_ended_for_one_that_came_before_it() -> None:
    _, received = answered_without(0.3)
    association = Association()
    command: Any = SimpleNamespace(presentation_data_value_items=[SimpleNamespace(data=b"\x03")])
    for _ in range(3):
        received(SimpleNamespace(assoc=association, pdu=command))
    wait_until(lambda: bool(association.ended), 30)
    # By the time that a later one is ended, the others would have been, too.
    later = Association()
    received(SimpleNamespace(assoc=later, pdu=command))
    wait_until(lambda: bool(later.ended), 30)
    assert (len(association.ended), len(later.ended)) == (1, 1)
