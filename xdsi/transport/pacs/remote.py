"""What the adapters of remote archives share: studies read a moment ago are remembered, and files are checked.

An adapter says which instances a study has and reads a full header of each series, because archives index little of
what a manifest needs; what comes of an instance is looked at while it passes.
"""

from __future__ import annotations

import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO
from pathlib import Path

from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.imaging import Instance, Series, Study, as_witnesses, merge, of_several_patients
from xdsi.domain.pacs import Changes, StudyState
from xdsi.wire.dicom_reader import transfer_syntax_of
from xdsi.wire.dicom_text import is_uid

_REMEMBERED_STUDIES = 32
_REMEMBERED_SYNTAXES = 200_000
_HEAD = 8 * 1024
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
"""SOP classes of structured reports and Key Object Selections begin so: each is told from the next by its header"""


@dataclass(frozen=True, slots=True)
class Listed:
    """An instance as an archive lists it: in which series, and how its header is asked for (its locator)."""

    series_instance_uid: str
    instance: Instance


@dataclass(frozen=True, slots=True)
class _Remembered:
    study: Study | None
    places: dict[str, tuple[str, Instance]]
    """SOP Instance UID -> series, instance"""
    until: float


class RemotePacs(ABC):
    """The part of the port `Pacs` that does not depend on how an archive is asked. Threads may share it."""

    def __init__(
        self, folder: Path, *, remember_seconds: float = 5.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._remember_seconds = remember_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._reading: dict[str, threading.Lock] = {}
        self._studies: OrderedDict[str, _Remembered] = OrderedDict()
        self._syntaxes: OrderedDict[str, str] = OrderedDict()
        self._skipped: dict[str, tuple[tuple[str, str], ...]] = {}

    # What an adapter says.

    @abstractmethod
    def states(self, since: date | None = None) -> Iterator[StudyState]:
        """Every study now present, or those of a study date not before `since`."""

    def changes(self, since: str) -> Changes | None:
        """What has changed after a cursor; None, for most archives keep no such record."""
        return None

    @abstractmethod
    def list_study(self, study_instance_uid: str) -> tuple[list[Listed], list[tuple[str, str]]]:
        """All instances of a study, none where there is no such study, and what cannot be served with the reason.

        Raises Unavailable where that is not certain to be all.
        """

    @abstractmethod
    def header(self, study_instance_uid: str, listed: Listed) -> Study:
        """The study as one instance's header tells it; MalformedMessage where it does not say which it is."""

    @abstractmethod
    def chunks(self, instance: Instance) -> Iterator[bytes]:
        """The Part-10 file as it comes; raises Unavailable where it cannot be had or breaks off."""

    # What they share.

    def studies(self) -> Iterator[Study]:
        """All studies now present, each read when its turn comes."""
        for uid in sorted({state.study_instance_uid for state in self.states()}):
            study = self.study(uid)
            if study is not None:
                yield study

    def study(self, study_instance_uid: str) -> Study | None:
        """One study with its series and instances, as it was seconds ago at most."""
        return self._remembered(study_instance_uid).study

    def reread(self, study_instance_uid: str) -> Study | None:
        """The study as it is now."""
        with self._lock:
            self._studies.pop(study_instance_uid, None)
        return self.study(study_instance_uid)

    def locate(self, study_uid: str, series_uid: str, sop_uid: str) -> Instance | None:
        """The instance, only if it lies in that series of that study, with its transfer syntax."""
        place = self._remembered(study_uid).places.get(sop_uid)
        if place is None or place[0] != series_uid:
            return None
        instance = place[1]
        return instance if instance.transfer_syntax_uid else self._with_syntax(instance)

    def open(self, instance: Instance) -> Iterator[bytes]:
        """The Part-10 file in chunks, asked for when read; raises Unavailable where it breaks off or is none."""
        return self._checked(instance)

    def skipped(self) -> Sequence[tuple[str, str]]:
        """What was met in studies that were read, and cannot be served: where it is, and why."""
        with self._lock:
            return sorted(one for reasons in self._skipped.values() for one in reasons)

    @contextmanager
    def file(self, instance: Instance) -> Iterator[Path]:
        """The instance as a file, for as long as the block lasts."""
        path = self._folder / secrets.token_hex(16)
        try:
            with path.open("xb") as target:
                for chunk in self.open(instance):
                    target.write(chunk)
            yield path
        except OSError as error:
            raise Unavailable(f"{self._folder}: {error.strerror}") from error
        finally:
            path.unlink(missing_ok=True)

    def _remembered(self, uid: str) -> _Remembered:
        if not is_uid(uid):
            return _Remembered(None, {}, 0.0)
        with self._lock:
            known = self._studies.get(uid)
            if known is not None and known.until > self._monotonic():
                return known
            reading = self._reading.setdefault(uid, threading.Lock())
        # One asks, the others wait for what it finds.
        with reading:
            with self._lock:
                known = self._studies.get(uid)
            if known is not None and known.until > self._monotonic():
                return known
            study, skipped = self._read(uid)
            places = {
                one.sop_instance_uid: (series.series_instance_uid, one)
                for series in (study.series if study else ())
                for one in series.instances
            }
            read = _Remembered(study, places, self._monotonic() + self._remember_seconds)
            with self._lock:
                self._studies[uid] = read
                self._studies.move_to_end(uid)
                while len(self._studies) > _REMEMBERED_STUDIES:
                    self._studies.popitem(last=False)
                self._reading.pop(uid, None)
                if skipped:
                    self._skipped[uid] = tuple(skipped)
                else:
                    self._skipped.pop(uid, None)
            return read

    def _read(self, uid: str) -> tuple[Study | None, list[tuple[str, str]]]:
        listed, skipped = self.list_study(uid)
        series: dict[str, list[Listed]] = {}
        seen: dict[str, str] = {}
        for one in listed:
            sop_uid = one.instance.sop_instance_uid
            if sop_uid in seen:
                skipped.append((one.instance.locator, f"the same SOP Instance UID as in series {seen[sop_uid]}"))
                continue
            seen[sop_uid] = one.series_instance_uid
            series.setdefault(one.series_instance_uid, []).append(one)
        parts = [part for members in series.values() for part in self._series(uid, members, skipped)]
        if not parts:
            return None, skipped
        if of_several_patients(parts):
            skipped.append((uid, f"instances of study {uid} name different patients"))
            return None, skipped
        return merge(as_witnesses(parts)), skipped

    def _series(self, uid: str, members: list[Listed], skipped: list[tuple[str, str]]) -> Iterator[Study]:
        """A part for the series as its first readable header tells it, and one for each report with its own title."""
        whole: Study | None = None
        for one in members:
            class_uid = one.instance.sop_class_uid
            if whole is not None and class_uid and not class_uid.startswith(_REPORTS):
                yield _with(whole, (one.instance,))
                continue
            try:
                part = self.header(uid, one)
            except MalformedMessage as error:
                skipped.append((one.instance.locator, str(error)))
                continue
            (header_series,) = part.series
            (told,) = header_series.instances
            found = (part.study_instance_uid, header_series.series_instance_uid, told.sop_instance_uid)
            if found != (uid, one.series_instance_uid, one.instance.sop_instance_uid):
                skipped.append((one.instance.locator, "its header says that it is another instance than was listed"))
                continue
            listed = one.instance
            instance = replace(
                told,
                locator=listed.locator,
                size=listed.size,
                transfer_syntax_uid=listed.transfer_syntax_uid or told.transfer_syntax_uid,
                instance_number=told.instance_number if told.instance_number is not None else listed.instance_number,
            )
            whole = whole or part
            yield _with(part, (instance,))

    def _with_syntax(self, instance: Instance) -> Instance:
        """Some archives do not say it: the beginning of the file does."""
        uid = instance.sop_instance_uid
        with self._lock:
            known = self._syntaxes.get(uid)
        if known is None:
            known = self.look_at_syntax(instance)
            with self._lock:
                self._syntaxes[uid] = known
                while len(self._syntaxes) > _REMEMBERED_SYNTAXES:
                    self._syntaxes.popitem(last=False)
        return replace(instance, transfer_syntax_uid=known)

    def look_at_syntax(self, instance: Instance) -> str:
        """The transfer syntax that the file of an instance says."""
        head = bytearray()
        chunks = self.open(instance)
        for chunk in chunks:
            head += chunk
            if len(head) >= _HEAD:
                break
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
        try:
            return transfer_syntax_of(BytesIO(head))
        except MalformedMessage as error:
            raise Unavailable(f"{instance.locator}: {error}") from error

    def _checked(self, instance: Instance) -> Iterator[bytes]:
        if not instance.locator:
            raise Unavailable(f"{instance.sop_instance_uid} is not known to lie in this archive")
        size, head = 0, b""
        for chunk in self.chunks(instance):
            if size < 132:
                head += bytes(chunk[: 132 - size])
                if len(head) == 132 and head[128:] != b"DICM":
                    raise Unavailable(f"{instance.locator}: what the archive gives out is not a DICOM file")
            size += len(chunk)
            yield chunk
        if size < 132 or (instance.size and size != instance.size):
            raise Unavailable(f"{instance.locator}: {size} bytes came, not {instance.size or 'a DICOM file'}")


def _with(part: Study, instances: tuple[Instance, ...]) -> Study:
    series: Series = part.series[0]
    return replace(part, series=(replace(series, instances=instances),))
