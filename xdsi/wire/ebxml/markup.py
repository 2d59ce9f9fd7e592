"""A registry object as ebRIM text, in the order of the schema.

ebRIM 3.0 (rim.xsd); ITI TF-3 4.2.1 and 4.2.3.1 (how attributes become Slots, Classifications, ExternalIdentifiers).
Text is put together directly, because a registry writes thousands of objects where it parses one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xdsi.domain.codes import Code
from xdsi.domain.identifiers import new_entry_uuid
from xdsi.domain.metadata import Author, ExtraClassification, RegistryObject, Slot
from xdsi.domain.texts import LocalizedString
from xdsi.spec import uuids
from xdsi.spec.namespaces import RIM
from xdsi.wire import xml
from xdsi.wire.ebxml.fields import AUTHOR_SLOTS, BY_TYPE, NODES, OBJECT_TYPES, Coding

_escape = xml.attribute
_NAMESPACE = f' xmlns:rim="{RIM}"'


@dataclass(frozen=True, slots=True)
class _Owner:
    """The object that Classifications and ExternalIdentifiers stand in, and where those without an id get theirs."""

    id: str
    new_id: Callable[[], str]
    person: str
    """stands for every authorPerson where it is given"""

    def id_of(self, composed: Any) -> str:
        """A symbolic id lives inside its message only; whatever else needs a new one gets it."""
        own: str = composed.id
        return _escape(own) if own.startswith("urn:uuid:") else self.new_id()


def write(
    registry_object: RegistryObject,
    *,
    given: Mapping[str, str] | None = None,
    standalone: bool = False,
    new_id: Callable[[], str] = new_entry_uuid,
) -> str:
    """The object with all it is composed of; every ebRIM object in it has an id and an objectType.

    `given` has text, already escaped, that stands for attributes by their domain name, whatever the object says;
    `person` for the authorPerson of each author who has one.
    `standalone` declares the namespace on the object itself; else the prefix `rim` is taken as declared.
    """
    given = given or {}
    object_class = BY_TYPE[type(registry_object)]
    owner = _Owner(given.get("entry_uuid") or _escape(registry_object.entry_uuid), new_id, given.get("person", ""))
    head = [f'<rim:{object_class.element}{_NAMESPACE if standalone else ""} id="{owner.id}"']
    out: list[str] = []
    for row in object_class.attributes:
        value = given[row.attribute] if row.attribute in given else _escape(getattr(registry_object, row.attribute))
        if value:
            head.append(f' {row.identifier}="{value}"')
    if type(registry_object) in OBJECT_TYPES:
        head.append(f' objectType="{OBJECT_TYPES[type(registry_object)]}"')
    for row in object_class.slots:
        if row.attribute in given:
            out.append(_slot(row.identifier, f"<rim:Value>{given[row.attribute]}</rim:Value>"))
            continue
        values = getattr(registry_object, row.attribute)
        if values:
            out.append(slot(row.identifier, values if row.multiple else (values,)))
    extra = registry_object.extra
    out.extend(slot(one.name, one.values) for one in extra.slots)
    for row in object_class.names:
        out.append(_localized("Name", getattr(registry_object, row.attribute), extra.names))
    for row in object_class.descriptions:
        out.append(_localized("Description", getattr(registry_object, row.attribute), extra.descriptions))
    for row in object_class.versions:
        version = given.get(row.attribute, getattr(registry_object, row.attribute))
        if version is not None:
            out.append(f'<rim:VersionInfo versionName="{version}"/>')
    node = NODES.get(type(registry_object))
    if node is not None:
        out.append(_classification(owner, node=node))
    for row in object_class.classifications:
        found = getattr(registry_object, row.attribute)
        values = found if row.multiple else (found,) if found is not None else ()
        write_one = _author if row.coding is Coding.AUTHOR else _code
        out.extend(write_one(owner, row.identifier, value) for value in values)
    for row in object_class.flags:
        if getattr(registry_object, row.attribute):
            out.append(_classification(owner, node=row.identifier))
    out.extend(_extra_classification(owner, one) for one in extra.classifications)
    for row in object_class.identifiers:
        value = given[row.attribute] if row.attribute in given else _escape(getattr(registry_object, row.attribute))
        if value:
            out.append(_identifier(owner, new_id(), row.identifier, value, row.label))
    out.extend(
        _identifier(owner, owner.id_of(one), _escape(one.scheme), _escape(one.value), one.name)
        for one in extra.identifiers
    )
    return "".join((*head, ">", *out, f"</rim:{object_class.element}>")) if out else "".join((*head, "/>"))


def slot(name: str, values: Iterable[str]) -> str:
    """A rim:Slot."""
    return _slot(name, "".join([f"<rim:Value>{xml.text(value)}</rim:Value>" for value in values]))


def _slot(name: str, values: str) -> str:
    return f'<rim:Slot name="{_escape(name)}"><rim:ValueList>{values}</rim:ValueList></rim:Slot>'


def _localized(element: str, value: str, languages: tuple[LocalizedString, ...] = ()) -> str:
    if not value:
        return ""
    strings = f'<rim:LocalizedString value="{_escape(value)}"/>'
    # What was changed since it came has no other languages any more.
    if languages and languages[0].value == value:
        strings = "".join(map(_localized_string, languages))
    return f"<rim:{element}>{strings}</rim:{element}>"


def _localized_string(one: LocalizedString) -> str:
    lang = f' xml:lang="{_escape(one.lang)}"' if one.lang else ""
    return f'<rim:LocalizedString{lang} value="{_escape(one.value)}"/>'


def _classification(
    owner: _Owner,
    *,
    scheme: str = "",
    node: str = "",
    representation: str | None = None,
    id_: str = "",
    content: str = "",
) -> str:
    """A Classification; arguments are already escaped."""
    attributes = f'id="{id_ or owner.new_id()}" classifiedObject="{owner.id}"'
    if scheme:
        attributes += f' classificationScheme="{scheme}"'
    if node:
        attributes += f' classificationNode="{node}"'
    if representation is not None:
        attributes += f' nodeRepresentation="{representation}"'
    attributes += f' objectType="{uuids.OBJECT_TYPE_CLASSIFICATION}"'
    return f"<rim:Classification {attributes}>{content}</rim:Classification>"


def _code(owner: _Owner, scheme: str, code: Code) -> str:
    content = slot("codingScheme", (code.scheme,)) + _localized("Name", code.display, code.names)
    return _classification(owner, scheme=scheme, representation=_escape(code.code), content=content)


def _author(owner: _Owner, scheme: str, author: Author) -> str:
    content = []
    for row in AUTHOR_SLOTS:
        values = getattr(author, row.attribute)
        if values and row.attribute == "person" and owner.person:
            content.append(_slot(row.name, f"<rim:Value>{owner.person}</rim:Value>"))
        elif values:
            content.append(slot(row.name, values if row.multiple else (values,)))
    content.extend(_slots(author.extra))
    # present but empty (4.2.3.1.4)
    return _classification(owner, scheme=scheme, representation="", content="".join(content))


def _extra_classification(owner: _Owner, extra: ExtraClassification) -> str:
    return _classification(
        owner,
        scheme=_escape(extra.scheme),
        node=_escape(extra.node),
        representation=_escape(extra.representation) if extra.representation else None,
        id_=owner.id_of(extra),
        content="".join(_slots(extra.slots)) + _localized("Name", extra.name),
    )


def _identifier(owner: _Owner, id_: str, scheme: str, value: str, label: str) -> str:
    return (
        f'<rim:ExternalIdentifier id="{id_}" registryObject="{owner.id}" identificationScheme="{scheme}"'
        f' value="{value}"'
        f' objectType="{uuids.OBJECT_TYPE_EXTERNAL_IDENTIFIER}">{_localized("Name", label)}</rim:ExternalIdentifier>'
    )


def _slots(slots: Iterable[Slot]) -> list[str]:
    return [slot(one.name, one.values) for one in slots]
