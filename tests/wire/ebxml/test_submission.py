"""SubmitObjectsRequest: read as written, whatever else is in it (ITI TF-2 3.42.4.1.2)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import builders
from tests.wire.ebxml.bodies import body_of, message, received
from tests.wire.ebxml.strategies import registry_objects
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.metadata import Association, DocumentEntry, Folder, SubmissionSet
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.wire.ebxml import submission
from xdsi.wire.message import Packaging

SAMPLE = builders.submission(
    builders.document_entry(),
    builders.document_entry("doc2", unique_id="2.999.10.2"),
    folders=[builders.folder()],
    associations=[
        builders.has_member("folder1", "doc1"),
        builders.association(uuids.APND, "doc2", "doc1", documentation=builders.document_entry().type_code),
    ],
)


def test_read_as_written() -> None:
    assert submission.decode(received(submission.encode(SAMPLE, Packaging.SIMPLE))) == SAMPLE


@settings(max_examples=25)
@given(st.lists(registry_objects, max_size=3))
def test_any_objects_are_read_as_written(found: list[object]) -> None:
    sample = Submission(
        tuple(one for one in found if isinstance(one, SubmissionSet)),
        tuple(one for one in found if isinstance(one, DocumentEntry)),
        tuple(one for one in found if isinstance(one, Folder)),
        tuple(one for one in found if isinstance(one, Association)),
    )
    assert submission.decode(received(submission.encode(sample, Packaging.SIMPLE))) == sample


def test_request_slots_are_passed_over() -> None:
    text = body_of(submission.encode(SAMPLE, Packaging.SIMPLE)).decode()
    slots = '<rs:RequestSlotList xmlns:rs="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"/><rim:RegistryObjectList>'
    assert submission.decode(message(text.replace("<rim:RegistryObjectList>", slots))) == SAMPLE


def test_findings_come_with_the_submission() -> None:
    text = body_of(submission.encode(SAMPLE, Packaging.SIMPLE)).decode()
    broken = submission.decode(message(text.replace('registryObject="doc1"', 'registryObject="doc2"', 1)))
    assert [one.rule for one in broken.findings] == ["EXTERNALIDENTIFIER.registryObject"]


MALFORMED = {
    "another element": '<x xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"/>',
    "ebRIM 2.1": '<SubmitObjectsRequest xmlns="urn:oasis:names:tc:ebxml-regrep:registry:xsd:2.1"/>',
    "two RegistryObjectLists": (
        '<SubmitObjectsRequest xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"'
        ' xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><rim:RegistryObjectList/><rim:RegistryObjectList/>'
        "</SubmitObjectsRequest>"
    ),
    "no RegistryObjectList": '<SubmitObjectsRequest xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"/>',
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_refuses(text: str) -> None:
    with pytest.raises(MalformedMessage) as refusal:
        submission.decode(message(text))
    assert refusal.value.expected
