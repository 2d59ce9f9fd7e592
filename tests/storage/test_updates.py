"""storage/updates: versions and statuses change only from the state that the request saw."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy.engine import Engine

from tests.builders import OTHER_PATIENT
from tests.storage.registered import association, entry, find_documents, folder, member, submission
from xdsi.domain.codes import Code
from xdsi.domain.consent import Consent, Policy, SignatureStatus
from xdsi.domain.identifiers import PatientId, new_entry_uuid
from xdsi.domain.metadata import DocumentEntry, Folder
from xdsi.domain.stored_query import FoundObject, ObjectKind
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.storage.registry import SqlRegistry


@pytest.fixture
def registry(engine: Engine) -> SqlRegistry:
    return SqlRegistry(engine)


def save(registry: SqlRegistry, *submissions: Submission) -> None:
    for one in submissions:
        with registry.writing() as session:
            session.save(one)


def second(first: DocumentEntry) -> DocumentEntry:
    return replace(first, entry_uuid=new_entry_uuid(), version=2, title="corrected")


def status(registry: SqlRegistry, id_: str) -> str:
    with registry.reading() as session:
        return session.objects([id_])[id_].availability_status


def test_a_superseded_version_is_deprecated_and_no_longer_the_latest(registry: SqlRegistry) -> None:
    first = entry()
    save(registry, submission(first))
    newer = second(first)
    with registry.writing() as session:
        assert session.supersede([first.entry_uuid]) == [first.entry_uuid]
        session.save(submission(newer))
    assert status(registry, first.entry_uuid) == DEPRECATED
    with registry.reading() as session:
        assert [one.id for one in session.find(find_documents())] == [newer.entry_uuid]
        versions = session.versions([first.logical_id])
    assert [(one.entry_uuid, one.version) for one in versions[first.logical_id]] == [
        (first.entry_uuid, 1), (newer.entry_uuid, 2),
    ]  # fmt: skip


def test_the_latest_version_decides_on_the_former(registry: SqlRegistry) -> None:
    """docs/policy.md section 6: neither a former confidentiality nor a former patient opens what the latest closes."""
    first = entry(confidentiality_codes=(Code("N", "2.999.9"),))
    newer = replace(second(first), patient_id=OTHER_PATIENT, confidentiality_codes=(Code("R", "2.999.9"),))
    own = submission(first)
    save(registry, own)
    with registry.writing() as session:
        session.supersede([first.entry_uuid])
        session.save(submission(newer, patient_id=OTHER_PATIENT))
    query = find_documents()
    query = replace(query, parameters={**query.parameters, "$MetadataLevel": (("2",),)})
    with registry.reading() as session:
        (found,) = session.find(query)
        evidence = session.evidence([found])
        by_set = session.evidence([FoundObject(id=own.submission_set.entry_uuid, kind=ObjectKind.SUBMISSION_SET)])
        (retrieved,) = session.resources_by_unique_id([(first.repository_unique_id, first.unique_id)])
    assert found.id == first.entry_uuid
    assert found.resource is not None
    assert found.resource == evidence.resources[first.entry_uuid] == by_set.resources[first.entry_uuid]
    assert (found.resource.patient, found.resource.entry_uuid) == (PatientId.parse(OTHER_PATIENT), first.entry_uuid)
    assert found.resource.confidentiality_codes == newer.confidentiality_codes
    assert retrieved == replace(found.resource, entry_uuid=newer.entry_uuid)


def test_versions_of_folders_and_unknown_ids(registry: SqlRegistry) -> None:
    case = folder()
    newer = replace(case, entry_uuid=new_entry_uuid(), version=2)
    save(registry, submission(folders=(case,)))
    with registry.writing() as session:
        assert session.supersede([case.entry_uuid]) == [case.entry_uuid]
        session.save(submission(folders=(newer,)))
    with registry.reading() as session:
        found = session.versions([case.logical_id, new_entry_uuid(), newer.entry_uuid])
    assert list(found) == [case.logical_id]
    assert [one.version for one in found[case.logical_id]] == [1, 2]
    assert isinstance(found[case.logical_id][0], Folder)


def test_what_is_not_the_latest_cannot_be_superseded(registry: SqlRegistry) -> None:
    first = entry()
    save(registry, submission(first))
    with registry.writing() as session:
        session.supersede([first.entry_uuid])
        session.save(submission(second(first)))
    with registry.writing() as session:
        assert session.supersede([first.entry_uuid, new_entry_uuid()]) == []


def test_a_status_changes_from_the_original_only(registry: SqlRegistry) -> None:
    one, other, case = entry(), entry(), folder()
    link = association(uuids.APND, one.entry_uuid, other.entry_uuid)
    save(registry, submission(one, other, folders=(case,), associations=(link,)))
    ids = [one.entry_uuid, case.entry_uuid, link.entry_uuid]
    with registry.writing() as session:
        assert session.set_status(ids, DEPRECATED, APPROVED) == []
        assert session.set_status(ids, APPROVED, DEPRECATED) == ids
        assert session.set_status(ids, APPROVED, DEPRECATED) == []
    assert [status(registry, id_) for id_ in ids] == [DEPRECATED] * 3
    with registry.writing() as session:
        assert session.set_status(ids, DEPRECATED, APPROVED) == ids


def test_the_status_of_a_former_version_does_not_change(registry: SqlRegistry) -> None:
    first = entry()
    save(registry, submission(first))
    with registry.writing() as session:
        session.supersede([first.entry_uuid])
        session.save(submission(second(first)))
    with registry.writing() as session:
        assert session.set_status([first.entry_uuid], DEPRECATED, APPROVED) == []


def test_the_status_of_a_submission_set_does_not_change(registry: SqlRegistry) -> None:
    own = submission(entry())
    save(registry, own)
    with registry.writing() as session:
        assert session.set_status([own.submission_set.entry_uuid], APPROVED, DEPRECATED) == []


@pytest.mark.parametrize("change", ["status", "version"])
def test_a_consent_that_changes_makes_the_epoch_grow(registry: SqlRegistry, change: str) -> None:
    one = entry()
    patient = PatientId.parse(one.patient_id)
    consent = Consent(
        unique_id=one.unique_id, entry_uuid=one.entry_uuid, patient=patient,
        policy=Policy(id="p", combining=""), status=SignatureStatus.VALID,
    )  # fmt: skip
    with registry.writing() as session:
        session.save(submission(one))
        session.save_consent(consent)
    with registry.reading() as session:
        before = session.consent_epoch(patient)
        assert session.consents(patient) == [consent]
    with registry.writing() as session:
        if change == "status":
            session.set_status([one.entry_uuid], APPROVED, DEPRECATED)
        else:
            session.supersede([one.entry_uuid])
    with registry.reading() as session:
        assert session.consents(patient) == []
        assert session.consent_epoch(patient) > before


def test_associations_are_found_by_either_end(registry: SqlRegistry) -> None:
    one, other = entry(), entry()
    case = folder()
    apnd = association(uuids.APND, one.entry_uuid, other.entry_uuid)
    inside = member(case.entry_uuid, one.entry_uuid, availability_status=DEPRECATED)
    own = submission(one, other, folders=(case,), associations=(apnd, inside))
    save(registry, own)
    set_id = own.submission_set.entry_uuid
    with registry.reading() as session:
        of_one = {(found.source, found.target) for found in session.associations_of([one.entry_uuid])}
        assert session.associations_of([new_entry_uuid()]) == []
    assert of_one == {
        (one.entry_uuid, other.entry_uuid), (case.entry_uuid, one.entry_uuid), (set_id, one.entry_uuid),
    }  # fmt: skip


def test_of_two_simultaneous_updates_one_wins(registry: SqlRegistry, another_engine: Callable[[], Engine]) -> None:
    first = entry()
    save(registry, submission(first))
    registries = [SqlRegistry(another_engine()) for _ in range(4)]
    barrier = threading.Barrier(len(registries), timeout=60)

    def update(own: SqlRegistry) -> bool:
        barrier.wait()
        with own.writing() as session:
            won = session.supersede([first.entry_uuid]) == [first.entry_uuid]
            if won:
                session.save(submission(second(first)))
            return won

    with ThreadPoolExecutor(len(registries)) as pool:
        assert sorted(pool.map(update, registries)) == [False] * 3 + [True]
    with registry.reading() as session:
        assert [one.version for one in session.versions([first.logical_id])[first.logical_id]] == [1, 2]


def test_relationships_are_followed_as_far_as_they_lead(registry: SqlRegistry) -> None:
    """ITI TF-3 4.2.2.2: from source to target, over what is Approved, whoever's documents they are."""
    a, b, c, elsewhere, beyond, signature = entry(), entry(), entry(), entry(), entry(), entry()
    strangers, case = entry(patient_id=OTHER_PATIENT), folder()
    save(registry, submission(strangers, patient_id=OTHER_PATIENT))
    leading = [
        association(uuids.APND, a.entry_uuid, b.entry_uuid),
        association(uuids.XFRM, b.entry_uuid, c.entry_uuid),
        association(uuids.SIGNS, c.entry_uuid, strangers.entry_uuid),
    ]
    others = [
        association(uuids.APND, c.entry_uuid, elsewhere.entry_uuid, availability_status=DEPRECATED),
        association(uuids.APND, elsewhere.entry_uuid, beyond.entry_uuid),
        association(uuids.SIGNS, signature.entry_uuid, a.entry_uuid),
        member(case.entry_uuid, a.entry_uuid),
    ]
    own = submission(a, b, c, elsewhere, beyond, signature, folders=(case,), associations=(*leading, *others))
    save(registry, own)
    onwards = association(uuids.APND, strangers.entry_uuid, a.entry_uuid)
    save(registry, submission(patient_id=OTHER_PATIENT, associations=(onwards,)))
    expected = {FoundObject.of(one) for one in (*leading, onwards)}
    with registry.reading() as session:
        for ids in ([a.entry_uuid], [c.entry_uuid], [strangers.entry_uuid, b.entry_uuid, new_entry_uuid()]):
            assert {*session.relationships_from(ids, 100)} == expected
        assert len(session.relationships_from([a.entry_uuid], 2)) == 2
        assert session.relationships_from([beyond.entry_uuid, case.entry_uuid, new_entry_uuid()], 100) == []
