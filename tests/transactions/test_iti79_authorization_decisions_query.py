"""ITI-79: what the asker says of a document must be true of it, and what is not known is denied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests import policies
from tests.audit_samples import facts as sample_facts
from tests.builders import folder
from tests.certificates import identity
from tests.transactions.ports import CALLER, NOW, OneRegistry, Session, clock, served
from tests.wire.ebxml.bodies import received
from xdsi.domain.codes import Code
from xdsi.domain.consent import Action, DecisionRequest, DomainPolicy, Effect, Resource
from xdsi.domain.errors import SoapFault
from xdsi.domain.identifiers import PatientId
from xdsi.domain.outcome import Problem
from xdsi.domain.subject import Caller, Peer
from xdsi.rules.policy_attributes import attributes_of
from xdsi.spec import xacml
from xdsi.spec.namespaces import APPROVED
from xdsi.transactions import iti79_authorization_decisions_query as iti79
from xdsi.wire.authorization_answer import decode_answer
from xdsi.wire.message import Packaging
from xdsi.wire.xmldsig import TrustedKey

P1, P2, OLD = (PatientId(id_, "2.999.1.1") for id_ in ("P1", "P2", "OLD"))
STUDY = "1.2.3^^^^urn:ihe:iti:xds:2016:studyInstanceUID"
OTHER_STUDY = "1.2.4^^^^urn:ihe:iti:xds:2016:studyInstanceUID"
ENTRY = Resource(
    unique_id="2.1", repository_unique_id="2.999.1.2", entry_uuid="urn:uuid:1", patient=P1, reference_ids=(STUDY,),
    type_code=Code("T", "1.9"),
)  # fmt: skip
ASKED = Resource(unique_id="2.1", repository_unique_id="2.999.1.2")
SIGNER = identity("hub", "2048")
DOCTOR = replace(
    CALLER.subject, organization_id="urn:oid:2.999.5",  # type: ignore[type-var]
    roles=(Code("112247003", "2.16.840.1.113883.6.96"),), purposes=(Code("TREAT", "2.16.840.1.113883.5.8"),),
)  # fmt: skip


class Persons(Session):
    """OLD was merged into P1."""

    def patient_key(self, patient: PatientId) -> int | None:
        return {P1: 1, OLD: 1, P2: 2}.get(patient)

    def aliases(self, patient: PatientId) -> tuple[PatientId, ...]:
        return {P1: (P1, OLD), OLD: (P1, OLD), P2: (P2,)}.get(patient, ())


def session(*entries: Resource) -> Session:
    one = Persons()
    one.resources = list(entries)
    return one


def decisions(policy: DomainPolicy, of: Session) -> iti79.PolicyDecisions:
    return iti79.PolicyDecisions(policy, OneRegistry(of))


OPEN_HANDED = DomainPolicy(default=Effect.PERMIT)


def decided(*resources: Resource, entries: tuple[Resource, ...] = (ENTRY,), policy: DomainPolicy = OPEN_HANDED) -> Any:
    one = session(*entries)
    caller = Caller(peer=Peer(address=""), subject=DOCTOR)
    found = decisions(policy, one).decide(caller, Action.RETRIEVE, resources, NOW, one)
    return [(decision.permit, decision.rule) for decision in found]


def rules(*resources: Resource, **arguments: Any) -> list[str]:
    return [rule for permit, rule in decided(*resources, **arguments) if not permit]


def test_a_document_that_is_registered_is_decided_by_policy() -> None:
    assert rules(ASKED) == []
    assert len(rules(ASKED, policy=DomainPolicy())) == 1


@pytest.mark.parametrize("policy", [OPEN_HANDED, DomainPolicy()], ids=["permitted", "denied"])
def test_the_decision_on_a_document_names_its_patient(policy: DomainPolicy) -> None:
    """Who asks by the uniqueId alone has his audit record from it; two patients' entries are nobody's."""
    caller = Caller(peer=Peer(address=""), subject=DOCTOR)
    for entries, whose in (((ENTRY,), P1), ((ENTRY, replace(ENTRY, entry_uuid="urn:uuid:2", patient=P2)), None)):
        one = session(*entries)
        (decision,) = decisions(policy, one).decide(caller, Action.RETRIEVE, [ASKED], NOW, one)
        assert decision.patient == whose


@pytest.mark.parametrize(
    "asked",
    [replace(ASKED, unique_id="2.2"), replace(ASKED, repository_unique_id="2.999.1.9"),
     replace(ASKED, repository_unique_id="")],
)  # fmt: skip
def test_a_document_that_is_not_registered_is_denied(asked: Resource) -> None:
    assert rules(asked) == ["not-registered"]


def test_a_document_of_another_patient_than_the_asker_says_is_denied() -> None:
    assert rules(replace(ASKED, patient=P2)) == ["patient-differs"]
    assert rules(replace(ASKED, patient=PatientId("P9", "2.999.1.1"))) == ["patient-differs"]
    assert rules(replace(ASKED, patient=P1)) == []


def test_a_merged_identifier_is_the_same_patient() -> None:
    assert rules(replace(ASKED, patient=OLD)) == []


def test_a_manifest_of_another_study_than_the_asker_says_is_denied() -> None:
    assert rules(replace(ASKED, reference_ids=(OTHER_STUDY,))) == ["study-differs"]
    assert rules(replace(ASKED, reference_ids=(STUDY, OTHER_STUDY))) == ["study-differs"]
    assert rules(replace(ASKED, reference_ids=(STUDY,))) == []


def test_other_reference_ids_are_not_compared() -> None:
    assert rules(replace(ASKED, reference_ids=("A1^^^&1.2&ISO^urn:ihe:iti:xds:2013:accession", STUDY))) == []


@pytest.mark.parametrize("turn", [1, -1])
def test_what_any_entry_of_a_unique_id_hides_is_hidden(turn: int) -> None:
    foreign = replace(ENTRY, entry_uuid="urn:uuid:2", patient=P2)
    entries = (ENTRY, foreign)[::turn]
    assert rules(replace(ASKED, patient=P1), entries=entries) == ["patient-differs"]
    without_study = replace(ENTRY, entry_uuid="urn:uuid:2", reference_ids=())
    assert rules(replace(ASKED, reference_ids=(STUDY,)), entries=(ENTRY, without_study)[::turn]) == ["study-differs"]
    assert rules(ASKED, entries=(ENTRY, replace(ENTRY, entry_uuid="urn:uuid:2"))[::turn]) == []


def test_each_resource_has_its_decision_in_order() -> None:
    missing, other = replace(ASKED, unique_id="2.9"), replace(ASKED, patient=P2)
    assert [permit for permit, _ in decided(missing, ASKED, other, ASKED)] == [False, True, False, True]


def test_what_the_registry_found_itself_is_not_looked_up_again() -> None:
    assert decided(ENTRY, entries=())[0][0]


APPC, DSG = (Code(code, "1.3.6.1.4.1.19376.1.2.3") for code in
             ("urn:ihe:iti:appc:2016:consent", "urn:ihe:iti:dsg:detached:2014"))  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "action", "permit"),
    [
        ((), Action.RETRIEVE, True),
        ((replace(ENTRY, format_code=APPC),), Action.RETRIEVE, True),
        ((replace(ENTRY, format_code=DSG),), Action.RETRIEVE, True),
        ((ENTRY,), Action.RETRIEVE, False),
        ((replace(ENTRY, format_code=Code(APPC.code, "1.2.3")),), Action.RETRIEVE, False),
        ((replace(ENTRY, format_code=APPC), replace(ENTRY, entry_uuid="urn:uuid:2")), Action.RETRIEVE, False),
        ((replace(ENTRY, format_code=APPC),), Action.QUERY, False),
    ],
)
def test_the_decision_engine_reads_consents_and_nothing_else(
    entries: tuple[Resource, ...], action: Action, permit: bool
) -> None:
    one = session(*entries)
    policy = DomainPolicy(id="urn:oid:2.999.1")
    engine = replace(DOCTOR, user_id="urn:xdsi:2026:decision-engine:urn:oid:2.999.1")
    for who, expected in ((engine, permit), (DOCTOR, False), (replace(engine, user_id=f"{engine.user_id}0"), False)):
        caller = Caller(peer=Peer(address=""), subject=who)
        (decision,) = decisions(policy, one).decide(caller, action, [ASKED], NOW, one)
        assert decision.permit is expected


def test_without_a_subject_nothing_is_permitted() -> None:
    one = session(ENTRY)
    nobody = Caller(peer=Peer(address=""))
    (decision,) = decisions(OPEN_HANDED, one).decide(nobody, Action.RETRIEVE, [ASKED], NOW, one)
    assert (decision.permit, decision.rule) == (False, "no-assertion")


def test_without_a_session_one_is_opened() -> None:
    deciding = decisions(OPEN_HANDED, session(ENTRY))
    assert [one.permit for one in deciding.decide_for(DOCTOR, Action.RETRIEVE, [ASKED], NOW, None)] == [True]
    assert deciding.decide_for(DOCTOR, Action.RETRIEVE, [], NOW, None) == []


# -- the transaction


def query(*resources: Resource) -> DecisionRequest:
    return DecisionRequest(
        subject_attributes=attributes_of(DOCTOR), action=Action.RETRIEVE, resources=resources, query_id="_q"
    )


def ports(of: Session) -> iti79.DecisionPorts:
    signer = iti79.AnswerSigner(issuer="hub", key_pem=SIGNER.key_pem, cert_pem=SIGNER.cert_pem)
    return iti79.DecisionPorts(decisions=decisions(OPEN_HANDED, of), clock=clock, signer=signer)


def answered(*resources: Resource, entries: tuple[Resource, ...] = (ENTRY,)) -> iti79.SignedAnswer:
    one = session(*entries)
    answer: iti79.SignedAnswer = served(iti79.TRANSACTION, query(*resources), ports(one), one)
    return answer


def test_the_answer_is_signed_and_names_the_question() -> None:
    answer = answered(ASKED, replace(ASKED, unique_id="2.9"))
    message = received(iti79.TRANSACTION.response.encode(answer, Packaging.SIMPLE))
    trusted = [TrustedKey.of(SIGNER.cert_pem)]
    read = decode_answer(message.body, trusted, require_signed=True, query_id="_q", now=NOW)
    assert {id_: one.permit for id_, one in read.decisions.items()} == {"2.1": True, "2.9": False}


def test_of_two_resources_with_one_unique_id_the_denial_stands() -> None:
    elsewhere = replace(ASKED, repository_unique_id="2.999.1.9")
    for resources in ((ASKED, elsewhere), (elsewhere, ASKED)):
        assert not answered(*resources).answer.decisions["2.1"].permit


def test_a_question_that_cannot_be_answered_is_a_fault() -> None:
    with pytest.raises(SoapFault) as caught:
        iti79.refuse(None, [Problem("XDSRegistryError", "not a query")])
    assert (caught.value.code, caught.value.reason) == ("Sender", "not a query")
    with pytest.raises(SoapFault) as caught:
        iti79.refuse(query(ASKED), [Problem("XDSRegistryError", "not available at the moment")])
    assert caught.value.code == "Receiver"


def test_the_audit_record_carries_the_decisions() -> None:
    request = query(replace(ASKED, patient=P1), replace(ASKED, unique_id="2.9", patient=P1))
    described = iti79.facts(request, answered(*request.resources), sample_facts("ITI-79", patients=()))
    assert described.results == (("2.1", "Permit"), ("2.9", "Deny"))
    assert (described.patients, described.outcome) == ((P1.cx,), 0)
    assert described.query is not None
    assert (described.query.id, b"2.9" in described.query.request) == ("_q", True)
    two = query(replace(ASKED, patient=P1), replace(ASKED, patient=P2))
    assert iti79.facts(two, None, sample_facts("ITI-79", patients=())).patients == ()


def test_both_ends_understand_each_other() -> None:
    request = query(replace(ASKED, patient=P1, reference_ids=(STUDY,)))
    seen = iti79.TRANSACTION.request.decode(received(iti79.TRANSACTION.request.encode(request, Packaging.SIMPLE)))
    assert (seen.query_id, seen.action, seen.resources) == ("_q", Action.RETRIEVE, request.resources)


def test_an_end_that_brings_no_reader_reads_no_answers() -> None:
    message = received(iti79.TRANSACTION.response.encode(answered(ASKED), Packaging.SIMPLE))
    with pytest.raises(SoapFault):
        iti79.TRANSACTION.response.decode(message)


def test_a_deny_by_folder_code_hides_what_the_folder_holds() -> None:
    """APPC 5.6: `related-folder:code` is that of the Approved Folders that hold the entry."""
    secret = Code("F33.1", "2.16.840.1.113883.6.3")
    hidden = policies.policy(policies.deny(what=policies.match(xacml.FOLDER_CODE, secret)), name="floor")
    domain = replace(OPEN_HANDED, floor=(hidden,))
    one = session(ENTRY)
    held = folder(codes=(secret,), availability_status=APPROVED)
    one.folders_of = lambda entry_uuid: [held] if entry_uuid == ENTRY.entry_uuid else []  # type: ignore[method-assign]
    caller = Caller(peer=Peer(address=""), subject=DOCTOR)
    (inside,) = decisions(domain, one).decide(caller, Action.RETRIEVE, (ASKED,), NOW, one)
    one.folders_of = lambda entry_uuid: []  # type: ignore[method-assign]
    (outside,) = decisions(domain, one).decide(caller, Action.RETRIEVE, (ASKED,), NOW, one)
    assert (inside.permit, outside.permit) == (False, True)


def test_many_documents_are_looked_up_together() -> None:
    """Given documents with an entry, with two and with none, all are found in one look, each decided as if alone."""
    looks: list[list[tuple[str, str]]] = []

    class Looking(Persons):
        def resources_by_unique_id(self, requests: Sequence[tuple[str, str]]) -> Sequence[Resource]:
            looks.append(list(requests))
            return super().resources_by_unique_id(requests)

    one = Looking()
    one.resources = [ENTRY, replace(ENTRY, unique_id="2.2"), replace(ENTRY, unique_id="2.2", entry_uuid="urn:uuid:3")]
    asked = [replace(ASKED, unique_id=id_) for id_ in ("2.2", "2.1", "2.9", "2.2")]
    deciding = decisions(OPEN_HANDED, one)
    together = deciding.decide_for(DOCTOR, Action.RETRIEVE, asked, NOW, one)
    assert looks == [[("2.999.1.2", "2.2"), ("2.999.1.2", "2.1"), ("2.999.1.2", "2.9")]]
    alone = [deciding.decide_for(DOCTOR, Action.RETRIEVE, [item], NOW, one)[0] for item in asked]
    assert list(together) == alone
    assert [decision.permit for decision in together] == [True, True, False, True]
