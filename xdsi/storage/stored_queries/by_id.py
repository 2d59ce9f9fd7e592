"""Queries that begin at ids of objects.

ITI TF-2 3.18.4.1.2.3.7.5 to .9, .12 and .13.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.engine import Row

from xdsi.domain.stored_query import FoundObject, StoredQuery
from xdsi.spec.uuids import HAS_MEMBER
from xdsi.storage.routes import IdKind
from xdsi.storage.stored_queries.finder import Finder, Place, level_of, of_type
from xdsi.storage.stored_queries.selections import (
    ASSOCIATIONS,
    ENTRIES,
    FOLDERS,
    SUBMISSION_SETS,
    Level,
    Scope,
    Selection,
)
from xdsi.storage.wording import LETTERS


def named(selection: Selection, prefix: str, query: StoredQuery, finder: Finder, level: Level) -> list[Row[Any]]:
    """Objects by `...EntryUUID`, `...UniqueId` or `...LogicalID`, whichever the query has."""
    kinds = {
        f"${prefix}EntryUUID": (IdKind.UUID,),
        f"${prefix}UniqueId": (IdKind.UNIQUE,),
        f"${prefix}LogicalID": (IdKind.UUID, IdKind.LOGICAL),
    }
    for parameter, wanted in kinds.items():
        values = [str(value) for value in query.values(parameter)]
        if values:
            routes = finder.routes.find(values, *wanted)
            letter = LETTERS[selection.kind]
            rows = finder.at(selection, query, (r.place for r in routes if r.letter == letter), level)
            if IdKind.LOGICAL in wanted:
                logical = set(values)
                rows = [row for row in rows if row.logical_id in logical]
            return rows
    return []


def touching(
    ids: Iterable[str], query: StoredQuery, finder: Finder, level: Level, *, targets_only: bool = False
) -> list[Row[Any]]:
    """Associations with an end among the ids, in a stable order."""
    routes = finder.routes.find(ids, IdKind.UUID, IdKind.TARGET)
    at_target = finder.at(ASSOCIATIONS, query, ((r.patient_key, r.value) for r in routes), level, Scope.TARGETS)
    found = {row.id: row for row in at_target}
    # An association lies with its source; the identifier table knows the strangers' that point here.
    if not targets_only:
        sources = ((r.patient_key, r.value) for r in routes if r.kind == IdKind.UUID)
        found.update((row.id, row) for row in finder.at(ASSOCIATIONS, query, sources, level, Scope.SOURCES))
    return [found[id_] for id_ in sorted(found)]


def get_documents(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """GetDocuments: DocumentEntries by their ids, Stable and On-Demand."""
    return finder.found(ENTRIES, named(ENTRIES, "XDSDocumentEntry", query, finder, level_of(query)))


def get_folders(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """GetFolders: Folders by their ids."""
    return finder.found(FOLDERS, named(FOLDERS, "XDSFolder", query, finder, level_of(query)))


def get_associations(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """GetAssociations: Associations that touch the objects."""
    rows = touching(map(str, query.values("$uuid")), query, finder, level_of(query))
    return finder.cut(finder.found(ASSOCIATIONS, rows))


def get_documents_and_associations(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """GetDocumentsAndAssociations: DocumentEntries by their ids, and the Associations that touch them."""
    level = level_of(query)
    entries = finder.found(ENTRIES, named(ENTRIES, "XDSDocumentEntry", query, finder, level))
    rows = touching([one.id for one in entries], query, finder, level)
    return finder.cut(entries, finder.found(ASSOCIATIONS, rows))


def get_submission_sets(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """GetSubmissionSets: the SubmissionSets that the objects are members of, with the Associations that say so."""
    level = level_of(query)
    links = [
        row
        for row in touching(map(str, query.values("$uuid")), query, finder, level, targets_only=True)
        if row.type == HAS_MEMBER and row.source_kind == "S"
    ]
    sets = finder.at(SUBMISSION_SETS, query, ((row.patient_key, row.source) for row in links), level)
    return finder.cut(finder.found(SUBMISSION_SETS, sets), finder.found(ASSOCIATIONS, links))


def get_folders_for_document(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """GetFoldersForDocument: the Folders that contain the DocumentEntry."""
    level = level_of(query)
    entries = named(ENTRIES, "XDSDocumentEntry", query, finder, level)
    places: list[Place] = [
        (row.patient_key, row.source)
        for row in touching([row.id for row in entries], query, finder, level, targets_only=True)
        if row.type == HAS_MEMBER and row.source_kind == "F"
    ]
    return finder.found(FOLDERS, finder.at(FOLDERS, query, places, level))


def get_related_documents(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """GetRelatedDocuments: Associations of the given types between the DocumentEntry and others, with both ends.

    An Association is left out where an end is not of a wanted DocumentEntryType or is hidden by MetadataLevel.
    """
    level = level_of(query)
    given = named(ENTRIES, "XDSDocumentEntry", query, finder, level)
    links = [
        row
        for row in touching([row.id for row in given], query, finder, level)
        if row.source_kind == "D" and row.target_kind == "D"
    ]
    places: list[Place] = [(row.patient_key, row.source) for row in links]
    places += [(row.target_patient_key, row.target) for row in links]
    rows = finder.at(ENTRIES, of_type(query), places, level)
    ids = {row.id for row in rows}
    links = [row for row in links if row.source in ids and row.target in ids]
    ends = {row.source for row in links} | {row.target for row in links}
    entries = finder.found(ENTRIES, [row for row in rows if row.id in ends])
    return finder.cut(entries, finder.found(ASSOCIATIONS, links))
