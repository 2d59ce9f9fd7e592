"""What an accepted update changes (Metadata Update 3.57.4.1.3.2, 3.57.4.1.3.3, 4.1.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import OTHER_PATIENT, association, document_entry, has_member
from tests.rules.registered import Registered
from tests.rules.test_update import PORTS, UPDATE_ERROR, VERSION, appended, filed, no
from tests.rules.updates import (
    APPENDED,
    APPENDS,
    CASE,
    ENTRY,
    GONE,
    INSIDE,
    UPDATED,
    bound,
    new_version,
    registry,
    status_of,
    submits,
    update,
    urn,
)
from xdsi.domain.identifiers import is_entry_uuid
from xdsi.domain.metadata import Association
from xdsi.domain.registration import Registration, StatusChange
from xdsi.domain.submission import Submission
from xdsi.rules import update as rules
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED

Link = tuple[str, str, str]


def planned(submission: Submission, known: Registered | None = None) -> Registration:
    facts = known or registry()
    outcome, registration = rules.decide(rules.Context.about(submission, facts), facts, PORTS, rules.UPDATE)
    assert registration is not None, outcome.problems
    return registration


def named(registration: Registration) -> dict[str, str]:
    """A readable name for each new object."""
    stored = registration.submission
    names = {stored.submission_set.entry_uuid: "set"}
    names |= {one.entry_uuid: f"{one.logical_id[9:17]} v{one.version}" for one in stored.document_entries}
    names |= {one.entry_uuid: f"{one.logical_id[9:17]} v{one.version}" for one in stored.folders}
    return names


def links(registration: Registration) -> list[Link]:
    """The new Associations: the last part of the type, and the ends by their names."""
    names = named(registration)
    for one in registration.submission.associations:
        assert is_entry_uuid(one.entry_uuid)
        assert one.availability_status in ("", APPROVED)
    associations = registration.submission.associations
    names |= {one.entry_uuid: f"{names.get(one.source, one.source)}>{names.get(one.target, one.target)}"
              for one in associations if names.get(one.source) != "set"}  # fmt: skip
    return sorted(
        (one.type.rpartition(":")[2], names.get(one.source, one.source), names.get(one.target, one.target))
        for one in associations
    )


def test_a_new_version_follows_the_former_one() -> None:
    """4.1.5: same logicalID, the next number, the status of the former version."""
    registration = planned(update(new_version(title="corrected")))
    (entry,) = registration.submission.document_entries
    assert (entry.logical_id, entry.version, entry.title) == (ENTRY, 2, "corrected")
    assert (entry.availability_status, is_entry_uuid(entry.entry_uuid)) == (APPROVED, True)
    assert list(registration.superseded) == [ENTRY]
    assert (registration.superseded[ENTRY].code, registration.superseded[ENTRY].location) == (VERSION, "new")
    assert registration.statuses == ()


def test_a_deprecated_entry_stays_deprecated() -> None:
    """3.57.4.1.3.3.1.3."""
    (entry,) = planned(update(new_version(GONE))).submission.document_entries
    assert (entry.availability_status, entry.version) == (DEPRECATED, 2)


def test_the_status_goes_to_the_new_version() -> None:
    """3.57.4.1.3.2: the former one is not touched further."""
    for trigger in (status_of(), status_of("new")):
        registration = planned(update(new_version(), trigger))
        (entry,) = registration.submission.document_entries
        assert entry.availability_status == DEPRECATED
        assert registration.statuses == ()


def test_the_set_is_linked_to_the_new_version_and_says_which_one_it_follows() -> None:
    registration = planned(update(new_version(UPDATED), bound(previous="2")))
    (link,) = registration.submission.associations
    assert (link.source, link.previous_version) == (registration.submission.submission_set.entry_uuid, "2")
    assert link.submission_set_status == ("Original",)
    assert link.target == registration.submission.document_entries[0].entry_uuid


NEW, NEW_CASE, NEW_APPENDED = "00000001 v2", "00000002 v2", "00000003 v2"
FOLLOWING: dict[str, tuple[Submission, list[Link]]] = {
    "memberships and relationships of an entry": (
        update(new_version()),
        [
            ("APND", APPENDED, NEW),
            ("HasMember", CASE, NEW),
            ("HasMember", "set", NEW),
            ("HasMember", "set", f"{CASE}>{NEW}"),
        ],
    ),
    "no": (update(new_version(), no()), [("HasMember", "set", NEW)]),
    "the approved content of a folder": (
        update(new_version(CASE)),
        [
            ("HasMember", NEW_CASE, ENTRY),
            ("HasMember", "set", NEW_CASE),
            ("HasMember", "set", f"{NEW_CASE}>{ENTRY}"),
        ],
    ),
    "between new versions": (
        update(new_version(), new_version(APPENDED, "other"), new_version(CASE, "case")),
        [
            ("APND", NEW_APPENDED, NEW),
            ("HasMember", NEW_CASE, NEW),
            *(("HasMember", "set", one) for one in sorted((NEW, NEW_CASE, f"{NEW_CASE}>{NEW}", NEW_APPENDED))),
        ],
    ),
    "a deprecated entry": (
        update(new_version(GONE)),
        [
            ("HasMember", CASE, "00000006 v2"),
            ("HasMember", "set", "00000006 v2"),
            ("HasMember", "set", f"{CASE}>00000006 v2"),
        ],
    ),
    "what is submitted": (
        update(*filed()), [("HasMember", CASE, APPENDED), ("HasMember", "set", f"{CASE}>{APPENDED}")],
    ),
    "with a link of its own": (
        update(*filed(), has_member("ss1", "fresh")),
        [("HasMember", CASE, APPENDED), ("HasMember", "set", f"{CASE}>{APPENDED}")],
    ),
    "a relationship, without a link": (update(*appended(UPDATED, APPENDED)), [("APND", UPDATED, APPENDED)]),
    "a reference": (
        update(status_of(), has_member("ss1", APPENDED, "Reference")), [("HasMember", "set", APPENDED)],
    ),
    "no trigger": (update(status_of()), []),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLLOWING)
def test_which_associations_are_new(case: str) -> None:
    submission, expected = FOLLOWING[case]
    assert links(planned(submission)) == sorted(expected)


def test_what_was_left_stays_left() -> None:
    """3.57.4.1.3.2: neither deprecated Associations nor those of former versions and deprecated Folders follow."""
    gone = replace(has_member(CASE, ENTRY, entry_uuid=INSIDE), availability_status=DEPRECATED)
    rest = replace(association(uuids.APND, APPENDED, ENTRY, APPENDS), availability_status=DEPRECATED)
    assert links(planned(update(new_version()), registry(gone, rest))) == [("HasMember", "set", NEW)]


def test_an_association_that_follows_keeps_what_it_says() -> None:
    """Its documentation and further Slots; a reference to a set's own status is of the former link only."""
    said = replace(association(uuids.APND, APPENDED, ENTRY, APPENDS), documentation=document_entry().class_code)
    registration = planned(update(new_version()), registry(said))
    (copy,) = [one for one in registration.submission.associations if one.type == uuids.APND]
    assert copy.documentation == said.documentation
    assert copy.entry_uuid != said.entry_uuid


def test_folders_that_receive_something_are_touched() -> None:
    """ITI TF-2 3.42.4.1.3.3.5: lastUpdateTime; a new version of a Folder has its own."""
    assert planned(update(new_version())).touched_folders == (CASE,)
    assert planned(update(*filed())).touched_folders == (CASE,)
    registration = planned(update(new_version(CASE)))
    assert registration.touched_folders == ()
    assert registration.submission.folders[0].last_update_time == registration.now


def test_statuses_change_where_they_are() -> None:
    registration = planned(update(status_of(CASE), status_of(APPENDS)))
    assert [(one.entry_uuid, one.original, one.new) for one in registration.statuses] == [
        (CASE, APPROVED, DEPRECATED), (APPENDS, APPROVED, DEPRECATED),
    ]  # fmt: skip
    late: StatusChange = registration.statuses[0]
    assert (late.too_late.code, late.too_late.location) == (UPDATE_ERROR, f"status-{CASE}")
    assert registration.submission.objects == registration.submission.submission_sets


def signed(*more: Any) -> Registered:
    """A registry whose entry APPENDED signs ENTRY, beside the APND that is there."""
    return registry(association(uuids.SIGNS, APPENDED, ENTRY, urn(60)), *more)


REVIEWED: dict[str, tuple[Submission, tuple[str, ...]]] = {
    "a signature is deprecated": (update(status_of(urn(60))), (ENTRY,)),
    "what signs is deprecated": (update(status_of(APPENDED)), (ENTRY,)),
    "what signs gets a new version": (update(new_version(APPENDED)), (ENTRY,)),
    "what signs gets one, and leaves the signature": (update(new_version(APPENDED), no()), (ENTRY,)),
    "a signature is added": (update(*appended(UPDATED, APPENDED, uuids.SIGNS)), (APPENDED,)),
    "the signed entry itself gets a new version": (update(new_version()), ()),
    "something else is deprecated": (update(status_of(CASE)), ()),
}


@pytest.mark.parametrize("case", REVIEWED)
def test_whose_signatures_are_looked_at_anew(case: str) -> None:
    """docs/policy.md: a consent whose signature changes is verified again; a new version is examined as it is saved."""
    submission, reviewed = REVIEWED[case]
    assert planned(submission, signed()).reviewed == reviewed


def test_a_document_moves_to_another_patient_with_its_folder() -> None:
    moved = {"patient_id": OTHER_PATIENT}
    request = update(
        new_version(**moved), no(), new_version(CASE, "case", **moved), no("case", status=""),
        has_member("case", "new", entry_uuid="in"), submits("in"), patient_id=OTHER_PATIENT,
    )  # fmt: skip
    registration = planned(request)
    assert {one.patient_id for one in registration.submission.document_entries} == {OTHER_PATIENT}
    assert links(registration) == sorted(
        [
            ("HasMember", NEW_CASE, NEW),
            *(("HasMember", "set", one) for one in (NEW, NEW_CASE, f"{NEW_CASE}>{NEW}")),
        ]
    )


def test_nothing_of_the_request_is_kept_twice() -> None:
    request = update(new_version(), no(), *filed(CASE, "new", "in"), status_of(APPENDED))
    stored = planned(request).submission
    ids = [one.entry_uuid for one in stored.objects]
    assert len(ids) == len(set(ids))
    assert not [one for one in stored.associations if isinstance(one, Association) and "Update" in one.type]
