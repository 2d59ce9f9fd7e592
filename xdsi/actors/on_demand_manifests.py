"""On-Demand Document Source: announces a study's manifest, and makes it at the moment it is asked for.

ITI TF-2: 3.61 (announcing), 3.43.4.2.2-3 (making; with the Persistence option each snapshot is stored and registered
before it is given out). What was announced is asked for by a uniqueId that no document ever has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from xdsi.actors.manifest_publisher import Attempt, ManifestPublisher, Published, Result, registered_before
from xdsi.domain.errors import MalformedMessage, SoapFault, Unavailable
from xdsi.domain.identifiers import new_entry_uuid, new_oid
from xdsi.domain.imaging import Study
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Outcome, Problem, Status
from xdsi.domain.retrieval import MadeDocument
from xdsi.domain.submission import Document
from xdsi.exchange import Channel, call
from xdsi.rules import manifest_metadata as metadata
from xdsi.spec import uuids
from xdsi.transactions import iti61_register_on_demand_document_entry as iti61

ANNOUNCED, ANNOUNCING = "announced", "announcing"


class Announcements(Protocol):
    """Keeps what was announced, beside what was published."""

    def newest(self, study_instance_uid: str, *, state: str = "published") -> Attempt | None:
        """The newest attempt for a study in a state, or None."""

    def announced(self, unique_id: str) -> Attempt | None:
        """The announcement with this uniqueId, or None."""

    def keep(self, attempt: Attempt) -> None:
        """Store an attempt, or the new state of one."""


class Studies(Protocol):
    """Where the studies are."""

    def study(self, study_instance_uid: str) -> Study | None:
        """One study, as it was when last looked at."""

    def reread(self, study_instance_uid: str) -> Study | None:
        """One study as it now is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemandManifests:
    """Announces studies at a registry and makes their manifests; implements the port OnDemandDocuments.

    `save_snapshots` has each manifest that says something new published, as a snapshot of the announced entry.
    """

    publisher: ManifestPublisher
    registry: Channel
    repository_unique_id: str
    announcements: Announcements
    studies: Callable[[], Studies]
    save_snapshots: bool
    alone: Callable[[str], AbstractContextManager[None]]
    """keeps everybody else from publishing and withdrawing a study, or raises Unavailable"""

    # -- announcing

    def announce(self, study: Study, *, again: bool = False) -> Published:
        """Register an On-Demand entry for a study unless its newest one says the same already."""
        uid = study.study_instance_uid
        problems = self.publisher.check(study)
        if not Outcome.of(problems).accepted:
            return Published(result=Result.REFUSED, study_instance_uid=uid, problems=problems)
        former = self.announcements.newest(uid, state=ANNOUNCED)
        pending = self.announcements.newest(uid, state=ANNOUNCING)
        content = hashlib.sha256(repr(_without_ids(self._entry(study, "", "2.25.0"))).encode()).hexdigest()
        if pending is not None and pending.content == content:
            return self._send(study, pending, retry=True)
        if pending is not None:
            self.announcements.keep(replace(pending, state="abandoned"))
        elif former is not None and former.content == content and not again:
            return Published(
                result=Result.UNCHANGED,
                study_instance_uid=uid,
                unique_id=former.unique_id,
                entry_uuid=former.entry_uuid,
            )
        entry = self._entry(study, new_entry_uuid(), new_oid())
        return self._send(study, self._attempt(study, entry, content, former))

    def _attempt(self, study: Study, entry: DocumentEntry, content: str, former: Attempt | None) -> Attempt:
        return Attempt(
            study_instance_uid=study.study_instance_uid,
            content=content,
            state=ANNOUNCING,
            unique_id=entry.unique_id,
            entry_uuid=entry.entry_uuid,
            submission_set=new_oid(),
            repository_unique_id=self.repository_unique_id,
            patient=entry.patient_id,
            source_patient=entry.source_patient_id,
            replaces=former.entry_uuid if former is not None else "",
            created=self.publisher.clock().isoformat(),
        )

    def _entry(self, study: Study, entry_uuid: str, unique_id: str) -> DocumentEntry:
        """What can be said of a manifest before it is made: no bytes, no time of creation (ITI TF-3 4.3.1)."""
        made = self.publisher.entry_of(study)
        return replace(
            made,
            entry_uuid=entry_uuid,
            unique_id=unique_id,
            object_type=uuids.ON_DEMAND,
            repository_unique_id=self.repository_unique_id,
            creation_time="",
            hash="",
            size="",
        )

    def _send(self, study: Study, attempt: Attempt, *, retry: bool = False) -> Published:
        entry = self._entry(study, attempt.entry_uuid, attempt.unique_id)
        submission = metadata.submission(
            entry,
            self.publisher.profile,
            unique_id=attempt.submission_set,
            now=datetime.fromisoformat(attempt.created).astimezone(UTC),
        )
        if attempt.replaces:
            submission = metadata.replacement(submission, attempt.replaces)
        # Kept before it is sent, as a manifest is.
        self.announcements.keep(attempt)
        done = Published(
            result=Result.REPLACED if attempt.replaces else Result.ANNOUNCED,
            study_instance_uid=study.study_instance_uid,
            unique_id=attempt.unique_id,
            entry_uuid=attempt.entry_uuid,
            instances=sum(1 for _ in study.instances),
        )
        try:
            called = call(self.publisher.client, iti61.TRANSACTION, submission, self.registry)
        except Unavailable as error:
            self.announcements.keep(replace(attempt, reason=str(error)))
            problem = Problem("XDSRegistryNotAvailable", str(error))
            return replace(done, result=Result.UNAVAILABLE, problems=(problem,))
        except (MalformedMessage, SoapFault) as error:
            self.announcements.keep(replace(attempt, state="refused", reason=str(error)))
            return replace(done, result=Result.REFUSED, problems=(Problem("Fault", str(error)),))
        called.close()
        outcome = called.answer
        if retry and registered_before(outcome, attempt):
            outcome = Outcome.of(problem for problem in outcome.problems if problem not in outcome.errors)
        done = replace(done, trace=called.reply.trace, problems=outcome.problems)
        if outcome.status is Status.SUCCESS:
            if attempt.replaces:
                self._forget(study.study_instance_uid)
            self.announcements.keep(replace(attempt, state=ANNOUNCED))
            return done
        reasons = "; ".join(f"{p.code}: {p.context}" for p in outcome.errors)
        self.announcements.keep(replace(attempt, state="refused", reason=reasons))
        return replace(done, result=Result.REFUSED)

    def _forget(self, study_instance_uid: str) -> None:
        """What was announced before is deprecated now; its uniqueId still leads to the study."""
        former = self.announcements.newest(study_instance_uid, state=ANNOUNCED)
        if former is not None:
            self.announcements.keep(replace(former, state="superseded"))

    # -- making

    def knows(self, unique_id: str) -> bool:
        """Whether a manifest was announced under this uniqueId, and its study is here."""
        announced = self.announcements.announced(unique_id)
        return announced is not None and self.studies().study(announced.study_instance_uid) is not None

    def make(self, unique_id: str) -> MadeDocument:
        """The manifest of the study as it now is; raises Unavailable when it cannot be made, or not be registered."""
        announced = self.announcements.announced(unique_id)
        if announced is None:
            raise Unavailable(f"nothing was announced as {unique_id}")
        if not self.save_snapshots:
            made = self.publisher.make(self._as_it_is(announced))
            return _document(made.content, made.entry.unique_id, "", made.entry.mime_type)
        # Those who ask together get the same snapshot: who comes second finds it among the publications. What the
        # study is, is asked once nobody else publishes it, so that no manifest replaces one that says more.
        with self.alone(announced.study_instance_uid):
            return self._snapshot(self._as_it_is(announced), announced)

    def _as_it_is(self, announced: Attempt) -> Study:
        """The study; raises Unavailable where there is none, or no manifest of it can be made."""
        study = self.studies().reread(announced.study_instance_uid)
        if study is None:
            raise Unavailable(f"no study of {announced.unique_id} is here")
        problems = Outcome.of(self.publisher.check(study)).errors
        if problems:
            raise Unavailable("; ".join(problem.context for problem in problems))
        return study

    def _snapshot(self, study: Study, announced: Attempt) -> MadeDocument:
        current = self.announcements.newest(study.study_instance_uid, state=ANNOUNCED) or announced
        published = self.publisher.publish(study, snapshot_of=current.entry_uuid)
        if published.result is Result.REFUSED:
            published = self.publisher.publish(study, snapshot_of=current.entry_uuid)
        if published.result in (Result.REFUSED, Result.UNAVAILABLE):
            reasons = "; ".join(f"{p.code}: {p.context}" for p in published.problems)
            raise Unavailable(f"the snapshot could not be registered: {reasons}")
        manifest = published.manifest or self.publisher.made_before(study)
        mime_type = self.publisher.entry_of(study).mime_type
        return _document(manifest, published.unique_id, self.publisher.repository_unique_id, mime_type)


def _document(manifest: bytes, unique_id: str, repository_unique_id: str, mime_type: str) -> MadeDocument:
    sha1 = hashlib.sha1(manifest, usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256(manifest).hexdigest()
    return MadeDocument(
        unique_id=unique_id,
        repository_unique_id=repository_unique_id,
        mime_type=mime_type,
        document=Document(lambda: iter((manifest,)), len(manifest), sha1, sha256),
    )


def _without_ids(entry: DocumentEntry) -> DocumentEntry:
    return replace(entry, authors=tuple(replace(author, id="") for author in entry.authors))
