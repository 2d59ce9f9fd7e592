"""Real servers for tests: `xdsi serve` as its users run it, with raw sockets and plain clients to talk to it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from xdsi.wire import soap

REPOSITORY = Path(__file__).resolve().parents[1]
PATIENCE = 60.0


def environment(**changes: str) -> dict[str, str]:
    """The environment of a process, without settings of the caller's shell."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDSI_")}
    return kept | {"PYTHONPATH": str(REPOSITORY)} | changes


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Server:
    """A running `xdsi serve`."""

    process: subprocess.Popen[str]
    port: int
    data: Path
    log: Path
    ready: dict[str, Any] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        return str(self.ready["base_url"])

    def url(self, actor: str) -> str:
        return f"{self.base_url}/services/{actor}"

    @property
    def workers(self) -> list[int]:
        """The processes that serve."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def connect(self, tls: ssl.SSLContext | None = None) -> socket.socket:
        """A socket to it."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return tls.wrap_socket(plain, server_hostname="127.0.0.1") if tls is not None else plain

    def stop(self) -> int:
        """End it in good order; its exit status."""
        self.process.terminate()
        return self.wait()

    def kill(self) -> None:
        """End it at once, workers and all."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Until it has ended."""
        try:
            return self.process.wait(PATIENCE)
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()


def start(data: Path, *options: str, port: int = 0, cwd: Path | None = None, config: Path | None = None) -> Server:
    """Start `xdsi serve`, and return when it says that it is ready."""
    port = port or free_port()
    data.parent.mkdir(parents=True, exist_ok=True)
    log = data.parent / f"{data.name}.log"
    named = ["--config", str(config)] if config else []
    command = [sys.executable, "-m", "xdsi", *named, "serve", "--port", str(port), "--data", str(data), *options]
    with log.open("a") as output:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=output, text=True, cwd=cwd, env=environment(),
            start_new_session=True,
        )  # fmt: skip
    server = Server(process, port, data, log)
    assert process.stdout is not None
    line = _first_line(process.stdout)
    if not line:
        server.kill()
        pytest.fail(f"the server did not start:\n{log.read_text()[-4000:]}")
    server.ready = json.loads(line)
    return server


def _first_line(stream: IO[str]) -> str:
    readable, _, _ = select.select([stream], [], [], PATIENCE)
    return stream.readline() if readable else ""


@contextmanager
def serving(data: Path, *options: str, **arguments: Any) -> Iterator[Server]:
    """A server for as long as the block lasts."""
    server = start(data, *options, **arguments)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The open profile, with images."""
    from tests.imaging import STUDIES

    with serving(tmp_path_factory.mktemp("open") / "data", "--profile", "open", "--dicom", str(STUDIES)) as server:
        yield server


@pytest.fixture(scope="session")
def full_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """What a first start gives: a whole affinity domain, mutual TLS and assertions required."""
    folder = tmp_path_factory.mktemp("full")
    with serving(folder / "xdsi-data", cwd=folder) as server:
        yield server


# -- messages


def envelope(action: str, body: bytes, *, security: bytes = b"", message_id: str = "urn:uuid:1") -> bytes:
    """A request."""
    return b"".join(soap.write_envelope(action, body, security=security, message_id=message_id))


@dataclass(frozen=True)
class Answer:
    """An HTTP answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def trace(self) -> str:
        return self.headers.get("xdsi-trace", "")

    @property
    def text(self) -> str:
        return self.body.decode()


def http(
    body: bytes, *, path: str = "/services/registry", method: str = "POST", length: int | str | None = None,
    **headers: str,
) -> bytes:  # fmt: skip
    """The bytes of a request; `length` is what it says of its body (nothing, if empty)."""
    given = {"Host": "127.0.0.1", "Content-Type": soap.CONTENT_TYPE, "Connection": "close"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    if length != "":
        given["Content-Length"] = str(len(body) if length is None else length)
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def read_answer(sock: socket.socket) -> Answer:
    """All that comes until the end of the answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = sock.recv(65536)
        if not data:
            raise ConnectionError(f"no answer but {received!r}")
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length")
    chunked = headers.get("transfer-encoding") == "chunked"

    def whole() -> bool:
        if chunked:
            return (b"\r\n" + body[-7:]).endswith(b"\r\n0\r\n\r\n")
        return length is not None and len(body) >= int(length)

    while not whole():
        data = sock.recv(65536)
        if not data:
            break
        body += data
    return Answer(int(first.split()[1]), headers, _without_chunks(body) if chunked else body)


def _without_chunks(body: bytes) -> bytes:
    """What came in chunks (RFC 9112 section 7.1)."""
    whole, rest = b"", body
    while (size := int((line := rest.partition(b"\r\n"))[0], 16)) > 0:
        whole, rest = whole + line[2][:size], line[2][size + 2 :]
    return whole


def exchange(server: Server, request: bytes, *, half_close: bool = False, tls: ssl.SSLContext | None = None) -> Answer:
    """Send bytes and read the answer."""
    with server.connect(tls) as sock:
        with suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(request)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        return read_answer(sock)


def wait_until(condition: Any, seconds: float = 10.0) -> None:
    """Until a condition holds that another process brings about."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)
