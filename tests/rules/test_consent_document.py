"""A consent and its entry: each difference is a problem with its name."""

import pytest

from tests.builders import OTHER_PATIENT, PATIENT, document_entry
from xdsi.domain.codes import Code
from xdsi.domain.consent import ConsentFacts
from xdsi.domain.identifiers import PatientId
from xdsi.rules.consent_document import check
from xdsi.spec import xacml

P1, P2 = PatientId.parse(PATIENT), PatientId.parse(OTHER_PATIENT)


def entry(format_code=xacml.BPPC_FORMAT, policies=("2.999.50.1",), **changes):
    return document_entry(
        unique_id="2.999.30.1",
        format_code=Code(format_code, xacml.FORMAT_SCHEME),
        event_codes=tuple(Code(policy, "2.999.50") for policy in policies),
        **changes,
    )


def facts(document_id="2.999.30.1", patients=(P1,), references=("2.999.50.1",)):
    return ConsentFacts(document_id=document_id, description="d", patients=patients, references=references)


def rules(given_facts, given_entry, **more):
    return [problem.rule for problem in check(given_facts, given_entry, **more)]


def test_same_story():
    assert rules(facts(), entry()) == []
    assert rules(facts(references=("urn:oid:2.999.50.1",)), entry()) == []


@pytest.mark.parametrize(
    ("given_facts", "given_entry", "expected"),
    [
        (facts(document_id="2.999.30.2"), entry(), ["consent.id"]),
        (facts(patients=(P2,)), entry(), ["consent.patient"]),
        (facts(patients=(P1, P2)), entry(), ["consent.patient"]),
        (facts(patients=()), entry(), ["consent.patient"]),
        (facts(), entry(patient_id="P1"), ["consent.patient"]),
        (facts(references=("2.999.50.1", "2.999.50.2")), entry(), ["consent.policies"]),
        (facts(references=()), entry(), ["consent.policies"]),
        (facts(references=("2.999.50.2",)), entry(), ["consent.policies", "consent.policies"]),
        (facts(references=()), entry(xacml.APPC_FORMAT), []),
        (facts(references=("urn:a",)), entry(xacml.APPC_FORMAT), ["consent.policies"]),
        (facts("x", (P2,), ("y",)), entry(), ["consent.id", "consent.patient"] + ["consent.policies"] * 2),
    ],
)
def test_difference(given_facts, given_entry, expected):
    assert rules(given_facts, given_entry) == expected


def test_linked_identifiers_are_the_same_patient():
    assert rules(facts(patients=(P1, P2)), entry(), linked=lambda patient: {P1, P2}) == []


def test_problem_says_what_and_where():
    (problem,) = check(facts(document_id="2.999.30.2"), entry())
    assert problem.code == "XDSRegistryMetadataError"
    assert "2.999.30.2" in problem.context
    assert problem.location == "doc1"
