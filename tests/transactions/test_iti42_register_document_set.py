"""ITI-42: what registering does to the registry, and that a refusal does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests import builders
from tests.audit_samples import facts as sample_facts
from tests.transactions.ports import NOW, Session, clock, codes, served
from xdsi.domain.consent import Consent, Policy, SignatureStatus
from xdsi.domain.errors import Rejected
from xdsi.domain.identifiers import PatientId
from xdsi.domain.outcome import Outcome, Problem, Status
from xdsi.domain.ports import RegistrySession
from xdsi.domain.registration import RegisterPorts
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.transactions import iti42_register_document_set as iti42

OLD = "urn:uuid:00000000-0000-4000-8000-000000000001"
FOLDER = "urn:uuid:00000000-0000-4000-8000-000000000002"
MEMBER = "urn:uuid:00000000-0000-4000-8000-000000000003"
ADDENDUM = "urn:uuid:00000000-0000-4000-8000-000000000004"
TIME = NOW.strftime("%Y%m%d%H%M%S")


class Intake:
    """Says what it was told to say of consents."""

    def __init__(self, *problems: Problem, consents: Sequence[Consent] = ()) -> None:
        self.problems, self.consents = problems, consents
        self.seen: list[Submission] = []

    def examine(self, submission: Submission, session: RegistrySession) -> tuple[Sequence[Problem], Sequence[Consent]]:
        self.seen.append(submission)
        return self.problems, self.consents


def ports(**changes: object) -> RegisterPorts:
    given = {"clock": clock, "consents": None, "accept_unknown_patients": False}
    return RegisterPorts(**given | changes)  # type: ignore[arg-type]


def replacement(**changes: str) -> Submission:
    return builders.submission(
        builders.document_entry(**{"unique_id": "2.999.10.9"} | changes),
        associations=[builders.association(uuids.RPLC, "doc1", OLD)],
    )


def old(**changes: str) -> object:
    return builders.document_entry(OLD, **{"unique_id": "2.999.10.8"} | changes)


def test_an_accepted_submission_is_stored_with_final_ids_and_times() -> None:
    session = Session()
    outcome = served(iti42.TRANSACTION, builders.submission(), ports(), session)
    assert outcome.status is Status.SUCCESS
    (saved,) = session.saved
    assert {one.availability_status for one in saved.objects} == {APPROVED}
    assert all(one.entry_uuid.startswith("urn:uuid:") for one in saved.objects)
    (member,) = saved.associations
    assert (member.source, member.target) == (saved.submission_set.entry_uuid, saved.document_entries[0].entry_uuid)


def test_a_submission_with_problems_stores_nothing_and_tells_them_all() -> None:
    session = Session(patients={builders.PATIENT: "unknown"})
    request = builders.submission(builders.document_entry(mime_type="", hash="x"))
    outcome = served(iti42.TRANSACTION, request, ports(), session)
    assert not outcome.accepted
    assert {code for code, _ in codes(outcome)} == {"XDSUnknownPatientId", "XDSRegistryMetadataError"}
    assert len(outcome.problems) > 2
    assert session.saved == []
    assert session.touched == []


def test_unknown_patients_are_taken_where_the_settings_say_so() -> None:
    session = Session(patients={builders.PATIENT: "unknown"})
    assert served(iti42.TRANSACTION, builders.submission(), ports(accept_unknown_patients=True), session).accepted


def test_a_replacement_deprecates_the_old_entry_with_what_hangs_on_it() -> None:
    addendum = builders.document_entry(ADDENDUM, unique_id="2.999.10.7")
    session = Session(old(), addendum, builders.association(uuids.APND, ADDENDUM, OLD))
    assert served(iti42.TRANSACTION, replacement(), ports(), session).accepted
    assert [session.known[id_].availability_status for id_ in (OLD, ADDENDUM)] == [DEPRECATED, DEPRECATED]


def test_the_loser_of_two_replacements_is_rejected_whole() -> None:
    session = Session(old())
    session.overtaken.add(OLD)
    with pytest.raises(Rejected) as caught:
        served(iti42.TRANSACTION, replacement(), ports(), session)
    (problem,) = caught.value.problems
    assert (problem.code, problem.rule) == ("XDSRegistryDeprecatedDocumentError", "ASSOC.target.deprecated")
    assert OLD in problem.context
    assert session.saved == []


def test_an_addendum_that_was_deprecated_by_another_does_not_stop_a_replacement() -> None:
    addendum = builders.document_entry(ADDENDUM, unique_id="2.999.10.7")
    session = Session(old(), addendum, builders.association(uuids.APND, ADDENDUM, OLD))
    session.overtaken.add(ADDENDUM)
    assert served(iti42.TRANSACTION, replacement(), ports(), session).accepted


def test_the_new_document_enters_the_folders_of_the_old_one() -> None:
    session = Session(old(), builders.folder(FOLDER), builders.has_member(FOLDER, OLD, entry_uuid=MEMBER))
    assert served(iti42.TRANSACTION, replacement(), ports(), session).accepted
    assert session.touched == [((FOLDER,), TIME)]
    (saved,) = session.saved
    new = saved.document_entries[0].entry_uuid
    member = next(one for one in saved.associations if (one.source, one.target) == (FOLDER, new))
    link = next(one for one in saved.associations if one.target == member.entry_uuid)
    assert link.source == saved.submission_set.entry_uuid


def test_adding_to_a_registered_folder_touches_it() -> None:
    session = Session(builders.folder(FOLDER))
    request = builders.submission(
        builders.document_entry(), associations=[builders.has_member(FOLDER, "doc1", entry_uuid="m1")]
    )
    assert served(iti42.TRANSACTION, request, ports(), session).accepted
    assert session.touched == [((FOLDER,), TIME)]


def test_a_refused_consent_rejects_the_submission() -> None:
    intake = Intake(Problem("XDSRegistryMetadataError", "not valid", rule="CONSENT.signature"))
    session = Session()
    with pytest.raises(Rejected) as caught:
        served(iti42.TRANSACTION, builders.submission(), ports(consents=intake), session)
    assert [one.rule for one in caught.value.problems] == ["CONSENT.signature"]
    assert session.kept_consents == []


def test_verified_consents_are_kept_with_the_submission() -> None:
    consent = Consent(
        unique_id="2.999.10.1", entry_uuid="e", patient=PatientId("P1", "2.999.1.1"),
        policy=Policy(id="p", combining=""), status=SignatureStatus.VALID,
    )  # fmt: skip
    intake = Intake(consents=[consent])
    session = Session()
    assert served(iti42.TRANSACTION, builders.submission(), ports(consents=intake), session).accepted
    assert session.kept_consents == [consent]
    # It is examined under the ids that it is registered with.
    assert intake.seen[0].document_entries == session.saved[0].document_entries


def test_the_audit_record_names_patient_and_submission_set() -> None:
    base = sample_facts("ITI-42", patients=())
    described = iti42.facts(builders.submission(), Outcome(), base)
    assert (described.patients, described.submission_set, described.outcome) == ((builders.PATIENT,), "2.999.11.1", 0)
    refused = iti42.facts(builders.submission(), Outcome.of([Problem("XDSRegistryError", "no")]), base)
    assert refused.outcome == 8
    none = iti42.facts(builders.submission(sets=[]), Outcome(), base)
    assert (none.patients, none.submission_set, none.outcome) == ((), "", 8)
    without = builders.submission(sets=[replace(builders.submission_set(), patient_id="")])
    assert iti42.facts(without, Outcome(), base).patients == ()


def test_refusals_are_outcomes() -> None:
    problem = Problem("XDSRegistryBusy", "not available at the moment")
    assert iti42.refuse(None, [problem]) == Outcome((problem,))
