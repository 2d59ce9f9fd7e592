"""Any DICOMweb archive: studies by QIDO-RS, headers and files by WADO-RS.

DICOM PS3.18 10.4 (Retrieve), 10.6 (Search). Answers come page by page; an archive whose pages do not add up to the
number of instances that it says a study has is not believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.imaging import Instance, Study
from xdsi.domain.pacs import StudyState
from xdsi.spec import tags
from xdsi.transport.http_client import HttpAccess, HttpAnswer, HttpClient
from xdsi.transport.pacs.remote import Listed, RemotePacs
from xdsi.wire import dicom_json
from xdsi.wire.dicom_header import part_of
from xdsi.wire.dicom_text import DataSet, is_uid
from xdsi.wire.multipart import MultipartLimits, MultipartReader, PartData, PartStart, parse_content_type

_PAGE = 1000
_LIMITS = MultipartLimits(parts=1, part=64 * 1024**3, message=64 * 1024**3)
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*, application/dicom; transfer-syntax=*'


class DicomWebPacs(RemotePacs):
    """Studies of the archive at one DICOMweb base URL."""

    def __init__(self, url: str, access: HttpAccess, folder: Path, *, remember_seconds: float = 5.0) -> None:
        super().__init__(folder, remember_seconds=remember_seconds)
        self._http = HttpClient(url, access)

    def states(self, since: date | None = None) -> Iterator[StudyState]:
        """Every study now present, or those of a study date not before `since`."""
        wanted = {"includefield": _hex(tags.NUMBER_OF_STUDY_RELATED_INSTANCES)}
        if since is not None:
            wanted[_hex(tags.STUDY_DATE)] = f"{since:%Y%m%d}-"
        for record in self._search("/studies", wanted, (tags.STUDY_INSTANCE_UID,)):
            uid = record.code(tags.STUDY_INSTANCE_UID)
            if is_uid(uid):
                said = sorted((tag, repr(value)) for tag, value in record.items())
                yield StudyState(uid, hashlib.sha256(repr(said).encode()).hexdigest())

    def list_study(self, study_instance_uid: str) -> tuple[list[Listed], list[tuple[str, str]]]:
        """All instances of a study, as many as the archive says there are."""
        found: list[Listed] = []
        skipped: list[tuple[str, str]] = []
        fields = (tags.SOP_CLASS_UID, tags.SERIES_INSTANCE_UID, tags.INSTANCE_NUMBER, tags.NUMBER_OF_FRAMES)
        wanted = {"includefield": ",".join(map(_hex, fields))}
        count = 0
        path = f"/studies/{study_instance_uid}/instances"
        key = (tags.SERIES_INSTANCE_UID, tags.SOP_INSTANCE_UID)
        for record in self._search(path, wanted, key, may_be_absent=True):
            count += 1
            series, sop = record.code(tags.SERIES_INSTANCE_UID), record.code(tags.SOP_INSTANCE_UID)
            locator = f"/studies/{study_instance_uid}/series/{series}/instances/{sop}"
            if not is_uid(series) or not is_uid(sop):
                skipped.append((locator, "its Series or SOP Instance UID is not a UID"))
                continue
            instance = Instance(
                sop_class_uid=record.code(tags.SOP_CLASS_UID),
                sop_instance_uid=sop,
                instance_number=record.number(tags.INSTANCE_NUMBER),
                number_of_frames=max(1, record.number(tags.NUMBER_OF_FRAMES) or 1),
                locator=locator,
            )
            found.append(Listed(series, instance))
        said = self._said(study_instance_uid)
        if said is not None and said != count:
            raise Unavailable(
                f"{self._http.url}: study {study_instance_uid} is said to have {said} instances, {count} are listed"
            )
        return found, skipped

    def _said(self, study_instance_uid: str) -> int | None:
        """How many instances the archive says there are, where it says so."""
        wanted = {
            _hex(tags.STUDY_INSTANCE_UID): study_instance_uid,
            "includefield": _hex(tags.NUMBER_OF_STUDY_RELATED_INSTANCES),
        }
        answer = self._http.json("/studies", wanted)
        records = self._records("/studies", answer)
        said = [
            number
            for one in records
            if one.code(tags.STUDY_INSTANCE_UID) == study_instance_uid
            and (number := one.number(tags.NUMBER_OF_STUDY_RELATED_INSTANCES)) is not None
        ]
        return sum(said) if said else None

    def header(self, study_instance_uid: str, listed: Listed) -> Study:
        """The study as one instance's metadata tell it."""
        answer = self._http.json(f"{listed.instance.locator}/metadata", may_be_absent=True)
        records = self._records(listed.instance.locator, answer)
        if len(records) != 1:
            raise MalformedMessage(f"{len(records)} data sets are given for its header", expected="one")
        return part_of(records[0])

    def chunks(self, instance: Instance) -> Iterator[bytes]:
        """The file, unwrapped from the multipart answer as it comes."""
        with self._http.stream(instance.locator, _ACCEPT) as answer:
            media_type, _ = parse_content_type(answer.content_type)
            if media_type == "application/dicom":
                yield from answer.chunks
            elif media_type == "multipart/related":
                yield from unwrapped(answer)
            else:
                raise Unavailable(f"{self._http.url}{instance.locator} is given out as {media_type or 'nothing'}")

    def _search(
        self, path: str, wanted: Mapping[str, str], key: Sequence[int], *, may_be_absent: bool = False
    ) -> Iterator[DataSet]:
        """All matches, page by page, each once: until a page brings nothing new."""
        seen: set[tuple[str, ...]] = set()
        offset = 0
        while True:
            page = {**wanted, "limit": str(_PAGE), "offset": str(offset)}
            records = self._records(path, self._http.json(path, page, may_be_absent=may_be_absent))
            known = len(seen)
            for one in records:
                name = tuple(one.code(tag) for tag in key)
                if name not in seen:
                    seen.add(name)
                    yield one
            if len(seen) == known:
                return
            offset += len(records)

    def _records(self, path: str, answer: object) -> list[DataSet]:
        try:
            return [] if answer is None else list(dicom_json.records(answer))
        except MalformedMessage as error:
            raise Unavailable(f"{self._http.url}{path}: {error}") from error


def unwrapped(answer: HttpAnswer) -> Iterator[bytes]:
    """The one part of an answer; Unavailable where it is cut off, or there is more than one."""
    parts = 0
    try:
        reader = MultipartReader(answer.content_type, _LIMITS, rooted=False)
        for chunk in answer.chunks:
            for event in reader.feed(chunk):
                if isinstance(event, PartData):
                    yield bytes(event.data)
                elif isinstance(event, PartStart):
                    parts += 1
        for event in reader.close():
            if isinstance(event, PartData):
                yield bytes(event.data)
    except MalformedMessage as error:
        raise Unavailable(f"the answer of the archive: {error}") from error


def _hex(tag: int) -> str:
    return f"{tag:08X}"
