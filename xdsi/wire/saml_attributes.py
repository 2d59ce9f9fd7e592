"""The attributes of an XUA assertion, in both directions.

ITI TF-2 3.40.4.1.2 (attribute names and value forms). Values of an attribute that comes several times add up;
attributes that are not in the table are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lxml import etree

from xdsi.domain.codes import Code
from xdsi.domain.errors import SecurityFault
from xdsi.domain.identifiers import PatientId
from xdsi.domain.subject import Subject
from xdsi.spec import xacml
from xdsi.spec.namespaces import HL7V3, SAML, XSI
from xdsi.wire.xml import E, content

ATTRIBUTE, ATTRIBUTE_VALUE = E(SAML, "Attribute"), E(SAML, "AttributeValue")
NAME_FORMAT = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"


def _text(value: etree._Element) -> str:
    if len(value):
        raise _malformed("element inside a text value")
    return content(value)


def _code(local: str) -> Callable[[etree._Element], Code]:
    def read(value: etree._Element) -> Code:
        children = list(value)
        if len(children) != 1 or children[0].tag != E(HL7V3, local):
            raise _malformed(f"the value must be one hl7:{local}")
        code, scheme = children[0].get("code", "").strip(), children[0].get("codeSystem", "").strip()
        if not code or not scheme:
            raise _malformed(f"hl7:{local} needs code and codeSystem")
        return Code(code, scheme.removeprefix("urn:oid:"), children[0].get("displayName", ""))

    return read


def _identifier(value: etree._Element) -> str:
    children = list(value)
    if len(children) != 1 or children[0].tag != E(HL7V3, "id"):
        raise _malformed("the value must be one hl7:id")
    root, extension = children[0].get("root", "").strip(), children[0].get("extension", "").strip()
    if not root:
        raise _malformed("hl7:id needs a root")
    return f"{extension}^^^&{root}&ISO" if extension else root


def _patient(value: etree._Element) -> PatientId:
    """CX; what follows the assigning authority (an identifier type code) is not looked at."""
    try:
        return PatientId.parse("^".join(_text(value).split("^")[:4]))
    except ValueError as error:
        raise _malformed(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Row:
    """How the values of one attribute are read, and the fields of Subject they fill."""

    read: Callable[[etree._Element], Any]
    field: str
    further: str = ""
    """field for the values after the first; without it `field` takes a tuple, or one value only"""
    single: bool = False


_TABLE: dict[str, _Row] = {
    xacml.SUBJECT_NAME: _Row(_text, "user_name", single=True),
    xacml.ORGANIZATION: _Row(_text, "organization", "further_organizations"),
    xacml.ORGANIZATION_ID: _Row(_text, "organization_id", "further_organization_ids"),
    xacml.HOME_COMMUNITY_ID: _Row(_text, "home_community_id", single=True),
    xacml.NPI: _Row(_text, "npi", single=True),
    xacml.PROVIDER_IDENTIFIER: _Row(_identifier, "provider_identifiers"),
    xacml.ROLE: _Row(_code("Role"), "roles"),
    xacml.PURPOSE_OF_USE: _Row(_code("PurposeOfUse"), "purposes"),
    xacml.CONSENT_DOCUMENT: _Row(_text, "consent_documents"),
    xacml.PRIVACY_POLICY: _Row(_text, "privacy_policies"),
    xacml.SUBJECT_PATIENT: _Row(_patient, "patient", single=True),
    xacml.EMERGENCY_REASON: _Row(_text, "emergency_reason", single=True),
}


KNOWN = frozenset(_TABLE)
"""attributes that are read; others are ignored"""


def present_attributes(statements: Iterable[etree._Element]) -> frozenset[str]:
    """The names of all attributes that have a value, known or not."""
    return frozenset(
        attribute.get("Name", "")
        for statement in statements
        for attribute in statement.iterchildren(ATTRIBUTE)
        if any(len(value) or content(value) for value in attribute.iterchildren(ATTRIBUTE_VALUE))
    )


def read_attributes(statements: Sequence[etree._Element], required: frozenset[str]) -> dict[str, Any]:
    """Fields of Subject from AttributeStatements; SecurityFault `InvalidSecurityToken` for what is wrong or missing."""
    values: dict[str, list[Any]] = {}
    for statement in statements:
        for attribute in statement.iterchildren(ATTRIBUTE):
            name = attribute.get("Name", "")
            row = _TABLE.get(name)
            if row is not None:
                found = (row.read(value) for value in attribute.iterchildren(ATTRIBUTE_VALUE))
                values.setdefault(name, []).extend(value for value in found if value)
    others = present_attributes(statements) - KNOWN
    for name in sorted(required):
        if not values.get(name) and name not in others:
            raise _malformed(f"attribute {name} is missing")
    fields: dict[str, Any] = {}
    for name, found_values in values.items():
        row, distinct = _TABLE[name], tuple(dict.fromkeys(found_values))
        if not distinct:
            continue
        if row.single and len(distinct) > 1:
            raise _malformed(f"attribute {name} has two different values")
        if row.further:
            fields[row.further] = distinct[1:]
        fields[row.field] = distinct[0] if row.single or row.further else distinct
    return fields


def write_attributes(statement: etree._Element, subject: Subject) -> None:
    """Add every attribute that `subject` has a value for."""
    for name, row in _TABLE.items():
        first = getattr(subject, row.field)
        values = first if isinstance(first, tuple) else (first, *(getattr(subject, row.further) if row.further else ()))
        present = [value for value in values if value]
        if not present:
            continue
        attribute = etree.SubElement(statement, ATTRIBUTE, Name=name, NameFormat=NAME_FORMAT)
        for value in present:
            _write_value(etree.SubElement(attribute, ATTRIBUTE_VALUE), name, value)


def _write_value(element: etree._Element, name: str, value: Any) -> None:
    if isinstance(value, Code):
        local = "Role" if name == xacml.ROLE else "PurposeOfUse"
        coded = etree.SubElement(element, E(HL7V3, local), nsmap={"hl7": HL7V3, "xsi": XSI})
        coded.set(E(XSI, "type"), "hl7:CE")
        coded.set("code", value.code)
        coded.set("codeSystem", value.scheme)
        if value.display:
            coded.set("displayName", value.display)
    elif name == xacml.PROVIDER_IDENTIFIER:
        extension, _, authority = str(value).partition("^^^&")
        identifier = etree.SubElement(element, E(HL7V3, "id"), nsmap={"hl7": HL7V3, "xsi": XSI})
        identifier.set(E(XSI, "type"), "hl7:II")
        identifier.set("root", authority.partition("&")[0] or extension)
        if authority:
            identifier.set("extension", extension)
    else:
        element.text = str(value)


def _malformed(detail: str) -> SecurityFault:
    return SecurityFault("InvalidSecurityToken", detail)
