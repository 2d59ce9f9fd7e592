"""APPC consent documents: a patient's own policy, read into what is decided on, or written from statements.

IHE APPC supplement 5.6: one XACML 2.0 PolicySet about one patient.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from lxml import etree

from xdsi.domain.codes import Code
from xdsi.domain.consent import READING, Action, ConsentFacts, Match, Policy, Section, Statement
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import InstanceIdentifier, PatientId, is_oid
from xdsi.spec import xacml
from xdsi.spec.namespaces import HL7V3, XACML_POLICY
from xdsi.wire import xml
from xdsi.wire.bppc import decode_bppc, encode_bppc
from xdsi.wire.xacml import MAX_ELEMENTS, POLICY_SET, parse, read_policy
from xdsi.wire.xacml_values import moment_of, write_hl7_value
from xdsi.wire.xml import E, content
from xdsi.wire.xml_time import write_instant

__all__ = ["decode_appc", "decode_bppc", "decode_consent", "encode_appc", "encode_bppc"]

_PATIENT = frozenset({xacml.PATIENT_ID, xacml.PATIENT_ID_CH})


def decode_consent(raw: bytes, format_code: str, *, zone: tzinfo = UTC) -> tuple[Policy, ConsentFacts]:
    """A consent document of any accepted format, by its entry's formatCode; MalformedMessage for another one."""
    if format_code == xacml.APPC_FORMAT:
        return decode_appc(raw, zone=zone)
    if format_code in (xacml.BPPC_FORMAT, xacml.BPPC_SCAN_FORMAT):
        return decode_bppc(raw, zone=zone)
    raise MalformedMessage(
        f"{format_code!r} is no format of consents", expected=", ".join(sorted(xacml.CONSENT_FORMATS))
    )


def decode_appc(raw: bytes, *, zone: tzinfo = UTC) -> tuple[Policy, ConsentFacts]:
    """The policy of a consent document and what the document says about itself; MalformedMessage for anything unclear.

    Days in the window begin and end in `zone`.
    """
    root = parse(raw)
    if root.tag != POLICY_SET:
        raise MalformedMessage("not an APPC document", location=str(root.tag), expected="PolicySet")
    policy = read_policy(root)
    description = root.find(E(XACML_POLICY, "Description"))
    if description is None or not content(description):
        raise MalformedMessage(
            "the consent has no Description", location="PolicySet", expected="who signed, when, for whom"
        )
    valid_from, valid_until = _window(policy, zone)
    return policy, ConsentFacts(
        document_id=policy.id,
        description=" ".join(content(description).split()),
        patients=_patients(policy),
        valid_from=valid_from,
        valid_until=valid_until,
        references=policy.references,
    )


def _patients(policy: Policy) -> tuple[PatientId, ...]:
    """The identifiers in the root's target; every alternative there must name the patient."""
    found: dict[PatientId, None] = {}
    for alternative in policy.target.resources:
        named = [match.value for match in alternative if match.attribute in _PATIENT]
        if not named:
            raise MalformedMessage("a Resource without the patient", location="PolicySet/Target/Resources")
        for value in named:
            if not isinstance(value, InstanceIdentifier) or not value.extension or not is_oid(value.root):
                raise MalformedMessage("patient identifier without root or extension", location="PolicySet/Target")
            found[PatientId(value.extension, value.root)] = None
    if not found:
        raise MalformedMessage("the consent names no patient", location="PolicySet/Target", expected=xacml.PATIENT_ID)
    return tuple(found)


def _window(policy: Policy, zone: tzinfo) -> tuple[datetime | None, datetime | None]:
    """From when and until when the root's target can match at all; open where it has alternatives."""
    if len(policy.target.environments) != 1:
        return None, None
    starts: list[datetime] = []
    ends: list[datetime] = []
    for match in policy.target.environments[0]:
        data_type, comparison = xacml.COMPARISONS.get(match.function, ("", ""))
        moment = moment_of(str(match.value), data_type) if data_type else None
        if moment is None:
            continue
        first = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
        at = _reached(first, zone, data_type)
        after = _reached(first, zone, data_type, passed=True)
        if comparison in ("<=", "=="):
            starts.append(at)
        if comparison == "<":
            starts.append(after)
        if comparison in (">=", "=="):
            ends.append(after)
        if comparison == ">":
            ends.append(at)
    return max(starts, default=None), min(ends, default=None)


def _reached(instant: datetime, zone: tzinfo, data_type: str, *, passed: bool = False) -> datetime:
    """From when on current-date or current-dateTime is not before `instant`, or is after it.

    The current date changes at midnight in `zone`, wherever the midnight was that a document wrote with an offset.
    What would be beyond the calendar is `instant`.
    """
    try:
        if data_type != xacml.DATE:
            return instant + timedelta(microseconds=passed)
        local = instant.astimezone(zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if midnight == local and not passed else midnight + timedelta(days=1)
    except OverflowError:
        return instant


# Writing


def encode_appc(
    *,
    patient: PatientId,
    policy_set_id: str,
    description: str,
    statements: Sequence[Statement] = (),
    references: Sequence[str] = (),
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> bytes:
    """A consent document: `statements` where a Deny wins over a Permit, and `references` to policies of the domain.

    `policy_set_id` (`urn:uuid:...`) is the uniqueId of its DocumentEntry. ValueError where the statements multiply to
    more than a consent may hold.
    """
    root = etree.Element(POLICY_SET, nsmap={None: XACML_POLICY, "hl7": HL7V3})  # type: ignore[dict-item]
    root.set("PolicySetId", policy_set_id)
    root.set("PolicyCombiningAlgId", xacml.POLICY_DENY_OVERRIDES)
    _add(root, "Description").text = description
    target = _add(root, "Target")
    who = Match(
        attribute=xacml.PATIENT_ID, value=InstanceIdentifier(patient.authority, patient.id), function=xacml.II_EQUAL
    )
    _write_section(target, Section.RESOURCE, [[who]])
    window = [
        Match(attribute=xacml.CURRENT_DATE_TIME, value=write_instant(moment, timespec="auto"), function=function)
        for moment, function in (
            (valid_from, xacml.DATE_TIME_LESS_OR_EQUAL),
            (valid_until, xacml.DATE_TIME_GREATER),
        )
        if moment is not None
    ]
    _write_section(target, Section.ENVIRONMENT, [window] if window else [])
    if statements:
        policy = _add(root, "Policy")
        policy.set("PolicyId", f"{policy_set_id}:statements")
        policy.set("RuleCombiningAlgId", xacml.RULE_DENY_OVERRIDES)
        _add(policy, "Target")
        for number, statement in enumerate(statements, start=1):
            write_statement(policy, f"{statement.effect.lower()}-{number}", statement)
    for reference in references:
        _add(root, "PolicySetIdReference").text = reference
    if sum(1 for _ in root.iter()) > MAX_ELEMENTS:
        raise ValueError(f"the statements multiply to more than {MAX_ELEMENTS} elements")
    return b"<?xml version='1.0' encoding='UTF-8'?>\n" + xml.serialize(root)


def write_statement(policy: etree._Element, identifier: str, statement: Statement) -> None:
    """Add a rule to a Policy; ValueError where the statement multiplies to more than a document may hold."""
    rule = _add(policy, "Rule")
    rule.set("RuleId", identifier)
    rule.set("Effect", statement.effect)
    target = _add(rule, "Target")
    _write_section(
        target,
        Section.SUBJECT,
        _product(
            _matches(xacml.ROLE, statement.roles, xacml.CV_EQUAL),
            _matches(xacml.ORGANIZATION_ID, statement.organizations, xacml.ANY_URI_EQUAL),
            _matches(xacml.SUBJECT_ID, statement.persons, xacml.STRING_EQUAL),
            _matches(xacml.PURPOSE_OF_USE, statement.purposes, xacml.CV_EQUAL),
        ),
    )
    _write_section(
        target,
        Section.RESOURCE,
        _product(
            _matches(xacml.CLASS_CODE, statement.class_codes, xacml.CV_EQUAL),
            _matches(xacml.TYPE_CODE, statement.type_codes, xacml.CV_EQUAL),
            _matches(xacml.CONFIDENTIALITY_CODE, statement.confidentiality_codes, xacml.CV_EQUAL),
            _matches(xacml.AUTHOR_INSTITUTION, statement.author_institutions, xacml.II_EQUAL),
            _matches(xacml.EVENT_CODE, statement.modalities, xacml.CV_EQUAL),
            _matches(xacml.REFERENCE_ID, map(InstanceIdentifier, statement.studies), xacml.II_EQUAL),
            _matches(xacml.DOCUMENT_ID, statement.documents, xacml.STRING_EQUAL),
        ),
    )
    names = [name for action in statement.actions for name in _action_ids(action)]
    _write_section(target, Section.ACTION, [[match] for match in _matches(xacml.ACTION_ID, names, xacml.ANY_URI_EQUAL)])


def _action_ids(action: Action) -> list[str]:
    """What the supplement prints: for reading, the actions of the answers (APPC 5.6, table of action ids)."""
    return [f"{name}Response" if action in READING else name for name in xacml.ACTION_NAMES[action]]


def _matches(attribute: str, values: Iterable[Code | InstanceIdentifier | str], function: str) -> list[Match]:
    return [Match(attribute=attribute, value=value, function=function) for value in values]


def _product(*groups: list[Match]) -> list[list[Match]]:
    """Alternatives inside a group, all groups together."""
    spoken = [group for group in groups if group]
    count = 1
    for group in spoken:
        count *= len(group)
    if count > MAX_ELEMENTS:
        raise ValueError(f"a statement multiplies to {count} alternatives")
    return [list(alternative) for alternative in itertools.product(*spoken)] if spoken else []


def _write_section(target: etree._Element, section: Section, alternatives: Sequence[Sequence[Match]]) -> None:
    if not alternatives:
        return
    group = _add(target, f"{section}s")
    for alternative in alternatives:
        part = _add(group, section)
        for match in alternative:
            element = _add(part, f"{section}Match")
            element.set("MatchId", match.function)
            data_type = xacml.EQUALITIES.get(match.function) or xacml.COMPARISONS[match.function][0]
            value = _add(element, "AttributeValue")
            value.set("DataType", data_type)
            if isinstance(match.value, str):
                value.text = match.value
            else:
                write_hl7_value(value, match.value)
            designator = _add(element, f"{section}AttributeDesignator")
            designator.set("AttributeId", match.attribute)
            designator.set("DataType", data_type)


def _add(parent: etree._Element, local: str) -> etree._Element:
    return etree.SubElement(parent, E(XACML_POLICY, local))
