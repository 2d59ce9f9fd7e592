"""MLLP over TCP and TLS: the server that takes HL7 v2 messages in and answers them, and the client that sends one.

ITI TF-2: C.2.1, 3.19.6.
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
from typing import cast

from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.subject import Peer
from xdsi.transport.tls import fingerprint, still_admits, subject_of
from xdsi.wire import mllp

log = logging.getLogger("xdsi.mllp")

Handler = Callable[[bytes, Peer], bytes]
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one peer may use up; times in seconds."""

    message_bytes: int = mllp.LIMIT
    connections: int = 64
    idle: float = 600.0
    """between two messages"""
    message: float = 30.0
    """from the first byte of a message to its last, and to send its answer"""
    handshake: float = 10.0


class MllpServer:
    """Listens, gives every message to `handler` and sends back what it returns, in order, on the same connection.

    A thread per connection. `ssl_context` may be a callable that gives the context for the next connection.
    `on_refused` hears of peers that did not get in, with the reason. A handler that raises costs its peer the
    connection, nobody else anything.
    """

    def __init__(
        self,
        address: str,
        port: int,
        handler: Handler,
        ssl_context: ssl.SSLContext | Callable[[], ssl.SSLContext] | None = None,
        *,
        limits: Limits | None = None,
        on_refused: Callable[[Peer, str], None] | None = None,
    ) -> None:
        self._address = (address, port)
        self._handler = handler
        self._ssl_context = ssl_context
        self._limits = limits or Limits()
        self._on_refused = on_refused
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        """The port it listens on, also when 0 was asked for."""
        if self._listener is None:
            raise RuntimeError("the MLLP server is not running")
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Begin to listen; returns when connections are taken."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        self._stopping.clear()
        self._listener = socket.create_server(self._address, family=family, backlog=128)
        self._acceptor = threading.Thread(target=self._accept, name="mllp-accept", daemon=True)
        self._acceptor.start()

    def stop(self, grace: float = 10.0) -> None:
        """Take no more messages, let those being handled get their answers, then close everything."""
        self._stopping.set()
        if self._listener is None:
            return
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._acceptor is not None:
            self._acceptor.join(grace)
        with self._lock:
            connections = dict(self._connections)
        for connection in connections.values():
            # Reading ends, an answer can still be written. SSLSocket.shutdown would take the TLS state away.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RD)
        deadline = time.monotonic() + grace
        for thread, connection in connections.items():
            thread.join(max(deadline - time.monotonic(), 0.0))
            if thread.is_alive():
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self._listener = None

    def __enter__(self) -> MllpServer:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _accept(self) -> None:
        listener = self._listener
        while listener is not None and not self._stopping.is_set():
            try:
                connection, address = listener.accept()
            except OSError as error:
                if self._stopping.is_set():
                    return
                # Out of file descriptors, or the peer gave up: neither ends the service.
                log.warning("accept failed: %s", error)
                time.sleep(0.1)
                continue
            peer = Peer(address=str(address[0]))
            thread = threading.Thread(
                target=self._serve, args=(connection, peer), name=f"mllp-{peer.address}", daemon=True
            )
            with self._lock:
                full = len(self._connections) >= self._limits.connections
                if not full:
                    self._connections[thread] = connection
            if full:
                connection.close()
                self._refused(peer, f"more than {self._limits.connections} connections")
            else:
                thread.start()

    def _serve(self, connection: socket.socket, peer: Peer) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._ssl_context is not None:
                secured = self._wrap(connection)
                peer = self._handshake(secured, peer)
                connection = secured
            self._converse(connection, peer)
        except _NotAdmitted as refusal:
            self._refused(peer, str(refusal))
        except MalformedMessage as error:
            log.warning("%s: connection closed: %s", peer.address, error)
        except TimeoutError:
            log.warning("%s: connection closed: too slow", peer.address)
        except OSError as error:
            log.info("%s: connection lost: %s", peer.address, error)
        except Exception:
            log.exception("%s: connection closed: the message could not be handled", peer.address)
        finally:
            with self._lock:
                current = self._connections.pop(threading.current_thread())
            with contextlib.suppress(OSError):
                current.close()

    def _wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        given = self._ssl_context
        context = given() if callable(given) else given
        if context is None:
            raise _NotAdmitted("no TLS context")
        connection.settimeout(self._limits.handshake)
        secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._connections[threading.current_thread()] = secured
        return secured

    def _still_admits(self, connection: socket.socket) -> bool:
        given = self._ssl_context
        context = given() if callable(given) else given
        if context is None or not isinstance(connection, ssl.SSLSocket):
            return True
        return still_admits(context, connection)

    def _handshake(self, secured: ssl.SSLSocket, peer: Peer) -> Peer:
        """Runs in the peer's own thread, so that a slow one delays nobody else."""
        try:
            secured.do_handshake()
        except ssl.SSLCertVerificationError as error:
            raise _NotAdmitted(f"TLS: {error}") from error
        except ssl.SSLError as error:
            raise _NotAdmitted(f"TLS: {error.reason or error}") from error
        except OSError as error:
            raise _NotAdmitted(f"TLS handshake: {error}") from error
        certificate = secured.getpeercert(binary_form=True)
        return Peer(
            address=peer.address,
            certificate_sha256=fingerprint(certificate) if certificate else "",
            certificate_subject=subject_of(cast("dict[str, object] | None", secured.getpeercert())),
        )

    def _converse(self, connection: socket.socket, peer: Peer) -> None:
        deframer = mllp.Deframer(self._limits.message_bytes)
        deadline = time.monotonic() + self._limits.idle
        while not self._stopping.is_set():
            was_inside = deframer.inside
            chunk = _receive(connection, deadline)
            if not chunk:
                if was_inside:
                    log.warning("%s: connection ended inside a message", peer.address)
                return
            answered = False
            for message in deframer.feed(chunk):
                if not self._still_admits(connection):
                    log.info("%s: connection closed: who was let in has to come again", peer.address)
                    return
                answer = self._handler(message, peer)
                connection.settimeout(self._limits.message)
                connection.sendall(mllp.frame(answer))
                answered = True
            if answered or (deframer.inside and not was_inside):
                wait = self._limits.message if deframer.inside else self._limits.idle
                deadline = time.monotonic() + wait

    def _refused(self, peer: Peer, reason: str) -> None:
        log.warning("%s: refused: %s", peer.address, reason)
        if self._on_refused is not None:
            try:
                self._on_refused(peer, reason)
            except Exception:
                log.exception("%s: the refusal could not be reported", peer.address)


class _NotAdmitted(Exception):
    """The peer failed the handshake."""


def send(
    address: str,
    port: int,
    message: bytes,
    ssl_context: ssl.SSLContext | None = None,
    *,
    timeout: float = 30.0,
    server_hostname: str | None = None,
) -> bytes:
    """Send one message and return the answer.

    Raises Unavailable when the peer cannot be reached, refuses us or takes longer than `timeout` seconds altogether;
    MalformedMessage when what comes back is not one MLLP block.
    """
    deadline = time.monotonic() + timeout
    try:
        with contextlib.ExitStack() as stack:
            connection: socket.socket = stack.enter_context(socket.create_connection((address, port), timeout))
            if ssl_context is not None:
                connection.settimeout(_left(deadline))
                connection = stack.enter_context(
                    ssl_context.wrap_socket(connection, server_hostname=server_hostname or address)
                )
            connection.settimeout(_left(deadline))
            connection.sendall(mllp.frame(message))
            deframer = mllp.Deframer()
            while True:
                chunk = _receive(connection, deadline)
                if not chunk:
                    raise Unavailable(f"{address}:{port} closed the connection without an answer")
                for answer in deframer.feed(chunk):
                    return answer
    except OSError as error:
        raise Unavailable(f"{address}:{port}: {error}") from error


def _receive(connection: socket.socket, deadline: float) -> bytes:
    connection.settimeout(_left(deadline))
    try:
        return connection.recv(_CHUNK)
    except ssl.SSLEOFError:
        return b""


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("too slow")
    return left
