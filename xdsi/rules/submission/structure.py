"""What a Submission Request is made of, judged by the request and the classes of the objects it names.

ITI TF-3 4.1.4 (submission request), 4.2.1.5, 4.2.2 (associations); ITI TF-2 3.42.4.1.3.3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject
from xdsi.domain.outcome import Problem
from xdsi.rules.submission.context import Context, name_of, problem, repeated
from xdsi.spec import uuids
from xdsi.spec.optionality import Column

METADATA_ERROR = "XDSRegistryMetadataError"
ORIGINAL, REFERENCE = "Original", "Reference"
OBJECTS = "RegistryObjectList"
"""the location of what no single object is the cause of"""
_TYPES = uuids.RELATIONSHIPS | {uuids.HAS_MEMBER}


def check(context: Context, column: Column) -> Iterator[Problem]:
    """Number and kind of objects, and how the SubmissionSet is linked to them."""
    yield from check_set(context)
    yield from _check_content(context)
    yield from _check_object_types(context, column)
    yield from check_ids(context)
    yield from _check_first_versions(context)
    for association in context.submission.associations:
        yield from check_form(context, association, _TYPES)
        yield from _check_ends(context, association)
        yield from check_status(context, association)
    yield from _check_linkage(context)


def check_set(context: Context) -> Iterator[Problem]:
    """There is one SubmissionSet."""
    count = len(context.submission.submission_sets)
    if count != 1:
        text = f"the submission has {count} SubmissionSets; it must have exactly one"
        yield Problem(METADATA_ERROR, text, location=OBJECTS, rule="SUBMISSION.set")


def _check_content(context: Context) -> Iterator[Problem]:
    submission = context.submission
    if not (submission.document_entries or submission.folders or any(context.members_of_folders())):
        text = "the submission has no DocumentEntry, no Folder and no Folder membership; it must have at least one"
        yield Problem(METADATA_ERROR, text, location=OBJECTS, rule="SUBMISSION.empty")


def _check_object_types(context: Context, column: Column) -> Iterator[Problem]:
    entries = context.submission.document_entries
    on_demand = column is Column.ON_DEMAND
    expected = uuids.ON_DEMAND if on_demand else uuids.STABLE
    for entry in entries:
        if entry.object_type and entry.object_type != expected:
            kind = "On-Demand" if on_demand else "Stable"
            text = f"objectType of {entry.entry_uuid} is {entry.object_type}; expected {expected} ({kind})"
            yield problem(METADATA_ERROR, entry, "objectType.kind", text)
    if on_demand and not entries:
        text = "the submission has no On-Demand DocumentEntry; it must have at least one"
        yield Problem(METADATA_ERROR, text, location=OBJECTS, rule="SUBMISSION.on-demand")


def check_ids(context: Context) -> Iterator[Problem]:
    """Each object has an id of its own."""
    for id_, count in repeated([one.entry_uuid for one in context.submission.objects]).items():
        text = f"{count} objects have the id {id_}"
        yield Problem(METADATA_ERROR, text, location=id_, rule="SUBMISSION.id.twice")


def _check_first_versions(context: Context) -> Iterator[Problem]:
    for entry in context.members:
        if entry.logical_id and entry.logical_id != entry.entry_uuid:
            text = f"logicalID (lid) of {entry.entry_uuid} is {entry.logical_id}; a first version has its own id"
            yield problem(METADATA_ERROR, entry, "logicalID.first", text)


def check_form(context: Context, association: Association, types: Collection[str]) -> Iterator[Problem]:
    """An Association has a type that may be used here and two ends, of which none is the SubmissionSet as target."""
    id_ = association.entry_uuid
    for value, name in (
        (association.type, "associationType"),
        (association.source, "sourceObject"),
        (association.target, "targetObject"),
    ):
        if not value:
            yield problem(METADATA_ERROR, association, f"{name}.required", f"{name} of {id_} is missing")
    if association.type and association.type not in types:
        text = f"associationType of {id_} is {association.type}, which is not one that a submission may use"
        yield problem(METADATA_ERROR, association, "associationType", text)
    if association.source and association.source == association.target:
        yield problem(METADATA_ERROR, association, "self", f"{id_} joins {association.source} to itself")
    if context.is_own_set(association.target):
        text = f"{id_} has the SubmissionSet as its target; a SubmissionSet is never a target"
        yield problem(METADATA_ERROR, association, "target.set", text)
    if association.type == uuids.HAS_MEMBER and association.documentation is not None:
        text = f"{id_} is a HasMember with an association documentation, which only relationships may have"
        yield problem(METADATA_ERROR, association, "documentation", text)


def _check_ends(context: Context, association: Association) -> Iterator[Problem]:
    id_ = association.entry_uuid
    if association.type == uuids.HAS_MEMBER:
        yield from _check_has_member(context, association)
    elif association.type in _TYPES and context.is_own_set(association.source):
        text = f"{id_} is a {name_of(association.type)} from the SubmissionSet, which has only HasMember associations"
        yield problem(METADATA_ERROR, association, "source.set", text)


def _check_has_member(context: Context, association: Association) -> Iterator[Problem]:
    source, target = context.find(association.source), context.find(association.target)
    id_ = association.entry_uuid
    if isinstance(source, Folder):
        if target is not None and not isinstance(target, DocumentEntry):
            text = f"{id_} puts {_kind(target)} {association.target} into a Folder, which holds DocumentEntries only"
            yield problem(METADATA_ERROR, association, "folder.member", text)
    elif context.is_own_set(association.source):
        if isinstance(target, Association) and not _is_folder_membership(context, target):
            text = (
                f"{id_} links the SubmissionSet to association {association.target}, which is not a HasMember of a"
                " Folder in this submission"
            )
            yield problem(METADATA_ERROR, association, "set.member", text)
    elif source is not None:
        kind = f"{_kind(source)} {association.source}"
        text = f"{id_} is a HasMember from {kind}; expected the SubmissionSet of this submission, or a Folder"
        yield problem(METADATA_ERROR, association, "source.kind", text)


def _is_folder_membership(context: Context, association: Association) -> bool:
    return (
        association.type == uuids.HAS_MEMBER
        and context.own.get(association.entry_uuid) is association
        and not context.is_own_set(association.source)
    )


def check_status(context: Context, association: Association) -> Iterator[Problem]:
    """SubmissionSetStatus: by value or by reference (4.2.2.1.2)."""
    values, id_ = association.submission_set_status, association.entry_uuid
    linked = association.type == uuids.HAS_MEMBER and context.is_own_set(association.source)
    entry = context.find(association.target)
    if not (linked and isinstance(entry, DocumentEntry)):
        unknown = set(values) - {ORIGINAL, REFERENCE}
        if unknown:
            text = f"SubmissionSetStatus of {id_} is {', '.join(sorted(unknown))}; expected {ORIGINAL} or {REFERENCE}"
            yield problem(METADATA_ERROR, association, "SubmissionSetStatus.value", text)
        return
    expected = ORIGINAL if association.target in context.own else REFERENCE
    if len(values) != 1:
        text = f"SubmissionSetStatus of {id_} has {len(values)} values; expected one, {expected}"
        yield problem(METADATA_ERROR, association, "SubmissionSetStatus.count", text)
    elif values[0] != expected:
        where = "in this submission" if expected == ORIGINAL else "not in this submission"
        text = f"SubmissionSetStatus of {id_} is {values[0]!r}; its DocumentEntry is {where}: expected {expected}"
        yield problem(METADATA_ERROR, association, "SubmissionSetStatus.value", text)


def _check_linkage(context: Context) -> Iterator[Problem]:
    submission = context.submission
    linked: dict[str, int] = {}
    for association in submission.associations:
        if association.type == uuids.HAS_MEMBER and context.is_own_set(association.source):
            linked[association.target] = linked.get(association.target, 0) + 1
    for one in context.members:
        count = linked.get(one.entry_uuid, 0)
        if count != 1:
            number = count or "no"
            text = (
                f"{_kind(one)} {one.entry_uuid} has {number} HasMember associations from the SubmissionSet; it has one"
            )
            yield problem(METADATA_ERROR, one, "linked", text)
    for association in submission.associations:
        if association.type != uuids.HAS_MEMBER or not isinstance(context.find(association.source), Folder):
            continue
        count = linked.get(association.entry_uuid, 0)
        if count != 1:
            text = (
                f"the HasMember {association.entry_uuid} of Folder {association.source} has {count} HasMember"
                " associations from the SubmissionSet; it must have exactly one"
            )
            yield problem(METADATA_ERROR, association, "linked", text)


def _kind(registry_object: RegistryObject) -> str:
    return type(registry_object).__name__
