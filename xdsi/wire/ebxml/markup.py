"""A registry object as ebRIM text, in the order of the schema.

ebRIM 3.0 (rim.xsd); ITI TF-3 4.2.1 and 4.2.3.1 (how attributes become Slots, Classifications, ExternalIdentifiers).
Text is put together directly, because a registry writes thousands of objects where it parses one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache
from typing import Final, Protocol

from xdsi.domain.codes import Code
from xdsi.domain.identifiers import new_entry_uuid
from xdsi.domain.metadata import Author, ExtraClassification, RegistryObject, Slot
from xdsi.domain.texts import LocalizedString
from xdsi.spec import uuids
from xdsi.spec.namespaces import RIM
from xdsi.wire import xml
from xdsi.wire.ebxml.fields import AUTHOR_SLOTS, BY_TYPE, NODES, OBJECT_TYPES, Coding

_escape = xml.attribute
_text = xml.text
_NAMESPACE: Final = f' xmlns:rim="{RIM}"'
_OF_CLASSIFICATION: Final = f' objectType="{uuids.OBJECT_TYPE_CLASSIFICATION}"'
_OF_IDENTIFIER: Final = f' objectType="{uuids.OBJECT_TYPE_EXTERNAL_IDENTIFIER}"'
_NEXT_VALUE: Final = "</rim:Value><rim:Value>"
_END_OF_SLOT: Final = "</rim:Value></rim:ValueList></rim:Slot>"

# A domain has few codes and authors, and each is in many objects: what is written of one is kept, without its id.
_KEPT: Final = 4096
_LONGEST_KEPT: Final = 2048
_written: dict[Hashable, str] = {}


class Parts(Protocol):
    """How Classifications and ExternalIdentifiers begin: what they are, their id, and the object they stand in."""

    def classification(self, own_id: str = "") -> str:
        """The beginning of a Classification; one with a symbolic id, or none, gets a new one."""

    def identifier(self, own_id: str = "") -> str:
        """The beginning of an ExternalIdentifier."""


class _Parts:
    """Those of an object that is written as it is."""

    def __init__(self, owner: str, new_id: Callable[[], str]) -> None:
        self._owner = owner
        self._new_id = new_id

    def classification(self, own_id: str = "") -> str:
        return f'<rim:Classification id="{self._id(own_id)}" classifiedObject="{self._owner}"'

    def identifier(self, own_id: str = "") -> str:
        return f'<rim:ExternalIdentifier id="{self._id(own_id)}" registryObject="{self._owner}"'

    def _id(self, own_id: str) -> str:
        # A symbolic id lives inside its message only.
        return _escape(own_id) if is_lasting(own_id) else self._new_id()


def is_lasting(id_: str) -> bool:
    """True for an id that a part of an object keeps."""
    return id_.startswith("urn:uuid:")


def write(
    registry_object: RegistryObject,
    *,
    given: Mapping[str, str] | None = None,
    standalone: bool = False,
    new_id: Callable[[], str] = new_entry_uuid,
    parts: Parts | None = None,
) -> str:
    """The object with all it is composed of; every ebRIM object in it has an id and an objectType.

    `given` has text, already escaped, that stands for attributes by their domain name, whatever the object says;
    `person` for the authorPerson of each author who has one. `parts` says how parts begin, where that is not with
    their own or a new id and the object's.
    `standalone` declares the namespace on the object itself; else the prefix `rim` is taken as declared.
    """
    given = given or {}
    type_ = type(registry_object)
    object_class = BY_TYPE[type_]
    own_id = given.get("entry_uuid") or _escape(registry_object.entry_uuid)
    begin = parts or _Parts(own_id, new_id)
    out = [f'<rim:{object_class.element}{_NAMESPACE if standalone else ""} id="{own_id}"']
    for row in object_class.attributes:
        value = given[row.attribute] if row.attribute in given else _escape(getattr(registry_object, row.attribute))
        if value:
            out.append(f' {row.identifier}="{value}"')
    if type_ in OBJECT_TYPES:
        out.append(f' objectType="{OBJECT_TYPES[type_]}"')
    out.append(">")
    head = len(out)
    for row in object_class.slots:
        name = row.attribute
        if name in given:
            out.append(f"{_opening(row.identifier)}{given[name]}{_END_OF_SLOT}")
            continue
        values = getattr(registry_object, name)
        if values:
            content = _NEXT_VALUE.join([_text(value) for value in values]) if row.multiple else _text(values)
            out.append(f"{_opening(row.identifier)}{content}{_END_OF_SLOT}")
    extra = registry_object.extra
    out.extend([slot(one.name, one.values) for one in extra.slots])
    for row in object_class.names:
        out.append(_localized("Name", getattr(registry_object, row.attribute), extra.names))
    for row in object_class.descriptions:
        out.append(_localized("Description", getattr(registry_object, row.attribute), extra.descriptions))
    for row in object_class.versions:
        version = given.get(row.attribute, getattr(registry_object, row.attribute))
        if version is not None:
            out.append(f'<rim:VersionInfo versionName="{version}"/>')
    node = NODES.get(type_)
    if node is not None:
        out.append(_node(begin, node))
    person = given.get("person", "")
    for row in object_class.classifications:
        found = getattr(registry_object, row.attribute)
        if not found:
            continue
        if row.coding is Coding.AUTHOR:
            out.extend([begin.classification() + _author(row.identifier, one, person) for one in found])
        else:
            codes = found if row.multiple else (found,)
            out.extend([begin.classification() + _code(row.identifier, code) for code in codes])
    for row in object_class.flags:
        if getattr(registry_object, row.attribute):
            out.append(_node(begin, row.identifier))
    out.extend([_extra_classification(begin, one) for one in extra.classifications])
    for row in object_class.identifiers:
        value = given[row.attribute] if row.attribute in given else _escape(getattr(registry_object, row.attribute))
        if value:
            out.append(begin.identifier() + _identifier(row.identifier, value, row.label))
    out.extend(
        [begin.identifier(one.id) + _identifier(_escape(one.scheme), _escape(one.value), one.name)
         for one in extra.identifiers]
    )  # fmt: skip
    if len(out) == head:
        out[-1] = "/>"
    else:
        out.append(f"</rim:{object_class.element}>")
    return "".join(out)


def slot(name: str, values: Iterable[str]) -> str:
    """A rim:Slot."""
    content = "".join([f"<rim:Value>{_text(value)}</rim:Value>" for value in values])
    return f'<rim:Slot name="{_escape(name)}"><rim:ValueList>{content}</rim:ValueList></rim:Slot>'


@cache
def _opening(name: str) -> str:
    """The beginning of a Slot that the profile knows."""
    return f'<rim:Slot name="{_escape(name)}"><rim:ValueList><rim:Value>'


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


def _node(begin: Parts, node: str) -> str:
    return f'{begin.classification()} classificationNode="{node}"{_OF_CLASSIFICATION}></rim:Classification>'


def _code(scheme: str, code: Code) -> str:
    """A Classification after its beginning."""
    key = (scheme, code.code, code.scheme, code.display, code.names)
    known = _written.get(key)
    if known is None:
        content = slot("codingScheme", (code.scheme,)) + _localized("Name", code.display, code.names)
        known = _classification(scheme=scheme, representation=_escape(code.code), content=content)
        _keep(key, known)
    return known


def _author(scheme: str, author: Author, person: str) -> str:
    """The same; `person` stands for the authorPerson of one who has one."""
    key = (scheme, author, person)
    known = _written.get(key)
    if known is None:
        content = []
        for row in AUTHOR_SLOTS:
            values = getattr(author, row.attribute)
            if values and row.attribute == "person" and person:
                content.append(f"{_opening(row.name)}{person}{_END_OF_SLOT}")
            elif values:
                content.append(slot(row.name, values if row.multiple else (values,)))
        content.extend(_slots(author.extra))
        # present but empty (4.2.3.1.4)
        known = _classification(scheme=scheme, representation="", content="".join(content))
        _keep(key, known)
    return known


def _keep(key: Hashable, written: str) -> None:
    if len(written) <= _LONGEST_KEPT:
        if len(_written) >= _KEPT:
            _written.clear()
        _written[key] = written


def _classification(*, scheme: str = "", node: str = "", representation: str | None = None, content: str = "") -> str:
    """A Classification after its beginning; arguments are already escaped."""
    attributes = ""
    if scheme:
        attributes += f' classificationScheme="{scheme}"'
    if node:
        attributes += f' classificationNode="{node}"'
    if representation is not None:
        attributes += f' nodeRepresentation="{representation}"'
    return f"{attributes}{_OF_CLASSIFICATION}>{content}</rim:Classification>"


def _extra_classification(begin: Parts, extra: ExtraClassification) -> str:
    return begin.classification(extra.id) + _classification(
        scheme=_escape(extra.scheme),
        node=_escape(extra.node),
        representation=_escape(extra.representation) if extra.representation else None,
        content="".join(_slots(extra.slots)) + _localized("Name", extra.name),
    )


def _identifier(scheme: str, value: str, label: str) -> str:
    """An ExternalIdentifier after its beginning."""
    content = _localized("Name", label)
    return f' identificationScheme="{scheme}" value="{value}"{_OF_IDENTIFIER}>{content}</rim:ExternalIdentifier>'


def _slots(slots: Iterable[Slot]) -> list[str]:
    return [slot(one.name, one.values) for one in slots]
