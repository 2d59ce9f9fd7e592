"""ITI-57: all of an update or nothing, by a decision on each object that it touches; consents change with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from tests.audit_samples import facts as sample_facts
from tests.builders import OTHER_PATIENT, PATIENT, association
from tests.rules.test_update import PORTS, appended, filed
from tests.rules.updates import (
    APPENDED,
    APPENDS,
    CASE,
    ENTRY,
    OBJECTS,
    bound,
    new_version,
    status_of,
    update,
    urn,
)
from tests.transactions.ports import CALLER, DENY, PERMIT, Session, clock, codes, served
from xdsi.domain.audit import AuditAction
from xdsi.domain.consent import Action, Consent, Policy, SignatureStatus
from xdsi.domain.errors import Rejected
from xdsi.domain.identifiers import PatientId
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Outcome, Problem, Status
from xdsi.domain.ports import RegistrySession
from xdsi.domain.registration import RegisterPorts
from xdsi.domain.submission import Submission
from xdsi.exchange import Call, Trace
from xdsi.rules import audit
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.transactions import iti57_update_document_set as iti57

UNIQUE_ID, APPENDED_UNIQUE_ID = "2.999.50.2", "2.999.50.4"


def updated(
    session: Session, *objects: Any, denied: Iterable[str] = (), ports: RegisterPorts = PORTS, **of_set: Any
) -> Outcome:
    answer = served(iti57.TRANSACTION, update(*objects, **of_set), ports, session, denied=denied)
    assert isinstance(answer, Outcome)
    return answer


def status(session: Session, id_: str) -> str:
    return session.known[id_].availability_status


def test_a_new_version_takes_the_place_of_the_former() -> None:
    session = Session(*OBJECTS)
    assert updated(session, new_version(title="corrected")) == Outcome()
    (saved,) = session.saved
    (entry,) = saved.document_entries
    assert (entry.logical_id, entry.version, entry.title, entry.availability_status) == (
        ENTRY, 2, "corrected", APPROVED,
    )  # fmt: skip
    assert status(session, ENTRY) == DEPRECATED
    assert session.touched == [((CASE,), "20260203101112")]


def test_an_update_with_problems_changes_nothing() -> None:
    session = Session(*OBJECTS)
    outcome = updated(session, new_version(), status_of(APPENDED, DEPRECATED, APPROVED))
    assert outcome.status is Status.FAILURE
    assert codes(outcome) == [("XDSMetadataUpdateError", "ASSOC.OriginalStatus")]
    assert (session.saved, status(session, ENTRY)) == ([], APPROVED)


def test_statuses_change() -> None:
    session = Session(*OBJECTS)
    assert updated(session, status_of(), status_of(APPENDS)) == Outcome()
    assert (status(session, ENTRY), status(session, APPENDS)) == (DEPRECATED, DEPRECATED)
    assert len(session.saved) == 1, "the SubmissionSet that asked for it"


# -- decisions


HIDDEN: dict[str, tuple[Sequence[Any], str]] = {
    "a new version": ([new_version()], UNIQUE_ID),
    "a new version with another uniqueId": ([new_version(unique_id="2.999.50.99")], UNIQUE_ID),
    "a new version by the wrong number": ([new_version(), bound(previous="7")], UNIQUE_ID),
    "a status": ([status_of()], UNIQUE_ID),
    "a status with the wrong original": ([status_of(original=DEPRECATED)], UNIQUE_ID),
    "the status of an association": ([status_of(APPENDS)], UNIQUE_ID),
    "the status of an association, by its other end": ([status_of(APPENDS)], APPENDED_UNIQUE_ID),
    "an association": (appended(ENTRY, APPENDED), UNIQUE_ID),
    "a membership": (filed(CASE, APPENDED), APPENDED_UNIQUE_ID),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_what_the_decision_denies_is_as_if_it_were_not_there(case: str) -> None:
    objects, unique_id = HIDDEN[case]
    session = Session(*OBJECTS)
    denied = updated(session, *objects, denied=[unique_id])
    gone = {one.entry_uuid for one in OBJECTS if getattr(one, "unique_id", "") == unique_id}
    gone |= {one.entry_uuid for one in OBJECTS if {getattr(one, end, "") for end in ("source", "target")} & gone}
    unknown = updated(Session(*(one for one in OBJECTS if one.entry_uuid not in gone)), *objects)
    assert denied.problems == unknown.problems != ()
    assert (session.saved, status(session, ENTRY), status(session, APPENDS)) == ([], APPROVED, APPROVED)


def test_a_folder_is_open_by_what_it_holds() -> None:
    """docs/policy.md section 6."""
    assert updated(Session(*OBJECTS), status_of(CASE)) == Outcome()
    (problem,) = updated(Session(*OBJECTS), status_of(CASE), denied=[UNIQUE_ID, "2.999.50.6"]).problems
    assert problem.code == "UnresolvedReferenceException"


def moved() -> Submission:
    return update(new_version(patient_id=OTHER_PATIENT), bound(AssociationPropagation="no"), patient_id=OTHER_PATIENT)


def test_what_moves_to_another_patient_is_decided_on_for_both() -> None:
    """It may neither be taken out of one record nor be put into another without a permit."""
    session = Session(*OBJECTS)
    row = iti57.TRANSACTION
    located = row.weigh(row.locate(moved(), PORTS, session), PORTS, session)
    assert [one.patient for one in located.resources if one.entry_uuid != ENTRY] == [PatientId.parse(OTHER_PATIENT)]
    assert len({one.entry_uuid for one in located.resources}) == 2
    for refused in range(2):
        decisions = [PERMIT, PERMIT]
        decisions[refused] = DENY
        outcome = row.handle(Call(moved(), CALLER, PORTS, session, located, tuple(decisions), Trace()))
        assert {one.code for one in outcome.problems} == {"UnresolvedReferenceException", "XDSMetadataVersionError"}
    assert row.handle(Call(moved(), CALLER, PORTS, session, located, (PERMIT, PERMIT), Trace())) == Outcome()


# -- others at the same moment


@pytest.mark.parametrize(
    ("objects", "code", "location"),
    [
        ([new_version()], "XDSMetadataVersionError", "new"),
        ([status_of()], "XDSMetadataUpdateError", f"status-{ENTRY}"),
    ],
)
def test_who_comes_second_is_told(objects: Sequence[Any], code: str, location: str) -> None:
    session = Session(*OBJECTS)
    session.overtaken = {ENTRY}
    with pytest.raises(Rejected) as rejected:
        updated(session, *objects)
    assert [(one.code, one.location) for one in rejected.value.problems] == [(code, location)]
    assert session.saved == []


# -- consents


class Intake:
    """Takes every entry it is shown for a consent: valid with a signature, else pending."""

    def __init__(self, *refused: Problem) -> None:
        self.refused = refused
        self.seen: list[tuple[list[str], list[str]]] = []

    def examine(self, submission: Submission, session: RegistrySession) -> tuple[Sequence[Problem], Sequence[Consent]]:
        signatures = [one.source for one in submission.associations if one.type == uuids.SIGNS]
        self.seen.append(([one.title for one in submission.document_entries], signatures))
        return self.refused, [_consent(one, signed=bool(signatures)) for one in submission.document_entries]


def _consent(one: DocumentEntry, *, signed: bool) -> Consent:
    return Consent(
        unique_id=one.unique_id, entry_uuid=one.entry_uuid, patient=PatientId.parse(one.patient_id),
        policy=Policy(id="p", combining=""), status=SignatureStatus.VALID if signed else SignatureStatus.PENDING,
    )  # fmt: skip


def ports(intake: Intake) -> RegisterPorts:
    return RegisterPorts(clock=clock, consents=intake, accept_unknown_patients=False)


SIGNED = (*OBJECTS, association(uuids.SIGNS, APPENDED, ENTRY, urn(60)))


def test_a_new_version_of_a_consent_is_examined_with_the_signature_that_follows() -> None:
    intake, session = Intake(), Session(*SIGNED)
    assert updated(session, new_version(title="corrected"), ports=ports(intake)) == Outcome()
    assert intake.seen == [(["corrected"], [APPENDED])]
    (consent,) = session.kept_consents
    (entry,) = session.saved[0].document_entries
    assert (consent.entry_uuid, consent.status) == (entry.entry_uuid, SignatureStatus.VALID)


def test_a_consent_without_its_signature_grants_nothing() -> None:
    intake, session = Intake(), Session(*SIGNED)
    assert updated(session, status_of(urn(60)), ports=ports(intake)) == Outcome()
    assert intake.seen == [([], []), (["A note"], [])]
    assert [one.status for one in session.kept_consents] == [SignatureStatus.PENDING]


def test_a_consent_that_is_refused_changes_nothing() -> None:
    session = Session(*SIGNED)
    with pytest.raises(Rejected):
        updated(session, new_version(), ports=ports(Intake(Problem("XDSRegistryMetadataError", "unreadable"))))
    assert (session.saved, status(session, ENTRY)) == ([], APPROVED)


# -- the row


def test_the_audit_record_names_patient_and_set() -> None:
    """3.57.7.1."""
    request = update(new_version(), unique_id="2.999.11.77")
    described = iti57.facts(request, Outcome(), sample_facts("ITI-57", patients=()))
    (event,) = audit.events_for(described)
    assert (event.action, event.outcome, event.patient) == (AuditAction.UPDATE, 0, PATIENT)
    assert "2.999.11.77" in {thing.id for thing in event.objects}


def test_a_request_that_could_not_be_carried_out_changed_nothing() -> None:
    answer = iti57.refuse(update(new_version()), [Problem("XDSRegistryError", "x")])
    assert (answer.status, [one.code for one in answer.problems]) == (Status.FAILURE, ["XDSRegistryError"])


def test_it_is_decided_by_the_action_update() -> None:
    row = iti57.TRANSACTION
    assert (row.action, row.assertion_required, row.writes) == (Action.UPDATE, True, True)
    assert row.malformed_code == "XDSMetadataUpdateError"
