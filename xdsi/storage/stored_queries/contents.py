"""Queries for what a SubmissionSet or a Folder contains.

ITI TF-2 3.18.4.1.2.3.7.10 and .11: an Association is returned only when both its ends are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy.engine import Row

from xdsi.domain.stored_query import FoundObject, StoredQuery
from xdsi.spec.uuids import HAS_MEMBER
from xdsi.storage.stored_queries.by_id import named
from xdsi.storage.stored_queries.finder import Finder, Place, level_of, of_type
from xdsi.storage.stored_queries.selections import ASSOCIATIONS, ENTRIES, FOLDERS, SUBMISSION_SETS, Level, Scope


def get_submission_set_and_contents(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """GetSubmissionSetAndContents: the SubmissionSet, its members as far as they pass, and what links them."""
    level = level_of(query)
    sets = named(SUBMISSION_SETS, "XDSSubmissionSet", query, finder, level)
    links = _members(sets, query, finder, level)
    entries = finder.at(ENTRIES, of_type(query), _targets(links, "D"), level)
    folders = finder.at(FOLDERS, query, _targets(links, "F"), level)
    present = {row.id for row in (*sets, *entries, *folders)}
    # A member Association goes first, then the link to it.
    associations = [
        row
        for row in finder.at(ASSOCIATIONS, query, _targets(links, "A"), level)
        if row.type == HAS_MEMBER and row.source in present and row.target in present
    ]
    present.update(row.id for row in associations)
    return finder.cut(
        finder.found(SUBMISSION_SETS, sets),
        finder.found(ENTRIES, entries),
        finder.found(FOLDERS, folders),
        finder.found(ASSOCIATIONS, [*_kept(links, present), *associations]),
    )


def get_folder_and_contents(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """GetFolderAndContents: the Folder, its DocumentEntries as far as they pass, and what links them."""
    level = level_of(query)
    folders = named(FOLDERS, "XDSFolder", query, finder, level)
    links = _members(folders, query, finder, level)
    entries = finder.at(ENTRIES, of_type(query), _targets(links, "D"), level)
    present = {row.id for row in (*folders, *entries)}
    return finder.cut(
        finder.found(FOLDERS, folders),
        finder.found(ENTRIES, entries),
        finder.found(ASSOCIATIONS, _kept(links, present)),
    )


def _members(containers: Iterable[Row[Any]], query: StoredQuery, finder: Finder, level: Level) -> list[Row[Any]]:
    places = ((row.patient_key, row.id) for row in containers)
    return [row for row in finder.at(ASSOCIATIONS, query, places, level, Scope.SOURCES) if row.type == HAS_MEMBER]


def _targets(links: Iterable[Row[Any]], letter: str) -> list[Place]:
    return [(row.target_patient_key, row.target) for row in links if row.target_kind == letter]


def _kept(links: Iterable[Row[Any]], present: Collection[str]) -> list[Row[Any]]:
    return [row for row in links if row.target in present]
