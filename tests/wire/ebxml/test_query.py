"""AdhocQueryRequest and AdhocQueryResponse (ITI TF-2 3.18.4.1.2, 3.18.4.1.3)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.wire.ebxml.bodies import body_of, message, received
from tests.wire.ebxml.strategies import present, trimmed
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.outcome import Outcome, Problem, Severity
from xdsi.domain.stored_query import AdhocQuery, QueryAnswer
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, QUERY, RIM, SUCCESS
from xdsi.wire import xml
from xdsi.wire.ebxml import fragments, query
from xdsi.wire.message import Packaging

SAMPLE = AdhocQuery(
    query_id=uuids.FIND_DOCUMENTS,
    return_type="LeafClass",
    slots=(
        ("$XDSDocumentEntryPatientId", ("'P1^^^&2.999.1&ISO'",)),
        ("$XDSDocumentEntryStatus", (f"('{APPROVED}')",)),
        ("$XDSDocumentEntryEventCodeList", ("('CT^^2.999')", "('MR^^2.999')")),
        ("$XDSDocumentEntryEventCodeList", ("('CHEST^^2.999')",)),
    ),
)
queries = st.builds(
    AdhocQuery,
    query_id=trimmed,
    return_type=present,
    slots=st.lists(st.tuples(trimmed, st.lists(trimmed, max_size=3).map(tuple)), max_size=3).map(tuple),
    home_community_id=trimmed,
    return_composed_objects=st.booleans(),
    start_index=st.integers(0, 999_999_999),
    max_results=st.integers(-1, 999_999_999),
)


def test_a_request_is_read_as_written() -> None:
    read = query.decode_request(received(query.encode_request(SAMPLE, Packaging.SIMPLE)))
    assert read == SAMPLE
    assert query.decode_request(message(read.raw)) == SAMPLE, "raw is the whole request, for the audit record"


@given(queries)
def test_any_request_is_read_as_written(sample: AdhocQuery) -> None:
    assert query.decode_request(received(query.encode_request(sample, Packaging.SIMPLE))) == sample


def request(option: str = "<ResponseOption/>", adhoc: str = '<r:AdhocQuery id="x"/>', attributes: str = "") -> str:
    return f'<AdhocQueryRequest xmlns="{QUERY}" xmlns:r="{RIM}" {attributes}>{option}{adhoc}</AdhocQueryRequest>'


OPTIONS = {
    "nothing said": (request(), "RegistryObject", False),
    "no ResponseOption": (request(""), "", False),
    "ObjectRef": (request('<ResponseOption returnType="ObjectRef" returnComposedObjects="1"/>'), "ObjectRef", True),
    "white space": (request('<ResponseOption returnType=" LeafClass "/>'), "LeafClass", False),
    "in another order": (
        request('<r:AdhocQuery id="x"/>', '<ResponseOption returnType="LeafClass"/>'), "LeafClass", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "return_type", "composed"), OPTIONS.values(), ids=OPTIONS.keys())
def test_reads_response_option(text: str, return_type: str, composed: bool) -> None:
    read = query.decode_request(message(text))
    assert (read.query_id, read.return_type, read.return_composed_objects) == ("x", return_type, composed)


MALFORMED_REQUESTS = {
    "another element": "<x/>",
    "no AdhocQuery": request(adhoc=""),
    "two queries": request(adhoc='<rim:AdhocQuery id="x"/><rim:AdhocQuery id="y"/>'),
    "startIndex in words": request(attributes='startIndex="one"'),
    "maxResults beyond reason": request(attributes='maxResults="99999999999999999999"'),
    "digits of another script": request(attributes='maxResults="٣"'),
}


@pytest.mark.parametrize("text", MALFORMED_REQUESTS.values(), ids=MALFORMED_REQUESTS.keys())
def test_refuses_request(text: str) -> None:
    with pytest.raises(MalformedMessage):
        query.decode_request(message(text))


ENTRY = builders.document_entry("urn:uuid:11111111-2222-4333-8444-555555555555")


def filled(entry_uuid: str = ENTRY.entry_uuid) -> bytes:
    return fragments.fill(
        fragments.build(builders.document_entry(entry_uuid)),
        **builders.columns(builders.document_entry(entry_uuid)),
        status=APPROVED, version=1, lid=entry_uuid, patient_id=builders.PATIENT,
    )  # fmt: skip


def test_fragments_go_in_as_they_are() -> None:
    first, second = filled(), filled("urn:uuid:11111111-2222-4333-8444-666666666666")
    encoded = body_of(query.encode_answer(QueryAnswer(Outcome(), fragments=[first, second]), Packaging.SIMPLE))
    assert first + second in encoded
    read = received(query.encode_answer(QueryAnswer(Outcome(), fragments=[first, second]), Packaging.SIMPLE))
    assert [one.entry_uuid[-3:] for one in query.objects(read)] == ["555", "666"]


def test_an_answer_streams() -> None:
    read: list[int] = []

    def reading() -> Iterator[bytes]:
        for number in range(3):
            read.append(number)
            yield filled()

    pieces = iter(query.encode_answer(QueryAnswer(Outcome(), fragments=reading()), Packaging.SIMPLE).body)
    assert read == []
    next(pieces)
    assert b"555555555555" in next(pieces)
    assert read == [0]


def test_object_references_with_their_homes() -> None:
    answer = QueryAnswer(
        Outcome(), object_refs=(("urn:uuid:1", ""), ("urn:uuid:2", "urn:oid:2.999")), total=9, start_index=3
    )
    read = query.decode_answer(received(query.encode_answer(answer, Packaging.SIMPLE)))
    assert (read.object_refs, read.total, read.start_index, tuple(read.fragments)) == (answer.object_refs, 9, 3, ())


WARNING = Problem("XDSRegistryError", "hidden:1", severity=Severity.WARNING)
ERROR = Problem("XDSUnknownCommunity", "urn:oid:2.999")
ANSWERS = {
    "nothing found": QueryAnswer(Outcome()),
    "failure": QueryAnswer(Outcome((ERROR,))),
    "warning": QueryAnswer(Outcome((WARNING,)), object_refs=(("urn:uuid:1", ""),)),
    "partial success": QueryAnswer(Outcome((ERROR,), delivered=1), object_refs=(("urn:uuid:1", ""),)),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_is_read_as_written(answer: QueryAnswer) -> None:
    """The RegistryErrorList comes before the RegistryObjectList, which is always there (query.xsd)."""
    sent = received(query.encode_answer(answer, Packaging.SIMPLE))
    assert [child.tag.rpartition("}")[2] for child in sent.body] == [
        *(["RegistryErrorList"] if answer.outcome.problems else []), "RegistryObjectList",
    ]  # fmt: skip
    read = query.decode_answer(sent)
    assert (read.object_refs, read.outcome.problems) == (answer.object_refs, answer.outcome.problems)
    assert read.outcome.status == answer.outcome.status


def test_objects_of_a_foreign_answer_stand_alone() -> None:
    text = (
        f'<AdhocQueryResponse xmlns="{QUERY}" xmlns:a="{RIM}" status="{SUCCESS}"><a:RegistryObjectList>'
        '<a:ObjectRef id="urn:uuid:0"/><a:Association id="urn:uuid:1" associationType="t" sourceObject="s"'
        ' targetObject="d"><a:Slot name="n"><a:ValueList/></a:Slot></a:Association>\n'
        "</a:RegistryObjectList></AdhocQueryResponse>"
    )
    read = query.decode_answer(message(text))
    assert read.object_refs == (("urn:uuid:0", ""),)
    (fragment,) = read.fragments
    assert fragments.read(fragment) == query.objects(message(text))[0]
    assert xml.parse(fragment).nsmap["a"] == RIM


def test_a_failure_may_leave_the_list_out() -> None:
    """The sample of ITI TF-3 4.2.4.2 does."""
    text = (
        f'<AdhocQueryResponse xmlns="{QUERY}" status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure">'
        '<e:RegistryErrorList xmlns:e="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"><e:RegistryError errorCode="A"'
        ' codeContext="b"/></e:RegistryErrorList></AdhocQueryResponse>'
    )
    assert query.decode_answer(message(text)).outcome.problems == (Problem("A", "b"),)
    assert query.objects(message(text)) == ()


def test_refuses_another_answer() -> None:
    for read in (query.decode_answer, query.objects):
        with pytest.raises(MalformedMessage):
            read(message("<x/>"))
