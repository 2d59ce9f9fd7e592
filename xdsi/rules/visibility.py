"""Which of the objects that a query found the asker may see, from the decisions that were made.

docs/policy.md section 6 is the normative text; ITI TF-2 3.18.4.1.3.5.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from xdsi.domain.stored_query import Evidence, FoundObject, ObjectKind, StoredQuery
from xdsi.spec import uuids

_CONTAINERS = {
    uuids.GET_SUBMISSION_SET_AND_CONTENTS: ObjectKind.SUBMISSION_SET,
    uuids.GET_FOLDER_AND_CONTENTS: ObjectKind.FOLDER,
}
"""queries for what is in objects of a kind"""
_ENDS = {
    uuids.GET_SUBMISSION_SETS: ObjectKind.SUBMISSION_SET,
    uuids.GET_RELATED_DOCUMENTS: ObjectKind.DOCUMENT_ENTRY,
}
"""queries that find objects of a kind as ends of the Associations in their answers"""


def visible(
    query: StoredQuery, found: Sequence[FoundObject], evidence: Evidence, permitted: Collection[str]
) -> list[FoundObject]:
    """What of `found` may be shown, in the same order; `permitted` are the ids of what was decided on and permitted.

    What there is no evidence for is hidden.
    """
    open_to = seen(evidence, permitted)
    shown = [item for item in found if item.id in open_to]
    links = [item for item in shown if item.kind is ObjectKind.ASSOCIATION]
    if query.query_id in _CONTAINERS:
        kind = _CONTAINERS[query.query_id]
        within = {item.id for item in shown if item.kind is kind}
        within |= {id_ for link in links if link.source in within for id_ in (link.id, link.target)}
        return [item for item in shown if item.id in within]
    if query.query_id in _ENDS:
        kind = _ENDS[query.query_id]
        ends = {end for link in links for end in (link.source, link.target)}
        return [item for item in shown if item.kind is not kind or item.id in ends]
    if query.query_id == uuids.GET_FOLDERS_FOR_DOCUMENT:
        named = _named_entries(query, evidence, permitted)
        return [item for item in shown if not named.isdisjoint(evidence.members.get(item.id, ()))]
    return shown


def seen(evidence: Evidence, permitted: Collection[str]) -> set[str]:
    """The ids of all that is visible where `permitted` are."""
    found = set(permitted)
    found.update([id_ for id_, members in evidence.members.items() if not found.isdisjoint(members)])
    waiting = evidence.ends
    # An Association may be an end of another.
    while opened := [id_ for id_, (source, target) in waiting.items() if source in found and target in found]:
        found.update(opened)
        waiting = {id_: ends for id_, ends in waiting.items() if id_ not in found}
    return found


def _named_entries(query: StoredQuery, evidence: Evidence, permitted: Collection[str]) -> set[str]:
    """The permitted DocumentEntries by whose ids a query asks."""
    ids = set(query.values("$XDSDocumentEntryEntryUUID"))
    unique_ids = set(query.values("$XDSDocumentEntryUniqueId"))
    return {
        id_
        for id_, resource in evidence.resources.items()
        if id_ in permitted and (id_ in ids or resource.unique_id in unique_ids)
    }
