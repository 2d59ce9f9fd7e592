"""A PostgreSQL of its own that a test may stop, kill and start again; it flushes what it commits."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.storage.conftest import _programs, _version


class PostgreSQL:
    """A server in a folder; `url` reaches it while it runs."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(folder, self._user)
        locale = ("--locale-provider=icu", "--icu-locale=en-US") if _version(programs) >= 15 else ("--locale=C.UTF-8",)
        self._run("initdb", "-U", "xdsi", "-A", "trust", "-E", "UTF8", *locale)
        self.url = f"postgresql://xdsi@/postgres?host={folder}"
        self._process: subprocess.Popen[bytes] | None = None

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), "-D", str(self._folder / "data"), *arguments],
            check=True, timeout=60, stdout=subprocess.DEVNULL, **self._as_user(),
        )  # fmt: skip

    def _as_user(self) -> dict[str, Any]:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        return {"cwd": self._folder, "user": self._user, "env": environment}

    def start(self) -> None:
        """Start it, and wait until it serves; after a kill it recovers first."""
        # Not by pg_ctl: a child that was killed has to be waited for, or its number is taken for a running server's.
        program = [str(self._programs / "postgres"), "-D", str(self._folder / "data")]
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                [*program, "-k", str(self._folder), "-c", "listen_addresses="],
                stdout=log,
                stderr=log,
                **self._as_user(),
            )
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it in order; open connections are ended."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)

    def kill(self) -> None:
        """End all its processes at once, as when the machine dies; what was not flushed stays in the page cache."""
        if self._process is None:
            return
        postmaster = self._process.pid
        os.kill(postmaster, signal.SIGSTOP)  # so that it makes no more processes
        children = list(map(int, Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()))
        for process in (postmaster, *children):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait(60)
        while any(map(_runs, children)):
            time.sleep(0.005)

    def remove(self) -> None:
        """End it, however it is, and remove its files."""
        with suppress(FileNotFoundError):
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A server that runs; the calling test is skipped, or fails in CI, where none is installed."""
    programs = _programs()
    if programs is None:
        reason = "no PostgreSQL: initdb is not installed"
        if os.environ.get("XDSI_REQUIRE_ORACLES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    server = PostgreSQL(programs, Path(tempfile.mkdtemp(prefix="xdsi-pg-")))
    try:
        server.start()
        yield server
    finally:
        server.remove()
