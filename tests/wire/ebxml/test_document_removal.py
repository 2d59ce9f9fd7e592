"""RemoveDocumentsRequest and its answer (Remove Metadata and Documents 3.86.4.1.2)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeep import Client

from tests.oracles import official_schema
from tests.transport.offline import body_of as said_by
from tests.transport.offline import client_of
from tests.wire.ebxml.bodies import body_of, message, received
from tests.wire.ebxml.strategies import trimmed
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.removal import DocumentRemovalAnswer, DocumentRemovalRequest
from xdsi.domain.retrieval import DocumentRequest
from xdsi.wire import xml
from xdsi.wire.ebxml import document_removal
from xdsi.wire.message import Message, Packaging

SAMPLE = (Path(__file__).parents[2] / "samples/bodies/remove_documents_request.xml").read_bytes()
ONE = DocumentRequest("", "2.999.1.2", "2.999.6.1")


@given(st.lists(st.builds(DocumentRequest, st.just(""), trimmed, trimmed), min_size=1).map(tuple))
def test_what_is_written_is_read(documents: tuple[DocumentRequest, ...]) -> None:
    request = DocumentRemovalRequest(documents)
    assert document_removal.decode(received(document_removal.encode(request, Packaging.SIMPLE))) == request


def test_the_sample_is_read() -> None:
    assert document_removal.decode(Message((xml.parse(SAMPLE),))) == DocumentRemovalRequest((ONE,))


@pytest.mark.oracle
def test_what_is_written_is_valid() -> None:
    written = xml.parse(body_of(document_removal.encode(DocumentRemovalRequest((ONE,)), Packaging.SIMPLE)))
    official_schema().assertValid(written)


def test_a_client_made_from_the_description_is_understood() -> None:
    client: Client = client_of("iti86")
    asked = {"RepositoryUniqueId": "2.999.1.2", "DocumentUniqueId": "2.999.6.1"}
    body = said_by(client, "DocumentRepository_RemoveDocuments", DocumentRequest=[asked])
    assert document_removal.decode(Message((body,))) == DocumentRemovalRequest((ONE,))


@pytest.mark.parametrize(
    "body",
    ["<x/>", '<r:RemoveDocumentsRequest xmlns:r="urn:ihe:iti:rmd:2017"/>', SAMPLE.decode().replace(":2017", ":2018")],
    ids=["another element", "nothing", "another namespace"],
)
def test_what_is_no_removal_is_refused(body: str) -> None:
    with pytest.raises(MalformedMessage):
        document_removal.decode(message(body))


def test_the_answer_comes_back() -> None:
    answer = DocumentRemovalAnswer(Outcome.of([Problem("XDSRemoveDocumentsError", "document 2.1", "2.1")], 0))
    read = document_removal.decode_answer(received(document_removal.encode_answer(answer, Packaging.SIMPLE)))
    assert read.outcome.status is answer.outcome.status
    assert [(one.code, one.context) for one in read.outcome.problems] == [("XDSRemoveDocumentsError", "document 2.1")]
