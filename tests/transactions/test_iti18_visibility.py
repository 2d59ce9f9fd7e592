"""ITI-18: which SubmissionSets, Folders and Associations are shown to whom (docs/policy.md section 6).

One record: the sets S1 to S3 and the Folder F as below, and decisions that differ.

    S1 -> A, F, (F -> A)       A  an ordinary document
    S2 -> B, (F -> B)          B  an addendum to A: B -> A
    S3 -> E                    E  a Folder without documents
"""

from __future__ import annotations

import pytest

from tests import builders
from tests.transactions.ports import Session, codes, entry_found, served
from xdsi.actors.authorization_verifier import HubDecisions, PermitAll
from xdsi.domain.consent import Resource
from xdsi.domain.metadata import RegistryObject
from xdsi.domain.outcome import Status
from xdsi.domain.stored_query import AdhocQuery, Evidence, FoundObject, ObjectKind, QueryAnswer, ReturnType, StoredQuery
from xdsi.rules import visibility
from xdsi.spec import uuids
from xdsi.spec.stored_queries import ITI18
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions.iti79_authorization_decisions_query import PolicyDecisions


def _id(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012d}"


IDS = {name: _id(number) for number, name in enumerate(("A", "B", "F", "E", "S1", "S2", "S3"), start=1)}
A, B, F, E, S1, S2, S3 = IDS.values()
ENTRIES = [builders.document_entry(IDS[name], unique_id=f"2.999.10.{name}") for name in "AB"]
CONTAINERS: list[RegistryObject] = [
    builders.folder(F), builders.folder(E), *(builders.submission_set(id_) for id_ in (S1, S2, S3)),
]  # fmt: skip
LINKS = [
    builders.has_member(S1, A, entry_uuid="S1-A"),
    builders.has_member(S1, F, entry_uuid="S1-F"),
    builders.has_member(F, A, entry_uuid="F-A"),
    builders.has_member(S1, "F-A", entry_uuid="S1-F-A"),
    builders.has_member(S2, B, entry_uuid="S2-B"),
    builders.has_member(F, B, entry_uuid="F-B"),
    builders.has_member(S2, "F-B", entry_uuid="S2-F-B"),
    builders.association(uuids.APND, B, A, entry_uuid="B-A"),
    builders.has_member(S3, E, entry_uuid="S3-E"),
]
EVERYTHING = "S1 S2 S3 A B F E S1-A S1-F F-A S1-F-A S2-B F-B S2-F-B B-A S3-E"
WITHOUT_B = "S1 S3 A F E S1-A S1-F F-A S1-F-A S3-E"
ONLY_A = "S1 A F S1-A S1-F F-A S1-F-A"
ONLY_B = "S2 B F S2-B F-B S2-F-B"
RECORD = ["S3", "E"]
"""what has only the patient, decided on by itself"""

CASES: list[tuple[str, str, dict[str, str], str, str, str]] = [
    # query, its parameter and value, what it finds; what is denied -> what is shown
    ("FindSubmissionSets", uuids.FIND_SUBMISSION_SETS, {}, "S1 S2 S3", "", "S1 S2 S3"),
    ("its document decides", uuids.FIND_SUBMISSION_SETS, {}, "S1 S2 S3", "B", "S1 S3"),
    ("nothing but the patient decides", uuids.FIND_SUBMISSION_SETS, {}, "S1 S2 S3", "S3 E", "S1 S2"),
    ("no permit at all", uuids.FIND_SUBMISSION_SETS, {}, "S1 S2 S3", "A B S3 E", ""),
    ("FindFolders", uuids.FIND_FOLDERS, {}, "F E", "", "F E"),
    ("one of its documents is enough", uuids.FIND_FOLDERS, {}, "F E", "B S3 E", "F"),
    ("no permit at all", uuids.FIND_FOLDERS, {}, "F E", "A B S3 E", ""),
    ("GetFolders", uuids.GET_FOLDERS, {"$XDSFolderEntryUUID": F}, "F", "A", "F"),
    ("a hidden folder by its id", uuids.GET_FOLDERS, {"$XDSFolderEntryUUID": F}, "F", "A B", ""),
    ("GetAll", uuids.GET_ALL, {}, EVERYTHING, "", EVERYTHING),
    ("GetAll but B", uuids.GET_ALL, {}, EVERYTHING, "B", WITHOUT_B),
    ("GetAll, only A", uuids.GET_ALL, {}, EVERYTHING, "B S3 E", ONLY_A),
    ("GetAll, only B", uuids.GET_ALL, {}, EVERYTHING, "A S3 E", ONLY_B),
    ("GetAll, no permit", uuids.GET_ALL, {}, EVERYTHING, "A B S3 E", ""),
    ("links of documents not found", uuids.GET_ASSOCIATIONS, {"$uuid": A}, "S1-A F-A B-A", "B", "S1-A F-A"),
    ("links of a hidden one", uuids.GET_ASSOCIATIONS, {"$uuid": B}, "S2-B F-B B-A", "B", ""),
    ("a link to a link", uuids.GET_ASSOCIATIONS, {"$uuid": "F-B"}, "S2-F-B", "", "S2-F-B"),
    ("a link to a hidden link", uuids.GET_ASSOCIATIONS, {"$uuid": "F-B"}, "S2-F-B", "B", ""),
    ("a link between containers", uuids.GET_ASSOCIATIONS, {"$uuid": F}, "S1-F F-A F-B", "A", "F-B"),
    ("an empty folder's link", uuids.GET_ASSOCIATIONS, {"$uuid": E}, "S3-E", "A B", "S3-E"),
    ("half of an empty link", uuids.GET_ASSOCIATIONS, {"$uuid": E}, "S3-E", "E", ""),
    ("sets of documents", uuids.GET_SUBMISSION_SETS, {"$uuid": A}, "S1 S1-A", "B", "S1 S1-A"),
    ("sets of a hidden document", uuids.GET_SUBMISSION_SETS, {"$uuid": B}, "S2 S2-B", "B", ""),
    ("its folder's link is a member too", uuids.GET_SUBMISSION_SETS, {"$uuid": "F-B"}, "S2 S2-F-B", "A", "S2 S2-F-B"),
    ("documents with links", uuids.GET_DOCUMENTS_AND_ASSOCIATIONS, {"$XDSDocumentEntryEntryUUID": A},
     "A S1-A F-A B-A", "B", "A S1-A F-A"),
    ("a hidden document's links", uuids.GET_DOCUMENTS_AND_ASSOCIATIONS, {"$XDSDocumentEntryEntryUUID": A},
     "A S1-A F-A B-A", "A", ""),
    ("related documents", uuids.GET_RELATED_DOCUMENTS, {"$XDSDocumentEntryEntryUUID": A}, "A B B-A", "", "A B B-A"),
    ("not that there is a relation", uuids.GET_RELATED_DOCUMENTS, {"$XDSDocumentEntryEntryUUID": A}, "A B B-A", "B",
     ""),
    ("nor from the hidden end", uuids.GET_RELATED_DOCUMENTS, {"$XDSDocumentEntryEntryUUID": B}, "A B B-A", "B", ""),
    ("folders of a document", uuids.GET_FOLDERS_FOR_DOCUMENT, {"$XDSDocumentEntryEntryUUID": A}, "F", "B", "F"),
    ("folders of a hidden document", uuids.GET_FOLDERS_FOR_DOCUMENT, {"$XDSDocumentEntryEntryUUID": B}, "F", "B", ""),
    ("by its uniqueId too", uuids.GET_FOLDERS_FOR_DOCUMENT, {"$XDSDocumentEntryUniqueId": "2.999.10.B"}, "F", "B", ""),
    ("and where it may be seen", uuids.GET_FOLDERS_FOR_DOCUMENT, {"$XDSDocumentEntryUniqueId": "2.999.10.B"}, "F", "A",
     "F"),
    ("what is in a set", uuids.GET_SUBMISSION_SET_AND_CONTENTS, {"$XDSSubmissionSetEntryUUID": S1},
     "S1 A F S1-A S1-F F-A S1-F-A", "B", "S1 A F S1-A S1-F F-A S1-F-A"),
    ("what is in a hidden set, though visible itself", uuids.GET_SUBMISSION_SET_AND_CONTENTS,
     {"$XDSSubmissionSetEntryUUID": S1}, "S1 A F S1-A S1-F F-A S1-F-A", "A", ""),
    ("what is in a folder", uuids.GET_FOLDER_AND_CONTENTS, {"$XDSFolderEntryUUID": F}, "F A B F-A F-B", "B",
     "F A F-A"),
    ("what is in a hidden folder", uuids.GET_FOLDER_AND_CONTENTS, {"$XDSFolderEntryUUID": F}, "F A B F-A F-B", "A B",
     ""),
]  # fmt: skip

_STATUS = "('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')"
_PATIENT = f"'{builders.PATIENT}'"
REQUIRED = {
    uuids.FIND_SUBMISSION_SETS: {"$XDSSubmissionSetPatientId": _PATIENT, "$XDSSubmissionSetStatus": _STATUS},
    uuids.FIND_FOLDERS: {"$XDSFolderPatientId": _PATIENT, "$XDSFolderStatus": _STATUS},
    uuids.GET_ALL: {
        "$patientId": _PATIENT, "$XDSDocumentEntryStatus": _STATUS, "$XDSSubmissionSetStatus": _STATUS,
        "$XDSFolderStatus": _STATUS,
    },
    uuids.GET_RELATED_DOCUMENTS: {"$AssociationTypes": f"('{uuids.APND}')"},
}  # fmt: skip
SINGLE = {"$XDSDocumentEntryEntryUUID", "$XDSDocumentEntryUniqueId", "$XDSFolderEntryUUID"}


def request(query_id: str, given: dict[str, str], return_type: str, **more: int) -> AdhocQuery:
    slots = dict(REQUIRED.get(query_id, {}))
    for name, value in given.items():
        listed = name == "$uuid" or query_id in (uuids.GET_FOLDERS, uuids.GET_DOCUMENTS_AND_ASSOCIATIONS)
        slots[name] = f"('{value}')" if listed else f"'{value}'"
    return AdhocQuery(query_id, return_type, tuple((name, (value,)) for name, value in slots.items()), **more)


def ids_of(names: str) -> list[str]:
    return [IDS.get(name, name) for name in names.split()]


def session_of(query_id: str, found: str) -> Session:
    session = Session(*CONTAINERS, *LINKS, found=[entry_found(one) for one in ENTRIES])
    session.found |= {item.id: item for item in (_found(one) for one in (*CONTAINERS, *LINKS))}
    session.answers[query_id] = ids_of(found)
    return session


def _found(one: RegistryObject) -> FoundObject:
    kind = ObjectKind(type(one).__name__)
    ends = {name: getattr(one, name, "") for name in ("source", "target")}
    return FoundObject(id=one.entry_uuid, kind=kind, patient_key=1, **ends)


def answer(
    query_id: str, given: dict[str, str], found: str, denied: str, return_type: str = "ObjectRef", **changes: int | str
) -> QueryAnswer:
    """What is answered when these are denied: documents by name, and what has only the patient."""
    paging = {name: changes.pop(name) for name in ("start_index", "max_results") if name in changes}
    ports = iti18.QueryPorts(home_community_id="urn:oid:2.999.1", **changes)  # type: ignore[arg-type]
    unique_ids = [f"2.999.10.{name}" if name in "AB" else IDS[name] for name in denied.split()]
    asked = request(query_id, given, return_type, **paging)  # type: ignore[arg-type]
    result: QueryAnswer = served(
        iti18.TRANSACTION, asked, ports, session_of(query_id, found), denied=unique_ids
    )  # fmt: skip
    return result


def shown(result: QueryAnswer) -> list[str]:
    return [id_ for id_, _ in result.object_refs] or [fragment.decode() for fragment in result.fragments]


@pytest.mark.parametrize("return_type", ["ObjectRef", "LeafClass"])
@pytest.mark.parametrize(
    ("query_id", "given", "found", "denied", "expected"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_what_is_shown(
    query_id: str, given: dict[str, str], found: str, denied: str, expected: str, return_type: str
) -> None:
    result = answer(query_id, given, found, denied, return_type)
    assert shown(result) == ids_of(expected)
    assert (result.outcome.status, result.outcome.problems) == (Status.SUCCESS, ())


def test_every_query_is_in_the_table() -> None:
    only_entries = {uuids.FIND_DOCUMENTS, uuids.FIND_DOCUMENTS_BY_REFERENCE_ID, uuids.GET_DOCUMENTS}
    assert {case[1] for case in CASES} == ITI18.keys() - only_entries


def test_hidden_objects_count_for_nothing() -> None:
    page = answer(uuids.GET_ALL, {}, EVERYTHING, "B S3 E", max_results=2)
    assert (shown(page), page.total) == (ids_of("S1 A"), 7)
    rest = answer(uuids.GET_ALL, {}, EVERYTHING, "B S3 E", start_index=5)
    assert (shown(rest), rest.total) == (["F-A", "S1-F-A"], 7)
    assert len(shown(answer(uuids.GET_ALL, {}, EVERYTHING, "B S3 E", max_object_refs=7))) == 7
    assert codes(answer(uuids.GET_ALL, {}, EVERYTHING, "B S3 E", max_object_refs=6).outcome) == [
        ("XDSTooManyResults", "QUERY.limit")
    ]


@pytest.mark.parametrize(
    ("query_id", "found", "denied", "context"),
    [
        (uuids.GET_ALL, EVERYTHING, "B S3 E", ["hidden:1"]),
        (uuids.GET_ALL, EVERYTHING, "A B S3 E", ["hidden:2"]),
        (uuids.GET_ALL, EVERYTHING, "S3 E", []),
        (uuids.FIND_SUBMISSION_SETS, "S1 S2 S3", "A B S3 E", []),
    ],
)
def test_only_hidden_documents_of_the_result_are_counted(
    query_id: str, found: str, denied: str, context: list[str]
) -> None:
    result = answer(query_id, {}, found, denied, hidden="counted")
    assert [problem.context for problem in result.outcome.problems] == context


def test_one_question_for_everything_and_none_twice() -> None:
    session = session_of(uuids.GET_ALL, EVERYTHING)
    ports = iti18.QueryPorts(home_community_id="urn:oid:2.999.1")
    located = iti18.weigh(iti18.locate(request(uuids.GET_ALL, {}, "ObjectRef"), ports, session), ports, session)
    assert sorted(one.entry_uuid for one in located.resources) == sorted([A, B, E, S3])


def test_documents_need_no_further_evidence() -> None:
    class Wary(Session):
        def evidence(self, found: object) -> Evidence:
            raise AssertionError("asked for evidence")

    session = Wary(found=[entry_found(one) for one in ENTRIES])
    session.answers[uuids.GET_DOCUMENTS] = [A, B]
    ports = iti18.QueryPorts(home_community_id="urn:oid:2.999.1")
    asked = AdhocQuery(uuids.GET_DOCUMENTS, "ObjectRef", (("$XDSDocumentEntryEntryUUID", (f"('{A}','{B}')",)),))
    located = iti18.locate(asked, ports, session)
    assert iti18.weigh(located, ports, session) is located
    assert shown(served(iti18.TRANSACTION, asked, ports, session, denied=["2.999.10.B"])) == [A]


def test_evidence_that_is_too_much_refuses_the_query() -> None:
    session = session_of(uuids.FIND_FOLDERS, "F E")
    session.complete = False
    ports = iti18.QueryPorts(home_community_id="urn:oid:2.999.1")
    result = served(iti18.TRANSACTION, request(uuids.FIND_FOLDERS, {}, "LeafClass"), ports, session)
    assert codes(result.outcome) == [("XDSTooManyResults", "QUERY.limit")]
    assert shown(result) == []


def test_without_evidence_nothing_is_shown_but_documents() -> None:
    query = StoredQuery(uuids.GET_ALL, ReturnType.OBJECT_REF, {})
    found = [session_of(uuids.GET_ALL, "").found[id_] for id_ in ids_of(EVERYTHING)]
    assert [item.id for item in visibility.visible(query, found, Evidence(), {A})] == [A]


def test_associations_in_a_circle_are_hidden() -> None:
    query = StoredQuery(uuids.GET_ASSOCIATIONS, ReturnType.OBJECT_REF, {})
    found = [FoundObject(id=one, kind=ObjectKind.ASSOCIATION) for one in ("1", "2")]
    evidence = Evidence(ends={"1": (A, "2"), "2": (A, "1")})
    assert visibility.visible(query, found, evidence, {A}) == []


@pytest.mark.parametrize(
    ("query_id", "container"), [(uuids.GET_SUBMISSION_SET_AND_CONTENTS, S1), (uuids.GET_FOLDER_AND_CONTENTS, F)]
)
def test_a_hidden_container_does_not_give_away_what_is_in_it(query_id: str, container: str) -> None:
    """Not even a document that is visible: another patient's, which does not speak for the container."""
    session = session_of(query_id, "")
    link = FoundObject(id="link", kind=ObjectKind.ASSOCIATION, source=container, target=A)
    found = [session.found[container], session.found[A], link]
    entry = Resource(unique_id="2.999.10.A", entry_uuid=A)
    evidence = Evidence(
        resources={A: entry, container: Resource(unique_id="c", entry_uuid=container)}, ends={"link": (container, A)}
    )
    query = StoredQuery(query_id, ReturnType.OBJECT_REF, {})
    assert visibility.visible(query, found, evidence, {A}) == []
    assert visibility.visible(query, found, evidence, {A, container}) == found


def test_only_the_open_profile_reveals_everything() -> None:
    assert PermitAll().reveals_everything
    assert not HubDecisions.reveals_everything
    assert not PolicyDecisions.reveals_everything
