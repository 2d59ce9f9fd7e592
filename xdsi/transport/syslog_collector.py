"""Takes audit records of other nodes over TLS syslog: the receiving end of ITI-20 (RFC 5425, mutual TLS).

Syslog cannot refuse a record: where one cannot be stored the connection is broken, so that the sender sends it again.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from xdsi.domain.errors import MalformedMessage, Refused
from xdsi.domain.subject import Peer
from xdsi.transport.tls import fingerprint, still_admits, subject_of
from xdsi.wire import syslog

log = logging.getLogger("xdsi.audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorLimits:
    """What one sender and all together may take."""

    connections: int = 200
    frame: int = syslog.LIMIT
    """octets of one message"""
    handshake_seconds: float = 10
    frame_seconds: float = 60
    """to send one message whole"""
    idle_seconds: float = 86_400


def _anyone(peer: Peer) -> Peer:
    return peer


def _unheard(peer: Peer, reason: str) -> None:
    log.warning("audit sender %s refused: %s", peer.address, reason)


class Collector:
    """A listening socket with a thread per sender.

    `store` gets the audit message and who sent it, and returns when it is durable. `admit` completes or refuses
    (Refused) a peer whose certificate was verified, for each message anew. `refused` hears of senders that were not let
    in, or that do not speak syslog. `context` may be a function that gives the context of now: who came in by a former
    one, or whose certificate ended, has to come again.
    """

    def __init__(
        self,
        address: str,
        port: int,
        context: ssl.SSLContext | Callable[[], ssl.SSLContext],
        store: Callable[[bytes, Peer], object],
        *,
        admit: Callable[[Peer], Peer] = _anyone,
        refused: Callable[[Peer, str], None] = _unheard,
        limits: CollectorLimits | None = None,
    ) -> None:
        self._context = context
        self._store = store
        self._admit = admit
        self._refused = refused
        self._limits = limits or CollectorLimits()
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._stopping = False
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=128)
        self.port: int = self._listener.getsockname()[1]
        """the port listened on, where 0 was asked for"""
        self._thread = threading.Thread(target=self._accept, name="audit-collector", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._thread.start()

    def stop(self, timeout: float = 10) -> None:
        """Close everything; what a sender had not finished it will send again."""
        with self._lock:
            self._stopping = True
            connections = dict(self._open)
        _shut(self._listener)
        self._listener.close()
        for connection in connections.values():
            _shut(connection)
        deadline = time.monotonic() + timeout
        for thread in (self._thread, *connections):
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self) -> None:
        while True:
            try:
                plain, (host, *_) = self._listener.accept()
            except OSError:
                if self._stopping:
                    return
                # Out of file descriptors, say: it may pass.
                log.exception("no audit sender can be accepted")
                time.sleep(0.5)
                continue
            thread = threading.Thread(target=self._serve, args=(plain, host), name=f"audit-from-{host}", daemon=True)
            with self._lock:
                admitted = not self._stopping and len(self._open) < self._limits.connections
                if admitted:
                    self._open[thread] = plain
            if admitted:
                thread.start()
            else:
                plain.close()
                if not self._stopping:
                    self._refused(Peer(address=host), f"more than {self._limits.connections} connections")

    def _serve(self, plain: socket.socket, host: str) -> None:
        peer = Peer(address=host)
        connection: socket.socket = plain
        try:
            connection = secured = self._now().wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
            with self._lock:
                self._open[threading.current_thread()] = secured
            peer = self._shake_hands(secured, host)
            self._admit(peer)
            self._converse(secured, peer)
        except Refused as error:
            self._refused(peer, error.reason)
        except (ssl.SSLError, MalformedMessage) as error:
            self._refused(peer, str(error))
        except OSError as error:
            if not self._stopping:
                log.info("audit sender %s lost: %s", host, error)
        except Exception:
            log.exception("audit records of %s cannot be stored", host)
        finally:
            connection.close()
            with self._lock:
                self._open.pop(threading.current_thread(), None)

    def _now(self) -> ssl.SSLContext:
        return self._context if isinstance(self._context, ssl.SSLContext) else self._context()

    def _shake_hands(self, connection: ssl.SSLSocket, host: str) -> Peer:
        connection.settimeout(self._limits.handshake_seconds)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        connection.do_handshake()
        der = connection.getpeercert(binary_form=True)
        names: dict[str, object] = {**(connection.getpeercert() or {})}
        return Peer(
            address=host,
            certificate_sha256=fingerprint(der) if der else "",
            certificate_subject=subject_of(names),
        )

    def _converse(self, connection: ssl.SSLSocket, peer: Peer) -> None:
        reader = syslog.FrameReader(self._limits.frame)
        deadline = time.monotonic() + self._limits.idle_seconds
        while True:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            data = connection.recv(65536)
            if not data:
                break
            was_idle = reader.idle
            frames = reader.feed(data)
            for frame in frames:
                if not still_admits(self._now(), connection):
                    log.info("audit sender %s: connection closed: who was let in has to come again", peer.address)
                    return
                self._store(_message(frame, peer), self._admit(peer))
            if reader.idle:
                deadline = time.monotonic() + self._limits.idle_seconds
            elif frames or was_idle:
                deadline = time.monotonic() + self._limits.frame_seconds
        if not reader.idle:
            log.warning("audit sender %s ended within a message", peer.address)
            return
        # Everything is stored: the answer to the sender's close says so.
        connection.settimeout(self._limits.handshake_seconds)
        with contextlib.suppress(OSError, ValueError):
            connection.unwrap()


def _message(frame: bytes, peer: Peer) -> bytes:
    try:
        return syslog.decode(frame).message
    except MalformedMessage as error:
        # Kept as it is: evidence that cannot be read is still evidence.
        log.warning("audit sender %s sent no syslog header: %s", peer.address, error)
        return frame


def _shut(plain: socket.socket) -> None:
    with contextlib.suppress(OSError):
        plain.shutdown(socket.SHUT_RDWR)
