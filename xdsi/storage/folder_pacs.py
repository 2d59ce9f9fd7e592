"""The embedded PACS: studies read from a folder of DICOM files, which stay as they are.

RAD TF-2 4.69 (an instance is found only within its own series and study). The folder is somebody else's: files come,
grow and go while it is read, and some of them are not DICOM.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.imaging import Instance, Study, as_witnesses, merge, of_several_patients
from xdsi.domain.pacs import Changes, StudyState
from xdsi.wire.dicom_header import read_header

CHUNK = 512 * 1024


@dataclass(frozen=True, slots=True)
class _Signature:
    """What tells that a file is still the one that was read."""

    size: int
    modified: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Signature:
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)

    def fits(self, status: os.stat_result) -> bool:
        return self.size == status.st_size and self.modified == status.st_mtime_ns and self.inode == status.st_ino


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the folder: what part of a study it is, or why it is none."""

    signature: _Signature
    part: Study | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Index:
    """One state of the folder; never changed once made, so that readers need no lock."""

    files: dict[str, _File] = field(default_factory=dict)
    parts: dict[str, list[Study]] = field(default_factory=dict)
    """Study Instance UID -> one part per file"""
    studies: dict[str, Study] = field(default_factory=dict)
    places: dict[str, tuple[str, str, Instance]] = field(default_factory=dict)
    """SOP Instance UID -> study, series, instance"""
    skipped: tuple[tuple[str, str], ...] = ()


class FolderPacs:
    """Serves the studies found under a folder; `refresh` notices what has changed since."""

    def __init__(self, path: Path | str) -> None:
        self._root = Path(path)
        self._refreshing = threading.Lock()
        self._index = _Index()
        self.refresh()

    def studies(self) -> tuple[Study, ...]:
        """All studies, by UID."""
        return tuple(self._index.studies.values())

    def study(self, study_instance_uid: str) -> Study | None:
        """One study with its series and instances."""
        return self._index.studies.get(study_instance_uid)

    def locate(self, study_uid: str, series_uid: str, sop_uid: str) -> Instance | None:
        """The instance, only if it lies in that series of that study."""
        place = self._index.places.get(sop_uid)
        return place[2] if place is not None and place[:2] == (study_uid, series_uid) else None

    def path(self, instance: Instance) -> Path:
        """The instance's file, for those who send files; raises Unavailable if it has changed since it was read."""
        return Path(self._place(instance))

    def open(self, instance: Instance) -> Iterator[bytes]:
        """The Part-10 file in chunks; raises Unavailable at once, or before the first chunk, if it has changed."""
        return self._chunks(instance, self._place(instance))

    def ahead(self, instances: Sequence[Instance]) -> None:
        """Nothing would be gained: the files are here."""

    def _place(self, instance: Instance) -> str:
        place = f"{self._root}/{instance.locator}"
        try:
            if instance.locator in self._index.files:
                self._check(instance, os.stat(place))  # noqa: PTH116 - a study has thousands, and Path takes its time
                if os.access(place, os.R_OK, effective_ids=True):
                    return place
                raise Unavailable(f"{instance.locator} may not be read")
        except OSError as error:
            raise Unavailable(f"{instance.locator} cannot be read: {error.strerror}") from error
        raise Unavailable(f"{instance.locator!r} is not a file of this folder")

    @contextmanager
    def file(self, instance: Instance) -> Iterator[Path]:
        """The instance's file; raises Unavailable if it has changed since it was read, or while it was used."""
        yield self.path(instance)
        self.path(instance)

    def states(self, since: date | None = None) -> Iterator[StudyState]:
        """Every study now present: the folder is looked through first."""
        self.refresh()
        index = self._index
        after = since.strftime("%Y%m%d") if since else ""
        for uid, study in index.studies.items():
            if not study.date or study.date >= after:
                yield StudyState(uid, self._state(index, study))

    def _state(self, index: _Index, study: Study) -> str:
        """What tells that neither the files of a study nor their places are others."""
        seen = ((one.locator, index.files[one.locator].signature) for one in study.instances)
        return hashlib.sha256(repr(sorted(seen, key=lambda item: item[0])).encode()).hexdigest()

    def changes(self, since: str) -> Changes | None:
        """A folder keeps no record of what has changed."""
        return None

    def reread(self, study_instance_uid: str) -> Study | None:
        """The study as it is now."""
        self.refresh()
        return self._index.studies.get(study_instance_uid)

    def skipped(self) -> list[tuple[str, str]]:
        """Files that are not served, each with the reason, by path."""
        return list(self._index.skipped)

    def refresh(self) -> frozenset[str]:
        """Read new and changed files, forget those that are gone; the UIDs of studies that are not what they were."""
        with self._refreshing:
            before = self._index
            files = {name: self._read(name, before.files.get(name)) for name in sorted(self._names())}
            if files == before.files:
                return frozenset()
            self._index = after = _indexed(files, before)
            uids = before.studies.keys() | after.studies.keys()
            return frozenset(uid for uid in uids if before.studies.get(uid) is not after.studies.get(uid))

    def _names(self) -> Iterator[str]:
        """Paths of all files, relative to the folder; a directory that cannot be listed is not an empty one."""
        waiting = [""]
        while waiting:
            prefix = waiting.pop()
            try:
                with os.scandir(self._root / prefix) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(f"{prefix}{entry.name}/")
                        else:
                            yield prefix + entry.name
            except OSError as error:
                raise Unavailable(f"the folder {self._root / prefix} cannot be read: {error.strerror}") from error

    def _read(self, name: str, known: _File | None) -> _File:
        path = self._root / name
        try:
            if not path.is_file():
                return _File(_Signature(0, 0, 0), None, "not a regular file")
            signature = _Signature.of(path.stat())
            if known is not None and known.signature == signature:
                return known
            if signature.size == 0:
                return _File(signature, None, "the file is empty")
            with path.open("rb") as file:
                part = read_header(file)
        except MalformedMessage as error:
            return _File(signature, None, str(error))
        except OSError as error:
            return _File(_Signature(0, 0, 0), None, f"cannot be read: {error.strerror}")
        return _File(signature, _placed(part, name))

    def _check(self, instance: Instance, status: os.stat_result) -> None:
        known = self._index.files.get(instance.locator)
        # The very instance that was judged: the file may have been written anew, and read again, with the same UIDs.
        if known is None or not known.signature.fits(status) or not _is_of(instance, known):
            raise Unavailable(f"{instance.locator} has changed since it was read")

    def _chunks(self, instance: Instance, place: str) -> Iterator[bytes]:
        try:
            with open(place, "rb", buffering=0) as file:  # noqa: PTH123 - likewise
                status = os.fstat(file.fileno())
                self._check(instance, status)
                left = status.st_size
                while left > 0 and (chunk := file.read(min(CHUNK, left))):
                    left -= len(chunk)
                    # Before the last piece leaves: what was cut, grew or was overwritten must not end like an answer.
                    if left == 0 and not _Signature.of(status).fits(os.fstat(file.fileno())):
                        break
                    yield chunk
                if left or not _Signature.of(status).fits(os.fstat(file.fileno())):
                    raise Unavailable(f"{instance.locator} changed while it was sent")
        except OSError as error:
            raise Unavailable(f"{instance.locator} cannot be read: {error.strerror}") from error


def _is_of(instance: Instance, known: _File) -> bool:
    return known.part is not None and any(one is instance for one in known.part.instances)


def _placed(part: Study, locator: str) -> Study:
    (series,) = part.series
    (instance,) = series.instances
    return replace(part, series=(replace(series, instances=(replace(instance, locator=locator),)),))


def _indexed(files: dict[str, _File], before: _Index) -> _Index:
    """Group the files; a SOP Instance UID counts once, and a study whose files disagree on the patient is withheld."""
    skipped = {name: file.reason for name, file in files.items() if file.part is None}
    parts: dict[str, list[Study]] = {}
    places: dict[str, tuple[str, str, Instance]] = {}
    for name, file in files.items():
        part = file.part
        if part is None:
            continue
        (series,) = part.series
        (instance,) = series.instances
        first = places.get(instance.sop_instance_uid)
        if first is not None:
            skipped[name] = f"the same SOP Instance UID as {first[2].locator}"
            continue
        places[instance.sop_instance_uid] = (part.study_instance_uid, series.series_instance_uid, instance)
        parts.setdefault(part.study_instance_uid, []).append(part)
    studies: dict[str, Study] = {}
    for uid in sorted(parts):
        if of_several_patients(parts[uid]):
            for part in parts[uid]:
                (instance,) = part.instances
                skipped[instance.locator] = f"files of study {uid} name different patients"
                del places[instance.sop_instance_uid]
            continue
        unchanged = uid in before.studies and before.parts[uid] == parts[uid]
        studies[uid] = before.studies[uid] if unchanged else merge(as_witnesses(parts[uid]))
    return _Index(files, parts, studies, places, tuple(sorted(skipped.items())))
