"""Which updates are accepted (Metadata Update 3.57.4.1.3): an acceptable one, one change, the named problem."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from tests.builders import OTHER_PATIENT, PATIENT, association, document_entry, folder, has_member, submission_set
from tests.rules.registered import Registered
from tests.rules.updates import (
    APPENDED,
    APPENDS,
    CASE,
    DEMAND,
    ENTRY,
    FORMER,
    GONE,
    GONE_CASE,
    INSIDE,
    SET,
    SET_ENTRY,
    STRANGER,
    STRANGERS,
    UNKNOWN,
    UPDATED,
    bound,
    new_version,
    registry,
    status_of,
    submits,
    update,
    urn,
)  # fmt: skip
from tests.transactions.ports import clock
from xdsi.domain.metadata import Association
from xdsi.domain.outcome import Outcome
from xdsi.domain.registration import RegisterPorts, Registration
from xdsi.domain.submission import Submission
from xdsi.rules import update as rules
from xdsi.rules.update import circles
from xdsi.spec import uuids
from xdsi.spec.error_codes import allowed
from xdsi.spec.namespaces import APPROVED, DEPRECATED

META = "XDSRegistryMetadataError"
UPDATE_ERROR = "XDSMetadataUpdateError"
OPERATION = "XDSMetadataUpdateOperationError"
VERSION = "XDSMetadataVersionError"
IDENTIFIER = "XDSMetadataIdentifierError"
UNRESOLVED = "UnresolvedReferenceException"
OTHER_PERSON = "XDSPatientIDReconciliationError"
PORTS = RegisterPorts(clock=clock, consents=None, accept_unknown_patients=False)


def decided(
    submission: Submission, known: Registered | None = None, codes: rules.Codes = rules.UPDATE
) -> tuple[Outcome, Registration | None]:
    facts = known or registry()
    request = rules.prepared(submission) if codes is rules.RESTRICTED else submission
    return rules.decide(rules.Context.about(request, facts), facts, PORTS, codes)


def found(
    submission: Submission, known: Registered | None = None, codes: rules.Codes = rules.UPDATE
) -> list[tuple[str, str]]:
    """Code and rule of each problem."""
    outcome, registration = decided(submission, known, codes)
    assert (registration is None) is bool(outcome.problems)
    number = "ITI-57" if codes is rules.UPDATE else "ITI-92"
    assert all(allowed(one.code, number) for one in outcome.problems)
    return [(one.code, re.sub("^(DE|FD|SS|ASSOC)[.]", "", one.rule)) for one in outcome.problems]


def no(id_: str = "new", **slots: Any) -> Association:
    """A bound HasMember of an object that leaves its Associations behind."""
    return bound(id_, AssociationPropagation="no", **slots)


def filed(source: str = CASE, target: str = APPENDED, id_: str = "fresh") -> tuple[Association, Association]:
    """A membership of a Folder and its SubmitAssociation."""
    return has_member(source, target, entry_uuid=id_), submits(id_)


def appended(source: str, target: str, type_: str = uuids.APND) -> tuple[Association, Association]:
    return association(type_, source, target, "fresh"), submits("fresh")


ACCEPTED: dict[str, Submission] = {
    # 3.57.4.1.3.3.1 Update DocumentEntry Metadata
    "a new version": update(new_version(title="corrected")),
    "of what was updated before": update(new_version(UPDATED), bound(previous="2")),
    "of a deprecated entry": update(new_version(GONE)),
    "of an On-Demand entry": update(new_version(DEMAND)),
    "under a UUID of the sender": update(new_version(id_=urn(70))),
    "with the propagation said": update(new_version(), bound(AssociationPropagation="yes")),
    "without propagation": update(new_version(), no()),
    "of both ends of a relationship": update(new_version(), new_version(APPENDED, "other")),
    "of an entry and its folder": update(new_version(), new_version(CASE, "case")),
    "of an entry for another patient, alone": update(
        new_version(patient_id=OTHER_PATIENT), no(), patient_id=OTHER_PATIENT
    ),
    # 3.57.4.1.3.3.3 Update Folder Metadata
    "a new version of a folder": update(new_version(CASE)),
    # 3.57.4.1.3.3.2, .4 Update Status
    "an entry is deprecated": update(status_of()),
    "an entry is approved": update(status_of(GONE, DEPRECATED, APPROVED)),
    "a status that stays": update(status_of(ENTRY, APPROVED, APPROVED)),
    "a folder is deprecated": update(status_of(CASE)),
    "a folder is approved": update(status_of(GONE_CASE, DEPRECATED, APPROVED)),
    "the latest of several versions": update(status_of(UPDATED)),
    "an entry gets a version and a status": update(new_version(), status_of()),
    "the status is of the new version": update(new_version(), status_of("new")),
    # 3.57.4.1.3.3.5 Update Association Status
    "a relationship is deprecated": update(status_of(APPENDS)),
    "a membership is deprecated": update(status_of(INSIDE)),
    # 3.57.4.1.3.3.6 Submit Association
    "a membership": update(*filed()),
    "a membership with its link": update(*filed(), has_member("ss1", "fresh")),
    "a relationship": update(*appended(UPDATED, APPENDED)),
    "a snapshot": update(*appended(ENTRY, DEMAND, uuids.IS_SNAPSHOT_OF)),
    "a membership of a new version that left its own behind": update(new_version(), no(), *filed(CASE, "new")),
    # several operations
    "each of another kind": update(new_version(), status_of(APPENDED), *filed()),
    "an entry by reference": update(new_version(), has_member("ss1", APPENDED, "Reference")),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_these_updates_are_accepted(case: str) -> None:
    assert found(ACCEPTED[case]) == []


WRONG: dict[str, tuple[Submission, list[tuple[str, str]]]] = {
    "nothing": (update(), [(UPDATE_ERROR, "UPDATE.empty")]),
    "a reference alone": (update(has_member("ss1", ENTRY, "Reference")), [(UPDATE_ERROR, "UPDATE.empty")]),
    # 3.57.4.1.2: what any SubmissionSet and any request must be
    "no set": (Submission(document_entries=(new_version(),)), [(META, "SUBMISSION.set"), (OPERATION, "linked")]),
    "an id twice": (
        update(new_version(), new_version(APPENDED, "new")), [
            *[(META, "SUBMISSION.id.twice"), (OPERATION, "linked")] * 2,
        ],
    ),
    "a uniqueId twice": (
        update(new_version(), unique_id="2.999.50.2"),
        [
            ("XDSRegistryDuplicateUniqueIdInMessage", "SUBMISSION.uniqueId.twice"),
            ("XDSDuplicateUniqueIdInRegistry", "uniqueId.registered"),
        ],
    ),
    "a set that is registered": (
        replace(update(status_of(source=SET)), submission_sets=(submission_set(SET),)),
        [(META, "entryUUID.registered")],
    ),
    "an attribute missing": (update(new_version(mime_type="")), [(META, "mimeType.required")]),
    "two patients in a request": (
        update(new_version(patient_id=OTHER_PATIENT), no()), [(OTHER_PERSON, "patientId.set")],
    ),
    "an unknown type of association": (update(association("urn:x", ENTRY, APPENDED, "odd"), submits("odd")), [
        (META, "associationType"),
    ]),
    # 3.57.4.1.3.1: one operation for each object
    "an entry without a link": (
        replace(update(new_version()), associations=()), [(OPERATION, "linked")],
    ),
    "an entry with two links": (
        update(new_version(), bound(), replace(bound(), entry_uuid="again")),
        [(OPERATION, "linked")],
    ),
    "an association that nobody asks for": (
        update(association(uuids.APND, ENTRY, APPENDED, "a")), [(OPERATION, "operation.count")],
    ),
    "an association asked for twice": (
        update(*filed(), submits("fresh", "again")), [(OPERATION, "operation.count")],
    ),
    "a plain link to a registered entry": (
        update(status_of(), has_member("ss1", APPENDED, "Original")),
        [(OPERATION, "operation.none"), (META, "SubmissionSetStatus.value")],
    ),
    "a relationship of the set": (
        update(status_of(), association(uuids.APND, "ss1", ENTRY, "a")), [(OPERATION, "operation.none")],
    ),
    "a link to nothing": (
        update(status_of(), has_member("ss1", UNKNOWN, "Reference")), [(UNRESOLVED, "targetObject.unresolved")],
    ),
    "two versions of an entry": (
        update(new_version(), new_version(id_="other", unique_id="2.999.50.2")), [
            (OPERATION, "operation.repeated"), ("XDSRegistryDuplicateUniqueIdInMessage", "SUBMISSION.uniqueId.twice"),
        ],
    ),
    "two statuses of an entry": (
        update(status_of(), status_of(id_="again")), [(OPERATION, "operation.repeated")],
    ),
    "two statuses of a new version": (
        update(new_version(), status_of(), status_of("new")), [(OPERATION, "operation.repeated")],
    ),
    # 3.57.4.1.3.3.1, .3: new versions
    "no PreviousVersion": (
        update(new_version(), has_member("ss1", "new", "Original")), [(OPERATION, "PreviousVersion.required")],
    ),
    "a former PreviousVersion": (update(new_version(UPDATED)), [(VERSION, "PreviousVersion")]),
    "a later PreviousVersion": (update(new_version(), bound(previous="2")), [(VERSION, "PreviousVersion")]),
    "a PreviousVersion that is no number": (
        update(new_version(), bound(previous="01")), [(VERSION, "PreviousVersion")],
    ),
    "no logicalID": (update(new_version(logical_id="")), [("XDSInvalidRequestException", "logicalID.first")]),
    "its own logicalID": (
        update(new_version(id_=urn(70), logical_id=urn(70))), [("XDSInvalidRequestException", "logicalID.first")],
    ),
    "a symbolic logicalID": (update(new_version(logical_id="first")), [(META, "logicalID.format")]),
    "an unknown logicalID": (
        update(new_version(logical_id=UNKNOWN)),
        [(UNRESOLVED, "logicalID.unknown"), (VERSION, "logicalID.unknown")],
    ),
    "the id of a registered object": (update(new_version(id_=APPENDED)), [(META, "entryUUID.registered")]),
    "another uniqueId": (update(new_version(unique_id="2.999.50.99")), [(IDENTIFIER, "uniqueId.changed")]),
    "another objectType": (
        update(new_version(object_type=uuids.ON_DEMAND, creation_time="", hash="", size="")),
        [(IDENTIFIER, "objectType.changed")],
    ),
    "an entry in place of a folder": (
        update(document_entry("new", logical_id=CASE, unique_id="2.999.50.3")), [(IDENTIFIER, "kind.changed")],
    ),
    "a folder in place of an entry": (
        update(folder("new", logical_id=ENTRY, unique_id="2.999.50.2")), [(IDENTIFIER, "kind.changed")],
    ),
    "a folder that is deprecated": (update(new_version(GONE_CASE)), [(UPDATE_ERROR, "current.deprecated")]),
    # 3.57.4.1.3.2: AssociationPropagation
    "an AssociationPropagation of another value": (
        update(new_version(), bound(AssociationPropagation="maybe")), [(OPERATION, "AssociationPropagation")],
    ),
    "two values of it": (
        update(new_version(), bound(AssociationPropagation=("yes", "no"))), [(OPERATION, "AssociationPropagation")],
    ),
    "different ones for what is joined": (
        update(new_version(), no(), new_version(APPENDED, "other")), [(OPERATION, "propagation.mixed")],
    ),
    "a membership of what takes its own along": (
        update(new_version(), *filed(CASE, "new")), [(OPERATION, "propagation.conflict")],
    ),
    "a membership of the version that is left": (
        update(new_version(), no(), *filed(CASE, ENTRY)), [(OPERATION, "propagation.conflict")],
    ),
    # 3.57.4.1.3.3.2, .4, .5: statuses
    "the status of nothing": (update(status_of(UNKNOWN)), [(UNRESOLVED, "targetObject.unresolved")]),
    "a status that is not of the set": (update(status_of(source=SET)), [(OPERATION, "trigger.source")]),
    "no OriginalStatus": (update(status_of(original=())), [(OPERATION, "OriginalStatus.count")]),
    "two NewStatuses": (update(status_of(new=(APPROVED, DEPRECATED))), [(OPERATION, "NewStatus.count")]),
    "an OriginalStatus that it has not": (
        update(status_of(original=DEPRECATED)), [(UPDATE_ERROR, "OriginalStatus")],
    ),
    "an OriginalStatus that there is not": (
        update(status_of(original="Approved")), [(UPDATE_ERROR, "OriginalStatus.value")],
    ),
    "a NewStatus that there is not": (
        update(status_of(new="urn:oasis:names:tc:ebxml-regrep:StatusType:Submitted")),
        [(UPDATE_ERROR, "NewStatus.value")],
    ),
    "the status of a former version": (
        update(status_of(FORMER, DEPRECATED, APPROVED)), [(VERSION, "status.version")],
    ),
    "the status of a set": (update(status_of(SET)), [(UPDATE_ERROR, "status.fixed")]),
    "the status of what a set holds": (update(status_of(SET_ENTRY)), [(UPDATE_ERROR, "status.fixed")]),
    "the status of an association of the request": (
        update(*filed(), status_of("fresh")), [(UPDATE_ERROR, "status.fixed")],
    ),
    # 3.57.4.1.3.3.6: associations
    "an association without an end": (
        update(*appended(ENTRY, UNKNOWN)), [(UNRESOLVED, "targetObject.unresolved")],
    ),
    "to a deprecated entry": (update(*appended(ENTRY, GONE)), [(UPDATE_ERROR, "end.deprecated")]),
    "into a deprecated folder": (update(*filed(GONE_CASE)), [(UPDATE_ERROR, "end.deprecated")]),
    "to a former version": (update(*appended(ENTRY, FORMER)), [(UPDATE_ERROR, "end.deprecated")]),
    "a folder into a folder": (update(*filed(CASE, CASE)), [(META, "self"), (META, "ends.kind")]),
    "a relationship of a folder": (update(*appended(ENTRY, CASE)), [(META, "ends.kind")]),
    "a snapshot of a stable entry": (
        update(*appended(ENTRY, APPENDED, uuids.IS_SNAPSHOT_OF)), [(META, "snapshot.kind")],
    ),
    "a relationship that leads back": (update(*appended(ENTRY, APPENDED)), [(UPDATE_ERROR, "circle")]),
    "two relationships that close a circle": (
        update(
            association(uuids.APND, UPDATED, APPENDED, "one"), submits("one"),
            association(uuids.XFRM, ENTRY, UPDATED, "two"), submits("two"),
        ),
        [(UPDATE_ERROR, "circle"), (UPDATE_ERROR, "circle")],
    ),
    "the id of a registered association": (
        update(has_member(CASE, APPENDED, entry_uuid=APPENDS), submits(APPENDS)), [(META, "entryUUID.registered")],
    ),
    "asked for from elsewhere": (
        update(has_member(CASE, APPENDED, entry_uuid="fresh"), submits("fresh", source=ENTRY)), [
            (OPERATION, "trigger.ends"), (OPERATION, "operation.count"),
        ],
    ),
    "of a registered association": (update(submits(APPENDS)), [(OPERATION, "trigger.ends")]),
    "of a link of the set": (
        update(has_member("ss1", APPENDED, "Reference", entry_uuid="m"), submits("m")), [(OPERATION, "trigger.set")],
    ),
    # 3.57.4.1.3.4: patients
    "another patient for what is in a folder": (
        update(new_version(patient_id=OTHER_PATIENT), patient_id=OTHER_PATIENT),
        [(OTHER_PERSON, "patientId"), (OTHER_PERSON, "patientId")],
    ),
    "the status of an entry of another patient": (update(status_of(STRANGER)), [(OTHER_PERSON, "patientId.set")]),
    "the status of an association of others": (
        update(status_of(APPENDS), patient_id=OTHER_PATIENT), [(OTHER_PERSON, "patientId.set")],
    ),
    "an association of others": (update(*filed(), patient_id=OTHER_PATIENT), [(OTHER_PERSON, "patientId.set")]),
    "a document into a folder of another patient": (
        update(*filed(STRANGERS, ENTRY)), [(OTHER_PERSON, "patientId")],
    ),
    "a relationship between patients": (update(*appended(ENTRY, STRANGER)), [(OTHER_PERSON, "patientId")]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_these_updates_are_refused(case: str) -> None:
    submission, problems = WRONG[case]
    assert sorted(found(submission)) == sorted(problems)


def test_every_problem_names_the_object_of_the_request_that_caused_it() -> None:
    """3.57.4.2: location is the entryUUID of the object."""
    for case, (submission, _) in WRONG.items():
        ids = {one.entry_uuid for one in submission.objects} | {one.unique_id for one in submission.document_entries}
        for problem in decided(submission)[0].problems:
            assert problem.location in ids or (
                problem.rule in {"UPDATE.empty", "SUBMISSION.set"} and problem.location == "RegistryObjectList"
            ), case


def test_what_is_deprecated_closes_no_circle() -> None:
    """3.57.4.1.3.3.6; ITI TF-3 4.2.2.2: only what holds relates two documents."""
    gone = association(uuids.APND, APPENDED, ENTRY, APPENDS, availability_status=DEPRECATED)
    assert found(update(*appended(ENTRY, APPENDED)), registry(gone)) == []


# What leads back from ENTRY to APPENDED, and the way there, which is deprecated.
BACK = association(uuids.APND, ENTRY, APPENDED, urn(61))
GONE_APPENDS = association(uuids.APND, APPENDED, ENTRY, APPENDS, availability_status=DEPRECATED)


def test_a_relationship_that_is_approved_again_closes_a_circle() -> None:
    """3.57.4.1.3.3.2: it leads as a new one does."""
    again = update(status_of(APPENDS, DEPRECATED, APPROVED))
    assert found(again, registry(GONE_APPENDS)) == []
    assert found(again, registry(GONE_APPENDS, BACK)) == [(UPDATE_ERROR, "circle")]
    outcome, _ = decided(again, registry(GONE_APPENDS, BACK))
    assert [one.location for one in outcome.problems] == [f"status-{APPENDS}"]
    assert APPENDS in outcome.problems[0].context
    both = update(status_of(APPENDS, DEPRECATED, APPROVED), *appended(ENTRY, APPENDED))
    assert found(both, registry(GONE_APPENDS)) == [(UPDATE_ERROR, "circle")] * 2


def test_what_the_same_request_deprecates_closes_no_circle() -> None:
    """3.57.4.1.3.1: an update is carried out as one."""
    assert found(update(status_of(APPENDS), *appended(ENTRY, APPENDED))) == []
    turned = update(status_of(APPENDS, DEPRECATED, APPROVED), status_of(BACK.entry_uuid))
    assert found(turned, registry(GONE_APPENDS, BACK)) == []
    assert found(update(status_of(INSIDE), *appended(ENTRY, APPENDED))) == [(UPDATE_ERROR, "circle")]


def test_a_document_in_a_circle_of_old_can_be_corrected() -> None:
    """What follows it to its new version leads as before."""
    assert found(update(new_version(title="corrected")), registry(BACK)) == []


def test_of_very_many_circles_as_many_are_told_as_an_answer_lists() -> None:
    pairs = [(association(uuids.APND, ENTRY, APPENDED, f"a{n}"), submits(f"a{n}")) for n in range(510)]
    outcome, _ = decided(update(*[one for pair in pairs for one in pair]))
    assert len(outcome.problems) == 501
    assert outcome.problems[-1].context == "and 10 more problems"


def chain(length: int) -> tuple[Any, ...]:
    """Documents of which each is appended to the next, and what appends them."""
    ids = [urn(1000 + number) for number in range(length)]
    entries = [document_entry(id_, logical_id=id_, version=1, unique_id=f"2.999.51.{n}") for n, id_ in enumerate(ids)]
    links = [association(uuids.APND, a, b, urn(5000 + number)) for number, (a, b) in enumerate(pairwise(ids))]
    return *entries, *links


def test_a_circle_is_found_however_long_in_one_question() -> None:
    known = registry(*chain(300))
    ends = [(urn(1299), ENTRY), (urn(1299), UPDATED), (ENTRY, urn(1000))]
    pairs = [(association(uuids.APND, a, b, f"a{n}"), submits(f"a{n}")) for n, (a, b) in enumerate(ends)]
    assert found(update(*pairs[1], *pairs[2]), known) == []
    assert known.asked.count("relationships_from") == 1
    outcome, _ = decided(update(*[one for pair in pairs for one in pair]), known)
    assert [(one.rule, one.location) for one in outcome.problems] == [("ASSOC.circle", "a0"), ("ASSOC.circle", "a2")]
    assert known.asked.count("relationships_from") == 2


def test_what_leads_too_far_to_be_looked_through_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    known = registry(*chain(4))
    request = update(*appended(ENTRY, urn(1000)))
    monkeypatch.setattr(circles, "MOST", 3)
    assert found(request, known) == []
    monkeypatch.setattr(circles, "MOST", 2)
    assert found(request, known) == [(UPDATE_ERROR, "circle.far")]


def test_an_update_without_relationships_asks_nothing_about_circles() -> None:
    known = registry()
    assert found(update(new_version(), *filed()), known) == []
    assert "relationships_from" not in known.asked


def test_what_becomes_approved_must_be_of_the_patient_that_it_is_joined_with() -> None:
    """3.57.4.1.3.4."""
    link = has_member(CASE, STRANGER, entry_uuid=urn(60), availability_status=DEPRECATED)
    approve = update(status_of(link.entry_uuid, DEPRECATED, APPROVED))
    assert found(approve, registry(link)) == [(OTHER_PERSON, "patientId")]
    gone = document_entry(STRANGER, patient_id=OTHER_PATIENT, logical_id=STRANGER, availability_status=DEPRECATED)
    member = has_member(CASE, STRANGER, entry_uuid=urn(60))
    again = update(status_of(STRANGER, DEPRECATED, APPROVED), patient_id=OTHER_PATIENT)
    assert found(again, registry(gone, member)) == [(OTHER_PERSON, "patientId")]
    by_reference = has_member(SET, STRANGER, "Reference", entry_uuid=urn(60))
    assert found(again, registry(gone, by_reference)) == []


def test_what_joins_two_patients_can_be_deprecated_for_either() -> None:
    joins = has_member(CASE, STRANGER, entry_uuid=urn(60))
    for patient in (PATIENT, OTHER_PATIENT):
        assert found(update(status_of(joins.entry_uuid), patient_id=patient), registry(joins)) == []


def test_a_conflict_of_patients_names_only_what_the_asker_knows() -> None:
    moved = update(new_version(patient_id=OTHER_PATIENT), patient_id=OTHER_PATIENT)
    for problem in decided(moved)[0].problems:
        assert "an object of another patient" in problem.context
        assert CASE not in problem.context
        assert APPENDED not in problem.context
    known = decided(update(*appended(ENTRY, STRANGER)))[0].problems[0].context
    assert ENTRY in known
    assert f"{STRANGER} of patient {OTHER_PATIENT}" in known


def test_what_connects_an_object_does_not_hinder_its_way_to_another_patient_when_it_changes_with_it() -> None:
    """The usual recipe: everything without propagation, joined anew."""
    moved = {"patient_id": OTHER_PATIENT}
    request = update(
        new_version(**moved), no(), new_version(CASE, "case", **moved), no("case", status=""), *filed("case", "new"),
        patient_id=OTHER_PATIENT,
    )  # fmt: skip
    assert found(request) == []
