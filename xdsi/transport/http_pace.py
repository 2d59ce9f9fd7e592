"""How slowly the other end of an HTTP connection may send and take: who crawls holds few threads, for a while."""

from __future__ import annotations

import errno
import fcntl
import logging
import socket
import ssl
import sys
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from xdsi.transport.flag import Flag

log = logging.getLogger("xdsi.http")

_STEP_SECONDS = 1.0
"""after so long without a byte it is looked whether the thread is needed elsewhere"""
_AFLOAT = 4 * 1024 * 1024
"""the system holds no more bytes for a receiver: who was sent so much more has taken the rest"""
_RECORD = 16 * 1024
"""bytes of the largest record of TLS"""


def unsent(sock: Any) -> int:
    """Bytes that the system holds for the receiver, who has not taken them yet (SIOCOUTQ of Linux)."""
    try:
        held = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return 0
    return int.from_bytes(held, sys.byteorder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long the other end may take: `idle_seconds` between bytes of a request, `write_seconds` until it takes
    more of an answer, and a minimum rate for each once `grace_seconds` have passed.

    `opening_seconds` lead from the connection to the first byte of the first request, TLS handshake included.
    """

    opening_seconds: float = 10.0
    idle_seconds: float = 30.0
    grace_seconds: float = 10.0
    minimum_bytes_per_second: float = 1024.0
    brisk_bytes_per_second: float = 128 * 1024.0
    """who stays below it after half the grace, or pauses, is slow: while others wait for a thread, a quarter of the
    threads takes care of these, no more"""
    write_seconds: float = 60.0

    @property
    def granted(self) -> float:
        """Seconds for which nobody is slow; whoever waits for a thread meanwhile has `opening_seconds`."""
        return self.grace_seconds / 2


class TooSlow(TimeoutError):
    """The other end took too long. To gunicorn it says that the connection is gone, which is worth no stack trace."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.ECONNRESET, reason)

    def __str__(self) -> str:
        return str(self.strerror)


class PacedSocket:
    """Reads and writes, and gives up on who is too slow, or slow while threads are wanted.

    The socket itself waits for `step` seconds, whoever asks for how long: a thread that waits longer holds one of the
    slots for slow peers, or goes on only for as long as nobody else wants it.

    `in_records` says that the socket sends a record at a time (TLS).
    """

    def __init__(
        self,
        sock: Any,
        address: str,
        deadlines: Deadlines,
        *,
        slots: threading.Semaphore,
        wanted: Flag,
        in_records: bool = False,
        connected: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = time.monotonic,
        unsent: Callable[[Any], int] = unsent,
    ) -> None:
        self.step = min(_STEP_SECONDS, deadlines.idle_seconds, deadlines.write_seconds)
        self._sock = sock
        self._address = address
        self._deadlines = deadlines
        self._slots = slots
        self._wanted = wanted
        self.connected = connected
        """whether this connection would be made now; a request may last, and the peer be revoked meanwhile"""
        self._monotonic = monotonic
        self._unsent = unsent
        self._idle = deadlines.idle_seconds
        self._slow = False
        self._in_records = in_records
        self._corked = False
        self.restart()

    def restart(self) -> None:
        """A new request begins."""
        self.release()
        self._began = self._monotonic()
        self._received = 0
        self._sent = 0
        self._sending = 0.0
        self._taken = 0
        self._taken_at = 0.0

    @property
    def is_slow(self) -> bool:
        """The request has taken long up to now."""
        return self._monotonic() - self._began > self._deadlines.granted

    def release(self) -> None:
        """The request is over: what is left of the answer leaves, and another slow peer may take his time."""
        if self._corked:
            self._cork(on=False)
        if self._slow:
            self._slow = False
            self._slots.release()

    def _cork(self, *, on: bool) -> None:
        """While it is on, the system sends full packets; one that is not full within 200 ms."""
        self._corked = on
        with suppress(OSError):
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, int(on))

    def gettimeout(self) -> float:
        """For how long nothing may come."""
        return self._idle

    def settimeout(self, seconds: float) -> None:
        """For how long nothing may come; looked at when nothing came for `step` seconds."""
        self._idle = seconds

    def recv(self, size: int) -> bytes:
        """Like `socket.recv`; raises TooSlow."""
        since = self._monotonic()
        while True:
            try:
                data: bytes = self._sock.recv(size)
            except TimeoutError:
                self._nothing_came(since)
            else:
                self._came(len(data))
                return data

    def recv_into(self, buffer: memoryview) -> int:
        """Like `socket.recv_into`; raises TooSlow."""
        since = self._monotonic()
        while True:
            try:
                size: int = self._sock.recv_into(buffer)
            except TimeoutError:
                self._nothing_came(since)
            else:
                self._came(size)
                return size

    def _nothing_came(self, since: float) -> None:
        now = self._monotonic()
        if now - since >= self._idle:
            raise self._too_slow(f"nothing came for {now - since:.0f} s")
        self._hold(now - since, self._received, now - self._began)

    def _came(self, size: int) -> None:
        self._received += size
        elapsed = self._monotonic() - self._began
        late = elapsed - self._deadlines.grace_seconds
        if late > 0 and self._received < late * self._deadlines.minimum_bytes_per_second:
            raise self._too_slow(f"{self._received} bytes came in {elapsed:.0f} s")
        if elapsed > self._deadlines.granted:
            self._hold(0.0, self._received, elapsed)

    def sendall(self, data: bytes) -> None:
        """Like `socket.sendall`, but for as long as the peer takes some of it; raises TooSlow.

        Only the time in which the peer is waited for counts, not that in which the answer is made.
        """
        if not self._corked and self._in_records and len(data) > _RECORD:
            # TLS hands over one record at a time: several leave together, and wake the receiver once.
            self._cork(on=True)
        limits, send, clock = self._deadlines, self._sock.send, self._monotonic
        view = memoryview(data)
        at, size = 0, len(view)
        since = clock()
        while at < size:
            try:
                taken = send(view[at:])
            except TimeoutError:
                self._weigh(since, self._sending + clock() - since)
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError) as error:
                raise ConnectionResetError(errno.ECONNRESET, "the peer went away") from error
            now = clock()
            at += taken
            self._sent += taken
            self._sending += now - since
            since = now
            if self._sending > limits.granted and self._sent - _AFLOAT < self._sending * limits.brisk_bytes_per_second:
                self._weigh(now, self._sending)

    def _weigh(self, since: float, elapsed: float) -> None:
        """What was taken in the time that the peer was waited for, and for how long now nothing; raises TooSlow.

        A socket takes more only when a third of what the system holds for it has left: that may last on a slow line,
        though the receiver takes what it can.
        """
        limits = self._deadlines
        now = self._monotonic()
        taken = self._sent - self._unsent(self._sock)
        if taken > self._taken:
            self._taken, self._taken_at = taken, now
        pause = now - max(since, self._taken_at)
        if pause >= limits.write_seconds:
            raise self._too_slow(f"nothing was taken for {pause:.0f} s")
        late = elapsed - limits.grace_seconds
        if pause == 0 and late > 0 and taken < late * limits.minimum_bytes_per_second:
            raise self._too_slow(f"{taken} bytes were taken in {elapsed:.0f} s")
        if pause > 0 or elapsed > limits.granted:
            self._hold(pause, taken, elapsed)

    def _hold(self, pause: float, moved: float, elapsed: float) -> None:
        """Keep the thread, also for a slow peer while there is a slot, or nobody wants it; raises TooSlow.

        Who was brisk up to now may pause for the grace: lines of hospitals falter.
        """
        if self._slow:
            return
        limits = self._deadlines
        if moved >= elapsed * limits.brisk_bytes_per_second and pause < limits.grace_seconds:
            return
        self._slow = self._slots.acquire(blocking=False)
        if not self._slow and self._wanted.up:
            raise self._too_slow("one slow peer too many, while others wait for a thread")

    def _too_slow(self, reason: str) -> TooSlow:
        log.warning("%s: connection given up: %s", self._address, reason)
        return TooSlow(reason)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
