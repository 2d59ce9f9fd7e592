"""Numbers that are none, or longer than any: an answer about them, not a failure."""

from __future__ import annotations

import pytest

from tests import builders
from tests.rules.registered import Registered
from tests.transactions.ports import Documents, RegistryOf42, document, served
from xdsi.domain.submission import Provision
from xdsi.rules import submission as rules
from xdsi.transactions import iti41_provide_and_register_document_set as iti41

NUMBERS = ["9" * 5000, "²", "٣", "-5", "5.0", "0x5", "NaN"]


@pytest.mark.parametrize("size", NUMBERS, ids=range(len(NUMBERS)))
def test_a_size_that_is_no_number_is_not_that_of_the_document(size: str) -> None:
    ports = iti41.ProvidePorts(repository_unique_id="2.999.1.2", documents=Documents(), registry=RegistryOf42())
    submission = builders.submission(builders.document_entry(size=size))
    outcome = served(iti41.TRANSACTION, Provision(submission, {"doc1": document(b"hello")}), ports)
    assert [problem.rule for problem in outcome.problems] == ["DE.size.document"]


@pytest.mark.parametrize("size", NUMBERS, ids=range(len(NUMBERS)))
def test_a_size_that_is_no_number_is_refused_by_the_registry(size: str) -> None:
    known = builders.document_entry("urn:uuid:00000000-0000-4000-8000-000000000001")
    problems = rules.check(builders.submission(builders.document_entry(size=size)), Registered(known))
    assert any("size" in problem.rule for problem in problems)
