"""ITI-43: what is here, permitted and whole is given out; each of the others gets one error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audit_samples import facts as sample_facts
from tests.transactions.ports import Documents, codes, content_of, served
from xdsi.domain.audit import DocumentFacts
from xdsi.domain.outcome import Outcome, Problem, Status
from xdsi.domain.retrieval import DocumentRequest, RetrieveAnswer, RetrieveRequest, Soundness
from xdsi.transactions import iti43_retrieve_document_set as iti43

HERE = "2.999.1.2"
UNKNOWN = ("XDSDocumentUniqueIdError", "RETRIEVE.document")


def ports(documents: Documents, **changes: Any) -> iti43.RetrievePorts:
    return iti43.RetrievePorts(repository_unique_id=HERE, documents=documents, **changes)


def asked(*unique_ids: str, repository: str = HERE) -> RetrieveRequest:
    return RetrieveRequest(tuple(DocumentRequest("", repository, id_) for id_ in unique_ids))


def retrieved(request: RetrieveRequest, documents: Documents, **arguments: Any) -> RetrieveAnswer:
    answer: RetrieveAnswer = served(iti43.TRANSACTION, request, ports(documents), **arguments)
    return answer


def test_documents_come_in_the_order_asked_for() -> None:
    answer = retrieved(asked("2.2", "2.1"), Documents(**{"2_1": b"one", "2_2": b"two"}))
    assert answer.outcome.status is Status.SUCCESS
    assert [(one.request.document_unique_id, content_of(one.document)) for one in answer.documents] == [
        ("2.2", b"two"),
        ("2.1", b"one"),
    ]
    assert answer.documents[0].mime_type == "text/plain"


def test_some_and_some_not_is_partial_success() -> None:
    answer = retrieved(asked("2.1", "2.9"), Documents(**{"2_1": b"one"}))
    assert answer.outcome.status is Status.PARTIAL_SUCCESS
    assert [one.request.document_unique_id for one in answer.documents] == ["2.1"]
    (problem,) = answer.outcome.problems
    assert (problem.code, problem.location) == ("XDSDocumentUniqueIdError", "2.9")


def test_a_denied_document_is_answered_as_one_that_does_not_exist() -> None:
    documents = Documents(**{"2_1": b"one", "2_2": b"two"})
    denied = retrieved(asked("2.1"), documents, denied=["2.1"])
    missing = retrieved(asked("2.1"), Documents())
    assert denied == missing
    assert denied.outcome.status is Status.FAILURE
    mixed = retrieved(asked("2.1", "2.9", "2.2"), documents, denied=["2.1"])
    assert codes(mixed.outcome) == [UNKNOWN, UNKNOWN]
    assert [content_of(one.document) for one in mixed.documents] == [b"two"]


@pytest.mark.parametrize("repository", ["2.999.1.9", ""])
def test_another_repository(repository: str) -> None:
    answer = retrieved(asked("2.1", repository=repository), Documents(**{"2_1": b"one"}))
    assert codes(answer.outcome) == [("XDSUnknownRepositoryId", "RETRIEVE.repository")]
    assert answer.outcome.status is Status.FAILURE


def test_a_document_that_rotted_is_not_given_out() -> None:
    documents = Documents(**{"2_1": b"one", "2_2": b"two"})
    documents.published["2.1"].rotten = True
    answer = retrieved(asked("2.1", "2.2"), documents)
    assert codes(answer.outcome) == [("XDSRepositoryError", "DOC.integrity")]
    assert answer.outcome.status is Status.PARTIAL_SUCCESS


@pytest.mark.parametrize(
    ("soundness", "words", "rule"),
    [
        (Soundness.LOST, "failed its integrity check", "DOC.integrity"),
        (Soundness.UNREADABLE, "cannot be read at the moment", "DOC.unreadable"),
        (Soundness.LOCKED, "encrypted with a key", "DOC.key"),
    ],
)
def test_a_document_that_cannot_be_given_out_is_an_error_that_says_why(
    soundness: Soundness, words: str, rule: str
) -> None:
    documents = Documents(**{"2_1": b"one", "2_2": b"two"})
    documents.published["2.1"].soundness = soundness
    answer = retrieved(asked("2.1", "2.2"), documents)
    (problem,) = answer.outcome.problems
    assert (problem.code, problem.location, problem.rule) == ("XDSRepositoryError", "2.1", rule)
    assert words in problem.context
    assert [one.request.document_unique_id for one in answer.documents] == ["2.2"]


def test_a_rotten_document_that_is_denied_says_nothing_of_itself() -> None:
    documents = Documents(**{"2_1": b"one"})
    documents.published["2.1"].rotten = True
    assert codes(retrieved(asked("2.1"), documents, denied=["2.1"]).outcome) == [UNKNOWN]


def test_more_than_may_be_asked_for_at_once() -> None:
    documents = Documents(**{"2_1": b"one"})
    answer = served(iti43.TRANSACTION, asked("2.1", "2.1", "2.1"), ports(documents, max_documents=2))
    assert [problem.code for problem in answer.outcome.problems] == ["XDSTooManyResults"]
    assert answer.documents == ()


def test_only_documents_that_are_here_are_decided_on() -> None:
    located = iti43.locate(
        RetrieveRequest((*asked("2.1", "2.9").documents, *asked("2.1", repository="2.7").documents)),
        ports(Documents(**{"2_1": b"one"})), None,
    )  # fmt: skip
    assert [(one.repository_unique_id, one.unique_id) for one in located.resources] == [(HERE, "2.1")]


def test_the_audit_record_says_what_was_given_out_and_what_not() -> None:
    request = asked("2.1", "2.9")
    answer = retrieved(request, Documents(**{"2_1": b"one"}))
    described = iti43.facts(request, answer, sample_facts("ITI-43"))
    assert described.documents == (
        DocumentFacts(unique_id="2.1", repository_unique_id=HERE),
        DocumentFacts(unique_id="2.9", repository_unique_id=HERE, outcome=8),
    )
    assert [one.outcome for one in iti43.facts(request, None, sample_facts("ITI-43")).documents] == [8, 8]


def test_refusals_give_nothing_out() -> None:
    problem = Problem("XDSRepositoryError", "no")
    assert iti43.refuse(None, [problem]) == RetrieveAnswer(Outcome((problem,), 0))
