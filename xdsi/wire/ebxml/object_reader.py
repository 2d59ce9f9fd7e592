"""One registry object from its element; what is wrong in how it is written becomes findings.

ITI TF-3 4.2.1 (markers), 4.2.3.1 (Slots, Classifications, ExternalIdentifiers), 4.2.3.1.6 (extra metadata).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lxml import etree

from xdsi.domain.codes import Code
from xdsi.domain.identifiers import new_entry_uuid
from xdsi.domain.metadata import Author, Extra, ExtraClassification, ExtraIdentifier, RegistryObject, Slot
from xdsi.domain.outcome import Problem
from xdsi.domain.texts import LocalizedString
from xdsi.wire.ebxml import elements
from xdsi.wire.ebxml.fields import (
    ASSOCIATION,
    AUTHOR_BY_SLOT,
    DOCUMENT_ENTRY,
    MARKERS,
    Coding,
    Field,
    ObjectClass,
)


def finding(rule: str, text: str, location: str) -> Problem:
    """A problem that only the element shows."""
    return Problem("XDSRegistryMetadataError", text, location=location, rule=rule)


class ObjectReader:
    """Reads one object; `siblings` are Classifications beside it in the list that name it."""

    def __init__(self, element: etree._Element, siblings: Iterable[etree._Element]) -> None:
        self.element = element
        self.findings: list[Problem] = []
        self.id = elements.attribute(element, "id")
        self.slots: list[tuple[str, list[str]]] = []
        """name and values"""
        self.name = self.description = ""
        self.names: tuple[LocalizedString, ...] = ()
        self.descriptions: tuple[LocalizedString, ...] = ()
        self.version: int | None = None
        self.classifications: list[etree._Element] = []
        self.identifiers: list[etree._Element] = []
        self._gather()
        self._gather_siblings(siblings)

    def _report(self, rule: str, text: str, place: str = "") -> None:
        named = self.id or f"RegistryObjectList/{etree.QName(self.element).localname}"
        self.findings.append(finding(rule, text, f"{named}/{place}" if place else named))

    def _gather(self) -> None:
        for child in self.element.iterchildren("*"):
            tag = child.tag
            if tag == elements.SLOT:
                self.slots.append((elements.attribute(child, "name"), elements.slot_values(child)))
            elif tag == elements.CLASSIFICATION:
                if child.get("classifiedObject") != self.id:
                    self._check_owner(child, "classifiedObject", "Classification")
                self.classifications.append(child)
            elif tag == elements.EXTERNAL_IDENTIFIER:
                if child.get("registryObject") != self.id:
                    self._check_owner(child, "registryObject", "ExternalIdentifier")
                self.identifiers.append(child)
            elif tag == elements.NAME:
                if not self.name:
                    self.name, self.names = elements.localized(child)
            elif tag == elements.DESCRIPTION:
                if not self.description:
                    self.description, self.descriptions = elements.localized(child)
            elif tag == elements.VERSION_INFO:
                number = elements.attribute(child, "versionName")
                self.version = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None
            elif tag not in elements.WITHOUT_METADATA or len(child):
                local = etree.QName(child).localname
                text = f"{self.id} contains {local}, which no attribute of Document Sharing is; it would be lost"
                self._report("OBJECT.content", text, local)

    def _gather_siblings(self, siblings: Iterable[etree._Element]) -> None:
        for child in siblings:
            if elements.attribute(child, "classificationNode"):
                self.classifications.append(child)
            else:
                scheme = elements.attribute(child, "classificationScheme")
                text = f"the Classification of {self.id} by scheme {scheme} stands beside the object, not inside it"
                self._report("CLASSIFICATION.place", text)

    def _check_owner(self, child: etree._Element, reference: str, what: str) -> None:
        named = elements.attribute(child, reference)
        if named != self.id:
            text = f"{what} {elements.attribute(child, 'id')} inside object {self.id} says {reference}={named!r}"
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
            values[row.attribute] = elements.attribute(self.element, row.identifier)
        for row in object_class.names:
            values[row.attribute] = self.name
        for row in object_class.descriptions:
            values[row.attribute] = self.description
        for row in object_class.versions:
            values[row.attribute] = self.version
        extra = Extra(
            slots=self._read_slots(object_class.by_slot, object_class.short, values),
            classifications=self._read_classifications(object_class, values),
            identifiers=self._read_identifiers(object_class, values),
            names=self.names if object_class.names else (),
            descriptions=self.descriptions if object_class.descriptions else (),
        )
        return object_class.type(**values, extra=extra)

    def _object_class(self) -> ObjectClass | None:
        if self.element.tag == elements.EXTRINSIC_OBJECT:
            return DOCUMENT_ENTRY
        if self.element.tag == elements.ASSOCIATION:
            return ASSOCIATION
        markers: dict[str, ObjectClass] = {}
        ordinary = []
        for child in self.classifications:
            node = elements.attribute(child, "classificationNode")
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

    def _read_slots(self, known: Mapping[str, Field], short: str, values: dict[str, Any]) -> tuple[Slot, ...]:
        extra = []
        seen: set[str] = set()
        for name, given in self.slots:
            if name in seen:
                text = f"Slot {name} occurs more than once in {self.id}; its values belong into one ValueList"
                self._report(f"{short}.slot.twice", text, name)
                continue
            seen.add(name)
            row = known.get(name)
            if row is None:
                extra.append(Slot(name, tuple(given)))
                continue
            present = tuple(filter(None, given))
            if row.multiple:
                values[row.attribute] = present
            elif present:
                values[row.attribute] = present[0]
                if len(present) > 1:
                    text = f"{row.name} of {self.id} has {len(present)} values; it has at most one"
                    self._report(f"{short}.{row.name}.values", text, row.name)
        return tuple(extra)

    def _read_classifications(
        self, object_class: ObjectClass, values: dict[str, Any]
    ) -> tuple[ExtraClassification, ...]:
        extra = []
        found: dict[str, list[Code | Author]] = {}
        for child in self.classifications:
            scheme = elements.attribute(child, "classificationScheme")
            node = elements.attribute(child, "classificationNode")
            flag = object_class.by_node.get(node)
            row = object_class.by_scheme.get(scheme)
            if flag is not None:
                values[flag.attribute] = True
            elif row is None:
                one = ExtraClassification(
                    scheme=scheme,
                    node=node,
                    representation=child.get("nodeRepresentation") or "",
                    name=elements.name_of(child),
                    slots=tuple(elements.slots(child)),
                    id=elements.sub_id(child),
                )
                extra.append(one)
            else:
                read = self._author if row.coding is Coding.AUTHOR else self._code
                found.setdefault(scheme, []).append(read(child, row, object_class.short))
        for scheme, items in found.items():
            row = object_class.by_scheme[scheme]
            values[row.attribute] = tuple(items) if row.multiple else items[0]
            if len(items) > 1 and not row.multiple:
                text = f"{row.name} of {self.id} has {len(items)} Classifications; it has at most one"
                self._report(f"{object_class.short}.{row.name}.values", text, row.name)
        return tuple(extra)

    def _code(self, child: etree._Element, row: Field, short: str) -> Code:
        code = elements.attribute(child, "nodeRepresentation")
        schemes: list[str] = []
        names: tuple[str, tuple[LocalizedString, ...]] | None = None
        for part in child:
            tag = part.tag
            if tag == elements.SLOT:
                if elements.attribute(part, "name") == "codingScheme":
                    schemes += filter(None, elements.slot_values(part))
            elif names is None and tag == elements.NAME:
                names = elements.localized(part)
        if not code:
            text = f"{row.name} of {self.id}: the Classification has no nodeRepresentation, which carries the code"
            self._report(f"{short}.{row.name}.code", text, row.name)
        if len(schemes) != 1:
            text = f"{row.name} of {self.id}: Slot codingScheme has {len(schemes)} values; it has exactly one"
            self._report(f"{short}.{row.name}.codingScheme", text, row.name)
        return Code(code, schemes[0] if schemes else "", *(names or ("", ())))

    def _author(self, child: etree._Element, row: Field, short: str) -> Author:
        values: dict[str, Any] = {}
        extra = []
        seen: set[str] = set()
        for part in child:
            if part.tag != elements.SLOT:
                continue
            name, given = elements.attribute(part, "name"), elements.slot_values(part)
            known = AUTHOR_BY_SLOT.get(name)
            if name in seen:
                text = f"Slot {name} occurs more than once in an author of {self.id}"
                self._report(f"{short}.author.slot.twice", text, name)
            elif known is None:
                extra.append(Slot(name, tuple(given)))
            else:
                present = tuple(filter(None, given))
                if known.multiple:
                    values[known.attribute] = present
                elif present:
                    values[known.attribute] = present[0]
                    if len(present) > 1:
                        text = f"{name} of an author of {self.id} has {len(present)} values; it has at most one"
                        self._report(f"{short}.author.{name}.values", text, name)
            seen.add(name)
        return Author(**values, extra=tuple(extra), id=elements.sub_id(child))

    def _read_identifiers(self, object_class: ObjectClass, values: dict[str, Any]) -> tuple[ExtraIdentifier, ...]:
        extra = []
        seen: set[str] = set()
        for child in self.identifiers:
            scheme, value = elements.attribute(child, "identificationScheme"), elements.attribute(child, "value")
            row = object_class.by_identification.get(scheme)
            if row is None:
                extra.append(ExtraIdentifier(scheme, value, elements.name_of(child), id=elements.sub_id(child)))
            elif scheme in seen:
                text = f"{row.name} of {self.id} has more than one ExternalIdentifier; it has at most one"
                self._report(f"{object_class.short}.{row.name}.values", text, row.name)
            else:
                values[row.attribute] = value
            seen.add(scheme)
        return tuple(extra)
