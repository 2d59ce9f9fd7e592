"""A folder of DICOM files that is looked through again when something is asked for that was not there before."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from xdsi.domain.imaging import Instance, Study
from xdsi.storage.folder_pacs import FolderPacs

_AT_MOST_EVERY_SECONDS = 1.0


class FreshFolder(FolderPacs):
    """Images that came after the start are found; asking for what does not exist costs one look a second."""

    def __init__(self, path: Path | str) -> None:
        self._looking = threading.Lock()
        self._looked = time.monotonic()
        super().__init__(path)

    def study(self, study_instance_uid: str) -> Study | None:
        """One study with its series and instances."""
        found = super().study(study_instance_uid)
        return super().study(study_instance_uid) if found is None and self._look() else found

    def locate(self, study_uid: str, series_uid: str, sop_uid: str) -> Instance | None:
        """The instance, only if it lies in that series of that study."""
        found = super().locate(study_uid, series_uid, sop_uid)
        return super().locate(study_uid, series_uid, sop_uid) if found is None and self._look() else found

    def _look(self) -> bool:
        with self._looking:
            if time.monotonic() - self._looked < _AT_MOST_EVERY_SECONDS:
                return False
            self.refresh()
            self._looked = time.monotonic()
            return True
