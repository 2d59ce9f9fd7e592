"""Orthanc (1.9.4 and later) by its REST interface: its record of changes, its index, the files as it keeps them.

Studies are listed with sizes and transfer syntaxes by one question, and given out as they are stored. The record of
changes tells what came and when it became stable, never what was deleted: that is found by comparing states.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.imaging import Instance, Study
from xdsi.domain.pacs import Change, Changes, StudyState
from xdsi.transport.http_ahead import Place
from xdsi.transport.http_client import HttpAccess, HttpClient
from xdsi.transport.pacs.remote import Listed, RemotePacs
from xdsi.wire.dicom_header import part_of, read_header
from xdsi.wire.dicom_json import orthanc_dataset
from xdsi.wire.dicom_text import is_uid

_PAGE = 1000
_CHANGES = 500
_SMALL = 1024 * 1024
_VERSIONS = 1000


@dataclass(frozen=True, slots=True)
class _Version:
    """What differs when a study that was stable is not what it was."""

    id: str
    last_update: str
    count: object
    size: int | None

    @classmethod
    def of(cls, study: Mapping[str, Any], count: object, size: int | None) -> _Version:
        return cls(str(study.get("ID")), str(study.get("LastUpdate")), count, size)


class OrthancPacs(RemotePacs):
    """Studies of one Orthanc; locators are its own ids of instances."""

    def __init__(self, url: str, access: HttpAccess, folder: Path, *, remember_seconds: float = 5.0) -> None:
        super().__init__(folder, remember_seconds=remember_seconds)
        self._http = HttpClient(url, access)
        self._versions: dict[str, _Version] = {}

    def told(self, since: date | None = None) -> Iterator[StudyState]:
        """Every study now present: the state is which instances it has, and when it was last touched."""
        instances: dict[str, list[str]] = {}
        for series in self._all("/series"):
            members = series.get("Instances") or []
            instances.setdefault(str(series.get("ParentStudy")), []).extend(map(str, members))
        after = since.strftime("%Y%m%d") if since else ""
        for study in self._all("/studies"):
            told = _mapping(study.get("MainDicomTags"))
            uid = str(told.get("StudyInstanceUID", ""))
            if told.get("StudyDate") and str(told["StudyDate"]) < after:
                continue
            own = sorted(instances.get(str(study.get("ID")), ()))
            said = repr((study.get("LastUpdate"), sorted(told.items()), own))
            yield StudyState(uid, hashlib.sha256(said.encode()).hexdigest())

    def changes(self, since: str) -> Changes | None:
        """What has come, grown or become stable after a cursor (a number in Orthanc's record)."""
        answer = _mapping(self._http.json("/changes", {"since": since or "0", "limit": str(_CHANGES)}))
        last, entries = answer.get("Last"), answer.get("Changes")
        if not isinstance(last, int) or not isinstance(entries, list):
            raise Unavailable(f"{self._http.url}/changes: the answer has no Changes and Last")
        if last < int(since or "0"):
            # Another database than the one the cursor is of: what it holds is gone through from the beginning.
            return Changes("0", (), done=False)
        stable: dict[str, bool] = {}
        for entry in map(_mapping, entries):
            kind, id_ = entry.get("ChangeType"), str(entry.get("ID", ""))
            if kind in ("StableStudy", "NewStudy"):
                stable[id_] = kind == "StableStudy"
            elif kind == "NewSeries":
                series = _mapping(self._http.json(f"/series/{id_}", may_be_absent=True))
                if parent := series.get("ParentStudy"):
                    stable[str(parent)] = False
        found = []
        for id_, is_stable in stable.items():
            # One that is gone again by now is found by comparing states.
            told = _mapping(_mapping(self._http.json(f"/studies/{id_}", may_be_absent=True)).get("MainDicomTags"))
            uid = str(told.get("StudyInstanceUID", ""))
            if is_uid(uid):
                found.append(Change(uid, is_stable))
        return Changes(str(last), tuple(found), done=bool(answer.get("Done", True)))

    def list_study(self, study_instance_uid: str) -> tuple[list[Listed], list[tuple[str, str]]]:
        """All instances of a study; one that Orthanc holds of two patients at once is not served."""
        self._versions.pop(study_instance_uid, None)
        found = self._found(study_instance_uid)
        ids = [str(one.get("ID")) for one in found]
        if not ids:
            return [], []
        if len(ids) > 1:
            return [], [(study_instance_uid, f"instances of study {study_instance_uid} name different patients")]
        listed: list[Listed] = []
        skipped: list[tuple[str, str]] = []
        series = {
            str(one["ID"]): str(_mapping(one.get("MainDicomTags")).get("SeriesInstanceUID", ""))
            for one in map(_mapping, self._http.json(f"/studies/{ids[0]}/series", may_be_absent=True) or [])
        }
        question = {"Resources": ids, "Level": "Instance", "Metadata": True}
        for one in map(_mapping, self._http.json("/tools/bulk-content", body=question, may_be_absent=True) or []):
            told, kept = _mapping(one.get("MainDicomTags")), _mapping(one.get("Metadata"))
            sop, of = str(told.get("SOPInstanceUID", "")), series.get(str(one.get("ParentSeries")), "")
            locator = str(one.get("ID", ""))
            if not is_uid(sop) or not is_uid(of):
                skipped.append((f"/instances/{locator}", "its Series or SOP Instance UID is not a UID"))
                continue
            number = str(told.get("InstanceNumber", "")).strip()
            frames = str(told.get("NumberOfFrames", "")).strip()
            instance = Instance(
                sop_class_uid=str(kept.get("SopClassUid", "")),
                sop_instance_uid=sop,
                transfer_syntax_uid=str(kept.get("TransferSyntax", "")),
                instance_number=int(number) if number.isdecimal() else None,
                number_of_frames=int(frames) if frames.isdecimal() and frames.strip("0") else 1,
                size=int(one.get("FileSize") or 0),
                locator=locator,
            )
            listed.append(Listed(of, instance))
        if found[0].get("IsStable") is True and not skipped:
            if len(self._versions) > _VERSIONS:
                self._versions.clear()
            size = sum(one.instance.size for one in listed)
            self._versions[study_instance_uid] = _Version.of(found[0], len(listed), size)
        return listed, skipped

    def is_unchanged(self, study_instance_uid: str) -> bool:
        """By the time of its last change, and by count and size: what only goes leaves no time."""
        known = self._versions.get(study_instance_uid)
        found = self._found(study_instance_uid) if known is not None else []
        if len(found) != 1:
            return False
        told = _mapping(self._http.json(f"/studies/{found[0].get('ID')}/statistics", may_be_absent=True))
        count, size = told.get("CountInstances"), told.get("DicomUncompressedSize", told.get("UncompressedSize"))
        return known == _Version.of(found[0], count, int(size) if str(size).isdecimal() else None)

    def _found(self, study_instance_uid: str) -> list[Mapping[str, Any]]:
        question = {"Level": "Study", "Query": {"StudyInstanceUID": study_instance_uid}, "Expand": True}
        return [_mapping(one) for one in self._http.json("/tools/find", body=question) or []]

    def header(self, study_instance_uid: str, listed: Listed) -> Study:
        """The study as one instance's file tells it, or Orthanc's reading of it where the file is large."""
        if listed.instance.size <= _SMALL:
            # What the file says itself: Orthanc (seen in 1.10) loses text that switches character sets.
            content = b"".join(self.open(listed.instance))
            return read_header(BytesIO(content))
        answer = self._http.json(f"/instances/{listed.instance.locator}/tags", may_be_absent=True)
        if answer is None:
            raise MalformedMessage("it is gone since it was listed")
        return part_of(orthanc_dataset(answer))

    def chunks(self, instance: Instance) -> Iterator[bytes]:
        """The file as it is stored."""
        with self._http.stream(f"/instances/{instance.locator}/file", "application/dicom") as answer:
            yield from answer.chunks

    def whole(self, instances: Sequence[Instance]) -> Iterator[bytes | None] | None:
        """By several connections: each question takes Orthanc's time, the answer hardly any."""
        places = [Place(f"/instances/{one.locator}/file", one.size) for one in instances]
        answers = self._http.ahead(places, "application/dicom")
        return (None if answer is None else answer.content for answer in answers)

    def _all(self, path: str) -> Iterator[Mapping[str, Any]]:
        since = 0
        while True:
            page = self._http.json(path, {"expand": "", "since": str(since), "limit": str(_PAGE)})
            if not isinstance(page, list):
                raise Unavailable(f"{self._http.url}{path}: the answer is no list")
            yield from map(_mapping, page)
            if len(page) < _PAGE:
                return
            since += len(page)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
