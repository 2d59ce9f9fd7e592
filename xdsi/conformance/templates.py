"""Request templates: placeholders, includes, and single changes to a valid sample.

Text in, text out; what may stand in a template is described in docs/conformance.md, section "Templates".
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
import uuid
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime, timedelta
from html import unescape
from xml.sax.saxutils import escape

from lxml import etree

from .xml import parse

NAMESPACES = {
    "soap": "http://www.w3.org/2003/05/soap-envelope",
    "wsa": "http://www.w3.org/2005/08/addressing",
    "rim": "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0",
    "rs": "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0",
    "lcm": "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0",
    "query": "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0",
    "xds": "urn:ihe:iti:xds-b:2007",
    "rad": "urn:ihe:rad:xdsi-b:2009",
    "xop": "http://www.w3.org/2004/08/xop/include",
    "hl7": "urn:hl7-org:v3",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "xacml": "urn:oasis:names:tc:xacml:2.0:context:schema:os",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "wsse": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd",
}
"""prefixes bound in every template, XPath and change"""

# The innermost placeholder: ${name}, ${name:argument}, ${name|default}
_PLACEHOLDER = re.compile(r"\$\{([a-z][a-z0-9_-]*)(?::([^${}|]*))?(?:\|([^${}]*))?\}")
_INCLUDE = re.compile(r"<\?include\s+([\w./-]+)((?:\s+[\w-]+=\"[^\"]*\")*)\s*\?>")
# The innermost pair: nothing begins inside it.
_BEGIN = re.compile(
    r"<\?begin\s+([\w./-]+)((?:\s+[\w-]+=\"[^\"]*\")*)\s*\?>((?:(?!<\?begin\s).)*?)<\?end\?>", re.DOTALL
)
_BEGIN_ONE = re.compile(r"<\?begin\s+([\w./-]+)")
_PSEUDO_ATTRIBUTE = re.compile(r"([\w-]+)=\"([^\"]*)\"")
_MOST_STEPS = 10_000
_ALONE = frozenset({"patient", "now", "instant", "run"})
"""functions that need no argument; the others are names of template attributes, too"""


class TemplateError(Exception):
    """A case is written wrongly; never the fault of the server."""


class NoPatientLeft(Exception):
    """The patients that the system knows are used up."""


class Values:
    """What placeholders stand for during one run of one case: fresh ids, the endpoint's values, captured ones."""

    def __init__(
        self, given: Mapping[str, str], documents: Mapping[str, bytes], announced: list[str] | None = None
    ) -> None:
        self._announced = announced
        self.given: MutableMapping[str, str] = dict(given)
        self.documents = documents
        self._made: dict[tuple[str, str], str] = {}
        self._run = uuid.uuid4().hex[:12]
        self._functions: Mapping[str, Callable[[str], str]] = {
            "patient": lambda name: self._once("patient", name, self._patient),
            "id_of": lambda name: self._functions["patient"](name).partition("^")[0],
            "authority_of": lambda name: self._functions["patient"](name).split("&")[1],
            "uuid": lambda name: self._once("uuid", name, lambda: uuid.uuid4().urn),
            "oid": lambda name: self._once("oid", name, lambda: f"2.25.{uuid.uuid4().int}"),
            "now": self._now,
            "instant": lambda _: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "cid": lambda name: f"{name}.{self._run}@conformance.example",
            "sha1": lambda name: hashlib.sha1(self.document(name), usedforsecurity=False).hexdigest(),
            "size": lambda name: str(len(self.document(name))),
            "base64": lambda name: base64.b64encode(self.document(name)).decode(),
            "text": lambda name: self.document(name).decode(),
            "filler": lambda size: "x" * int(size),
            "run": lambda _: self._run,
        }

    def document(self, name: str) -> bytes:
        """The bytes of one of the case's documents."""
        if name not in self.documents:
            raise TemplateError(f"the case has no document {name!r}")
        return self.documents[name]

    def patients(self) -> Sequence[str]:
        """The names of the patients made so far."""
        return [name for kind, name in self._made if kind == "patient"]

    def _once(self, kind: str, name: str, make: Callable[[], str]) -> str:
        if (kind, name) not in self._made:
            self._made[kind, name] = make()
        return self._made[kind, name]

    def _patient(self) -> str:
        if self._announced is not None:
            if not self._announced:
                raise NoPatientLeft
            return self._announced.pop(0)
        return f"C{uuid.uuid4().hex[:12]}^^^&{self.given.get('authority', '2.999.7.1')}&ISO"

    def _now(self, offset: str) -> str:
        moment = datetime.now(UTC) + timedelta(seconds=int(offset or 0))
        return moment.strftime("%Y%m%d%H%M%S")

    def look_up(self, name: str, argument: str | None, scope: Mapping[str, str]) -> str | None:
        """The value of one placeholder, or None when nothing is known of it."""
        if argument is None and name in scope:
            return scope[name]
        if name in self._functions and (argument is not None or name in _ALONE):
            return self._functions[name](argument or "")
        return None

    def expand(self, text: str, *, xml: bool = True, scope: Mapping[str, str] | None = None) -> str:
        """Replace every placeholder, the innermost first; `${raw:name}` alone is inserted without escapes."""
        around: Mapping[str, str] = self.given if scope is None else ChainMap(dict(scope), dict(self.given))

        def replace(match: re.Match[str]) -> str:
            name, argument, default = match[1], match[2], match[3]
            raw = name == "raw"
            value = self.look_up(argument, None, around) if raw and argument else self.look_up(name, argument, around)
            if value is None:
                value = unescape(default) if default is not None and xml else default
            if value is None:
                raise TemplateError(f"nothing is known of {match[0]}")
            while _PLACEHOLDER.search(value):
                value = self.expand(value, xml=False, scope=scope)
            return value if raw or not xml else escape(value, {'"': "&quot;"})

        for _ in range(_MOST_STEPS):
            match = _PLACEHOLDER.search(text)
            if match is None:
                return text
            # Ids have no braces, so that what was inserted is not looked at again.
            text = text[: match.start()] + replace(match) + text[match.end() :]
        raise TemplateError("placeholders without end")


def render(text: str, read: Callable[[str], str], values: Values, scope: Mapping[str, str] | None = None) -> str:
    """A template with its includes and placeholders filled; `read` gives the text of an included file.

    An included file sees the attributes of its include and the values of the step, nothing of the file around it.
    """
    inner = dict(scope or {})

    def attributes(pairs: str) -> dict[str, str] | None:
        found = dict(_PSEUDO_ATTRIBUTE.findall(pairs))
        condition = found.pop("if", None)
        if condition is not None and not values.expand(condition, xml=False, scope=inner):
            return None
        return {key: unescape(values.expand(value, scope=inner)) for key, value in found.items()}

    def begin(match: re.Match[str]) -> str:
        given = attributes(match[2])
        if given is None:
            return ""
        content = render(match[3], read, values, inner)
        return render(read(match[1]), read, values, {**given, "content": content})

    def include(match: re.Match[str]) -> str:
        given = attributes(match[2])
        return "" if given is None else render(read(match[1]), read, values, {"content": "", **given})

    while _BEGIN.search(text):
        text = _BEGIN.sub(begin, text)
    text = _INCLUDE.sub(include, text)
    return values.expand(text, scope=inner)


def included(text: str) -> Iterator[str]:
    """The files that a template includes."""
    for pattern in (_INCLUDE, _BEGIN_ONE):
        yield from (found[1] for found in pattern.finditer(text))


def slots(rows: Sequence[Sequence[str]], values: Values) -> str:
    """rim:Slot elements from rows of a name and its values, in order; a name may come twice."""
    found = []
    for name, *texts in rows:
        listed = "".join(f"<rim:Value>{escape(values.expand(text, xml=False))}</rim:Value>" for text in texts)
        found.append(
            f'<rim:Slot xmlns:rim="{NAMESPACES["rim"]}" name="{escape(name)}">'
            f"<rim:ValueList>{listed}</rim:ValueList></rim:Slot>"
        )
    return "".join(found)


def change(body: str, edits: Sequence[Mapping[str, object]], values: Values) -> str:
    """The body after single changes, each at every place its XPath selects; a change that finds nothing is an error."""
    root = parse(body)
    for edit in edits:
        path = values.expand(str(edit["at"]), xml=False)
        places = root.xpath(path, namespaces=NAMESPACES)
        if not isinstance(places, list) or not places:
            raise TemplateError(f"change: nothing is at {path}")
        for place in places:
            _change_one(place, edit, values)
    return etree.tostring(root, encoding="unicode")


def _change_one(place: object, edit: Mapping[str, object], values: Values) -> None:
    if isinstance(place, etree._Element):
        if edit.get("remove"):
            parent = place.getparent()
            if parent is None:
                raise TemplateError("change: the request itself cannot be removed")
            parent.remove(place)
        elif "set" in edit:
            place.text = values.expand(str(edit["set"]), xml=False)
        elif "before" in edit:
            for element in _elements(str(edit["before"]), values):
                place.addprevious(element)
        else:
            place.extend(_elements(str(edit["append"]), values))
        etree.cleanup_namespaces(place.getroottree())
        return
    owner, name = place.getparent(), place.attrname  # type: ignore[attr-defined]
    if edit.get("remove"):
        del owner.attrib[name]
    else:
        owner.set(name, values.expand(str(edit["set"]), xml=False))


def _elements(text: str, values: Values) -> list[etree._Element]:
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    return list(parse(f"<x {declared}>{values.expand(text)}</x>"))


def generated(name: str, size: int) -> bytes:
    """Bytes that look random and are the same each time."""
    return random.Random(name).randbytes(size)  # noqa: S311 - a test document, no secret
