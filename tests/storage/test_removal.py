"""storage/removal: what is removed leaves nothing behind, and nobody points at it afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.builders import OTHER_PATIENT
from tests.storage.registered import association, entry, find_documents, folder, get_all, member, submission
from xdsi.domain.consent import Consent, Policy, SignatureStatus
from xdsi.domain.errors import Rejected
from xdsi.domain.identifiers import PatientId, new_entry_uuid
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import DEPRECATED
from xdsi.storage import tables as t
from xdsi.storage.registry import SqlRegistry

OBJECT_TABLES = (
    t.document_entry, t.submission_set, t.folder, t.association, t.code, t.identifier,
    t.consent,
)  # fmt: skip


@pytest.fixture
def registry(engine: Engine) -> SqlRegistry:
    return SqlRegistry(engine)


def save(registry: SqlRegistry, *submissions: Submission) -> None:
    for one in submissions:
        with registry.writing() as session:
            session.save(one)


def everything(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        counts = {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in OBJECT_TABLES
        }
    return {name: count for name, count in counts.items() if count}


def test_a_whole_submission_leaves_no_row(registry: SqlRegistry, engine: Engine) -> None:
    one = entry(reference_ids=("1.2.3^^^^urn:ihe:iti:xds:2016:studyInstanceUID", "A^^^&2.9&ISO^urn:x"))
    case = folder()
    inside = member(case.entry_uuid, one.entry_uuid)
    own = submission(one, folders=(case,), associations=(inside,))
    link = member(own.submission_set.entry_uuid, inside.entry_uuid)
    own = replace(own, associations=(*own.associations, link))
    patient = PatientId.parse(one.patient_id)
    consent = Consent(
        unique_id=one.unique_id, entry_uuid=one.entry_uuid, patient=patient,
        policy=Policy(id="p", combining=""), status=SignatureStatus.VALID,
    )  # fmt: skip
    with registry.writing() as session:
        session.save(own)
        session.save_consent(consent)
    before = everything(engine)
    assert set(before) == {table.name for table in OBJECT_TABLES}
    with registry.reading() as session:
        epoch = session.consent_epoch(patient)
    ids = [thing.entry_uuid for thing in own.objects]
    with registry.writing() as session:
        session.lock(ids)
        session.remove(ids)
        assert session.objects(ids) == {}
    assert everything(engine) == {}
    with registry.reading() as session:
        assert session.consents(patient) == []
        assert session.consent_epoch(patient) > epoch
        assert session.kinds_by_unique_id([one.unique_id, case.unique_id, own.submission_set.unique_id]) == {}
        assert session.manifests_of_study("1.2.3") == []


def test_others_stay_as_they_are(registry: SqlRegistry, engine: Engine) -> None:
    one, other = entry(), entry()
    twin = replace(other, unique_id=one.unique_id)
    save(registry, submission(one))
    kept = submission(twin)
    save(registry, kept)
    with registry.reading() as session:
        before = list(session.fragments([thing.entry_uuid for thing in kept.objects]))
        gone = [found.id for found in session.find(get_all()) if found.id not in {x.entry_uuid for x in kept.objects}]
    with registry.writing() as session:
        session.remove(gone)
    with registry.reading() as session:
        assert {found.id for found in session.find(get_all())} == {thing.entry_uuid for thing in kept.objects}
        assert [found.unique_id for found in session.entries_by_unique_id([one.unique_id])] == [one.unique_id]
        assert list(session.fragments([thing.entry_uuid for thing in kept.objects])) == before


def test_an_association_across_patients_is_forgotten(registry: SqlRegistry) -> None:
    one = entry(patient_id=OTHER_PATIENT)
    save(registry, submission(one, patient_id=OTHER_PATIENT))
    by_reference = submission()
    link = member(by_reference.submission_set.entry_uuid, one.entry_uuid, submission_set_status=("Reference",))
    save(registry, replace(by_reference, associations=(link,)))
    with registry.reading() as session:
        assert link.entry_uuid in {found.entry_uuid for found in session.associations_of([one.entry_uuid])}
    with registry.writing() as session:
        session.remove([link.entry_uuid, by_reference.submission_set.entry_uuid])
    with registry.reading() as session:
        assert link.entry_uuid not in {found.entry_uuid for found in session.associations_of([one.entry_uuid])}


@pytest.mark.parametrize("removed", [1, 2, 3])
def test_of_the_versions_left_the_highest_is_the_latest(registry: SqlRegistry, removed: int) -> None:
    chain = [entry()]
    save(registry, submission(chain[0]))
    for version in (2, 3):
        newer = replace(chain[-1], entry_uuid=new_entry_uuid(), version=version)
        with registry.writing() as session:
            session.supersede([chain[-1].entry_uuid])
            session.save(submission(newer))
        chain.append(newer)
    with registry.writing() as session:
        session.remove([chain[removed - 1].entry_uuid])
    left = [one for one in chain if one.version != removed]
    with registry.reading() as session:
        assert [one.entry_uuid for one in session.versions([chain[0].logical_id])[chain[0].logical_id]] == [
            one.entry_uuid for one in left
        ]
        assert [found.id for found in session.find(find_documents())] == [left[-1].entry_uuid]


def test_a_uniqueid_of_what_was_removed_may_be_taken_again(registry: SqlRegistry) -> None:
    own = submission(folders=(folder(),))
    save(registry, own)
    with registry.writing() as session:
        session.remove([thing.entry_uuid for thing in own.objects])
    save(registry, own)
    with registry.reading() as session:
        assert len(session.objects([thing.entry_uuid for thing in own.objects])) == len(own.objects)


def test_nothing_is_named_that_is_being_removed(registry: SqlRegistry, another_engine: Callable[[], Engine]) -> None:
    """A submission that refers to an entry, and the removal of that entry: one of them finds the other's work."""
    one = entry()
    own = submission(one)
    save(registry, own)
    ids = [thing.entry_uuid for thing in own.objects]
    addendum = entry()
    later = submission(addendum, associations=(association(uuids.APND, addendum.entry_uuid, one.entry_uuid),))
    locked, begun = threading.Event(), threading.Event()
    removing, naming = SqlRegistry(another_engine()), SqlRegistry(another_engine())

    def remove() -> None:
        with removing.writing() as session:
            session.lock(ids)
            locked.set()
            begun.wait(10)
            session.remove(ids)

    def name() -> str:
        locked.wait(10)
        begun.set()
        try:
            with naming.writing() as session:
                session.save(later)
        except (Rejected, LookupError) as refusal:
            return type(refusal).__name__
        return "saved"

    with ThreadPoolExecutor(2) as pool:
        removed, named = pool.submit(remove), pool.submit(name)
        removed.result()
        assert named.result() in {"Rejected", "LookupError"}
    with registry.reading() as session:
        assert session.objects([*ids, addendum.entry_uuid]) == {}


def test_deprecated_objects_are_removed_too(registry: SqlRegistry, engine: Engine) -> None:
    one = entry(availability_status=DEPRECATED)
    own = submission(one)
    save(registry, own)
    with registry.writing() as session:
        session.remove([thing.entry_uuid for thing in own.objects])
    assert everything(engine) == {}
