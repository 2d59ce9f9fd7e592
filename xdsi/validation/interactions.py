"""HL7 V3 interactions: patient identity feeds as the registry reads them; of others what all have in common.

ITI TF-2 3.44, 3.45, 3.47, 3.55 and Appendix O; HL7 V3 2008, MCCI_MT000100UV01.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.findings import Finding, Level
from xdsi.rules.validation.forms import FORMS
from xdsi.spec.namespaces import HL7V3
from xdsi.validation.looks import first_element
from xdsi.validation.validator import Judged, Terms, Validator
from xdsi.validation.xml_file import XmlFile
from xdsi.wire import hl7_timestamp, hl7v3, xml
from xdsi.wire.xml import E

LIMIT: Final = 10 * 1024 * 1024
_INTERACTION = re.compile(r"(?:PRPA|MCCI|QUQI)_IN\d{6}UV\d{2}(?:_\w+)?")
_WRAPPER = "HL7 V3 MCCI_MT000100UV01; ITI TF-2 O.1"
_IN_WRAPPER = (
    "id",
    "creationTime",
    "interactionId",
    "processingCode",
    "processingModeCode",
    "acceptAckCode",
    "receiver",
    "sender",
)
_ACKNOWLEDGED = frozenset({"CA", "CE", "CR", "AA", "AE", "AR"})


def knows(element: etree._Element) -> bool:
    """True for the root element of an interaction."""
    name = etree.QName(element)
    return name.namespace == HL7V3 and _INTERACTION.fullmatch(name.localname) is not None


def check(file: XmlFile, element: etree._Element) -> Iterator[Finding]:
    """Everything to be said of an interaction."""
    name = etree.QName(element).localname
    if name in (*hl7v3.INTERACTIONS, hl7v3.ACKNOWLEDGEMENT):
        yield from _by_reader(file, element, name)
    else:
        yield from _wrapper(file, element, name)


def _by_reader(file: XmlFile, element: etree._Element, name: str) -> Iterator[Finding]:
    flawed = False
    clause = "ITI TF-2 3.44.4.1.2; HL7 V3 2008"
    for found in file.by_schema(element, clause):
        flawed = True
        yield found
    try:
        if name == hl7v3.ACKNOWLEDGEMENT:
            hl7v3.decode_acknowledgement(element)
        else:
            hl7v3.decode(element)
    except MalformedMessage as error:
        if not flawed:
            yield file.malformed("HL7V3.form", _relative(error, element), clause, element)
            return
    if not flawed:
        yield from _wrapper(file, element, name)


def _relative(error: MalformedMessage, element: etree._Element) -> MalformedMessage:
    """The reader counts from the interaction, which may stand in an envelope."""
    steps = error.location.strip("/").split("/")
    if steps[0] != etree.QName(element).localname:
        return error
    tree = element.getroottree()
    inner = XmlFile(element).at("/".join(steps), element)
    location = tree.getpath(inner) if inner is not None else ""
    return MalformedMessage(error.message, location=location, expected=error.expected)


def _wrapper(file: XmlFile, element: etree._Element, name: str) -> Iterator[Finding]:
    """The transmission wrapper, which all interactions share."""
    children = {etree.QName(one).localname: one for one in reversed(list(element.iterchildren("*")))}
    for local in _IN_WRAPPER:
        if local not in children:
            yield file.finding(f"HL7V3.{local}", element, f"no {local}", f"{local}, in its place", _WRAPPER)
    said = children.get("interactionId")
    if said is not None and said.get("extension") != name:
        yield file.finding(
            "HL7V3.interactionId",
            said,
            f"interactionId is {said.get('extension')!r}",
            name,
            _WRAPPER,
            attribute="extension" if said.get("extension") is not None else "",
        )
    time = children.get("creationTime")
    if time is not None and hl7_timestamp.read(time.get("value", "")) is None:
        yield file.finding(
            "HL7V3.creationTime",
            time,
            f"creationTime is {time.get('value')!r}",
            "YYYYMMDDhhmmss, with the zone",
            _WRAPPER,
        )
    identifier = children.get("id")
    if identifier is not None and not (identifier.get("root") or "").strip():
        yield file.finding("HL7V3.id", identifier, "the message has no id", "@root, an OID or a UUID", _WRAPPER)
    for device in element.iterfind(f"*/{E(HL7V3, 'device')}/{E(HL7V3, 'id')}"):
        root = (device.get("root") or "").strip()
        if not FORMS["uid"][1](root):
            yield file.finding(
                "HL7V3.device",
                device,
                f"the device's id is {root!r}",
                "an OID in @root",
                "ITI TF-2 O.1.1",
                level=Level.WARNING,
            )
    for code in element.iter(E(HL7V3, "acknowledgement")):
        kind = code.find(E(HL7V3, "typeCode"))
        if kind is not None and kind.get("code") not in _ACKNOWLEDGED:
            yield file.finding(
                "HL7V3.acknowledgement",
                kind,
                f"typeCode is {kind.get('code')!r}",
                ", ".join(sorted(_ACKNOWLEDGED)),
                "HL7 V3 MCCI_MT000200UV01",
            )


def _knows(raw: bytes) -> bool:
    return _INTERACTION.fullmatch(first_element(raw)) is not None


def _check(raw: bytes, terms: Terms) -> Judged:
    root = xml.parse(raw, limit=LIMIT, max_markup=250_000)
    file = XmlFile(root)

    def findings() -> Iterator[Finding]:
        if knows(root):
            yield from check(file, root)
        else:
            text, expected = f"{etree.QName(root).localname} is no interaction", "PRPA_IN..., MCCI_IN... or QUQI_IN..."
            yield file.finding("HL7V3.element", root, text, expected, "HL7 V3")
        yield from file.by_profile(terms.profile)

    return Judged(findings=findings(), about=etree.QName(root).localname)


VALIDATORS = (
    Validator(key="hl7v3", name="HL7 V3 message", knows=_knows, check=_check, format_clause="HL7 V3 XML ITS; XML 1.0"),
)
