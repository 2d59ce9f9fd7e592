"""storage/evidence: what leads from found objects to the DocumentEntries behind them, in few statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy.engine import Engine

from tests.builders import OTHER_PATIENT, PATIENT
from tests.storage.registered import association, entry, folder, get_all, member, submission, submission_set
from tests.storage.statements import watched
from tests.storage.worlds import QUERIES, Dice, World, dice, query_for, worlds
from xdsi.domain.codes import Code
from xdsi.domain.consent import ResourceKind
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import Demographics
from xdsi.domain.metadata import Association, DocumentEntry
from xdsi.domain.stored_query import Evidence, FoundObject, ObjectKind, ReturnType, StoredQuery
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import DEPRECATED
from xdsi.storage import evidence
from xdsi.storage.identities import SqlPatientIdentities
from xdsi.storage.registry import SqlRegistry


def ask(query_id: str, parameter: str, *ids: str) -> StoredQuery:
    return StoredQuery(query_id, ReturnType.OBJECT_REF, {parameter: (ids,), "$MetadataLevel": (("2",),)})


def gathered(engine: Engine, query: StoredQuery) -> tuple[Sequence[FoundObject], Evidence]:
    with SqlRegistry(engine, home="urn:oid:2.999.1").reading() as session:
        found = session.find(query)
        return found, session.evidence(found)


def save(engine: Engine, *submissions: Submission) -> None:
    with SqlRegistry(engine).writing() as session:
        for one in submissions:
            session.save(one)


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    statements: list[str] = []

    with watched(engine, lambda driver, statement, parameters: statements.append(statement)):
        yield statements


# -- the plain way


def plain(found: Sequence[FoundObject], world: World) -> tuple[set[str], dict[str, set[str]], dict[str, Any]]:
    """Ids decided on, members by container, ends by Association: loops over everything that there is."""
    objects = {one.entry_uuid: one for one in world.submission.objects}
    wanted = {one.id for one in found}
    grown: set[str] = set()
    while wanted != grown:
        grown = set(wanted)
        links = [one for id_ in grown if isinstance(one := objects[id_], Association)]
        wanted |= {end for one in links for end in (one.source, one.target)}
    ends = {id_: (one.source, one.target) for id_ in wanted if isinstance(one := objects[id_], Association)}
    containers = {id_ for id_ in wanted if not isinstance(objects[id_], Association | DocumentEntry)}
    members: dict[str, set[str]] = {}
    for link in world.associations:
        source, target = objects[link.source], objects[link.target]
        is_member = link.type == uuids.HAS_MEMBER and isinstance(target, DocumentEntry)
        if not is_member or link.source not in containers:
            continue
        if world.survivor(source.patient_id) == world.survivor(target.patient_id):
            members.setdefault(link.source, set()).add(link.target)
    decided = (wanted - ends.keys() - containers) | (containers - members.keys()) | set().union(*members.values())
    return decided, members, ends


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(worlds(), dice)
def test_evidence_is_what_the_plain_way_gives(engine: Engine, world: World, die: Dice) -> None:
    save(engine, world.submission)
    identities = SqlPatientIdentities(engine)
    for patient in world.patients:
        identities.add(patient, Demographics())
    for subsumed, survivor in reversed(world.merges):
        identities.merge(subsumed, survivor)
    objects = {one.entry_uuid: one for one in world.submission.objects}
    for query_id in QUERIES:
        query = query_for(die, world, query_id)
        with SqlRegistry(engine).reading() as session:
            # A query for all patients also sees other examples.
            found = [one for one in session.find(query) if one.id in objects]
            given_ = session.evidence(found)
        decided, members, ends = plain(found, world)
        assert given_.complete
        assert given_.resources.keys() == decided, query
        assert {id_: set(ids) for id_, ids in given_.members.items()} == members, query
        assert given_.ends == ends, query
        for id_, resource in given_.resources.items():
            stored = objects[id_]
            assert (resource.entry_uuid, resource.unique_id) == (id_, stored.unique_id)
            if isinstance(stored, DocumentEntry):
                stored = world.latest(stored)
                assert resource.confidentiality_codes == stored.confidentiality_codes
            assert resource.patient == world.survivor(stored.patient_id)


# -- one by one


def test_members_of_any_status_speak_for_a_container(engine: Engine) -> None:
    old, new = entry(availability_status=DEPRECATED), entry()
    own = folder()
    gone = member(own.entry_uuid, new.entry_uuid, availability_status=DEPRECATED)
    save(engine, submission(old, new, folders=[own], associations=[member(own.entry_uuid, old.entry_uuid), gone]))
    found, given_ = gathered(engine, ask(uuids.GET_FOLDERS, "$XDSFolderEntryUUID", own.entry_uuid))
    assert [one.id for one in found] == [own.entry_uuid]
    assert given_.resources.keys() == {old.entry_uuid, new.entry_uuid}
    assert set(given_.members[own.entry_uuid]) == {old.entry_uuid, new.entry_uuid}


def test_a_container_without_a_document_is_decided_on_by_itself(engine: Engine) -> None:
    own = folder(codes=(Code("REFERRAL", "2.999.20"), Code("B", "2.999.20")))
    bare = folder(codes=())
    sent = submission(folders=[own, bare], unique_id="2.999.11.77")
    save(engine, sent)
    _, given_ = gathered(engine, get_all())
    (set_id,) = (one.entry_uuid for one in sent.submission_sets)
    assert given_.members == {}
    assert given_.resources.keys() == {own.entry_uuid, bare.entry_uuid, set_id}
    by_set, by_folder = given_.resources[set_id], given_.resources[own.entry_uuid]
    patient = PatientId.parse(PATIENT)
    assert (by_set.kind, by_set.unique_id, by_set.patient, by_set.entry_uuid) == (
        ResourceKind.SUBMISSION_SET, "2.999.11.77", patient, set_id,
    )  # fmt: skip
    assert (by_folder.kind, by_folder.unique_id, by_folder.patient) == (ResourceKind.FOLDER, own.unique_id, patient)
    assert set(by_folder.folder_codes) == set(own.codes)
    assert given_.resources[bare.entry_uuid].folder_codes == ()


def test_a_document_of_another_patient_does_not_speak_for_a_submission_set(engine: Engine) -> None:
    theirs = entry(patient_id=OTHER_PATIENT)
    ours = submission_set()
    by_reference = member(ours.entry_uuid, theirs.entry_uuid, submission_set_status=("Reference",))
    save(engine, submission(theirs, patient_id=OTHER_PATIENT), Submission((ours,), (), (), (by_reference,)))
    found, given_ = gathered(engine, ask(uuids.GET_SUBMISSION_SETS, "$uuid", theirs.entry_uuid))
    assert {one.id for one in found} > {ours.entry_uuid, by_reference.entry_uuid}
    assert ours.entry_uuid not in given_.members
    assert given_.resources[ours.entry_uuid].kind is ResourceKind.SUBMISSION_SET
    assert given_.resources[theirs.entry_uuid].patient == PatientId.parse(OTHER_PATIENT)


def test_ends_that_are_associations_are_followed(engine: Engine) -> None:
    one, own = entry(), folder()
    link = member(own.entry_uuid, one.entry_uuid)
    sent = submission(one, folders=[own], associations=[link])
    (set_id,) = (one.entry_uuid for one in sent.submission_sets)
    over = member(set_id, link.entry_uuid)
    save(engine, Submission(sent.submission_sets, sent.document_entries, sent.folders, (*sent.associations, over)))
    found, given_ = gathered(engine, ask(uuids.GET_ASSOCIATIONS, "$uuid", link.entry_uuid))
    assert [item.id for item in found] == [over.entry_uuid]
    assert given_.ends == {
        over.entry_uuid: (set_id, link.entry_uuid), link.entry_uuid: (own.entry_uuid, one.entry_uuid),
    }  # fmt: skip
    assert given_.members == {set_id: [one.entry_uuid], own.entry_uuid: [one.entry_uuid]}


def test_chains_of_associations_are_not_followed_without_end(engine: Engine) -> None:
    """The rules of submission make none; what lies too deep has no evidence and is hidden."""
    one = entry()
    sent = submission(one)
    (set_id,) = (one.entry_uuid for one in sent.submission_sets)
    chain = list(sent.associations)
    for _ in range(20):
        chain.append(member(set_id, chain[-1].entry_uuid))
    save(engine, Submission(sent.submission_sets, sent.document_entries, (), tuple(chain)))
    with counted(engine) as statements, SqlRegistry(engine).reading() as session:
        found = session.find(ask(uuids.GET_ASSOCIATIONS, "$uuid", chain[-2].entry_uuid))
        statements.clear()
        given_ = session.evidence(found)
    assert len(given_.ends) == 1 + evidence.DEEPEST
    assert len(statements) <= evidence.DEEPEST + 3


def test_evidence_does_not_need_the_session_that_found(engine: Engine) -> None:
    one = entry()
    sent = submission(one)
    save(engine, sent)
    found, given_ = gathered(engine, get_all())
    with SqlRegistry(engine, home="urn:oid:2.999.1").reading() as session:
        assert session.evidence(found) == given_


def test_what_is_not_registered_has_no_evidence(engine: Engine) -> None:
    nothing = "urn:uuid:00000000-0000-4000-8000-000000000000"
    stray = FoundObject(id=nothing, kind=ObjectKind.ASSOCIATION, source=nothing, target=nothing)
    with SqlRegistry(engine).reading() as session:
        assert session.evidence([stray]) == Evidence(ends={nothing: (nothing, nothing)})
        assert session.evidence([]) == Evidence()


def test_too_much_is_not_loaded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [entry() for _ in range(4)]
    sent = submission(*entries)
    save(engine, sent)
    (set_id,) = (one.entry_uuid for one in sent.submission_sets)
    query = ask(uuids.GET_SUBMISSION_SETS, "$uuid", entries[0].entry_uuid)
    monkeypatch.setattr(evidence, "MOST", 5)
    assert gathered(engine, query)[1].complete
    monkeypatch.setattr(evidence, "MOST", 4)
    assert gathered(engine, query)[1] == Evidence(complete=False)
    assert set_id in {one.id for one in gathered(engine, query)[0]}


# -- statements


def _full(engine: Engine, size: int) -> list[Submission]:
    """Submissions of one patient, with Folders and relationships between documents."""
    made = []
    for _ in range(size):
        first, second, own = entry(), entry(), folder()
        links = [
            member(own.entry_uuid, first.entry_uuid), association(uuids.APND, second.entry_uuid, first.entry_uuid),
        ]  # fmt: skip
        made.append(submission(first, second, folders=[own], associations=links))
    save(engine, *made)
    return made


def _queries(made: Sequence[Submission]) -> dict[str, StoredQuery]:
    status = (("urn:oasis:names:tc:ebxml-regrep:StatusType:Approved",),)
    sets = [one.submission_sets[0].entry_uuid for one in made]
    entries = [entry.entry_uuid for one in made for entry in one.document_entries]
    patient = ((PATIENT,),)
    return {
        "FindSubmissionSets": StoredQuery(
            uuids.FIND_SUBMISSION_SETS, ReturnType.OBJECT_REF,
            {"$XDSSubmissionSetPatientId": patient, "$XDSSubmissionSetStatus": status},
        ),
        "FindFolders": StoredQuery(
            uuids.FIND_FOLDERS, ReturnType.OBJECT_REF, {"$XDSFolderPatientId": patient, "$XDSFolderStatus": status}
        ),
        "GetAll": get_all(),
        "GetAssociations": ask(uuids.GET_ASSOCIATIONS, "$uuid", *sets, *entries),
        "GetSubmissionSets": ask(uuids.GET_SUBMISSION_SETS, "$uuid", *entries),
        "GetSubmissionSetAndContents": ask(
            uuids.GET_SUBMISSION_SET_AND_CONTENTS, "$XDSSubmissionSetEntryUUID", sets[0]
        ),
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 30])
def test_two_statements_are_enough_for_a_whole_result(engine: Engine, size: int) -> None:
    for name, query in _queries(_full(engine, size)).items():
        with counted(engine) as statements, SqlRegistry(engine).reading() as session:
            found = session.find(query)
            assert statements
            statements.clear()
            given_ = session.evidence(found)
        assert given_.members, name
        assert len(statements) <= 2, (name, statements)


def test_what_is_loaded_already_is_not_loaded_again(engine: Engine) -> None:
    made = _full(engine, 3)
    with counted(engine) as statements, SqlRegistry(engine).reading() as session:
        found = session.find(get_all())
        statements.clear()
        given_ = session.evidence(found)
    assert len(statements) == 1
    assert given_.resources.keys() == {entry.entry_uuid for one in made for entry in one.document_entries}
