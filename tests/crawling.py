"""Stands between two DICOM application entities: passes bytes on, but may stop in the middle, or crawl."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

LATER = 700
"""bytes that still come once what is slow was asked for"""


@dataclass
class Crawling:
    """A relay to an address; slow from the connection on in which `slow` was said, or from its beginning if empty."""

    to: tuple[str, int]
    way: str = ""
    """empty, `hangs`, `crawls` (byte by byte), or `walks` (a piece every quarter of a second)"""
    slow: bytes = b""
    later: int = LATER
    asks: bool = False
    """it is not who answers that is slow, but who asks"""
    reached: threading.Event = field(default_factory=threading.Event)
    end: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def become(self, way: str) -> None:
        self.way = way
        self.reached.clear()
        self.end.clear()

    def _relay(self, asking: socket.socket) -> None:
        with asking, suppress(OSError), socket.create_connection(self.to) as answering:
            other = {asking: answering, answering: asking}
            said, left = b"", self.later
            triggered = not self.slow
            while True:
                # Both ends notice when the other goes.
                for ready in select.select(list(other), [], [])[0]:
                    came = ready.recv(65536)
                    if not came:
                        return
                    if ready is asking and not triggered:
                        said = said[-200:] + came
                        triggered = self.slow in said
                    if self.way and triggered and (ready is asking) == self.asks:
                        other[ready].sendall(came[:left])
                        came, left = came[left:], max(0, left - len(came))
                        if came or not left:
                            self._crawl(ready, other[ready], came)
                            return
                    else:
                        other[ready].sendall(came)

    def _crawl(self, source: socket.socket, target: socket.socket, waiting: bytes) -> None:
        self.reached.set()
        while not self.end.wait(0.25 if self.way == "walks" else 0.05):
            if select.select([target], [], [], 0)[0]:
                said = target.recv(65536)
                if not said:
                    return
                source.sendall(said)
            if select.select([source], [], [], 0)[0]:
                waiting += source.recv(65536)
            step = {"hangs": 0, "crawls": 1, "walks": 16_000}[self.way]
            target.sendall(waiting[:step])
            waiting = waiting[step:]


@contextmanager
def standing(relay: Crawling) -> Iterator[Crawling]:
    """Listens for as long as the block lasts."""
    with socket.create_server(("127.0.0.1", relay.port)) as listener:
        relay.port = listener.getsockname()[1]
        threads: list[threading.Thread] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    thread = threading.Thread(target=relay._relay, args=(connection,), daemon=True)
                    threads.append(thread)
                    thread.start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield relay
        finally:
            relay.end.set()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join(10)
