"""What a restricted update may change (Restricted Metadata Update 3.92.4.1.3); the rest is as in an update."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import OTHER_PATIENT, has_member
from tests.rules.test_update import IDENTIFIER, OTHER_PERSON, PORTS, UPDATE_ERROR, VERSION, filed, found, no
from tests.rules.updates import APPENDED, CASE, ENTRY, UNKNOWN, UPDATED, bound, new_version, registry, status_of, update
from xdsi.rules import update as rules
from xdsi.spec import uuids


def restricted(*objects: Any, **of_set: Any) -> list[tuple[str, str]]:
    return found(update(*objects, **of_set), codes=rules.RESTRICTED)


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "corrected"},
        {"comments": ""},
        {"creation_time": "20230101"},
        {"size": "7"},
        {"hash": "AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D"},
        {"document_availability": "urn:ihe:iti:2010:DocumentAvailability:Online"},
        {"logical_id": ""},
        {"home_community_id": "urn:oid:2.999.1"},
    ],
)
def test_what_describes_a_document_may_be_changed(changes: dict[str, Any]) -> None:
    ports = replace(PORTS, home_community_id="urn:oid:2.999.1")
    facts = registry()
    request = rules.prepared(update(new_version(**changes)))
    outcome, registration = rules.decide(rules.Context.about(request, facts), facts, ports, rules.RESTRICTED)
    assert outcome.problems == ()
    assert registration is not None
    (entry,) = registration.submission.document_entries
    assert (entry.logical_id, entry.version) == (ENTRY, 2)


MODIFIABLE = "UnmodifiableMetadataError"
NOT_ALLOWED = {
    "hash": (new_version(hash="b" * 40), [(MODIFIABLE, "hash.changed")]),
    "repositoryUniqueId": (
        new_version(repository_unique_id="2.999.1.9"), [(MODIFIABLE, "repositoryUniqueId.changed")],
    ),
    "sourcePatientId": (
        new_version(source_patient_id="L9^^^&2.999.2&ISO"), [(MODIFIABLE, "sourcePatientId.changed")],
    ),
    "documentAvailability": (
        new_version(document_availability="urn:ihe:iti:2010:DocumentAvailability:Offline"),
        [(MODIFIABLE, "documentAvailability.changed")],
    ),
    "objectType": (
        new_version(object_type=uuids.ON_DEMAND, creation_time="", hash="", size=""),
        [
            ("XDSObjectTypeError", "objectType.changed"), (MODIFIABLE, "objectType.changed"),
            (MODIFIABLE, "hash.changed"),
        ],
    ),
    "uniqueId": (new_version(unique_id="2.999.50.99"), [(IDENTIFIER, "uniqueId.changed")]),
    "logicalID": (
        new_version(logical_id=UNKNOWN), [(VERSION, "logicalID.unknown"), (IDENTIFIER, "logicalID.changed")],
    ),
    "home": (new_version(home_community_id="urn:oid:2.999.77"), [
        ("XDSUnknownCommunity", "homeCommunityId.unknown"),
    ]),
    "logicalID and uniqueId": (
        new_version(logical_id="", unique_id="2.999.50.98"), [("XDSInvalidRequestException", "logicalID.first")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_ALLOWED)
def test_what_belongs_to_the_document_may_not_be_changed(case: str) -> None:
    entry, problems = NOT_ALLOWED[case]
    assert sorted(restricted(entry)) == sorted(problems)


def test_the_patient_may_not_be_changed() -> None:
    assert restricted(new_version(patient_id=OTHER_PATIENT), patient_id=OTHER_PATIENT) == [
        (OTHER_PERSON, "patientId.changed")
    ]


@pytest.mark.parametrize(
    ("objects", "problems"),
    [
        (
            (new_version(CASE, "case"), new_version()),
            [("XDSObjectTypeError", "restricted"), (MODIFIABLE, "restricted")],
        ),
        ((status_of(), new_version()), [(MODIFIABLE, "restricted")]),
        (filed(), [(MODIFIABLE, "restricted")] * 2),
        ((), [(UPDATE_ERROR, "UPDATE.empty")]),
        ((new_version(), no()), [("XDSMetadataAnnotationError", "AssociationPropagation.no")]),
        (
            (new_version(), bound(AssociationPropagation="")),
            [("XDSMetadataAnnotationError", "AssociationPropagation")],
        ),
        ((new_version(), has_member("ss1", "new", "Original")), [(VERSION, "PreviousVersion.required")]),
        ((new_version(UPDATED),), [(VERSION, "PreviousVersion")]),
        (
            (new_version(), new_version(id_="again")),
            [
                (UPDATE_ERROR, "operation.repeated"),
                ("XDSRegistryDuplicateUniqueIdInMessage", "SUBMISSION.uniqueId.twice"),
            ],
        ),
        (
            (new_version(), no(), new_version(APPENDED, "other")),
            [("XDSMetadataAnnotationError", "AssociationPropagation.no")],
        ),
    ],
)
def test_a_restricted_update_is_of_entries_and_always_propagates(
    objects: tuple[Any, ...], problems: list[tuple[str, str]]
) -> None:
    assert sorted(restricted(*objects)) == sorted(problems)


def test_an_entry_that_the_set_does_not_hold() -> None:
    request = update(new_version())
    request = replace(request, associations=())
    assert found(request, codes=rules.RESTRICTED) == [("XDSMetadataAnnotationError", "linked")]
