"""How slowly the peer of a pynetdicom association may send and take: silence and crawling end it, like an HTTP answer.

pynetdicom reads a PDU to its end however long that takes, and whoever ends the association waits for that, too. Between
PDUs it waits for whole messages, so that a large image would have to come as quickly as a small answer.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pynetdicom import evt
from pynetdicom.pdu_primitives import A_ABORT, A_P_ABORT, A_RELEASE

SECONDS = 60.0
RATE = 1000.0
_READ = 64 * 1024
_HEADER = 6
_RESPONSE = 0x8000


class Patience:
    """Seconds of silence, and as many for a message or a question beside those that its bytes may take at a rate."""

    def __init__(self, seconds: float, rate: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`rate` in bytes a second, 0 for any."""
        self.seconds = seconds
        self._rate = rate
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """From now on something else is waited for."""
        with self._lock:
            self._heard = self._monotonic()
            self._until = self._heard + self.seconds

    def came(self, count: int) -> None:
        """So many bytes came, or were taken."""
        with self._lock:
            self._heard = self._monotonic()
            if self._rate > 0:
                self._until += count / self._rate

    def end(self) -> None:
        """Nothing is waited for any more."""
        with self._lock:
            self._heard = self._until = float("-inf")

    def left(self) -> float:
        """Seconds until it ends, if nothing comes."""
        with self._lock:
            until = self._heard + self.seconds
            return (min(until, self._until) if self._rate > 0 else until) - self._monotonic()


class _Messages(queue.Queue[Any]):
    """In place of the queue of messages: who waits for one has as much patience as the association."""

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self._patience = patience

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002 - of the library
        """The next message; queue.Empty where it does not come in time, whatever `timeout` is."""
        while block:
            try:
                return super().get(timeout=max(self._patience.left(), 0.0))
            except queue.Empty:
                if self._patience.left() <= 0:
                    raise
        return super().get(block=False)


class _Paced:
    """The socket of one association, read and written with patience."""

    def __init__(self, association: Any, patience: Patience, heard: Callable[[Any, int], None] | None) -> None:
        self._association = association
        self._patience = patience
        self._heard = heard
        self._connection = association.dul.socket
        self._send = self._connection.send
        self._busy = False

    def install(self) -> None:
        """Before anything was received."""
        self._connection.recv, self._connection.send = self.recv, self.send
        self._connection.socket.settimeout(self._patience.seconds)
        self._patience.begin()
        if self._association.is_requestor:
            self._association.dimse.msg_queue = _Messages(self._patience)
        self._association.bind(evt.EVT_DIMSE_SENT, self._asked)
        self._association.bind(evt.EVT_ACSE_SENT, self._ends)
        self._association.bind(evt.EVT_CONN_CLOSE, self._closed)

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes, fewer where the connection was closed; TimeoutError where they do not come in time."""
        connection = self._connection.socket
        if connection is None:
            raise OSError("it is closed")
        # Who is asked waits for messages that have begun; who asks, for the whole answer.
        if self._association.is_acceptor and nr_bytes == _HEADER and self._association.dimse.message is None:
            self._patience.begin()
        read = bytearray()
        self._busy = True
        try:
            while len(read) < nr_bytes:
                left = self._patience.left()
                if left <= 0:
                    raise TimeoutError("it comes too slowly")
                connection.settimeout(left)
                some = connection.recv(min(nr_bytes - len(read), _READ))
                if not some:
                    break
                read += some
                self._patience.came(len(some))
                if self._heard is not None:
                    self._heard(self._association, len(some))
            return read
        finally:
            self._busy = False
            with suppress(OSError):
                connection.settimeout(self._patience.seconds)

    def send(self, bytestream: bytes) -> None:
        """Send, each piece within the seconds of silence."""
        self._busy = True
        try:
            self._send(bytestream)
            self._patience.came(len(bytestream))
        finally:
            self._busy = False

    def _asked(self, event: Any) -> None:
        if not int(event.message.command_set.CommandField) & _RESPONSE:
            self._patience.begin()

    def _ends(self, event: Any) -> None:
        if isinstance(event.primitive, A_RELEASE):
            self._patience.begin()
        elif isinstance(event.primitive, A_ABORT | A_P_ABORT):
            self._patience.end()
            if self._busy and (connection := self._connection.socket) is not None:
                # Not by the method of a TLS socket, which would go on in the clear.
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def _closed(self, event: Any) -> None:
        """What came of a message that did not end goes: the library would leave it lying."""
        message = self._association.dimse.message
        file, path = getattr(message, "_data_set_file", None), getattr(message, "_data_set_path", None)
        if file is not None:
            file.close()
        if path is not None:
            Path(path).unlink(missing_ok=True)


def paced(patience: Patience) -> tuple[Any, Callable[[Any], None]]:
    """A handler for one association that we ask for, which has this patience for its answers."""

    def opened(event: Any) -> None:
        _Paced(event.assoc, patience, None).install()

    return evt.EVT_CONN_OPEN, opened


def each_paced(
    seconds: float = SECONDS, rate: float = RATE, heard: Callable[[Any, int], None] | None = None
) -> tuple[Any, Callable[[Any], None]]:
    """A handler for all associations of a server; `heard` is told of the bytes of each as they come."""

    def opened(event: Any) -> None:
        _Paced(event.assoc, Patience(seconds, rate), heard).install()

    return evt.EVT_CONN_OPEN, opened
