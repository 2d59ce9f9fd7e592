"""Servers as children of this process: the libraries are loaded once, the product anew in each, with its defect."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tests.mutations.launch import run

_PATIENCE = 30.0


class Child:
    """A server in a forked process, as far as subprocess.Popen is needed."""

    def __init__(self, name: str, arguments: Sequence[str], log: IO[str]) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.setsid()
                os.close(reading)
                os.dup2(writing, 1)
                os.dup2(log.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
                status = run(name, arguments)
            finally:
                os._exit(status)
        os.close(writing)
        self.stdout: IO[str] | None = os.fdopen(reading)

    def terminate(self) -> None:
        """Ask it to end."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout: float = _PATIENCE) -> int:
        """Until it has ended; what does not end in good order is ended."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.killpg(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def preload() -> None:
    """Import the libraries that the product uses, and nothing of the product."""
    script = "import sys, xdsi.app, xdsi.cli; print(*(n for n in sys.modules if not n.startswith(('xdsi', '_'))))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    for name in done.stdout.split():
        with suppress(Exception):
            importlib.import_module(name)
    own = [name for name in sys.modules if name.startswith("xdsi.") and not name.startswith("xdsi.conformance")]
    assert not own, f"already imported, so that no defect can be put into it: {own}"
