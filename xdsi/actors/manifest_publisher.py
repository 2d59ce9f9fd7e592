"""Imaging Document Source, the publishing half: builds the manifest of a study and provides it (RAD-68).

RAD TF-2: 4.68. A study that changed since its last manifest is published again, replacing the former (RPLC).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from xdsi.domain.codes import Code
from xdsi.domain.errors import MalformedMessage, SoapFault, Unavailable
from xdsi.domain.identifiers import PatientId, new_entry_uuid, new_oid
from xdsi.domain.imaging import Study
from xdsi.domain.imaging_profile import ImagingProfile
from xdsi.domain.outcome import Outcome, Problem, Status
from xdsi.domain.ports import Clock
from xdsi.domain.submission import Document, Provision, Submission
from xdsi.exchange import Channel, Client, call
from xdsi.rules import manifest as manifest_rules
from xdsi.rules import manifest_metadata as metadata
from xdsi.transactions import iti41_provide_and_register_document_set as iti41
from xdsi.wire import kos
from xdsi.wire.message import Packaging


class PublicationRecord(Protocol):
    """One attempt to publish, as it is kept."""

    @property
    def content(self) -> str:
        """Digest of the study's content."""

    @property
    def unique_id(self) -> str:
        """uniqueId of the manifest."""

    @property
    def entry_uuid(self) -> str:
        """entryUUID of its DocumentEntry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt to keep: written before the manifest is sent, and again when the answer has come."""

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


class Publications(Protocol):
    """Keeps what was published."""

    def newest(self, study_instance_uid: str, *, state: str = "published") -> PublicationRecord | None:
        """The newest publication of a study in a state, or None."""

    def keep(self, attempt: Attempt) -> None:
        """Store an attempt, or the new state of one."""


class Result(StrEnum):
    """What came of publishing a study."""

    PUBLISHED = "published"
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

    def publish(
        self, study: Study, *, confidentiality_codes: tuple[Code, ...] = (), again: bool = False
    ) -> Published:
        """Publish a study unless its newest manifest says the same already; `again` publishes in any case."""
        content = _digest(study)
        former = self.publications.newest(study.study_instance_uid)
        if former is not None and former.content == content and not again:
            return Published(
                result=Result.UNCHANGED,
                study_instance_uid=study.study_instance_uid,
                unique_id=former.unique_id,
                entry_uuid=former.entry_uuid,
            )
        authority = self.profile.patient_id_authority
        problems = (*manifest_rules.check_study(study, patient_id_authority=authority), *self._unmapped(study))
        if not Outcome.of(problems).accepted:
            return Published(
                result=Result.REFUSED, study_instance_uid=study.study_instance_uid, problems=tuple(problems)
            )
        manifest, submission = self._submission(study, confidentiality_codes)
        if former is not None:
            submission = metadata.replacement(submission, former.entry_uuid)
        return self._send(study, content, manifest, submission, replaced=former)

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

    def _submission(self, study: Study, confidentiality_codes: tuple[Code, ...]) -> tuple[bytes, Submission]:
        now = self.clock()
        study = metadata.localized(study, self.profile)
        sop_instance_uid = new_oid()
        manifest = kos.encode(
            study,
            retrieve_location_uid=self.retrieve_location_uid,
            retrieve_ae_title=self.retrieve_ae_title,
            retrieve_url=self.retrieve_url,
            sop_instance_uid=sop_instance_uid,
            series_instance_uid=new_oid(),
            now=now,
        )
        facts = metadata.ManifestFacts(
            sop_instance_uid=sop_instance_uid,
            created=now,
            size=len(manifest),
            sha1=hashlib.sha1(manifest, usedforsecurity=False).hexdigest(),
        )
        local = study.patient.identifier(self.profile.patient_id_authority)
        patient_id = self._domain_id(local) if local is not None else None
        if patient_id is None:
            raise ValueError(f"study {study.study_instance_uid} has no patient of the domain")
        profile = self.profile
        if confidentiality_codes:
            profile = replace(profile, confidentiality_codes=confidentiality_codes)
        entry = metadata.document_entry(study, facts, profile, patient_id=patient_id, entry_uuid=new_entry_uuid())
        return manifest, metadata.submission(entry, profile, unique_id=new_oid(), now=now)

    def _send(
        self,
        study: Study,
        content: str,
        manifest: bytes,
        submission: Submission,
        *,
        replaced: PublicationRecord | None,
    ) -> Published:
        (entry,) = submission.document_entries
        attempt = Attempt(
            study_instance_uid=study.study_instance_uid,
            content=content,
            state="sending",
            unique_id=entry.unique_id,
            entry_uuid=entry.entry_uuid,
            submission_set=submission.submission_set.unique_id,
            repository_unique_id=self.repository_unique_id,
            patient=entry.patient_id,
            source_patient=entry.source_patient_id,
            replaces=replaced.entry_uuid if replaced else "",
        )
        # Kept before it is sent: whatever happens to this process, the study is known to be on its way.
        self.publications.keep(attempt)
        document = Document(open=lambda: iter((manifest,)), size=len(manifest), sha1=entry.hash)
        published = Published(
            result=Result.REPLACED if replaced else Result.PUBLISHED,
            study_instance_uid=study.study_instance_uid,
            unique_id=entry.unique_id,
            entry_uuid=entry.entry_uuid,
            instances=sum(1 for _ in study.instances),
            manifest=manifest,
        )
        try:
            called = call(
                self.client,
                iti41.TRANSACTION,
                Provision(submission, {entry.entry_uuid: document}),
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
        published = replace(published, trace=called.reply.trace, problems=outcome.problems)
        if outcome.status is Status.SUCCESS:
            self.publications.keep(replace(attempt, state="published"))
            return published
        reasons = "; ".join(f"{p.code}: {p.context}" for p in outcome.errors)
        self.publications.keep(replace(attempt, state="refused", reason=reasons))
        return replace(published, result=Result.REFUSED)


def _digest(study: Study) -> str:
    """What a manifest says of a study; two studies with the same digest need no new manifest."""
    digest = hashlib.sha256()
    for part in (study.patient, study.accessions, study.date, study.time, study.description, study.procedure_codes):
        digest.update(repr(part).encode() + b"\0")
    for series in study.series:
        digest.update(f"{series.series_instance_uid} {series.modality} {series.body_part}\0".encode())
        for instance in series.instances:
            digest.update(f"{instance.sop_class_uid} {instance.sop_instance_uid}\0".encode())
    return digest.hexdigest()
