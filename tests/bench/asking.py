"""One message of each stored query for patients of a population, and what it takes until it is answered."""

from __future__ import annotations

import http.client
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.bench import population
from xdsi.domain.codes import Code
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.rules import stored_query
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.storage import lists
from xdsi.storage.tables import metadata
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti51_multi_patient_stored_query as iti51
from xdsi.wire import soap
from xdsi.wire.message import Packaging

PATH = "/services/registry"
TYPE = "application/soap+xml; charset=UTF-8"
FEWEST, MOST = 10, 14
"""entries of the patients that are asked for, so that answers are of one size"""
ASKED = 60
_WITH_FOLDER = 12
_BOTH = ((APPROVED, DEPRECATED),)
_ENTRY = "$XDSDocumentEntry"


@dataclass
class Sample:
    """Patients of a population with the ids of what they have."""

    patients: list[population.Patient] = field(default_factory=list)
    with_folder: list[population.Patient] = field(default_factory=list)


def sample(entries: int, seed: int) -> Sample:
    """Patients with a usual number of entries, from all over the population."""
    counts = population.sizes(entries, seed)
    fitting = [number for number, count in enumerate(counts, 1) if FEWEST <= count <= MOST and number % 100]
    chosen = Sample()
    step = max(1, len(fitting) // ASKED)
    for number in fitting[::step][:ASKED]:
        chosen.patients.append(next(population.patients([counts[number - 1]], seed, first=number)))
    for number in fitting:
        if len(chosen.with_folder) == _WITH_FOLDER:
            break
        one = next(population.patients([counts[number - 1]], seed, first=number))
        if one.rows["folder"]:
            chosen.with_folder.append(one)
    return chosen


def queries(chosen: Sample) -> Mapping[str, list[StoredQuery]]:
    """By name: each stored query, for one patient or object after the other."""
    found: dict[str, list[StoredQuery]] = {}

    def add(name: str, query_id: str, **parameters: Any) -> None:
        given = {key if key.startswith("$") else _ENTRY + key: groups for key, groups in parameters.items()}
        found.setdefault(name, []).append(StoredQuery(query_id, ReturnType.LEAF_CLASS, given))

    status = {"Status": ((APPROVED,),)}
    for at, one in enumerate(chosen.patients):
        cx = population.cx(one.number)
        ten = tuple(population.cx(other.number) for other in (chosen.patients * 2)[at : at + 10])
        entry = _values(one, "document_entry", "id")[-1]
        patient = {"PatientId": ((cx,),)}
        add("FindDocuments", uuids.FIND_DOCUMENTS, **patient, **status)
        add(
            "FindDocumentsExclude",
            uuids.FIND_DOCUMENTS_EXCLUDE,
            **patient,
            **status,
            ClassCodeExclude=((Code("IMAGES", "2.999.20"),),),
        )
        references = [found for kept in _values(one, "document_entry", "reference_ids") for found in lists.read(kept)]
        reference = references[0] if references else "none"
        add("FindDocumentsByReferenceId", uuids.FIND_DOCUMENTS_BY_REFERENCE_ID, **patient, **status,
            ReferenceIdList=((reference,),))  # fmt: skip
        add("FindDocumentsForMultiplePatients", uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS, PatientId=(ten,), **status)
        folders = {"$XDSFolderPatientId": (ten,), "$XDSFolderStatus": ((APPROVED,),)}
        add("FindFoldersForMultiplePatients", uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS, **folders)
        sets = {"$XDSSubmissionSetPatientId": ((cx,),), "$XDSSubmissionSetStatus": ((APPROVED,),)}
        add("FindSubmissionSets", uuids.FIND_SUBMISSION_SETS, **sets)
        everything = dict.fromkeys((_ENTRY + "Status", "$XDSSubmissionSetStatus", "$XDSFolderStatus"), _BOTH)
        add("GetAll", uuids.GET_ALL, **{"$patientId": ((cx,),)}, **everything)
        add("GetDocuments", uuids.GET_DOCUMENTS, EntryUUID=((entry,),))
        add("GetAssociations", uuids.GET_ASSOCIATIONS, **{"$uuid": ((entry,),)})
        add("GetDocumentsAndAssociations", uuids.GET_DOCUMENTS_AND_ASSOCIATIONS, EntryUUID=((entry,),))
        add("GetSubmissionSets", uuids.GET_SUBMISSION_SETS, **{"$uuid": ((entry,),)})
        set_id = _values(one, "submission_set", "id")[0]
        add("GetSubmissionSetAndContents", uuids.GET_SUBMISSION_SET_AND_CONTENTS,
            **{"$XDSSubmissionSetEntryUUID": ((set_id,),)})  # fmt: skip
        add("GetRelatedDocuments", uuids.GET_RELATED_DOCUMENTS, EntryUUID=((entry,),),
            **{"$AssociationTypes": ((uuids.RPLC,),)})  # fmt: skip
    for one in chosen.with_folder:
        folder = _values(one, "folder", "id")[0]
        ends = zip(_values(one, "association", "source"), _values(one, "association", "target"), strict=True)
        member = next(target for source, target in ends if source == folder)
        cx = population.cx(one.number)
        add("FindFolders", uuids.FIND_FOLDERS, **{"$XDSFolderPatientId": ((cx,),), "$XDSFolderStatus": ((APPROVED,),)})
        add("GetFolders", uuids.GET_FOLDERS, **{"$XDSFolderEntryUUID": ((folder,),)})
        add("GetFolderAndContents", uuids.GET_FOLDER_AND_CONTENTS, **{"$XDSFolderEntryUUID": ((folder,),)})
        add("GetFoldersForDocument", uuids.GET_FOLDERS_FOR_DOCUMENT, EntryUUID=((member,),))
    return found


def _values(patient: population.Patient, table: str, column: str) -> list[Any]:
    at = metadata.tables[table].c.keys().index(column)
    return [row[at] for row in patient.rows[table]]


def message(query: StoredQuery, url: str) -> bytes:
    """The SOAP message of a query."""
    several = query.query_id in (
        uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS, uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS,
    )  # fmt: skip
    transaction = iti51.TRANSACTION if several else iti18.TRANSACTION
    payload = transaction.request.encode(stored_query.encode(query), Packaging.SIMPLE)
    pieces = soap.write_envelope(
        transaction.trigger, payload.body, message_id=f"urn:uuid:{uuid.uuid4()}", to=url, reply_to_anonymous=True
    )
    return b"".join(pieces)


class Client:
    """One kept connection."""

    def __init__(self, port: int, header: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        name, _, value = header.partition(": ")
        self._headers = {"Content-Type": TYPE, **({name: value} if name else {})}

    def ask(self, body: bytes) -> tuple[float, bytes]:
        """Seconds until the whole answer is there, and the answer."""
        began = time.perf_counter()
        self._connection.request("POST", PATH, body, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        took = time.perf_counter() - began
        if response.status != 200:
            raise RuntimeError(f"status {response.status}: {answer[:2000]!r}")
        return took, answer

    def stream(self, body: bytes) -> tuple[float, float, int]:
        """Seconds until the first byte of the answer's body, until the last, and how many there are."""
        began = time.perf_counter()
        self._connection.request("POST", PATH, body, {"Content-Type": TYPE})
        response = self._connection.getresponse()
        length = len(response.read(1))
        first = time.perf_counter() - began
        for piece in iter(lambda: response.read(65536), b""):
            length += len(piece)
        return first, time.perf_counter() - began, length

    def close(self) -> None:
        """End it."""
        self._connection.close()


def p95(values: list[float]) -> float:
    """The value that one in twenty exceeds."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def in_turns(*lists: list[Any]) -> Iterator[tuple[Any, ...]]:
    """One of each list, again and again, as often as the longest has items."""
    for at in range(max(map(len, lists))):
        yield tuple(one[at % len(one)] for one in lists)
