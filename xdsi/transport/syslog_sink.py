"""A simulated audit repository: takes records by UDP, TCP and TLS, and hands each on with what sent it.

RFC 5424, 5425 (TLS), 5426 (UDP), 6587 (TCP with octet counts); ITI TF-2 3.20. Nothing is required of senders: it is
there to look at what they send.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable

from xdsi.domain.errors import MalformedMessage
from xdsi.transport.simulator import Switches
from xdsi.wire import syslog

log = logging.getLogger("xdsi.simulator")
Take = Callable[[bytes, str], None]


class SyslogSink:
    """Listens for UDP datagrams and connections at one port number."""

    def __init__(
        self, take: Take, switches: Switches, *, address: str, port: int, tls: ssl.SSLContext | None, delay: float
    ) -> None:
        self._take, self._switches, self._tls, self._delay = take, switches, tls, delay
        self._stopping = threading.Event()
        self._tcp = socket.create_server((address, port))
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, self.port))
        self._threads = [
            threading.Thread(target=run, name=f"audit-{name}", daemon=True)
            for name, run in (("tcp", self._accept), ("udp", self._datagrams))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        for one in (self._tcp, self._udp):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _datagrams(self) -> None:
        while not self._stopping.is_set():
            try:
                raw, sender = self._udp.recvfrom(65536)
            except OSError:
                return
            if raw and sender:
                self._received(raw, f"udp {sender[0]}")

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, (host, *_) = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection, host), daemon=True).start()

    def _converse(self, connection: socket.socket, host: str) -> None:
        way = "tls" if self._tls is not None else "tcp"
        try:
            with connection:
                connection.settimeout(60)
                talk = self._tls.wrap_socket(connection, server_side=True) if self._tls is not None else connection
                with talk:
                    self._read(talk, f"{way} {host}")
        except (OSError, MalformedMessage) as error:
            log.warning("audit sender %s: %s", host, error)

    def _read(self, connection: socket.socket, by: str) -> None:
        reader = syslog.FrameReader()
        while not self._stopping.is_set():
            if "deaf" in self._switches.on:
                self._stopping.wait(60)
                return
            data = connection.recv(65536)
            if not data:
                return
            for frame in reader.feed(data):
                self._received(frame, by)
                if "drop" in self._switches.on:
                    return

    def _received(self, raw: bytes, by: str) -> None:
        if "slow" in self._switches.on:
            time.sleep(self._delay)
        self._take(raw, by)
