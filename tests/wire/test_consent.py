"""APPC consents: the facts they state, what makes them unusable, and what we write."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import corpus, schema_of
from tests.policies import PATIENT_MATCH, RESOURCES, appc, text_match
from xdsi.domain.codes import Code
from xdsi.domain.consent import Action, Effect, Statement
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import InstanceIdentifier, PatientId
from xdsi.spec import xacml
from xdsi.wire import xml
from xdsi.wire.consent import decode_appc, decode_consent, encode_appc

P1 = PatientId("P1", "2.999.1.1")
BRUSSELS = ZoneInfo("Europe/Brussels")


def window(*matches):
    return appc(target=f"{RESOURCES}<Environments><Environment>{''.join(matches)}</Environment></Environments>")


def date(name, value):
    function = f"urn:oasis:names:tc:xacml:1.0:function:date-{name}"
    return text_match("Environment", xacml.CURRENT_DATE, value, function=function, data_type=xacml.DATE)


def moment(name, value):
    function = f"urn:oasis:names:tc:xacml:1.0:function:dateTime-{name}"
    return text_match("Environment", xacml.CURRENT_DATE_TIME, value, function=function, data_type=xacml.DATE_TIME)


def test_facts():
    policy, facts = decode_appc(appc(description="<Description> signed by\n Ann  </Description>"))
    assert facts.document_id == policy.id == "urn:uuid:c1"
    assert facts.description == "signed by Ann"
    assert facts.patients == (P1,)
    assert (facts.valid_from, facts.valid_until, facts.references) == (None, None, ())


def test_several_identifiers_of_the_patient():
    second = (
        PATIENT_MATCH.replace("P1", "national")
        .replace("2.999.1.1", "2.999.9")
        .replace(xacml.PATIENT_ID, xacml.PATIENT_ID_CH)
    )
    raw = appc(target=f"<Resources><Resource>{PATIENT_MATCH}</Resource><Resource>{second}</Resource></Resources>")
    assert decode_appc(raw)[1].patients == (P1, PatientId("national", "2.999.9"))


@pytest.mark.parametrize(
    ("matches", "start", "end"),
    [
        ([date("less-than-or-equal", "2024-05-01")], datetime(2024, 5, 1, tzinfo=BRUSSELS), None),
        ([date("less-than", "2024-05-01")], datetime(2024, 5, 2, tzinfo=BRUSSELS), None),
        ([date("greater-than-or-equal", "2024-05-31")], None, datetime(2024, 6, 1, tzinfo=BRUSSELS)),
        ([date("greater-than", "2024-05-31")], None, datetime(2024, 5, 31, tzinfo=BRUSSELS)),
        ([date("greater-than", "2024-05-31Z")], None, datetime(2024, 6, 1, tzinfo=BRUSSELS)),
        ([date("greater-than-or-equal", "2024-05-31+02:00")], None, datetime(2024, 6, 1, tzinfo=BRUSSELS)),
        ([date("less-than-or-equal", "2024-05-31-05:00")], datetime(2024, 6, 1, tzinfo=BRUSSELS), None),
        (
            [date("equal", "2024-05-31")],
            datetime(2024, 5, 31, tzinfo=BRUSSELS),
            datetime(2024, 6, 1, tzinfo=BRUSSELS),
        ),
        ([moment("less-than-or-equal", "2024-05-01T08:00:00Z")], datetime(2024, 5, 1, 8, tzinfo=UTC), None),
        ([moment("greater-than", "2024-05-01T08:00:00")], None, datetime(2024, 5, 1, 8, tzinfo=BRUSSELS)),
        ([date("greater-than-or-equal", "9999-12-31")], None, datetime(9999, 12, 31, tzinfo=BRUSSELS)),
        (
            [date("less-than-or-equal", "2024-05-01"), date("less-than-or-equal", "2024-04-01")],
            datetime(2024, 5, 1, tzinfo=BRUSSELS),
            None,
        ),
    ],
)
def test_window(matches, start, end):
    _, facts = decode_appc(window(*matches), zone=BRUSSELS)
    assert (facts.valid_from, facts.valid_until) == (start, end)


def test_window_with_alternatives_is_open():
    environments = "".join(f"<Environment>{date('equal', day)}</Environment>" for day in ("2024-01-01", "2024-02-01"))
    _, facts = decode_appc(appc(target=f"{RESOURCES}<Environments>{environments}</Environments>"))
    assert (facts.valid_from, facts.valid_until) == (None, None)


DOCUMENT = text_match("Resource", xacml.DOCUMENT_ID, "1.2.3")
UNUSABLE = {
    "a policy instead of a set": appc(children="").replace(b"PolicySet", b"Policy"),
    "no description": appc(description=""),
    "empty description": appc(description="<Description> </Description>"),
    "no resources": appc(target=""),
    "a resource without the patient": appc(
        target=f"<Resources><Resource>{PATIENT_MATCH}</Resource><Resource>{DOCUMENT}</Resource></Resources>"
    ),
    "patient without extension": appc(target=RESOURCES.replace('extension="P1"', "")),
    "patient without OID": appc(target=RESOURCES.replace('root="2.999.1.1"', 'root="hospital"')),
    "not supported below": appc(children='<x xmlns="urn:x"/>'),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable(case):
    with pytest.raises(MalformedMessage):
        decode_appc(UNUSABLE[case])


def test_format_chooses_the_reader():
    assert decode_consent(appc(), xacml.APPC_FORMAT)[1].patients == (P1,)
    for format_code in (xacml.BPPC_FORMAT, xacml.BPPC_SCAN_FORMAT):
        with pytest.raises(MalformedMessage, match="BPPC"):
            decode_consent(appc(), format_code)
    with pytest.raises(MalformedMessage, match="urn:other"):
        decode_consent(appc(), "urn:other")


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "references"),
    [
        ("use-case-1-facility-specific_v4.xml", ("urn:example:policy:extensive-access",)),
        ("use-case-3-collect-from-location_v4.xml", ()),
        ("use-case-5-blacklist-org_v5.xml", ("urn:example:policy:deny-access",)),
    ],
)
def test_ihe_samples(name, references):
    policy, facts = decode_appc(corpus("ihe-iti-info-examples", "APPC", name).read_bytes())
    assert facts.patients == (PatientId("78901234", "2.999.1.1.1"),)
    assert facts.references == references
    assert facts.document_id == policy.id
    assert facts.description


@pytest.mark.oracle
def test_swiss_sample():
    from xdsi.wire.xacml import POLICY_SET, read_policy

    root = xml.parse(corpus("ipf", "xacml20", "chppq1", "add-request-ppq.xml").read_bytes())
    (policy,) = (read_policy(found) for found in root.iter(POLICY_SET))
    assert policy.references == ("urn:e-health-suisse:2015:policies:access-level:normal",)
    assert policy.target.resources[0][0].attribute == xacml.PATIENT_ID_CH


# Writing

FULL = Statement(
    effect=Effect.PERMIT,
    roles=(Code("HCP", "2.999.40"), Code("ASS", "2.999.40")),
    organizations=("urn:oid:2.999.5",),
    persons=("dr.jekyll",),
    purposes=(Code("TREAT", "2.16.840.1.113883.5.8", "Treatment"),),
    class_codes=(Code("REPORTS", "2.999.20"),),
    type_codes=(Code("34133-9", "2.16.840.1.113883.6.1"),),
    confidentiality_codes=(Code("N", "2.16.840.1.113883.5.25"),),
    author_institutions=(InstanceIdentifier("2.999.5"),),
    modalities=(Code("CT", "1.2.840.10008.2.16.4"),),
    studies=("1.2.3.4",),
    documents=("1.2.3",),
    actions=tuple(Action),
)
DENY = Statement(effect=Effect.DENY, organizations=("urn:oid:2.999.6",))


def written(**changes):
    arguments = {
        "patient": P1,
        "policy_set_id": "urn:uuid:c1",
        "description": "agreed on <Monday> & signed",
        "statements": [FULL, DENY],
        "references": ["urn:example:policy:reports"],
        "valid_from": datetime(2024, 5, 1, tzinfo=UTC),
        "valid_until": datetime(2025, 5, 1, tzinfo=UTC),
    } | changes
    return encode_appc(**arguments)


def test_written_is_read():
    policy, facts = decode_appc(written())
    assert facts.patients == (P1,)
    assert facts.description == "agreed on <Monday> & signed"
    assert (facts.valid_from, facts.valid_until) == (datetime(2024, 5, 1, tzinfo=UTC), datetime(2025, 5, 1, tzinfo=UTC))
    assert facts.references == ("urn:example:policy:reports",)
    permit, deny = policy.children[0].children
    assert (permit.id, deny.id) == ("permit-1", "deny-2")
    assert len(permit.target.subjects) == 2
    assert {match.attribute for match in permit.target.resources[0]} >= {xacml.REFERENCE_ID, xacml.DOCUMENT_ID}
    assert deny.target.resources == ()


@pytest.mark.oracle
@pytest.mark.parametrize(
    "changes",
    [{}, {"statements": []}, {"references": []}, {"valid_from": None}, {"valid_from": None, "valid_until": None}],
)
def test_written_is_valid_by_the_schema(changes):
    schema = schema_of("ihe-iti-info", "schema", "IHE", "APPC", "ihe-appc-xacml-combined-schema-1.0.xsd")
    assert schema.validate(xml.parse(written(**changes))), schema.error_log


def test_statements_that_multiply():
    many = tuple(Code(str(number), "2.999.40") for number in range(50))
    with pytest.raises(ValueError, match="2500"):
        written(statements=[Statement(effect=Effect.PERMIT, roles=many, purposes=many)])
    with pytest.raises(ValueError, match="elements"):
        written(statements=[FULL] * 60)


codes = st.builds(Code, st.text("ABC.^-", min_size=1), st.from_regex(r"2\.999\.[1-9]{1,3}", fullmatch=True))
statements = st.builds(
    Statement,
    effect=st.sampled_from(Effect),
    roles=st.lists(codes, max_size=2).map(tuple),
    confidentiality_codes=st.lists(codes, max_size=2).map(tuple),
    persons=st.lists(st.text("äb<&'\"^ c", min_size=1).filter(lambda t: t == t.strip(" ")), max_size=2).map(tuple),
    actions=st.lists(st.sampled_from(Action), max_size=3).map(tuple),
)


@given(st.lists(statements, max_size=3))
def test_anything_written_is_read(plain):
    policy, _ = decode_appc(written(statements=plain, references=["urn:r"]))
    rules = policy.children[0].children if plain else ()
    assert [rule.effect for rule in rules] == [statement.effect for statement in plain]
    for rule, statement in zip(rules, plain, strict=True):
        values = {match.value for alternative in rule.target.subjects for match in alternative}
        assert values == {*statement.roles, *statement.persons}
