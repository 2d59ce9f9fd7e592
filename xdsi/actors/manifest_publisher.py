"""Imaging Document Source, the publishing half: builds the manifest of a study and provides it (RAD-68).

RAD TF-2: 4.68. A study whose manifest or entry would differ from the last is published again, replacing it (RPLC). An
attempt whose answer was lost is sent again as it was, so that it is registered once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from xdsi.actors import imaging_reports
from xdsi.actors import manifest_documents as documents
from xdsi.actors.manifest_documents import Made, SentDocument
from xdsi.domain.codes import Code
from xdsi.domain.errors import MalformedMessage, SoapFault, Unavailable
from xdsi.domain.identifiers import PatientId, new_oid
from xdsi.domain.imaging import Study
from xdsi.domain.imaging_profile import KOS, ImagingProfile
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Outcome, Problem, Status
from xdsi.domain.ports import Clock, InstanceSource
from xdsi.domain.submission import Document, Provision
from xdsi.exchange import Channel, Client, call
from xdsi.rules import manifest as manifest_rules
from xdsi.rules import manifest_metadata as metadata
from xdsi.rules.imaging_reports import Report, reports_of
from xdsi.transactions import iti41_provide_and_register_document_set as iti41
from xdsi.wire.message import Packaging


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt to keep: written before the manifest is sent, and again when the answer has come.

    `content` is a digest of what it says. `state` is `sending` (until it is known what became of it), `published`,
    `refused`, or `abandoned` where the study changed before that was known.
    """

    study_instance_uid: str
    content: str
    state: str
    unique_id: str
    entry_uuid: str
    submission_set: str
    repository_unique_id: str
    patient: str
    source_patient: str
    replaces: str = ""
    reason: str = ""
    series: str = ""
    """Series Instance UID of the manifest"""
    created: str = ""
    """when it was made, ISO 8601; empty in records that do not say, whose manifest cannot be made again"""
    confidentiality_codes: tuple[Code, ...] = ()
    """those of its entry, empty for those of the profile"""
    documents: tuple[SentDocument, ...] = ()
    """all documents of the submission; the first is the one that `unique_id` and `entry_uuid` name"""

    @property
    def current(self) -> tuple[SentDocument, ...]:
        """The documents; records of former versions name one, a Key Object Selection."""
        only = SentDocument(
            kind=KOS,
            unique_id=self.unique_id,
            entry_uuid=self.entry_uuid,
            replaces=(self.replaces,) if self.replaces else (),
        )
        return self.documents or (only,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ids:
    """What tells two submissions of the same content apart."""

    documents: tuple[SentDocument, ...]
    series: str = field(default_factory=new_oid)
    submission_set: str = field(default_factory=new_oid)
    created: datetime


class Publications(Protocol):
    """Keeps what was published."""

    def newest(self, study_instance_uid: str, *, state: str = "published") -> Attempt | None:
        """The newest publication of a study in a state, or None."""

    def keep(self, attempt: Attempt) -> None:
        """Store an attempt, or the new state of one."""


class Result(StrEnum):
    """What came of publishing a study."""

    PUBLISHED = "published"
    ANNOUNCED = "announced"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What came of publishing one study; `manifest` is the document that was sent, empty where none was."""

    result: Result
    study_instance_uid: str
    unique_id: str = ""
    entry_uuid: str = ""
    instances: int = 0
    problems: tuple[Problem, ...] = ()
    trace: str = ""
    manifest: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPublisher:
    """Publishes studies of one hospital to one repository.

    `domain_ids` gives the affinity domain's identifier of a departmental one.
    """

    client: Client
    repository: Channel
    repository_unique_id: str
    publications: Publications
    profile: ImagingProfile
    domain_ids: Mapping[PatientId, PatientId]
    domain_authority: str
    retrieve_location_uid: str
    retrieve_ae_title: str
    retrieve_url: str
    clock: Clock
    instances: InstanceSource | None = None
    """where reports are read that are published beside manifests; None publishes none"""
    contradicted: Callable[[Attempt], bool] = lambda attempt: False
    """asks the registry, where it can be asked, whether what it has under an attempt's uniqueId is something else"""

    def check(self, study: Study) -> tuple[Problem, ...]:
        """What keeps a manifest of the study from being made."""
        authority = self.profile.patient_id_authority
        found = manifest_rules.check_study(manifest_rules.shareable(study), patient_id_authority=authority)
        return (*found, *self._unmapped(study))

    def make(self, study: Study) -> Made:
        """A manifest of the study as it now is, of the first kind, published nowhere."""
        plan = documents.planned(self.profile.manifests, ())
        return self._made(study, (), _Ids(documents=plan, created=self.clock()))[0]

    def entry_of(self, study: Study) -> DocumentEntry:
        """What the entry of such a manifest would say, whichever it is."""
        return self._made(study, (), self._no_ids())[0].entry

    def made_before(self, study: Study) -> bytes:
        """The newest published manifest of an unchanged study, to the byte."""
        attempt = self.publications.newest(study.study_instance_uid)
        if attempt is None:
            raise LookupError(f"no manifest of {study.study_instance_uid} was published")
        return self._made(study, attempt.confidentiality_codes, _ids_of(attempt))[0].content

    def publish(
        self,
        study: Study,
        *,
        confidentiality_codes: tuple[Code, ...] = (),
        again: bool = False,
        snapshot_of: str = "",
    ) -> Published:
        """Publish a study unless its newest manifest says the same already; `again` publishes in any case.

        Without `confidentiality_codes` those of its newest manifest stay, at first those of the profile. `snapshot_of`
        is the entryUUID of the On-Demand entry that it is a snapshot of.
        """
        uid = study.study_instance_uid
        problems = self.check(study)
        if not Outcome.of(problems).accepted:
            return Published(result=Result.REFUSED, study_instance_uid=uid, problems=problems)
        former = self.publications.newest(uid)
        pending = self.publications.newest(uid, state="sending")
        latest = pending or former
        codes = confidentiality_codes or (latest.confidentiality_codes if latest is not None else ())
        content = self._digest(study, codes)
        if pending is not None:
            if pending.content == content and pending.created:
                return self._send(study, pending, retry=True, snapshot_of=snapshot_of)
            self.publications.keep(replace(pending, state="abandoned"))
        elif former is not None and former.content == content and not again:
            return Published(
                result=Result.UNCHANGED,
                study_instance_uid=uid,
                unique_id=former.unique_id,
                entry_uuid=former.entry_uuid,
            )
        try:
            attempt, unreadable = self._attempt(study, content, codes, replaced=former)
        except Unavailable as error:
            problem = Problem("XDSRepositoryError", f"a report cannot be read: {error}")
            return Published(result=Result.UNAVAILABLE, study_instance_uid=uid, problems=(problem,))
        published = self._send(study, attempt, snapshot_of=snapshot_of)
        return replace(published, problems=(*published.problems, *unreadable))

    def plan(self, study: Study, *, again: bool = False) -> Published:
        """What `publish` would do, without doing it."""
        uid = study.study_instance_uid
        problems = self.check(study)
        if not Outcome.of(problems).accepted:
            return Published(result=Result.REFUSED, study_instance_uid=uid, problems=problems)
        former = self.publications.newest(uid)
        if former is None:
            return Published(result=Result.PUBLISHED, study_instance_uid=uid)
        content = self._digest(study, former.confidentiality_codes)
        same = former.content == content and not again and self.publications.newest(uid, state="sending") is None
        return Published(
            result=Result.UNCHANGED if same else Result.REPLACED,
            study_instance_uid=uid,
            unique_id=former.unique_id,
            entry_uuid=former.entry_uuid,
        )

    def _unmapped(self, study: Study) -> Iterator[Problem]:
        local = study.patient.identifier(self.profile.patient_id_authority)
        if local is not None and self._domain_id(local) is None:
            yield Problem(
                "InvalidDocumentContent",
                f"patient {local.cx} has no identifier of the affinity domain",
                location=study.study_instance_uid,
                rule="STUDY.patient.unmapped",
            )

    def _domain_id(self, local: PatientId) -> PatientId | None:
        if local.authority == self.domain_authority:
            return local
        return self.domain_ids.get(local)

    def _no_ids(self) -> _Ids:
        return _Ids(
            documents=documents.nameless(self.profile.manifests),
            series="2.25.0",
            submission_set="2.25.0",
            created=datetime(2000, 1, 1, tzinfo=UTC),
        )

    def _made(self, study: Study, codes: tuple[Code, ...], ids: _Ids) -> tuple[Made, ...]:
        """The documents: the same bytes whenever they are made of the same study under the same ids."""
        local = study.patient.identifier(self.profile.patient_id_authority)
        patient_id = self._domain_id(local) if local is not None else None
        if patient_id is None:
            raise ValueError(f"study {study.study_instance_uid} has no patient of the domain")
        return documents.made(
            manifest_rules.shareable(study),
            [one for one in ids.documents if not one.source],
            replace(self.profile, confidentiality_codes=codes) if codes else self.profile,
            documents.Location(uid=self.retrieve_location_uid, ae_title=self.retrieve_ae_title, url=self.retrieve_url),
            patient_id=patient_id,
            series_instance_uid=ids.series,
            created=ids.created,
        )

    def _digest(self, study: Study, codes: tuple[Code, ...]) -> str:
        """What documents and their entries say; a study for which all would be the same needs no new manifest."""
        digest = hashlib.sha256()
        for one in self._made(study, codes, self._no_ids()):
            authors = tuple(replace(author, id="") for author in one.entry.authors)
            digest.update(one.content + repr(replace(one.entry, authors=authors)).encode())
        for report in self._reports(study):
            # What lies under a SOP Instance UID never changes.
            digest.update(f"{report.kind} {report.instance.sop_instance_uid}".encode())
        return digest.hexdigest()

    def _reports(self, study: Study) -> tuple[Report, ...]:
        return tuple(reports_of(manifest_rules.shareable(study), self.profile)) if self.instances is not None else ()

    def _attempt(
        self, study: Study, content: str, codes: tuple[Code, ...], *, replaced: Attempt | None
    ) -> tuple[Attempt, tuple[Problem, ...]]:
        """What to send, and what is said of reports that cannot be read; raises Unavailable while the PACS is away."""
        former = replaced.current if replaced else ()
        manifests = documents.planned(self.profile.manifests, former)
        reports, unreadable = imaging_reports.planned(self._reports(study), former, self.instances)
        ids = _Ids(documents=(*manifests, *reports), created=self.clock())
        entry = self._made(study, codes, ids)[0].entry
        attempt = Attempt(
            study_instance_uid=study.study_instance_uid,
            content=content,
            state="sending",
            unique_id=entry.unique_id,
            entry_uuid=entry.entry_uuid,
            submission_set=ids.submission_set,
            repository_unique_id=self.repository_unique_id,
            patient=entry.patient_id,
            source_patient=entry.source_patient_id,
            replaces=replaced.entry_uuid if replaced else "",
            series=ids.series,
            created=ids.created.isoformat(),
            confidentiality_codes=codes,
            documents=ids.documents,
        )
        return attempt, unreadable

    def _send(self, study: Study, attempt: Attempt, *, retry: bool = False, snapshot_of: str = "") -> Published:
        ids = _ids_of(attempt)
        sent = self._made(study, attempt.confidentiality_codes, ids)
        new = [one for one in ids.documents if not one.registered]
        try:
            reports = imaging_reports.made(study, new, sent[0].entry, self.profile, self.instances)
        except (Unavailable, MalformedMessage) as error:
            problem = Problem("XDSRepositoryError", f"a report cannot be read: {error}")
            uid = study.study_instance_uid
            return Published(result=Result.UNAVAILABLE, study_instance_uid=uid, problems=(problem,))
        sent = (*sent, *reports)
        submission = documents.submission(
            new,
            [one.entry for one in sent],
            self.profile,
            unique_id=ids.submission_set,
            now=ids.created,
        )
        if snapshot_of:
            submission = metadata.snapshot(submission, snapshot_of)
        # Kept before it is sent: whatever happens to this process, the study is known to be on its way.
        self.publications.keep(attempt)
        published = Published(
            result=Result.REPLACED if attempt.replaces else Result.PUBLISHED,
            study_instance_uid=study.study_instance_uid,
            unique_id=attempt.unique_id,
            entry_uuid=attempt.entry_uuid,
            instances=sum(1 for _ in manifest_rules.shareable(study).instances),
            manifest=sent[0].content,
        )
        try:
            called = call(
                self.client,
                iti41.TRANSACTION,
                Provision(submission, {one.entry.entry_uuid: _document(one) for one in sent}),
                self.repository,
                packaging=Packaging.MTOM,
                number="RAD-68",
            )
        except Unavailable as error:
            self.publications.keep(replace(attempt, reason=str(error)))
            problem = Problem("XDSRegistryNotAvailable", str(error))
            return replace(published, result=Result.UNAVAILABLE, problems=(problem,))
        except (MalformedMessage, SoapFault) as error:
            self.publications.keep(replace(attempt, state="refused", reason=str(error)))
            return replace(published, result=Result.REFUSED, problems=(Problem("Fault", str(error)),))
        called.close()
        outcome = called.answer
        if retry and registered_before(outcome, attempt):
            try:
                contradicted = self.contradicted(attempt)
            except Unavailable as error:
                problem = Problem("XDSRegistryNotAvailable", str(error))
                return replace(published, result=Result.UNAVAILABLE, problems=(problem,))
        else:
            contradicted = True
        if not contradicted:
            outcome = Outcome.of(problem for problem in outcome.problems if problem not in outcome.errors)
        published = replace(published, trace=called.reply.trace, problems=outcome.problems)
        if outcome.status is Status.SUCCESS:
            self.publications.keep(replace(attempt, state="published", reason=""))
            return published
        reasons = "; ".join(f"{p.code}: {p.context}" for p in outcome.errors)
        self.publications.keep(replace(attempt, state="refused", reason=reasons))
        return replace(published, result=Result.REFUSED)


def _ids_of(attempt: Attempt) -> _Ids:
    return _Ids(
        documents=attempt.current,
        series=attempt.series,
        submission_set=attempt.submission_set,
        created=datetime.fromisoformat(attempt.created),
    )


def registered_before(outcome: Outcome, attempt: Attempt) -> bool:
    """Whether a registry says that it has the submission already.

    All of it then, for it is registered as a whole: other errors follow from that, such as that what it replaces is
    deprecated.
    """
    return any(
        one.code == "XDSDuplicateUniqueIdInRegistry" and attempt.submission_set in f"{one.context} {one.location}"
        for one in outcome.errors
    )


def _document(made: Made) -> Document:
    return Document(open=lambda: iter((made.content,)), size=len(made.content), sha1=made.entry.hash)
