"""The domain's identifier of each of a hospital's own, from a TOML file of CX pairs that is read again when it changes.

Patients come and are merged while a hospital's server runs: a study is published under what the file says at that
moment.
"""

from __future__ import annotations

import logging
import threading
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from xdsi.domain.errors import ConfigurationError
from xdsi.domain.identifiers import PatientId

log = logging.getLogger("xdsi.source")

_Stamp = tuple[int, int, int]


class PatientIds(Mapping[PatientId, PatientId]):
    """Local identifier -> the domain's. A changed file that cannot be read leaves what it said before in force."""

    def __init__(self, file: str) -> None:
        """Without a file none is known; raises ConfigurationError where one is named and cannot be read."""
        self._file = Path(file) if file else None
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._known = self._read()

    def __getitem__(self, local: PatientId) -> PatientId:
        return self._now()[local]

    def __iter__(self) -> Iterator[PatientId]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def _now(self) -> dict[PatientId, PatientId]:
        # Looked at before it is read: a change meanwhile is found next time.
        stamp = self._look()
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._known = self._read()
                    log.info("%s is read again: %d patients", self._file, len(self._known))
                except ConfigurationError as error:
                    log.warning("%s; what it said before stays in force", error)
            return self._known

    def _look(self) -> _Stamp | None:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> dict[PatientId, PatientId]:
        if self._file is None:
            return {}
        try:
            pairs = tomllib.loads(self._file.read_text("utf-8"))
            return {PatientId.parse(local): PatientId.parse(domain) for local, domain in pairs.items()}
        except (OSError, tomllib.TOMLDecodeError, ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"imaging_source.patient_ids: {self._file}: {error}") from error
