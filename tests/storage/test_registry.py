"""storage/registry: what is saved comes back, what is replaced is replaced once, merges show when reading."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests import builders
from tests.builders import OTHER_PATIENT, PATIENT
from tests.storage.registered import (
    association,
    entry,
    find_documents,
    folder,
    get_all,
    member,
    submission,
)
from xdsi.domain.codes import Code
from xdsi.domain.errors import Rejected, Unavailable
from xdsi.domain.identifiers import PatientId, new_entry_uuid
from xdsi.domain.identity import Demographics
from xdsi.domain.metadata import DocumentEntry, Extra, Slot
from xdsi.domain.stored_query import ObjectKind, ReturnType, StoredQuery
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.storage.identities import SqlPatientIdentities
from xdsi.storage.registry import SqlRegistry

A, B = PatientId.parse(PATIENT), PatientId.parse(OTHER_PATIENT)


@pytest.fixture
def registry(engine: Engine) -> SqlRegistry:
    return SqlRegistry(engine)


def save(registry: SqlRegistry, *submissions: Submission) -> None:
    for one in submissions:
        with registry.writing() as session:
            session.save(one)


def merge(engine: Engine, subsumed: PatientId, survivor: PatientId) -> None:
    identities = SqlPatientIdentities(engine)
    for patient in (subsumed, survivor):
        identities.add(patient, Demographics())
    identities.merge(subsumed, survivor)


# --- saving and reading


def test_objects_come_back_as_they_were_saved(registry: SqlRegistry) -> None:
    extra = Extra(slots=(Slot("urn:example:extra", ("a", "b")),))
    one = entry(extra=extra, title="Ä & <ö>", version=None, logical_id="")
    case = folder(comments="x")
    own = submission(one, folders=(case,), associations=(member(case.entry_uuid, one.entry_uuid),))
    save(registry, own)
    with registry.reading() as session:
        found = session.objects([thing.entry_uuid for thing in own.objects])
    assert found[own.submission_set.entry_uuid] == own.submission_set
    assert found[case.entry_uuid] == case
    # The registry sets what the first version has.
    assert found[one.entry_uuid] == replace(one, version=1, logical_id=one.entry_uuid)
    assert [found[link.entry_uuid] for link in own.associations] == list(own.associations)


def test_ids_that_are_not_registered_are_absent(registry: SqlRegistry) -> None:
    with registry.reading() as session:
        assert session.objects([new_entry_uuid()]) == {}
        assert session.objects([]) == {}
        assert list(session.fragments([new_entry_uuid()])) == []
        assert session.entries_by_unique_id(["2.999"]) == []
        assert session.kinds_by_unique_id(["2.999"]) == {}
        assert session.folders_of(new_entry_uuid()) == []
        assert session.related_to([new_entry_uuid()], [uuids.RPLC]) == []
        assert session.resources_by_unique_id([("2.999.1.2", "2.999")]) == []
        assert session.manifests_of_study("2.999") == []


def test_a_uniqueid_leads_to_all_that_carry_it(registry: SqlRegistry) -> None:
    first, second = entry(), entry(patient_id=OTHER_PATIENT)
    second = replace(second, unique_id=first.unique_id)
    case = folder()
    own = submission(first, folders=(case,))
    save(registry, own, submission(second, patient_id=OTHER_PATIENT))
    with registry.reading() as session:
        found = session.entries_by_unique_id([first.unique_id, case.unique_id])
        kinds = session.kinds_by_unique_id([first.unique_id, case.unique_id, own.submission_set.unique_id])
    assert {one.entry_uuid for one in found} == {first.entry_uuid, second.entry_uuid}
    assert kinds == {
        first.unique_id: frozenset({"DocumentEntry"}),
        case.unique_id: frozenset({"Folder"}),
        own.submission_set.unique_id: frozenset({"SubmissionSet"}),
    }


def test_a_submission_that_fails_leaves_nothing(registry: SqlRegistry) -> None:
    one = submission(entry())
    dangling = association(uuids.APND, new_entry_uuid(), one.document_entries[0].entry_uuid)
    stray = replace(one, associations=(*one.associations, dangling))
    with pytest.raises(LookupError), registry.writing() as session:
        session.save(stray)

    def save_and_fail() -> None:
        with registry.writing() as session:
            session.save(one)
            raise Rejected(())

    with pytest.raises(Rejected):
        save_and_fail()
    with registry.reading() as session:
        assert session.objects([thing.entry_uuid for thing in one.objects]) == {}
        assert session.patient_status(A) == "unknown"


@pytest.mark.parametrize("kind", ["SubmissionSet", "Folder", "SubmissionSet and Folder"])
def test_a_uniqueid_that_somebody_took_meanwhile_is_rejected(registry: SqlRegistry, kind: str) -> None:
    case = folder()
    first = submission(folders=(case,))
    save(registry, first)
    taken = first.submission_set.unique_id
    second = submission(entry(), unique_id=taken)
    if kind == "Folder":
        second = submission(folders=(folder(unique_id=case.unique_id),))
    elif kind != "SubmissionSet":
        second = submission(folders=(folder(unique_id=taken),))
    with pytest.raises(Rejected) as caught:
        save(registry, second)
    (problem,) = caught.value.problems
    assert problem.code == "XDSDuplicateUniqueIdInRegistry"
    with registry.reading() as session:
        assert session.objects([second.submission_set.entry_uuid]) == {}


def test_an_entryuuid_that_is_registered_is_rejected(registry: SqlRegistry) -> None:
    one = entry()
    save(registry, submission(one))
    with pytest.raises(Rejected) as caught:
        save(registry, submission(replace(one, unique_id="2.999.77")))
    assert [problem.code for problem in caught.value.problems] == ["XDSRegistryMetadataError"]


def test_a_document_may_be_registered_twice(registry: SqlRegistry) -> None:
    one = entry()
    again = replace(one, entry_uuid=new_entry_uuid(), logical_id="")
    save(registry, submission(one), submission(again))
    with registry.reading() as session:
        assert len(session.find(find_documents())) == 2


def test_patients_become_known_with_their_first_document(registry: SqlRegistry) -> None:
    with registry.reading() as session:
        assert (session.patient_status(A), session.patient_key(A), session.consent_epoch(A)) == ("unknown", None, 0)
    save(registry, submission(entry()), submission(entry()))
    with registry.reading() as session:
        assert session.patient_status(A) == "active"
        assert session.patient_key(A) is not None
        assert session.patient_status(B) == "unknown"


# --- relations


def test_folders_and_relations_of_an_entry(registry: SqlRegistry) -> None:
    one, addendum, replacement = entry(), entry(), entry()
    case, closed, left = folder(), folder(availability_status=DEPRECATED), folder()
    save(
        registry,
        submission(
            one,
            folders=(case, closed, left),
            associations=(
                member(case.entry_uuid, one.entry_uuid),
                member(closed.entry_uuid, one.entry_uuid),
                member(left.entry_uuid, one.entry_uuid, availability_status=DEPRECATED),
            ),
        ),
        submission(addendum, associations=(association(uuids.APND, addendum.entry_uuid, one.entry_uuid),)),
        submission(replacement, associations=(association(uuids.RPLC, replacement.entry_uuid, one.entry_uuid),)),
    )
    with registry.reading() as session:
        assert session.folders_of(one.entry_uuid) == [case]
        (found,) = session.related_to([one.entry_uuid], [uuids.APND, uuids.XFRM])
        assert (found.type, found.source, found.target) == (uuids.APND, addendum.entry_uuid, one.entry_uuid)
        both = session.related_to([one.entry_uuid, addendum.entry_uuid], [uuids.APND, uuids.RPLC])
    assert {link.type for link in both} == {uuids.APND, uuids.RPLC}


def test_an_association_to_another_patients_entry_is_found_from_both_sides(registry: SqlRegistry) -> None:
    childs = entry(patient_id=OTHER_PATIENT)
    save(registry, submission(childs, patient_id=OTHER_PATIENT))
    mothers = submission(entry())
    link = member(mothers.submission_set.entry_uuid, childs.entry_uuid, submission_set_status=("Reference",))
    save(registry, replace(mothers, associations=(*mothers.associations, link)))
    with registry.reading() as session:
        for patient in (PATIENT, OTHER_PATIENT):
            assert link.entry_uuid in [one.id for one in session.find(get_all(patient))]
        assert link in session.related_to([childs.entry_uuid], [uuids.HAS_MEMBER])


# --- replacing


def test_an_entry_is_deprecated_once(registry: SqlRegistry) -> None:
    one, two = entry(), entry()
    save(registry, submission(one, two))
    with registry.writing() as session:
        assert session.deprecate([two.entry_uuid, one.entry_uuid, new_entry_uuid()]) == [two.entry_uuid, one.entry_uuid]
        assert session.deprecate([one.entry_uuid]) == []
    with registry.writing() as session:
        assert session.deprecate([one.entry_uuid, two.entry_uuid]) == []
        assert session.deprecate([]) == []
    with registry.reading() as session:
        found = session.objects([one.entry_uuid])[one.entry_uuid]
        (fragment,) = session.fragments([one.entry_uuid])
    assert isinstance(found, DocumentEntry)
    assert found.availability_status == DEPRECATED
    assert DEPRECATED.encode() in fragment


def test_of_two_simultaneous_replacements_exactly_one_wins(
    registry: SqlRegistry, another_engine: Callable[[], Engine]
) -> None:
    registries = [registry, SqlRegistry(another_engine())]
    targets = [entry() for _ in range(10)]
    save(registry, *(submission(one) for one in targets))
    start = threading.Barrier(2, timeout=60)

    def replace_all(own: SqlRegistry) -> list[str]:
        won = []
        for target in targets:
            start.wait()
            fresh = entry()
            link = association(uuids.RPLC, fresh.entry_uuid, target.entry_uuid)
            with own.writing() as session:
                if session.deprecate([target.entry_uuid]):
                    session.save(submission(fresh, associations=(link,)))
                    won.append(target.entry_uuid)
        return won

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(replace_all, registries)
    assert sorted([*first, *second]) == sorted(one.entry_uuid for one in targets)
    with registry.reading() as session:
        for target in targets:
            assert len(session.related_to([target.entry_uuid], [uuids.RPLC])) == 1


def test_the_loser_of_a_race_for_a_uniqueid_is_told_so(
    registry: SqlRegistry, another_engine: Callable[[], Engine]
) -> None:
    registries = [registry, SqlRegistry(another_engine())]
    start = threading.Barrier(2, timeout=60)

    def submit(own: SqlRegistry) -> str:
        start.wait()
        try:
            save(own, submission(entry(), unique_id="2.999.5.5"))
        except Rejected as rejection:
            return str(rejection.problems[0].code)  # type: ignore[attr-defined]
        return "saved"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(submit, registries)) == ["XDSDuplicateUniqueIdInRegistry", "saved"]


@pytest.mark.parametrize("others", [0, 300])
def test_of_two_documents_with_one_new_uniqueid_the_second_is_judged_by_the_first(
    registry: SqlRegistry, another_engine: Callable[[], Engine], others: int
) -> None:
    """ITI TF-2 3.42.4.1.3.3.1: it may be registered again for the same bytes only, so the first has to be seen."""
    registries = [(registry, 0), (SqlRegistry(another_engine()), others)]
    unique_ids = [f"2.999.6.{others}.{number}" for number in range(10)]
    start = threading.Barrier(2, timeout=60)

    def submit_all(given: tuple[SqlRegistry, int]) -> list[str]:
        own, more = given
        saved = []
        for unique_id in unique_ids:
            start.wait()
            with own.writing() as session:
                if not session.kinds_by_unique_id([unique_id, *(f"{unique_id}.{number}" for number in range(more))]):
                    session.save(submission(entry(unique_id=unique_id)))
                    saved.append(unique_id)
        return saved

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(submit_all, registries)
    assert sorted([*first, *second]) == sorted(unique_ids)


def test_folders_are_touched(registry: SqlRegistry) -> None:
    case, other = folder(), folder()
    save(registry, submission(folders=(case, other)))
    with registry.writing() as session:
        session.touch_folders([case.entry_uuid, new_entry_uuid()], "20300101000000")
    with registry.reading() as session:
        found = session.objects([case.entry_uuid, other.entry_uuid])
    assert found[case.entry_uuid] == replace(case, last_update_time="20300101000000")
    assert found[other.entry_uuid] == other


def test_a_new_version_hides_the_one_before(registry: SqlRegistry) -> None:
    old = entry()
    new = replace(old, entry_uuid=new_entry_uuid(), version=2, title="Corrected")
    newest = replace(old, entry_uuid=new_entry_uuid(), version=3)
    save(registry, submission(old), submission(new), submission(newest))
    by_logical_id = StoredQuery(
        uuids.GET_DOCUMENTS, ReturnType.LEAF_CLASS, {"$XDSDocumentEntryLogicalID": ((old.entry_uuid,),)}
    )
    with registry.reading() as session:
        assert [one.id for one in session.find(find_documents())] == [newest.entry_uuid]
        assert [one.id for one in session.find(by_logical_id)] == [newest.entry_uuid]
        level_two = replace(by_logical_id, parameters={**by_logical_id.parameters, "$MetadataLevel": (("2",),)})
        assert {one.id for one in session.find(level_two)} == {old.entry_uuid, new.entry_uuid, newest.entry_uuid}
        (fragment,) = session.fragments([new.entry_uuid])
        found = session.objects([new.entry_uuid])[new.entry_uuid]
    assert found == new
    assert b'versionName="2"' in fragment
    assert f'lid="{old.entry_uuid}"'.encode() in fragment


# --- queries


def test_answers_are_the_fragments_in_the_order_asked_for(registry: SqlRegistry) -> None:
    case = folder()
    own = submission(entry(creation_time="2023"), entry(creation_time="2024"), folders=(case,))
    save(registry, own)
    with registry.reading() as session:
        found = session.find(get_all())
        pieces = list(session.fragments([one.id for one in found]))
    assert [one.kind for one in found[:4]] == [
        ObjectKind.SUBMISSION_SET, ObjectKind.DOCUMENT_ENTRY, ObjectKind.DOCUMENT_ENTRY, ObjectKind.FOLDER
    ]  # fmt: skip
    assert all(f'id="{one.id}"'.encode() in piece for one, piece in zip(found, pieces, strict=True))
    assert all(b"\0" not in piece for piece in pieces)


def test_large_answers_are_read_in_batches_after_the_session_has_ended(registry: SqlRegistry) -> None:
    own = submission(*(entry() for _ in range(450)))
    save(registry, own)
    with registry.reading() as session:
        ids = [one.id for one in session.find(find_documents())]
        pieces = session.fragments([*ids, new_entry_uuid()])
    assert iter(pieces) is pieces, "nothing is read yet"
    taken = list(pieces)
    assert len(taken) == 450
    assert all(f'id="{id_}"'.encode() in piece for id_, piece in zip(ids, taken, strict=True))


def test_a_large_answer_that_is_given_up_gives_its_connection_back(registry: SqlRegistry, engine: Engine) -> None:
    save(registry, submission(*(entry() for _ in range(250))))
    before = engine.pool.checkedout()  # type: ignore[attr-defined]
    with registry.reading() as session:
        pieces = session.fragments([one.id for one in session.find(find_documents())])
    next(iter(pieces))
    assert engine.pool.checkedout() == before + 1  # type: ignore[attr-defined]
    pieces.close()  # type: ignore[attr-defined]
    assert engine.pool.checkedout() == before  # type: ignore[attr-defined]


def test_more_than_any_answer_may_have_is_not_loaded(registry: SqlRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    from xdsi.storage.stored_queries import finder, selections

    monkeypatch.setattr(selections, "MOST", 5)
    monkeypatch.setattr(finder, "MOST", 5)
    selections._build.cache_clear()
    own = submission(*(entry() for _ in range(7)))
    save(registry, own)
    ids = tuple(one.entry_uuid for one in own.document_entries)
    by_id = StoredQuery(uuids.GET_DOCUMENTS, ReturnType.OBJECT_REF, {"$XDSDocumentEntryEntryUUID": (ids,)})
    try:
        with registry.reading() as session:
            assert [len(session.find(query)) for query in (find_documents(), by_id, get_all())] == [5, 5, 5]
    finally:
        selections._build.cache_clear()


def test_home_is_this_community_where_the_object_names_none(engine: Engine) -> None:
    registry = SqlRegistry(engine, home="urn:oid:2.999.1")
    own, foreign = entry(), entry(home_community_id="urn:oid:2.999.7")
    save(registry, submission(own, foreign))
    with registry.reading() as session:
        found = {one.id: one for one in session.find(find_documents())}
        pieces = dict(zip(found, session.fragments(list(found)), strict=True))
    for one, home in ((own, "urn:oid:2.999.1"), (foreign, "urn:oid:2.999.7")):
        assert found[one.entry_uuid].home_community_id == home
        resource = found[one.entry_uuid].resource
        assert resource is not None
        assert resource.home_community_id == home
        assert f'home="{home}"'.encode() in pieces[one.entry_uuid]


def test_text_is_compared_in_normal_form_and_never_becomes_part_of_a_statement(registry: SqlRegistry) -> None:
    person = "77^O'Nei\u0301l; DROP TABLE document_entry; --^Jo!"
    one = entry(authors=(builders.AUTHOR, replace(builders.AUTHOR, person=person)))
    save(registry, submission(one))
    patterns = {"77^O'Neíl; DROP%": 1, "77^O'Neíl%Jo!": 1, "77^o'neíl%": 0, "%' OR 'a'='a": 0, "%--^J__": 1, "%!!": 0}
    with registry.reading() as session:
        for value, expected in patterns.items():
            assert len(session.find(find_documents(AuthorPerson=((value,),)))) == expected, value
        assert session.find(find_documents("' OR 1=1 --")) == []


# --- resources


def test_a_resource_is_what_policies_compare(registry: SqlRegistry) -> None:
    study = "1.2.3^^^^urn:ihe:iti:xds:2016:studyInstanceUID"
    one = entry(reference_ids=(study, "A7^^^&2.999.6&ISO^urn:ihe:iti:xds:2013:accession"))
    save(registry, submission(one, source_id="2.999.3.9"))
    with registry.writing() as session:
        session.deprecate([one.entry_uuid])
    with registry.reading() as session:
        asked = [(one.repository_unique_id, one.unique_id), ("2.999.9", "2.999.8")]
        (resource,) = session.resources_by_unique_id(asked)
        assert session.resources_by_unique_id([("2.999.9", one.unique_id)]) == []
        assert session.manifests_of_study("1.2.3") == [resource]
        assert [found.resource for found in session.find(find_documents())] == [resource]
    assert (resource.patient, resource.entry_uuid, resource.unique_id) == (A, one.entry_uuid, one.unique_id)
    assert (resource.class_code, resource.type_code, resource.format_code) == (
        one.class_code, one.type_code, one.format_code
    )  # fmt: skip
    assert resource.confidentiality_codes == one.confidentiality_codes
    assert resource.event_codes == one.event_codes
    assert resource.healthcare_facility_type_code == one.healthcare_facility_type_code
    assert resource.practice_setting_code == one.practice_setting_code
    assert [institution.root for institution in resource.author_institutions] == ["2.999.5"]
    assert [(person.root, person.extension) for person in resource.author_persons] == [("2.999.4", "77")]
    assert resource.legal_authenticator == resource.author_persons[0]
    assert resource.reference_ids == one.reference_ids
    assert resource.source_patient_id == one.source_patient_id
    assert resource.source_id == "2.999.3.9"
    assert resource.availability_status == DEPRECATED
    times = (resource.creation_time, resource.service_start_time, resource.service_stop_time)
    assert times == (one.creation_time, one.service_start_time, one.service_stop_time)


def test_an_entry_with_little_makes_a_resource_with_little(registry: SqlRegistry) -> None:
    bare = DocumentEntry(entry_uuid=new_entry_uuid(), unique_id="2.999.55", patient_id=PATIENT)
    save(registry, submission(bare))
    with registry.reading() as session:
        (found,) = session.find(find_documents())
        assert session.objects([bare.entry_uuid])[bare.entry_uuid] == replace(
            bare, availability_status=APPROVED, logical_id=bare.entry_uuid, version=1
        )
    resource = found.resource
    assert resource is not None
    assert (resource.class_code, resource.event_codes, resource.legal_authenticator) == (None, (), None)


def test_manifests_of_a_study_are_newest_first(registry: SqlRegistry) -> None:
    study = ("1.2.3^^^^urn:ihe:iti:xds:2016:studyInstanceUID",)
    old, new = entry(creation_time="2023", reference_ids=study), entry(creation_time="2024", reference_ids=study)
    save(registry, submission(old, new, entry()))
    with registry.reading() as session:
        found = session.manifests_of_study("1.2.3")
    assert [one.entry_uuid for one in found] == [new.entry_uuid, old.entry_uuid]


# --- merges


def test_after_a_merge_everything_is_the_survivors(registry: SqlRegistry, engine: Engine) -> None:
    of_a, of_b, case = entry(), entry(patient_id=OTHER_PATIENT), folder()
    save(registry, submission(of_a, folders=(case,)), submission(of_b, patient_id=OTHER_PATIENT))
    with registry.reading() as session:
        survivor = session.patient_key(B)
    merge(engine, A, B)
    with registry.reading() as session:
        assert session.find(find_documents(PATIENT)) == []
        assert session.find(get_all(PATIENT)) == []
        assert (session.patient_status(A), session.patient_status(B)) == ("subsumed", "active")
        assert session.patient_key(A) == session.patient_key(B) == survivor
        found = session.find(find_documents(OTHER_PATIENT))
        assert {one.id for one in found} == {of_a.entry_uuid, of_b.entry_uuid}
        assert {one.patient_key for one in found} == {survivor}
        assert {one.resource.patient for one in found if one.resource} == {B}
        pieces = b"".join(session.fragments([one.id for one in session.find(get_all(OTHER_PATIENT))]))
        (stored,) = session.entries_by_unique_id([of_a.unique_id])
        folders = session.objects([case.entry_uuid])
    assert A.id.encode() + b"^" not in pieces
    # sourcePatientInfo and sourcePatientId are not touched.
    assert stored == replace(of_a, patient_id=OTHER_PATIENT)
    assert folders[case.entry_uuid] == replace(case, patient_id=OTHER_PATIENT)


def test_a_chain_of_merges_is_followed_to_its_end(registry: SqlRegistry, engine: Engine) -> None:
    chain = [PatientId(name, "2.999.1.1") for name in ("c1", "c2", "c3", "c4")]
    for patient in chain:
        save(registry, submission(entry(patient_id=patient.cx), patient_id=patient.cx))
    merge(engine, chain[0], chain[1])
    merge(engine, chain[2], chain[3])
    merge(engine, chain[1], chain[3])
    with registry.reading() as session:
        assert len(session.find(find_documents(chain[3].cx))) == 4
        assert {session.patient_key(patient) for patient in chain} == {session.patient_key(chain[3])}
        for patient in chain[:3]:
            assert session.find(find_documents(patient.cx)) == []
        # A snapshot knows the person by the same identifiers as those who keep them.
        for patient in chain:
            assert session.aliases(patient)[0] == chain[3]
            assert set(session.aliases(patient)) == set(SqlPatientIdentities(engine).aliases(patient)) == set(chain)
        assert session.aliases(PatientId("nobody", "2.999.1.1")) == ()


def test_a_merge_shows_in_both_patients_consent_epoch(registry: SqlRegistry, engine: Engine) -> None:
    save(registry, submission(entry()), submission(entry(patient_id=OTHER_PATIENT), patient_id=OTHER_PATIENT))
    with registry.reading() as session:
        before = session.consent_epoch(B)
    merge(engine, A, B)
    with registry.reading() as session:
        assert session.consent_epoch(B) > before
        assert session.consent_epoch(A) == session.consent_epoch(B)


# --- audit


class _Trail:
    def __init__(self) -> None:
        self.appended: list[tuple[object, str, object]] = []

    def append(self, events: object, *, trace: str, connection: object = None) -> list[int]:
        self.appended.append((events, trace, connection))
        return []


def test_audit_records_share_the_unit_of_work(engine: Engine) -> None:
    trail = _Trail()
    with SqlRegistry(engine, trail=trail).writing() as session:  # type: ignore[arg-type]
        session.append_audit((), "abc")
        assert trail.appended == [((), "abc", session.connection)]
    with SqlRegistry(engine).writing() as session:
        session.append_audit((), "abc")


def test_a_database_that_goes_away_is_unavailable(engine: Engine, registry: SqlRegistry) -> None:
    @sa.event.listens_for(engine, "begin")
    def gone(connection: sa.Connection) -> None:
        raise sa.exc.OperationalError("", {}, Exception(), connection_invalidated=True)

    with pytest.raises(Unavailable), registry.reading() as session:
        session.patient_status(A)


def test_a_code_longer_than_an_index_can_hold_is_never_a_defect(registry: SqlRegistry, engine: Engine) -> None:
    noise = "".join(str(number) for number in range(3000))
    long = entry(event_codes=(Code(noise, "2.999.20"),))
    if engine.dialect.name == "postgresql":
        with pytest.raises(Rejected) as caught:
            save(registry, submission(long))
        assert [problem.code for problem in caught.value.problems] == ["XDSRegistryMetadataError"]
    else:
        save(registry, submission(long))
        with registry.reading() as session:
            assert session.find(find_documents(EventCodeList=((Code(noise, "2.999.20"),),)))
