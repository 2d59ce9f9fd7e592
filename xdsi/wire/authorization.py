"""ITI-79 Authorization Decisions Query: the question (its answer is in authorization_answer).

IHE SeR 3.79; SAML 2.0 profile of XACML 2.0 (both forms of its namespaces); XACML 2.0 core section 6 (context).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import unquote

from lxml import etree

from xdsi.domain.codes import Code
from xdsi.domain.consent import Action, DecisionRequest, Resource, Value
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import InstanceIdentifier, PatientId, from_cx
from xdsi.spec import xacml
from xdsi.spec.namespaces import HL7V3, XACML_CONTEXT, XACML_SAML_PROTOCOL
from xdsi.wire import xml
from xdsi.wire.authorization_answer import decode_answer, encode_answer
from xdsi.wire.xacml_values import children_of, read_hl7_value, refused, required, write_hl7_value
from xdsi.wire.xml import E, content
from xdsi.wire.xml_time import write_instant

__all__ = ["REQUEST_ACTION", "RESPONSE_ACTION", "decode_answer", "decode_query", "encode_answer", "encode_query"]

REQUEST_ACTION = "urn:ihe:iti:2014:ser:XACMLAuthorizationDecisionQueryRequest"
RESPONSE_ACTION = "urn:ihe:iti:2014:ser:XACMLAuthorizationDecisionQueryResponse"
MAX_RESOURCES = 10_000
STUDY_REFERENCE = "urn:ihe:iti:xds:2016:studyInstanceUID"
_PROTOCOLS = frozenset({xacml.PROTOCOL_V2, XACML_SAML_PROTOCOL})
_ATTRIBUTE, _VALUE = E(XACML_CONTEXT, "Attribute"), E(XACML_CONTEXT, "AttributeValue")
_REPOSITORY = (xacml.REPOSITORY_UNIQUE_ID, xacml.REPOSITORY_UNIQUE_ID_2007)


def decode_query(body: etree._Element) -> DecisionRequest:
    """An XACMLAuthzDecisionQuery; MalformedMessage for what cannot be decided on."""
    name = etree.QName(body)
    if name.localname != "XACMLAuthzDecisionQuery" or name.namespace not in _PROTOCOLS:
        raise MalformedMessage("not a decision query", location=str(body.tag), expected="XACMLAuthzDecisionQuery")
    requests = body.findall(E(XACML_CONTEXT, "Request"))
    if len(requests) != 1:
        raise refused(body, f"{len(requests)} Requests", expected="one")
    sections: dict[str, list[etree._Element]] = {"Subject": [], "Resource": [], "Action": [], "Environment": []}
    for child in children_of(requests[0]):
        local = etree.QName(child).localname
        if child.tag != E(XACML_CONTEXT, local) or local not in sections:
            raise refused(child, "element not expected")
        sections[local].append(child)
    if len(sections["Subject"]) != 1 or len(sections["Action"]) != 1:
        raise refused(requests[0], "one Subject and one Action are needed")
    if not 1 <= len(sections["Resource"]) <= MAX_RESOURCES:
        raise refused(requests[0], f"{len(sections['Resource'])} Resources", expected=f"1 to {MAX_RESOURCES}")
    subject = _attributes(sections["Subject"][0])
    return DecisionRequest(
        subject_attributes=subject,
        action=_action(sections["Action"][0]),
        resources=tuple(_resource(resource) for resource in sections["Resource"]),
        patient=_patient(subject.get(xacml.SUBJECT_PATIENT, ()), sections["Subject"][0]),
        query_id=body.get("ID", ""),
        protocol=str(name.namespace),
    )


def encode_query(request: DecisionRequest, *, now: datetime) -> bytes:
    """The query for a request; its ID is `request.query_id`, which the answer must repeat."""
    protocol = request.protocol or xacml.PROTOCOL_V2
    root = etree.Element(E(protocol, "XACMLAuthzDecisionQuery"), nsmap={"xacml-samlp": protocol})
    for name, value in (
        ("ID", request.query_id or f"_{uuid.uuid4()}"),
        ("Version", "2.0"),
        ("IssueInstant", write_instant(now)),
        ("InputContextOnly", "false"),
        ("ReturnContext", "false"),
    ):
        root.set(name, value)
    nsmap = {None: XACML_CONTEXT, "hl7": HL7V3}
    context = etree.SubElement(root, E(XACML_CONTEXT, "Request"), nsmap=nsmap)  # type: ignore[arg-type]
    subject = _context(context, "Subject")
    for attribute, values in request.subject_attributes.items():
        if attribute != xacml.SUBJECT_PATIENT:
            _write(subject, attribute, values)
    if request.patient is not None:
        _write(subject, xacml.SUBJECT_PATIENT, _identifier(request.patient))
    for resource in request.resources:
        part = _context(context, "Resource")
        _write(part, xacml.DOCUMENT_ID, [resource.unique_id])
        if resource.repository_unique_id:
            _write(part, xacml.REPOSITORY_UNIQUE_ID, [f"urn:oid:{resource.repository_unique_id}"], xacml.ANY_URI)
        if resource.patient is not None:
            _write(part, xacml.PATIENT_ID, _identifier(resource.patient))
        references = [found for cx in resource.reference_ids if (found := from_cx(cx)) is not None]
        if references:
            _write(part, xacml.REFERENCE_ID, references)
    _write(_context(context, "Action"), xacml.ACTION_ID, [request.action.action_id], xacml.ANY_URI)
    _context(context, "Environment")
    return xml.serialize(root)


def _attributes(section: etree._Element) -> dict[str, tuple[Value, ...]]:
    category = section.get("SubjectCategory", "")
    if category and not category.endswith(":access-subject"):
        raise refused(section, f"subject category {category!r}")
    found: dict[str, list[Value]] = {}
    for attribute in children_of(section):
        if attribute.tag != _ATTRIBUTE:
            raise refused(attribute, "element not expected", expected="Attribute")
        name, data_type = required(attribute, "AttributeId"), required(attribute, "DataType")
        for value in children_of(attribute):
            if value.tag != _VALUE:
                raise refused(value, "element not expected", expected="AttributeValue")
            found.setdefault(name, []).append(_value(value, name, data_type))
    return {name: tuple(values) for name, values in found.items()}


def _value(element: etree._Element, name: str, data_type: str) -> Value:
    if data_type in (xacml.CV, xacml.II):
        return read_hl7_value(element, data_type)
    if children_of(element):
        raise refused(element, f"value of {data_type} not understood")
    text = content(element)
    if name in (xacml.ROLE, xacml.PURPOSE_OF_USE):
        parts = text.removeprefix(xacml.CODED_URI).split(":")
        if not text.startswith(xacml.CODED_URI) or len(parts) not in (3, 4) or not parts[0] or not parts[2]:
            raise refused(element, "not a coded value", expected=f"{xacml.CODED_URI}codeSystem:name:code:display")
        scheme, _, code, display = (unquote(part) for part in (*parts, "")[:4])
        return Code(code, scheme, display)
    return text


def _action(section: etree._Element) -> Action:
    attributes = _attributes(section)
    names = attributes.get(xacml.ACTION_ID, ()) or attributes.get(xacml.ACTION_ID_SHORT, ())
    action = Action.of(names[0]) if len(names) == 1 and isinstance(names[0], str) else None
    if action is None:
        raise refused(
            section, f"action {', '.join(map(str, names)) or 'missing'}", expected="one action id of a transaction"
        )
    return action


def _resource(section: etree._Element) -> Resource:
    attributes = _attributes(section)
    identifiers = attributes.get(xacml.DOCUMENT_ID, ())
    if len(identifiers) != 1 or not isinstance(identifiers[0], str) or not identifiers[0]:
        raise refused(section, "a Resource needs one resource-id")
    repositories = {str(value) for name in _REPOSITORY for value in attributes.get(name, ())}
    if len(repositories) > 1:
        raise refused(section, "two repositories")
    references = (value for value in attributes.get(xacml.REFERENCE_ID, ()) if isinstance(value, InstanceIdentifier))
    return Resource(
        unique_id=identifiers[0],
        repository_unique_id=next(iter(repositories), "").removeprefix("urn:oid:"),
        patient=_patient(attributes.get(xacml.PATIENT_ID, ()), section),
        reference_ids=tuple(
            f"{one.extension}^^^&{one.root}&ISO" if one.extension else f"{one.root}^^^^{STUDY_REFERENCE}"
            for one in references
        ),
    )


def _patient(values: Sequence[Value], section: etree._Element) -> PatientId | None:
    """The one patient an attribute names, as an identifier or as CX text."""
    patients: set[PatientId] = set()
    for value in values:
        if isinstance(value, InstanceIdentifier) and value.extension:
            patients.add(PatientId(value.extension, value.root))
        elif isinstance(value, str):
            try:
                patients.add(PatientId.parse(value))
            except ValueError as error:
                raise refused(section, str(error)) from error
        else:
            raise refused(section, "a patient identifier needs root and extension")
    if len(patients) > 1:
        raise refused(section, "two patients")
    return next(iter(patients), None)


def _identifier(patient: PatientId) -> list[InstanceIdentifier]:
    return [InstanceIdentifier(patient.authority, patient.id)]


def _write(section: etree._Element, attribute: str, values: Sequence[Value], text_type: str = xacml.STRING) -> None:
    """One Attribute per data type of the values."""
    kinds: dict[str, list[Value]] = {}
    for value in values:
        data_type = (
            xacml.CV if isinstance(value, Code) else xacml.II if isinstance(value, InstanceIdentifier) else text_type
        )
        kinds.setdefault(data_type, []).append(value)
    for data_type, members in kinds.items():
        element = etree.SubElement(section, _ATTRIBUTE, AttributeId=attribute, DataType=data_type)
        for member in members:
            holder = etree.SubElement(element, _VALUE)
            if isinstance(member, str):
                holder.text = member
            else:
                write_hl7_value(holder, member)


def _context(parent: etree._Element, local: str) -> etree._Element:
    return etree.SubElement(parent, E(XACML_CONTEXT, local))
