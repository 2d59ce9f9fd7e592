"""A small registry that is updated, and requests to update it: each test changes one thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tests import builders
from tests.builders import OTHER_PATIENT, association, document_entry, folder, has_member, submission_set
from tests.rules.registered import Registered
from xdsi.domain.metadata import Association, DocumentEntry, Extra, Folder, Slot
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED


def urn(number: int) -> str:
    return f"urn:uuid:{number:08d}-1111-4222-8333-444455556666"


# A set brought an entry into a folder; another entry is appended to it. There are former and deprecated objects.
SET, ENTRY, CASE, APPENDED, UPDATED, FORMER, GONE, GONE_CASE, DEMAND, STRANGER, STRANGERS = (urn(n) for n in range(11))
SET_ENTRY, SET_CASE, INSIDE, SET_INSIDE, APPENDS, GONE_INSIDE, IN_GONE, FORMER_LINK = (urn(n) for n in range(20, 28))
UNKNOWN = urn(99)

OBJECTS = (
    submission_set(SET, unique_id="2.999.50.1"),
    document_entry(ENTRY, logical_id=ENTRY, version=1, unique_id="2.999.50.2"),
    folder(CASE, logical_id=CASE, version=1, unique_id="2.999.50.3"),
    document_entry(APPENDED, logical_id=APPENDED, version=1, unique_id="2.999.50.4"),
    # the second version of an entry, and the first one
    document_entry(UPDATED, logical_id=FORMER, version=2, unique_id="2.999.50.5"),
    document_entry(FORMER, logical_id=FORMER, version=1, unique_id="2.999.50.5", availability_status=DEPRECATED),
    document_entry(GONE, logical_id=GONE, version=1, unique_id="2.999.50.6", availability_status=DEPRECATED),
    folder(GONE_CASE, logical_id=GONE_CASE, version=1, unique_id="2.999.50.7", availability_status=DEPRECATED),
    builders.on_demand_entry(DEMAND, logical_id=DEMAND, version=1, unique_id="2.999.50.8"),
    document_entry(STRANGER, logical_id=STRANGER, version=1, unique_id="2.999.50.9", patient_id=OTHER_PATIENT),
    folder(STRANGERS, logical_id=STRANGERS, version=1, unique_id="2.999.50.10", patient_id=OTHER_PATIENT),
    has_member(SET, ENTRY, "Original", entry_uuid=SET_ENTRY),
    has_member(SET, CASE, entry_uuid=SET_CASE),
    has_member(CASE, ENTRY, entry_uuid=INSIDE),
    has_member(SET, INSIDE, entry_uuid=SET_INSIDE),
    association(uuids.APND, APPENDED, ENTRY, APPENDS),
    has_member(CASE, GONE, entry_uuid=GONE_INSIDE),
    has_member(GONE_CASE, ENTRY, entry_uuid=IN_GONE),
    association(uuids.APND, FORMER, ENTRY, FORMER_LINK),
)
BY_ID = {one.entry_uuid: one for one in OBJECTS}


def registry(*more: Any, without: Iterable[str] = ()) -> Registered:
    """The registry, with other objects or other forms of those that are there."""
    gone = {*without, *(one.entry_uuid for one in more)}
    return Registered(*(one for one in OBJECTS if one.entry_uuid not in gone), *more)


def new_version(of: str = ENTRY, id_: str = "new", **changes: Any) -> Any:
    """The next version of a registered object."""
    given = {"entry_uuid": id_, "logical_id": _logical_id(of), "version": None, "availability_status": ""}
    return replace(BY_ID[of], **given | changes)  # type: ignore[arg-type]


def _logical_id(of: str) -> str:
    one = BY_ID[of]
    assert isinstance(one, DocumentEntry | Folder)
    return one.logical_id


def with_slots(one: Association, **slots: str | tuple[str, ...]) -> Association:
    """The Association with these slots; a text is one value."""
    values = {name: (value,) if isinstance(value, str) else value for name, value in slots.items()}
    return replace(one, extra=Extra(tuple(Slot(name, given) for name, given in values.items())))


def bound(id_: str = "new", previous: str = "1", status: str = "Original", **slots: Any) -> Association:
    """The HasMember that makes an object a new version."""
    return with_slots(has_member("ss1", id_, status, previous_version=previous, entry_uuid=f"hm-{id_}"), **slots)


def status_of(
    target: str = ENTRY, original: Any = APPROVED, new: Any = DEPRECATED, id_: str = "", source: str = "ss1"
) -> Association:
    """An UpdateAvailabilityStatus."""
    trigger = association(uuids.UPDATE_AVAILABILITY_STATUS, source, target, id_ or f"status-{target}")
    return with_slots(trigger, OriginalStatus=original, NewStatus=new)


def submits(target: str, id_: str = "", source: str = "ss1") -> Association:
    """A SubmitAssociation."""
    return association(uuids.SUBMIT_ASSOCIATION, source, target, id_ or f"submit-{target}")


def update(*objects: Any, **of_set: Any) -> Submission:
    """A request with one SubmissionSet; an object that no HasMember links to it gets a bound one."""
    associations = [one for one in objects if isinstance(one, Association)]
    targets = {one.target for one in associations if one.type == uuids.HAS_MEMBER and one.source == "ss1"}
    items = [one for one in objects if not isinstance(one, Association)]
    folders = tuple(one for one in items if isinstance(one, Folder))
    links = [
        bound(one.entry_uuid, status="" if one in folders else "Original")
        for one in items
        if one.entry_uuid not in targets
    ]
    return Submission(
        (submission_set("ss1", **of_set),),
        tuple(one for one in items if isinstance(one, DocumentEntry)),
        folders,
        (*links, *associations),
    )
