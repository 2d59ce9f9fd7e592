"""Queries that begin at a patient, or at attributes of many patients' objects.

ITI TF-2 3.18.4.1.2.3.7.1 to .4 and .14; 3.51.4.1.2.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BindParameter, bindparam, select, union_all
from sqlalchemy.engine import Row

from xdsi.domain.stored_query import FoundObject, StoredQuery
from xdsi.storage.stored_queries.finder import Finder, level_of, of_type
from xdsi.storage.stored_queries.selections import ASSOCIATIONS, ENTRIES, FOLDERS, MOST, SUBMISSION_SETS, Level
from xdsi.storage.tables import document_entry, folder, identifier


def find_documents(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """FindDocuments, FindDocumentsByReferenceId and FindDocumentsExclude: DocumentEntries of a patient."""
    keys = finder.keys_of(query.values("$XDSDocumentEntryPatientId"))
    return finder.found(ENTRIES, finder.of_patients(ENTRIES, of_type(query), keys, level_of(query)))


def find_documents_for_multiple_patients(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """FindDocumentsForMultiplePatients: DocumentEntries of these patients, or of all."""
    if query.values("$XDSDocumentEntryPatientId"):
        return find_documents(query, finder)
    return finder.found(ENTRIES, finder.everywhere(ENTRIES, of_type(query), level_of(query)))


def find_submission_sets(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """FindSubmissionSets: SubmissionSets of a patient."""
    keys = finder.keys_of(query.values("$XDSSubmissionSetPatientId"))
    return finder.found(SUBMISSION_SETS, finder.of_patients(SUBMISSION_SETS, query, keys, level_of(query)))


def find_folders(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """FindFolders: Folders of a patient; the status parameter alone decides about Deprecated ones."""
    keys = finder.keys_of(query.values("$XDSFolderPatientId"))
    level = level_of(query, Level.ONE_ANY_STATUS)
    return finder.found(FOLDERS, finder.of_patients(FOLDERS, query, keys, level))


def find_folders_for_multiple_patients(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """FindFoldersForMultiplePatients: Folders of these patients, or of all."""
    if query.values("$XDSFolderPatientId"):
        return find_folders(query, finder)
    return finder.found(FOLDERS, finder.everywhere(FOLDERS, query, level_of(query, Level.ONE_ANY_STATUS)))


def get_all(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """GetAll: what a patient has, with every Association that touches it."""
    keys = finder.keys_of(query.values("$patientId"))
    if not keys:
        return []
    level = level_of(query, Level.ONE_ANY_STATUS)
    sets = finder.found(SUBMISSION_SETS, finder.of_patients(SUBMISSION_SETS, query, keys, level))
    entries = finder.found(ENTRIES, finder.of_patients(ENTRIES, of_type(query), keys, level))
    folders = finder.found(FOLDERS, finder.of_patients(FOLDERS, query, keys, level))
    ids = {one.id for one in (*sets, *entries, *folders)}
    touching = _touching(ids, finder.of_patients(ASSOCIATIONS, query, keys, level))
    foreign = [(row.patient_key, row.object_id) for row in finder.connection.execute(_FOREIGN, {"patients": keys})]
    if foreign:
        touching |= _touching(ids, finder.at(ASSOCIATIONS, query, foreign, level))
    return finder.cut(sets, entries, folders, finder.found(ASSOCIATIONS, list(touching.values())))


def _touching(ids: set[str], rows: Iterable[Row[Any]]) -> dict[str, Row[Any]]:
    found: dict[str, Row[Any]] = {}
    for row in rows:
        if row.source in ids or row.target in ids:
            found[row.id] = row
    return found


_patients: BindParameter[list[int]] = bindparam("patients", expanding=True)
_members = union_all(
    select(document_entry.c.id).where(document_entry.c.patient_key.in_(_patients)),
    select(folder.c.id).where(folder.c.patient_key.in_(_patients)),
).subquery("members")
# Associations that lie with another patient but point at something of this one (submitted by reference).
_FOREIGN = (
    select(identifier.c.patient_key, identifier.c.tie.label("object_id"))
    .join(_members, _members.c.id == identifier.c.value)
    .where(identifier.c.kind == "target")
    .limit(MOST)
)
