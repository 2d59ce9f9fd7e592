"""What consent decides on: from an entry to its columns and the compact `facts`, and from a row back to a Resource."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import LargeBinary, type_coerce

from xdsi.domain.codes import Code
from xdsi.domain.consent import Resource
from xdsi.domain.identifiers import InstanceIdentifier, PatientId, from_xcn, from_xon
from xdsi.domain.metadata import DocumentEntry
from xdsi.storage import lists
from xdsi.storage.packed import unpack
from xdsi.storage.tables import document_entry as t
from xdsi.storage.wording import long_status, normal

_CODED: Final = ("class", "type", "format", "facility_type", "practice_setting")
RESOURCE_COLUMNS: Final = (
    t.c.patient_key, t.c.id, t.c.unique_id, t.c.repository_unique_id, t.c.status, t.c.creation_time,
    t.c.service_start_time, t.c.service_stop_time, t.c.home_community_id, t.c.facts, t.c.logical_id, t.c.latest,
    t.c.confidentiality, t.c.author_persons, t.c.reference_ids,
    # As they are kept: whoever was asked for lately need not be unpacked again.
    *[type_coerce(t.c[f"{name}_{half}"], LargeBinary).label(f"{name}_{half}")
      for name in _CODED for half in ("code", "scheme")],
)  # fmt: skip
"""What `resource_of` reads, and which version it is."""
_FIRST_CODE: Final = len(RESOURCE_COLUMNS) - 2 * len(_CODED)
_AS_IN_COLUMNS: Final = 0

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_read = json.JSONDecoder().decode


def facts_of(entry: DocumentEntry, source_id: str) -> str:
    """The attributes that no column holds as they were submitted, as a JSON array in a fixed order.

    0 stands for what the columns hold in the same words.
    """
    single = (
        entry.class_code, entry.type_code, entry.format_code, entry.healthcare_facility_type_code,
        entry.practice_setting_code,
    )  # fmt: skip
    institutions = (xon for author in entry.authors for xon in author.institutions)
    confidentiality = entry.confidentiality_codes
    alike = all(code is None or _is_normal(code) for code in single)
    restricted = all(map(_is_normal, confidentiality)) and len(set(confidentiality)) == len(confidentiality)
    persons = [author.person for author in entry.authors if author.person]
    return _write(
        [
            _AS_IN_COLUMNS if alike else [_pair(code) for code in single],
            _AS_IN_COLUMNS if restricted else [_pair(code) for code in confidentiality],
            [_pair(code) for code in entry.event_codes],
            _instances(from_xon, institutions),
            _AS_IN_COLUMNS if _are_normal(persons) else _instances(from_xcn, persons),
            _instances(from_xcn, (entry.legal_authenticator,)),
            _AS_IN_COLUMNS if _are_normal(entry.reference_ids) else entry.reference_ids,
            entry.source_patient_id,
            source_id,
        ]
    )


def resource_of(row: Any, patient: PatientId, home: str) -> Resource:
    """The entry of a row with RESOURCE_COLUMNS; `home` counts where the entry names no home of its own."""
    return _resource(row, patient.id, patient.authority, home)


# Who looks at a patient asks more than once: for the list, for documents, for each study's images.
@lru_cache(maxsize=5_000)
def _resource(row: Any, patient_id: str, authority: str, home: str) -> Resource:
    single, confidentiality, events, institutions, persons, authenticator, references, source_patient, source = _read(
        row.facts
    )
    if single == _AS_IN_COLUMNS:
        halves = [unpack(bytes(half)) for half in row[_FIRST_CODE : _FIRST_CODE + 2 * len(_CODED)]]
        single = [pair if any(pair) else None for pair in zip(halves[::2], halves[1::2], strict=True)]
    if confidentiality == _AS_IN_COLUMNS:
        confidentiality = map(lists.uncoded, lists.read(row.confidentiality))
    if persons == _AS_IN_COLUMNS:
        persons = _instances(from_xcn, lists.read(row.author_persons))
    if references == _AS_IN_COLUMNS:
        references = lists.read(row.reference_ids)
    class_code, type_code, format_code, facility, practice = single
    return Resource(
        unique_id=row.unique_id,
        repository_unique_id=row.repository_unique_id,
        entry_uuid=row.id,
        patient=_patient(patient_id, authority),
        class_code=_code(*class_code) if class_code else None,
        type_code=_code(*type_code) if type_code else None,
        format_code=_code(*format_code) if format_code else None,
        confidentiality_codes=tuple([_code(*pair) for pair in confidentiality]),
        event_codes=tuple([_code(*pair) for pair in events]),
        healthcare_facility_type_code=_code(*facility) if facility else None,
        practice_setting_code=_code(*practice) if practice else None,
        author_institutions=tuple([_instance(*pair) for pair in institutions]),
        author_persons=tuple([_instance(*pair) for pair in persons]),
        legal_authenticator=_instance(*authenticator[0]) if authenticator else None,
        reference_ids=tuple(references),
        source_patient_id=source_patient,
        creation_time=row.creation_time,
        service_start_time=row.service_start_time,
        service_stop_time=row.service_stop_time,
        home_community_id=row.home_community_id or home,
        source_id=source,
        availability_status=long_status(row.status),
    )


def _pair(code: Code | None) -> list[str] | None:
    return [code.code, code.scheme] if code is not None else None


# What is registered has codes of at most 256 characters, and a domain has few of them.
@lru_cache(maxsize=5_000)
def _is_normal(code: Code) -> bool:
    return _are_normal((code.code, code.scheme)) and bool(code.code or code.scheme)


def _are_normal(values: Iterable[str]) -> bool:
    return all(normal(value) == value for value in values)


def _instances(read: Callable[[str], InstanceIdentifier | None], values: Iterable[str]) -> list[list[str]]:
    found = (read(value) for value in values if value)
    return [[one.root, one.extension] for one in found if one is not None]


# A domain has few codes and institutions but shows them in every answer.
_patient: Callable[[str, str], PatientId] = lru_cache(maxsize=5_000)(PatientId)
_code: Callable[[str, str], Code] = lru_cache(maxsize=20_000)(Code)
_instance: Callable[[str, str], InstanceIdentifier] = lru_cache(maxsize=20_000)(InstanceIdentifier)
