"""Sends notices to where a recipient is reached: a URL that takes JSON, or a folder that something else empties."""

from __future__ import annotations

import json
import logging
import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from xdsi.domain.errors import ConfigurationError, Unavailable
from xdsi.domain.notification import Recipient, StoredNotice
from xdsi.domain.ports import Notices
from xdsi.transport.http_client import HttpAccess, HttpClient

log = logging.getLogger("xdsi.notices")

FOLDER = "folder:"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_BATCH = 100
_TYPE = "application/json"


class Destination(Protocol):
    """Takes a notice, or raises Unavailable."""

    def deliver(self, notice: StoredNotice) -> None:
        """Return when it arrived for good."""


class FolderDestination:
    """A file for each notice, whole as soon as it has its name; the same one again takes its place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def deliver(self, notice: StoredNotice) -> None:
        """As Destination promises."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = self._folder / f"{notice.id:012}-{notice.recipient}.json"
            fresh = file.with_suffix(".new")
            with fresh.open("wb") as out:
                out.write(written(notice))
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(file)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Unavailable(f"{self._folder}: {error.strerror}") from error


class UrlDestination:
    """A POST for each notice; any answer of 2xx says that it arrived."""

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._http = HttpClient(url, HttpAccess(tls=tls, read_seconds=20.0, retries=0))

    def deliver(self, notice: StoredNotice) -> None:
        """As Destination promises."""
        status, _ = self._http.store("", _TYPE, [written(notice)], accept="*/*")
        if not 200 <= status < 300:
            raise Unavailable(f"{self._url} answers with HTTP status {status}")


def destination(setting: str, key: str, *, tls: ssl.SSLContext | None = None) -> Destination | None:
    """Where a setting leads; None where it is empty, ConfigurationError for what is neither form."""
    if not setting:
        return None
    if setting.startswith(FOLDER) and Path(setting.removeprefix(FOLDER)).is_absolute():
        return FolderDestination(Path(setting.removeprefix(FOLDER)))
    parsed = urlsplit(setting)
    if parsed.hostname and (parsed.scheme == "https" or (parsed.scheme == "http" and parsed.hostname in _LOOPBACK)):
        return UrlDestination(setting, tls=tls)
    raise ConfigurationError(f"{key} is {setting!r}; valid: folder:/path, https://host/path, http:// on loopback")


def written(notice: StoredNotice) -> bytes:
    """The JSON of a notice; `id` tells those apart that were sent twice from those that happened twice."""
    content = {"id": notice.id, "recipient": notice.recipient.value, **notice.content}
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def send(notices: Notices, destinations: Mapping[Recipient, Destination]) -> tuple[int, int]:
    """Send what waits, in order; how many arrived and how many did not.

    A recipient whose destination fails is left for the next time, after one attempt. A crash between sending and
    remembering makes a notice come again, and never get lost.
    """
    arrived = failed = 0
    for recipient, to in destinations.items():
        going = True
        while going and (waiting := notices.waiting(recipient, _BATCH)):
            for one in waiting:
                try:
                    to.deliver(one)
                except Unavailable as error:
                    log.error("a notice of %s does not arrive: %s", one.at.isoformat(), error)
                    notices.failed(one.id, str(error))
                    failed += 1
                    going = False
                    break
                notices.sent(one.id, datetime.now(UTC))
                arrived += 1
    return arrived, failed
