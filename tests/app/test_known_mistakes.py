"""What deployed registries got wrong: each mistake by name, asked of a registry as it is put together."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests import builders
from tests.app import records
from tests.wire.ebxml.bodies import body_of, received
from xdsi.app import Parts
from xdsi.domain.identifiers import new_entry_uuid, new_oid
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.submission import Submission
from xdsi.exchange import Trace, run
from xdsi.settings import Domain, Registry, Server, Settings
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED, FAILURE, RIM, SUCCESS
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.wire.ebxml import query as wire
from xdsi.wire.message import Packaging, Payload

Slots = tuple[tuple[str, tuple[str, ...]], ...]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    made = records.made(tmp_path_factory.mktemp("mistakes"), profile="open")
    yield made
    made.engine.dispose()


@pytest.fixture
def patient() -> str:
    return f"{new_oid()[-12:]}^^^&2.999.1.1&ISO"


def entry(patient: str, **changes: Any) -> DocumentEntry:
    return builders.document_entry(new_entry_uuid(), **{"unique_id": new_oid(), "patient_id": patient} | changes)


def submitted(*entries: DocumentEntry, **changes: Any) -> Submission:
    own = builders.submission_set(new_entry_uuid(), unique_id=new_oid(), patient_id=entries[0].patient_id)
    return builders.submission(*entries, sets=[own], **changes)


def register(parts: Parts, raw: Payload) -> etree._Element:
    """The answer of ITI-42 to a message."""
    payload = run(
        parts.registry_actor, iti42.TRANSACTION, received(raw), records.DOCTOR,
        packaging=Packaging.SIMPLE, trace=Trace(),
    )  # fmt: skip
    return etree.fromstring(body_of(payload))


def save(parts: Parts, *entries: DocumentEntry, **changes: Any) -> None:
    records.submit(parts, submitted(*entries, **changes))


def asked(parts: Parts, query_id: str, slots: Slots, return_type: str = "LeafClass") -> etree._Element:
    """The answer of ITI-18."""
    request = wire.encode_request(wire.AdhocQuery(query_id, return_type, slots), Packaging.SIMPLE)
    payload = run(
        parts.registry_actor, iti18.TRANSACTION, received(request), records.DOCTOR,
        packaging=Packaging.SIMPLE, trace=Trace(),
    )  # fmt: skip
    return etree.fromstring(body_of(payload))


def find(parts: Parts, patient: str, *more: tuple[str, tuple[str, ...]], status: str = APPROVED) -> etree._Element:
    """FindDocuments."""
    usual: Slots = (
        ("$XDSDocumentEntryPatientId", (f"'{patient}'",)),
        ("$XDSDocumentEntryStatus", (f"('{status}')",)),
    )
    return asked(parts, uuids.FIND_DOCUMENTS, (*usual, *more))


def ids(answer: etree._Element) -> set[str]:
    assert answer.get("status") == SUCCESS, etree.tostring(answer)
    return {one.get("id", "") for one in answer.iter(f"{{{RIM}}}ExtrinsicObject")}


def codes(answer: etree._Element) -> list[str]:
    assert answer.get("status") == FAILURE
    return [str(code) for code in answer.xpath("//@errorCode")]


def test_a_repeated_slot_is_not_dropped(parts: Parts, patient: str) -> None:
    """3.18.4.1.2.3.5: only four parameters may be repeated; of two classCode Slots neither may be ignored."""
    first, second = (("$XDSDocumentEntryClassCode", (f"('{code}^^2.999.20')",)) for code in ("REPORTS", "IMAGES"))
    assert codes(find(parts, patient, first, second)) == ["XDSStoredQueryParamNumber"]


def test_the_status_parameter_counts(parts: Parts, patient: str) -> None:
    """3.18.4.1.2.3.7.1: Approved entries are not found as Deprecated ones, and the other way round."""
    old, new = entry(patient), entry(patient)
    save(parts, old)
    save(parts, new, associations=[builders.association(uuids.RPLC, new.entry_uuid, old.entry_uuid)])
    assert ids(find(parts, patient)) == {new.entry_uuid}
    assert ids(find(parts, patient, status=DEPRECATED)) == {old.entry_uuid}


@pytest.mark.parametrize(
    ("parameter", "value", "found"),
    [
        ("CreationTimeFrom", "20240102030405", True),
        ("CreationTimeFrom", "20240102030406", False),
        ("CreationTimeTo", "20240102030406", True),
        ("CreationTimeTo", "20240102030405", False),
        ("ServiceStartTimeFrom", "20240101", True),
        ("ServiceStartTimeTo", "20240101", False),
        ("ServiceStopTimeFrom", "20240102", True),
        ("ServiceStopTimeTo", "20240102", False),
    ],
)
def test_from_includes_and_to_excludes_the_exact_value(
    parts: Parts, patient: str, parameter: str, value: str, found: bool
) -> None:
    """3.18.4.1.2.3.3: From <= attribute < To."""
    one = entry(patient)
    save(parts, one)
    answer = find(parts, patient, (f"$XDSDocumentEntry{parameter}", (value,)))
    assert ids(answer) == ({one.entry_uuid} if found else set())


def test_the_type_code_counts(parts: Parts, patient: str) -> None:
    """3.18.4.1.2.3.7.1: code and scheme both."""
    one = entry(patient)
    save(parts, one)

    def with_type(value: str) -> set[str]:
        return ids(find(parts, patient, ("$XDSDocumentEntryTypeCode", (f"('{value}')",))))

    assert with_type("34133-9^^2.16.840.1.113883.6.1") == {one.entry_uuid}
    assert with_type("34133-9^^2.16.840.1.113883.6.96") == set()
    assert with_type("57133-1^^2.16.840.1.113883.6.1") == set()


def test_no_slot_of_an_answer_is_empty(parts: Parts, patient: str) -> None:
    """TF-3 4.2.3.1.5: what was not submitted is left out; an empty Slot would be a value of its own."""
    bare = entry(
        patient, authors=(), comments="", event_codes=(), legal_authenticator="", reference_ids=(),
        service_start_time="", service_stop_time="", source_patient_info=(), title="",
    )  # fmt: skip
    save(parts, bare)
    answer = find(parts, patient)
    assert ids(answer) == {bare.entry_uuid}
    slots = list(answer.iter(f"{{{RIM}}}Slot"))
    assert slots
    for slot in slots:
        values = [value.text for value in slot.iter(f"{{{RIM}}}Value")]
        assert values, slot.get("name")
        assert all(values), slot.get("name")
    assert not answer.xpath("//rim:LocalizedString[not(@value) or @value='']", namespaces={"rim": RIM})


def test_answers_have_what_an_update_needs(parts: Parts, patient: str) -> None:
    """4.2.3.2.31-32: lid and version, also of what was never updated."""
    one = entry(patient)
    save(parts, one)
    (found,) = find(parts, patient).iter(f"{{{RIM}}}ExtrinsicObject")
    assert (found.get("lid"), found.get("id")) == (one.entry_uuid, one.entry_uuid)
    assert found.find(f"{{{RIM}}}VersionInfo").get("versionName") == "1"


def test_sub_elements_of_two_submissions_may_have_the_same_ids(parts: Parts, patient: str) -> None:
    """3.42.4.1.3.3.5: ids of Classifications and ExternalIdentifiers are symbolic or assigned; nobody's key."""
    first, second = entry(patient), entry(patient)
    for one in (first, second):
        (body,) = iti42.TRANSACTION.request.encode(submitted(one), Packaging.SIMPLE).body
        root = etree.fromstring(body)
        tags = [f"{{{RIM}}}{name}" for name in ("Classification", "ExternalIdentifier")]
        for number, element in enumerate(root.iter(*tags)):
            element.set("id", f"id_{number}")
        assert register(parts, Payload((etree.tostring(root),))).get("status") == SUCCESS
    answer = find(parts, patient)
    assert ids(answer) == {first.entry_uuid, second.entry_uuid}
    everything = [str(one) for one in answer.xpath("//@id")]
    assert len(everything) == len(set(everything))
    for element in answer.iter(f"{{{RIM}}}Classification"):
        assert element.get("classifiedObject") == element.getparent().get("id")


@pytest.mark.parametrize(("setting", "expected"), [("empty", []), ("error", ["XDSUnknownPatientId"])])
def test_get_all_of_an_unknown_patient(tmp_path: Path, setting: str, expected: list[str]) -> None:
    """3.18.4.1.3: an empty answer or XDSUnknownPatientId, as the domain says, and never a failure of ours."""
    made = records.made(tmp_path, profile="open", unknown_patient=setting)
    slots: Slots = (
        ("$patientId", ("'nobody^^^&2.999.1.1&ISO'",)),
        ("$XDSDocumentEntryStatus", (f"('{APPROVED}')",)),
        ("$XDSSubmissionSetStatus", (f"('{APPROVED}')",)),
        ("$XDSFolderStatus", (f"('{APPROVED}')",)),
    )
    answer = asked(made, uuids.GET_ALL, slots)
    made.engine.dispose()
    if expected:
        assert codes(answer) == expected
    else:
        assert answer.get("status") == SUCCESS
        assert len(list(answer.iter(f"{{{RIM}}}RegistryObjectList"))) == 1


@pytest.mark.parametrize("pattern", ["'%O''Neil%'", "'^O''Neil^%'", "'_O''Neil^Pat%'", "'%''%'"])
def test_author_patterns_may_have_quotes(parts: Parts, patient: str, pattern: str) -> None:
    """3.18.4.1.2.3.5: a quote inside a string is doubled; LIKE compares the whole authorPerson."""
    irish = entry(patient, authors=(replace(builders.AUTHOR, person="^O'Neil^Pat"),))
    save(parts, irish, entry(patient))
    answer = find(parts, patient, ("$XDSDocumentEntryAuthorPerson", (f"({pattern})",)))
    assert ids(answer) == {irish.entry_uuid}


def test_a_folders_time_never_goes_back(parts: Parts, patient: str) -> None:
    """3.42.4.1.3.6: lastUpdateTime is that of the latest change, in whatever order submissions reach the store."""
    case = builders.folder(new_entry_uuid(), unique_id=new_oid(), patient_id=patient)
    save(parts, entry(patient), folders=[case])
    with parts.registry.writing() as session:
        session.touch_folders([case.entry_uuid], "20990101000002")
    with parts.registry.writing() as session:
        session.touch_folders([case.entry_uuid], "20990101000001")
    answer = asked(parts, uuids.GET_FOLDERS, (("$XDSFolderEntryUUID", (f"('{case.entry_uuid}')",)),))
    times = answer.xpath("//rim:Slot[@name='lastUpdateTime']//rim:Value/text()", namespaces={"rim": RIM})
    assert times == ["20990101000002"]


def test_one_entry_is_replaced_once(parts: Parts, patient: str) -> None:
    """TF-3 4.2.2.2: a replaced entry is Deprecated, so that the second replacement has no target any more.

    That of two at the same moment one loses is `test_of_two_simultaneous_replacements_exactly_one_wins`.
    """
    old, first, second = entry(patient), entry(patient), entry(patient)
    save(parts, old)
    save(parts, first, associations=[builders.association(uuids.RPLC, first.entry_uuid, old.entry_uuid)])
    again = submitted(second, associations=[builders.association(uuids.RPLC, second.entry_uuid, old.entry_uuid)])
    answer = register(parts, iti42.TRANSACTION.request.encode(again, Packaging.SIMPLE))
    assert codes(answer) == ["XDSRegistryDeprecatedDocumentError"]
    assert ids(find(parts, patient)) == {first.entry_uuid}


def test_an_unknown_parameter_is_ignored_and_noted(
    parts: Parts, patient: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A registry may know less than its client; that it did so is told to the operator."""
    one = entry(patient)
    save(parts, one)
    with caplog.at_level(logging.INFO):
        answer = find(parts, patient, ("$XDSDocumentEntryShoeSize", ("'44'",)))
    assert ids(answer) == {one.entry_uuid}
    assert "$XDSDocumentEntryShoeSize" in caplog.text


def test_an_unknown_parameter_is_refused_where_the_settings_say_so(tmp_path: Path, patient: str) -> None:
    """The same, for domains that would rather know."""
    made = Parts(
        Settings(
            server=Server(data_dir=tmp_path, actors=("registry",)), domain=Domain(profile="open"),
            registry=Registry(reject_unknown_parameters=True),
        )
    )  # fmt: skip
    answer = find(made, patient, ("$XDSDocumentEntryShoeSize", ("'44'",)))
    made.engine.dispose()
    assert codes(answer) == ["XDSRegistryError"]


@pytest.mark.parametrize(
    "query_id",
    [
        uuids.FIND_DOCUMENTS[:-1] + "e",
        uuids.FIND_DOCUMENTS.removeprefix("urn:uuid:"),
        uuids.FIND_DOCUMENTS.upper(),
        "urn:uuid:d27f0acb-3b08-4bb2-a47d-c5ac0b2f4a5e",
    ],
    ids=["a digit", "no prefix", "capitals", "another"],
)
def test_a_query_id_with_a_mistake_is_no_query(parts: Parts, patient: str, query_id: str) -> None:
    """3.18.4.1.3: XDSUnknownStoredQuery, and not an empty answer."""
    slots: Slots = (
        ("$XDSDocumentEntryPatientId", (f"'{patient}'",)), ("$XDSDocumentEntryStatus", (f"('{APPROVED}')",)),
    )  # fmt: skip
    assert codes(asked(parts, query_id, slots)) == ["XDSUnknownStoredQuery"]
