"""Every parameter of every stored query by itself: what it lets through, what it keeps back, what a list of it means.

ITI TF-2 3.18.4.1.2.3.5 (AND, OR), 3.18.4.1.2.3.7 (the parameters of each query), 3.51.4.1.2.1. Values are sent as they
stand in rim:Value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from sqlalchemy.engine import Engine

from tests import builders
from xdsi.domain.codes import Code
from xdsi.domain.metadata import Association, Author, DocumentEntry, Folder, SubmissionSet
from xdsi.domain.stored_query import AdhocQuery
from xdsi.domain.submission import Submission
from xdsi.rules import stored_query
from xdsi.rules.formats import AVAILABILITIES
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.spec.stored_queries import ITI51, REGISTRY_QUERIES, Query
from xdsi.storage.registry import SqlRegistry

QUERIES = {**REGISTRY_QUERIES, **ITI51}
CLAUSES = {
    uuids.FIND_DOCUMENTS: "3.18.4.1.2.3.7.1",
    uuids.FIND_SUBMISSION_SETS: "3.18.4.1.2.3.7.2",
    uuids.FIND_FOLDERS: "3.18.4.1.2.3.7.3",
    uuids.GET_ALL: "3.18.4.1.2.3.7.4",
    uuids.GET_DOCUMENTS: "3.18.4.1.2.3.7.5",
    uuids.GET_FOLDERS: "3.18.4.1.2.3.7.6",
    uuids.GET_ASSOCIATIONS: "3.18.4.1.2.3.7.7",
    uuids.GET_DOCUMENTS_AND_ASSOCIATIONS: "3.18.4.1.2.3.7.8",
    uuids.GET_SUBMISSION_SETS: "3.18.4.1.2.3.7.9",
    uuids.GET_SUBMISSION_SET_AND_CONTENTS: "3.18.4.1.2.3.7.10",
    uuids.GET_FOLDER_AND_CONTENTS: "3.18.4.1.2.3.7.11",
    uuids.GET_FOLDERS_FOR_DOCUMENT: "3.18.4.1.2.3.7.12",
    uuids.GET_RELATED_DOCUMENTS: "3.18.4.1.2.3.7.13",
    uuids.FIND_DOCUMENTS_BY_REFERENCE_ID: "3.18.4.1.2.3.7.14",
    uuids.FIND_DOCUMENTS_EXCLUDE: "CP-ITI-1323",
    uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS: "3.51.4.1.2.1",
    uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS: "3.51.4.1.2.1",
}


def urn(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012d}"


# An entry and a folder with a former version each, in a set; another entry that the first transforms; a set that held
# the entry once. What is FORMER or GONE shows at MetadataLevel 2 only.
ENTRY, FORMER, OTHER, FOLDER, FORMER_FOLDER, SET, GONE_SET = (urn(number) for number in range(1, 8))
IN_SET, IN_FOLDER, TRANSFORMS, GONE = (urn(number) for number in range(11, 15))
UNKNOWN = urn(99)
PATIENT, NOBODY = "P'1^^^&2.999.1.1&ISO", "P2^^^&2.999.1.1&ISO"
REFERENCE = "A_77^^^&2.999.6&ISO^urn:ihe:iti:xds:2013:accession"
AUTHORS = (Author(person="76^Roe^Jo"), Author(person="77^O'Neil^Pat"))


def coded(name: str) -> Code:
    return Code(name, "2.999.20", name)


def entry(id_: str, unique_id: str, **changes: Any) -> DocumentEntry:
    given = {
        "unique_id": unique_id, "patient_id": PATIENT, "logical_id": id_, "version": 1, "authors": AUTHORS,
        "availability_status": APPROVED, "document_availability": AVAILABILITIES[0], "reference_ids": (REFERENCE,),
        "creation_time": "20240102", "service_start_time": "20240102", "service_stop_time": "20240102",
        "event_codes": (coded("event"), coded("second")), "confidentiality_codes": (coded("secret"), coded("second")),
        "class_code": coded("class"), "type_code": coded("type"), "format_code": coded("format"),
        "practice_setting_code": coded("practice"), "healthcare_facility_type_code": coded("facility"),
    }  # fmt: skip
    return builders.document_entry(id_, **given | changes)


def folder(id_: str, **changes: Any) -> Folder:
    return builders.folder(
        id_, unique_id="2.999.12.1", patient_id=PATIENT, logical_id=FORMER_FOLDER, last_update_time="20240102",
        codes=(coded("folder"), coded("second")), **changes,
    )  # fmt: skip


def held(id_: str, unique_id: str) -> SubmissionSet:
    return builders.submission_set(
        id_, unique_id=unique_id, patient_id=PATIENT, availability_status=APPROVED, source_id="2.999.3",
        submission_time="20240102", authors=AUTHORS, content_type_code=coded("content"),
    )  # fmt: skip


def link(source: str, target: str, id_: str, type_: str = uuids.HAS_MEMBER, status: str = APPROVED) -> Association:
    return builders.association(type_, source, target, id_, availability_status=status)


WORLD = Submission(
    (held(SET, "2.999.11.1"), held(GONE_SET, "2.999.11.2")),
    (
        entry(ENTRY, "2.999.10.1", logical_id=FORMER, version=2),
        entry(FORMER, "2.999.10.1", availability_status=DEPRECATED),
        entry(OTHER, "2.999.10.2"),
    ),
    (
        folder(FOLDER, version=2, availability_status=APPROVED),
        folder(FORMER_FOLDER, version=1, availability_status=DEPRECATED),
    ),
    (
        link(SET, ENTRY, IN_SET), link(SET, FORMER, urn(21)), link(SET, FOLDER, urn(22)),
        link(FOLDER, ENTRY, IN_FOLDER), link(FOLDER, FORMER, urn(23)), link(SET, IN_FOLDER, urn(24)),
        link(FORMER_FOLDER, ENTRY, urn(25)), link(GONE_SET, ENTRY, urn(26), status=DEPRECATED),
        link(ENTRY, OTHER, TRANSFORMS, uuids.XFRM), link(OTHER, ENTRY, GONE, uuids.APND, DEPRECATED),
    ),
)  # fmt: skip

# What a parameter lets through and what keeps it back, one item each as it stands in rim:Value.
DE, SS, FD = "$XDSDocumentEntry", "$XDSSubmissionSet", "$XDSFolder"
STATUS = (f"'{APPROVED}'", f"'{DEPRECATED}'")
TIME_FROM, TIME_TO = ("20240102", "20240103"), ("20240103", "20240102")
AUTHOR = ("'%^O''Ne_l^%'", "'%^O''Ne_^%'")
VALUES: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(
        (DE + "PatientId", SS + "PatientId", FD + "PatientId", "$patientId"),
        ("'P''1^^^&2.999.1.1&ISO'", f"'{NOBODY}'"),
    ),
    **dict.fromkeys((DE + "Status", SS + "Status", FD + "Status", "$XDSAssociationStatus"), STATUS),
    **{
        DE + name: (f"'{code}^^2.999.20'", f"'{code}^^2.999.21'")
        for name, code in (
            ("ClassCode", "class"), ("TypeCode", "type"), ("FormatCode", "format"), ("EventCodeList", "event"),
            ("PracticeSettingCode", "practice"), ("HealthcareFacilityTypeCode", "facility"),
            ("ConfidentialityCode", "secret"),
        )
    },
    **{
        name + end: values
        for name in (DE + "CreationTime", DE + "ServiceStartTime", DE + "ServiceStopTime", SS + "SubmissionTime",
                     FD + "LastUpdateTime")
        for end, values in (("From", TIME_FROM), ("To", TIME_TO))
    },
    DE + "AuthorPerson": AUTHOR,
    SS + "AuthorPerson": AUTHOR,
    DE + "ReferenceIdList": (f"'{REFERENCE}'", f"'{REFERENCE.replace('_', 'x')}'"),
    DE + "Type": (f"'{uuids.STABLE}'", f"'{uuids.ON_DEMAND}'"),
    DE + "DocumentAvailability": (f"'{AVAILABILITIES[0]}'", f"'{AVAILABILITIES[1]}'"),
    DE + "EntryUUID": (f"'{ENTRY}'", f"'{UNKNOWN}'"),
    DE + "UniqueId": ("'2.999.10.1'", "'2.999.10.9'"),
    DE + "LogicalID": (f"'{FORMER}'", f"'{ENTRY}'"),
    FD + "EntryUUID": (f"'{FOLDER}'", f"'{UNKNOWN}'"),
    FD + "UniqueId": ("'2.999.12.1'", "'2.999.12.9'"),
    FD + "LogicalID": (f"'{FORMER_FOLDER}'", f"'{FOLDER}'"),
    FD + "CodeList": ("'folder^^2.999.20'", "'Folder^^2.999.20'"),
    SS + "EntryUUID": (f"'{SET}'", f"'{UNKNOWN}'"),
    SS + "UniqueId": ("'2.999.11.1'", "'2.999.11.9'"),
    SS + "SourceId": ("'2.999.3'", "'2.999.4'"),
    SS + "ContentType": ("'content^^2.999.20'", "'folder^^2.999.20'"),
    "$uuid": (f"'{ENTRY}'", f"'{UNKNOWN}'"),
    "$AssociationTypes": (f"'{uuids.XFRM}'", f"'{uuids.SIGNS}'"),
    "$MetadataLevel": ("2", "1"),
}  # fmt: skip
# The required parameters that let everything through where a test is about another.
BASE = {
    **{name: f"({','.join(STATUS)})" for name in (DE + "Status", SS + "Status", FD + "Status")},
    "$AssociationTypes": f"('{uuids.XFRM}','{uuids.APND}')",
}
# What is looked for: by the query, or by the parameter where another object shows what it does.
LOOKED_FOR = {
    uuids.FIND_SUBMISSION_SETS: SET, uuids.GET_SUBMISSION_SETS: SET, uuids.FIND_FOLDERS: FOLDER,
    uuids.GET_FOLDERS: FOLDER, uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS: FOLDER,
    uuids.GET_FOLDERS_FOR_DOCUMENT: FOLDER, uuids.GET_ASSOCIATIONS: TRANSFORMS, uuids.GET_RELATED_DOCUMENTS: TRANSFORMS,
}  # fmt: skip
LOOKED_FOR_BY = {
    (uuids.GET_ALL, SS + "Status"): SET,
    (uuids.GET_ALL, FD + "Status"): FOLDER,
    (uuids.GET_ALL, "$XDSAssociationStatus"): TRANSFORMS,
    (uuids.GET_DOCUMENTS_AND_ASSOCIATIONS, "$XDSAssociationStatus"): TRANSFORMS,
    (uuids.GET_FOLDER_AND_CONTENTS, "$XDSAssociationStatus"): IN_FOLDER,
    (uuids.FIND_DOCUMENTS, "$MetadataLevel"): FORMER,
    (uuids.FIND_DOCUMENTS_BY_REFERENCE_ID, "$MetadataLevel"): FORMER,
    (uuids.FIND_FOLDERS, "$MetadataLevel"): FORMER_FOLDER,
    (uuids.GET_ALL, "$MetadataLevel"): GONE,
    (uuids.GET_DOCUMENTS, "$MetadataLevel"): FORMER,
    (uuids.GET_FOLDERS, "$MetadataLevel"): FORMER_FOLDER,
    (uuids.GET_ASSOCIATIONS, "$MetadataLevel"): GONE,
    (uuids.GET_DOCUMENTS_AND_ASSOCIATIONS, "$MetadataLevel"): GONE,
    (uuids.GET_SUBMISSION_SETS, "$MetadataLevel"): GONE_SET,
    (uuids.GET_SUBMISSION_SET_AND_CONTENTS, "$MetadataLevel"): FORMER,
    (uuids.GET_FOLDER_AND_CONTENTS, "$MetadataLevel"): FORMER,
    (uuids.GET_FOLDERS_FOR_DOCUMENT, "$MetadataLevel"): FORMER_FOLDER,
    (uuids.GET_RELATED_DOCUMENTS, "$MetadataLevel"): GONE,
}
# By the id of one version MetadataLevel has nothing to choose from.
START_AT_LEVEL = {uuids.GET_DOCUMENTS: DE + "LogicalID", uuids.GET_FOLDERS: FD + "LogicalID"}

Slots = tuple[tuple[str, tuple[str, ...]], ...]


class Asker:
    """Sends a query with one parameter set, and the others so that they let everything through."""

    def __init__(self, registry: SqlRegistry, query: Query, name: str) -> None:
        self.registry, self.query, self.name = registry, query, name
        self.parameter = query.parameters[name]
        self.expected = LOOKED_FOR_BY.get((query.id, name)) or LOOKED_FOR.get(query.id, ENTRY)

    def _base(self) -> Slots:
        needed = [name for name, parameter in self.query.parameters.items() if parameter.required]
        start = START_AT_LEVEL.get(self.query.id, "") if self.name == "$MetadataLevel" else ""
        if self.query.one_of and self.name not in self.query.one_of:
            needed.append(start or self.query.one_of[0])
        if self.query.any_of and self.name not in self.query.any_of:
            needed.append(self.query.any_of[0])
        return tuple(
            (name, (BASE.get(name) or self._written(name, VALUES[name][:1]),)) for name in needed if name != self.name
        )

    def _written(self, name: str, items: Iterable[str]) -> str:
        text = ",".join(items)
        return f"({text})" if self.query.parameters[name].multiple else text

    def written(self, *items: str) -> str:
        """Items of the parameter as one rim:Value."""
        return self._written(self.name, items)

    def check(self, *slots: tuple[str, ...]) -> stored_query.Checked:
        """What the rules make of the query with these Slots of the parameter, each of so many rim:Values."""
        sent = (*self._base(), *((self.name, values) for values in slots))
        return stored_query.check(AdhocQuery(self.query.id, "LeafClass", sent), queries=QUERIES)

    def finds(self, *slots: tuple[str, ...]) -> bool:
        """Whether what is looked for is found."""
        checked = self.check(*slots)
        assert checked.query is not None, checked.problems
        with self.registry.reading() as session:
            return self.expected in {one.id for one in session.find(checked.query)}

    def codes(self, *slots: tuple[str, ...]) -> list[str]:
        """What it is refused with."""
        return [one.code for one in self.check(*slots).problems]


def items_of(name: str) -> tuple[str, str]:
    """What lets through, what keeps back; an exclusion is the other way round."""
    kept, dropped = VALUES[name.removesuffix("Exclude")]
    return (dropped, kept) if name.endswith("Exclude") else (kept, dropped)


def test_every_query_has_its_clause() -> None:
    assert CLAUSES.keys() == QUERIES.keys()


@pytest.mark.parametrize("query_id", QUERIES, ids=[f"{CLAUSES[one.id]} {one.name}" for one in QUERIES.values()])
def test_each_parameter_selects(engine: Engine, query_id: str, subtests: pytest.Subtests) -> None:
    """One value lets through, another keeps back; lists are alternatives; repeated Slots all hold, or are refused."""
    registry, query = SqlRegistry(engine), QUERIES[query_id]
    with registry.writing() as session:
        session.save(WORLD)
    for name, parameter in query.parameters.items():
        with subtests.test(f"{CLAUSES[query_id]} {name}"):
            asker = Asker(registry, query, name)
            kept, dropped = items_of(name)
            one, other, both = asker.written(kept), asker.written(dropped), asker.written(kept, dropped)
            assert asker.finds((one,))
            assert not asker.finds((other,))
            if parameter.multiple and not name.endswith("Exclude"):
                assert asker.finds((both,)), "a list is alternatives"
                assert asker.finds((other, one)), "a list may be divided among rim:Values"
            elif not parameter.multiple:
                assert asker.codes((one, one)) == ["XDSStoredQueryParamNumber"]
            if not parameter.conjunctive:
                assert "XDSStoredQueryParamNumber" in asker.codes((one,), (one,))
            elif not name.endswith("Exclude"):
                assert asker.finds((one,), (both,)), "repeated Slots hold together"
                assert not asker.finds((one,), (other,)), "repeated Slots hold together"
            if parameter.required:
                assert asker.codes() == ["XDSStoredQueryMissingParam"]


def test_as_many_values_as_are_accepted_can_be_asked_for(engine: Engine, subtests: pytest.Subtests) -> None:
    """1,000 values of each parameter, and as many Slots as may hold together: a database has limits of its own."""
    registry, query = SqlRegistry(engine), QUERIES[uuids.FIND_DOCUMENTS_BY_REFERENCE_ID]
    with registry.writing() as session:
        session.save(WORLD)
    most = stored_query.MAX_VALUES
    for name, parameter in query.parameters.items():
        if not parameter.multiple or parameter.vocabulary:
            continue
        with subtests.test(name):
            asker = Asker(registry, query, name)
            kept, dropped = items_of(name)
            other = [f"{dropped[:-1]}{number}'" for number in range(most)]
            assert asker.finds((asker.written(*other[1:], kept),))
            assert not asker.finds((asker.written(*other),))
            if parameter.conjunctive:
                few = asker.written(*other[1 : stored_query.MAX_ALTERNATIVES], kept)
                assert asker.finds(*[(few,)] * stored_query.MAX_GROUPS)
