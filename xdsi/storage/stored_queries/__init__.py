"""The stored queries of ITI-18 and ITI-51: one function each, by query id.

ITI TF-2 3.18.4.1.2.3.7, 3.51.4.1.2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from xdsi.domain.stored_query import FoundObject, StoredQuery
from xdsi.spec import uuids
from xdsi.storage.stored_queries import by_attributes, by_id, contents
from xdsi.storage.stored_queries.finder import Finder

QUERIES: Final[Mapping[str, Callable[[StoredQuery, Finder], Sequence[FoundObject]]]] = {
    uuids.FIND_DOCUMENTS: by_attributes.find_documents,
    uuids.FIND_DOCUMENTS_BY_REFERENCE_ID: by_attributes.find_documents,
    uuids.FIND_DOCUMENTS_EXCLUDE: by_attributes.find_documents,
    uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS: by_attributes.find_documents_for_multiple_patients,
    uuids.FIND_SUBMISSION_SETS: by_attributes.find_submission_sets,
    uuids.FIND_FOLDERS: by_attributes.find_folders,
    uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS: by_attributes.find_folders_for_multiple_patients,
    uuids.GET_ALL: by_attributes.get_all,
    uuids.GET_DOCUMENTS: by_id.get_documents,
    uuids.GET_FOLDERS: by_id.get_folders,
    uuids.GET_ASSOCIATIONS: by_id.get_associations,
    uuids.GET_DOCUMENTS_AND_ASSOCIATIONS: by_id.get_documents_and_associations,
    uuids.GET_SUBMISSION_SETS: by_id.get_submission_sets,
    uuids.GET_SUBMISSION_SET_AND_CONTENTS: contents.get_submission_set_and_contents,
    uuids.GET_FOLDER_AND_CONTENTS: contents.get_folder_and_contents,
    uuids.GET_FOLDERS_FOR_DOCUMENT: by_id.get_folders_for_document,
    uuids.GET_RELATED_DOCUMENTS: by_id.get_related_documents,
}


def find(query: StoredQuery, finder: Finder) -> Sequence[FoundObject]:
    """What a query selects, each object once; at most `finder.MOST` objects. KeyError for an unknown query id."""
    return QUERIES[query.query_id](query, finder)
