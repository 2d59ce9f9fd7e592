"""Any DICOMweb archive: studies by QIDO-RS, headers and files by WADO-RS.

DICOM PS3.18 10.4 (Retrieve), 10.6 (Search). Answers come page by page; an archive whose pages do not add up to the
number of instances that it says a study has is not believed. Files are asked for series by series where many of one
are wanted, for each question by itself costs an archive more than the file.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import date
from pathlib import Path
from typing import Any

from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.imaging import Instance, Study
from xdsi.domain.pacs import StudyState
from xdsi.spec import tags
from xdsi.transport.http_client import HttpAccess, HttpAnswer, HttpClient
from xdsi.transport.pacs.remote import Listed, RemotePacs
from xdsi.transport.pacs.series_spool import SeriesSpool, Taken
from xdsi.wire import dicom_json
from xdsi.wire.dicom_header import part_of
from xdsi.wire.dicom_text import DataSet, is_uid
from xdsi.wire.multipart import MultipartLimits, MultipartReader, PartData, PartStart, parse_content_type

log = logging.getLogger("xdsi.dicomweb")

_PAGE = 1000
_CHUNK = 256 * 1024
_SINGLY = 3
"""files of a series that are looked at one by one, before the whole series is asked for"""
_PAUSE = 60.0
"""seconds in which a series that was asked for as a whole is not asked for so again to look at its files"""
_UNCHANGED = 60.0
"""seconds for which counts that are the same count for no change"""
_SERIES_KNOWN = 1000
_LIMITS = MultipartLimits(parts=1, part=64 * 1024**3, message=64 * 1024**3)
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*, application/dicom; transfer-syntax=*'


class DicomWebPacs(RemotePacs):
    """Studies of the archive at one DICOMweb base URL."""

    def __init__(self, url: str, access: HttpAccess, folder: Path, *, remember_seconds: float = 5.0) -> None:
        super().__init__(folder, remember_seconds=remember_seconds)
        self._http = HttpClient(url, access)
        self._spool = SeriesSpool(folder)
        self._looks: OrderedDict[str, int] = OrderedDict()
        """path of a series -> files of it that were looked at one by one"""
        self._tried: OrderedDict[str, float] = OrderedDict()
        """path of a series -> when it was asked for as a whole"""
        self._counted: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """Study Instance UID -> what was said of its series when it was listed, and when"""
        self._looking = threading.Lock()

    def close(self) -> None:
        """Remove files that were not taken."""
        self._spool.close()

    def told(self, since: date | None = None) -> Iterator[StudyState]:
        """Every study now present, or those of a study date not before `since`."""
        wanted = {"includefield": _hex(tags.NUMBER_OF_STUDY_RELATED_INSTANCES)}
        if since is not None:
            wanted[_hex(tags.STUDY_DATE)] = f"{since:%Y%m%d}-"
        for record in self._search("/studies", wanted, (tags.STUDY_INSTANCE_UID,)):
            said = sorted((tag, repr(value)) for tag, value in record.items())
            yield StudyState(record.code(tags.STUDY_INSTANCE_UID), hashlib.sha256(repr(said).encode()).hexdigest())

    def list_study(self, study_instance_uid: str) -> tuple[list[Listed], list[tuple[str, str]]]:
        """All instances of a study, as many as the archive says there are."""
        counts = self._counts(study_instance_uid)
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
        with self._looking:
            self._counted.pop(study_instance_uid, None)
            if counts is not None and found and not skipped:
                self._counted[study_instance_uid] = counts, time.monotonic()
                _trim(self._counted)
        return found, skipped

    def is_unchanged(self, study_instance_uid: str) -> bool:
        """By what the archive says of each series, with its count: for a minute, because one may go as another comes.

        To list instances costs an archive that does not index all of it milliseconds for each.
        """
        with self._looking:
            counts, since = self._counted.get(study_instance_uid, (None, 0.0))
        if counts is None or time.monotonic() - since > _UNCHANGED:
            return False
        return self._counts(study_instance_uid) == counts

    def _counts(self, study_instance_uid: str) -> str | None:
        """All that is said of the series; None where the archive does not count the instances of each."""
        wanted = {"includefield": _hex(tags.NUMBER_OF_SERIES_RELATED_INSTANCES)}
        path = f"/studies/{study_instance_uid}/series"
        key = (tags.SERIES_INSTANCE_UID,)
        said = []
        try:
            for record in self._search(path, wanted, key, may_be_absent=True):
                if record.number(tags.NUMBER_OF_SERIES_RELATED_INSTANCES) is None:
                    return None
                said.append(repr(sorted((tag, repr(value)) for tag, value in record.items())))
        except Unavailable:
            # Nothing depends on it: the instances are listed.
            return None
        return hashlib.sha256(repr(sorted(said)).encode()).hexdigest() if said else None

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

    def look_at_syntax(self, instance: Instance) -> str:
        """What the file says; where several of a series are looked at, of all its files, which wait to be given out."""
        series = _series_of(instance)
        if self._is_worth_all(series):
            found = self._look_at_all(series)
            if instance.sop_instance_uid in found:
                return found[instance.sop_instance_uid]
        return super().look_at_syntax(instance)

    def _is_worth_all(self, series: str) -> bool:
        if not series:
            return False
        with self._looking:
            now, tried = time.monotonic(), self._tried.get(series)
            if tried is not None and now - tried < _PAUSE:
                return False
            looks = self._looks.pop(series, 0) + 1
            if looks <= _SINGLY:
                self._looks[series] = looks
                _trim(self._looks)
                return False
            self._tried.pop(series, None)
            self._tried[series] = now
            _trim(self._tried)
            return True

    def _look_at_all(self, series: str) -> Mapping[str, str]:
        found: dict[str, str] = {}
        # What the archive does not give so, it is asked for file by file: that answer stands.
        with suppress(Unavailable), closing(self._files_of(series)) as files:
            for taken in files:
                meant = self._meant(series, taken.sop_instance_uid)
                if meant is not None and meant.identity is not None and not taken.identity.is_of(meant.identity):
                    self.note_other(meant)
                    taken.discard()
                    continue
                found[taken.sop_instance_uid] = taken.transfer_syntax_uid
                self._spool.hold(taken)
        self.remember_syntaxes(found)
        return found

    def _meant(self, series: str, sop_instance_uid: str) -> Instance | None:
        """The instance that a file has to be, as far as its study was read."""
        known = self._studies.get(series.split("/")[2])
        place = known.places.get(sop_instance_uid) if known is not None else None
        return place[1] if place is not None else None

    def chunks(self, instance: Instance) -> Iterator[bytes]:
        """The file, as it waits here, or unwrapped from the answer as it comes."""
        path = self._spool.take(instance.sop_instance_uid)
        if path is not None:
            yield from _read(path)
            return
        with self._http.stream(instance.locator, _ACCEPT) as answer:
            media_type, _ = parse_content_type(answer.content_type)
            if media_type == "application/dicom":
                yield from answer.chunks
            elif media_type == "multipart/related":
                yield from unwrapped(answer)
            else:
                raise Unavailable(f"{self._http.url}{instance.locator} is given out as {media_type or 'nothing'}")

    def whole(self, instances: Sequence[Instance]) -> Iterator[bytes | None] | None:
        """Series by series, where at least half of a series is wanted; a series that is cut off ends it all."""
        wanted = Counter(map(_series_of, instances))
        worth = {one for one, count in wanted.items() if one and count > _SINGLY and 2 * count >= self._count(one)}
        return self._whole(instances, worth) if worth else None

    def _whole(self, instances: Sequence[Instance], worth: set[str]) -> Iterator[bytes | None]:
        of = ""
        coming: Generator[Taken, None, None] = self._files_of(of)
        try:
            for instance in instances:
                uid, series = instance.sop_instance_uid, _series_of(instance)
                if self._spool.holds(uid):
                    yield None
                    continue
                if series in worth:
                    # Each once: of series that are asked for by turns the rest comes file by file.
                    worth.remove(series)
                    coming.close()
                    of, coming = series, self._files_of(series)
                yield self._next(uid, coming) if of == series else None
        finally:
            coming.close()

    def _next(self, uid: str, coming: Generator[Taken, None, None]) -> bytes | None:
        """A small file of those that come, what comes before it put aside; None where it waits, or does not come."""
        for taken in coming:
            if taken.sop_instance_uid == uid and taken.path is None:
                return taken.content
            self._spool.hold(taken)
            if taken.sop_instance_uid == uid:
                return None
        return None

    def _count(self, series: str) -> int:
        """How many instances a series has, as far as it was read."""
        _, _, study, _, uid = series.split("/")
        known = self._studies.get(study)
        return sum(place == uid for place, _ in known.places.values()) if known is not None else 0

    def _files_of(self, series: str) -> Generator[Taken, None, None]:
        """The files of a series, none where the archive does not give them so; Unavailable where that is cut off."""
        with ExitStack() as stack:
            try:
                answer = stack.enter_context(self._http.stream(series, _ACCEPT))
            except Unavailable as error:
                log.info("%s is asked for file by file: %s", series, error)
                return
            if parse_content_type(answer.content_type)[0] == "multipart/related":
                yield from self._spool.files(answer)

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


def _series_of(instance: Instance) -> str:
    return instance.locator.rpartition("/instances/")[0]


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise Unavailable(f"{path.parent}: {error.strerror}") from error
    finally:
        path.unlink(missing_ok=True)


def _trim(known: OrderedDict[str, Any]) -> None:
    while len(known) > _SERIES_KNOWN:
        known.popitem(last=False)


def _hex(tag: int) -> str:
    return f"{tag:08X}"
