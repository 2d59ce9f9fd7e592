"""How fast an answer arrives: curl, which throws it away."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.hub import tls_files
from tests.bench.processes import Server
from xdsi.transport.tls import client_context

CIPHER = "TLS_AES_256_GCM_SHA384"


@dataclass(frozen=True)
class Sink:
    """Asks for one thing again and again; `request` is posted, without one it is a GET."""

    path: str
    request: Path | None = None
    pki: Path | None = None
    content_type: str = "application/soap+xml; charset=UTF-8"
    accept: str = "*/*"

    def rate(self, server: Server) -> float:
        """Megabytes (10^6) a second from the connection to the last byte."""
        size, seconds = self._take(server, Path("/dev/null"))
        return size / seconds / 1e6

    def first(self, server: Server) -> float:
        """Seconds from the connection to the first byte of the answer; the rest is left."""
        context = None
        if self.pki is not None:
            context = client_context(tls_files(self.pki, "consumer"))
        body = self.request.read_bytes() if self.request is not None else b""
        head = [f"{'POST' if body else 'GET'} {self.path} HTTP/1.1", "Host: 127.0.0.1", f"Accept: {self.accept}"]
        head += [f"Content-Type: {self.content_type}", f"Content-Length: {len(body)}"] if body else []
        began = time.perf_counter()
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=120)
        if context is not None:
            connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
        with connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
            connection.recv(1)
            return time.perf_counter() - began

    def keep(self, server: Server, file: Path) -> int:
        """Write one answer to a file; returns its size."""
        return self._take(server, file)[0]

    def _take(self, server: Server, file: Path) -> tuple[int, float]:
        told = "%{http_code} %{size_download} %{time_total}"
        command = ["curl", "-sS", "-o", file, "-w", told, "-H", f"Accept: {self.accept}"]
        if self.request is not None:
            command += ["--data-binary", f"@{self.request}", "-H", "Expect:"]
            command += ["-H", f"Content-Type: {self.content_type}"]
        if self.pki is not None:
            command += ["--cert", self.pki / "consumer.pem", "--key", self.pki / "consumer.key"]
            command += ["--cacert", self.pki / "ca.pem", "--tls13-ciphers", CIPHER, "--tlsv1.3"]
        command.append(server.url + self.path)
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True, timeout=120)
        status, size, seconds = done.stdout.split()
        if status != "200":
            raise RuntimeError(f"{server.url}{self.path}: status {status}")
        return int(size), float(seconds)
