"""Servers as child processes: free ports, readiness, the memory of a worker, an end in good order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_READY_SECONDS = 60.0


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process in bytes: now, at its highest, and what is its own of that which is there now.

    What is not its own are pages of files, above all of the database: they are shared, and counted for each mapping.
    """

    now: int
    highest: int
    own: int


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    pid: int
    port: int
    tls: bool

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def worker(self) -> int:
        """The only process that serves: a child of the one that was started."""
        until = time.monotonic() + _READY_SECONDS
        found: list[int] = []
        while len(found) != 1:
            if time.monotonic() > until:
                raise RuntimeError(f"expected one worker of {self.pid}, found {found}")
            found = self._workers()
        return found[0]

    def _workers(self) -> list[int]:
        return [int(one) for one in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def memory(self) -> Memory:
        """Of all workers together."""
        found = [0, 0, 0]
        for one in self._workers():
            lines = dict(line.split(":", 1) for line in Path(f"/proc/{one}/status").read_text().splitlines())
            for at, name in enumerate(("VmRSS", "VmHWM", "RssAnon")):
                found[at] += int(lines[name].split()[0]) * 1024
        return Memory(*found)

    def processor(self) -> float:
        """Seconds of processor that all workers have used."""
        stats = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in self._workers()]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")

    def forget_highest(self) -> None:
        """Count the highest memory from here on."""
        for one in self._workers():
            Path(f"/proc/{one}/clear_refs").write_text("5")


@contextmanager
def running(command: Sequence[str | Path], *, port: int, tls: bool, log: Path) -> Iterator[Server]:
    """Start a server, wait until it listens, and stop it with all its children afterwards."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDSI_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*map(str, command)], stdout=output, stderr=output, cwd=ROOT, env=environment, start_new_session=True
        )
        try:
            _wait(process, port, log)
            yield Server(process.pid, port, tls)
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} does not listen:\n{log.read_text(errors='replace')[-2000:]}")


def python(module: str, *arguments: str | Path) -> list[str | Path]:
    """The command that runs one of our modules."""
    return [sys.executable, "-m", module, *arguments]
