"""transport/http_pace: who is silent or crawls holds few threads, and those only while nobody else wants them."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import cycle

import pytest

from xdsi.transport.flag import Flag
from xdsi.transport.http_pace import Deadlines, PacedSocket, TooSlow

DEADLINES = Deadlines(
    idle_seconds=30, grace_seconds=10, minimum_bytes_per_second=1000, brisk_bytes_per_second=100_000, write_seconds=60
)
SILENCE = 0


class Peer:
    """The other end by a clock of its own: (seconds, bytes) one after the other; 0 bytes: nothing in that time."""

    def __init__(self, said: Sequence[tuple[float, int]]) -> None:
        self.now = 0.0
        self._said: Iterator[tuple[float, int]] = iter(said)

    def _next(self) -> int:
        seconds, size = next(self._said)
        self.now += seconds
        if size == SILENCE:
            raise TimeoutError("timed out")
        return size

    def recv(self, size: int) -> bytes:
        return bytes(min(size, self._next()))

    def recv_into(self, buffer: memoryview) -> int:
        return min(len(buffer), self._next())


def paced(peer: Peer, *, slots: int = 0, wanted: bool = False) -> tuple[PacedSocket, threading.Semaphore]:
    free, flag = threading.Semaphore(slots), Flag()
    flag.up = wanted
    clock = lambda: peer.now  # noqa: E731
    return PacedSocket(peer, "192.0.2.7", DEADLINES, slots=free, wanted=flag, monotonic=clock), free


ONE, MANY = (0.1, 1), (0.1, 5_000_000)
SECOND = (1.0, SILENCE)
TRICKLE = [(1.0, 2000)] * 12


@pytest.mark.parametrize(
    ("said", "slots", "wanted", "given_up"),
    [
        pytest.param([ONE, *[SECOND] * 9, ONE], 1, True, "", id="silent, there is a slot"),
        pytest.param([ONE, *[SECOND] * 31], 1, False, "nothing came for 30 s", id="silent for too long"),
        pytest.param([ONE, *[SECOND] * 9, ONE], 0, False, "", id="silent, no slot, nobody waits"),
        pytest.param([ONE, SECOND], 0, True, "while others wait", id="silent, no slot, others wait"),
        pytest.param([MANY, *[SECOND] * 9, MANY], 0, True, "", id="brisk, and it pauses"),
        pytest.param([MANY, *[SECOND] * 10], 0, True, "while others wait", id="brisk, and it pauses for long"),
        pytest.param(TRICKLE, 1, True, "", id="crawls, there is a slot"),
        pytest.param(TRICKLE, 0, False, "", id="crawls, no slot, nobody waits"),
        pytest.param(TRICKLE, 0, True, "while others wait", id="crawls, no slot, others wait"),
        pytest.param([(1.0, 10)] * 12, 1, False, "110 bytes came in 11 s", id="below the least rate"),
        pytest.param([(1.0, 200_000)] * 60, 0, True, "", id="brisk for long"),
    ],
)
def test_a_thread_reads_from_who_is_slow_while_there_is_a_slot_or_nobody_wants_it(
    said: list[tuple[float, int]], slots: int, wanted: bool, given_up: str, caplog: pytest.LogCaptureFixture
) -> None:
    socket, _ = paced(Peer(said), slots=slots, wanted=wanted)
    buffer = memoryview(bytearray(5_000_000))
    raised: list[OSError] = []
    with caplog.at_level(logging.WARNING, "xdsi.http"), suppress(StopIteration):
        try:
            for way in cycle((lambda: socket.recv(len(buffer)), lambda: socket.recv_into(buffer))):
                way()
        except TooSlow as error:
            raised.append(error)
    assert [given_up in str(one) for one in raised] == [True] * bool(given_up)
    # gunicorn writes a stack trace of what is not the peer's going away.
    assert all(one.errno == errno.ECONNRESET for one in raised)
    assert caplog.messages == [f"192.0.2.7: connection given up: {one}" for one in raised]


def test_a_slot_is_held_until_the_request_is_over() -> None:
    socket, free = paced(Peer([SECOND, ONE, SECOND, ONE]), slots=1)
    socket.recv(1)
    assert not free.acquire(blocking=False)
    socket.restart()
    assert free.acquire(blocking=False)
    free.release()
    socket.recv(1)
    socket.release()
    socket.release()
    assert (free.acquire(blocking=False), free.acquire(blocking=False)) == (True, False)


def test_who_drains_a_body_says_for_how_long_nothing_may_come() -> None:
    socket, _ = paced(Peer([ONE, *[SECOND] * 6]), slots=1)
    before = socket.gettimeout()
    socket.settimeout(5.0)
    socket.recv(1)
    with pytest.raises(TimeoutError, match="nothing came for 5 s"):
        socket.recv(1)
    socket.settimeout(before)
    assert socket.gettimeout() == DEADLINES.idle_seconds
