"""Audit records out as FHIR AuditEvents, from the same outbox as syslog: nothing is lost, nobody is hindered (ITI-20).

IHE supplement Add RESTful ATNA, 3.20.4.2: each record is one POST to [base]/AuditEvent. Here the collector says what
it has: a record has arrived when it answered 200 or 201. What it refuses for its content is set aside, told to the
operator and tried again with the longest wait, so that it holds up nothing behind it.
"""

from __future__ import annotations

import http.client
import logging
import random
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from xdsi.domain.audit_records import AuditOutbox, OutboxEntry
from xdsi.domain.errors import MalformedMessage
from xdsi.transport.syslog import ForwarderStatus, Pace
from xdsi.wire.audit_fhir import CONTENT_TYPE

log = logging.getLogger("xdsi.audit")

_BATCH = 100
_SAID = 2000
"""bytes of a refusal that are told"""
_OF_THE_RECORD = frozenset({400, 409, 412, 413, 415, 422})
"""statuses that are about what was sent, not about who sends or when"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirDestination:
    """A FHIR server that takes AuditEvents at [base]/AuditEvent."""

    base_url: str
    """https: records are patients' data"""
    context: ssl.SSLContext


class _Refused(Exception):
    """The collector does not take this record."""


class FhirForwarder:
    """A thread that sends the outbox to one collector, in order; one per database."""

    def __init__(
        self,
        outbox: AuditOutbox,
        destination: FhirDestination,
        encode: Callable[[bytes], bytes],
        *,
        pace: Pace | None = None,
    ) -> None:
        self._outbox = outbox
        self._destination = destination
        self._encode = encode
        self._pace = pace or Pace()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-forwarder", daemon=True)
        self._connection: http.client.HTTPSConnection | None = None
        self._aside: dict[int, float] = {}
        self._arrived = 0
        self._failures = 0
        self._last_error = ""

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wake(self) -> None:
        """There is something new; without this it is found at the next poll."""
        self._wake.set()

    def stop(self, timeout: float = 10) -> None:
        """End; what is not sent stays in the outbox."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def deliver(self, seconds: float) -> int:
        """Send what waits now, within some seconds: for a process that ends. Returns how many arrived."""
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until and self._send_waiting(until):
                pass
        except Exception as error:
            log.warning("audit records wait, they cannot be forwarded: %s: %s", type(error).__name__, error)
        self._close()
        return self._arrived

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
            self._wake.clear()
            try:
                sent = self._send_waiting(None)
            except Exception as error:
                self._failures += 1
                self._last_error = f"{type(error).__name__}: {error}"
                log.warning("audit records cannot be forwarded: %s", self._last_error)
                self._close()
                self._stopping.wait(self._delay())
                continue
            if not sent and not self._stopping.is_set():
                self._wake.wait(self._pace.poll)
        self._close()

    def _send_waiting(self, until: float | None) -> int:
        now = time.monotonic()
        self._aside = {id_: when for id_, when in self._aside.items() if now - when < self._pace.last_retry}
        entries = self._outbox.pending(_BATCH, excluding=self._aside)
        arrived: list[int] = []
        try:
            for entry in entries:
                if self._stopping.is_set() or (until is not None and time.monotonic() > until):
                    break
                if self._send(entry):
                    arrived.append(entry.id)
        finally:
            # What was acknowledged before something broke has arrived all the same.
            if arrived:
                self._outbox.mark_sent(arrived)
                self._arrived += len(arrived)
        self._failures = 0
        return len(entries)

    def _send(self, entry: OutboxEntry) -> bool:
        """Send one record; False where it was set aside, an exception where none could be sent now."""
        try:
            self._post(self._encode(entry.xml))
        except (_Refused, MalformedMessage) as refused:
            log.error("audit record %s is set aside, the collector does not take it: %s", entry.id, refused)
            self._last_error = f"record {entry.id}: {refused}"
            self._aside[entry.id] = time.monotonic()
            self._outbox.mark_failed([entry.id])
            return False
        except Exception:
            self._outbox.mark_failed([entry.id])
            raise
        return True

    def _post(self, body: bytes) -> None:
        parsed = urlsplit(self._destination.base_url)
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                parsed.hostname or "", parsed.port, timeout=self._pace.operation, context=self._destination.context
            )
        path = f"{parsed.path.rstrip('/')}/AuditEvent"
        headers = {"Content-Type": CONTENT_TYPE, "Accept": "application/fhir+json", "Prefer": "return=minimal"}
        self._connection.request("POST", path, body, headers)
        answer = self._connection.getresponse()
        said = answer.read(_SAID)
        if not answer.isclosed():
            self._close()  # a long answer that nobody reads
        if answer.status in (200, 201):
            return
        text = f"{answer.status} {answer.reason}: {said.decode('utf-8', 'replace')!r}"
        if answer.status in _OF_THE_RECORD:
            raise _Refused(text)
        raise ConnectionError(text)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _delay(self) -> float:
        pace = self._pace
        longest = min(pace.last_retry, pace.first_retry * 2.0 ** min(self._failures - 1, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
