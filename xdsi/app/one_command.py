"""The parts of a process that does one thing and ends, such as `xdsi find`: what it recorded is sent on before."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from xdsi.app.services import Parts
from xdsi.settings import Settings

SECONDS = 5.0
"""how long the end of a command waits for the collector; what is left goes with the next command"""


@contextmanager
def one_command(settings: Settings) -> Iterator[Parts]:
    """Parts for one command; at its end audit records go to the collector (`audit.send`), unless a server does that."""
    with Parts(settings) as parts:
        try:
            yield parts
        finally:
            if settings.audit.send:
                _forward(parts, settings.audit.send)


def _forward(parts: Parts, url: str) -> None:
    forwarder = parts.forwarder(url, seconds=SECONDS)
    parts.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(parts.data / "services.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # a server runs on this data folder and sends them
    else:
        forwarder.deliver(SECONDS)
    finally:
        os.close(lock)
