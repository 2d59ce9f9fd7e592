"""TLS for servers of pynetdicom: the handshake waits for the association (PS3.15 B.9, ITI-19)."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from typing import Any

from xdsi.domain.subject import Peer
from xdsi.transport import association_sockets as association_sockets
from xdsi.transport.tls import AdmittedSocket

_HANDSHAKE_SECONDS = 10.0


class Accepting:
    """Stands for an SSL context that pynetdicom wraps accepted sockets with: the handshake waits for the association.

    A client that falls silent in its handshake holds its own thread, for seconds, and not the one that accepts.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext], refused: Callable[[Peer, str], None]) -> None:
        self._context = context
        self._refused = refused

    def wrap_socket(self, sock: Any, *, server_side: bool) -> ssl.SSLSocket:
        """A TLS socket whose handshake is still to come."""
        wrapped = self._context().wrap_socket(sock, server_side=server_side, do_handshake_on_connect=False)
        wrapped.__class__ = _LateSocket
        late: Any = wrapped
        late.refused = self._refused
        return wrapped


class _LateSocket(AdmittedSocket):
    """Shakes hands when it is first read, and reports those that fail."""

    refused: Callable[[Peer, str], None] | None = None

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Bytes of the peer, after the handshake."""
        report = self.refused
        if report is not None:
            self.refused = None
            waiting = self.gettimeout()
            address = str(self.getpeername()[0])
            try:
                self.settimeout(_HANDSHAKE_SECONDS)
                self.do_handshake()
                self.settimeout(waiting)
            except (OSError, ValueError) as error:
                reason = str(error)
                threading.Thread(target=report, args=(Peer(address=address), reason), daemon=True).start()
                self.close()
                raise
        return super().recv(buflen, flags)
