"""Fragments: built once, filled often, valid by the official schema, read back as the object."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from tests import builders
from tests.oracles import official_schema
from tests.wire.ebxml.strategies import registry_objects
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import is_entry_uuid
from xdsi.domain.metadata import Association, Author, DocumentEntry, Folder, RegistryObject, SubmissionSet
from xdsi.spec import optionality, uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED, RIM
from xdsi.wire import xml
from xdsi.wire.ebxml import fragments
from xdsi.wire.ebxml.fields import BY_TYPE
from xdsi.wire.xml import E

ID = "urn:uuid:11111111-2222-4333-8444-555555555555"
LID = "urn:uuid:99999999-2222-4333-8444-555555555555"
SAMPLES = {
    "DocumentEntry": builders.document_entry(ID),
    "On-Demand DocumentEntry": builders.on_demand_entry(ID),
    "SubmissionSet": builders.submission_set(ID),
    "Folder": builders.folder(ID),
    "Association": builders.has_member("urn:uuid:1", "urn:uuid:2", "Original", entry_uuid=ID),
}


def fill(fragment: bytes, sample: RegistryObject, **changes: Any) -> bytes:
    filling: dict[str, Any] = builders.columns(sample) | {
        "status": APPROVED, "version": 3, "lid": LID, "patient_id": builders.PATIENT,
        "last_update_time": "20240102030405",
    }  # fmt: skip
    return fragments.fill(fragment, **filling | changes)


def expected(sample: RegistryObject, status: str = APPROVED, patient: str = builders.PATIENT) -> RegistryObject:
    """The object as `fill` makes it."""
    changes: dict[str, Any] = {"availability_status": status}
    if isinstance(sample, DocumentEntry | Folder):
        changes |= {"logical_id": LID, "version": 3}
    if isinstance(sample, Folder):
        changes["last_update_time"] = "20240102030405"
    if not isinstance(sample, Association) and sample.patient_id:
        changes["patient_id"] = patient
    return replace(sample, **changes)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_filled_fragment_is_the_object_in_its_present_state(sample: RegistryObject) -> None:
    fragment = fragments.build(sample)
    filled = fill(fragment, sample, status=DEPRECATED, patient_id=builders.OTHER_PATIENT)
    assert b"\0" not in filled
    assert fragments.read(filled) == expected(sample, DEPRECATED, builders.OTHER_PATIENT)
    assert fragments.read(fill(fragment, sample)) == expected(sample), "a fragment can be filled again"


@settings(max_examples=50)
@given(registry_objects)
def test_any_object_survives(sample: RegistryObject) -> None:
    sample = replace(sample, home_community_id="")
    assert fragments.read(fill(fragments.build(sample), sample)) == expected(sample)


@pytest.mark.oracle
@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_filled_fragment_is_valid_by_the_official_schema(sample: RegistryObject) -> None:
    schema = official_schema()
    for home in ("", "urn:oid:2.999.1"):
        root = xml.parse(fill(fragments.build(sample), sample, home=home))
        assert schema.validate(root), schema.error_log


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_home_is_the_submitted_one_or_the_given_one(sample: RegistryObject) -> None:
    """ITI TF-3 4.2.3.2.12: what was submitted is returned."""
    fragment = fragments.build(sample)
    assert fragments.read(fill(fragment, sample)).home_community_id == ""
    assert fragments.read(fill(fragment, sample, home="urn:oid:2.999.1")).home_community_id == "urn:oid:2.999.1"
    own = fragments.build(replace(sample, home_community_id="urn:oid:2.999.7"))
    for home in ("", "urn:oid:2.999.1"):
        assert fragments.read(fill(own, sample, home=home)).home_community_id == "urn:oid:2.999.7"


def test_a_folder_needs_its_last_update_time() -> None:
    with pytest.raises(ValueError, match="last_update_time"):
        fill(fragments.build(builders.folder(ID)), builders.folder(ID), last_update_time=None)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_every_returned_object_has_its_object_type(sample: RegistryObject) -> None:
    """ITI TF-3 4.2.1: on return all objects carry @objectType."""
    types = {
        E(RIM, "Classification"): uuids.OBJECT_TYPE_CLASSIFICATION,
        E(RIM, "ExternalIdentifier"): uuids.OBJECT_TYPE_EXTERNAL_IDENTIFIER,
        E(RIM, "RegistryPackage"): uuids.OBJECT_TYPE_REGISTRY_PACKAGE,
        E(RIM, "Association"): uuids.OBJECT_TYPE_ASSOCIATION,
        E(RIM, "ExtrinsicObject"): getattr(sample, "object_type", ""),
    }
    root = xml.parse(fill(fragments.build(sample), sample))
    found = {element.tag: element.get("objectType") for element in root.iter(*types)}
    assert found == {tag: types[tag] for tag in found}


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("DocumentEntry", optionality.DOCUMENT_ENTRY_RETURNED),
        ("SubmissionSet", optionality.SUBMISSION_SET_RETURNED),
        ("Folder", optionality.FOLDER_RETURNED),
    ],
)
def test_what_a_registry_must_return_is_there(name: str, table: dict[str, str]) -> None:
    """ITI TF-3 4.3.2."""
    read = fragments.read(fill(fragments.build(SAMPLES[name]), SAMPLES[name]))
    attributes = {row.name: row.attribute for row in BY_TYPE[type(read)].fields} | {"entryUUID": "entry_uuid"}
    required = {attributes[attribute] for attribute, rule in table.items() if rule in {"R", "R3"}}
    assert {attribute for attribute in required if not getattr(read, attribute)} == set()


def test_patient_ids_are_escaped() -> None:
    sample = builders.submission_set(ID)
    filled = fill(fragments.build(sample), sample, patient_id='<"&>^^^&2.999&ISO')
    read = fragments.read(filled)
    assert isinstance(read, SubmissionSet)
    assert read.patient_id == '<"&>^^^&2.999&ISO'


def test_signs_that_xml_cannot_carry_make_no_gap() -> None:
    sample = builders.folder(ID, title="a\0tb\0p")
    read = fragments.read(fill(fragments.build(sample), sample))
    assert isinstance(read, Folder)
    assert read.title == "a\ufffdtb\ufffdp"


def test_only_objects_are_read() -> None:
    with pytest.raises(MalformedMessage):
        fragments.read(b"<x/>")


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_parts_have_ids_of_their_own_that_stay(sample: RegistryObject) -> None:
    """ebRIM 3.0 2.4.1: ids are unique; no two objects share those of their Classifications."""
    fragment = fragments.build(sample)
    other = replace(sample, entry_uuid=LID)

    def ids(filled: bytes) -> list[str]:
        return [element.get("id") or "" for element in xml.parse(filled).iterdescendants("*") if element.get("id")]

    found = ids(fill(fragment, sample))
    assert all(map(is_entry_uuid, found))
    assert len(set(found)) == len(found)
    assert ids(fill(fragment, sample)) == found
    assert not set(ids(fill(fragments.build(other), other))) & set(found)


def test_an_author_in_another_normal_form_is_given_back_as_submitted() -> None:
    author = Author(person="7^Mu\u0308ller", institutions=("Klinik",))
    sample = builders.document_entry(
        ID, authors=(Author(person="8^M\u00fcller"), author), reference_ids=("u\u0308^^^^x",)
    )
    read = fragments.read(fill(fragments.build(sample), sample))
    assert isinstance(read, DocumentEntry)
    assert [one.person for one in read.authors] == ["8^M\u00fcller", "7^Mu\u0308ller"]
    assert read.reference_ids == ("u\u0308^^^^x",)


def test_what_was_built_before_ids_had_gaps_is_filled() -> None:
    old = (
        b'<rim:Association xmlns:rim="%s"\0h id="%s" associationType="t" sourceObject="a" targetObject="b"/>'
        % (RIM.encode(), ID.encode())
    )  # fmt: skip
    sample = SAMPLES["Association"]
    assert b' status="%b" id="%b"' % (APPROVED.encode(), ID.encode()) in fill(old, sample)


def test_a_fragment_needs_the_persons_that_columns_hold() -> None:
    sample = builders.document_entry(ID)
    with pytest.raises(ValueError, match="persons"):
        fill(fragments.build(sample), sample, persons=())
