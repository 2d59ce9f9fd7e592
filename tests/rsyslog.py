"""A real rsyslog that takes TLS syslog and keeps it in a file, one record a line.

It needs rsyslogd with its OpenSSL driver (Debian: rsyslog, rsyslog-openssl); without it the calling test is skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import wait_until

CONFIGURATION = """
global(workDirectory="{folder}" maxMessageSize="256k" parser.escapeControlCharactersOnReceive="off"
       defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{pki}/ca.pem"
       defaultNetstreamDriverCertFile="{pki}/hub.pem" defaultNetstreamDriverKeyFile="{pki}/hub.key")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid"
       maxSessions="20")
template(name="whole" type="string"
         string="%pri% %protocol-version% %hostname% %app-name% %procid% %msgid% %structured-data% %msg%\\n")
ruleset(name="kept") {{ action(type="omfile" file="{folder}/records" template="whole" flushOnTXEnd="on") }}
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="kept")
"""
LINE = re.compile(r"85 1 (?P<sender>\S+ xdsi \S+) IHE\+RFC-3881 - (?P<message><AuditMessage>.*</AuditMessage>)")


def _program() -> str:
    found = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
    drivers = [*Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so"), *Path("/usr/lib/rsyslog").glob("lmnsd_ossl.so")]
    if found and drivers:
        return found
    reason = "rsyslogd with its OpenSSL driver is not installed (Debian: rsyslog, rsyslog-openssl)"
    if os.environ.get("XDSI_REQUIRE_ORACLES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Rsyslog:
    """A running rsyslogd."""

    process: subprocess.Popen[bytes]
    port: int
    file: Path

    @property
    def messages(self) -> list[bytes]:
        """What it kept, whole lines only."""
        return [one["message"].encode() for one in self._lines()]

    @property
    def senders(self) -> set[str]:
        """HOSTNAME, APP-NAME and PROCID of what it kept."""
        return {one["sender"] for one in self._lines()}

    def _lines(self) -> list[re.Match[str]]:
        if not self.file.exists():
            return []
        found = []
        for line in self.file.read_bytes().split(b"\n")[:-1]:
            match = LINE.fullmatch(line.decode())
            assert match is not None, line
            found.append(match)
        return found


@contextmanager
def running(folder: Path, pki: Path, port: int) -> Iterator[Rsyslog]:
    """For as long as the block lasts, with the node `hub` of a PKI; what it kept stays in the folder."""
    folder.mkdir(exist_ok=True)
    configuration = folder / "rsyslog.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, pki=pki, port=port))
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [_program(), "-n", "-f", configuration, "-i", folder / "pid"], stdout=log, stderr=log
        )
    try:
        wait_until(lambda: process.poll() is not None or _listens(port))
        assert process.poll() is None, (folder / "log").read_text()
        yield Rsyslog(process, port, folder / "records")
    finally:
        process.terminate()
        process.wait(30)
        (folder / "pid").unlink(missing_ok=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
