"""Registry objects from ebRIM elements: tolerant of order, prefixes and missing sub-ids; doubts become findings.

ebRIM 3.0; ITI TF-3 4.2.1 (markers), 4.2.3.1 (Slots, Classifications, ExternalIdentifiers), 4.2.3.1.6 (extra metadata).
What only the element shows, such as a Slot that occurs twice, is reported here; `rules` judges the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lxml import etree

from xdsi.domain.codes import Code
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import new_entry_uuid
from xdsi.domain.metadata import Author, Extra, ExtraClassification, ExtraIdentifier, RegistryObject, Slot
from xdsi.domain.outcome import Problem
from xdsi.spec.namespaces import RIM
from xdsi.wire import xml
from xdsi.wire.ebxml.fields import (
    ASSOCIATION,
    AUTHOR_BY_SLOT,
    DOCUMENT_ENTRY,
    MARKERS,
    Coding,
    Field,
    ObjectClass,
)

_LONGEST = 4096
"""characters of an XML attribute other than a name or description; rules set lower limits"""
_SLOT = xml.E(RIM, "Slot")
_VALUE_LIST = xml.E(RIM, "ValueList")
_VALUE = xml.E(RIM, "Value")
_NAME = xml.E(RIM, "Name")
_DESCRIPTION = xml.E(RIM, "Description")
_LOCALIZED = xml.E(RIM, "LocalizedString")
_VERSION_INFO = xml.E(RIM, "VersionInfo")
_CLASSIFICATION = xml.E(RIM, "Classification")
_EXTERNAL_IDENTIFIER = xml.E(RIM, "ExternalIdentifier")
OBJECT_REF = xml.E(RIM, "ObjectRef")
_EXTRINSIC_OBJECT = xml.E(RIM, "ExtrinsicObject")
_REGISTRY_PACKAGE = xml.E(RIM, "RegistryPackage")
_ASSOCIATION = xml.E(RIM, "Association")


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
    elements: list[etree._Element] = []
    siblings: dict[str, list[etree._Element]] = {}
    references: list[tuple[str, str]] = []
    for child in registry_object_list.iterchildren("*"):
        if child.tag == _CLASSIFICATION:
            siblings.setdefault(_attribute(child, "classifiedObject"), []).append(child)
        elif child.tag == OBJECT_REF:
            references.append((_attribute(child, "id"), _attribute(child, "home")))
        elif child.tag in {_EXTRINSIC_OBJECT, _REGISTRY_PACKAGE, _ASSOCIATION}:
            elements.append(child)
        else:
            id_, local = _attribute(child, "id"), etree.QName(child).localname
            text = f"{local} {id_} is not an object that Document Sharing knows"
            findings.append(_finding("OBJECT.unknown", text, id_))
    objects = []
    for element in elements:
        reader = _Reader(element, siblings.pop(_attribute(element, "id"), ()))
        found = reader.read()
        findings.extend(reader.findings)
        if found is not None:
            objects.append(found)
    for id_, orphans in siblings.items():
        text = f"{len(orphans)} Classification(s) beside the objects name {id_!r}, which the message does not contain"
        findings.append(_finding("CLASSIFICATION.orphan", text, id_))
    return Decoded(tuple(objects), tuple(references), tuple(findings))


def decode_one(element: etree._Element) -> RegistryObject:
    """The object that one element is, whatever is wrong in how it is written."""
    if element.tag in {_EXTRINSIC_OBJECT, _REGISTRY_PACKAGE, _ASSOCIATION}:
        found = _Reader(element, ()).read()
        if found is not None:
            return found
    raise MalformedMessage(f"{element.tag} is not an object of Document Sharing", expected="an ebRIM registry object")


def slots(element: etree._Element) -> Iterator[Slot]:
    """The rim:Slot children of an element, in order, with surrounding white space of values removed."""
    for child in element.iterchildren(_SLOT):
        yield _read_slot(child)


def _finding(rule: str, text: str, location: str) -> Problem:
    return Problem("XDSRegistryMetadataError", text, location=location, rule=rule)


def _attribute(element: etree._Element, name: str) -> str:
    value = (element.get(name) or "").strip()
    if len(value) > _LONGEST:
        # Problems repeat ids and values; nobody shall make an answer much larger than the request.
        place = element.getroottree().getpath(element)
        raise MalformedMessage(f"{name} of {len(value)} characters", location=place, expected=f"at most {_LONGEST}")
    return value


def _read_slot(element: etree._Element) -> Slot:
    values = []
    for value_list in element.iterchildren(_VALUE_LIST):
        for value in value_list.iterchildren(_VALUE):
            values.append(xml.content(value) if len(value) else (value.text or "").strip())
    return Slot(_attribute(element, "name"), tuple(values))


def _localized(element: etree._Element) -> str:
    """The first LocalizedString."""
    for child in element.iterchildren(_LOCALIZED):
        return child.get("value") or ""
    return ""


class _Reader:
    """Reads one object; `siblings` are Classifications beside it in the list that name it."""

    def __init__(self, element: etree._Element, siblings: Iterable[etree._Element]) -> None:
        self.element = element
        self.findings: list[Problem] = []
        self.id = _attribute(element, "id")
        self.slots: list[Slot] = []
        self.name = self.description = ""
        self.version: int | None = None
        self.classifications: list[etree._Element] = []
        self.identifiers: list[etree._Element] = []
        self._gather()
        self._gather_siblings(siblings)

    def _report(self, rule: str, text: str, place: str = "") -> None:
        self.findings.append(_finding(rule, text, f"{self.id}/{place}" if place else self.id))

    def _gather(self) -> None:
        for child in self.element.iterchildren("*"):
            tag = child.tag
            if tag == _SLOT:
                self.slots.append(_read_slot(child))
            elif tag == _CLASSIFICATION:
                self._owned(child, "classifiedObject", "Classification")
                self.classifications.append(child)
            elif tag == _EXTERNAL_IDENTIFIER:
                self._owned(child, "registryObject", "ExternalIdentifier")
                self.identifiers.append(child)
            elif tag == _NAME:
                self.name = self.name or _localized(child)
            elif tag == _DESCRIPTION:
                self.description = self.description or _localized(child)
            elif tag == _VERSION_INFO:
                number = _attribute(child, "versionName")
                self.version = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None

    def _gather_siblings(self, siblings: Iterable[etree._Element]) -> None:
        for child in siblings:
            if _attribute(child, "classificationNode"):
                self.classifications.append(child)
            else:
                scheme = _attribute(child, "classificationScheme")
                text = f"the Classification of {self.id} by scheme {scheme} stands beside the object, not inside it"
                self._report("CLASSIFICATION.place", text)

    def _owned(self, child: etree._Element, reference: str, what: str) -> None:
        named = _attribute(child, reference)
        if named != self.id:
            text = f"{what} {_attribute(child, 'id')} inside object {self.id} says {reference}={named!r}"
            self._report(f"{what.upper()}.{reference}", f"{text}; it must name the object it stands in", reference)

    def read(self) -> RegistryObject | None:
        """The object, or None for a package that is neither SubmissionSet nor Folder."""
        object_class = self._object_class()
        if object_class is None:
            return None
        if not self.id and object_class is not ASSOCIATION:
            self._report(f"{object_class.short}.id", f"an {object_class.element} has no id")
        values: dict[str, Any] = {"entry_uuid": self.id or new_entry_uuid()}
        for row in object_class.attributes:
            values[row.attribute] = _attribute(self.element, row.identifier)
        for row in object_class.names:
            values[row.attribute] = self.name
        for row in object_class.descriptions:
            values[row.attribute] = self.description
        for row in object_class.versions:
            values[row.attribute] = self.version
        extra = Extra(
            slots=tuple(self._read_slots(object_class.by_slot, object_class.short, values)),
            classifications=tuple(self._read_classifications(object_class, values)),
            identifiers=tuple(self._read_identifiers(object_class, values)),
        )
        return object_class.type(**values, extra=extra)

    def _object_class(self) -> ObjectClass | None:
        if self.element.tag == _EXTRINSIC_OBJECT:
            return DOCUMENT_ENTRY
        if self.element.tag == _ASSOCIATION:
            return ASSOCIATION
        markers: dict[str, ObjectClass] = {}
        ordinary = []
        for child in self.classifications:
            node = _attribute(child, "classificationNode")
            if node in MARKERS:
                markers[node] = MARKERS[node]
            else:
                ordinary.append(child)
        self.classifications = ordinary
        if len(markers) == 1:
            return next(iter(markers.values()))
        marked = "both SubmissionSet and Folder" if markers else "neither SubmissionSet nor Folder"
        self._report("PACKAGE.marker", f"RegistryPackage {self.id} is marked as {marked}")
        return None

    def _read_slots(self, known: Mapping[str, Field], short: str, values: dict[str, Any]) -> Iterator[Slot]:
        seen: set[str] = set()
        for one in self.slots:
            if one.name in seen:
                text = f"Slot {one.name} occurs more than once in {self.id}; its values belong into one ValueList"
                self._report(f"{short}.slot.twice", text, one.name)
                continue
            seen.add(one.name)
            row = known.get(one.name)
            if row is None:
                yield one
                continue
            present = tuple(filter(None, one.values))
            if row.multiple:
                values[row.attribute] = present
            elif present:
                values[row.attribute] = present[0]
                if len(present) > 1:
                    text = f"{row.name} of {self.id} has {len(present)} values; it has at most one"
                    self._report(f"{short}.{row.name}.values", text, row.name)

    def _read_classifications(
        self, object_class: ObjectClass, values: dict[str, Any]
    ) -> Iterator[ExtraClassification]:
        found: dict[str, list[Code | Author]] = {}
        for child in self.classifications:
            scheme, node = _attribute(child, "classificationScheme"), _attribute(child, "classificationNode")
            flag = object_class.by_node.get(node)
            row = object_class.by_scheme.get(scheme)
            if flag is not None:
                values[flag.attribute] = True
            elif row is None:
                yield ExtraClassification(
                    scheme=scheme,
                    node=node,
                    representation=child.get("nodeRepresentation") or "",
                    name=_localized_name(child),
                    slots=tuple(slots(child)),
                    id=_sub_id(child),
                )
            else:
                read = self._author if row.coding is Coding.AUTHOR else self._code
                found.setdefault(scheme, []).append(read(child, row, object_class.short))
        for scheme, items in found.items():
            row = object_class.by_scheme[scheme]
            values[row.attribute] = tuple(items) if row.multiple else items[0]
            if len(items) > 1 and not row.multiple:
                text = f"{row.name} of {self.id} has {len(items)} Classifications; it has at most one"
                self._report(f"{object_class.short}.{row.name}.values", text, row.name)

    def _code(self, child: etree._Element, row: Field, short: str) -> Code:
        code = _attribute(child, "nodeRepresentation")
        schemes = [value for one in slots(child) if one.name == "codingScheme" for value in one.values if value]
        if not code:
            text = f"{row.name} of {self.id}: the Classification has no nodeRepresentation, which carries the code"
            self._report(f"{short}.{row.name}.code", text, row.name)
        if len(schemes) != 1:
            text = f"{row.name} of {self.id}: Slot codingScheme has {len(schemes)} values; it has exactly one"
            self._report(f"{short}.{row.name}.codingScheme", text, row.name)
        return Code(code, schemes[0] if schemes else "", _localized_name(child))

    def _author(self, child: etree._Element, row: Field, short: str) -> Author:
        values: dict[str, Any] = {}
        extra = []
        seen: set[str] = set()
        for one in slots(child):
            known = AUTHOR_BY_SLOT.get(one.name)
            if one.name in seen:
                text = f"Slot {one.name} occurs more than once in an author of {self.id}"
                self._report(f"{short}.author.slot.twice", text, one.name)
            elif known is None:
                extra.append(one)
            else:
                present = tuple(filter(None, one.values))
                if known.multiple:
                    values[known.attribute] = present
                elif present:
                    values[known.attribute] = present[0]
                    if len(present) > 1:
                        text = f"{one.name} of an author of {self.id} has {len(present)} values; it has at most one"
                        self._report(f"{short}.author.{one.name}.values", text, one.name)
            seen.add(one.name)
        return Author(**values, extra=tuple(extra), id=_sub_id(child))

    def _read_identifiers(self, object_class: ObjectClass, values: dict[str, Any]) -> Iterator[ExtraIdentifier]:
        seen: set[str] = set()
        for child in self.identifiers:
            scheme, value = _attribute(child, "identificationScheme"), _attribute(child, "value")
            row = object_class.by_identification.get(scheme)
            if row is None:
                yield ExtraIdentifier(scheme, value, _localized_name(child), id=_sub_id(child))
            elif scheme in seen:
                text = f"{row.name} of {self.id} has more than one ExternalIdentifier; it has at most one"
                self._report(f"{object_class.short}.{row.name}.values", text, row.name)
            else:
                values[row.attribute] = value
            seen.add(scheme)


def _localized_name(element: etree._Element) -> str:
    for child in element.iterchildren(_NAME):
        return _localized(child)
    return ""


def _sub_id(element: etree._Element) -> str:
    """The id of a sub-element; some senders leave it out (4.2.3.1.5)."""
    return _attribute(element, "id") or new_entry_uuid()
