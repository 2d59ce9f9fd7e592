"""ITI-51: several patients in one answer, each with an audit record of their own; otherwise as ITI-18."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from tests.audit_samples import facts as sample_facts
from tests.oracles import sample_messages
from tests.transactions.ports import Session, codes, entry_found, served
from xdsi.domain.audit import ExchangeFacts
from xdsi.domain.outcome import Outcome, Problem, Status
from xdsi.domain.stored_query import AdhocQuery, FoundObject, ObjectKind, QueryAnswer
from xdsi.rules import audit, stored_query
from xdsi.rules.stored_query_answer import QueryPorts
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, QUERY
from xdsi.spec.stored_queries import ITI51
from xdsi.transactions import iti51_multi_patient_stored_query as iti51
from xdsi.wire import xml
from xdsi.wire.ebxml import query as codec
from xdsi.wire.message import Message

A, B = (f"urn:uuid:00000000-0000-4000-8000-00000000000{n}" for n in "ab")
FOLDER = "urn:uuid:00000000-0000-4000-8000-0000000000f1"
STATUS = ("$XDSDocumentEntryStatus", (f"('{APPROVED}')",))
BOTH = ("$XDSDocumentEntryPatientId", (f"('{builders.PATIENT}','{builders.OTHER_PATIENT}')",))
PORTS = QueryPorts(home_community_id="urn:oid:2.999.1")


def request(*slots: tuple[str, tuple[str, ...]], return_type: str = "LeafClass") -> AdhocQuery:
    return AdhocQuery(uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS, return_type, slots, raw=b"<q/>")


def entry(id_: str, patient_key: int) -> FoundObject:
    return entry_found(builders.document_entry(id_, unique_id=f"2.999.{id_[-1:]}"), patient_key)


def answered(asked: AdhocQuery, *found: FoundObject, **more: Any) -> QueryAnswer:
    session = Session(found=found)
    session.answers[asked.query_id] = [one.id for one in found]
    answer = served(iti51.TRANSACTION, asked, PORTS, session, **more)
    assert isinstance(answer, QueryAnswer)
    return answer


def shown(answer: QueryAnswer) -> list[str]:
    return [id_ for id_, _ in answer.object_refs] or [fragment.decode() for fragment in answer.fragments]


def test_results_may_be_of_several_patients() -> None:
    """3.51.4.1.2: the single-patient rule of LeafClass does not hold here."""
    answer = answered(request(BOTH, STATUS), entry(A, 1), entry(B, 2))
    assert answer.outcome.status is Status.SUCCESS
    assert shown(answer) == [A, B]


def test_what_consent_hides_is_left_out() -> None:
    assert shown(answered(request(BOTH, STATUS), entry(A, 1), entry(B, 2), denied=["2.999.a"])) == [B]


def test_folders_of_several_patients() -> None:
    slots = (("$XDSFolderCodeList", ("('A^^2.9')",)), ("$XDSFolderStatus", (f"('{APPROVED}')",)))
    asked = AdhocQuery(uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS, "ObjectRef", slots)
    assert shown(answered(asked, FoundObject(id=FOLDER, kind=ObjectKind.FOLDER, patient_key=1))) == [FOLDER]


REFUSED = {
    "nothing to narrow it": (request(STATUS), "XDSStoredQueryMissingParam"),
    "no status": (request(BOTH), "XDSStoredQueryMissingParam"),
    "a query of ITI-18": (AdhocQuery(uuids.FIND_DOCUMENTS, "LeafClass", (BOTH, STATUS)), "XDSUnknownStoredQuery"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_asked(case: str) -> None:
    asked, code = REFUSED[case]
    outcome = answered(asked).outcome
    assert [found for found, _ in codes(outcome)] == [code]
    assert outcome.status is Status.FAILURE


def facts(asked: AdhocQuery, answer: QueryAnswer | None = None) -> ExchangeFacts:
    return iti51.facts(asked, answer or QueryAnswer(Outcome()), sample_facts("ITI-51", patients=()))


def test_each_patient_of_the_query_has_an_audit_record() -> None:
    """3.51.5.1: one record per patient id, each with the whole query."""
    events = audit.events_for(facts(request(BOTH, STATUS)))
    assert [event.patient for event in events] == [builders.PATIENT, builders.OTHER_PATIENT]
    for event in events:
        assert event.transaction == "ITI-51"
        (asked,) = [thing for thing in event.objects if thing.query is not None]
        assert (asked.id, asked.query) == (uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS, b"<q/>")
        assert ("QueryEncoding", b"UTF-8") in [(detail.type, detail.value) for detail in asked.details]


def test_a_query_for_nobody_in_particular_has_one_audit_record() -> None:
    events = audit.events_for(facts(request(("$XDSDocumentEntryClassCode", ("('A^^2.9')",)), STATUS)))
    assert [event.patient for event in events] == [""]


def test_refusals_have_no_results() -> None:
    problem = Problem("XDSRegistryBusy", "not available at the moment")
    assert iti51.refuse(None, [problem]) == QueryAnswer(Outcome((problem,)))


@pytest.mark.oracle
def test_the_queries_of_others_are_understood() -> None:
    """12364/nothing restricts nothing and must be refused; the patients of the kit are places to be filled in."""
    element = xml.E(QUERY, "AdhocQueryRequest")
    found = {}
    for name, message in sample_messages(element):
        if not any(one.get("id") in ITI51 for one in message):
            continue
        asked = codec.decode_request(Message((message,)))
        asked = AdhocQuery(asked.query_id, asked.return_type, tuple(map(_filled, asked.slots)))
        found[name] = [problem.rule for problem in stored_query.check(asked, queries=ITI51).problems]
    kit = "nist-toolkit2/testkit"
    assert {name: problems for name, problems in found.items() if problems} == {
        f"{kit}/tests/12364/nothing/query.xml#1": ["QUERY.any-of"],
    }
    assert {f"{kit}/tests/12364/{name}/query.xml#1" for name in ("classcode", "eventcode", "one_pid")} <= found.keys()
    assert "ipf/xds/iti51request.xml#1" in found


def _filled(slot: tuple[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    name, values = slot
    if "PatientId" in name:
        return name, tuple(f"('{builders.PATIENT}')" if "$" in value else value for value in values)
    return name, tuple(value for value in values if "$" not in value)
