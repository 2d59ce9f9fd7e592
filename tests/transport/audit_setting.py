"""Certificates, an outbox in memory and a store in memory: both ends of audit forwarding."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from xdsi.domain.audit_records import OutboxEntry
from xdsi.domain.subject import Peer
from xdsi.transport import pki
from xdsi.transport.syslog import Destination, Pace
from xdsi.transport.tls import TlsFiles, client_context, server_context

QUICK = Pace(settle=0.05, first_retry=0.01, last_retry=0.05, poll=0.005, operation=10)


class Pki:
    """Two authorities: one for the nodes, one for a stranger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority = pki.create_authority(folder)
        self.hub = pki.issue_node(authority, folder, "hub")
        pki.issue_node(authority, folder, "hospital-a")
        strangers = pki.create_authority(folder, "stranger-ca")
        pki.issue_node(strangers, folder, "stranger")

    def _files(self, name: str, ca: str) -> TlsFiles:
        folder = self.folder
        return TlsFiles(certificate=folder / f"{name}.pem", key=folder / f"{name}.key", peer_ca=folder / f"{ca}.pem")

    def server(self, name: str = "hub", ca: str = "ca") -> ssl.SSLContext:
        return server_context(self._files(name, ca))

    def client(self, name: str = "hospital-a", ca: str = "ca") -> ssl.SSLContext:
        return client_context(self._files(name, ca))

    def nameless(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


class MemoryOutbox:
    """The port in memory; says what became of each record."""

    def __init__(self, records: int = 0) -> None:
        self._lock = threading.Lock()
        self.waiting: dict[int, bytes] = {}
        self.sent: list[int] = []
        self.failed: list[int] = []
        self.broken = False
        for _ in range(records):
            self.add()

    def add(self) -> int:
        with self._lock:
            number = len(self.waiting) + len(self.sent) + 1
            self.waiting[number] = b"<AuditMessage n='%d'/>" % number
            return number

    def pending(self, limit: int, *, excluding: Collection[int] = ()) -> list[OutboxEntry]:
        if self.broken:
            raise ConnectionError("database away")
        with self._lock:
            chosen = [number for number in sorted(self.waiting) if number not in excluding][:limit]
            return [OutboxEntry(number, datetime.now(UTC), self.waiting[number]) for number in chosen]

    def mark_sent(self, ids: Collection[int]) -> None:
        with self._lock:
            for number in sorted(ids):
                del self.waiting[number]
                self.sent.append(number)

    def mark_failed(self, ids: Collection[int]) -> None:
        self.failed += sorted(ids)


@dataclass
class MemoryStore:
    """What a collector was given; breaks at the record with the number `breaks_at`, once."""

    breaks_at: int = -1
    messages: list[bytes] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    refusals: list[tuple[Peer, str]] = field(default_factory=list)

    def store(self, message: bytes, peer: Peer) -> None:
        if len(self.messages) == self.breaks_at:
            self.breaks_at = -1
            raise OSError("disk full")
        self.messages.append(message)
        self.peers.append(peer)

    def refused(self, peer: Peer, reason: str) -> None:
        self.refusals.append((peer, reason))

    @property
    def distinct(self) -> list[bytes]:
        return list(dict.fromkeys(self.messages))


def messages(first: int, last: int) -> list[bytes]:
    return [b"<AuditMessage n='%d'/>" % number for number in range(first, last + 1)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def destination(port: int, context: ssl.SSLContext) -> Destination:
    return Destination(host="127.0.0.1", port=port, context=context, hostname="a.example.org", process_id="1")


def until(condition: Callable[[], object]) -> None:
    """Wait for something that other threads bring about."""
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not come about")
