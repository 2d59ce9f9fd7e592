"""A valid query, one change, the named problem (ITI TF-2 3.18.4.1.2.3, 3.18.4.1.3)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import sample_messages
from xdsi.domain.codes import Code
from xdsi.domain.outcome import Problem
from xdsi.domain.stored_query import AdhocQuery, ReturnType, StoredQuery, Value
from xdsi.rules import query_values, stored_query
from xdsi.rules.query_values import BadCoding
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED, QUERY, RIM
from xdsi.spec.stored_queries import EXTENSIONS, ITI18, ITI51, ITI63, STORED_QUERIES, Coding, Parameter, Query
from xdsi.wire.ebxml import query
from xdsi.wire.message import Message
from xdsi.wire.xml import E

CX = "P1^^^&2.999.1&ISO"
PATIENT, STATUS = "$XDSDocumentEntryPatientId", "$XDSDocumentEntryStatus"
EVENT, CLASS = "$XDSDocumentEntryEventCodeList", "$XDSDocumentEntryClassCode"
UUID, UNIQUE = "$XDSDocumentEntryEntryUUID", "$XDSDocumentEntryUniqueId"
REQUIRED = ((PATIENT, (f"'{CX}'",)), (STATUS, (f"('{APPROVED}')",)))
ID = "urn:uuid:00000001-1111-4222-8333-444455556666"

Slots = tuple[tuple[str, tuple[str, ...]], ...]


def find(*slots: tuple[str, tuple[str, ...]], base: Slots = REQUIRED, **changes: Any) -> AdhocQuery:
    """FindDocuments with more parameters."""
    request = AdhocQuery(uuids.FIND_DOCUMENTS, "LeafClass", (*base, *slots))
    return replace(request, **changes)


def get(*slots: tuple[str, tuple[str, ...]], query_id: str = uuids.GET_DOCUMENTS) -> AdhocQuery:
    return AdhocQuery(query_id, "LeafClass", slots)


def parameters(request: AdhocQuery, **options: Any) -> dict[str, tuple[tuple[Value, ...], ...]]:
    checked = stored_query.check(request, **options)
    assert checked.problems == ()
    assert checked.query is not None
    return dict(checked.query.parameters)


def problems(request: AdhocQuery, **options: Any) -> tuple[Problem, ...]:
    checked = stored_query.check(request, **options)
    assert (checked.query is None) == bool(checked.problems)
    return checked.problems


def test_a_query_as_it_should_be() -> None:
    checked = stored_query.check(find(home_community_id="urn:oid:2.999", start_index=3, max_results=7))
    assert checked.query == StoredQuery(
        uuids.FIND_DOCUMENTS, ReturnType.LEAF_CLASS, {PATIENT: ((CX,),), STATUS: ((APPROVED,),)}, "urn:oid:2.999", 3, 7
    )
    assert checked.ignored == ()


A, B, C = (Code(letter, "2.9") for letter in "abc")

# Slots beyond the required ones, the parameter, how it is understood.
UNDERSTOOD: dict[str, tuple[Slots, str, tuple[tuple[Value, ...], ...]]] = {
    "one code": (((CLASS, ("('a^^2.9')",)),), CLASS, ((A,),)),
    "a list": (((CLASS, ("('a^^2.9','b^^2.9')",)),), CLASS, ((A, B),)),
    "a list with white space": (((CLASS, (" ( 'a^^2.9' ,\n'b^^2.9' ) ",)),), CLASS, ((A, B),)),
    "a list split over values": (((CLASS, ("('a^^2.9')", "('b^^2.9','c^^2.9')")),), CLASS, ((A, B, C),)),
    "a repeated value": (((CLASS, ("('a^^2.9','a^^2.9')",)),), CLASS, ((A,),)),
    "a list without parentheses around one": (((CLASS, ("'a^^2.9'",)),), CLASS, ((A,),)),
    "a repeated Slot": (((EVENT, ("('a^^2.9','b^^2.9')",)), (EVENT, ("('c^^2.9')",))), EVENT, ((A, B), (C,))),
    "doubled quotes": (
        (("$XDSDocumentEntryAuthorPerson", ("('%O''Neil%')",)),), "$XDSDocumentEntryAuthorPerson", (("%O'Neil%",),),
    ),
    "nothing but a quote": (
        (("$XDSDocumentEntryAuthorPerson", ("('''')",)),), "$XDSDocumentEntryAuthorPerson", (("'",),),
    ),
    "signs of lists inside quotes": (
        (("$XDSDocumentEntryAuthorPerson", ("('a,(b)')",)),), "$XDSDocumentEntryAuthorPerson", (("a,(b)",),),
    ),
    "a bare time": (
        (("$XDSDocumentEntryCreationTimeFrom", ("2024",)),), "$XDSDocumentEntryCreationTimeFrom", (("2024",),),
    ),
    "a time in quotes": (
        (("$XDSDocumentEntryCreationTimeFrom", ("'202401'",)),), "$XDSDocumentEntryCreationTimeFrom", (("202401",),),
    ),
    "a single value in parentheses": (
        (("$XDSDocumentEntryCreationTimeTo", ("('2024')",)),), "$XDSDocumentEntryCreationTimeTo", (("2024",),),
    ),
    "a number": ((("$MetadataLevel", ("2",)),), "$MetadataLevel", (("2",),)),
    "a code in another normal form": (
        ((CLASS, ("('e\u0301^^2.9')",)),), CLASS, ((Code("é", "2.9"),),),
    ),
    "a Slot without values": (((CLASS, ()),), CLASS, ()),
}  # fmt: skip


@pytest.mark.parametrize(("slots", "name", "expected"), UNDERSTOOD.values(), ids=UNDERSTOOD.keys())
def test_understands(slots: Slots, name: str, expected: tuple[tuple[Value, ...], ...]) -> None:
    assert parameters(find(*slots)).get(name, ()) == expected


def test_a_patient_id_in_parentheses_is_one_value() -> None:
    base = ((PATIENT, (f"('{CX}')",)), REQUIRED[1])
    assert parameters(find(base=base))[PATIENT] == ((CX,),)


def test_unknown_statuses_are_dropped() -> None:
    """3.18.4.1.2.3.6."""
    base = (REQUIRED[0], (STATUS, (f"('urn:x','{DEPRECATED}')",)))
    assert parameters(find(base=base))[STATUS] == ((DEPRECATED,),)


def test_unknown_parameters_are_ignored_or_refused() -> None:
    request = find(("$Mine", ("anything (",)), ("$Mine", ()), ("Yours", ("1",)))
    checked = stored_query.check(request)
    assert (checked.problems, checked.ignored) == ((), ("$Mine", "Yours"))
    refused = stored_query.check(request, reject_unknown_parameters=True)
    assert [(one.code, one.location) for one in refused.problems] == [
        ("XDSRegistryError", "$Mine"), ("XDSRegistryError", "Yours"),
    ]  # fmt: skip
    assert refused.query is None


MISSING, NUMBER, ERROR = "XDSStoredQueryMissingParam", "XDSStoredQueryParamNumber", "XDSRegistryError"
REFUSED: dict[str, tuple[AdhocQuery, tuple[str, str, str]]] = {
    "an unknown query": (find(query_id="urn:uuid:1"), ("XDSUnknownStoredQuery", "QUERY.id", "AdhocQuery/@id")),
    "a query of another transaction": (
        find(query_id=uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS),
        ("XDSUnknownStoredQuery", "QUERY.id", "AdhocQuery/@id"),
    ),
    "no query id": (find(query_id=""), ("XDSUnknownStoredQuery", "QUERY.id", "AdhocQuery/@id")),
    "no status": (find(base=REQUIRED[:1]), (MISSING, "QUERY.required", STATUS)),
    "no patient": (find(base=REQUIRED[1:]), (MISSING, "QUERY.required", PATIENT)),
    "a status without values": (find(base=(REQUIRED[0], (STATUS, ()))), (MISSING, "QUERY.required", STATUS)),
    "no known status": (find(base=(REQUIRED[0], (STATUS, ("('urn:x')",)))), (MISSING, "QUERY.required", STATUS)),
    "the misprinted status of the Framework": (
        find(base=(REQUIRED[0], (STATUS, ("('urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Approved')",)))),
        (MISSING, "QUERY.required", STATUS),
    ),
    "two patients": (
        find(base=((PATIENT, (f"('{CX}','{CX}')",)), REQUIRED[1])), (NUMBER, "QUERY.parameter.single", PATIENT),
    ),
    "two values for one": (
        find(base=((PATIENT, (f"'{CX}'", f"'{CX}'")), REQUIRED[1])), (NUMBER, "QUERY.parameter.single", PATIENT),
    ),
    "a Slot repeated without AND": (
        find((CLASS, ("('a^^2.9')",)), (CLASS, ("('b^^2.9')",))), (NUMBER, "QUERY.parameter.repeated", CLASS),
    ),
    "a required Slot repeated": (find(REQUIRED[1]), (NUMBER, "QUERY.parameter.repeated", STATUS)),
    "a code without quotes": (find((CLASS, ("(a^^2.9)",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "a code without scheme": (find((CLASS, ("('a')",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "a code with an empty scheme": (find((CLASS, ("('a^^')",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "a code with a display name": (find((CLASS, ("('a^A^2.9')",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "a code with a fourth part": (find((CLASS, ("('a^^2.9^x')",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "a list without parentheses": (find((CLASS, ("'a^^2.9','b^^2.9'",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "a list not closed": (find((CLASS, ("('a^^2.9'",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "a list in a list": (find((CLASS, ("(('a^^2.9'))",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "an empty list": (find((CLASS, ("()",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "a list with a comma too many": (find((CLASS, ("('a^^2.9',)",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "a quote not closed": (find((CLASS, ("('a^^2.9)",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "a single quote inside": (find((CLASS, ("('a'a^^2.9')",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "typographic quotes": (find((CLASS, ("(‘a^^2.9’)",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "an empty value": (find((CLASS, ("",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "a patient id of another form": (
        find(base=((PATIENT, ("'P1'",)), REQUIRED[1])), (ERROR, "QUERY.parameter.coding", PATIENT),
    ),
    "a patient id without quotes": (
        find(base=((PATIENT, (CX,)), REQUIRED[1])), (ERROR, "QUERY.parameter.coding", PATIENT),
    ),
    "a date that does not exist": (
        find(("$XDSDocumentEntryCreationTimeFrom", ("20240230",))),
        (ERROR, "QUERY.parameter.coding", "$XDSDocumentEntryCreationTimeFrom"),
    ),
    "a date with dashes": (
        find(("$XDSDocumentEntryServiceStopTimeTo", ("2024-01-01",))),
        (ERROR, "QUERY.parameter.coding", "$XDSDocumentEntryServiceStopTimeTo"),
    ),
    "a level in words": (
        find(("$MetadataLevel", ("'two'",))), (ERROR, "QUERY.parameter.coding", "$MetadataLevel"),
    ),
    "a level that there is not": (
        find(("$MetadataLevel", ("3",))), (ERROR, "QUERY.parameter.coding", "$MetadataLevel"),
    ),
    "a value too long": (find((CLASS, (f"('{'a' * 260}^^2.9')",))), (ERROR, "QUERY.parameter.coding", CLASS)),
    "too many values": (
        get((UUID, tuple(f"('urn:uuid:{number}')" for number in range(1001)))), (ERROR, "QUERY.limit.values", UUID),
    ),
    "too many values in one": (
        get((UUID, ("(" + ",".join(f"'urn:uuid:{number}'" for number in range(1001)) + ")",))),
        (ERROR, "QUERY.limit.values", UUID),
    ),
    "too many repetitions": (
        find(*[(EVENT, ("('a^^2.9')",))] * 17), (ERROR, "QUERY.limit.groups", EVENT),
    ),
    "too many alternatives in a repeated Slot": (
        find((EVENT, ("('a^^2.9')",)), (EVENT, tuple(f"('{number}^^2.9')" for number in range(65)))),
        (ERROR, "QUERY.limit.values", EVENT),
    ),
    "RegistryObject": (find(return_type="RegistryObject"), (ERROR, "QUERY.returnType", "ResponseOption/@returnType")),
    "LeafClassWithRepositoryItem": (
        find(return_type="LeafClassWithRepositoryItem"), (ERROR, "QUERY.returnType", "ResponseOption/@returnType"),
    ),
    "no returnType": (find(return_type=""), (ERROR, "QUERY.returnType", "ResponseOption/@returnType")),
    "a negative startIndex": (
        find(start_index=-1), (ERROR, "QUERY.startIndex", "AdhocQueryRequest/@startIndex"),
    ),
    "neither of two": (get(), (MISSING, "QUERY.one-of.missing", UUID)),
    "both of two": (get((UUID, (f"('{ID}')",)), (UNIQUE, ("('2.9')",))), (NUMBER, "QUERY.one-of.several", UNIQUE)),
    "two ids where there is one": (
        get(("$XDSFolderEntryUUID", (f"'{ID}'", f"'{ID}'")), query_id=uuids.GET_FOLDER_AND_CONTENTS),
        (NUMBER, "QUERY.parameter.single", "$XDSFolderEntryUUID"),
    ),
    "no association types": (
        get((UUID, (f"'{ID}'",)), query_id=uuids.GET_RELATED_DOCUMENTS),
        (MISSING, "QUERY.required", "$AssociationTypes"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses(request_: AdhocQuery, expected: tuple[str, str, str]) -> None:
    (found,) = problems(request_)
    assert (found.code, found.rule, found.location) == expected
    assert len(found.context) < 600
    if found.code in {MISSING, NUMBER}:
        assert found.location in found.context  # these codes demand the parameter's name


def test_all_problems_are_reported_at_once() -> None:
    request = find((CLASS, ("(a)",)), ("$XDSDocumentEntryCreationTimeTo", ("x",)), base=REQUIRED[:1], return_type="x")
    assert [one.rule for one in problems(request)] == [
        "QUERY.returnType", "QUERY.parameter.coding", "QUERY.parameter.coding", "QUERY.required",
    ]  # fmt: skip


class TestMultiplePatients:
    """ITI-51 (ITI TF-2 3.51.4.1.2)."""

    FIND = uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS

    def test_several_patients_or_none(self) -> None:
        base = ((PATIENT, (f"('{CX}','P2^^^&2.999.1&ISO')",)), REQUIRED[1])
        read = parameters(find(base=base, query_id=self.FIND), queries=ITI51)
        assert read[PATIENT] == ((CX, "P2^^^&2.999.1&ISO"),)
        base = ((CLASS, ("('a^^2.9')",)), REQUIRED[1])
        assert PATIENT not in parameters(find(base=base, query_id=self.FIND), queries=ITI51)

    def test_at_least_one_of_the_group(self) -> None:
        (found,) = problems(find(base=REQUIRED[1:], query_id=self.FIND), queries=ITI51)
        assert (found.code, found.rule) == (MISSING, "QUERY.any-of")

    def test_no_parameters_of_metadata_update(self) -> None:
        checked = stored_query.check(find(("$MetadataLevel", ("2",)), query_id=self.FIND), queries=ITI51)
        assert checked.ignored == ("$MetadataLevel",)


def test_excluding_and_including_the_same_is_refused() -> None:
    """CP-ITI-1323."""
    (row,) = [one for one in EXTENSIONS.values() if one.name == "FindDocumentsExclude"]
    both = ((CLASS, ("('a^^2.9')",)), (f"{CLASS}Exclude", ("('b^^2.9')",)))
    assert parameters(find(both[1], query_id=row.id), queries=EXTENSIONS)[f"{CLASS}Exclude"] == ((B,),)
    (found,) = problems(find(*both, query_id=row.id), queries=EXTENSIONS)
    assert (found.code, found.rule) == (NUMBER, "QUERY.not-both")


PATIENT_VALUES = {
    "quoted": (("'P1'",), ("P1",)),
    "a list": (("('P1','P2')", "('P3','P1')"), ("P1", "P2", "P3")),
    "badly coded": (("P1", "('P2'"), ("P1", "('P2'")),
    "none": ((), ()),
}


@pytest.mark.parametrize(("values", "expected"), PATIENT_VALUES.values(), ids=PATIENT_VALUES.keys())
def test_patients_for_the_audit_record(values: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert stored_query.patient_values(find(base=((PATIENT, values),)), PATIENT) == expected


# --- writing ---


def test_written_strictly() -> None:
    """3.18.4.1.2.3.5: lists in parentheses, single values without, numbers bare."""
    written = stored_query.encode(
        StoredQuery(
            uuids.FIND_DOCUMENTS, ReturnType.OBJECT_REF,
            {
                PATIENT: ((CX,),), STATUS: ((APPROVED,),), EVENT: ((A, B), (C,)),
                "$XDSDocumentEntryAuthorPerson": (("%O'Neil%",),), "$XDSDocumentEntryCreationTimeFrom": (("2024",),),
            },
            "urn:oid:2.999", 1, 2,
        )
    )  # fmt: skip
    assert written == AdhocQuery(
        uuids.FIND_DOCUMENTS, "ObjectRef",
        (
            (PATIENT, (f"'{CX}'",)), (STATUS, (f"('{APPROVED}')",)), (EVENT, ("('a^^2.9','b^^2.9')",)),
            (EVENT, ("('c^^2.9')",)), ("$XDSDocumentEntryAuthorPerson", ("('%O''Neil%')",)),
            ("$XDSDocumentEntryCreationTimeFrom", ("2024",)),
        ),
        "urn:oid:2.999", True, 1, 2,
    )  # fmt: skip


def test_long_lists_are_split_between_items() -> None:
    ids = tuple(f"urn:uuid:{number:08d}-1111-4222-8333-444455556666" for number in range(40))
    written = stored_query.encode(StoredQuery(uuids.GET_DOCUMENTS, ReturnType.LEAF_CLASS, {UUID: (ids,)}))
    ((name, values),) = written.slots
    assert (name, len(values) > 1) == (UUID, True)
    assert all(len(value) <= 256 for value in values)
    assert parameters(written) == {UUID: (ids,)}


@pytest.mark.parametrize(
    "query_",
    [
        StoredQuery("urn:uuid:1", ReturnType.LEAF_CLASS, {}),
        StoredQuery(uuids.GET_DOCUMENTS, ReturnType.LEAF_CLASS, {"$Mine": (("x",),)}),
        StoredQuery(uuids.FIND_DOCUMENTS, ReturnType.LEAF_CLASS, {PATIENT: ((CX, CX),)}),
        StoredQuery(uuids.FIND_DOCUMENTS, ReturnType.LEAF_CLASS, {CLASS: ((A,), (B,))}),
    ],
)
def test_cannot_write(query_: StoredQuery) -> None:
    with pytest.raises(ValueError, match=r"unknown|no parameter|takes one|repeated"):
        stored_query.encode(query_)


def values_of(parameter: Parameter) -> st.SearchStrategy[Value]:
    sign = st.characters(exclude_categories=("Cs", "Mn", "Mc"), exclude_characters="^", max_codepoint=0x2FF)
    text: st.SearchStrategy[str] = st.text(sign | st.sampled_from("'(),"), min_size=1, max_size=20)
    if parameter.coding is Coding.CODE:
        return st.builds(Code, text, text)
    if parameter.vocabulary:
        return st.sampled_from(sorted(parameter.vocabulary))
    return {
        Coding.TIME: st.sampled_from(["2024", "20240131", "20240131235959"]),
        Coding.LEVEL: st.sampled_from(["1", "2"]),
        Coding.PATIENT: st.sampled_from([CX, "O'Neil^^^&2.999.1&ISO"]),
    }.get(parameter.coding, text)


@st.composite
def stored_queries(draw: st.DrawFn) -> StoredQuery:
    """Any query of the table, with its required parameters and any others."""
    row: Query = draw(st.sampled_from(list(STORED_QUERIES.values())))
    chosen = {draw(st.sampled_from(group)) for group in (row.one_of, row.any_of) if group}
    excluded = {name for pair in row.not_both for name in pair[1:]} | {*row.one_of} - chosen
    found: dict[str, tuple[tuple[Value, ...], ...]] = {}
    for name, parameter in row.parameters.items():
        if name in excluded or not (parameter.required or name in chosen or draw(st.booleans())):
            continue
        values = st.lists(
            values_of(parameter), min_size=1, max_size=3 if parameter.multiple else 1, unique=True
        ).map(tuple)  # fmt: skip
        groups = st.lists(values, min_size=1, max_size=2 if parameter.conjunctive else 1)
        found[name] = tuple(draw(groups))
    return StoredQuery(row.id, draw(st.sampled_from(ReturnType)), found)


@given(stored_queries())
def test_any_query_is_read_as_written(sample: StoredQuery) -> None:
    checked = stored_query.check(stored_query.encode(sample), queries=STORED_QUERIES)
    assert checked.problems == ()
    assert checked.query == sample


@given(st.text(st.sampled_from("'(),^ a1\n"), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = query_values.items(text)
    except BadCoding:
        return
    written = "(" + ",".join("'" + item.replace("'", "''") + "'" for item, _ in found) + ")"
    assert [item for item, _ in query_values.items(written)] == [item for item, _ in found]


def test_hostile_values_are_refused_quickly() -> None:
    for text in ("'" * 100_001, "(" * 100_000, "('a'" * 50_000, "'a" * 50_000 + "'", "a" * 100_000 + "'"):
        with pytest.raises(BadCoding):
            query_values.items(text)


# --- samples of others ---

FILLING = {
    Coding.CODE: "a^^2.9", Coding.PATIENT: CX, Coding.STATUS: APPROVED, Coding.TIME: "2024", Coding.LEVEL: "2",
    Coding.URN: ID, Coding.STRING: "2.9",
}  # fmt: skip


def filled(request: AdhocQuery) -> AdhocQuery:
    """The request with something in the places that a test kit fills in as it runs, written `$name$`."""
    row = STORED_QUERIES[request.query_id]

    def fill(name: str, value: str) -> str:
        parameter = row.parameters.get(name)
        return re.sub(r"\$\w+\$", FILLING[parameter.coding] if parameter else "x", value)

    # Of alternatives the kit leaves those out that it does not fill in.
    spare = [name for name, _ in request.slots if name in row.one_of][1:]
    slots = tuple(
        (name, tuple(fill(name, value) for value in values)) for name, values in request.slots if name not in spare
    )
    return replace(request, slots=slots, return_type=re.sub(r"\$\w+\$", "LeafClass", request.return_type))


@pytest.mark.oracle
def test_queries_of_others_are_understood() -> None:
    refused: dict[str, list[str]] = {}
    ignored: set[str] = set()
    understood = 0
    for name, element in sample_messages(E(QUERY, "AdhocQueryRequest")):
        if element.find(E(RIM, "AdhocQuery")) is None:
            continue  # not XDS.b: its AdhocQuery is in another namespace
        checked = stored_query.check(filled(query.decode_request(Message((element,)))), queries=STORED_QUERIES)
        understood += checked.query is not None
        ignored.update(checked.ignored)
        if checked.problems:
            refused[name] = [one.rule for one in checked.problems]
    assert understood > 100
    assert {name: rules for name, (rules, _) in FLAWED.items()} == refused
    assert ignored == set()


FLAWED = {
    "ihe-iti-info-examples/XDS.b/RegistryStoredQueryRequest.xml#1": (
        ["QUERY.parameter.coding", "QUERY.parameter.coding", "QUERY.required"],
        "a patient id without quotes, typographic quotes, a status that is none",
    ),
    "ihe-iti-info-examples/XDS.b/RegistryStoredQueryRequest_SOAP.xml#1": (
        ["QUERY.parameter.coding", "QUERY.parameter.coding", "QUERY.required"], "the same in an envelope",
    ),
    "nist-toolkit2/testkit/tests/11897/classcode_scheme_mismatch/query.xml#1": (
        ["QUERY.parameter.coding"], "a code without scheme, which the kit expects to be refused",
    ),
    "nist-toolkit2/testkit/tests/12364/nothing/query.xml#1": (
        ["QUERY.any-of"], "no restriction at all, which the kit expects to be refused",
    ),
    "nist-toolkit2/testkit/utilities/FindDocuments/XDS/query.xml#1": (
        ["QUERY.parameter.coding"], "the kit fills in the quotes together with the value",
    ),
}  # fmt: skip


def test_the_tables_of_the_transactions_do_not_overlap() -> None:
    tables = (ITI18, ITI51, ITI63, EXTENSIONS)
    assert sum(map(len, tables)) == len(STORED_QUERIES)
