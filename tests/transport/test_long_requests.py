"""Who takes his time over a request is looked at again before he is answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.test_exchange import SUBJECT, World, actor, transaction
from tests.transport.test_large_questions import Endpoint
from xdsi.domain.consent import Action
from xdsi.domain.errors import SecurityFault
from xdsi.domain.subject import Caller, Peer
from xdsi.exchange import Trace, require_still
from xdsi.transport import soap_server


@pytest.mark.parametrize(
    ("row", "seconds", "status"),
    [
        ({}, -1.0, "400 Bad Request"),
        ({}, 60.0, "200 OK"),
        ({"changes": True, "action": Action.QUERY}, -1.0, "200 OK"),
        ({"writes": True, "action": None}, -1.0, "200 OK"),
    ],
    ids=["a long question", "a short question", "what is to be done", "what is to be written"],
)
def test_a_question_whose_connection_is_trusted_no_more_is_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: dict[str, Any], seconds: float, status: str
) -> None:
    """Given a node that is revoked while its message arrives, what it submits is taken and what it asks is refused."""
    monkeypatch.setattr(soap_server, "_LONG_SECONDS", seconds)
    world = World()
    endpoint = Endpoint(tmp_path, world, **row)
    answer = endpoint.post(1000, **{"xdsi.connected": lambda: False})
    assert endpoint.statuses == [status]
    assert (b"FailedAuthentication" in answer) is (status != "200 OK")
    assert ("decode" in world.steps) is (status == "200 OK")
    assert world.audited


@pytest.mark.parametrize(
    ("connected", "late", "code"),
    [(True, -1, ""), (True, 61, "MessageExpired"), (False, -1, "FailedAuthentication"), (True, 59, "")],
)
def test_what_was_shown_has_to_be_good_at_the_end_too(connected: bool, late: int, code: str) -> None:
    """An assertion is good for as long as the clocks may differ beyond its end."""
    world = World()
    served = actor(world, transaction(world))
    until = served.access.clock() - timedelta(seconds=late)
    caller = Caller(peer=Peer(address="192.0.2.7"), subject=replace(SUBJECT, not_on_or_after=until))
    try:
        require_still(served, transaction(world), caller, Trace(), connected=connected)
        found = ""
    except SecurityFault as fault:
        found = fault.wsse_code
    assert found == code
    assert bool(world.audited) is bool(code)
