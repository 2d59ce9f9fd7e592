"""transport/http_pace: who is silent, crawls or takes nothing holds few threads while others want them."""

from __future__ import annotations

import errno
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import cycle, repeat
from socket import IPPROTO_TCP, TCP_CORK, create_connection, create_server

import pytest

from xdsi.transport.flag import Flag
from xdsi.transport.http_pace import Deadlines, PacedSocket, TooSlow, unsent

DEADLINES = Deadlines(
    idle_seconds=30, grace_seconds=10, minimum_bytes_per_second=1000, brisk_bytes_per_second=100_000, write_seconds=60
)
SILENCE = 0


class Peer:
    """The other end by a clock of its own: (seconds, bytes) one after the other; 0 bytes: nothing in that time."""

    def __init__(self, said: Sequence[tuple[float, int]]) -> None:
        self.now = 0.0
        self.held = 0
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

    def send(self, data: memoryview) -> int:
        return min(len(data), self._next())


def paced(
    peer: Peer, *, slots: int = 0, wanted: bool = False, in_records: bool = False
) -> tuple[PacedSocket, threading.Semaphore]:
    free, flag = threading.Semaphore(slots), Flag()
    flag.up = wanted
    clock = lambda: peer.now  # noqa: E731
    return PacedSocket(
        peer,
        "192.0.2.7",
        DEADLINES,
        slots=free,
        wanted=flag,
        in_records=in_records,
        monotonic=clock,
        unsent=lambda _: peer.held,
    ), free


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
    ways = cycle((lambda: socket.recv(len(buffer)), lambda: socket.recv_into(buffer)))
    judge(ways, given_up, caplog)


def judge(ways: Iterable[Callable[[], object]], given_up: str, caplog: pytest.LogCaptureFixture) -> None:
    """Go on until the peer has nothing more to say, or is given up."""
    raised: list[OSError] = []
    with caplog.at_level(logging.WARNING, "xdsi.http"), suppress(StopIteration):
        try:
            for way in ways:
                way()
        except TooSlow as error:
            raised.append(error)
    assert [given_up in str(one) for one in raised] == [True] * bool(given_up)
    # gunicorn writes a stack trace of what is not the peer's going away.
    assert all(one.errno == errno.ECONNRESET for one in raised)
    assert caplog.messages == [f"192.0.2.7: connection given up: {one}" for one in raised]


FAST = (0.1, 6_000_000)


@pytest.mark.parametrize(
    ("took", "slots", "wanted", "given_up"),
    [
        pytest.param([SECOND] * 59, 1, True, "", id="takes nothing, there is a slot"),
        pytest.param([SECOND] * 60, 1, False, "nothing was taken for 60 s", id="takes nothing for too long"),
        pytest.param([SECOND] * 59, 0, False, "", id="takes nothing, no slot, nobody waits"),
        pytest.param([SECOND], 0, True, "while others wait", id="takes nothing, no slot, others wait"),
        pytest.param([FAST, *[SECOND] * 9, FAST], 0, True, "", id="brisk, and it pauses"),
        pytest.param([FAST, *[SECOND] * 11], 0, True, "while others wait", id="brisk, and it pauses for long"),
        pytest.param([(0.5, 16_384)] * 600, 1, True, "", id="crawls, there is a slot"),
        pytest.param([(0.5, 16_384)] * 600, 0, False, "", id="crawls, no slot, nobody waits"),
        pytest.param([(0.5, 16_384)] * 600, 0, True, "while others wait", id="crawls, no slot, others wait"),
        pytest.param([(1.0, 90)] * 12, 1, False, "990 bytes were taken in 11 s", id="below the least rate"),
        pytest.param([(1.0, 1_000_000)] * 600, 0, True, "", id="hundreds of MB over a slow line"),
    ],
)
def test_a_thread_sends_to_who_is_slow_while_there_is_a_slot_or_nobody_wants_it(
    took: list[tuple[float, int]], slots: int, wanted: bool, given_up: str, caplog: pytest.LogCaptureFixture
) -> None:
    socket, _ = paced(Peer(took), slots=slots, wanted=wanted)
    piece = bytes(6_000_000)
    judge(repeat(lambda: socket.sendall(piece)), given_up, caplog)


@pytest.mark.parametrize(
    ("leaves", "given_up"),
    [(0, "one slow peer too many"), (200_000, "")],
    ids=["the receiver takes nothing", "the receiver takes what it can"],
)
def test_what_the_system_holds_for_a_receiver_is_not_taken(
    leaves: int, given_up: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Held(Peer):
        def send(self, data: memoryview) -> int:
            self.held -= leaves
            size = super().send(data)
            self.held += size
            return size

    socket, _ = paced(Held([(0.1, 4_000_000), *[SECOND] * 15]), slots=0, wanted=True)
    judge(repeat(lambda: socket.sendall(bytes(6_000_000))), given_up, caplog)


def test_the_system_says_what_it_holds_for_a_receiver() -> None:
    with create_server(("127.0.0.1", 0)) as listener, create_connection(listener.getsockname()) as there:
        here, _ = listener.accept()
        with here:
            here.setblocking(False)
            sent = 0
            with suppress(BlockingIOError):
                while True:
                    sent += here.send(bytes(65_536))
            held = unsent(here)
            assert 0 < held < sent
            there.setblocking(True)
            while sent:
                sent -= len(there.recv(sent))
            until = time.monotonic() + 20
            while unsent(here) and time.monotonic() < until:
                time.sleep(0.01)
            assert unsent(here) == 0
    assert unsent(here) == 0


def test_all_is_sent_in_its_order_whatever_is_taken_at_once() -> None:
    taken = bytearray()

    class Keeping(Peer):
        def send(self, data: memoryview) -> int:
            size = super().send(data)
            taken.extend(data[:size])
            return size

    socket, _ = paced(Keeping([(0.1, 3), SECOND, (0.1, 1), SECOND, SECOND, (0.1, 100)]), slots=1)
    socket.sendall(b"0123456789")
    socket.sendall(b"")
    assert taken == b"0123456789"


@pytest.mark.parametrize("in_records", [True, False])
def test_records_leave_together_until_the_request_is_over(in_records: bool) -> None:
    """Given TLS, when an answer of many records is sent, packets leave full; what is left leaves at its end."""
    said: list[int] = []

    class Told(Peer):
        def setsockopt(self, level: int, option: int, value: int) -> None:
            assert (level, option) == (IPPROTO_TCP, TCP_CORK)
            said.append(value)

    socket, _ = paced(Told(repeat((0.01, 16_384))), in_records=in_records)
    socket.sendall(bytes(1000))
    assert said == []
    socket.sendall(bytes(100_000))
    socket.sendall(bytes(100_000))
    assert said == ([1] if in_records else [])
    socket.release()
    socket.restart()
    assert said == ([1, 0] if in_records else [])


def test_the_time_in_which_an_answer_is_made_is_not_the_receivers() -> None:
    peer = Peer([(0.1, 1000)] * 3)
    socket, _ = paced(peer, slots=0, wanted=True)
    for _ in range(3):
        peer.now += 1000
        socket.sendall(bytes(1000))


def test_who_closes_before_the_answer_went_away() -> None:
    class Gone(Peer):
        def send(self, data: memoryview) -> int:
            raise ssl.SSLZeroReturnError("TLS/SSL connection has been closed (EOF)")

    socket, _ = paced(Gone([]))
    with pytest.raises(ConnectionResetError) as caught:
        socket.sendall(b"ok")
    assert caught.value.errno == errno.ECONNRESET


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
