"""A folder of DICOM files that is looked through again when it no longer holds what it held, or may hold more."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import Instance, Study
from xdsi.storage.folder_pacs import FolderPacs

_AT_MOST_EVERY_SECONDS = 1.0


class FreshFolder(FolderPacs):
    """Images that came, changed or went after the start are noticed; asking for none costs one look a second."""

    def __init__(self, path: Path | str) -> None:
        self._looking = threading.Lock()
        self._began = time.monotonic()
        super().__init__(path)
        self._ended = time.monotonic()

    def study(self, study_instance_uid: str) -> Study | None:
        """One study with its series and instances."""
        found = super().study(study_instance_uid)
        if found is None:
            self._look()
        elif not all(map(self._holds, found.instances)):
            self._look_again()
        else:
            return found
        return super().study(study_instance_uid)

    def locate(self, study_uid: str, series_uid: str, sop_uid: str) -> Instance | None:
        """The instance, only if it lies in that series of that study and its file is there as it was read."""
        found = super().locate(study_uid, series_uid, sop_uid)
        if found is None:
            self._look()
        elif not self._holds(found):
            self._look_again()
        else:
            return found
        found = super().locate(study_uid, series_uid, sop_uid)
        return found if found is not None and self._holds(found) else None

    def reread(self, study_instance_uid: str) -> Study | None:
        """The study as it is now."""
        self._look_again()
        return super().study(study_instance_uid)

    def _holds(self, instance: Instance) -> bool:
        try:
            self._place(instance)
        except Unavailable:
            return False
        return True

    def _look(self) -> None:
        """Something unknown was asked for: look through the folder unless that was done a moment ago."""
        with self._looking:
            if time.monotonic() - self._ended >= _AT_MOST_EVERY_SECONDS:
                self._look_through()

    def _look_again(self) -> None:
        """A known file is not what it was: look at once, or wait for a look that somebody else has begun since."""
        noticed = time.monotonic()
        with self._looking:
            if self._began <= noticed:
                self._look_through()

    def _look_through(self) -> None:
        began = time.monotonic()
        self.refresh()
        self._began, self._ended = began, time.monotonic()
