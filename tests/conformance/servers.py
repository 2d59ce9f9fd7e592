"""Servers as the cases need them: the open profile, with announced patients only, or as a first start makes one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol

from xdsi.conformance import FOLDER, PRESETS, Case, Endpoint, Issuer

OPEN, STRICT, SECURED = "open", "strict", "secured"
_DICOM = ("--dicom", str(FOLDER / "dicom"))
_OPTIONS = {
    OPEN: ("--profile", "open", *_DICOM),
    STRICT: ("--profile", "open", *_DICOM, "--strict-patients"),
    SECURED: (),
}
ISSUER = "urn:xdsi:demonstration:idp"
"""whose assertions a first start trusts"""


class Process(Protocol):
    """A server's process; what of subprocess.Popen is needed."""

    stdout: IO[str] | None

    def terminate(self) -> None: ...

    def wait(self, timeout: float = ...) -> int: ...


Spawn = Callable[[Sequence[str], IO[str]], Process]
"""starts xdsi with these arguments, what it has to say for people going to a file"""


def spawn(arguments: Sequence[str], log: IO[str]) -> Process:
    """The product as it is, in a process of its own."""
    return subprocess.Popen([sys.executable, "-m", "xdsi", *arguments], stdout=subprocess.PIPE, stderr=log, text=True)


def profile_of(case: Case) -> str:
    """The profile that a case belongs to."""
    if "secured" in case.needs:
        return SECURED
    return STRICT if "strict-patients" in case.needs else OPEN


class NotStarted(Exception):
    """The server ended before it said that it is ready."""


class Server:
    """`xdsi serve` as a process of its own, from the line that says it is ready to its end."""

    def __init__(self, folder: Path, profile: str, start: Spawn = spawn) -> None:
        self._log = (folder / "server.log").open("w")
        options = ("--port", str(_free_port()), "--data", str(folder / "data"), *_OPTIONS[profile])
        self._process = start(["serve", *options], self._log)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise NotStarted((folder / "server.log").read_text()[-2000:])
        ready = json.loads(line)
        ids = ready["ids"]
        features = PRESETS["xdsi"] | ({"strict-patients"} if profile == STRICT else set())
        self.endpoint = Endpoint(
            base_url=ready["base_url"],
            values={"home": ids["home"], "repository": ids["repository"], "location_uid": ids["location"]},
            features=frozenset(features),
            feed=profile == STRICT,
        )
        if profile == SECURED:
            pki = folder / "data" / "pki"
            self.endpoint = replace(
                self.endpoint,
                features=frozenset({"explains", "secured", "trace"}),
                issuer=Issuer.of(ISSUER, pki / "idp.key", pki / "idp.pem"),
                certificate=(str(pki / "consumer.pem"), str(pki / "consumer.key")),
                authorities=str(pki / "ca.pem"),
            )

    def stop(self) -> None:
        """End the process and wait for it."""
        self._process.terminate()
        self._process.wait(30)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
