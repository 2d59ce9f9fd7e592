"""The archive as it is shared: issuers of patient ids by their OIDs, and without instances that were rejected.

IHE RAD TF-2 4.66 (Rejection Note Stored): what a rejection note names is neither published nor given out; the note may
have come before the instances it names. What a patient's identifier belongs to is settled here, once, for manifests
and for the decisions on images alike.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date
from pathlib import Path

from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.imaging import Instance, Study
from xdsi.domain.pacs import Changes, StudyState
from xdsi.domain.ports import Pacs
from xdsi.rules import manifest as manifest_rules
from xdsi.wire import kos

log = logging.getLogger("xdsi.source")
_SECONDS = 1.0
_LARGEST_NOTE = 64 * 1024 * 1024


class SharedArchive:
    """A `Pacs` before another one. `issuers` are OIDs by Issuer of Patient ID, `rejections` titles that are heeded."""

    def __init__(
        self,
        pacs: Pacs,
        *,
        issuers: Mapping[str, str],
        rejections: Collection[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pacs = pacs
        self._issuers = issuers
        self._rejections = frozenset(rejections)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._named: dict[str, frozenset[str]] = {}
        """SOP Instance UID of a note -> what it names"""
        self._rejected: dict[str, tuple[frozenset[str], float]] = {}
        """Study Instance UID -> rejected instances, until when that is used again"""

    def studies(self) -> Iterable[Study]:
        """All studies that have something to be shared."""
        return (shared for study in self._pacs.studies() if (shared := self._shared(study)) is not None)

    def study(self, study_instance_uid: str) -> Study | None:
        """One study, as far as it is shared."""
        return self._shared(self._pacs.study(study_instance_uid))

    def reread(self, study_instance_uid: str) -> Study | None:
        """The study as it is now, as far as it is shared."""
        return self._shared(self._pacs.reread(study_instance_uid))

    def locate(self, study_uid: str, series_uid: str, sop_uid: str) -> Instance | None:
        """The instance, only if it lies in that series of that study and was not rejected."""
        found = self._pacs.locate(study_uid, series_uid, sop_uid)
        return None if found is None or sop_uid in self._rejected_of(study_uid) else found

    def open(self, instance: Instance) -> Iterator[bytes]:
        """As the archive gives it."""
        return self._pacs.open(instance)

    def ahead(self, instances: Sequence[Instance]) -> Iterator[Iterator[bytes]] | None:
        """As the archive gives them."""
        return self._pacs.ahead(instances)

    def file(self, instance: Instance) -> AbstractContextManager[Path]:
        """As the archive gives it."""
        return self._pacs.file(instance)

    def states(self, since: date | None = None) -> Iterator[StudyState]:
        """As the archive tells them."""
        return self._pacs.states(since)

    def changes(self, since: str) -> Changes | None:
        """As the archive tells them."""
        return self._pacs.changes(since)

    def skipped(self) -> Sequence[tuple[str, str]]:
        """As the archive tells it."""
        return self._pacs.skipped()

    def close(self) -> None:
        """End what the archive's adapter has begun."""
        close = getattr(self._pacs, "close", None)
        if close is not None:
            close()

    def _shared(self, study: Study | None) -> Study | None:
        if study is None:
            return None
        issuer = self._issuers.get(study.patient.issuer_name) or self._issuers.get(study.patient.issuer)
        if issuer:
            study = replace(study, patient=replace(study.patient, issuer=issuer))
        rejected = self._note_all(study)
        kept = manifest_rules.without(study, rejected) if rejected else study
        return kept if manifest_rules.shareable(kept).series else None

    def _rejected_of(self, study_uid: str) -> frozenset[str]:
        with self._lock:
            rejected, until = self._rejected.get(study_uid, (frozenset(), 0.0))
        if until > self._monotonic():
            return rejected
        study = self._pacs.study(study_uid)
        return self._note_all(study) if study is not None else frozenset()

    def _note_all(self, study: Study) -> frozenset[str]:
        notes = manifest_rules.rejection_notes(study, self._rejections)
        rejected = frozenset(uid for note in notes for uid in self._names(note))
        with self._lock:
            self._rejected[study.study_instance_uid] = rejected, self._monotonic() + _SECONDS
            if len(self._rejected) > 1000:
                self._rejected.pop(next(iter(self._rejected)))
        return rejected

    def _names(self, note: Instance) -> frozenset[str]:
        """What a note names; raises Unavailable where it cannot be read, for then it may name anything."""
        with self._lock:
            known = self._named.get(note.sop_instance_uid)
        if known is not None:
            return known
        content = bytearray()
        for chunk in self._pacs.open(note):
            content += chunk
            if len(content) > _LARGEST_NOTE:
                raise Unavailable(f"the rejection note {note.sop_instance_uid} is too large to be read")
        try:
            decoded = kos.decode(bytes(content), rejections=True)
        except MalformedMessage as error:
            raise Unavailable(f"the rejection note {note.sop_instance_uid} cannot be read: {error}") from error
        named = frozenset(one.sop_instance_uid for one in decoded.references) | frozenset(decoded.tree)
        with self._lock:
            self._named[note.sop_instance_uid] = named
        log.info("rejection note %s names %d instances", note.sop_instance_uid, len(named))
        return named
