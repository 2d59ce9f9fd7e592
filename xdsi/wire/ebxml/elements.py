"""The small parts of ebRIM elements: attributes, Slots, names. ebRIM 3.0 (rim.xsd)."""

from __future__ import annotations

import re
from typing import Final

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import new_entry_uuid
from xdsi.domain.metadata import Slot
from xdsi.domain.texts import LocalizedString
from xdsi.spec.namespaces import RIM
from xdsi.wire import xml

LONGEST: Final = 4096
"""characters of an XML attribute other than a name or description; rules set lower limits"""

SLOT: Final = xml.E(RIM, "Slot")
NAME: Final = xml.E(RIM, "Name")
DESCRIPTION: Final = xml.E(RIM, "Description")
VERSION_INFO: Final = xml.E(RIM, "VersionInfo")
CLASSIFICATION: Final = xml.E(RIM, "Classification")
EXTERNAL_IDENTIFIER: Final = xml.E(RIM, "ExternalIdentifier")
OBJECT_REF: Final = xml.E(RIM, "ObjectRef")
EXTRINSIC_OBJECT: Final = xml.E(RIM, "ExtrinsicObject")
REGISTRY_PACKAGE: Final = xml.E(RIM, "RegistryPackage")
ASSOCIATION: Final = xml.E(RIM, "Association")
WITHOUT_METADATA: Final = frozenset({xml.E(RIM, "ContentVersionInfo"), xml.E(RIM, "RegistryObjectList")})
"""what an object may contain, without content of its own, and Document Sharing does not use"""
_VALUE_LIST = xml.E(RIM, "ValueList")
_VALUE = xml.E(RIM, "Value")
_LOCALIZED = xml.E(RIM, "LocalizedString")
_LANG = xml.E("http://www.w3.org/XML/1998/namespace", "lang")
_LANGUAGE = re.compile(r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*")


def attribute(element: etree._Element, name: str) -> str:
    """An XML attribute without surrounding white space; empty where it is absent."""
    value = element.get(name)
    if not value:
        return ""
    value = value.strip()
    if len(value) > LONGEST:
        # Problems repeat ids and values; nobody shall make an answer much larger than the request.
        place = element.getroottree().getpath(element)
        raise MalformedMessage(f"{name} of {len(value)} characters", location=place, expected=f"at most {LONGEST}")
    return value


# A message has some two hundred elements: they are walked over, because to look for a name among so few takes longer.


def slots(element: etree._Element) -> list[Slot]:
    """The rim:Slot children of an element, in order, with surrounding white space of values removed."""
    return [Slot(attribute(child, "name"), tuple(slot_values(child))) for child in element if child.tag == SLOT]


def slot_values(element: etree._Element) -> list[str]:
    """The values of a rim:Slot."""
    values: list[str] = []
    # Most have one value: to take a child by its place takes a third of what it takes to begin to walk.
    for value_list in (element[0],) if len(element) == 1 else element:
        if value_list.tag == _VALUE_LIST:
            for value in (value_list[0],) if len(value_list) == 1 else value_list:
                if value.tag == _VALUE:
                    values.append(xml.content(value) if len(value) else (value.text or "").strip())
    return values


def localized(element: etree._Element) -> tuple[str, tuple[LocalizedString, ...]]:
    """What a rim:Name or rim:Description says first, and all that it says where languages are stated or several.

    A language that is no language tag counts as none, because no answer could carry it.
    """
    if len(element) == 1:
        only = element[0]
        if only.tag == _LOCALIZED and only.get(_LANG) is None:
            return only.get("value", ""), ()
    found: list[LocalizedString] = []
    for child in element:
        if child.tag == _LOCALIZED and (value := child.get("value")):
            lang = child.get(_LANG, "")
            found.append(LocalizedString(value, lang if lang and _LANGUAGE.fullmatch(lang) else ""))
    if not found:
        return "", ()
    first = found[0]
    return first.value, tuple(found) if len(found) > 1 or first.lang else ()


def names_of(element: etree._Element) -> tuple[str, tuple[LocalizedString, ...]]:
    """What an element's rim:Name says, as `localized` has it."""
    for child in element:
        if child.tag == NAME:
            return localized(child)
    return "", ()


def name_of(element: etree._Element) -> str:
    """What an element's rim:Name says first."""
    return names_of(element)[0]


def sub_id(element: etree._Element) -> str:
    """The id of a sub-element; some senders leave it out (ITI TF-3 4.2.3.1.5)."""
    return attribute(element, "id") or new_entry_uuid()
