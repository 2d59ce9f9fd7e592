"""The images of one study as they are fetched: a file each, complete or not there, whatever interrupts the fetching."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import is_oid
from xdsi.storage.files import disk, flush
from xdsi.wire.dicom_header import read_header


class FetchedFolder:
    """A folder that is filled by one or several attempts; what an earlier one has brought is not fetched again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def file(self, uid: str) -> Path:
        """Where an instance lies, or is to lie."""
        return self.path / f"{name_of(uid)}.dcm"

    def held(self, study_uid: str, series_uid: str, uid: str) -> int:
        """The size of an instance that is there, whole and right; 0 for one that has to be fetched."""
        path = self.file(uid)
        try:
            self._check(path, study_uid, series_uid, uid)
            return path.stat().st_size
        except (OSError, MalformedMessage):
            return 0

    def put(self, study_uid: str, series_uid: str, uid: str, chunks: Iterable[bytes]) -> int:
        """Write an instance; its size. MalformedMessage for what is not this instance, complete."""
        target = self.file(uid)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with disk(f"{target}"):
                with part.open("xb") as file:
                    size = sum(file.write(chunk) for chunk in chunks)
                    file.flush()
                    os.fsync(file.fileno())
                self._check(part, study_uid, series_uid, uid)
                part.replace(target)
                flush(self.path)
        finally:
            part.unlink(missing_ok=True)
        return size

    @staticmethod
    def _check(path: Path, study_uid: str, series_uid: str, uid: str) -> None:
        """Walk the file to its end, and see that it is what was asked for."""
        with path.open("rb") as file:
            found = read_header(file)
        (series,) = found.series
        (instance,) = series.instances
        said = (found.study_instance_uid, series.series_instance_uid, instance.sop_instance_uid)
        if said != (study_uid, series_uid, uid):
            raise MalformedMessage(f"what came is instance {said[2]} of series {said[1]}", expected=f"instance {uid}")


def name_of(uid: str) -> str:
    """A file name for a UID: itself where it is one, else nothing that came from elsewhere."""
    return uid if is_oid(uid) else hashlib.sha256(uid.encode()).hexdigest()[:32]
