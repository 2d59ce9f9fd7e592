"""transport/large_questions: few large questions are answered at once, and none is kept for long."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.servers import envelope
from tests.test_exchange import World, actor, transaction
from xdsi.domain.computing import OneComputes
from xdsi.domain.consent import Action
from xdsi.domain.subject import Peer
from xdsi.exchange import Transaction
from xdsi.storage.spool import SpoolFolder
from xdsi.transport.large_questions import LARGE, Turns
from xdsi.transport.soap_server import SoapEndpoint

DEADLINE = 20.0


def test_a_large_question_waits_until_another_one_has_been_answered() -> None:
    turns, begun = Turns(at_once=1, patience=DEADLINE), threading.Event()

    def ask() -> None:
        with turns.one(LARGE):
            begun.set()

    with turns.one(LARGE):
        second = threading.Thread(target=ask)
        second.start()
        second.join(0.05)
        assert not begun.is_set()
    second.join(DEADLINE)
    assert begun.is_set()


def test_a_small_question_does_not_wait() -> None:
    turns = Turns(at_once=1, patience=DEADLINE)
    began = []
    with turns.one(LARGE), turns.one(LARGE - 1):
        began.append("small")
    assert began == ["small"]


def test_a_turn_is_given_back_whatever_happens() -> None:
    turns = Turns(at_once=1, patience=DEADLINE)
    for _ in range(3):
        try:
            with turns.one(LARGE):
                raise ValueError
        except ValueError:
            continue


def test_who_has_waited_long_goes_on_and_takes_no_turn_from_others() -> None:
    turns = Turns(at_once=1, patience=0.01)
    with turns.one(LARGE):
        for _ in range(3):
            with turns.one(LARGE):
                pass
    assert turns._free.acquire(blocking=False)
    assert not turns._free.acquire(blocking=False), "given back once, by the one that had it"


# -- through the endpoint


class Watched(threading.Semaphore):
    """Tells that somebody asks for a turn."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked = threading.Event()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        self.asked.set()
        return super().acquire(blocking, timeout)


class Endpoint:
    """A SOAP endpoint of one transaction, with one turn."""

    def __init__(self, folder: Path, world: World, one_computes: OneComputes | None = None, **row: Any) -> None:
        self.row: Transaction[Any, Any] = transaction(world, assertion_required=False, **row)
        spool = SpoolFolder(folder)
        self._soap = SoapEndpoint(
            actor(world, self.row, nodes_required=False),
            make_spool=spool.open,
            peer_of=lambda environ: Peer(address="192.0.2.7"),
            one_computes=one_computes,
        )
        self.free = Watched()
        self._soap._turns = Turns(patience=DEADLINE)
        self._soap._turns._free = self.free
        self.statuses: list[str] = []

    def post(self, size: int, **environment: Any) -> bytes:
        """Send a message of this size, and take the answer."""
        bare = len(envelope(self.row.trigger, b"<x></x>"))
        raw = envelope(self.row.trigger, b"<x>" + b"a" * (size - bare) + b"</x>")
        assert len(raw) == size
        environ = {
            "REQUEST_METHOD": "POST", "PATH_INFO": "/services/actor", "SERVER_NAME": "x", "SERVER_PORT": "1",
            "wsgi.url_scheme": "http", "CONTENT_TYPE": "application/soap+xml", "CONTENT_LENGTH": str(size),
            "wsgi.input": io.BytesIO(raw), **environment,
        }  # fmt: skip
        answer = b"".join(self._soap(environ, lambda status, headers, *rest: self.statuses.append(status)))
        assert answer
        return answer


def test_a_large_question_is_not_even_decoded_before_its_turn(tmp_path: Path) -> None:
    world = World()
    endpoint = Endpoint(tmp_path, world)
    assert endpoint.free.acquire()
    endpoint.free.asked.clear()
    asking = threading.Thread(target=endpoint.post, args=(LARGE,))
    asking.start()
    try:
        assert endpoint.free.asked.wait(DEADLINE)
        assert (world.steps, endpoint.statuses) == ([], [])
    finally:
        endpoint.free.release()
        asking.join(DEADLINE)
    assert (world.steps[0], endpoint.statuses) == ("decode", ["200 OK"])
    assert endpoint.free.acquire(blocking=False), "given back"


@pytest.mark.parametrize(
    ("size", "row"),
    [(LARGE - 1, {}), (LARGE, {"writes": True, "action": None}), (LARGE, {"changes": True, "action": Action.QUERY})],
    ids=["small", "writes", "changes"],
)
def test_who_asks_little_or_changes_something_needs_no_turn(tmp_path: Path, size: int, row: dict[str, Any]) -> None:
    endpoint = Endpoint(tmp_path, World(), **row)
    endpoint.post(size)
    assert endpoint.statuses == ["200 OK"]
    assert not endpoint.free.asked.is_set()
