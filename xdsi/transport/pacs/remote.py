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
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO
from pathlib import Path

from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.imaging import Identity, Instance, Study, as_witnesses, merge, of_several_patients
from xdsi.domain.pacs import Changes, StudyState
from xdsi.wire.dicom_identity import identity_of
from xdsi.wire.dicom_reader import transfer_syntax_of
from xdsi.wire.dicom_text import is_uid

_REMEMBERED_STUDIES = 32
_REMEMBERED_SYNTAXES = 200_000
_REMEMBERED_OTHERS = 10_000
_HEAD = 8 * 1024
_IDENTITY = 16 * 1024 * 1024
"""bytes within which a file has to say which image it is"""
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
        self._misnamed: frozenset[str] = frozenset()
        """Study Instance UIDs that are none"""
        self._others: OrderedDict[str, tuple[Identity, float]] = OrderedDict()
        """SOP Instance UID -> the image that was meant where another came in its place, and until when that is sure"""

    # What an adapter says.

    @abstractmethod
    def told(self, since: date | None = None) -> Iterator[StudyState]:
        """Every study now present, or those of a study date not before `since`, whatever its UID."""

    def changes(self, since: str) -> Changes | None:
        """What has changed after a cursor; None, for most archives keep no such record."""
        return None

    @abstractmethod
    def list_study(self, study_instance_uid: str) -> tuple[list[Listed], list[tuple[str, str]]]:
        """All instances of a study, none where there is no such study, and what cannot be served with the reason.

        Raises Unavailable where that is not certain to be all.
        """

    def is_unchanged(self, study_instance_uid: str) -> bool:
        """Whether the archive says, at less cost than listing it, that a study is what was listed last."""
        return False

    @abstractmethod
    def header(self, study_instance_uid: str, listed: Listed) -> Study:
        """The study as one instance's header tells it; MalformedMessage where it does not say which it is."""

    @abstractmethod
    def chunks(self, instance: Instance) -> Iterator[bytes]:
        """The Part-10 file as it comes; raises Unavailable where it cannot be had or breaks off."""

    def whole(self, instances: Sequence[Instance]) -> Iterator[bytes | None] | None:
        """Files one after the other, asked for before their turn; None for one that is to be asked for by `chunks`.

        None instead of all where the archive cannot be asked so.
        """
        return None

    # What they share.

    def states(self, since: date | None = None) -> Iterator[StudyState]:
        """Every study now present, or those of a study date not before `since`; others than by a UID are skipped."""
        wrong: set[str] = set()
        for state in self.told(since):
            if is_uid(state.study_instance_uid):
                yield state
            else:
                wrong.add(state.study_instance_uid)
        with self._lock:
            self._misnamed = frozenset(wrong) if since is None else self._misnamed | wrong

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
        """The Part-10 file in chunks, asked for when read; raises Unavailable where it breaks off or is none.

        At once where the study was read again since, and does not have the instance as it was located any more, and
        where another image came in its place the last time and still does: that one can be answered for by itself.
        """
        known = self._studies.get(instance.identity.study_instance_uid) if instance.identity is not None else None
        if known is not None:
            place = known.places.get(instance.sop_instance_uid)
            if place is None or place[1].identity != instance.identity:
                raise Unavailable(f"{instance.locator} is not what it was when it was found")
        self._look_again(instance)
        return self._checked(instance)

    def note_other(self, instance: Instance) -> None:
        """Another image came in the place of one that was meant."""
        if instance.identity is not None:
            with self._lock:
                sure = self._monotonic() + self._remember_seconds
                self._others[instance.sop_instance_uid] = instance.identity, sure
                while len(self._others) > _REMEMBERED_OTHERS:
                    self._others.popitem(last=False)

    def _look_again(self, instance: Instance) -> None:
        with self._lock:
            meant, sure = self._others.get(instance.sop_instance_uid, (None, 0.0))
        if meant is None or meant != instance.identity:
            return
        if self._monotonic() < sure:
            raise Unavailable(f"{instance.locator}: another image lies in its place")
        chunks = self._checked(instance)
        next(chunks, None)
        chunks.close()
        with self._lock:
            self._others.pop(instance.sop_instance_uid, None)

    def ahead(self, instances: Sequence[Instance]) -> Iterator[Iterator[bytes]] | None:
        """The files of these instances in order, looked at like any other."""
        contents = self.whole(instances)
        return None if contents is None else self._each(instances, contents)

    def _each(self, instances: Sequence[Instance], contents: Iterator[bytes | None]) -> Iterator[Iterator[bytes]]:
        try:
            for instance, content in zip(instances, contents, strict=True):
                yield self._checked(instance, content)
        finally:
            close = getattr(contents, "close", None)
            if close is not None:
                close()

    def skipped(self) -> Sequence[tuple[str, str]]:
        """What was met in studies that were read, and cannot be served: where it is, and why."""
        with self._lock:
            wrong = [(f"study {uid!r}", "its Study Instance UID is not a UID") for uid in self._misnamed]
            return sorted([*wrong, *(one for reasons in self._skipped.values() for one in reasons)])

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
            asked = self._monotonic()
            if known is not None and known.study is not None and self.is_unchanged(uid):
                with self._lock:
                    known = replace(known, until=asked + self._remember_seconds)
                    self._studies[uid] = known
                    self._reading.pop(uid, None)
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
                yield _with(whole, one.instance)
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
            yield _with(part, instance)

    def _with_syntax(self, instance: Instance) -> Instance:
        """Some archives do not say it: the beginning of the file does."""
        uid = instance.sop_instance_uid
        with self._lock:
            known = self._syntaxes.get(uid)
        if known is None:
            known = self.look_at_syntax(instance)
            self.remember_syntaxes({uid: known})
        return replace(instance, transfer_syntax_uid=known)

    def remember_syntaxes(self, found: Mapping[str, str]) -> None:
        """Transfer syntaxes by SOP Instance UID."""
        with self._lock:
            self._syntaxes.update(found)
            while len(self._syntaxes) > _REMEMBERED_SYNTAXES:
                self._syntaxes.popitem(last=False)

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

    def _checked(self, instance: Instance, content: bytes | None = None) -> Generator[bytes, None, None]:
        """The file, whole already or as it comes: nothing of it leaves before it said that it is the one meant."""
        if not instance.locator:
            raise Unavailable(f"{instance.sop_instance_uid} is not known to lie in this archive")
        # Where it is not, something came in between: the archive is asked again, and what it then says stands.
        if content is not None and self._is_right(instance, content):
            yield content
            return
        size, head, passed = 0, b"", False
        for chunk in self.chunks(instance):
            size += len(chunk)
            if passed:
                yield chunk
                continue
            head += chunk
            self._begins_right(instance, head)
            if instance.identity is None or self._says(instance, head, whole=False):
                passed = len(head) >= 132
            elif len(head) > _IDENTITY:
                raise Unavailable(f"{instance.locator}: it does not say which image it is")
            if passed:
                yield head
                head = b""
        if size < 132 or (instance.size and size != instance.size):
            raise Unavailable(f"{instance.locator}: {size} bytes came, not {instance.size or 'a DICOM file'}")
        if not passed:
            self._says(instance, head, whole=True)
            yield head

    def _is_right(self, instance: Instance, content: bytes) -> bool:
        try:
            self._begins_right(instance, content)
            said = instance.identity is None or self._says(instance, content, whole=True)
        except Unavailable:
            return False
        return said and len(content) >= 132 and len(content) == (instance.size or len(content))

    def _begins_right(self, instance: Instance, head: bytes) -> None:
        if len(head) >= 132 and head[128:132] != b"DICM":
            raise Unavailable(f"{instance.locator}: what the archive gives out is not a DICOM file")

    def _says(self, instance: Instance, head: bytes, *, whole: bool) -> bool:
        """True where a file says by its beginning that it is the one meant, False where it does not say yet."""
        try:
            said = identity_of(head, whole=whole)
        except MalformedMessage as error:
            raise Unavailable(f"{instance.locator}: {error}") from error
        if said is None:
            return False
        if instance.identity is not None and not said.is_of(instance.identity):
            self.note_other(instance)
            raise Unavailable(f"{instance.locator} is not the image any more that it was when it was found")
        return True


def _with(part: Study, instance: Instance) -> Study:
    """The part of its study that an instance is, as the header of its series tells it."""
    (series,) = part.series
    identity = Identity(
        study_instance_uid=part.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
        sop_instance_uid=instance.sop_instance_uid,
        patient_id=part.patient.id,
        issuer=part.patient.issuer,
        issuer_name=part.patient.issuer_name,
    )
    return replace(part, series=(replace(series, instances=(replace(instance, identity=identity),)),))
