"""What a stored query answers that the tests of ITI-18 and ITI-51 do not show: who is named, when it stops."""

from __future__ import annotations

import pytest

from tests import builders
from tests.transactions.ports import Session, codes, entry_found
from xdsi.domain.stored_query import AdhocQuery
from xdsi.rules import stored_query_answer as rules
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED
from xdsi.spec.stored_queries import ITI51, REGISTRY_QUERIES

STATUS = ("$XDSDocumentEntryStatus", (f"('{APPROVED}')",))
PATIENT = ("$XDSDocumentEntryPatientId", (f"('{builders.PATIENT}')",))
CLASS = ("$XDSDocumentEntryClassCode", ("('A^^2.9')",))
ENTRIES = [entry_found(builders.document_entry(f"urn:uuid:{n}", unique_id=f"2.999.{n}")) for n in range(4)]


def query(*slots: tuple[str, tuple[str, ...]], return_type: str = "LeafClass") -> AdhocQuery:
    return AdhocQuery(uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS, return_type, (*slots, STATUS))


def selected(request: AdhocQuery, **limits: int) -> tuple[rules.Selection, Session]:
    session = Session(found=ENTRIES)
    session.answers[request.query_id] = [one.id for one in ENTRIES]
    ports = rules.QueryPorts(home_community_id="urn:oid:2.999.1", **limits)  # type: ignore[arg-type]
    return rules.select(request, ports, session, ITI51), session


@pytest.mark.parametrize(("return_type", "limit"), [("LeafClass", 3), ("ObjectRef", 7)])
def test_a_query_that_names_nobody_stops_at_the_limit_of_its_answer(return_type: str, limit: int) -> None:
    selection, session = selected(query(CLASS, return_type=return_type), max_leaf_class=3, max_object_refs=7)
    assert [asked.at_most for asked in session.queries] == [limit + 1]
    refused = [("XDSTooManyResults", "QUERY.limit")] if limit < len(ENTRIES) else []
    assert [(problem.code, problem.rule) for problem in selection.problems] == refused
    # Nothing is decided on where nothing will be shown.
    assert len(selection.resources) == (0 if refused else len(ENTRIES))


def test_a_query_for_patients_is_judged_by_what_is_visible() -> None:
    """Consent may bring the results of a patient below the limit; those of everybody are not counted that way."""
    selection, session = selected(query(PATIENT), max_leaf_class=3)
    assert [asked.at_most for asked in session.queries] == [0]
    assert len(selection.resources) == len(ENTRIES)
    ports = rules.QueryPorts(home_community_id="urn:oid:2.999.1", max_leaf_class=3)
    assert codes(rules.answer(selection, ports, session, None).outcome) == [("XDSTooManyResults", "QUERY.limit")]
    assert rules.answer(selection, ports, session, {ENTRIES[0].id}).outcome.accepted


def test_a_registry_offers_what_its_table_has() -> None:
    session = Session()
    ports = rules.QueryPorts(home_community_id="urn:oid:2.999.1")
    for request, table in (
        (AdhocQuery(uuids.FIND_DOCUMENTS, "LeafClass", ()), ITI51),
        (query(PATIENT), REGISTRY_QUERIES),
    ):
        (problem,) = rules.select(request, ports, session, table).problems
        assert (problem.code, problem.rule) == ("XDSUnknownStoredQuery", "QUERY.id")
    assert session.queries == []


def test_excluding_and_asking_for_the_same_attribute_contradict_each_other() -> None:
    """CP-ITI-1323: the two forms of a parameter exclude each other."""
    exclude = ("$XDSDocumentEntryClassCodeExclude", ("('A^^2.9')",))
    patient = ("$XDSDocumentEntryPatientId", (f"'{builders.PATIENT}'",))
    session = Session(found=ENTRIES)
    ports = rules.QueryPorts(home_community_id="urn:oid:2.999.1")
    accepted = AdhocQuery(uuids.FIND_DOCUMENTS_EXCLUDE, "ObjectRef", (patient, STATUS, exclude))
    refused = AdhocQuery(uuids.FIND_DOCUMENTS_EXCLUDE, "ObjectRef", (patient, STATUS, exclude, CLASS))
    assert rules.select(accepted, ports, session, REGISTRY_QUERIES).problems == ()
    (problem,) = rules.select(refused, ports, session, REGISTRY_QUERIES).problems
    assert (problem.code, problem.rule) == ("XDSStoredQueryParamNumber", "QUERY.not-both")
