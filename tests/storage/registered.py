"""Submissions with final ids, ready to be stored."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from tests import builders
from xdsi.domain.identifiers import new_entry_uuid
from xdsi.domain.metadata import Association, DocumentEntry, Folder, SubmissionSet
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED

_numbers = count(1)


def entry(**changes: Any) -> DocumentEntry:
    id_ = new_entry_uuid()
    given: dict[str, Any] = {"unique_id": f"2.999.10.{next(_numbers)}", "logical_id": id_, "version": 1}
    given["availability_status"] = APPROVED
    return builders.document_entry(id_, **given | changes)


def folder(**changes: Any) -> Folder:
    id_ = new_entry_uuid()
    given: dict[str, Any] = {
        "unique_id": f"2.999.12.{next(_numbers)}",
        "logical_id": id_,
        "version": 1,
        "availability_status": APPROVED,
        "last_update_time": "20240102030405",
    }
    return builders.folder(id_, **given | changes)


def submission_set(**changes: Any) -> SubmissionSet:
    given = {"unique_id": f"2.999.11.{next(_numbers)}", "availability_status": APPROVED}
    return builders.submission_set(new_entry_uuid(), **given | changes)


def association(type_: str, source: str, target: str, **changes: Any) -> Association:
    return builders.association(type_, source, target, new_entry_uuid(), **{"availability_status": APPROVED} | changes)


def member(source: str, target: str, **changes: Any) -> Association:
    return association(uuids.HAS_MEMBER, source, target, **changes)


def submission(
    *entries: DocumentEntry,
    folders: Iterable[Folder] = (),
    associations: Iterable[Association] = (),
    **changes: Any,
) -> Submission:
    """A SubmissionSet with a HasMember to each entry and folder; `changes` are of the SubmissionSet."""
    own = submission_set(**changes)
    folders = tuple(folders)
    links = (
        *(member(own.entry_uuid, one.entry_uuid, submission_set_status=("Original",)) for one in entries),
        *(member(own.entry_uuid, one.entry_uuid) for one in folders),
    )
    return Submission((own,), entries, folders, (*links, *associations))


def find_documents(patient: str = builders.PATIENT, **more: tuple[tuple[Any, ...], ...]) -> StoredQuery:
    """FindDocuments for a patient, any status; `more` are parameters without their prefix."""
    parameters = {"$XDSDocumentEntryPatientId": ((patient,),), "$XDSDocumentEntryStatus": ((APPROVED, DEPRECATED),)}
    parameters |= {f"$XDSDocumentEntry{name}": groups for name, groups in more.items()}
    return StoredQuery(uuids.FIND_DOCUMENTS, ReturnType.LEAF_CLASS, parameters)


def get_all(patient: str = builders.PATIENT) -> StoredQuery:
    both = ((APPROVED, DEPRECATED),)
    names = ("$XDSDocumentEntryStatus", "$XDSSubmissionSetStatus", "$XDSFolderStatus")
    return StoredQuery(
        uuids.GET_ALL, ReturnType.LEAF_CLASS, {"$patientId": ((patient,),), **dict.fromkeys(names, both)}
    )
