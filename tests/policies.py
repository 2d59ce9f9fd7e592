"""Short ways to write policies in tests: as values and as XACML text."""

from __future__ import annotations

from typing import Any

from xdsi.domain.codes import Code
from xdsi.domain.consent import Effect, Match, Policy, Rule, Target
from xdsi.domain.identifiers import InstanceIdentifier
from xdsi.spec import xacml
from xdsi.spec.namespaces import HL7V3, XACML_POLICY

ROLES = "2.999.40"
CONFIDENTIALITY = "2.16.840.1.113883.5.25"


def match(attribute: str, value: Any, function: str = "", **more: Any) -> Match:
    """A match with the equality that suits the value."""
    if not function:
        kinds = {Code: xacml.CV_EQUAL, InstanceIdentifier: xacml.II_EQUAL}
        function = kinds.get(type(value), xacml.STRING_EQUAL)
    return Match(attribute=attribute, value=value, function=function, **more)


def role(code: str) -> Match:
    return match(xacml.ROLE, Code(code, ROLES))


def organization(oid: str) -> Match:
    return match(xacml.ORGANIZATION_ID, oid)


def confidentiality(code: str) -> Match:
    return match(xacml.CONFIDENTIALITY_CODE, Code(code, CONFIDENTIALITY))


def target(
    *, who: Match | None = None, what: Match | None = None, action: Match | None = None, when: Match | None = None
) -> Target:
    """At most one match per section."""
    parts = [() if one is None else ((one,),) for one in (who, what, action, when)]
    return Target(subjects=parts[0], resources=parts[1], actions=parts[2], environments=parts[3])


def permit(name: str = "permit", condition: Any = None, **parts: Match) -> Rule:
    return Rule(id=name, effect=Effect.PERMIT, target=target(**parts), condition=condition)


def deny(name: str = "deny", condition: Any = None, **parts: Match) -> Rule:
    return Rule(id=name, effect=Effect.DENY, target=target(**parts), condition=condition)


def policy(*rules: Rule, name: str = "policy", combining: str = xacml.RULE_DENY_OVERRIDES, **parts: Match) -> Policy:
    return Policy(id=name, combining=combining, children=rules, target=target(**parts))


def policy_set(
    *children: Any, name: str = "set", combining: str = xacml.POLICY_DENY_OVERRIDES, **parts: Match
) -> Policy:
    return Policy(id=name, combining=combining, children=children, target=target(**parts))


# As text

STRING, URI = xacml.STRING, xacml.ANY_URI
PATIENT_MATCH = f"""<ResourceMatch MatchId="{xacml.II_EQUAL}">
  <AttributeValue DataType="{xacml.II}">
    <hl7:InstanceIdentifier root="2.999.1.1" extension="P1"/>
  </AttributeValue>
  <ResourceAttributeDesignator DataType="{xacml.II}" AttributeId="{xacml.PATIENT_ID}"/>
</ResourceMatch>"""
RESOURCES = f"<Resources><Resource>{PATIENT_MATCH}</Resource></Resources>"
PERMIT_ALL = (
    f'<Policy PolicyId="p" RuleCombiningAlgId="{xacml.RULE_DENY_OVERRIDES}"><Target/>'
    '<Rule RuleId="r" Effect="Permit"/></Policy>'
)


def text_match(
    section: str, attribute: str, value: str, *, function: str = xacml.STRING_EQUAL, data_type: str = STRING
) -> str:
    """A match of a text value."""
    return (
        f'<{section}Match MatchId="{function}"><AttributeValue DataType="{data_type}">{value}</AttributeValue>'
        f'<{section}AttributeDesignator DataType="{data_type}" AttributeId="{attribute}"/></{section}Match>'
    )


def appc(
    *, target: str = RESOURCES, children: str = PERMIT_ALL, description: str = "<Description>as agreed</Description>"
) -> bytes:
    """A consent document about patient P1."""
    return (
        f'<PolicySet xmlns="{XACML_POLICY}" xmlns:hl7="{HL7V3}" PolicySetId="urn:uuid:c1" '
        f'PolicyCombiningAlgId="{xacml.POLICY_DENY_OVERRIDES}">{description}<Target>{target}</Target>'
        f"{children}</PolicySet>"
    ).encode()
