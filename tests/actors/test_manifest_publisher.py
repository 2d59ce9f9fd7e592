"""RAD-68 from the publishing end: what is published when, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests import imaging
from tests.audit_samples import SITE
from tests.transactions.ports import clock
from tests.wire.ebxml.bodies import content_of, received
from xdsi.actors.manifest_publisher import Attempt, ManifestPublisher, Result
from xdsi.domain.audit import AuditEvent
from xdsi.domain.codes import Code
from xdsi.domain.errors import SoapFault, Unavailable
from xdsi.domain.identifiers import PatientId
from xdsi.domain.imaging import ImagedPatient
from xdsi.domain.imaging_profile import ImagingProfile
from xdsi.domain.outcome import Outcome, Problem, Severity
from xdsi.domain.submission import Provision
from xdsi.exchange import Client, Reply, Transaction
from xdsi.spec import uuids
from xdsi.wire import kos
from xdsi.wire.ebxml import provision, response
from xdsi.wire.message import Packaging, Payload

LOCAL, DOMAIN = PatientId("L1", "1.2.40.1"), PatientId("P1", "2.999.1.1")


@dataclass
class Repository:
    """A repository's endpoint: answers as told, and remembers what it was given."""

    outcome: Outcome = field(default_factory=Outcome)
    error: Exception | None = None
    received: list[Provision] = field(default_factory=list)
    watch: Any = None
    url: str = "https://hub.example/services/repository"

    def send(
        self, transaction: Transaction[Any, Any], payload: Payload, packaging: Packaging, security: bytes = b""
    ) -> Reply:
        self.received.append(provision.decode(received(payload)))
        assert (transaction.number, packaging) == ("ITI-41", Packaging.MTOM)
        if self.watch is not None:
            self.watch()
        if self.error is not None:
            raise self.error
        answer = received(response.encode(self.outcome, Packaging.SIMPLE))
        return Reply(answer, self, "ab" * 16)  # type: ignore[arg-type]

    def close(self) -> None:
        pass


class Publications:
    def __init__(self) -> None:
        self.attempts: dict[str, Attempt] = {}

    def newest(self, study_instance_uid: str, *, state: str = "published") -> Attempt | None:
        found = [one for one in self.attempts.values() if (one.study_instance_uid, one.state) == (study_instance_uid,
                 state)]  # fmt: skip
        return found[-1] if found else None

    def keep(self, attempt: Attempt) -> None:
        self.attempts[attempt.unique_id] = attempt


class Trail:
    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def append(self, events: Sequence[AuditEvent], *, trace: str, connection: Any = None) -> Sequence[int]:
        self.events.extend(events)
        return ()


@dataclass
class Hospital:
    repository: Repository = field(default_factory=Repository)
    publications: Publications = field(default_factory=Publications)
    trail: Trail = field(default_factory=Trail)
    domain_ids: dict[PatientId, PatientId] = field(default_factory=lambda: {LOCAL: DOMAIN})

    @property
    def publisher(self) -> ManifestPublisher:
        return ManifestPublisher(
            client=Client(site=SITE, trail=self.trail, clock=clock),
            repository=self.repository,
            repository_unique_id="2.999.1.2",
            publications=self.publications,
            profile=ImagingProfile(source_id="2.999.1.4", patient_id_authority="1.2.40.9"),
            domain_ids=self.domain_ids,
            domain_authority="2.999.1.1",
            retrieve_location_uid="2.999.1.3",
            retrieve_ae_title="PACS",
            retrieve_url="",
            clock=clock,
        )


STUDY = imaging.study()


def test_a_study_is_published_with_its_manifest_and_remembered() -> None:
    hospital = Hospital()
    done = hospital.publisher.publish(STUDY)
    assert (done.result, done.instances, done.trace, done.problems) == (Result.PUBLISHED, 3, "ab" * 16, ())
    (sent,) = hospital.repository.received
    (entry,) = sent.submission.document_entries
    assert (entry.unique_id, entry.patient_id, entry.source_patient_id) == (done.unique_id, DOMAIN.cx, LOCAL.cx)
    assert content_of(sent.documents[entry.entry_uuid]) == done.manifest
    manifest = kos.decode(done.manifest)
    assert (manifest.sop_instance_uid, manifest.study_instance_uid) == (done.unique_id, "1.2.3")
    assert {series.retrieve_location_uid for series in manifest.series} == {"2.999.1.3"}
    kept = hospital.publications.newest("1.2.3")
    assert kept is not None
    assert (kept.unique_id, kept.entry_uuid, kept.patient, kept.source_patient, kept.repository_unique_id) == (
        done.unique_id, done.entry_uuid, DOMAIN.cx, LOCAL.cx, "2.999.1.2",
    )  # fmt: skip
    assert [event.transaction for event in hospital.trail.events] == ["RAD-68"]


def test_an_attempt_is_remembered_before_it_is_sent() -> None:
    hospital = Hospital()
    states: list[list[str]] = []
    hospital.repository.watch = lambda: states.append([one.state for one in hospital.publications.attempts.values()])
    hospital.publisher.publish(STUDY)
    assert states == [["sending"]]
    assert [one.state for one in hospital.publications.attempts.values()] == ["published"]


def test_what_has_not_changed_is_not_sent_again() -> None:
    hospital = Hospital()
    first = hospital.publisher.publish(STUDY)
    again = hospital.publisher.publish(STUDY)
    assert (again.result, again.unique_id, again.entry_uuid) == (Result.UNCHANGED, first.unique_id, first.entry_uuid)
    assert len(hospital.repository.received) == 1


@pytest.mark.parametrize(
    "changed",
    [
        imaging.study(series=(imaging.series(count=4),)),
        imaging.study(series=(imaging.series(), imaging.series(2))),
        imaging.study(description="another"),
        imaging.study(accessions=()),
        replace(STUDY, patient=replace(STUDY.patient, name="Roe^Jo")),
    ],
)
def test_what_has_changed_replaces_the_former(changed: Any) -> None:
    hospital = Hospital()
    first = hospital.publisher.publish(STUDY)
    second = hospital.publisher.publish(changed)
    assert (second.result, second.unique_id != first.unique_id) == (Result.REPLACED, True)
    (replacement,) = [
        one for one in hospital.repository.received[1].submission.associations if one.type == uuids.RPLC
    ]
    assert (replacement.source, replacement.target) == (second.entry_uuid, first.entry_uuid)
    newest = hospital.publications.newest("1.2.3")
    assert newest is not None
    assert (newest.unique_id, newest.replaces) == (second.unique_id, first.entry_uuid)


def test_confidentiality_may_be_said_for_one_publication() -> None:
    hospital = Hospital()
    code = Code("R", "2.16.840.1.113883.5.25", "restricted")
    hospital.publisher.publish(STUDY, confidentiality_codes=(code,))
    assert hospital.repository.received[0].submission.document_entries[0].confidentiality_codes == (code,)


@pytest.mark.parametrize(
    ("study", "rule"),
    [
        (replace(STUDY, patient=ImagedPatient(id="L9", issuer="1.2.40.1")), "STUDY.patient.unmapped"),
        (replace(STUDY, patient=ImagedPatient()), "study.patient"),
        (replace(STUDY, series=()), "study.empty"),
    ],
)
def test_what_cannot_be_published_is_not_sent(study: Any, rule: str) -> None:
    hospital = Hospital()
    refused = hospital.publisher.publish(study)
    assert refused.result is Result.REFUSED
    assert rule in [problem.rule for problem in refused.problems]
    assert (hospital.repository.received, hospital.publications.attempts) == ([], {})


def test_a_patient_of_the_domain_itself_needs_no_map() -> None:
    hospital = Hospital(domain_ids={})
    done = hospital.publisher.publish(replace(STUDY, patient=ImagedPatient(id="P7", issuer="2.999.1.1")))
    assert done.result is Result.PUBLISHED
    assert hospital.repository.received[0].submission.document_entries[0].patient_id == "P7^^^&2.999.1.1&ISO"


def test_a_refusal_is_told_and_does_not_count_as_published() -> None:
    problem = Problem("XDSUnknownPatientId", "P1 [trace x]")
    hospital = Hospital(Repository(outcome=Outcome.of([problem])))
    refused = hospital.publisher.publish(STUDY)
    assert (refused.result, [one.code for one in refused.problems]) == (Result.REFUSED, ["XDSUnknownPatientId"])
    assert hospital.publications.newest("1.2.3") is None
    (kept,) = hospital.publications.attempts.values()
    assert (kept.state, "XDSUnknownPatientId" in kept.reason) == ("refused", True)


def test_a_warning_is_no_refusal() -> None:
    warning = Problem("XDSExtraMetadataNotSaved", "x", severity=Severity.WARNING)
    done = Hospital(Repository(outcome=Outcome.of([warning]))).publisher.publish(STUDY)
    assert (done.result, [one.code for one in done.problems]) == (Result.PUBLISHED, ["XDSExtraMetadataNotSaved"])


def test_a_fault_is_a_refusal() -> None:
    hospital = Hospital(Repository(error=SoapFault("Sender", "not permitted")))
    refused = hospital.publisher.publish(STUDY)
    assert (refused.result, refused.problems[0].context) == (Result.REFUSED, "not permitted")
    assert [one.state for one in hospital.publications.attempts.values()] == ["refused"]


def test_a_repository_that_is_away_may_have_taken_it() -> None:
    hospital = Hospital(Repository(error=Unavailable("broke off", uncertain=True)))
    missed = hospital.publisher.publish(STUDY)
    assert missed.result is Result.UNAVAILABLE
    assert [(one.state, one.reason) for one in hospital.publications.attempts.values()] == [("sending", "broke off")]
    hospital.repository.error = None
    assert hospital.publisher.publish(STUDY).result is Result.PUBLISHED
