"""Registry objects from ebRIM elements: tolerant of order, prefixes and missing sub-ids; doubts become findings.

ebRIM 3.0; ITI TF-3 4.2.1. What only the elements show, such as a marker of an object that is not there, is reported
here; `rules` judges the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.metadata import RegistryObject
from xdsi.domain.outcome import Problem
from xdsi.wire.ebxml import elements
from xdsi.wire.ebxml.object_reader import ObjectReader, finding

_OBJECTS: Final = frozenset({elements.EXTRINSIC_OBJECT, elements.REGISTRY_PACKAGE, elements.ASSOCIATION})


@dataclass(frozen=True, slots=True)
class Decoded:
    """The content of a RegistryObjectList."""

    objects: tuple[RegistryObject, ...] = ()
    references: tuple[tuple[str, str], ...] = ()
    """ObjectRefs: (id, home)"""
    findings: tuple[Problem, ...] = ()


def decode(registry_object_list: etree._Element) -> Decoded:
    """All objects of a rim:RegistryObjectList, in order, with what is wrong in how they are written."""
    findings: list[Problem] = []
    found: list[etree._Element] = []
    siblings: dict[str, list[etree._Element]] = {}
    references: list[tuple[str, str]] = []
    for child in registry_object_list.iterchildren("*"):
        if child.tag == elements.CLASSIFICATION:
            siblings.setdefault(elements.attribute(child, "classifiedObject"), []).append(child)
        elif child.tag == elements.OBJECT_REF:
            references.append((elements.attribute(child, "id"), elements.attribute(child, "home")))
        elif child.tag in _OBJECTS:
            found.append(child)
        else:
            id_, local = elements.attribute(child, "id"), etree.QName(child).localname
            text = f"{local} {id_} is not an object that Document Sharing knows"
            findings.append(finding("OBJECT.unknown", text, id_ or f"RegistryObjectList/{local}"))
    objects = []
    for element in found:
        reader = ObjectReader(element, siblings.pop(elements.attribute(element, "id"), ()))
        read = reader.read()
        findings.extend(reader.findings)
        if read is not None:
            objects.append(read)
    for id_, orphans in siblings.items():
        text = f"{len(orphans)} Classification(s) beside the objects name {id_!r}, which the message does not contain"
        findings.append(finding("CLASSIFICATION.orphan", text, id_ or "RegistryObjectList/Classification"))
    return Decoded(tuple(objects), tuple(references), tuple(findings))


def decode_one(element: etree._Element) -> RegistryObject:
    """The object that one element is, whatever is wrong in how it is written."""
    if element.tag in _OBJECTS:
        found = ObjectReader(element, ()).read()
        if found is not None:
            return found
    raise MalformedMessage(f"{element.tag} is not an object of Document Sharing", expected="an ebRIM registry object")
