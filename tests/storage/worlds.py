"""Small random registries, and what each stored query selects from them, worked out the plain way.

Written from the tables of ITI TF-2 3.18.4.1.2.3.7 and not from the code under test: lists, loops and sets only.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests import builders
from xdsi.domain.codes import Code
from xdsi.domain.identifiers import PatientId, new_entry_uuid
from xdsi.domain.metadata import Association, Author, DocumentEntry, Folder, SubmissionSet
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED

CODES = (Code("A", "2.999.1"), Code("a", "2.999.1"), Code("A", "2.999.2"), Code("E\u0301", "2.999.2"))
TIMES = ("2023", "20240101", "202401011200", "20240102030405", "2025")
PERSONS = (
    "77^Doe^Jo^^^Dr^^^&2.999.4&ISO",
    "^doe^Jo",
    "^O'Neil^50%",
    "^O'Neil^50_",
    "^Bang!^[x]*?\\",
    "^E\u0301mile^Zoe\u0308",
)
PATTERNS = (*PERSONS, "%Doe%", "^_oe%", "%50!%", "%!%", "%\\", "^Émile%", "", "%", "_", "%[x]%")
REFERENCES = ("A77^^^&2.999.6&ISO^urn:ihe:iti:xds:2013:accession", "1.2.3^^^^urn:ihe:iti:xds:2016:studyInstanceUID")
REFERENCE_PATTERNS = (*REFERENCES, "A77^^^&2.999.6&ISO%", "%studyInstanceUID", "a77%", "A__^%")
STATUSES = (APPROVED, DEPRECATED)
TYPES = (uuids.STABLE, uuids.ON_DEMAND)
AVAILABILITIES = ("", "urn:ihe:iti:2010:DocumentAvailability:Online", "urn:ihe:iti:2010:DocumentAvailability:Offline")
RELATIONS = (uuids.RPLC, uuids.APND, uuids.XFRM, uuids.SIGNS)


@dataclass
class World:
    """Everything that is registered, and who was merged into whom."""

    patients: list[PatientId]
    merges: list[tuple[PatientId, PatientId]]
    entries: list[DocumentEntry] = field(default_factory=list)
    sets: list[SubmissionSet] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    associations: list[Association] = field(default_factory=list)

    @property
    def submission(self) -> Submission:
        return Submission(tuple(self.sets), tuple(self.entries), tuple(self.folders), tuple(self.associations))

    @property
    def ids(self) -> set[str]:
        return {one.entry_uuid for one in self.submission.objects}

    def latest(self, entry: DocumentEntry) -> DocumentEntry:
        """The version that decides on all of them."""
        versions = [one for one in self.entries if one.logical_id == entry.logical_id]
        return max(versions, key=lambda one: one.version or 1)

    def survivor(self, cx: str) -> PatientId:
        patient = PatientId.parse(cx)
        for subsumed, into in self.merges:
            if subsumed == patient:
                return self.survivor(into.cx)
        return patient


class Dice(Random):
    """Random choices; hypothesis draws only the seed and the sizes, which keeps large worlds cheap."""

    def chance(self, likely: float) -> bool:
        return self.random() < likely

    def some(self, values: Sequence[Any], least: int, most: int) -> tuple[Any, ...]:
        return tuple(self.sample(values, min(len(values), self.randint(least, most))))

    def perhaps(self, values: Sequence[Any], absent: Any, likely: float = 0.8) -> Any:
        return self.choice(values) if self.chance(likely) else absent


dice = st.integers(0, 2**32).map(Dice)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to three patients with a few objects each; ids are new each time, so that examples can share a database."""
    sizes = {"entries": draw(st.integers(1, 10)), "sets": draw(st.integers(1, 4)), "folders": draw(st.integers(0, 5))}
    return world_of(draw(dice), draw(st.integers(1, 3)), **sizes)


def world_of(die: Dice, size: int, *, entries: int, sets: int, folders: int) -> World:
    """So many patients, some of them merged into one another, with so many objects."""
    name = uuid.uuid4().hex[:8]
    patients = [PatientId(f"{name}{number}", "2.999.1.1") for number in range(size)]
    merges = [
        (later, die.choice(patients[:number])) for number, later in enumerate(patients) if number and die.chance(0.5)
    ]
    world = World(patients, merges)
    fill(die, world, name, entries=entries, sets=sets, folders=folders)
    return world


def fill(die: Dice, world: World, name: str, *, entries: int, sets: int, folders: int) -> None:
    """Put objects into a world; `name` makes their uniqueIds its own."""
    for number in range(entries):
        world.entries.append(_entry(die, world, f"2.999.10.{name}.{number}"))
    for number in range(sets):
        world.sets.append(
            builders.submission_set(
                new_entry_uuid(),
                unique_id=f"2.999.11.{name}.{number}",
                patient_id=die.choice(world.patients).cx,
                source_id=die.choice(("2.999.3", "2.999.4")),
                submission_time=die.choice(TIMES),
                availability_status=APPROVED,
                authors=_authors(die),
                content_type_code=die.perhaps(CODES, None),
            )
        )
    for number in range(folders):
        world.folders.append(_folder(die, world, f"2.999.12.{name}.{number}"))
    _associate(die, world)


def _entry(die: Dice, world: World, unique_id: str) -> DocumentEntry:
    on_demand = die.chance(0.2)
    entry = builders.document_entry(
        new_entry_uuid(),
        unique_id=unique_id,
        patient_id=die.choice(world.patients).cx,
        object_type=uuids.ON_DEMAND if on_demand else uuids.STABLE,
        availability_status=die.perhaps((APPROVED,), DEPRECATED),
        document_availability=die.perhaps(AVAILABILITIES[:2], AVAILABILITIES[2], 0.9),
        creation_time="" if on_demand else die.choice(TIMES),
        service_start_time=die.perhaps(TIMES, ""),
        service_stop_time=die.perhaps(TIMES, ""),
        class_code=die.perhaps(CODES, None),
        type_code=die.perhaps(CODES, None),
        format_code=die.perhaps(CODES, None),
        practice_setting_code=die.perhaps(CODES, None),
        healthcare_facility_type_code=die.perhaps(CODES, None),
        event_codes=die.some(CODES, 0, 3),
        confidentiality_codes=die.some(CODES, 0, 3),
        authors=_authors(die),
        reference_ids=die.some(REFERENCES, 0, 2),
    )
    return _perhaps_newer(die, world.entries, entry)


def _authors(die: Dice) -> tuple[Author, ...]:
    return tuple(Author(person=person) for person in die.some(PERSONS, 0, 2))


def _folder(die: Dice, world: World, unique_id: str) -> Folder:
    folder = builders.folder(
        new_entry_uuid(),
        unique_id=unique_id,
        patient_id=die.choice(world.patients).cx,
        availability_status=die.perhaps((APPROVED,), DEPRECATED),
        last_update_time=die.choice(TIMES),
        codes=die.some(CODES, 0, 3),
    )
    return _perhaps_newer(die, world.folders, folder)


def _perhaps_newer(die: Dice, present: Sequence[Any], one: Any) -> Any:
    """Sometimes a new version of an object that is there (same logical id, uniqueId and patient)."""
    if not present or die.chance(0.75):
        return replace(one, logical_id=one.entry_uuid, version=1)
    earlier = die.choice(present)
    versions = [other.version for other in present if other.logical_id == earlier.logical_id]
    same = {name: getattr(earlier, name) for name in ("logical_id", "unique_id", "patient_id")}
    return replace(one, version=max(versions) + 1, **same)


def _associate(die: Dice, world: World) -> None:
    def add(type_: str, source: str, target: str) -> None:
        status = die.perhaps((APPROVED,), DEPRECATED, 0.85)
        one = builders.association(type_, source, target, new_entry_uuid(), availability_status=status)
        world.associations.append(one)

    for entry in world.entries:
        for submission_set in world.sets:
            if die.chance(0.4):
                add(uuids.HAS_MEMBER, submission_set.entry_uuid, entry.entry_uuid)
        for folder in world.folders:
            if die.chance(0.5):
                add(uuids.HAS_MEMBER, folder.entry_uuid, entry.entry_uuid)
                if die.chance(0.6):
                    member = world.associations[-1].entry_uuid
                    add(uuids.HAS_MEMBER, die.choice(world.sets).entry_uuid, member)
        for other in world.entries:
            if other is not entry and die.chance(0.15):
                add(die.choice(RELATIONS), entry.entry_uuid, other.entry_uuid)
    for folder in world.folders:
        if die.chance(0.7):
            add(uuids.HAS_MEMBER, die.choice(world.sets).entry_uuid, folder.entry_uuid)


# --- queries

_DE = "$XDSDocumentEntry"
# kind of parameter -> possible values, least and most of them in a group
_VALUES: dict[str, tuple[Sequence[Any], int, int]] = {
    "status": (STATUSES, 1, 2),
    "type": (TYPES, 1, 2),
    "code": (CODES, 1, 4),
    "time": (TIMES, 1, 1),
    "person": (PATTERNS, 1, 2),
    "one person": (PATTERNS, 1, 1),
    "reference": (REFERENCE_PATTERNS, 1, 2),
    "availability": (AVAILABILITIES[1:], 1, 2),
    "source": (("2.999.3", "2.999.4", "2.999.5"), 1, 2),
    "level": (("1", "2"), 1, 1),
    "relation": ((*RELATIONS, uuids.HAS_MEMBER), 2, 4),
}
_ENTRY_FILTERS = {
    _DE + "FormatCode": "code", _DE + "ConfidentialityCode": "code&", _DE + "Type": "type",
}  # fmt: skip
_FIND_DOCUMENTS = {
    **_ENTRY_FILTERS,
    **{_DE + name: "code" for name in ("ClassCode", "TypeCode", "PracticeSettingCode", "HealthcareFacilityTypeCode")},
    **{_DE + name + end: "time" for name in ("CreationTime", "ServiceStartTime", "ServiceStopTime")
       for end in ("From", "To")},
    _DE + "EventCodeList": "code&",
    _DE + "AuthorPerson": "person",
    _DE + "DocumentAvailability": "availability",
}  # fmt: skip
_EXCLUDE = {
    **{f"{_DE}{name}CodeExclude": "code" for name in ("Class", "Type", "PracticeSetting", "Format")},
    **{f"{_DE}{name}Exclude": "code&" for name in ("EventCodeList", "ConfidentialityCode")},
    _DE + "HealthcareFacilityTypeCodeExclude": "code",
    _DE + "AuthorPersonExclude": "person",
    _DE + "ReferenceIdListExclude": "reference&",
    _DE + "TypeExclude": "type",
}
_FIND_FOLDERS = {
    "$XDSFolderLastUpdateTimeFrom": "time", "$XDSFolderLastUpdateTimeTo": "time", "$XDSFolderCodeList": "code&",
}  # fmt: skip
_FIND_SETS = {
    "$XDSSubmissionSetSourceId": "source",
    "$XDSSubmissionSetSubmissionTimeFrom": "time",
    "$XDSSubmissionSetSubmissionTimeTo": "time",
    "$XDSSubmissionSetAuthorPerson": "one person",
    "$XDSSubmissionSetContentType": "code",
}
_LEVEL = {"$MetadataLevel": "level"}
_LINK = {**_LEVEL, "$XDSAssociationStatus": "status"}

# query id -> (required parameters, optional parameters, what it begins at)
QUERIES: dict[str, tuple[dict[str, str], dict[str, str], tuple[str, ...]]] = {
    uuids.FIND_DOCUMENTS: ({_DE + "Status": "status"}, _FIND_DOCUMENTS | _LEVEL, (_DE + "PatientId",)),
    uuids.FIND_DOCUMENTS_BY_REFERENCE_ID: (
        {_DE + "Status": "status", _DE + "ReferenceIdList": "reference&"},
        _FIND_DOCUMENTS | _LEVEL, (_DE + "PatientId",),
    ),
    uuids.FIND_DOCUMENTS_EXCLUDE: (
        {_DE + "Status": "status"}, _FIND_DOCUMENTS | _EXCLUDE | {_DE + "ReferenceIdList": "reference&"},
        (_DE + "PatientId",),
    ),
    uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS: (
        {_DE + "Status": "status"}, _FIND_DOCUMENTS, (_DE + "PatientId*",)
    ),
    uuids.FIND_SUBMISSION_SETS: ({"$XDSSubmissionSetStatus": "status"}, _FIND_SETS, ("$XDSSubmissionSetPatientId",)),
    uuids.FIND_FOLDERS: ({"$XDSFolderStatus": "status"}, _FIND_FOLDERS | _LEVEL, ("$XDSFolderPatientId",)),
    uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS: (
        {"$XDSFolderStatus": "status"}, _FIND_FOLDERS, ("$XDSFolderPatientId*",)
    ),
    uuids.GET_ALL: (
        {_DE + "Status": "status", "$XDSSubmissionSetStatus": "status", "$XDSFolderStatus": "status"},
        _ENTRY_FILTERS | _LINK, ("$patientId",)
    ),
    uuids.GET_DOCUMENTS: ({}, _LEVEL, (_DE + "EntryUUID*", _DE + "UniqueId*", _DE + "LogicalID*")),
    uuids.GET_FOLDERS: ({}, _LEVEL, ("$XDSFolderEntryUUID*", "$XDSFolderUniqueId*", "$XDSFolderLogicalID*")),
    uuids.GET_ASSOCIATIONS: ({}, _LINK, ("$uuid*",)),
    uuids.GET_DOCUMENTS_AND_ASSOCIATIONS: ({}, _LINK, (_DE + "EntryUUID*", _DE + "UniqueId*")),
    uuids.GET_SUBMISSION_SETS: ({}, _LEVEL, ("$uuid*",)),
    uuids.GET_SUBMISSION_SET_AND_CONTENTS: (
        {}, _ENTRY_FILTERS | _LEVEL, ("$XDSSubmissionSetEntryUUID", "$XDSSubmissionSetUniqueId")
    ),
    uuids.GET_FOLDER_AND_CONTENTS: ({}, _ENTRY_FILTERS | _LINK, ("$XDSFolderEntryUUID", "$XDSFolderUniqueId")),
    uuids.GET_FOLDERS_FOR_DOCUMENT: ({}, _LINK, (_DE + "EntryUUID", _DE + "UniqueId")),
    uuids.GET_RELATED_DOCUMENTS: (
        {"$AssociationTypes": "relation"}, _LINK | {_DE + "Type": "type"}, (_DE + "EntryUUID", _DE + "UniqueId")
    ),
}  # fmt: skip


def query_for(die: Dice, world: World, query_id: str, most: int = 2) -> StoredQuery:
    """A query of one kind for a world, with at most so many of its optional parameters."""
    required, optional, starts = QUERIES[query_id]
    parameters: dict[str, tuple[tuple[Any, ...], ...]] = {}
    start = die.choice(starts)
    candidates = _candidates(world, start.rstrip("*"))
    # A query for multiple patients may name none.
    least = 0 if "PatientId" in start and start.endswith("*") else 1
    group = die.some(candidates, least, 4 if start.endswith("*") else 1)
    if group:
        parameters[start.rstrip("*")] = (group,)
    for name in (*required, *die.some(sorted(optional), 0, most)):
        kind = required.get(name) or optional[name]
        groups = die.randint(1, 2) if kind.endswith("&") else 1
        parameters[name] = tuple(die.some(*_VALUES[kind.rstrip("&")]) for _ in range(groups))
    return StoredQuery(query_id, ReturnType.LEAF_CLASS, parameters)


def _candidates(world: World, parameter: str) -> list[str]:
    if parameter.lower().endswith("patientid"):
        survivors = {world.survivor(patient.cx) for patient in world.patients}
        known = [*(patient.cx for patient in world.patients), *(patient.cx for patient in survivors)]
        return list(dict.fromkeys((*known, "nobody^^^&2.999.1.1&ISO")))
    if parameter == "$uuid":
        return sorted(world.ids)
    objects: Sequence[Any] = world.entries
    if "Folder" in parameter:
        objects = world.folders
    elif "SubmissionSet" in parameter:
        objects = world.sets
    attribute = {"UUID": "entry_uuid", "eId": "unique_id", "lID": "logical_id"}[_ending(parameter)]
    return [*(getattr(one, attribute) for one in objects), "urn:uuid:00000000-0000-4000-8000-000000000000"]


def _ending(parameter: str) -> str:
    return next(end for end in ("UUID", "eId", "lID") if parameter.endswith(end))


# --- the plain way


def expected(query: StoredQuery, world: World) -> set[str]:
    """The ids of the objects that a query selects."""
    return _Plain(query, world).answer()


class _Plain:
    def __init__(self, query: StoredQuery, world: World) -> None:
        self.query = query
        self.world = world
        self.level = "2" if query.value("$MetadataLevel") == "2" else "1"

    def answer(self) -> set[str]:
        world, id_ = self.world, self.query.query_id
        entries, sets, folders = self.entries(), self.sets(), self.folders(deprecated=False)
        if id_ in (uuids.FIND_DOCUMENTS, uuids.FIND_DOCUMENTS_BY_REFERENCE_ID, uuids.FIND_DOCUMENTS_EXCLUDE):
            return names(self.of_patient(entries, _DE + "PatientId"))
        if id_ == uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS:
            return names(self.of_patient(entries, _DE + "PatientId", everybody=True))
        if id_ == uuids.FIND_SUBMISSION_SETS:
            return names(self.of_patient(sets, "$XDSSubmissionSetPatientId"))
        if id_ in (uuids.FIND_FOLDERS, uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS):
            everybody = id_ == uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS
            return names(self.of_patient(self.folders(deprecated=True), "$XDSFolderPatientId", everybody=everybody))
        if id_ == uuids.GET_ALL:
            found = names(
                one for all_ in (sets, entries, self.folders(deprecated=True))
                for one in self.of_patient(all_, "$patientId")
            )  # fmt: skip
            return found | names(link for link in self.links() if link.source in found or link.target in found)
        if id_ == uuids.GET_DOCUMENTS:
            return names(self.named(entries, "XDSDocumentEntry"))
        if id_ == uuids.GET_FOLDERS:
            return names(self.named(folders, "XDSFolder"))
        if id_ == uuids.GET_ASSOCIATIONS:
            given = set(self.query.values("$uuid"))
            return names(link for link in self.links() if link.source in given or link.target in given)
        if id_ == uuids.GET_DOCUMENTS_AND_ASSOCIATIONS:
            found = names(self.named(entries, "XDSDocumentEntry"))
            return found | names(link for link in self.links() if link.source in found or link.target in found)
        if id_ == uuids.GET_SUBMISSION_SETS:
            given, own = set(self.query.values("$uuid")), names(world.sets)
            links = [link for link in self.members() if link.source in own and link.target in given]
            return names(links) | {link.source for link in links}
        if id_ == uuids.GET_SUBMISSION_SET_AND_CONTENTS:
            return self.contents_of_set(sets, entries, folders)
        if id_ == uuids.GET_FOLDER_AND_CONTENTS:
            return self.contents_of_folder(entries, folders)
        given_entries = names(self.named(self.entries(any_type=True), "XDSDocumentEntry"))
        if id_ == uuids.GET_FOLDERS_FOR_DOCUMENT:
            containing = {link.source for link in self.members() if link.target in given_entries}
            return names(folders) & containing
        assert id_ == uuids.GET_RELATED_DOCUMENTS
        types, ends = self.query.values("$AssociationTypes"), names(entries)
        links = [
            link for link in self.links()
            if link.type in types and {link.source, link.target} <= ends and {link.source, link.target} & given_entries
        ]  # fmt: skip
        return names(links) | {link.source for link in links} | {link.target for link in links}

    def contents_of_set(
        self, sets: list[SubmissionSet], entries: list[DocumentEntry], folders: list[Folder]
    ) -> set[str]:
        (own,) = names(self.named(sets, "XDSSubmissionSet")) or {""}
        links = [link for link in self.members() if link.source == own]
        targets = {link.target for link in links}
        found = ({own} - {""}) | (names(entries) & targets) | (names(folders) & targets)
        inner = {link.entry_uuid for link in self.members() if link.entry_uuid in targets
                 and link.source in found and link.target in found}  # fmt: skip
        found |= inner
        return found | {link.entry_uuid for link in links if link.target in found}

    def contents_of_folder(self, entries: list[DocumentEntry], folders: list[Folder]) -> set[str]:
        own = names(self.named(folders, "XDSFolder"))
        links = [link for link in self.members() if link.source in own]
        found = own | (names(entries) & {link.target for link in links})
        return found | {link.entry_uuid for link in links if link.target in found}

    # what passes the parameters of its class and MetadataLevel

    def entries(self, *, any_type: bool = False) -> list[DocumentEntry]:
        by_type = self.query.query_id in (
            uuids.FIND_DOCUMENTS, uuids.FIND_DOCUMENTS_BY_REFERENCE_ID, uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS,
            uuids.GET_ALL, uuids.GET_SUBMISSION_SET_AND_CONTENTS, uuids.GET_FOLDER_AND_CONTENTS,
            uuids.GET_RELATED_DOCUMENTS, uuids.FIND_DOCUMENTS_EXCLUDE,
        )  # fmt: skip
        default = TYPES if self.query.values(_DE + "TypeExclude") else (uuids.STABLE,)
        return [
            one for one in self.world.entries
            if (any_type or not by_type or one.object_type in (self.query.values(_DE + "Type") or default))
            and self.entry_passes(one)
            and not any(
                other.entry_passes(one) and other.within(_DE + "Type", one.object_type) for other in self.excluding()
            )
            and (self.level == "2" or (is_latest(one, self.world.entries)
                                       and not one.document_availability.endswith("Offline")))
        ]  # fmt: skip

    def excluding(self) -> Iterable[_Plain]:
        """One query for each parameter that excludes: what it would select is left out."""
        for name, groups in self.query.parameters.items():
            if name.endswith("Exclude"):
                alone = {name.removesuffix("Exclude"): groups}
                yield _Plain(replace(self.query, parameters=alone), self.world)

    def entry_passes(self, one: DocumentEntry) -> bool:
        return (
            self.within(_DE + "Status", one.availability_status)
            and self.coded(_DE + "ClassCode", one.class_code)
            and self.coded(_DE + "TypeCode", one.type_code)
            and self.coded(_DE + "FormatCode", one.format_code)
            and self.coded(_DE + "PracticeSettingCode", one.practice_setting_code)
            and self.coded(_DE + "HealthcareFacilityTypeCode", one.healthcare_facility_type_code)
            and (one.is_on_demand or self.timed(_DE + "CreationTime", one.creation_time))
            and (not one.service_start_time or self.timed(_DE + "ServiceStartTime", one.service_start_time))
            and (not one.service_stop_time or self.timed(_DE + "ServiceStopTime", one.service_stop_time))
            and self.coded(_DE + "EventCodeList", *one.event_codes)
            and self.coded(_DE + "ConfidentialityCode", *one.confidentiality_codes)
            and self.like(_DE + "AuthorPerson", [author.person for author in one.authors])
            and self.like(_DE + "ReferenceIdList", one.reference_ids)
            and self.within(_DE + "DocumentAvailability", one.document_availability or AVAILABILITIES[1])
        )

    def sets(self) -> list[SubmissionSet]:
        return [
            one for one in self.world.sets
            if self.within("$XDSSubmissionSetStatus", one.availability_status)
            and self.within("$XDSSubmissionSetSourceId", one.source_id)
            and self.timed("$XDSSubmissionSetSubmissionTime", one.submission_time)
            and self.like("$XDSSubmissionSetAuthorPerson", [author.person for author in one.authors])
            and self.coded("$XDSSubmissionSetContentType", one.content_type_code)
        ]  # fmt: skip

    def folders(self, *, deprecated: bool) -> list[Folder]:
        return [
            one for one in self.world.folders
            if self.within("$XDSFolderStatus", one.availability_status)
            and self.timed("$XDSFolderLastUpdateTime", one.last_update_time)
            and self.coded("$XDSFolderCodeList", *one.codes)
            and (self.level == "2" or (is_latest(one, self.world.folders)
                                       and (deprecated or one.availability_status == APPROVED)))
        ]  # fmt: skip

    def links(self) -> list[Association]:
        return [
            one for one in self.world.associations
            if self.within("$XDSAssociationStatus", one.availability_status)
            and (self.level == "2" or one.availability_status == APPROVED)
        ]  # fmt: skip

    def members(self) -> list[Association]:
        return [one for one in self.links() if one.type == uuids.HAS_MEMBER]

    # one condition each

    def of_patient(self, objects: Iterable[Any], parameter: str, *, everybody: bool = False) -> list[Any]:
        asked = self.query.values(parameter)
        if everybody and not asked:
            return list(objects)
        subsumed = {patient.cx for patient, _ in self.world.merges}
        return [
            one for one in objects if self.world.survivor(one.patient_id).cx in asked and one.patient_id
            and self.world.survivor(one.patient_id).cx not in subsumed
        ]  # fmt: skip

    def named(self, objects: Iterable[Any], prefix: str) -> list[Any]:
        for ending, attribute in (("EntryUUID", "entry_uuid"), ("UniqueId", "unique_id"), ("LogicalID", "logical_id")):
            asked = self.query.values(f"${prefix}{ending}")
            if asked:
                return [one for one in objects if getattr(one, attribute, "") in asked]
        return []

    def within(self, parameter: str, value: str) -> bool:
        return all(value in group for group in self.query.parameters.get(parameter, ()))

    def coded(self, parameter: str, *found: Code | None) -> bool:
        present = {_nfc_code(code) for code in found if code is not None}
        return all(present & {_nfc_code(code) for code in group} for group in self.query.parameters.get(parameter, ()))

    def timed(self, parameter: str, value: str) -> bool:
        start, end = self.query.value(parameter + "From"), self.query.value(parameter + "To")
        return (start is None or str(start) <= value) and (end is None or value < str(end))

    def like(self, parameter: str, values: Iterable[str]) -> bool:
        values = [unicodedata.normalize("NFC", value) for value in values]
        return all(
            any(_regex(str(alternative)).fullmatch(value) for alternative in group for value in values)
            for group in self.query.parameters.get(parameter, ())
        )


def names(objects: Iterable[Any]) -> set[str]:
    return {one.entry_uuid for one in objects}


def is_latest(one: Any, among: Iterable[Any]) -> bool:
    return one.version == max(other.version for other in among if other.logical_id == one.logical_id)


def _nfc_code(code: Any) -> tuple[str, str]:
    return unicodedata.normalize("NFC", code.code), code.scheme


def _regex(pattern: str) -> re.Pattern[str]:
    pattern = unicodedata.normalize("NFC", pattern)
    return re.compile("".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern), re.DOTALL)
