"""How slowly the other end of an HTTP connection may send: silence and crawling hold few threads, and not for long."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xdsi.transport.flag import Flag

log = logging.getLogger("xdsi.http")

_STEP_SECONDS = 1.0
"""after so long without a byte it is looked whether the thread is needed elsewhere"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a sender may take: `idle_seconds` between bytes, and a minimum rate once `grace_seconds` have passed.

    `opening_seconds` lead from the connection to the first byte of the first request, TLS handshake included.
    """

    opening_seconds: float = 10.0
    idle_seconds: float = 30.0
    grace_seconds: float = 10.0
    minimum_bytes_per_second: float = 1024.0
    brisk_bytes_per_second: float = 128 * 1024.0
    """who stays below it after the grace, or pauses, is slow: while others wait for a thread, of these a quarter of the
    threads takes care, no more"""
    write_seconds: float = 60.0


class TooSlow(TimeoutError):
    """The other end took too long. To gunicorn it says that the connection is gone, which is worth no stack trace."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.ECONNRESET, reason)

    def __str__(self) -> str:
        return str(self.strerror)


class PacedSocket:
    """Reads from a socket, and gives up on who is too slow, or slow while threads are wanted.

    The socket itself waits for `step` seconds, whoever asks for how long: a thread that waits longer holds one of the
    slots for slow peers, or goes on only for as long as nobody else wants it.
    """

    def __init__(
        self,
        sock: Any,
        address: str,
        deadlines: Deadlines,
        *,
        slots: threading.Semaphore,
        wanted: Flag,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.step = min(_STEP_SECONDS, deadlines.idle_seconds)
        self._sock = sock
        self._address = address
        self._deadlines = deadlines
        self._slots = slots
        self._wanted = wanted
        self._monotonic = monotonic
        self._idle = deadlines.idle_seconds
        self._slow = False
        self.restart()

    def restart(self) -> None:
        """A new request begins."""
        self.release()
        self._began = self._monotonic()
        self._received = 0

    def release(self) -> None:
        """The request is over: another slow peer may take its time."""
        if self._slow:
            self._slow = False
            self._slots.release()

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
        if late > 0:
            if self._received < late * self._deadlines.minimum_bytes_per_second:
                raise self._too_slow(f"{self._received} bytes came in {elapsed:.0f} s")
            self._hold(0.0, self._received, elapsed)

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
            raise self._too_slow(f"{moved:.0f} bytes in {elapsed:.0f} s, while others wait, is one slow peer too many")

    def _too_slow(self, reason: str) -> TooSlow:
        log.warning("%s: connection given up: %s", self._address, reason)
        return TooSlow(reason)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
