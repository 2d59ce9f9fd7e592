"""RAD-68 from the publishing end: what is published when, and what is remembered of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests import imaging
from tests.audit_samples import SITE
from tests.transactions.ports import NOW, clock
from tests.wire.ebxml.bodies import content_of, received
from xdsi.actors.manifest_publisher import Attempt, ManifestPublisher, Result
from xdsi.domain.audit import AuditEvent
from xdsi.domain.codes import Code
from xdsi.domain.errors import SoapFault, Unavailable
from xdsi.domain.identifiers import PatientId
from xdsi.domain.imaging import ImagedPatient, Instance, Series
from xdsi.domain.imaging_profile import ImagingProfile
from xdsi.domain.outcome import Outcome, Problem, Severity
from xdsi.domain.submission import Provision
from xdsi.exchange import Client, Reply, Transaction
from xdsi.spec import uuids
from xdsi.wire import kos, mado_fhir_reader
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
    settings: dict[str, Any] = field(default_factory=dict)
    time: datetime = NOW

    @property
    def publisher(self) -> ManifestPublisher:
        given: dict[str, Any] = {
            "client": Client(site=SITE, trail=self.trail, clock=clock),
            "repository": self.repository,
            "repository_unique_id": "2.999.1.2",
            "publications": self.publications,
            "profile": ImagingProfile(source_id="2.999.1.4", patient_id_authority="1.2.40.9"),
            "domain_ids": self.domain_ids,
            "domain_authority": "2.999.1.1",
            "retrieve_location_uid": "2.999.1.3",
            "retrieve_ae_title": "PACS",
            "retrieve_url": "",
            "clock": lambda: self.time,
        }
        return ManifestPublisher(**given | self.settings)


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
    (replacement,) = [one for one in hospital.repository.received[1].submission.associations if one.type == uuids.RPLC]
    assert (replacement.source, replacement.target) == (second.entry_uuid, first.entry_uuid)
    newest = hospital.publications.newest("1.2.3")
    assert newest is not None
    assert (newest.unique_id, newest.replaces) == (second.unique_id, first.entry_uuid)


@pytest.mark.parametrize(
    "changed",
    [
        {"retrieve_location_uid": "2.999.1.8"},
        {"retrieve_ae_title": "ARCHIVE"},
        {"retrieve_url": "https://pacs.example/"},
        {"domain_ids": {LOCAL: PatientId("P2", "2.999.1.1")}},
        {"profile": ImagingProfile(source_id="2.999.1.4", patient_id_authority="1.2.40.9", organization_name="B")},
    ],
)
def test_what_is_said_otherwise_replaces_the_former(changed: dict[str, Any]) -> None:
    hospital = Hospital()
    hospital.publisher.publish(STUDY)
    hospital.settings = changed
    hospital.time += timedelta(days=1)
    assert [hospital.publisher.publish(STUDY).result for _ in range(2)] == [Result.REPLACED, Result.UNCHANGED]


def test_confidentiality_replaces_the_former_and_stays() -> None:
    hospital = Hospital()
    normal, restricted = (Code(code, "2.16.840.1.113883.5.25", code) for code in "NR")
    hospital.publisher.publish(STUDY)
    results = [
        hospital.publisher.publish(STUDY, confidentiality_codes=(restricted,)).result,
        hospital.publisher.publish(STUDY, confidentiality_codes=(restricted,)).result,
        hospital.publisher.publish(STUDY).result,
        hospital.publisher.publish(replace(STUDY, description="another")).result,
        hospital.publisher.publish(replace(STUDY, description="another"), confidentiality_codes=(normal,)).result,
    ]
    assert results == [Result.REPLACED, Result.UNCHANGED, Result.UNCHANGED, Result.REPLACED, Result.REPLACED]
    sent = [one.submission.document_entries[0].confidentiality_codes for one in hospital.repository.received]
    assert sent[1:] == [(restricted,), (restricted,), (normal,)]


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
    assert [one.state for one in hospital.publications.attempts.values()] == ["published"]


# -- a lost answer


def after_a_lost_answer(*, replacing: bool = False) -> Hospital:
    """A hospital whose last attempt got no answer, a day later."""
    hospital = Hospital()
    if replacing:
        hospital.publisher.publish(imaging.study(description="former"))
        hospital.repository.received.clear()
    hospital.repository.error = Unavailable("broke off", uncertain=True)
    restricted = Code("R", "2.16.840.1.113883.5.25", "restricted")
    assert hospital.publisher.publish(STUDY, confidentiality_codes=(restricted,)).result is Result.UNAVAILABLE
    hospital.repository.error = None
    hospital.time += timedelta(days=1)
    return hospital


def refusal(*problems: tuple[str, str]) -> Outcome:
    return Outcome.of(Problem(code, context) for code, context in problems)


def duplicate(hospital: Hospital) -> tuple[str, str]:
    unique_id = hospital.repository.received[-1].submission.submission_set.unique_id
    return "XDSDuplicateUniqueIdInRegistry", f"SubmissionSet uniqueId {unique_id} is registered [trace x]"


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("replacing", [False, True])
def test_after_a_lost_answer_the_same_is_sent_again(replacing: bool, again: bool) -> None:
    hospital = after_a_lost_answer(replacing=replacing)
    done = hospital.publisher.publish(STUDY, again=again)
    assert done.result is (Result.REPLACED if replacing else Result.PUBLISHED)
    first, second = hospital.repository.received
    (entry,) = first.submission.document_entries
    (resent,) = second.submission.document_entries
    assert replace(entry, authors=()) == replace(resent, authors=())
    assert content_of(first.documents[entry.entry_uuid]) == content_of(second.documents[entry.entry_uuid])
    sets = [one.submission.submission_set for one in (first, second)]
    assert sets[0].unique_id == sets[1].unique_id
    assert sets[0].submission_time == sets[1].submission_time
    targets = [
        [link.target for link in one.submission.associations if link.type == uuids.RPLC] for one in (first, second)
    ]
    assert targets[0] == targets[1]
    assert len(targets[0]) == replacing
    assert hospital.publisher.publish(STUDY).result is Result.UNCHANGED


@pytest.mark.parametrize("consequences", [(), (("XDSRegistryDeprecatedDocumentError", "what it replaces"),)])
def test_what_was_registered_before_the_answer_was_lost_is_published(consequences: Any) -> None:
    hospital = after_a_lost_answer()
    hospital.repository.outcome = refusal(duplicate(hospital), *consequences)
    done = hospital.publisher.publish(STUDY)
    assert (done.result, done.problems) == (Result.PUBLISHED, ())
    kept = hospital.publications.newest("1.2.3")
    assert kept is not None
    assert (kept.unique_id, kept.entry_uuid) == (done.unique_id, done.entry_uuid)


@pytest.mark.parametrize(
    "problems",
    [
        [("XDSDuplicateUniqueIdInRegistry", "SubmissionSet uniqueId 2.25.1 is registered")],
        [("XDSUnknownPatientId", "P1")],
    ],
)
def test_another_refusal_of_what_is_sent_again_is_one(problems: list[tuple[str, str]]) -> None:
    hospital = after_a_lost_answer()
    hospital.repository.outcome = refusal(*problems)
    assert hospital.publisher.publish(STUDY).result is Result.REFUSED
    assert hospital.publications.newest("1.2.3") is None


def test_a_duplicate_at_the_first_attempt_is_a_refusal() -> None:
    hospital = Hospital()

    def taken() -> None:
        hospital.repository.outcome = refusal(duplicate(hospital))

    hospital.repository.watch = taken
    assert hospital.publisher.publish(STUDY).result is Result.REFUSED


def test_a_study_that_changed_since_is_sent_anew() -> None:
    hospital = after_a_lost_answer()
    assert hospital.publisher.publish(imaging.study(description="another")).result is Result.PUBLISHED
    first, second = (one.submission for one in hospital.repository.received)
    assert first.submission_set.unique_id != second.submission_set.unique_id
    # Whoever restricted it meant the study, not that one attempt.
    assert second.document_entries[0].confidentiality_codes == first.document_entries[0].confidentiality_codes
    assert [one.state for one in hospital.publications.attempts.values()] == ["abandoned", "published"]


def test_an_attempt_that_cannot_be_made_again_is_not_tried() -> None:
    hospital = after_a_lost_answer()
    (pending,) = hospital.publications.attempts.values()
    hospital.publications.keep(replace(pending, created=""))
    assert hospital.publisher.publish(STUDY).result is Result.PUBLISHED
    assert [one.state for one in hospital.publications.attempts.values()] == ["abandoned", "published"]


# -- several manifests


def publishing(*kinds: str, **changes: Any) -> dict[str, Any]:
    return {"profile": replace(imaging.PROFILE, manifests=kinds, **changes)}


def related(sent: Provision, kind: str) -> set[tuple[str, str]]:
    return {(one.source, one.target) for one in sent.submission.associations if one.type == kind}


@pytest.mark.parametrize(
    ("kinds", "formats"),
    [
        (("mado",), ["1.2.840.10008.5.1.4.1.1.88.59"]),
        (("mado-fhir",), ["urn:ihe:rad:MADO:fhir-manifest:2026"]),
        (("mado", "mado-fhir"), ["1.2.840.10008.5.1.4.1.1.88.59", "urn:ihe:rad:MADO:fhir-manifest:2026"]),
        (("kos", "mado", "mado-fhir"), [*["1.2.840.10008.5.1.4.1.1.88.59"] * 2, "urn:ihe:rad:MADO:fhir-manifest:2026"]),
    ],
)
def test_the_manifests_that_the_settings_ask_for_go_in_one_submission(kinds: Any, formats: list[str]) -> None:
    hospital = Hospital(settings=publishing(*kinds))
    done = hospital.publisher.publish(STUDY)
    assert done.result is Result.PUBLISHED
    (sent,) = hospital.repository.received
    entries = sent.submission.document_entries
    assert [one.format_code.code for one in entries if one.format_code] == formats
    assert len({one.unique_id for one in entries}) == len(entries)
    assert related(sent, uuids.HAS_MEMBER) == {
        (sent.submission.submission_set.entry_uuid, one.entry_uuid) for one in entries
    }
    assert {one.reference_ids for one in entries} == {entries[0].reference_ids}
    assert (done.unique_id, done.entry_uuid) == (entries[0].unique_id, entries[0].entry_uuid)
    for kind, entry in zip(kinds, entries, strict=True):
        content = content_of(sent.documents[entry.entry_uuid])
        reader = mado_fhir_reader.decode if kind == "mado-fhir" else kos.decode
        assert reader(content).study_instance_uid == "1.2.3"
        assert entry.mime_type == ("application/fhir+json" if kind == "mado-fhir" else "application/dicom")
        assert entry.hash == hashlib.sha1(content).hexdigest()
    assert hospital.publisher.publish(STUDY).result is Result.UNCHANGED


def test_the_fhir_manifest_is_a_transformation_and_bears_the_identifier_of_what_it_transforms() -> None:
    hospital = Hospital(settings=publishing("kos", "mado-fhir", "mado"))
    hospital.publisher.publish(STUDY)
    (sent,) = hospital.repository.received
    _, fhir, mado = sent.submission.document_entries
    assert related(sent, uuids.XFRM) == {(fhir.entry_uuid, mado.entry_uuid)}
    assert mado_fhir_reader.decode(content_of(sent.documents[fhir.entry_uuid])).sop_instance_uid == mado.unique_id
    assert kos.decode(content_of(sent.documents[mado.entry_uuid])).sop_instance_uid == mado.unique_id


def test_alone_the_fhir_manifest_bears_its_own_identifier() -> None:
    hospital = Hospital(settings=publishing("mado-fhir"))
    done = hospital.publisher.publish(STUDY)
    assert mado_fhir_reader.decode(done.manifest).sop_instance_uid == done.unique_id


def test_manifests_of_one_submission_lie_in_series_of_their_own() -> None:
    hospital = Hospital(settings=publishing("kos", "mado"))
    hospital.publisher.publish(STUDY)
    (sent,) = hospital.repository.received
    series = {kos.decode(content_of(one)).series_instance_uid for one in sent.documents.values()}
    assert len(series) == 2


def test_each_manifest_replaces_the_former_of_its_kind() -> None:
    hospital = Hospital(settings=publishing("mado", "mado-fhir"))
    hospital.publisher.publish(STUDY)
    hospital.publisher.publish(imaging.study(description="another"))
    first, second = hospital.repository.received
    assert related(second, uuids.RPLC) == {
        (new.entry_uuid, old.entry_uuid)
        for new, old in zip(second.submission.document_entries, first.submission.document_entries, strict=True)
    }


@pytest.mark.parametrize(
    ("before", "after", "replaced"),
    [
        (("kos",), ("mado",), {(0, 0)}),
        (("kos",), ("mado", "mado-fhir"), {(0, 0)}),
        (("mado", "mado-fhir"), ("mado",), {(0, 0), (0, 1)}),
        (("kos", "mado", "mado-fhir"), ("mado-fhir",), {(0, 0), (0, 1), (0, 2)}),
        (("mado", "mado-fhir"), ("mado-fhir", "mado"), {(0, 1), (1, 0)}),
    ],
)
def test_when_the_settings_change_no_former_manifest_stays(before: Any, after: Any, replaced: Any) -> None:
    hospital = Hospital(settings=publishing(*before))
    hospital.publisher.publish(STUDY)
    hospital.settings = publishing(*after)
    results = [hospital.publisher.publish(STUDY).result for _ in range(2)]
    assert results == [Result.REPLACED, Result.UNCHANGED]
    first, second = (one.submission.document_entries for one in hospital.repository.received)
    assert related(hospital.repository.received[1], uuids.RPLC) == {
        (second[new].entry_uuid, first[old].entry_uuid) for new, old in replaced
    }


def test_several_manifests_whose_answer_was_lost_are_sent_again_as_they_were() -> None:
    hospital = Hospital(settings=publishing("mado", "mado-fhir"))
    hospital.publisher.publish(imaging.study(description="former"))
    hospital.repository.error = Unavailable("broke off", uncertain=True)
    hospital.publisher.publish(STUDY)
    hospital.repository.error = None
    hospital.time += timedelta(days=1)
    assert hospital.publisher.publish(STUDY).result is Result.REPLACED
    _, lost, again = hospital.repository.received
    for one in ("HAS_MEMBER", "RPLC", "XFRM"):
        pairs = [{target for _, target in related(sent, getattr(uuids, one))} for sent in (lost, again)]
        assert pairs[0] == pairs[1] != set()
    contents = [[content_of(one) for one in sent.documents.values()] for sent in (lost, again)]
    assert contents[0] == contents[1]


def test_what_a_former_version_published_is_a_key_object_selection() -> None:
    hospital = Hospital()
    hospital.publisher.publish(STUDY)
    (known,) = hospital.publications.attempts.values()
    hospital.publications.keep(replace(known, documents=()))
    hospital.settings = publishing("mado-fhir", "kos")
    hospital.publisher.publish(STUDY)
    sent = hospital.repository.received[1]
    kos_entry = sent.submission.document_entries[1]
    assert related(sent, uuids.RPLC) == {(kos_entry.entry_uuid, known.entry_uuid)}


def test_a_manifest_that_was_stored_back_is_no_reason_for_another() -> None:
    hospital = Hospital()
    done = hospital.publisher.publish(STUDY)
    manifest = kos.decode(done.manifest)
    stored = Instance(
        sop_class_uid=manifest.sop_class_uid, sop_instance_uid=manifest.sop_instance_uid, title=manifest.title
    )
    again = Series(series_instance_uid=manifest.series_instance_uid, modality="KO", instances=(stored,))
    grown = replace(STUDY, series=(*STUDY.series, again))
    assert hospital.publisher.publish(grown).result is Result.UNCHANGED
    assert hospital.publisher.plan(grown).result is Result.UNCHANGED


def test_a_plan_is_what_would_be_done_and_does_nothing() -> None:
    hospital = Hospital()
    assert hospital.publisher.plan(STUDY).result is Result.PUBLISHED
    assert hospital.publisher.plan(replace(STUDY, patient=ImagedPatient())).result is Result.REFUSED
    hospital.publisher.publish(STUDY)
    assert hospital.publisher.plan(STUDY).result is Result.UNCHANGED
    assert hospital.publisher.plan(STUDY, again=True).result is Result.REPLACED
    assert hospital.publisher.plan(replace(STUDY, description="corrected")).result is Result.REPLACED
    assert len(hospital.repository.received) == 1
