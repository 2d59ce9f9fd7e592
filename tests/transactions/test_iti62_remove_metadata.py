"""ITI-62: all of a removal or nothing, by a decision on each DocumentEntry; consents end at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from tests import builders
from tests.audit_samples import facts as sample_facts
from tests.transactions.ports import Session, clock, codes, served
from xdsi.domain.audit import AuditAction, RemovedObject
from xdsi.domain.consent import Action, Consent, Policy, SignatureStatus
from xdsi.domain.holds import Held
from xdsi.domain.identifiers import PatientId
from xdsi.domain.outcome import Outcome, Problem, Status
from xdsi.domain.ports import RegistrySession
from xdsi.domain.registration import RegisterPorts
from xdsi.domain.removal import RemovalAnswer, RemovalRequest
from xdsi.domain.submission import Submission
from xdsi.rules import audit
from xdsi.spec import uuids
from xdsi.spec.namespaces import DEPRECATED
from xdsi.transactions import iti62_remove_metadata as iti62

SET, ENTRY, MEMBER, SIGNER, SIGNS, SIGNER_MEMBER, OTHER_SIGNER, ALSO_SIGNS = (
    f"urn:uuid:00000000-0000-4000-8000-00000000000{n}" for n in range(1, 9)
)
EVERYTHING = (SET, ENTRY, MEMBER)
PORTS = RegisterPorts(clock=clock, consents=None, accept_unknown_patients=False)


def session_of(*more: object) -> Session:
    return Session(
        builders.submission_set(SET), builders.document_entry(ENTRY),
        builders.association(uuids.HAS_MEMBER, SET, ENTRY, MEMBER), *more,  # type: ignore[arg-type]
    )  # fmt: skip


def removed(session: Session, *ids: str, denied: Iterable[str] = (), ports: RegisterPorts = PORTS) -> RemovalAnswer:
    answer = served(iti62.TRANSACTION, RemovalRequest(ids), ports, session, denied=denied)
    assert isinstance(answer, RemovalAnswer)
    return answer


def test_a_submission_is_removed_whole() -> None:
    session = session_of()
    answer = removed(session, *EVERYTHING)
    assert answer.outcome == Outcome()
    assert session.known == {}
    assert {one.entry_uuid for one in answer.removed} == set(EVERYTHING)


def test_a_removal_with_problems_removes_nothing() -> None:
    session = session_of()
    answer = removed(session, ENTRY)
    assert answer.outcome.status is Status.FAILURE
    assert {code for code, _ in codes(answer.outcome)} == {"ReferencesExistException"}
    assert set(session.known) == set(EVERYTHING)


def test_what_is_judged_is_locked_first() -> None:
    """What an Association joins may be left alone by its removal, so that it must not change either."""
    session = session_of()
    removed(session, MEMBER)
    assert session.locked == {MEMBER, SET, ENTRY}


@pytest.mark.parametrize("ids", [EVERYTHING, (ENTRY,), (MEMBER,), (SET,)])
def test_what_the_decision_denies_is_as_if_it_were_not_there(ids: Sequence[str]) -> None:
    session = session_of()
    answer = removed(session, *ids, denied=["2.999.10.1"])
    assert codes(answer.outcome) == [("UnresolvedReferenceException", "REMOVAL.unknown")] * len(ids)
    assert set(session.known) == set(EVERYTHING)
    unknown = removed(Session(), *ids)
    assert [one.context for one in answer.outcome.problems] == [one.context for one in unknown.outcome.problems]


@pytest.mark.parametrize(
    "held", [Held(unique_ids=frozenset({"2.999.10.1"})), Held(patients=frozenset({PatientId.parse(builders.PATIENT)}))]
)
def test_what_is_under_a_hold_stays_with_all_that_was_asked_for(held: Held) -> None:
    session = session_of()
    session.under_hold = held
    answer = removed(session, *EVERYTHING)
    assert set(codes(answer.outcome)) == {("XDSRegistryError", "REMOVAL.hold")}
    expected = EVERYTHING if held.patients else (ENTRY,)
    assert {one.location for one in answer.outcome.problems} == set(expected)
    assert all(one.location in one.context for one in answer.outcome.problems)
    assert set(session.known) == set(EVERYTHING)
    hidden = removed(session, *EVERYTHING, denied=["2.999.10.1"])
    assert "REMOVAL.hold" not in {rule for _, rule in codes(hidden.outcome)}, "what is hidden is not told of"


def test_a_set_without_documents_is_decided_on_by_itself() -> None:
    session = Session(builders.submission_set(SET))
    assert not removed(session, SET, denied=[SET]).outcome.accepted
    assert removed(session, SET).outcome.accepted


class Intake:
    """Finds the entries it is shown valid where they come with a signature, else pending."""

    def __init__(self) -> None:
        self.seen: list[tuple[list[str], list[str]]] = []

    def examine(self, submission: Submission, session: RegistrySession) -> tuple[Sequence[Problem], Sequence[Consent]]:
        signatures = [one.source for one in submission.associations]
        self.seen.append(([one.entry_uuid for one in submission.document_entries], signatures))
        status = SignatureStatus.VALID if signatures else SignatureStatus.PENDING
        refused = () if signatures else (Problem("XDSRegistryMetadataError", "no signature"),)
        return refused, [
            Consent(
                unique_id=one.unique_id, entry_uuid=one.entry_uuid, patient=PatientId.parse(one.patient_id),
                policy=Policy(id="p", combining=""), status=status,
            )
            for one in submission.document_entries
        ]  # fmt: skip


SIGNATURE = (
    builders.document_entry(SIGNER, unique_id="2.999.10.2"),
    builders.association(uuids.SIGNS, SIGNER, ENTRY, SIGNS),
    builders.association(uuids.HAS_MEMBER, SET, SIGNER, SIGNER_MEMBER),
)


def test_a_consent_that_loses_its_signature_is_looked_at_anew() -> None:
    intake = Intake()
    session = session_of(*SIGNATURE)
    ports = RegisterPorts(clock=clock, consents=intake, accept_unknown_patients=False)
    assert removed(session, SIGNER, SIGNS, SIGNER_MEMBER, ports=ports).outcome.accepted
    assert intake.seen == [([ENTRY], [])]
    assert [one.status for one in session.kept_consents] == [SignatureStatus.PENDING]


@pytest.mark.parametrize(("signer_status", "stands"), [("", True), (DEPRECATED, False)])
def test_another_signature_may_stand(signer_status: str, stands: bool) -> None:
    intake = Intake()
    session = session_of(
        *SIGNATURE,
        builders.document_entry(OTHER_SIGNER, unique_id="2.999.10.3", availability_status=signer_status),
        builders.association(uuids.SIGNS, OTHER_SIGNER, ENTRY, ALSO_SIGNS),
    )
    ports = RegisterPorts(clock=clock, consents=intake, accept_unknown_patients=False)
    removed(session, SIGNER, SIGNS, SIGNER_MEMBER, ports=ports)
    assert intake.seen == [([ENTRY], [OTHER_SIGNER] if stands else [])]


def test_removing_what_signs_nothing_looks_at_nothing() -> None:
    intake = Intake()
    ports = RegisterPorts(clock=clock, consents=intake, accept_unknown_patients=False)
    removed(session_of(), *EVERYTHING, ports=ports)
    assert intake.seen == []


def test_the_audit_record_names_what_was_removed() -> None:
    """3.62.5.1: one record per patient, each object by its entryUUID with the code of its kind, erased for good."""
    answer = removed(session_of(), *EVERYTHING)
    described = iti62.facts(RemovalRequest(EVERYTHING), answer, sample_facts("ITI-62", patients=()))
    (event,) = audit.events_for(described)
    assert (event.action, event.outcome, event.patient) == (AuditAction.DELETE, 0, builders.PATIENT)
    objects = {thing.id: (thing.id_type.code, thing.role, thing.life_cycle) for thing in event.objects}
    assert objects[ENTRY] == (uuids.STABLE, "3", "15")
    assert objects[SET] == (uuids.SUBMISSION_SET, "3", "15")
    assert objects[MEMBER] == (uuids.HAS_MEMBER, "3", "15")


def test_the_audit_record_of_a_failure_names_what_was_asked_for() -> None:
    request = RemovalRequest((ENTRY,))
    described = iti62.facts(request, iti62.refuse(request, [Problem("XDSRegistryError", "x")]), sample_facts("ITI-62"))
    assert (described.removed, described.outcome) == ((RemovedObject(entry_uuid=ENTRY),), 8)


def test_it_is_decided_by_the_action_delete() -> None:
    row = iti62.TRANSACTION
    assert (row.action, row.assertion_required, row.writes) == (Action.DELETE, True, True)
    assert row.malformed_code == row.unavailable_code == "XDSRegistryError"
