"""What a restricted update may change: some attributes of DocumentEntries, and nothing else.

Restricted Metadata Update 3.92.4.1. What belongs to the document, to its place or to what it is known by is protected;
creationTime and size describe it, as others do, and may be corrected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from xdsi.domain.metadata import DocumentEntry, RegistryObject
from xdsi.domain.outcome import Problem
from xdsi.domain.submission import Submission
from xdsi.rules.formats import AVAILABILITIES
from xdsi.rules.submission.context import name_of, problem
from xdsi.rules.update.codes import ANNOTATION, IDENTIFIER, OBJECT_TYPE, RECONCILIATION, UNMODIFIABLE
from xdsi.rules.update.context import Context
from xdsi.rules.update.operations import NewVersion, Operations
from xdsi.spec import uuids

PROTECTED: Final = {
    "documentAvailability": "document_availability",
    "hash": "hash",
    "repositoryUniqueId": "repository_unique_id",
    "sourcePatientId": "source_patient_id",
}


def prepared(submission: Submission) -> Submission:
    """The part that such a request may have; for the rest there are findings."""
    kept, findings = [], []
    entries = {one.entry_uuid for one in submission.document_entries}
    sets = {one.entry_uuid for one in submission.submission_sets}
    for one in submission.associations:
        if one.type == uuids.HAS_MEMBER and one.source in sets and one.target in entries:
            kept.append(one)
        else:
            text = f"{name_of(one.type)} {one.entry_uuid}: a restricted update changes DocumentEntries only"
            findings.append(problem(UNMODIFIABLE, one, "restricted", text))
    for folder in submission.folders:
        text = f"Folder {folder.entry_uuid}: a restricted update changes DocumentEntries only"
        findings.append(problem(OBJECT_TYPE, folder, "restricted", text))
    return replace(
        submission,
        folders=(),
        associations=tuple(kept),
        findings=(*submission.findings, *findings),
    )


def named(context: Context) -> Context:
    """An entry without logicalID is the one with its uniqueId, where there is one (the logicalID is optional here)."""
    entries = tuple(
        replace(one, logical_id=logical_ids[0])
        if not one.logical_id and len(logical_ids := _with_unique_id(context, one)) == 1
        else one
        for one in context.submission.document_entries
    )
    submission = replace(context.submission, document_entries=entries)
    return replace(context, submission=submission, own={**context.own, **{one.entry_uuid: one for one in entries}})


def _with_unique_id(context: Context, entry: DocumentEntry) -> list[str]:
    """The logicalIDs under which a uniqueId is registered."""
    return [lid for lid, chain in context.versions.items() if entry.unique_id == chain[-1].unique_id != ""]


def check(context: Context, operations: Operations, home: str) -> Iterator[Problem]:
    """Every attribute that changes and may not; `home` is this community's id, which answers give to entries."""
    for version in operations.versions:
        if version.link is not None and not version.propagates:
            text = f"AssociationPropagation of {version.item.entry_uuid} is no; a restricted update always propagates"
            yield problem(ANNOTATION, version.item, "AssociationPropagation.no", text)
        yield from _check_entry(context, version, home)


def _check_entry(context: Context, version: NewVersion, home: str) -> Iterator[Problem]:
    item, current = version.item, version.current
    if not isinstance(item, DocumentEntry):
        return
    if current is None:
        if _with_unique_id(context, item):
            text = f"uniqueId {item.unique_id} of {item.entry_uuid} is registered with another logicalID"
            yield problem(IDENTIFIER, item, "logicalID.changed", text)
        return
    if not isinstance(current, DocumentEntry):
        return
    if item.patient_id != current.patient_id:
        text = f"patientId of {item.entry_uuid} is {item.patient_id}; it was {current.patient_id}"
        yield problem(RECONCILIATION, item, "patientId.changed", text)
    if item.home_community_id not in {"", home, current.home_community_id}:
        text = f"homeCommunityId of {item.entry_uuid} is {item.home_community_id}, a community that is not served here"
        yield problem("XDSUnknownCommunity", item, "homeCommunityId.unknown", text)
    for name, attribute in PROTECTED.items():
        given, was = _value(item, attribute), _value(current, attribute)
        if given != was:
            text = f"{name} of {item.entry_uuid} is {given or 'absent'}; it was {was or 'absent'}, and may not change"
            yield problem(UNMODIFIABLE, item, f"{name}.changed", text)


def _value(entry: RegistryObject, attribute: str) -> str:
    value: str = getattr(entry, attribute)
    if attribute == "hash":
        return value.lower()
    return (value or AVAILABILITIES[0]) if attribute == "document_availability" else value
