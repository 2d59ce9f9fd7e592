"""RemoveObjectsRequest and its answer (Remove Metadata and Documents 3.62.4.1.2)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import official_schema, sample_messages
from tests.wire.ebxml.bodies import body_of, message, received
from tests.wire.ebxml.strategies import trimmed
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.removal import RemovalAnswer, RemovalRequest
from xdsi.spec.namespaces import LCM, RIM
from xdsi.wire import xml
from xdsi.wire.ebxml import removal
from xdsi.wire.message import Packaging

ID = "urn:uuid:00000000-0000-4000-8000-000000000001"
OTHER = "urn:uuid:00000000-0000-4000-8000-000000000002"
SAMPLE = (Path(__file__).parents[2] / "samples/bodies/remove_objects_request.xml").read_bytes()


def body(content: str, attributes: str = "") -> str:
    return (
        f'<lcm:RemoveObjectsRequest xmlns:lcm="{LCM}" xmlns:rim="{RIM}"{attributes}>{content}'
        "</lcm:RemoveObjectsRequest>"
    )


def references(*ids: str) -> str:
    return "<rim:ObjectRefList>" + "".join(f'<rim:ObjectRef id="{id_}"/>' for id_ in ids) + "</rim:ObjectRefList>"


@given(st.lists(trimmed, min_size=1, unique=True).map(tuple))
def test_what_is_written_is_read(ids: tuple[str, ...]) -> None:
    request = RemovalRequest(ids)
    assert removal.decode(received(removal.encode(request, Packaging.SIMPLE))) == request


@pytest.mark.oracle
def test_what_is_written_is_valid() -> None:
    written = xml.parse(body_of(removal.encode(RemovalRequest((ID, OTHER)), Packaging.SIMPLE)))
    official_schema().assertValid(written)


def test_each_object_is_named_once_in_the_order_of_the_message() -> None:
    assert removal.decode(message(body(references(OTHER, ID, OTHER)))).ids == (OTHER, ID)


MALFORMED = {
    "another element": (f'<lcm:SubmitObjectsRequest xmlns:lcm="{LCM}"/>', "Body"),
    "no list": (body(""), "RemoveObjectsRequest/ObjectRefList"),
    "an empty list": (body(references()), "RemoveObjectsRequest/ObjectRefList"),
    # forbidden by 3.62.4.1.2
    "a query": (body(f'<rim:AdhocQuery id="{ID}"/>' + references(ID)), "RemoveObjectsRequest"),
    "all that the schema has": (SAMPLE.decode(), "RemoveObjectsRequest"),
    "a scope": (
        body(references(ID), ' deletionScope="urn:oasis:names:tc:ebxml-regrep:DeletionScopeType:DeleteAll"'),
        "RemoveObjectsRequest",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_the_profile_does_not_allow_names_its_place(case: str) -> None:
    text, place = MALFORMED[case]
    with pytest.raises(MalformedMessage) as caught:
        removal.decode(message(text))
    assert caught.value.location == place


def test_the_answer_is_a_registry_response() -> None:
    problem = Problem("ReferencesExistException", f"{ID} is named", location=ID)
    answer = RemovalAnswer(Outcome.of([problem]))
    assert removal.decode_answer(received(removal.encode_answer(answer, Packaging.SIMPLE))) == answer


@pytest.mark.oracle
def test_requests_of_others_are_read() -> None:
    found = {
        name: removal.decode(message(xml.serialize(element))).ids for name, element in sample_messages(removal.REQUEST)
    }
    assert {name: ids for name, ids in found.items() if not ids} == {}
    assert len(found["ihe-iti-info-examples/RMD/RemoveMetadataRequest_SOAP.xml#1"]) == 4
    assert len(found) > 8
