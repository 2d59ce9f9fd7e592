"""What may be removed (Remove Metadata and Documents 3.62.4.1.3), judged by what would be left."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from tests import builders
from tests.rules.registered import Registered
from xdsi.domain.audit import RemovedObject
from xdsi.domain.metadata import Association
from xdsi.domain.stored_query import ObjectKind
from xdsi.rules import removal as rules
from xdsi.spec import uuids


def uuid(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012d}"


SET, ENTRY, FOLDER, ELSEWHERE, OTHER_SET, OTHER, DEMAND = (uuid(n) for n in range(1, 8))
SET_ENTRY, SET_FOLDER, INSIDE, SET_INSIDE, REPLACES, OTHER_MEMBER, REFERENCE, SIGNED = (uuid(n) for n in range(11, 19))


def link(type_: str, source: str, target: str, id_: str) -> Association:
    return builders.association(type_, source, target, id_)


def member(source: str, target: str, id_: str) -> Association:
    return link(uuids.HAS_MEMBER, source, target, id_)


REGISTERED = (
    builders.submission_set(SET),
    builders.document_entry(ENTRY),
    builders.folder(FOLDER),
    member(SET, ENTRY, SET_ENTRY),
    member(SET, FOLDER, SET_FOLDER),
    member(FOLDER, ENTRY, INSIDE),
    member(SET, INSIDE, SET_INSIDE),
    # another submission replaced the entry
    builders.submission_set(OTHER_SET, unique_id="2.999.11.2"),
    builders.document_entry(OTHER, unique_id="2.999.10.2", patient_id=builders.PATIENT),
    member(OTHER_SET, OTHER, OTHER_MEMBER),
    link(uuids.RPLC, OTHER, ENTRY, REPLACES),
)
FIRST = (SET, ENTRY, FOLDER, SET_ENTRY, SET_FOLDER, INSIDE, SET_INSIDE)


def problems(*ids: str, hidden: Collection[str] = (), registered: Registered | None = None) -> list[tuple[str, str]]:
    session = registered or Registered(*REGISTERED)
    found = rules.check(rules.Removal(ids, session.objects(ids)), session, hidden)
    for problem in found:
        assert problem.location in problem.context, "codeContext names the object (RMD 4.2.4.1)"
    return [(problem.code, problem.location) for problem in found]


ALLOWED = {
    "a whole submission, with what replaced it": (*FIRST, REPLACES),
    "a folder membership with its link": (INSIDE, SET_INSIDE),
    "a replacement alone": (REPLACES,),
    "the replacing submission": (OTHER_SET, OTHER, OTHER_MEMBER, REPLACES),
    "everything": tuple(one.entry_uuid for one in REGISTERED),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_leaves_nothing_dangling_or_alone_is_removed(case: str) -> None:
    assert problems(*ALLOWED[case]) == []


REFUSED = {
    "what is not there": ((ELSEWHERE,), [("UnresolvedReferenceException", ELSEWHERE)]),
    "a set with members": ((SET,), [("ReferencesExistException", SET)] * 3),
    "an entry alone": (
        (ENTRY,), [("ReferencesExistException", ENTRY)] * 3,
    ),
    "a submission whose entry was replaced": (FIRST, [("ReferencesExistException", ENTRY)]),
    "a folder membership whose link stays": ((INSIDE,), [("ReferencesExistException", INSIDE)]),
    "the link to a folder membership": ((SET_INSIDE,), [("XDSUnreferencedObjectException", INSIDE)]),
    "the link to an entry": ((SET_ENTRY,), [("XDSUnreferencedObjectException", ENTRY)]),
    # 30001 of the test kit: the SubmissionSet would be empty
    "the only member of a set": (
        (OTHER, OTHER_MEMBER, REPLACES), [("XDSUnreferencedObjectException", OTHER_SET)],
    ),
    "several things at once": (
        (ELSEWHERE, SET_INSIDE, OTHER),
        [
            ("UnresolvedReferenceException", ELSEWHERE), ("ReferencesExistException", OTHER),
            ("ReferencesExistException", OTHER), ("XDSUnreferencedObjectException", INSIDE),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    ids, expected = REFUSED[case]
    assert sorted(problems(*ids)) == sorted(expected)


def test_an_entry_that_another_submission_refers_to_is_not_alone() -> None:
    """By reference counts as well (ITI TF-3 4.2.2.1.2)."""
    by_reference = member(OTHER_SET, ENTRY, REFERENCE)
    assert problems(SET_ENTRY, registered=Registered(*REGISTERED, by_reference)) == []


def test_what_is_hidden_is_as_if_it_were_not_there() -> None:
    assert problems(*ALLOWED["everything"], hidden={OTHER, OTHER_MEMBER}) == [
        ("UnresolvedReferenceException", OTHER), ("UnresolvedReferenceException", OTHER_MEMBER),
    ]  # fmt: skip
    assert problems(OTHER, hidden={OTHER}) == [("UnresolvedReferenceException", OTHER)]


def test_a_request_has_an_end() -> None:
    ids = tuple(uuid(n) for n in range(rules.MAX_OBJECTS + 1))
    (problem,) = rules.check(rules.Removal(ids, {}), Registered(), ())
    assert (problem.code, problem.rule) == ("XDSRegistryError", "REMOVAL.size")


def test_the_audit_record_names_each_object_with_kind_and_patient() -> None:
    """3.62.5.1; an Association belongs to the patient of its source."""
    session = Registered(*REGISTERED, builders.on_demand_entry(DEMAND, patient_id=""))
    ids = (DEMAND, SET, ENTRY, FOLDER, INSIDE, SET_INSIDE, REPLACES, ELSEWHERE)
    removal = rules.Removal(ids, session.objects(ids))
    patient = builders.PATIENT
    assert removal.described(session.objects(removal.ends)) == (
        RemovedObject(entry_uuid=DEMAND, kind="OnDemandDocumentEntry"),
        RemovedObject(entry_uuid=SET, kind="SubmissionSet", patient=patient),
        RemovedObject(entry_uuid=ENTRY, kind="DocumentEntry", patient=patient),
        RemovedObject(entry_uuid=FOLDER, kind="Folder", patient=patient),
        RemovedObject(entry_uuid=INSIDE, kind=uuids.HAS_MEMBER, patient=patient),
        RemovedObject(entry_uuid=SET_INSIDE, kind=uuids.HAS_MEMBER, patient=patient),
        RemovedObject(entry_uuid=REPLACES, kind=uuids.RPLC, patient=patient),
        RemovedObject(entry_uuid=ELSEWHERE),
    )


def test_what_is_decided_on_is_as_a_query_finds_it() -> None:
    session = Registered(*REGISTERED)
    found = {one.id: one for one in rules.Removal(FIRST, session.objects(FIRST)).found}
    assert found[ENTRY].kind is ObjectKind.DOCUMENT_ENTRY
    assert (found[INSIDE].kind, found[INSIDE].source, found[INSIDE].target) == (ObjectKind.ASSOCIATION, FOLDER, ENTRY)


def test_entries_that_lose_a_signature_are_known() -> None:
    session = Registered(*REGISTERED, link(uuids.SIGNS, OTHER, ENTRY, SIGNED))
    assert rules.Removal((SIGNED,), session.objects((SIGNED,))).unsigned == (ENTRY,)
    both = (SIGNED, ENTRY)
    assert rules.Removal(both, session.objects(both)).unsigned == ()
