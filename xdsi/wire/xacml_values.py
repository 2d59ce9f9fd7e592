"""Attribute values in policies and in questions about them: coded values, instance identifiers, times.

APPC supplement 43 (data types of HL7 v3), XACML 2.0 core section 5.36.
"""

from __future__ import annotations

import re
from datetime import datetime

from lxml import etree

from xdsi.domain.codes import Code
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import InstanceIdentifier
from xdsi.spec import xacml
from xdsi.spec.namespaces import HL7V3
from xdsi.wire.xml import E

_OFFSET = r"(Z|[+-]\d{2}:\d{2})?"
LEXICAL = {
    xacml.DATE: re.compile(r"(\d{4}-\d{2}-\d{2})()" + _OFFSET),
    xacml.DATE_TIME: re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d{1,9})?" + _OFFSET),
}


def children_of(element: etree._Element) -> list[etree._Element]:
    """Child elements without comments and processing instructions."""
    return [child for child in element if isinstance(child.tag, str)]


def read_hl7_value(element: etree._Element, data_type: str) -> Code | InstanceIdentifier:
    """The hl7:CodedValue or hl7:InstanceIdentifier inside an AttributeValue."""
    children = children_of(element)
    local = "CodedValue" if data_type == xacml.CV else "InstanceIdentifier"
    if len(children) != 1 or children[0].tag != E(HL7V3, local):
        raise refused(element, f"value of {data_type} not understood", expected=f"one hl7:{local}")
    one = children[0]
    if data_type == xacml.CV:
        scheme = required(one, "codeSystem").removeprefix("urn:oid:")
        return Code(required(one, "code"), scheme, one.get("displayName", ""))
    root = required(one, "root").removeprefix("urn:oid:")
    return InstanceIdentifier(root, one.get("extension", "").strip())


def write_hl7_value(parent: etree._Element, value: Code | InstanceIdentifier) -> None:
    """Add the hl7:CodedValue or hl7:InstanceIdentifier for a value."""
    if isinstance(value, Code):
        one = etree.SubElement(parent, E(HL7V3, "CodedValue"), code=value.code, codeSystem=value.scheme)
        if value.display:
            one.set("displayName", value.display)
    else:
        one = etree.SubElement(parent, E(HL7V3, "InstanceIdentifier"), root=value.root)
        if value.extension:
            one.set("extension", value.extension)


def moment_of(text: str, data_type: str) -> datetime | None:
    """The first instant of an XML Schema date or dateTime, naive where it has no offset; None where it is neither."""
    match = LEXICAL[data_type].fullmatch(text)
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(match[1] + (match[2] or "")[:7])
        return moment.replace(
            tzinfo=datetime.fromisoformat(f"2000-01-01T00:00:00{match[3]}").tzinfo if match[3] else None
        )
    except ValueError:
        return None


_LANGUAGE = "the part of XACML 2.0 and APPC that docs/policy.md describes in section 4"


def required(element: etree._Element, attribute: str) -> str:
    """An attribute that has to be there and not empty."""
    value = element.get(attribute, "").strip()
    if not value:
        raise refused(element, f"{attribute} is missing", expected=f"the attribute {attribute}")
    return value


def refused(element: etree._Element, message: str, *, expected: str = "") -> MalformedMessage:
    """What to raise about an element of a policy or of a question about one."""
    location = f"line {element.sourceline}, {etree.QName(element).localname}"
    return MalformedMessage(f"policy not understood: {message}", location=location, expected=expected or _LANGUAGE)
