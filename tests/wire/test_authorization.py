"""ITI-79: questions and answers both ways, what is refused, and what may not be believed."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.certificates import END, identity
from tests.oracles import corpus, schema_importing, schema_of
from xdsi.domain.codes import Code
from xdsi.domain.consent import Action, Decision, DecisionAnswer, DecisionRequest, Resource
from xdsi.domain.errors import MalformedMessage, Refused, Unavailable
from xdsi.domain.identifiers import InstanceIdentifier, PatientId
from xdsi.spec import xacml
from xdsi.spec.namespaces import DS, SAML, SAMLP, XACML_CONTEXT, XACML_SAML_PROTOCOL
from xdsi.wire import xml
from xdsi.wire.authorization import decode_answer, decode_query, encode_answer, encode_query
from xdsi.wire.xml import E
from xdsi.wire.xmldsig import TrustedKey, sign_enveloped

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
HUB = identity("hub", "2048")
TRUST = [TrustedKey.of(HUB.cert_pem)]
P1 = PatientId("P1", "2.999.1.1")
STUDY = "1.2.3.4^^^^urn:ihe:iti:xds:2016:studyInstanceUID"
REQUEST = DecisionRequest(
    subject_attributes={
        xacml.SUBJECT_ID: ("dr.jekyll",),
        xacml.ORGANIZATION_ID: ("urn:oid:2.999.5", "urn:oid:2.999.6"),
        xacml.ROLE: (Code("HCP", "2.999.40", "Doctor"),),
        xacml.PURPOSE_OF_USE: (Code("TREAT", "2.16.840.1.113883.5.8"),),
        xacml.PROVIDER_IDENTIFIER: (InstanceIdentifier("2.999.4", "77"),),
        xacml.NPI: ("7", InstanceIdentifier("2.999.8", "7")),
        xacml.SUBJECT_PATIENT: (InstanceIdentifier("2.999.1.1", "P1"),),
    },
    action=Action.RETRIEVE_IMAGING,
    resources=(
        Resource(
            unique_id="1.1", repository_unique_id="2.999.1.2", patient=P1, reference_ids=(STUDY, "A7^^^&2.999.6&ISO")
        ),
        Resource(unique_id="urn:uuid:2"),
    ),
    patient=P1,
    query_id="_q1",
    protocol=xacml.PROTOCOL_V2,
)
PERMIT, DENY = Decision(True, "p", "r"), Decision(False, "p", "r")


def asked(request=REQUEST):
    return xml.parse(encode_query(request, now=NOW))


def answered(decisions=None, request=REQUEST, signer=HUB, **changes):
    decisions = {"1.1": PERMIT, "urn:uuid:2": DENY} if decisions is None else decisions
    arguments = {
        "issuer": "urn:oid:2.999.1",
        "key_pem": signer.key_pem,
        "cert_pem": signer.cert_pem,
        "now": NOW,
    } | changes
    return xml.parse(encode_answer(DecisionAnswer(decisions), request, **arguments))


def read(element, *, trust=TRUST, require_signed=True, query_id="_q1", now=NOW):
    return decode_answer(element, trust, require_signed=require_signed, query_id=query_id, now=now).decisions


# The question


def test_question_comes_back():
    assert decode_query(asked()) == REQUEST


@pytest.mark.parametrize("action", list(Action))
def test_every_action(action):
    assert decode_query(asked(replace(REQUEST, action=action))).action is action


def test_older_namespace():
    older = replace(REQUEST, protocol=XACML_SAML_PROTOCOL)
    assert asked(older).tag == E(XACML_SAML_PROTOCOL, "XACMLAuthzDecisionQuery")
    assert decode_query(asked(older)) == older


def test_query_without_an_id_gets_one():
    assert asked(replace(REQUEST, query_id="")).get("ID").startswith("_")


@pytest.mark.oracle
def test_query_is_valid_by_the_schema():
    schema = schema_of("saml-xacml", "schema", "xacml-2.0-profile-saml2.0-v2-schema-protocol-wd-14.xsd")
    assert schema.validate(asked()), schema.error_log


@pytest.mark.oracle
def test_sample_query():
    request = decode_query(xml.parse(corpus("ipf", "xacml20", "iti79", "iti79-request-1.xml").read_bytes()))
    assert request.query_id == "iti79-query-id-1"
    assert request.action is Action.RETRIEVE
    assert request.subject_attributes == {xacml.SUBJECT_ID: ("admin",)}
    assert [resource.unique_id for resource in request.resources] == ["documentID1", "documentID2", "documentID3"]
    assert {resource.repository_unique_id for resource in request.resources} == {"1.2.3.4.5"}


@pytest.mark.oracle
def test_sample_query_about_policies_is_not_ours():
    with pytest.raises(MalformedMessage, match="AddPolicy"):
        decode_query(xml.parse(corpus("ipf", "xacml20", "chadr", "chadr-request-1.xml").read_bytes()))


def section(root, name):
    found = root.find(f"{E(XACML_CONTEXT, 'Request')}/{E(XACML_CONTEXT, name)}")
    assert found is not None
    return found


def attribute(root, name, part="Subject"):
    return next(found for found in section(root, part) if found.get("AttributeId") == name)


def coded_as_uri(text):
    def change(root):
        role = attribute(root, xacml.ROLE)
        role.set("DataType", xacml.ANY_URI)
        role[0].remove(role[0][0])
        role[0].text = text

    return change


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("urn:ihe:iti:2014:ser:2.999.40:roles:HCP:Doctor%20X", Code("HCP", "2.999.40")),
        ("urn:ihe:iti:2014:ser:2.999.40::a%3Ab:", Code("a:b", "2.999.40")),
        ("urn:ihe:iti:2014:ser:2.999.40:roles:HCP", Code("HCP", "2.999.40")),
    ],
)
def test_coded_value_as_uri(text, code):
    root = asked()
    coded_as_uri(text)(root)
    assert decode_query(root).subject_attributes[xacml.ROLE] == (code,)


def test_patient_as_text():
    root = asked()
    patient = attribute(root, xacml.PATIENT_ID, "Resource")
    patient.set("DataType", xacml.STRING)
    patient[0].remove(patient[0][0])
    patient[0].text = "P1^^^&2.999.1.1&ISO"
    assert decode_query(root).resources[0].patient == P1


def test_comments_do_not_matter():
    root = asked()
    section(root, "Subject").append(etree.Comment("x"))
    attribute(root, xacml.SUBJECT_ID)[0].append(etree.Comment("x"))
    assert decode_query(root) == REQUEST


def _append(name, *path):
    def change(root):
        (section(root, path[0]) if path else root.find(E(XACML_CONTEXT, "Request"))).append(etree.Element(name))

    return change


def _remove(part):
    def change(root):
        found = section(root, part)
        found.getparent().remove(found)

    return change


def _twice(name, part):
    def change(root):
        found = attribute(root, name, part)
        found.append(deepcopy(found[0]))

    return change


def _second_patient(root):
    _twice(xacml.PATIENT_ID, "Resource")(root)
    attribute(root, xacml.PATIENT_ID, "Resource")[1][0].set("extension", "P2")


def _value_of(name, part, text):
    def change(root):
        attribute(root, name, part)[0].text = text

    return change


def _second_repository(root):
    found = attribute(root, xacml.REPOSITORY_UNIQUE_ID, "Resource")
    second = deepcopy(found)
    second.set("AttributeId", xacml.REPOSITORY_UNIQUE_ID_2007)
    second[0].text = "urn:oid:1.9"
    found.addnext(second)


MALFORMED = {
    "no request": lambda root: root.remove(root[0]),
    "two requests": lambda root: root.append(deepcopy(root[0])),
    "no subject": _remove("Subject"),
    "no resource": lambda root: [_remove("Resource")(root) for _ in range(2)],
    "no action": _remove("Action"),
    "two subjects": _append(E(XACML_CONTEXT, "Subject")),
    "foreign section": _append("{urn:x}Resource"),
    "unknown section": _append(E(XACML_CONTEXT, "Other")),
    "foreign attribute": _append("{urn:x}Attribute", "Subject"),
    "intermediary": lambda root: section(root, "Subject").set("SubjectCategory", "urn:x:codebase"),
    "attribute without id": lambda root: section(root, "Subject")[0].attrib.pop("AttributeId"),
    "attribute without type": lambda root: section(root, "Subject")[0].attrib.pop("DataType"),
    "foreign value": lambda root: section(root, "Subject")[0].append(etree.Element("{urn:x}AttributeValue")),
    "element in text": lambda root: etree.SubElement(attribute(root, xacml.SUBJECT_ID)[0], "x"),
    "role as text": coded_as_uri("HCP"),
    "role as short URI": coded_as_uri("urn:ihe:iti:2014:ser:2.999.40"),
    "coded value without code": lambda root: attribute(root, xacml.ROLE)[0][0].attrib.pop("code"),
    "unknown action": _value_of(xacml.ACTION_ID, "Action", "urn:x"),
    "two actions": _twice(xacml.ACTION_ID, "Action"),
    "no document": _value_of(xacml.DOCUMENT_ID, "Resource", " "),
    "two documents": _twice(xacml.DOCUMENT_ID, "Resource"),
    "two repositories": _second_repository,
    "two patients": _second_patient,
    "patient without extension": lambda root: attribute(root, xacml.PATIENT_ID, "Resource")[0][0].attrib.pop(
        "extension"
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_question(case):
    root = asked()
    MALFORMED[case](root)
    with pytest.raises(MalformedMessage):
        decode_query(root)


@pytest.mark.parametrize("raw", [b"<x/>", b'<XACMLAuthzDecisionQuery xmlns="urn:x"/>'])
def test_not_a_question(raw):
    with pytest.raises(MalformedMessage):
        decode_query(xml.parse(raw))


texts = st.text("aé<&' \t/:^", min_size=1).filter(lambda text: text == text.strip())
values = st.one_of(
    texts,
    st.builds(Code, texts, texts),
    st.builds(InstanceIdentifier, texts, texts),
)


@given(st.dictionaries(st.sampled_from([xacml.NPI, xacml.ORGANIZATION, "urn:x"]), st.lists(values, min_size=1)), texts)
def test_any_question_comes_back(attributes, unique_id):
    given_attributes = {
        name: tuple(sorted(found, key=lambda v: type(v).__name__)) for name, found in attributes.items()
    }
    request = DecisionRequest(
        subject_attributes=given_attributes,
        action=Action.QUERY,
        resources=(Resource(unique_id=unique_id),),
        query_id="_1",
        protocol=xacml.PROTOCOL_V2,
    )
    decoded = decode_query(asked(request))
    assert decoded.resources == request.resources
    assert {name: set(found) for name, found in decoded.subject_attributes.items()} == {
        name: set(found) for name, found in given_attributes.items()
    }


# The answer


def test_answer_comes_back():
    decisions = read(answered())
    assert {name: decision.permit for name, decision in decisions.items()} == {"1.1": True, "urn:uuid:2": False}
    assert decisions["1.1"].policy == "urn:oid:2.999.1"


def test_resource_that_was_not_decided_is_denied():
    assert {name: decision.permit for name, decision in read(answered({})).items()} == {
        "1.1": False,
        "urn:uuid:2": False,
    }


def test_only_what_was_asked_is_answered():
    assert set(read(answered({"9.9": PERMIT}))) == {"1.1", "urn:uuid:2"}


@pytest.mark.oracle
def test_answer_is_valid_by_the_schema():
    folder = ("schemas", "saml-xacml", "schema")
    schema = schema_importing(
        protocol=(SAMLP, corpus(*folder, "sstc-saml-schema-protocol-2.0.xsd")),
        statement=(xacml.ASSERTION_V2, corpus(*folder, "xacml-2.0-profile-saml2.0-v2-schema-assertion-wd-14.xsd")),
    )
    assert schema.validate(answered()), schema.error_log
    assert schema.validate(answered(request=replace(REQUEST, query_id=""))), schema.error_log


@pytest.mark.oracle
def test_sample_answer():
    sample = xml.parse(corpus("ipf", "xacml20", "chadr", "chadr-response-1.xml").read_bytes())
    decisions = decode_answer(sample, [], require_signed=False, now=NOW).decisions
    assert [decision.permit for decision in decisions.values()] == [True, True, False]
    with pytest.raises(Refused):
        decode_answer(sample, TRUST, require_signed=True, now=NOW)


def test_older_namespace_in_the_answer():
    answer = answered(request=replace(REQUEST, protocol=XACML_SAML_PROTOCOL))
    assert b"urn:oasis:xacml:2.0:saml:assertion:schema:os" in etree.tostring(answer)
    assert read(answer)["1.1"].permit


def assertion(root):
    return root.find(E(SAML, "Assertion"))


def _unsign(root):
    assertion(root).remove(assertion(root).find(E(DS, "Signature")))


def test_unsigned_answer():
    answer = answered()
    _unsign(answer)
    with pytest.raises(Refused):
        read(answer)
    assert read(answer, require_signed=False)["1.1"].permit
    assert read(answer, require_signed=False, trust=[])["1.1"].permit


def test_signed_answer_is_checked_even_where_it_need_not_be_signed():
    with pytest.raises(Refused):
        read(answered(signer=identity("stranger", "2048")), require_signed=False)


def result(root, number=0):
    return list(root.iter(E(XACML_CONTEXT, "Result")))[number]


def _turn(root):
    result(root, 1)[0].text = "Permit"


def _rename(root):
    result(root).set("ResourceId", "9.9")


def _wrap(root):
    """The signed answer stays somewhere, another one comes first."""
    evil = deepcopy(assertion(root))
    evil.remove(evil.find(E(DS, "Signature")))
    _turn(evil)
    assertion(root).addprevious(evil)


def _nest(root):
    evil = deepcopy(assertion(root))
    _turn(evil)
    evil.find(E(DS, "Signature")).append(assertion(root))
    root.append(evil)


def _in_response_to(root):
    for data in root.iter(E(SAML, "SubjectConfirmationData")):
        data.set("InResponseTo", "_q2")


FORGED = {"decision": _turn, "resource": _rename, "query": _in_response_to, "nested": _nest, "unsigned": _unsign}


@pytest.mark.parametrize("case", FORGED)
def test_forged_answer(case):
    answer = answered()
    FORGED[case](answer)
    with pytest.raises(Refused):
        read(answer)


def test_second_assertion():
    answer = answered()
    _wrap(answer)
    with pytest.raises(MalformedMessage):
        read(answer)


def test_answer_to_another_query():
    with pytest.raises(Refused, match="another query"):
        read(answered(), query_id="_q2")
    unsigned = answered(request=replace(REQUEST, query_id=""))
    assert read(unsigned)["1.1"].permit
    unsigned.set("InResponseTo", "_q2")
    with pytest.raises(Refused, match="another query"):
        read(unsigned)


@pytest.mark.parametrize(("seconds", "believed"), [(-61, False), (-60, True), (119, True), (120, False)])
def test_time_of_an_answer(seconds, believed):
    now = NOW + timedelta(seconds=seconds)
    if believed:
        assert read(answered(), now=now)["1.1"].permit
    else:
        with pytest.raises(Refused, match="time"):
            read(answered(), now=now)


def test_certificate_that_is_over():
    late = END + timedelta(seconds=1)
    with pytest.raises(Refused, match="expired"):
        read(answered(now=late), now=late)


def resigned(change):
    """As the decision service itself might send it."""
    answer = answered()
    _unsign(answer)
    change(answer)
    plain = assertion(answer)
    answer.replace(plain, sign_enveloped(plain, HUB.key_pem, HUB.cert_pem))
    return answer


def _decision(text):
    return lambda root: setattr(result(root)[0], "text", text)


@pytest.mark.parametrize("text", ["Deny", "Indeterminate", "NotApplicable"])
def test_only_permit_permits(text):
    assert not read(resigned(_decision(text)))["1.1"].permit
    assert read(resigned(_decision("\n Permit ")))["1.1"].permit


def test_obligation_takes_back_a_permit():
    obligations = "{urn:oasis:names:tc:xacml:2.0:policy:schema:os}Obligations"
    assert not read(resigned(lambda root: etree.SubElement(result(root), obligations)))["1.1"].permit


@pytest.mark.parametrize(
    "change",
    [
        _decision("permit"),
        _decision(""),
        lambda root: result(root).remove(result(root)[0]),
        lambda root: result(root).attrib.pop("ResourceId"),
        lambda root: result(root, 1).set("ResourceId", "1.1"),
        lambda root: assertion(root).find(E(SAML, "Conditions")).set("NotBefore", "soon"),
    ],
)
def test_malformed_answer(change):
    with pytest.raises(MalformedMessage):
        read(resigned(change))


def test_answer_without_issuer():
    answer = answered()
    _unsign(answer)
    assertion(answer).remove(assertion(answer)[0])
    with pytest.raises(MalformedMessage):
        read(answer, require_signed=False)


def test_failure_on_the_other_side():
    answer = answered()
    answer.find(f"{E(SAMLP, 'Status')}/{E(SAMLP, 'StatusCode')}").set("Value", "urn:x:Responder")
    with pytest.raises(Unavailable, match="Responder"):
        read(answer)
    answer.remove(answer.find(E(SAMLP, "Status")))
    with pytest.raises(Unavailable):
        read(answer)


def test_not_an_answer():
    with pytest.raises(MalformedMessage):
        read(xml.parse(b"<x/>"))
