"""What a registry sets on a submission, and what a replacement does to others (ITI TF-2 3.42.4.1.3.3.5 to .7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests import builders
from tests.builders import association, document_entry, folder, has_member, submission_set
from tests.rules.registered import Registered
from xdsi.domain.identifiers import is_entry_uuid
from xdsi.domain.metadata import Association, Author, Extra, ExtraClassification, ExtraIdentifier, RegistryObject
from xdsi.domain.submission import Submission
from xdsi.rules import submission as rules
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED

NOW = "20240506070809"


def urn(number: int) -> str:
    return f"urn:uuid:{number:08d}-1111-4222-8333-444455556666"


def numbers() -> Iterator[int]:
    number = 500
    while True:
        yield number
        number += 1


def assign(submission: Submission) -> Submission:
    fresh = numbers()
    return rules.assign(submission, new_uuid=lambda: urn(next(fresh)), now=NOW)


MIXED = builders.submission(
    document_entry("doc1"),
    document_entry(urn(1), unique_id="2.999.10.2"),
    folders=[folder(last_update_time="1999")],
    associations=[has_member("folder1", "doc1"), association(uuids.APND, "doc1", urn(1)), has_member("ss1", urn(7))],
)


def test_symbolic_ids_become_uuids_alike_everywhere() -> None:
    assigned = assign(MIXED)
    new = {old.entry_uuid: one.entry_uuid for old, one in zip(MIXED.objects, assigned.objects, strict=True)}
    assert all(is_entry_uuid(one) for one in new.values())
    assert len(set(new.values())) == len(new)
    assert new[urn(1)] == urn(1), "UUIDs of the sender stay"
    for before, after in zip(MIXED.associations, assigned.associations, strict=True):
        assert (after.source, after.target) == (new[before.source], new.get(before.target, before.target))
        assert is_entry_uuid(after.target)


def test_first_version_approved() -> None:
    assigned = assign(MIXED)
    for one in (*assigned.document_entries, *assigned.folders):
        assert (one.logical_id, one.version) == (one.entry_uuid, 1)
    assert {one.availability_status for one in assigned.objects} == {APPROVED}


def test_submitted_status_and_version_are_overridden() -> None:
    sample = builders.submission(document_entry(version=7, availability_status=DEPRECATED))
    (entry,) = assign(sample).document_entries
    assert (entry.version, entry.availability_status) == (1, APPROVED)


def test_last_update_time_is_now_whatever_was_submitted() -> None:
    assert assign(MIXED).folders[0].last_update_time == NOW


def test_everything_else_is_kept_as_it_came() -> None:
    kept = {"entry_uuid": "", "availability_status": "", "source": "", "target": "", "logical_id": "", "version": None,
            "last_update_time": ""}  # fmt: skip

    def rest(one: RegistryObject) -> RegistryObject:
        return replace(one, **{name: value for name, value in kept.items() if hasattr(one, name)})

    assigned = assign(replace(MIXED, findings=()))
    assert [rest(one) for one in assigned.objects] == [rest(one) for one in MIXED.objects]


def test_parts_of_objects_get_ids_too() -> None:
    classifications = (ExtraClassification("urn:x", id="c1"), ExtraClassification("urn:x", id=urn(2)))
    extra = Extra((), classifications, (ExtraIdentifier("a", "b"),))
    authors = (Author(person="^A", id="a1"), Author(person="^B", id=urn(3)))
    sample = builders.submission(
        document_entry(extra=extra, authors=authors), sets=[submission_set(authors=authors, extra=extra)],
        folders=[folder(extra=extra)], associations=[association(uuids.SIGNS, "doc1", urn(7), extra=extra)],
    )  # fmt: skip
    assigned = assign(sample)
    for one in (assigned.submission_set, assigned.document_entries[0], assigned.folders[0], assigned.associations[-1]):
        parts = [*one.extra.classifications, *one.extra.identifiers]
        assert all(is_entry_uuid(part.id) for part in parts)
        assert parts[1].id == urn(2)
    for author in (*assigned.submission_set.authors, *assigned.document_entries[0].authors):
        assert is_entry_uuid(author.id)
    assert assigned.document_entries[0].authors[1].id == urn(3)


def test_assigned_submissions_pass_the_rules_but_for_being_registered() -> None:
    sample = builders.submission(document_entry(), folders=[folder()], associations=[has_member("folder1", "doc1")])
    assert rules.check(rules.assign(sample, now=NOW), Registered()) == ()


# --- effects ---

OLD, TRANSFORMED, APPENDED, APPENDED_TO_TRANSFORMED, SIGNATURE, FIRST, SECOND, GONE = (urn(n) for n in range(10, 18))
REGISTRY = Registered(
    *(
        document_entry(id_, unique_id=f"2.999.50.{number}")
        for number, id_ in enumerate((OLD, TRANSFORMED, APPENDED, APPENDED_TO_TRANSFORMED, SIGNATURE))
    ),
    folder(FIRST, unique_id="2.999.51.1"),
    folder(SECOND, unique_id="2.999.51.2"),
    folder(GONE, unique_id="2.999.51.3", availability_status=DEPRECATED),
    association(uuids.XFRM, TRANSFORMED, OLD, entry_uuid=urn(20)),
    association(uuids.APND, APPENDED, OLD, entry_uuid=urn(21)),
    association(uuids.APND, APPENDED_TO_TRANSFORMED, TRANSFORMED, entry_uuid=urn(22)),
    association(uuids.SIGNS, SIGNATURE, OLD, entry_uuid=urn(23)),
    has_member(FIRST, OLD, entry_uuid=urn(24)),
    has_member(SECOND, OLD, entry_uuid=urn(25)),
    has_member(GONE, OLD, entry_uuid=urn(26)),
)


def effects(submission: Submission, registry: Registered = REGISTRY) -> rules.Effects:
    return rules.effects(submission, registry)


def replacing(*associations: Association, type_: str = uuids.RPLC) -> Submission:
    return rules.assign(
        builders.submission(document_entry(), associations=[association(type_, "doc1", OLD), *associations]), now=NOW
    )


@pytest.mark.parametrize("type_", [uuids.RPLC, uuids.XFRM_RPLC])
def test_a_replacement_deprecates_what_hangs_on_the_old_document(type_: str) -> None:
    """ITI TF-3 4.2.2.2.3: transformations and addenda, to any depth; signatures stay."""
    result = effects(replacing(type_=type_))
    assert result.replaced == (OLD,)
    assert set(result.deprecate) == {OLD, TRANSFORMED, APPENDED, APPENDED_TO_TRANSFORMED}
    assert result.deprecate[0] == OLD


@pytest.mark.parametrize("type_", sorted(uuids.RELATIONSHIPS - uuids.REPLACEMENTS))
def test_other_relationships_change_nothing(type_: str) -> None:
    assert effects(replacing(type_=type_)) == rules.Effects()


def test_a_plain_submission_changes_nothing() -> None:
    assert effects(rules.assign(builders.submission(), now=NOW)) == rules.Effects()


def test_the_new_document_goes_into_the_approved_folders_of_the_old_one() -> None:
    """3.42.4.1.3.5: a HasMember from each folder, linked from the SubmissionSet of the new document."""
    submission = replacing()
    result = effects(submission)
    new = submission.document_entries[0].entry_uuid
    members = [one for one in result.associations if one.target == new]
    links = [one for one in result.associations if one.target != new]
    assert {one.source for one in members} == {FIRST, SECOND}
    assert {one.source for one in links} == {submission.submission_set.entry_uuid}
    assert [one.target for one in links] == [one.entry_uuid for one in members]
    assert all(one.type == uuids.HAS_MEMBER and one.availability_status == APPROVED for one in result.associations)
    assert all(is_entry_uuid(one.entry_uuid) for one in result.associations)
    assert set(result.touched_folders) == {FIRST, SECOND}


def test_a_folder_that_the_sender_filled_himself_is_not_filled_again() -> None:
    submission = builders.submission(
        document_entry(), associations=[association(uuids.RPLC, "doc1", OLD), has_member(FIRST, "doc1")]
    )
    result = effects(rules.assign(submission, now=NOW))
    assert {one.source for one in result.associations if one.source in {FIRST, SECOND}} == {SECOND}
    assert set(result.touched_folders) == {FIRST, SECOND}


def test_registered_folders_that_receive_a_document_are_touched_and_new_ones_are_not() -> None:
    submission = builders.submission(
        document_entry(), folders=[folder()],
        associations=[has_member(FIRST, "doc1"), has_member("folder1", "doc1")],
    )  # fmt: skip
    result = effects(rules.assign(submission, now=NOW))
    assert result == rules.Effects(touched_folders=(FIRST,))


def test_circles_among_registered_documents_end() -> None:
    registry = Registered(
        document_entry(OLD), document_entry(APPENDED),
        association(uuids.APND, APPENDED, OLD, entry_uuid=urn(20)),
        association(uuids.APND, OLD, APPENDED, entry_uuid=urn(21)),
    )  # fmt: skip
    assert effects(replacing(), registry).deprecate == (OLD, APPENDED)


def test_two_documents_replaced_at_once() -> None:
    sample = builders.submission(
        document_entry(), document_entry("doc2", unique_id="2.999.10.2"),
        associations=[association(uuids.RPLC, "doc1", OLD), association(uuids.RPLC, "doc2", SIGNATURE)],
    )  # fmt: skip
    assert effects(rules.assign(sample, now=NOW)).replaced == (OLD, SIGNATURE)
