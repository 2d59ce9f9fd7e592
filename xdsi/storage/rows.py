"""A submission as rows: one object in its table, its lists in theirs, its ids in the table that routes queries.

ITI TF-2 3.42.4.1.3.3.5 (what is stored); the fragment is what a query gives back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Table

from xdsi.domain.codes import Code
from xdsi.domain.metadata import Association, Author, DocumentEntry, Folder, RegistryObject, SubmissionSet
from xdsi.storage import lists
from xdsi.storage import tables as t
from xdsi.storage.facts import facts_of
from xdsi.storage.routes import IdKind
from xdsi.storage.wording import letter_of, normal, short_availability, short_status
from xdsi.wire.ebxml import fragments

STUDY_REFERENCE: Final = "urn:ihe:iti:xds:2016:studyInstanceUID"

Ends = dict[str, tuple[str, int]]
"""By entryUUID: the letter of an object's kind and its patient key"""

INSERT_ORDER: Final = (t.identifier, t.submission_set, t.document_entry, t.folder, t.association, t.code)


class Rows:
    """Collects the rows of a unit of work, by table."""

    def __init__(self) -> None:
        self.by_table: dict[Table, list[dict[str, Any]]] = {table: [] for table in INSERT_ORDER}

    def add(self, registry_object: RegistryObject, patient_key: int, *, source_id: str, ends: Ends) -> None:
        """The rows of one object; `ends` knows every object that an Association may name."""
        row: dict[str, Any] = {
            "patient_key": patient_key,
            "id": registry_object.entry_uuid,
            "status": short_status(registry_object.availability_status) or "Approved",
            "home_community_id": registry_object.home_community_id,
            "fragment": fragments.build(registry_object),
        }
        references: Sequence[str] = ()
        match registry_object:
            case DocumentEntry():
                self._entry(registry_object, row, source_id)
                references = registry_object.reference_ids
            case SubmissionSet():
                self._submission_set(registry_object, row)
            case Folder():
                self._folder(registry_object, row)
            case Association():
                self._association(registry_object, row, ends)
        letter = letter_of(registry_object)
        self.by_table[t.identifier].extend(identifiers_of(letter, row, patient_key, references))

    def _entry(self, entry: DocumentEntry, row: dict[str, Any], source_id: str) -> None:
        row |= {
            "unique_id": entry.unique_id,
            "repository_unique_id": entry.repository_unique_id,
            "on_demand": entry.is_on_demand,
            "availability": short_availability(entry.document_availability),
            "creation_time": entry.creation_time,
            "service_start_time": entry.service_start_time,
            "service_stop_time": entry.service_stop_time,
            **_version(entry),
            **_code("class", entry.class_code),
            **_code("type", entry.type_code),
            **_code("format", entry.format_code),
            **_code("practice_setting", entry.practice_setting_code),
            **_code("facility_type", entry.healthcare_facility_type_code),
            "confidentiality": lists.write(dict.fromkeys(map(lists.coded, entry.confidentiality_codes))),
            "author_persons": _persons(entry.authors),
            "reference_ids": lists.write(map(normal, entry.reference_ids)),
            "facts": facts_of(entry, source_id),
        }
        self.by_table[t.document_entry].append(row)
        self._codes(row, "event", entry.event_codes)

    def _submission_set(self, submission_set: SubmissionSet, row: dict[str, Any]) -> None:
        row |= {
            "unique_id": submission_set.unique_id,
            "source_id": submission_set.source_id,
            "submission_time": submission_set.submission_time,
            **_code("content_type", submission_set.content_type_code),
            "author_persons": _persons(submission_set.authors),
        }
        self.by_table[t.submission_set].append(row)

    def _folder(self, folder: Folder, row: dict[str, Any]) -> None:
        row |= {"unique_id": folder.unique_id, "last_update_time": folder.last_update_time, **_version(folder)}
        self.by_table[t.folder].append(row)
        self._codes(row, "folder", folder.codes)

    def _association(self, association: Association, row: dict[str, Any], ends: Ends) -> None:
        source_letter, _ = ends[association.source]
        target_letter, target_key = ends[association.target]
        row |= {
            "type": association.type,
            "source": association.source,
            "target": association.target,
            "source_kind": source_letter,
            "target_kind": target_letter,
            "target_patient_key": target_key,
        }
        self.by_table[t.association].append(row)

    def _codes(self, row: dict[str, Any], kind: str, codes: Iterable[Code]) -> None:
        distinct = dict.fromkeys((normal(code.code), normal(code.scheme)) for code in codes)
        self.by_table[t.code].extend(
            {"patient_key": row["patient_key"], "object_id": row["id"], "kind": kind, "code": code, "scheme": scheme}
            for code, scheme in distinct
        )


def identifiers_of(
    letter: str, row: Mapping[str, Any], patient_key: int, references: Iterable[str] = ()
) -> Iterator[dict[str, Any]]:
    """The rows by which an object's row is found; `references` is an entry's referenceIdList."""
    names: dict[tuple[str, IdKind], bool] = {(row["id"], IdKind.UUID): True}
    if letter != "A":
        # A new version of a Folder keeps its uniqueId.
        names[row["unique_id"], IdKind.UNIQUE] = letter == "S" or (letter == "F" and row["version"] == 1)
    elif row["target_patient_key"] != patient_key:
        names[row["target"], IdKind.TARGET] = False
    if letter in "DF" and row["logical_id"] != row["id"]:
        names[row["logical_id"], IdKind.LOGICAL] = False
    names.update(((study, IdKind.STUDY), False) for study in studies(references))
    for (value, kind), sole in names.items():
        if value:
            tie = "" if sole else row["id"]
            yield {
                "patient_key": patient_key,
                "value": value,
                "kind": kind.value,
                "tie": tie,
                "object_id": "" if row["id"] in (tie, value) else row["id"],
                "object_kind": letter,
            }


def _persons(authors: Iterable[Author]) -> str:
    return lists.write(normal(author.person) for author in authors if author.person)


def _version(one: DocumentEntry | Folder) -> dict[str, Any]:
    return {"logical_id": one.logical_id or one.entry_uuid, "version": one.version or 1, "latest": True}


@lru_cache(maxsize=5_000)
def _code(name: str, code: Code | None) -> Mapping[str, str]:
    """The two columns of a code; nobody changes what this returns."""
    return {
        f"{name}_code": normal(code.code) if code is not None else "",
        f"{name}_scheme": normal(code.scheme) if code is not None else "",
    }


def studies(reference_ids: Iterable[str]) -> Iterable[str]:
    """Study Instance UIDs among CXi values (ITI TF-3 table 4.2.3.1.7-2: CXi.5 says what CXi.1 is)."""
    for value in reference_ids:
        parts = value.split("^")
        if len(parts) > 4 and parts[4] == STUDY_REFERENCE:
            yield parts[0]
