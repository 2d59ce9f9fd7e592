"""The descriptions that an endpoint serves at `?wsdl` and `?xsd=NAME`, made from the files in wsdl/ and schemas/.

WSDL 1.1. A file there describes one transaction; an actor's description is the union of its transactions'.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from lxml import etree

from xdsi.domain.packaged import resources
from xdsi.wire.xml import parse

ACTORS: Final = {
    "document_registry": ("iti18", "iti42", "iti51", "iti57", "iti61", "iti62", "iti92"),
    "document_repository": ("iti41", "iti43", "iti86"),
    "imaging_document_source": ("rad69",),
    "identity": ("iti44",),
    "authorization": ("iti79",),
}
"""actor -> the files of its transactions"""

_DOCUMENTATION = "{http://schemas.xmlsoap.org/wsdl/}documentation"
_ADDRESS = "{http://schemas.xmlsoap.org/wsdl/soap12/}address"
_IMPORT = "{http://www.w3.org/2001/XMLSchema}import"


def wsdl_for(actor: str, location: str) -> bytes:
    """The WSDL of an actor that is reached at the URL `location`, or LookupError if it has none."""
    if actor not in ACTORS:
        raise LookupError(f"no WSDL for {actor}; there is one for {', '.join(ACTORS)}")
    definitions = _union([_read("wsdl", f"{transaction}.wsdl") for transaction in ACTORS[actor]])
    for address in definitions.iter(_ADDRESS):
        address.set("location", location)
    return _served(definitions, location)


def schema(name: str, location: str) -> bytes:
    """The schema file of that name, or LookupError; what it imports is found at `location` too."""
    known = sorted(path.name for path in resources("schemas").glob("*.xsd"))
    if name not in known:
        raise LookupError(f"no such schema; there are {', '.join(known)}")
    return _served(_read("schemas", name), location)


def _read(folder: str, name: str) -> etree._Element:
    return parse((resources(folder) / name).read_bytes())


def _served(document: etree._Element, location: str) -> bytes:
    for imported in document.iter(_IMPORT):
        imported.set("schemaLocation", f"{location}?xsd={PurePosixPath(imported.get('schemaLocation', '')).name}")
    etree.indent(document)
    served: bytes = etree.tostring(document, encoding="UTF-8", xml_declaration=True)
    return served


def _union(parts: list[etree._Element]) -> etree._Element:
    # A new root, because values such as element="query:..." need the prefixes of all parts in scope.
    prefixes = {prefix: namespace for part in parts for prefix, namespace in part.nsmap.items() if prefix}
    whole = etree.Element(parts[0].tag, nsmap=prefixes)
    for attribute, value in parts[0].items():
        whole.set(attribute, value)
    for part in parts:
        _merge(part, whole)
    return whole


def _merge(part: etree._Element, whole: etree._Element) -> None:
    """Move into `whole` what it does not have: elements of the same kind and name are one."""
    for child in part.iterchildren("*"):
        alike = [element for element in whole if element.tag == child.tag]
        twin = next((element for element in alike if _identity(element) == _identity(child)), None)
        if twin is None and alike:
            alike[-1].addnext(child)
        elif twin is None:
            whole.append(child)
        elif child.tag == _DOCUMENTATION:
            twin.text = f"{twin.text}{child.text}"
        else:
            _merge(child, twin)


def _identity(element: etree._Element) -> tuple[str | None, str | None]:
    return element.get("name"), element.get("namespace")
