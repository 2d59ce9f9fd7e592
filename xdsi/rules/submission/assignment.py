"""What a registry sets on a submission it accepts, and what else changes with it.

ITI TF-2 3.42.4.1.3.3.5 to .7; ITI TF-3 4.2.2.2.3 (replacement), 4.2.3.4.6 (lastUpdateTime).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xdsi.domain.identifiers import is_entry_uuid, new_entry_uuid
from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject, SubmissionSet, with_changes
from xdsi.domain.outcome import Problem
from xdsi.domain.registration import RegisterPorts, Registration
from xdsi.domain.submission import Submission
from xdsi.rules.submission.context import Context, Facts
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED

_CARRIED = (uuids.XFRM, uuids.APND)


def assign(submission: Submission, *, new_uuid: Callable[[], str] = new_entry_uuid, now: str) -> Submission:
    """The submission as it is registered: UUIDs for symbolic ids, alike everywhere, first version, Approved.

    UUIDs that were submitted stay. `now` is DTM text to the second, UTC.
    """
    ids: dict[str, str] = {}

    def known(id_: str) -> str:
        if is_entry_uuid(id_):
            return id_
        if id_ not in ids:
            ids[id_] = new_uuid()
        return ids[id_]

    def own(id_: str) -> str:
        return id_ if is_entry_uuid(id_) else new_uuid()

    def composed(one: RegistryObject) -> dict[str, Any]:
        """Sub-elements with ids of their own, where they have none yet."""
        changes: dict[str, Any] = {"entry_uuid": known(one.entry_uuid), "availability_status": APPROVED}
        extra = one.extra
        if extra.classifications or extra.identifiers:
            classifications = tuple(replace(c, id=own(c.id)) for c in extra.classifications)
            identifiers = tuple(replace(i, id=own(i.id)) for i in extra.identifiers)
            changes["extra"] = replace(extra, classifications=classifications, identifiers=identifiers)
        if isinstance(one, DocumentEntry | SubmissionSet):
            authors = one.authors
            if not all(is_entry_uuid(author.id) for author in authors):
                changes["authors"] = tuple(replace(author, id=own(author.id)) for author in authors)
        if isinstance(one, DocumentEntry | Folder):
            changes |= {"logical_id": changes["entry_uuid"], "version": 1}
        return changes

    return Submission(
        submission_sets=tuple([with_changes(one, **composed(one)) for one in submission.submission_sets]),
        document_entries=tuple([with_changes(one, **composed(one)) for one in submission.document_entries]),
        folders=tuple([with_changes(one, **composed(one), last_update_time=now) for one in submission.folders]),
        associations=tuple(
            [
                with_changes(one, **composed(one), source=known(one.source), target=known(one.target))
                for one in submission.associations
            ]
        ),
        findings=submission.findings,
    )


@dataclass(frozen=True, slots=True)
class Effects:
    """What changes in the registry beside the new objects."""

    replaced: tuple[str, ...] = ()
    """entries that must still be Approved when they are deprecated"""
    deprecate: tuple[str, ...] = ()
    """all entries to deprecate: the replaced ones, their transformations and addenda"""
    associations: tuple[Association, ...] = ()
    """generated: the new document in the folders of the old one, linked from the SubmissionSet"""
    touched_folders: tuple[str, ...] = ()
    """registered folders that receive a document"""


def effects(submission: Submission, session: Facts, *, new_uuid: Callable[[], str] = new_entry_uuid) -> Effects:
    """What an accepted submission does to others; `submission` has its final ids."""
    context = Context.of(submission, session, accepted=True)
    members = {(folder.entry_uuid, entry.entry_uuid) for _, folder, entry in context.members_of_folders()}
    touched = {folder: None for folder, _ in members if folder in context.registered}
    generated: list[Association] = []
    replaced: dict[str, None] = {}
    for _, new, old in context.replacements():
        replaced[old.entry_uuid] = None
        for folder in session.folders_of(old.entry_uuid):
            touched[folder.entry_uuid] = None
            if (folder.entry_uuid, new.entry_uuid) not in members:
                members.add((folder.entry_uuid, new.entry_uuid))
                generated.extend(_membership(submission, folder.entry_uuid, new.entry_uuid, new_uuid))
    return Effects(
        replaced=tuple(replaced),
        deprecate=_with_descendants(tuple(replaced), session),
        associations=tuple(generated),
        touched_folders=tuple(sorted(touched)),
    )


def registration(submission: Submission, session: Facts, ports: RegisterPorts) -> Registration:
    """Everything that registering an accepted submission changes."""
    now = ports.now()
    submitted = assign(submission, new_uuid=ports.new_uuid, now=now)
    found = effects(submitted, session, new_uuid=ports.new_uuid)
    too_late = {
        association.target: Problem(
            "XDSRegistryDeprecatedDocumentError",
            f"{association.target} was replaced by another submission",
            location=association.entry_uuid,
            rule="ASSOC.target.deprecated",
        )
        for association in submitted.associations
        if association.type in uuids.REPLACEMENTS
    }
    if found.associations:
        submitted = replace(submitted, associations=(*submitted.associations, *found.associations))
    return Registration(
        submission=submitted,
        now=now,
        deprecate=found.deprecate,
        replaced=too_late,
        touched_folders=found.touched_folders,
    )


def _membership(
    submission: Submission, folder: str, entry: str, new_uuid: Callable[[], str]
) -> tuple[Association, Association]:
    member = has_member(new_uuid(), folder, entry)
    return member, has_member(new_uuid(), submission.submission_set.entry_uuid, member.entry_uuid)


def has_member(id_: str, source: str, target: str) -> Association:
    """A HasMember that the registry makes."""
    return Association(
        entry_uuid=id_, type=uuids.HAS_MEMBER, source=source, target=target, availability_status=APPROVED
    )


def _with_descendants(replaced: Sequence[str], session: Facts) -> tuple[str, ...]:
    """The entries with everything that transforms or appends to them, to any depth."""
    found = dict.fromkeys(replaced)
    fresh = list(found)
    while fresh:
        related = session.related_to(fresh, _CARRIED)
        fresh = [id_ for id_ in dict.fromkeys(one.source for one in related) if id_ not in found]
        found.update(dict.fromkeys(fresh))
    return tuple(found)
