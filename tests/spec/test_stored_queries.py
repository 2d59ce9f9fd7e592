"""The table of stored queries: ids, groups, and what each returns (ITI TF-2 3.18.4.1.2.3.7, 3.51.4.1.2)."""

from __future__ import annotations

import pytest

from xdsi.domain.identifiers import is_entry_uuid
from xdsi.domain.stored_query import ObjectKind
from xdsi.spec import uuids
from xdsi.spec.stored_queries import ITI18, ITI51, REGISTRY_QUERIES, STORED_QUERIES, Coding, Query


@pytest.mark.parametrize("row", STORED_QUERIES.values(), ids=lambda row: row.name)
def test_a_row_makes_sense(row: Query) -> None:
    assert is_entry_uuid(row.id)
    assert {*row.results, *row.single_patient} <= {kind.value for kind in ObjectKind}
    assert set(row.single_patient) <= set(row.results)
    assert all(name == parameter.name for name, parameter in row.parameters.items())
    assert not any(row.parameters[name].required for name in (*row.one_of, *row.any_of))
    if row.patient_parameter:
        assert row.parameters[row.patient_parameter].coding is Coding.PATIENT
    assert row.needs_home is (not row.patient_parameter)


def test_every_query_of_the_framework_is_there() -> None:
    names = {name for name in vars(uuids) if name.startswith(("FIND_", "GET_"))}
    assert {getattr(uuids, name) for name in names} == {*REGISTRY_QUERIES, *ITI51}
    assert (len(ITI18), len(ITI51), len(REGISTRY_QUERIES)) == (14, 2, 15)


SINGLE_PATIENT = {
    "GetDocuments": {"DocumentEntry"},
    "GetFolders": {"Folder"},
    "GetDocumentsAndAssociations": {"DocumentEntry"},
    "GetSubmissionSets": {"SubmissionSet"},
    "GetSubmissionSetAndContents": {"SubmissionSet", "Folder", "DocumentEntry"},
    "GetFolderAndContents": {"Folder", "DocumentEntry"},
}


def test_queries_whose_results_are_of_one_patient() -> None:
    """The footnotes of 3.18.4.1.2.3.7."""
    found = {row.name: set(row.single_patient) for row in STORED_QUERIES.values() if row.single_patient}
    assert found == SINGLE_PATIENT


def test_parameters_that_may_be_repeated() -> None:
    """3.18.4.1.2.3.5: only these have AND semantics."""
    found = {name for row in ITI18.values() for name, one in row.parameters.items() if one.conjunctive}
    assert found == {
        "$XDSDocumentEntryEventCodeList", "$XDSDocumentEntryConfidentialityCode", "$XDSDocumentEntryReferenceIdList",
        "$XDSFolderCodeList",
    }  # fmt: skip


def test_parameters_with_wildcards() -> None:
    found = {name for row in ITI18.values() for name, one in row.parameters.items() if one.like}
    assert found == {
        "$XDSDocumentEntryAuthorPerson", "$XDSSubmissionSetAuthorPerson", "$XDSDocumentEntryReferenceIdList",
    }  # fmt: skip
