"""A server that answers whatever a test wants, byte by byte, and keeps what it was sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[socket.socket, threading.Event], None]
"""writes to the connection until it is done, or the event says that the test is over"""


class Hostile:
    """Listens on a free port, and answers every message by `answer`."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        self.answer, self.context = answer, context
        self.heard: list[bytes] = []
        self.over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port: int = self._listening.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self.over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # Who was answered badly goes away, and that is no error of this server's.
        with contextlib.suppress(OSError, ValueError), connection:
            connection.settimeout(10)
            if self.context is None:
                self._answer(connection)
                return
            with self.context.wrap_socket(connection, server_side=True) as secured:
                self._answer(secured)

    def _answer(self, connection: socket.socket) -> None:
        self.heard.append(_message(connection))
        self.answer(connection, self.over)

    def close(self) -> None:
        """Stop, and wait for everybody."""
        self.over.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in (self._accepting, *self._threads):
            thread.join()


def _message(connection: socket.socket) -> bytes:
    """A request, to the end of its body."""
    with connection.makefile("rb") as stream:
        head = b""
        while (line := stream.readline()) not in (b"\r\n", b""):
            head += line
        named = {
            name.strip().lower(): value.strip()
            for name, _, value in (one.partition(b":") for one in head.split(b"\r\n"))
        }
        return head + b"\r\n" + stream.read(int(named.get(b"content-length", b"0")))


@contextmanager
def answering(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[Hostile]:
    """Such a server, for as long as the block lasts."""
    server = Hostile(answer, context)
    try:
        yield server
    finally:
        server.close()


def saying(*pieces: bytes) -> Answer:
    """These bytes, and then the end of the connection."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return answer


def endlessly(head: bytes, piece: bytes, every: float = 0.0) -> Answer:
    """A beginning, and then the same again and again, each after so many seconds."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(every):
            connection.sendall(piece)

    return answer
