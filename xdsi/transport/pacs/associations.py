"""Application entities of ours towards an archive: how they are called, their limits, and where instances arrive."""

from __future__ import annotations

import functools
import logging
import os
import re
import secrets
import socket
import ssl
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from pynetdicom import AE, _config, dimse_messages, evt

from xdsi.transport import association_sockets as association_sockets

_AE_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")
_ADDRESS = re.compile(r"(?P<ae>[^@]+)@(?P<host>\[[0-9A-Fa-f:]+\]|[^:@\[\]]+):(?P<port>[0-9]{1,5})")

# Instances go to files while they arrive, and answers are not decoded for a log that nobody reads.
_config.STORE_RECV_CHUNKED_DATASET = True
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_HANDLER_LEVEL = "none"
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class DimseAddress:
    """An application entity: `AET@host:port`."""

    ae_title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> DimseAddress:
        """Raises ValueError for what is no such address."""
        found = _ADDRESS.fullmatch(text)
        if found is None or not is_ae_title(found["ae"]) or not 0 < int(found["port"]) < 65536:
            raise ValueError(f"{text!r} is not AET@host:port")
        return cls(found["ae"], found["host"].strip("[]"), int(found["port"]))

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def is_ae_title(text: str) -> bool:
    """True for 1 to 16 characters, without backslash and without space at the ends (PS3.5 6.2, AE)."""
    return _AE_TITLE.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class DimseAccess:
    """How an archive is asked: our AE title, C-GET or C-MOVE, where moved instances arrive, TLS, limits."""

    ae_title: str = "XDSI"
    retrieve: str = "get"
    """`get`, or `move` to the storage address"""
    storage_address: str = "127.0.0.1"
    storage_port: int = 0
    tls: ssl.SSLContext | None = None
    storage_tls: ssl.SSLContext | None = None
    connect_seconds: float = 5.0
    read_seconds: float = 60.0
    minimum_rate: float = 0.0
    """bytes a second that an answer, or an image, has to come at, `read_seconds` apart; 0: any"""


def entity(access: DimseAccess, folder: Path) -> AE:
    """An application entity with its limits; what it receives lies in the folder until it is taken over."""
    # The library offers no other way to say where its files go, and what breaks off must not stay in /tmp.
    dimse_messages.NamedTemporaryFile = functools.partial(_arriving, folder)  # type: ignore[attr-defined]
    made = AE(ae_title=access.ae_title)
    made.connection_timeout = access.connect_seconds
    made.acse_timeout = access.connect_seconds
    made.dimse_timeout = access.read_seconds
    made.network_timeout = access.read_seconds
    return made


def _arriving(folder: Path, **how: Any) -> Any:
    """A file for an instance that comes; one whose turn did not come before its association ended goes with it."""
    file = NamedTemporaryFile(dir=folder, **how)  # noqa: SIM115 - the library closes it
    weakref.finalize(file, _forget, file.file, file.name)
    return file


def _forget(file: Any, name: str) -> None:
    if not file.closed:
        file.close()
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - a library's path


def without_delay(event: Any) -> None:
    """Send and confirm at once: a command and its data set are two messages, and would wait for a receipt between."""
    connection = event.assoc.dul.socket.socket if event.assoc.dul.socket is not None else None
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


PROMPT = [(evt.EVT_CONN_OPEN, without_delay), (evt.EVT_DATA_SENT, without_delay), (evt.EVT_DATA_RECV, without_delay)]
"""handlers that keep an association from waiting; the system forgets the second after a while"""


def taken_over(event: Any, folder: Path, uid: str) -> Path | None:
    """The file of an arrived instance under a name of our own; None, and no file, where it is not the one expected."""
    request = event.request
    arrived = event.dataset_path
    if request._dataset_file is not None:
        request._dataset_file.close()
    target = folder / secrets.token_hex(16)
    wanted = str(request.AffectedSOPInstanceUID) == uid
    if wanted:
        os.link(arrived, target)
    with suppress(OSError):
        os.unlink(arrived)  # noqa: PTH108 - a library's path
    return target if wanted else None
