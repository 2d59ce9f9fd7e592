"""Audit records out over TLS syslog, spooled: a forwarder that loses nothing and hinders nobody (ITI-20).

RFC 5425; ITI TF-2 3.20.4.1. Syslog has no acknowledgement: what was written to a connection counts as arrived only
when the peer's TCP has it and the connection then stayed whole for some seconds, or when both sides closed it in good
order; else it is sent again.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import logging
import random
import select
import socket
import ssl
import termios
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from xdsi.domain.audit_records import AuditOutbox, OutboxEntry
from xdsi.wire import syslog

log = logging.getLogger("xdsi.audit")

_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """An audit repository, and how this node names itself there."""

    host: str
    port: int
    context: ssl.SSLContext
    hostname: str
    app_name: str = "xdsi"
    process_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds: how long a connection must stay whole, between attempts, and for one network operation."""

    settle: float = 10
    first_retry: float = 1
    last_retry: float = 300
    poll: float = 1
    operation: float = 15
    in_flight: int = 5000
    """most records sent and not yet taken as arrived"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwarderStatus:
    """For health checks."""

    connected: bool
    arrived: int
    """records since the start"""
    failures: int
    """broken or refused connections in a row"""
    last_error: str = ""


class _Broken(Exception):
    """The connection can no longer be used."""


class Forwarder:
    """A thread that sends the outbox to one destination, in order; one per destination and database."""

    def __init__(self, outbox: AuditOutbox, destination: Destination, *, pace: Pace | None = None) -> None:
        self._outbox = outbox
        self._destination = destination
        self._pace = pace or Pace()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-forwarder", daemon=True)
        self._in_flight: dict[int, float] = {}
        self._connection: ssl.SSLSocket | None = None
        self._arrived = 0
        self._failures = 0
        self._last_error = ""

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def deliver(self, seconds: float) -> int:
        """Send what waits now, within some seconds, and close: for a process that ends. Returns how many arrived."""
        until = time.monotonic() + seconds
        try:
            self._connection = self._connect()
            while time.monotonic() < until and self._send_waiting(self._connection):
                pass
        except Exception as error:
            log.warning("audit records wait, they cannot be forwarded: %s: %s", type(error).__name__, error)
            self._give_up()
        self._finish()
        return self._arrived

    def wake(self) -> None:
        """There is something new; without this it is found at the next poll."""
        self._wake.set()

    def stop(self, timeout: float = 10) -> None:
        """Close the connection in good order and end; what is not sent stays in the outbox."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def status(self) -> ForwarderStatus:
        """How it is going."""
        return ForwarderStatus(
            connected=self._connection is not None,
            arrived=self._arrived,
            failures=self._failures,
            last_error=self._last_error,
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._converse()
            except Exception as error:
                self._failures += 1
                self._last_error = f"{type(error).__name__}: {error}"
                log.warning("audit records cannot be forwarded: %s", self._last_error)
                self._give_up()
                self._stopping.wait(self._delay())
        self._finish()

    def _converse(self) -> None:
        """Connect, and send until something breaks or all shall end."""
        connection = self._connect()
        self._connection = connection
        while not self._stopping.is_set():
            self._wake.clear()
            _check(connection)
            if not _unacknowledged(connection):
                self._settle()
            if not self._send_waiting(connection):
                self._pause(self._pace.poll)

    def _connect(self) -> ssl.SSLSocket:
        destination = self._destination
        plain = socket.create_connection((destination.host, destination.port), self._pace.operation)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._pace.operation * 1000))
            return destination.context.wrap_socket(plain, server_hostname=destination.host)
        except BaseException:
            plain.close()
            raise

    def _send_waiting(self, connection: ssl.SSLSocket) -> int:
        room = self._pace.in_flight - len(self._in_flight)
        if room <= 0:
            return 0
        entries = self._outbox.pending(min(_BATCH, room), excluding=self._in_flight)
        for entry in entries:
            if self._stopping.is_set():
                break
            _check(connection)
            connection.sendall(self._framed(entry))
            self._in_flight[entry.id] = time.monotonic()
        return len(entries)

    def _framed(self, entry: OutboxEntry) -> bytes:
        destination = self._destination
        return syslog.frame(
            syslog.SyslogMessage(
                message=entry.xml,
                time=datetime.now(UTC),
                hostname=destination.hostname,
                app_name=destination.app_name,
                process_id=destination.process_id,
            )
        )

    def _settle(self) -> None:
        settled_before = time.monotonic() - self._pace.settle
        settled = [number for number, sent_at in self._in_flight.items() if sent_at <= settled_before]
        if settled:
            self._arrive(settled)
            # Only now: a peer that takes the handshake and then refuses must not be called without pause.
            self._failures = 0

    def _arrive(self, numbers: Iterable[int]) -> None:
        ids = list(numbers)
        self._outbox.mark_sent(ids)
        for number in ids:
            self._in_flight.pop(number, None)
        self._arrived += len(ids)

    def _give_up(self) -> None:
        self._close()
        lost, self._in_flight = list(self._in_flight), {}
        if lost:
            try:
                self._outbox.mark_failed(lost)
            except Exception as error:
                log.warning("attempts could not be counted: %s", error)

    def _finish(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            # close_notify of the peer says that it read everything before ours.
            connection.settimeout(self._pace.operation)
            connection.unwrap()
            if self._in_flight:
                self._arrive(list(self._in_flight))
        except (OSError, ValueError) as error:
            log.info("connection to the audit repository not closed in good order: %s", error)
        except Exception as error:
            log.warning("forwarded records could not be marked: %s", error)
        finally:
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def _delay(self) -> float:
        pace = self._pace
        longest = min(pace.last_retry, pace.first_retry * 2.0 ** min(self._failures - 1, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

    def _pause(self, seconds: float) -> None:
        if not self._stopping.is_set():
            self._wake.wait(seconds)


def _check(connection: ssl.SSLSocket) -> None:
    """Raise _Broken when the peer has closed; a syslog receiver has nothing else to say."""
    readable = select.poll()
    readable.register(connection, select.POLLIN)
    if not connection.pending() and not readable.poll(0):
        return
    timeout = connection.gettimeout()
    connection.settimeout(0)
    try:
        if not connection.recv(1024):
            raise _Broken("closed by the audit repository")
    except ssl.SSLWantReadError:
        # Session tickets of TLS 1.3 are read by the way.
        return
    finally:
        connection.settimeout(timeout)


def _unacknowledged(connection: ssl.SSLSocket) -> int:
    """Octets that the peer's TCP has not confirmed."""
    octets = array.array("i", [0])
    fcntl.ioctl(connection, termios.TIOCOUTQ, octets)
    return octets[0]
