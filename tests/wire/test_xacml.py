"""Policies on the wire: what is understood becomes the same values, everything else is refused with its place."""

import pytest

from tests.policies import PATIENT_MATCH, PERMIT_ALL, RESOURCES, appc, text_match
from xdsi.domain.codes import Code
from xdsi.domain.consent import Apply, Designator, Effect, Literal, Match, Reference, Section
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import InstanceIdentifier
from xdsi.spec import xacml
from xdsi.wire.xacml import decode_policy


def in_policy(rules):
    algorithm = xacml.RULE_DENY_OVERRIDES
    return appc(children=f'<Policy PolicyId="p" RuleCombiningAlgId="{algorithm}"><Target/>{rules}</Policy>')


def in_condition(expression):
    return in_policy(f'<Rule RuleId="r" Effect="Deny"><Condition>{expression}</Condition></Rule>')


def in_target(*sections):
    return appc(target=RESOURCES + "".join(sections))


def subjects(*matches):
    return f"<Subjects><Subject>{''.join(matches)}</Subject></Subjects>"


ROLE_MATCH = f"""<SubjectMatch MatchId="{xacml.CV_EQUAL}">
  <AttributeValue DataType="{xacml.CV}">
    <hl7:CodedValue code="HCP" codeSystem="2.999.40" displayName="x"/><!-- a comment -->
  </AttributeValue>
  <SubjectAttributeDesignator DataType="{xacml.CV}" AttributeId="{xacml.ROLE}" MustBePresent="true"/>
</SubjectMatch>"""
USER = text_match("Subject", xacml.SUBJECT_ID, "u1")


def test_matches():
    policy = decode_policy(
        in_target(subjects(ROLE_MATCH, text_match("Subject", xacml.SUBJECT_ID, "\n  u1 <!--x-->\n")))
    )
    assert policy.target.subjects == (
        (
            Match(
                attribute=xacml.ROLE,
                value=Code("HCP", "2.999.40"),
                function=xacml.CV_EQUAL,
                must_be_present=True,
            ),
            Match(attribute=xacml.SUBJECT_ID, value="u1", function=xacml.STRING_EQUAL),
        ),
    )
    patient = Match(attribute=xacml.PATIENT_ID, value=InstanceIdentifier("2.999.1.1", "P1"), function=xacml.II_EQUAL)
    assert policy.target.resources == ((patient,),)


def test_alternatives():
    raw = in_target(f"<Subjects><Subject>{ROLE_MATCH}</Subject><Subject>{USER}</Subject></Subjects>")
    assert [len(alternative) for alternative in decode_policy(raw).target.subjects] == [1, 1]


def test_children_keep_their_order():
    children = (
        f"<PolicySetIdReference> urn:a\n</PolicySetIdReference>{PERMIT_ALL}<PolicyIdReference>urn:b</PolicyIdReference>"
    )
    policy = decode_policy(appc(children=children))
    assert policy.children[0] == Reference("urn:a")
    assert policy.children[2] == Reference("urn:b")
    assert policy.references == ("urn:a", "urn:b")


def test_short_action_id_is_the_action_id():
    match = text_match("Action", xacml.ACTION_ID_SHORT, "urn:x")
    policy = decode_policy(in_target(f"<Actions><Action>{match}</Action></Actions>"))
    assert policy.target.actions[0][0].attribute == xacml.ACTION_ID


def test_condition():
    raw = in_condition(
        f'<Apply FunctionId="{xacml.NOT}"><Apply FunctionId="{next(iter(xacml.IS_IN))}">'
        f'<AttributeValue DataType="{xacml.STRING}">7</AttributeValue>'
        f'<SubjectAttributeDesignator DataType="{xacml.STRING}" AttributeId="{xacml.NPI}"/></Apply></Apply>'
    )
    (rule,) = decode_policy(raw).children[0].children
    assert rule.effect is Effect.DENY
    assert rule.condition == Apply(
        function=xacml.NOT,
        arguments=(
            Apply(
                function=next(iter(xacml.IS_IN)),
                arguments=(
                    Literal(value="7", data_type=xacml.STRING),
                    Designator(section=Section.SUBJECT, attribute=xacml.NPI, data_type=xacml.STRING),
                ),
            ),
        ),
    )


@pytest.mark.parametrize(("text", "value"), [("true", True), ("0", False)])
def test_boolean_literal(text, value):
    raw = in_condition(f'<AttributeValue DataType="{xacml.BOOLEAN}">{text}</AttributeValue>')
    assert decode_policy(raw).children[0].children[0].condition == Literal(value=value, data_type=xacml.BOOLEAN)


def test_defaults_and_descriptions_say_nothing():
    defaults = "<PolicySetDefaults><XPathVersion>urn:x</XPathVersion></PolicySetDefaults>"
    assert decode_policy(appc(description=f"<Description>d</Description>{defaults}")).id == "urn:uuid:c1"


def designator(attribute, data_type, section="Subject", **more):
    extra = "".join(f' {name}="{value}"' for name, value in more.items())
    return f'<{section}AttributeDesignator AttributeId="{attribute}" DataType="{data_type}"{extra}/>'


def value(data_type, inside):
    return f'<AttributeValue DataType="{data_type}">{inside}</AttributeValue>'


def user_match(inside, function=xacml.STRING_EQUAL):
    return in_target(subjects(f'<SubjectMatch MatchId="{function}">{inside}</SubjectMatch>'))


def nested(depth):
    text = PERMIT_ALL
    for number in range(depth):
        text = (
            f'<PolicySet PolicySetId="{number}" PolicyCombiningAlgId="{xacml.POLICY_DENY_OVERRIDES}"><Target/>'
            f"{text}</PolicySet>"
        )
    return appc(children=text)


def deep_condition(depth):
    text = value(xacml.BOOLEAN, "true")
    for _ in range(depth):
        text = f'<Apply FunctionId="{xacml.NOT}">{text}</Apply>'
    return in_condition(text)


GOOD_VALUE = value(xacml.STRING, "u1")
GOOD_DESIGNATOR = designator(xacml.SUBJECT_ID, xacml.STRING)
REFUSED = {
    "no policy": b"<x/>",
    "not XML": b"<x",
    "document type": b"<!DOCTYPE x []><x/>",
    "too large": appc(description=f"<Description>{'x' * 2**20}</Description>"),
    "too many elements": appc(children=PERMIT_ALL * 1000),
    "policies too deep": nested(16),
    "elements too deep": nested(70),
    "functions too deep": deep_condition(17),
    "unknown combining of policies": appc().replace(
        b"policy-combining-algorithm:deny-overrides", b"only-one-applicable"
    ),
    "unknown combining of rules": appc().replace(b"rule-combining-algorithm:deny-overrides", b"x"),
    "rules combined as policies": appc().replace(b"rule-combining-algorithm", b"policy-combining-algorithm"),
    "no id": appc().replace(b'PolicyId="p"', b'PolicyId=" "'),
    "no rule id": in_policy('<Rule Effect="Permit"/>'),
    "no target": appc(children=PERMIT_ALL.replace("<Target/>", "")),
    "two targets": appc(children=PERMIT_ALL.replace("<Target/>", "<Target/><Target/>")),
    "obligations": appc(
        children=PERMIT_ALL + '<Obligations><Obligation ObligationId="x" FulfillOn="Permit"/></Obligations>'
    ),
    "variables": in_policy('<VariableDefinition VariableId="v"/>'),
    "combiner parameters": appc(children="<CombinerParameters/>"),
    "foreign element": appc(children=PERMIT_ALL + '<x xmlns="urn:x"/>'),
    "version of a reference": appc(children='<PolicySetIdReference Version="1.0">urn:a</PolicySetIdReference>'),
    "empty reference": appc(children="<PolicySetIdReference> </PolicySetIdReference>"),
    "unknown effect": in_policy('<Rule RuleId="r" Effect="Maybe"/>'),
    "two conditions": in_policy(
        f'<Rule RuleId="r" Effect="Deny">{f"<Condition>{value(xacml.BOOLEAN, 1)}</Condition>" * 2}</Rule>'
    ),
    "empty condition": in_condition(""),
    "unknown function in a condition": in_condition(f'<Apply FunctionId="urn:x">{GOOD_VALUE}</Apply>'),
    "function reference": in_condition('<Function FunctionId="urn:x"/>'),
    "variable reference": in_condition('<VariableReference VariableId="v"/>'),
    "attribute selector": user_match(
        GOOD_VALUE + f'<AttributeSelector RequestContextPath="//x" DataType="{xacml.STRING}"/>'
    ),
    "unknown match": user_match(
        GOOD_VALUE + GOOD_DESIGNATOR, function="urn:oasis:names:tc:xacml:1.0:function:regexp-string-match"
    ),
    "match without designator": user_match(GOOD_VALUE),
    "match without value": user_match(GOOD_DESIGNATOR + GOOD_DESIGNATOR),
    "match of another section": user_match(GOOD_VALUE + designator(xacml.DOCUMENT_ID, xacml.STRING, "Resource")),
    "empty alternative": in_target("<Subjects><Subject/></Subjects>"),
    "empty section": in_target("<Subjects/>"),
    "section twice": in_target(subjects(USER), subjects(USER)),
    "subject in resources": appc(target=f"<Resources><Subject>{USER}</Subject></Resources>"),
    "unknown section": in_target("<Others/>"),
    "unknown attribute": user_match(GOOD_VALUE + designator("urn:x", xacml.STRING)),
    "attribute in another data type": user_match(value(xacml.STRING, "HCP") + designator(xacml.ROLE, xacml.STRING)),
    "literal of another type": user_match(value(xacml.ANY_URI, "u1") + GOOD_DESIGNATOR),
    "designator of another type": user_match(GOOD_VALUE + designator(xacml.SUBJECT_ID, xacml.ANY_URI)),
    "function of another type": user_match(GOOD_VALUE + GOOD_DESIGNATOR, function=xacml.ANY_URI_EQUAL),
    "issuer": user_match(GOOD_VALUE + designator(xacml.SUBJECT_ID, xacml.STRING, Issuer="x")),
    "intermediary subject": user_match(
        GOOD_VALUE + designator(xacml.SUBJECT_ID, xacml.STRING, SubjectCategory="urn:x")
    ),
    "must be present, perhaps": user_match(GOOD_VALUE + designator(xacml.SUBJECT_ID, xacml.STRING, MustBePresent="x")),
    "empty value": user_match(value(xacml.STRING, " ") + GOOD_DESIGNATOR),
    "element in text": user_match(value(xacml.STRING, "<x/>") + GOOD_DESIGNATOR),
    "unknown data type": in_condition(value("urn:x", "1")),
    "not a boolean": in_condition(value(xacml.BOOLEAN, "perhaps")),
    "not a date": in_condition(value(xacml.DATE, "2024-1-1")),
    "impossible date": in_condition(value(xacml.DATE, "2024-13-01")),
    "not a time": in_condition(value(xacml.DATE_TIME, "2024-01-01")),
    "coded value without system": in_target(subjects(ROLE_MATCH)).replace(b' codeSystem="2.999.40"', b""),
    "coded value in another namespace": in_target(subjects(ROLE_MATCH)).replace(b"<hl7:CodedValue", b"<CodedValue"),
    "two coded values": in_target(subjects(ROLE_MATCH)).replace(
        b"<!-- a comment -->", b'<hl7:CodedValue code="a" codeSystem="1"/>'
    ),
    "identifier without root": appc(target=RESOURCES.replace('root="2.999.1.1"', "")),
    "identifier as coded value": appc(target=RESOURCES.replace("InstanceIdentifier", "CodedValue")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    with pytest.raises(MalformedMessage):
        decode_policy(REFUSED[case])


def test_refusal_names_the_place():
    with pytest.raises(MalformedMessage, match="line 6, SubjectMatch") as caught:
        decode_policy(user_match("\n" + GOOD_VALUE + GOOD_DESIGNATOR, function="urn:x"))
    assert "'urn:x'" in str(caught.value)


def test_reference_bomb_is_one_reference_each():
    children = "<PolicySetIdReference>urn:a</PolicySetIdReference>" * 1900
    assert decode_policy(appc(children=children)).references == ("urn:a",)


def test_patient_match_is_what_the_builders_say():
    assert PATIENT_MATCH in RESOURCES
