"""What can be selected from each table of objects, and the statements, each built once per shape of query.

ITI TF-2 tables 3.18.4.1.2.3.7.1-1 and following; Metadata Update 3.18.4.1.2.3.5.1 (MetadataLevel).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeAlias

from sqlalchemy import Column, ColumnElement, Integer, Table, and_, bindparam, select

from xdsi.domain.stored_query import ObjectKind, StoredQuery
from xdsi.spec import uuids
from xdsi.spec.stored_queries import EXTENSIONS
from xdsi.storage import tables as t
from xdsi.storage.facts import RESOURCE_COLUMNS
from xdsi.storage.prepared import Prepared
from xdsi.storage.routes import at_places
from xdsi.storage.stored_queries.conditions import (
    CodeOneOf,
    Criterion,
    From,
    NoneOf,
    OneOf,
    SomeCode,
    SomeLike,
    SomeListedCode,
    To,
)
from xdsi.storage.wording import OFFLINE, short_availability, short_status

MOST: Final = 100_001
"""No query loads more: one above what any answer may have."""

Shape: TypeAlias = tuple[tuple[int, tuple[int, ...]], ...]


class Scope(Enum):
    """What narrows a statement first."""

    PATIENTS = "patients"
    PLACES = "id"
    SOURCES = "source"
    TARGETS = "target"
    EVERYWHERE = "everywhere"


class Level(Enum):
    """What MetadataLevel hides: nothing at level 2; FindFolders and GetAll leave Deprecated to the status parameter."""

    ONE = "one"
    ONE_ANY_STATUS = "one, any status"
    TWO = "two"


@dataclass(frozen=True, eq=False)
class Selection:
    """A table of objects as queries see it; `newest` is the time that orders an answer."""

    table: Table
    kind: ObjectKind
    columns: tuple[ColumnElement[Any], ...]
    newest: Column[str]
    criteria: tuple[Criterion, ...]
    hidden: dict[Level, ColumnElement[bool]]

    def statement(self, query: StoredQuery, scope: Scope, level: Level) -> tuple[Prepared, dict[str, Any]]:
        """The statement for the parameters that a query has, and their values."""
        shape: list[tuple[int, tuple[int, ...]]] = []
        binds: dict[str, Any] = {"most": min(query.at_most or MOST, MOST)}
        for index, criterion in enumerate(self.criteria):
            groups = query.parameters.get(criterion.parameter)
            if groups:
                shape.append((index, criterion.shape(groups)))
                binds.update(criterion.binds(groups))
        return _build(self, scope, level, tuple(shape)), binds


@lru_cache(maxsize=2000)
def _build(selection: Selection, scope: Scope, level: Level, shape: Shape) -> Prepared:
    table = selection.table
    conditions: list[ColumnElement[bool]] = []
    if scope is Scope.PATIENTS:
        conditions.append(table.c.patient_key.in_(bindparam("patients", expanding=True)))
    elif scope is not Scope.EVERYWHERE:
        conditions.append(at_places(table, scope.value))
    for index, sizes in shape:
        conditions.extend(selection.criteria[index].conditions(sizes, everywhere=scope is Scope.EVERYWHERE))
    if level in selection.hidden:
        conditions.append(selection.hidden[level])
    newest_first = (selection.newest.desc(), table.c.id.desc())
    limit = bindparam("most", type_=Integer)
    return Prepared(select(*selection.columns).where(*conditions).order_by(*newest_first).limit(limit))


def _on_demand(object_type: str) -> bool | None:
    return {uuids.STABLE: False, uuids.ON_DEMAND: True}.get(object_type)


_d = t.document_entry.c
_DOCUMENT = "$XDSDocumentEntry"

_ENTRY_CRITERIA: Final = (
    OneOf(_DOCUMENT + "Status", _d.status, short_status),
    OneOf(_DOCUMENT + "Type", _d.on_demand, _on_demand),
    CodeOneOf(_DOCUMENT + "ClassCode", t.document_entry, "class"),
    CodeOneOf(_DOCUMENT + "TypeCode", t.document_entry, "type"),
    CodeOneOf(_DOCUMENT + "FormatCode", t.document_entry, "format"),
    CodeOneOf(_DOCUMENT + "PracticeSettingCode", t.document_entry, "practice_setting"),
    CodeOneOf(_DOCUMENT + "HealthcareFacilityTypeCode", t.document_entry, "facility_type"),
    # What is made on demand has no time of creation; what has no time of service stays a candidate.
    From(_DOCUMENT + "CreationTimeFrom", _d.creation_time, _d.on_demand),
    To(_DOCUMENT + "CreationTimeTo", _d.creation_time, _d.on_demand),
    From(_DOCUMENT + "ServiceStartTimeFrom", _d.service_start_time, _d.service_start_time == ""),
    To(_DOCUMENT + "ServiceStartTimeTo", _d.service_start_time, _d.service_start_time == ""),
    From(_DOCUMENT + "ServiceStopTimeFrom", _d.service_stop_time, _d.service_stop_time == ""),
    To(_DOCUMENT + "ServiceStopTimeTo", _d.service_stop_time, _d.service_stop_time == ""),
    SomeCode(_DOCUMENT + "EventCodeList", t.document_entry, "event"),
    SomeListedCode(_DOCUMENT + "ConfidentialityCode", _d.confidentiality),
    SomeLike(_DOCUMENT + "AuthorPerson", _d.author_persons),
    SomeLike(_DOCUMENT + "ReferenceIdList", _d.reference_ids),
    OneOf(_DOCUMENT + "DocumentAvailability", _d.availability, short_availability),
)
_EXCLUDE: Final = EXTENSIONS[uuids.FIND_DOCUMENTS_EXCLUDE].parameters

ENTRIES: Final = Selection(
    table=t.document_entry,
    kind=ObjectKind.DOCUMENT_ENTRY,
    columns=RESOURCE_COLUMNS,
    newest=_d.creation_time,
    criteria=(
        *_ENTRY_CRITERIA,
        *(NoneOf.of(one) for one in _ENTRY_CRITERIA if f"{one.parameter}Exclude" in _EXCLUDE),
    ),
    hidden=dict.fromkeys((Level.ONE, Level.ONE_ANY_STATUS), and_(_d.latest, _d.availability != OFFLINE)),
)

_s = t.submission_set.c

SUBMISSION_SETS: Final = Selection(
    table=t.submission_set,
    kind=ObjectKind.SUBMISSION_SET,
    columns=(_s.patient_key, _s.id, _s.submission_time, _s.home_community_id),
    newest=_s.submission_time,
    criteria=(
        OneOf("$XDSSubmissionSetStatus", _s.status, short_status),
        OneOf("$XDSSubmissionSetSourceId", _s.source_id),
        From("$XDSSubmissionSetSubmissionTimeFrom", _s.submission_time),
        To("$XDSSubmissionSetSubmissionTimeTo", _s.submission_time),
        SomeLike("$XDSSubmissionSetAuthorPerson", _s.author_persons),
        CodeOneOf("$XDSSubmissionSetContentType", t.submission_set, "content_type"),
    ),
    hidden={},
)

_f = t.folder.c

FOLDERS: Final = Selection(
    table=t.folder,
    kind=ObjectKind.FOLDER,
    columns=(_f.patient_key, _f.id, _f.last_update_time, _f.home_community_id, _f.logical_id),
    newest=_f.last_update_time,
    criteria=(
        OneOf("$XDSFolderStatus", _f.status, short_status),
        From("$XDSFolderLastUpdateTimeFrom", _f.last_update_time),
        To("$XDSFolderLastUpdateTimeTo", _f.last_update_time),
        SomeCode("$XDSFolderCodeList", t.folder, "folder"),
    ),
    hidden={Level.ONE: and_(_f.latest, _f.status == "Approved"), Level.ONE_ANY_STATUS: and_(_f.latest)},
)

_a = t.association.c

ASSOCIATIONS: Final = Selection(
    table=t.association,
    kind=ObjectKind.ASSOCIATION,
    columns=(
        _a.patient_key, _a.id, _a.type, _a.source, _a.target, _a.source_kind, _a.target_kind, _a.target_patient_key,
        _a.home_community_id,
    ),
    newest=_a.id,
    criteria=(
        OneOf("$XDSAssociationStatus", _a.status, short_status),
        OneOf("$AssociationTypes", _a.type, str),
    ),
    hidden=dict.fromkeys((Level.ONE, Level.ONE_ANY_STATUS), _a.status == "Approved"),
)  # fmt: skip
