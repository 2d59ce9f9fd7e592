"""ITI-18: what a query shows, what consent hides of it, and where it stops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests import builders
from tests.audit_samples import facts as sample_facts
from tests.transactions.ports import Session, codes, entry_found, served
from xdsi.domain.outcome import Severity, Status
from xdsi.domain.stored_query import AdhocQuery, FoundObject, ObjectKind, QueryAnswer
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED
from xdsi.transactions import iti18_registry_stored_query as iti18

A, B, C = (f"urn:uuid:00000000-0000-4000-8000-00000000000{n}" for n in "abc")
FOLDER, SET = "urn:uuid:00000000-0000-4000-8000-0000000000f1", "urn:uuid:00000000-0000-4000-8000-0000000000f2"
HOME = "urn:oid:2.999.1"


def ports(**changes: Any) -> iti18.QueryPorts:
    return iti18.QueryPorts(**{"home_community_id": HOME} | changes)


def entry(id_: str, key: int = 1) -> FoundObject:
    return entry_found(builders.document_entry(id_, unique_id=f"2.999.{id_[-1:]}"), key)


def other(id_: str, kind: ObjectKind, key: int = 1) -> FoundObject:
    return FoundObject(id=id_, kind=kind, patient_key=key)


def link(id_: str, source: str, target: str) -> FoundObject:
    return FoundObject(id=id_, kind=ObjectKind.ASSOCIATION, source=source, target=target, patient_key=1)


def find_documents(return_type: str = "ObjectRef", **changes: Any) -> AdhocQuery:
    slots = (
        ("$XDSDocumentEntryPatientId", (f"'{builders.PATIENT}'",)),
        ("$XDSDocumentEntryStatus", (f"('{APPROVED}')",)),
    )
    return AdhocQuery(uuids.FIND_DOCUMENTS, return_type, slots, **changes)


def by_uuid(query_id: str, name: str, *ids: str, return_type: str = "ObjectRef") -> AdhocQuery:
    return AdhocQuery(query_id, return_type, ((name, ("(" + ",".join(f"'{id_}'" for id_ in ids) + ")",)),))


def answered(
    request: AdhocQuery,
    found: Sequence[FoundObject],
    *,
    selected: Sequence[str] | None = None,
    denied: Sequence[str] = (),
    objects: Sequence[Any] = (),
    **changes: Any,
) -> QueryAnswer:
    """The answer of a registry that selects `selected` of `found` (all of it unless given)."""
    session = Session(*objects, found=found)
    session.answers[request.query_id] = [item.id for item in found] if selected is None else selected
    hidden = [item.resource.unique_id for item in found if item.resource and item.id in denied]
    answer: QueryAnswer = served(iti18.TRANSACTION, request, ports(**changes), session, denied=hidden)
    return answer


def shown(answer: QueryAnswer) -> list[str]:
    return [id_ for id_, _ in answer.object_refs] or [fragment.decode() for fragment in answer.fragments]


@pytest.mark.parametrize("return_type", ["ObjectRef", "LeafClass"])
def test_what_is_found_is_shown_in_order(return_type: str) -> None:
    answer = answered(find_documents(return_type), [entry(B), entry(A)])
    assert answer.outcome.status is Status.SUCCESS
    assert shown(answer) == [B, A]
    assert answer.total is None
    assert [home for _, home in answer.object_refs] in ([HOME, HOME], [])


def test_a_query_that_cannot_be_read_asks_nothing_of_the_registry() -> None:
    session = Session()
    request = AdhocQuery(uuids.FIND_DOCUMENTS, "LeafClass", ())
    answer = served(iti18.TRANSACTION, request, ports(), session)
    assert {code for code, _ in codes(answer.outcome)} == {"XDSStoredQueryMissingParam"}
    assert session.queries == []


def test_unknown_parameters_are_ignored_or_refused() -> None:
    request = find_documents()
    request = AdhocQuery(request.query_id, request.return_type, (*request.slots, ("$new", ("1",))))
    assert shown(answered(request, [entry(A)])) == [A]
    refused = answered(request, [entry(A)], reject_unknown_parameters=True)
    assert codes(refused.outcome) == [("XDSRegistryError", "QUERY.parameter.unknown")]


# -- consent


@pytest.mark.parametrize("return_type", ["ObjectRef", "LeafClass"])
def test_hidden_entries_are_left_out_silently(return_type: str) -> None:
    answer = answered(find_documents(return_type), [entry(A), entry(B), entry(C)], denied=[B])
    assert shown(answer) == [A, C]
    assert answer.outcome.problems == ()


def test_hidden_entries_are_counted_where_the_domain_wants_it() -> None:
    answer = answered(find_documents(), [entry(A), entry(B), entry(C)], denied=[A, B], hidden="counted")
    assert shown(answer) == [C]
    (warning,) = answer.outcome.problems
    assert (warning.code, warning.context, warning.severity) == ("XDSRegistryError", "hidden:2", Severity.WARNING)
    assert answer.outcome.status is Status.SUCCESS


def test_nothing_hidden_nothing_counted() -> None:
    assert answered(find_documents(), [entry(A)], hidden="counted").outcome.problems == ()


def test_everything_hidden_is_an_empty_success() -> None:
    answer = answered(find_documents("LeafClass"), [entry(A)], denied=[A])
    assert (shown(answer), answer.outcome.status) == ([], Status.SUCCESS)


CONTENTS = [
    other(SET, ObjectKind.SUBMISSION_SET), entry(A), entry(B), other(FOLDER, ObjectKind.FOLDER),
    link("s-a", SET, A), link("s-b", SET, B), link("s-f", SET, FOLDER), link("f-b", FOLDER, B),
    link("s-fb", SET, "f-b"), link("b-a", B, A),
]  # fmt: skip


def test_associations_of_hidden_entries_go_with_associations_to_them() -> None:
    request = by_uuid(uuids.GET_SUBMISSION_SET_AND_CONTENTS, "$XDSSubmissionSetEntryUUID", SET)
    answer = answered(request, CONTENTS, denied=[B])
    assert shown(answer) == [SET, A, "s-a"]


def test_an_association_to_an_association_that_comes_before_it_goes_too() -> None:
    request = by_uuid(uuids.GET_SUBMISSION_SET_AND_CONTENTS, "$XDSSubmissionSetEntryUUID", SET)
    assert shown(answered(request, CONTENTS[::-1], denied=[B])) == ["s-a", A, SET]


def test_associations_alone_do_not_tell_of_hidden_entries() -> None:
    found = [other(SET, ObjectKind.SUBMISSION_SET), entry(A), entry(B), link("b-a", B, A), link("s-a", SET, A)]
    request = by_uuid(uuids.GET_ASSOCIATIONS, "$uuid", A)
    assert shown(answered(request, found, selected=["b-a", "s-a"])) == ["b-a", "s-a"]
    assert shown(answered(request, found, selected=["b-a", "s-a"], denied=[B])) == ["s-a"]
    counted = answered(request, found, selected=["b-a", "s-a"], denied=[A], hidden="counted")
    assert (shown(counted), [problem.context for problem in counted.outcome.problems]) == ([], [])


def test_an_association_to_an_association_does_not_tell_of_hidden_entries_either() -> None:
    member = builders.has_member(FOLDER, B, entry_uuid="f-b")
    request = by_uuid(uuids.GET_ASSOCIATIONS, "$uuid", SET)
    found = [other(SET, ObjectKind.SUBMISSION_SET), entry(B), link("s-fb", SET, "f-b")]
    folder = builders.folder(FOLDER)
    assert shown(answered(request, found, selected=["s-fb"], objects=[member, folder])) == ["s-fb"]
    assert shown(answered(request, found, selected=["s-fb"], objects=[member, folder], denied=[B])) == []


def test_a_submission_set_found_by_a_hidden_entry_is_not_shown() -> None:
    two = "urn:uuid:00000000-0000-4000-8000-0000000000f3"
    found = [
        other(SET, ObjectKind.SUBMISSION_SET), other(two, ObjectKind.SUBMISSION_SET), entry(A), entry(B),
        link("s-a", SET, A), link("s-b", SET, B), link("2-b", two, B),
    ]  # fmt: skip
    request = by_uuid(uuids.GET_SUBMISSION_SETS, "$uuid", A, B)
    selected = [SET, two, "s-a", "s-b", "2-b"]
    assert shown(answered(request, found, selected=selected, denied=[B])) == [SET, "s-a"]


def test_folders_of_a_hidden_entry_are_not_shown() -> None:
    found = [other(FOLDER, ObjectKind.FOLDER), entry(A), link("f-a", FOLDER, A)]
    request = AdhocQuery(uuids.GET_FOLDERS_FOR_DOCUMENT, "ObjectRef", (("$XDSDocumentEntryEntryUUID", (f"'{A}'",)),))
    assert shown(answered(request, found, selected=[FOLDER])) == [FOLDER]
    assert shown(answered(request, found, selected=[FOLDER], denied=[A])) == []


# -- limits, patients, pages


@pytest.mark.parametrize(
    ("return_type", "limit"), [("LeafClass", {"max_leaf_class": 2}), ("ObjectRef", {"max_object_refs": 2})]
)
def test_more_than_an_answer_may_hold(return_type: str, limit: dict[str, int]) -> None:
    found = [entry(A), entry(B), entry(C)]
    answer = answered(find_documents(return_type), found, **limit)
    assert codes(answer.outcome) == [("XDSTooManyResults", "QUERY.limit")]
    assert (answer.outcome.status, shown(answer)) == (Status.FAILURE, [])
    # What is hidden does not count, and neither does what is not on the page.
    assert shown(answered(find_documents(return_type), found, denied=[C], **limit)) == [A, B]
    assert shown(answered(find_documents(return_type, max_results=2), found, **limit)) == [A, B]
    assert shown(answered(find_documents(return_type, start_index=1), found, **limit)) == [B, C]


def test_pages_carry_the_total() -> None:
    found = [entry(A), entry(B), entry(C)]
    answer = answered(find_documents(start_index=1, max_results=1), found)
    assert (shown(answer), answer.total, answer.start_index) == ([B], 3, 1)
    assert (shown(answered(find_documents(start_index=7), found)), answer.total) == ([], 3)
    none = answered(find_documents(max_results=0), found)
    assert (shown(none), none.total, none.outcome.status) == ([], 3, Status.SUCCESS)
    assert answered(find_documents(max_results=1), found, denied=[A]).total == 2


def test_objects_of_two_patients_are_refused_as_leaf_classes() -> None:
    found = [entry(A, key=1), entry(B, key=2)]
    request = by_uuid(uuids.GET_DOCUMENTS, "$XDSDocumentEntryEntryUUID", A, B, return_type="LeafClass")
    answer = answered(request, found)
    assert codes(answer.outcome) == [("XDSResultNotSinglePatient", "QUERY.single-patient")]
    assert shown(answered(request, found, denied=[A])) == [B]
    references = by_uuid(uuids.GET_DOCUMENTS, "$XDSDocumentEntryEntryUUID", A, B)
    assert shown(answered(references, found)) == [A, B]


def test_a_page_does_not_make_two_patients_one() -> None:
    request = by_uuid(uuids.GET_DOCUMENTS, "$XDSDocumentEntryEntryUUID", A, B, return_type="LeafClass")
    request = AdhocQuery(request.query_id, "LeafClass", request.slots, max_results=1)
    answer = answered(request, [entry(A, key=1), entry(B, key=2)])
    assert codes(answer.outcome) == [("XDSResultNotSinglePatient", "QUERY.single-patient")]


def test_documents_of_several_patients_in_one_submission_sets_associations_are_fine() -> None:
    request = by_uuid(uuids.GET_ASSOCIATIONS, "$uuid", A, return_type="LeafClass")
    far = FoundObject(id="2", kind=ObjectKind.ASSOCIATION, source=A, target=C, patient_key=9)
    found = [entry(A), entry(B), entry(C), link("1", A, B), far]
    assert shown(answered(request, found, selected=["1", "2"])) == ["1", "2"]


@pytest.mark.parametrize("status", ["unknown", "subsumed"])
def test_an_unknown_patient_is_empty_or_an_error(status: str) -> None:
    session = Session(found=[entry(A)], patients={builders.PATIENT: status})
    session.answers[uuids.FIND_DOCUMENTS] = []
    empty = served(iti18.TRANSACTION, find_documents(), ports(), session)
    assert empty.outcome.status is Status.SUCCESS
    session.queries.clear()
    refused = served(iti18.TRANSACTION, find_documents(), ports(unknown_patient="error"), session)
    assert codes(refused.outcome) == [("XDSUnknownPatientId", "QUERY.patient.unknown")]
    assert refused.outcome.problems[0].context == builders.PATIENT
    assert session.queries == []


def test_queries_without_a_patient_are_not_asked_for_one() -> None:
    request = by_uuid(uuids.GET_DOCUMENTS, "$XDSDocumentEntryEntryUUID", A)
    assert shown(answered(request, [entry(A)], unknown_patient="error")) == [A]


# -- audit


def test_the_audit_record_carries_the_query_and_its_patient() -> None:
    request = find_documents(raw=b"<q/>", home_community_id=HOME)
    described = iti18.facts(request, answered(request, []), sample_facts("ITI-18", patients=()))
    assert described.patients == (builders.PATIENT,)
    assert described.query is not None
    assert (described.query.id, described.query.request, described.query.home_community_id) == (
        uuids.FIND_DOCUMENTS, b"<q/>", HOME,
    )  # fmt: skip
    assert described.outcome == 0


def test_a_query_that_is_none_is_audited_all_the_same() -> None:
    request = AdhocQuery("urn:uuid:none", "LeafClass", ())
    answer = served(iti18.TRANSACTION, request, ports(), Session())
    assert codes(answer.outcome) == [("XDSUnknownStoredQuery", "QUERY.id")]
    described = iti18.facts(request, answer, sample_facts("ITI-18", patients=()))
    assert (described.patients, described.outcome) == ((), 8)
