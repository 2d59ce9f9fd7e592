"""ITI-86: each document that is here, permitted and free goes; each of the others gets one error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.audit_samples import facts as sample_facts
from tests.transactions.ports import CALLER, DENY, NOW, Documents, clock, codes, served
from xdsi.domain.consent import Decision
from xdsi.domain.outcome import Status
from xdsi.domain.removal import DocumentRemovalAnswer, DocumentRemovalRequest
from xdsi.domain.retrieval import DocumentRequest
from xdsi.domain.subject import Caller, Node, Peer
from xdsi.exchange import Call, Trace
from xdsi.transactions import iti86_remove_documents as iti86

HERE = "2.999.1.2"
NOT_REGISTERED = Decision(permit=False, policy="registry", rule="not-registered")


class Holds:
    def __init__(self, *unique_ids: str) -> None:
        self.unique_ids = unique_ids

    def of_documents(self, unique_ids: Iterable[str]) -> frozenset[str]:
        return frozenset(unique_ids) & frozenset(self.unique_ids)


def documents() -> Documents:
    return Documents(**{"2_1": b"one", "2_2": b"two"})


def ports(store: Documents, *held: str, **changes: Any) -> iti86.RemovePorts:
    return iti86.RemovePorts(
        repository_unique_id=HERE, documents=store, holds=Holds(*held), clock=clock, **changes
    )  # fmt: skip


def asked(*unique_ids: str, repository: str = HERE) -> DocumentRemovalRequest:
    return DocumentRemovalRequest(tuple(DocumentRequest("", repository, id_) for id_ in unique_ids))


def removed(request: DocumentRemovalRequest, given: iti86.RemovePorts, **arguments: Any) -> DocumentRemovalAnswer:
    answer: DocumentRemovalAnswer = served(iti86.TRANSACTION, request, given, **arguments)
    settled: list[object] = []
    iti86.settle(answer, given, settled.append)
    assert len(settled) == 1, "the audit record is written in any case"
    return answer


def test_documents_are_gone_for_good() -> None:
    store = documents()
    answer = removed(asked("2.1", "2.2"), ports(store))
    assert answer.outcome.status is Status.SUCCESS
    assert store.published == {}


def test_whoever_submitted_it_again_loses_it_too() -> None:
    store = documents()
    store.submissions["2.1"] = 3
    removed(asked("2.1"), ports(store))
    assert store.find("2.1") is None


def test_some_and_some_not_is_partial_success() -> None:
    store = documents()
    answer = removed(asked("2.1", "2.9"), ports(store))
    assert answer.outcome.status is Status.PARTIAL_SUCCESS
    assert codes(answer.outcome) == [("XDSDocumentUniqueIdError", "REMOVE.document")]
    assert list(store.published) == ["2.2"]


@pytest.mark.parametrize(
    ("request_", "held", "changes", "expected"),
    [
        (asked("2.9"), (), {}, ("XDSDocumentUniqueIdError", "REMOVE.document")),
        (asked("2.1", repository="2.999.9"), (), {}, ("XDSUnknownRepositoryId", "REMOVE.repository")),
        (asked("2.1"), ("2.1",), {}, ("XDSRemoveDocumentsError", "REMOVE.hold")),
        (asked("2.1"), (), {"retention": timedelta(days=2)}, ("XDSRemoveDocumentsError", "REMOVE.retention")),
        (asked("2.1", "2.2"), (), {"max_documents": 1}, ("XDSRepositoryError", "REMOVE.size")),
    ],
    ids=["unknown", "elsewhere", "held", "too young", "too many"],
)
def test_what_cannot_be_removed_stays(
    request_: DocumentRemovalRequest, held: tuple[str, ...], changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    store = documents()
    answer = removed(request_, ports(store, *held, **changes))
    assert answer.outcome.status is Status.FAILURE
    assert codes(answer.outcome) == [expected]
    assert sorted(store.published) == ["2.1", "2.2"]
    if expected[1] != "REMOVE.size":
        assert request_.documents[0].document_unique_id in answer.outcome.problems[0].context, "RMD 3.86.4.2"


def test_a_document_goes_when_its_retention_is_over() -> None:
    store = documents()
    store.published["2.1"].stored_at = NOW - timedelta(days=2)
    assert removed(asked("2.1"), ports(store, retention=timedelta(days=2))).outcome.accepted


def test_what_may_not_be_removed_is_as_if_it_were_not_there() -> None:
    store = documents()
    denied = removed(asked("2.1"), ports(store), denied=["2.1"])
    missing = removed(asked("2.1"), ports(Documents()))
    assert denied == missing
    assert sorted(store.published) == ["2.1", "2.2"]


@pytest.mark.parametrize(
    ("permits", "gone"), [((), False), (("ITI-43",), False), (("ITI-86",), True), (("*",), True), (None, False)]
)
def test_what_no_entry_names_goes_by_the_permit_of_the_node(permits: tuple[str, ...] | None, gone: bool) -> None:
    node = Node(name="archive", certificate_sha256="ab", permits=frozenset(permits)) if permits is not None else None
    caller = Caller(peer=Peer(address="192.0.2.7", node=node), subject=CALLER.subject)
    store = documents()
    given = ports(store)
    for decision, expected in ((NOT_REGISTERED, gone), (DENY, False)):
        located = iti86.locate(asked("2.1"), given, None)  # type: ignore[arg-type]
        answer = iti86.handle(Call(asked("2.1"), caller, given, None, located, (decision,), Trace()))  # type: ignore[arg-type]
        assert answer.outcome.accepted is expected


def test_the_record_names_each_document_and_what_became_of_it() -> None:
    request = asked("2.1", "2.9")
    answer = removed(request, ports(documents()))
    described = iti86.facts(request, answer, replace(sample_facts("ITI-86"), documents=()))
    assert [(one.unique_id, one.repository_unique_id, int(one.outcome)) for one in described.documents] == [
        ("2.1", HERE, 0), ("2.9", HERE, 8),
    ]  # fmt: skip
