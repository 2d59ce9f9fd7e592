"""Policies in XACML 2.0: read the subset that is evaluated, refuse everything else.

XACML 2.0 core section 5, APPC supplement 5.6; docs/policy.md section 4 lists the subset. A policy that is not
understood whole is refused whole, so that neither a permit nor a deny is misread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lxml import etree

from xdsi.domain.consent import (
    Apply,
    Designator,
    Effect,
    Expression,
    Literal,
    Match,
    Policy,
    Reference,
    Rule,
    Section,
    Target,
    Value,
)
from xdsi.domain.errors import MalformedMessage
from xdsi.spec import xacml
from xdsi.spec.namespaces import XACML_POLICY
from xdsi.wire import xml
from xdsi.wire.xacml_values import LEXICAL, children_of, moment_of, read_hl7_value, refused, required
from xdsi.wire.xml import E, content

LIMIT = 1024 * 1024
MAX_ELEMENTS = 2000
MAX_NESTING = 16
"""policies inside policies, functions inside functions"""

POLICY_SET = E(XACML_POLICY, "PolicySet")
_POLICY = E(XACML_POLICY, "Policy")
_TYPES: dict[Section, Mapping[str, frozenset[str]]] = {
    Section.SUBJECT: xacml.SUBJECT_TYPES,
    Section.RESOURCE: xacml.RESOURCE_TYPES,
    Section.ACTION: xacml.ACTION_TYPES,
    Section.ENVIRONMENT: xacml.ENVIRONMENT_TYPES,
}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_ACCESS_SUBJECT = "urn:oasis:names:tc:xacml:1.0:subject-category:access-subject"
_FUNCTIONS = (
    {xacml.AND, xacml.OR, xacml.NOT}
    | set(xacml.EQUALITIES)
    | set(xacml.COMPARISONS)
    | set(xacml.ONE_AND_ONLY)
    | set(xacml.BAG)
    | set(xacml.IS_IN)
)


def decode_policy(raw: bytes) -> Policy:
    """A PolicySet or Policy document; MalformedMessage for what is not in the subset."""
    return read_policy(parse(raw))


def parse(raw: bytes) -> etree._Element:
    """The root of a policy document within the limits."""
    root = xml.parse(raw, limit=LIMIT)
    if sum(1 for _ in root.iter()) > MAX_ELEMENTS:
        raise MalformedMessage("policy too large", expected=f"at most {MAX_ELEMENTS} elements")
    return root


def read_policy(element: etree._Element, depth: int = 0) -> Policy:
    """A PolicySet or Policy element with all below it."""
    if depth >= MAX_NESTING:
        raise refused(element, f"policies nested more than {MAX_NESTING} deep")
    if element.tag == POLICY_SET:
        return _policy_set(element, depth)
    if element.tag == _POLICY:
        return _policy(element)
    raise refused(element, "not a policy", expected="PolicySet or Policy")


def _policy_set(element: etree._Element, depth: int) -> Policy:
    combining = _known(element, "PolicyCombiningAlgId", xacml.POLICY_ALGORITHMS)
    target: Target | None = None
    children: list[Policy | Rule | Reference] = []
    for child in children_of(element):
        match _local(child):
            case "Description" | "PolicySetDefaults":
                continue
            case "Target" if target is None:
                target = _target(child)
            case "PolicySet" | "Policy":
                children.append(read_policy(child, depth + 1))
            case "PolicySetIdReference" | "PolicyIdReference":
                children.append(_reference(child))
            case _:
                raise refused(child, "element not supported")
    return _made(element, "PolicySetId", combining, target, children)


def _policy(element: etree._Element) -> Policy:
    combining = _known(element, "RuleCombiningAlgId", xacml.RULE_ALGORITHMS)
    target: Target | None = None
    rules: list[Policy | Rule | Reference] = []
    for child in children_of(element):
        match _local(child):
            case "Description" | "PolicyDefaults":
                continue
            case "Target" if target is None:
                target = _target(child)
            case "Rule":
                rules.append(_rule(child))
            case _:
                raise refused(child, "element not supported")
    return _made(element, "PolicyId", combining, target, rules)


def _made(
    element: etree._Element,
    id_name: str,
    combining: str,
    target: Target | None,
    children: list[Policy | Rule | Reference],
) -> Policy:
    if target is None:
        raise refused(element, "no Target")
    return Policy(id=required(element, id_name), combining=combining, children=tuple(children), target=target)


def _reference(element: etree._Element) -> Reference:
    if element.attrib or children_of(element):
        raise refused(element, "a reference to a version is not supported")
    identifier = content(element)
    if not identifier:
        raise refused(element, "empty reference")
    return Reference(identifier)


def _rule(element: etree._Element) -> Rule:
    target = Target()
    condition: Expression | None = None
    for child in children_of(element):
        match _local(child):
            case "Description":
                continue
            case "Target":
                target = _target(child)
            case "Condition" if condition is None:
                expressions = children_of(child)
                if len(expressions) != 1:
                    raise refused(child, "a condition is one expression")
                condition = _expression(expressions[0], 0)
            case _:
                raise refused(child, "element not supported")
    effect = element.get("Effect", "")
    if effect not in (Effect.PERMIT, Effect.DENY):
        raise refused(element, f"Effect {effect!r}", expected="Permit or Deny")
    return Rule(id=required(element, "RuleId"), effect=Effect(effect), target=target, condition=condition)


# Targets


def _target(element: etree._Element) -> Target:
    parts: dict[Section, tuple[tuple[Match, ...], ...]] = {}
    for group in children_of(element):
        name = _local(group)
        section = Section(name[:-1]) if name in {f"{section}s" for section in Section} else None
        if section is None or section in parts:
            raise refused(group, "element not supported")
        alternatives = []
        for alternative in children_of(group):
            if alternative.tag != E(XACML_POLICY, section):
                raise refused(alternative, "element not supported")
            matches = tuple(_match(match, section) for match in children_of(alternative))
            if not matches:
                raise refused(alternative, "no match in it")
            alternatives.append(matches)
        if not alternatives:
            raise refused(group, "nothing in it")
        parts[section] = tuple(alternatives)
    return Target(
        subjects=parts.get(Section.SUBJECT, ()),
        resources=parts.get(Section.RESOURCE, ()),
        actions=parts.get(Section.ACTION, ()),
        environments=parts.get(Section.ENVIRONMENT, ()),
    )


def _match(element: etree._Element, section: Section) -> Match:
    children = children_of(element)
    if element.tag != E(XACML_POLICY, f"{section}Match") or len(children) != 2:
        raise refused(element, "element not supported", expected=f"{section}Match with a value and a designator")
    function = element.get("MatchId", "").strip()
    data_type = xacml.EQUALITIES.get(function) or xacml.COMPARISONS.get(function, ("", ""))[0]
    if not data_type:
        raise refused(element, f"function {function!r} is not supported")
    literal = _literal(children[0])
    designator = _designator(children[1])
    if designator.section is not section:
        raise refused(children[1], "designator of another section")
    if literal.data_type != data_type or designator.data_type != data_type or isinstance(literal.value, bool):
        raise refused(element, "the data types of function, value and attribute differ", expected=data_type)
    return Match(
        attribute=designator.attribute,
        value=literal.value,
        function=function,
        must_be_present=designator.must_be_present,
    )


# Expressions


def _expression(element: etree._Element, depth: int) -> Expression:
    if depth >= MAX_NESTING:
        raise refused(element, f"functions nested more than {MAX_NESTING} deep")
    match _local(element):
        case "Apply":
            function = required(element, "FunctionId")
            if function not in _FUNCTIONS:
                raise refused(element, f"function {function!r} is not supported")
            return Apply(
                function=function,
                arguments=tuple(_expression(child, depth + 1) for child in children_of(element)),
            )
        case "AttributeValue":
            return _literal(element)
        case _:
            return _designator(element)


def _designator(element: etree._Element) -> Designator:
    name = _local(element)
    section = next((section for section in Section if name == f"{section}AttributeDesignator"), None)
    if section is None:
        raise refused(element, "element not supported")
    if element.get("SubjectCategory", _ACCESS_SUBJECT) != _ACCESS_SUBJECT or element.get("Issuer") is not None:
        raise refused(element, "SubjectCategory or Issuer not supported")
    attribute, data_type = required(element, "AttributeId"), required(element, "DataType")
    accepted = _TYPES[section].get(attribute)
    if accepted is None or data_type not in accepted:
        raise refused(element, f"attribute {attribute} as {data_type} is not supported")
    present = element.get("MustBePresent", "false").strip()
    if present not in _BOOLEANS:
        raise refused(element, f"MustBePresent {present!r}")
    return Designator(
        section=section,
        attribute=xacml.ACTION_ID if attribute == xacml.ACTION_ID_SHORT else attribute,
        data_type=data_type,
        must_be_present=_BOOLEANS[present],
    )


def _literal(element: etree._Element) -> Literal:
    if element.tag != E(XACML_POLICY, "AttributeValue"):
        raise refused(element, "element not supported", expected="AttributeValue")
    data_type = required(element, "DataType")
    value: Value | bool
    if data_type in (xacml.CV, xacml.II):
        value = read_hl7_value(element, data_type)
    else:
        value = content(element)
        if data_type not in xacml.DATA_TYPES or children_of(element) or not value:
            raise refused(element, f"value of {data_type} not supported")
        if data_type in LEXICAL and moment_of(value, data_type) is None:
            raise refused(element, f"{value!r} is not of {data_type}")
        if data_type == xacml.BOOLEAN:
            if value not in _BOOLEANS:
                raise refused(element, f"{value!r} is not of {data_type}")
            value = _BOOLEANS[value]
    return Literal(value=value, data_type=data_type)


def _local(element: etree._Element) -> str:
    name = etree.QName(element)
    return name.localname if name.namespace == XACML_POLICY else ""


def _known(element: etree._Element, attribute: str, known: Mapping[str, Any]) -> str:
    value = required(element, attribute)
    if value not in known:
        raise refused(element, f"{attribute} {value!r} is not supported", expected=" or ".join(known))
    return value
