"""What a plan does to its metadata before they are sent: ebRIM 3.0, patients, places to be filled in, fresh ids."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterator, Mapping

from lxml import etree

from ..templates import NAMESPACES
from ..xml import parse_foreign

OLD_RIM, OLD_RS = "urn:oasis:names:tc:ebxml-regrep:rim:xsd:2.1", "urn:oasis:names:tc:ebxml-regrep:registry:xsd:2.1"
PREFIX = {"HasMember": "urn:oasis:names:tc:ebxml-regrep:AssociationType:"}
RELATION = "urn:ihe:iti:2007:AssociationType:"
_REFERENCES = ("registryObject", "classifiedObject", "sourceObject", "targetObject")
_OBJECTS = ("ExtrinsicObject", "RegistryPackage", "Association")


def rim(name: str) -> str:
    """A name of ebRIM, as ElementTree writes it."""
    return f"{{{NAMESPACES['rim']}}}{name}"


def parse(raw: bytes) -> etree._Element:
    """XML of a plan, without its comments; none has a document type."""
    text = re.sub(rb"<!--.*?-->", b"", raw.strip(), flags=re.DOTALL)
    return parse_foreign(text)


def as_ebrim_3(element: etree._Element) -> etree._Element:
    """Metadata in ebRIM 2.1, as plans keep them, in the 3.0 that goes over the wire."""
    text = etree.tostring(element, encoding="unicode")
    text = text.replace(OLD_RS, NAMESPACES["lcm"]).replace(OLD_RIM, NAMESPACES["rim"])
    root = parse(text.replace("LeafRegistryObjectList", "RegistryObjectList").encode())
    for one in root.iter(rim("ExternalIdentifier"), rim("Association")):
        if one.tag == rim("Association"):
            type_ = one.get("associationType", "")
            if ":" not in type_:
                one.set("associationType", PREFIX.get(type_, RELATION) + type_)
        else:
            parent = one.getparent()
            if parent is not None:
                one.set("registryObject", parent.get("id", ""))
    return root


def label(identifier: etree._Element) -> str:
    """The name of an ExternalIdentifier, such as XDSDocumentEntry.uniqueId."""
    found = identifier.find(f"{rim('Name')}/{rim('LocalizedString')}")
    return "" if found is None else found.get("value", "")


def set_patients(root: etree._Element, patient: str) -> None:
    """Give every object this patientId."""
    for one in root.iter(rim("ExternalIdentifier")):
        if label(one).endswith(".patientId"):
            one.set("value", patient)


def fill(root: etree._Element, symbols: Mapping[str, str]) -> None:
    """Put values in the places marked `$name$`."""
    for element in root.iter("*"):
        for attribute, value in element.attrib.items():
            if "$" in str(value):
                element.set(attribute, filled(str(value), symbols))
        if element.text and "$" in element.text:
            element.text = filled(element.text, symbols)


def filled(text: str, symbols: Mapping[str, str]) -> str:
    """Text with its symbols replaced."""
    for symbol, value in symbols.items():
        text = text.replace(symbol, value)
    return text


def clean(root: etree._Element) -> None:
    """Without the parameters for which the plan has no value."""
    for slot in list(root.iter(rim("Slot"))):
        parent = slot.getparent()
        if parent is not None and any("$" in (value.text or "") for value in slot.iter(rim("Value"))):
            parent.remove(slot)


def unique_ids(
    root: etree._Element, exempt: Collection[str | None], schemes: Collection[str | None]
) -> Iterator[tuple[str, str]]:
    """New uniqueIds for objects (None: all) and schemes that are not exempt: (id of the object, uniqueId)."""
    for one in root.iter(rim("ExternalIdentifier")):
        if label(one).endswith(".uniqueId"):
            owner = one.get("registryObject", "")
            if owner not in exempt and None not in exempt and one.get("identificationScheme") not in schemes:
                one.set("value", f"2.25.{uuid.uuid4().int}")
            yield owner, one.get("value", "")


def entry_uuids(root: etree._Element) -> dict[str, str]:
    """UUIDs in place of symbolic ids, wherever these stand: symbolic id -> UUID."""
    known: dict[str, str] = {}
    for tag in _OBJECTS:
        for one in root.iter(rim(tag)):
            id_ = one.get("id") or f"unnamed{len(known)}"
            known[id_] = id_ if id_.startswith("urn:uuid:") else uuid.uuid4().urn
            one.set("id", known[id_])
    for element in root.iter("*"):
        for attribute in _REFERENCES:
            if element.get(attribute) in known:
                element.set(attribute, known[element.get(attribute, "")])
    return known


def symbolic_ids(root: etree._Element) -> dict[str, str]:
    """The ids of the objects as they stand."""
    return {id_: id_ for tag in _OBJECTS for one in root.iter(rim(tag)) if (id_ := one.get("id"))}
