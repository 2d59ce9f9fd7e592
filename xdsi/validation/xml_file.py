"""An XML file as validators look at it: where its elements stand, its schemas, and errors of codecs as findings."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.findings import Finding, Level
from xdsi.domain.packaged import resources
from xdsi.validation.profile import Profile
from xdsi.wire.mtom import INCLUDE

MAX_SCHEMA_FINDINGS: Final = 100
MAX_CHILDREN: Final = 1000
"""of one element: for each error libxml2 counts the siblings anew"""
_STEP = re.compile(r"(?:([\w.-]+):)?([\w.-]+|\*)(?:\[(\d+)\])?")
_CLARK = re.compile(r"\{[^}]*\}")
_EXPECTED = re.compile(r"\s*Expected is (?:one of )?\(\s*(.*?)\s*\)\.?$")
_LINE = re.compile(r"line (\d+), (?:column \d+|[\w.-]+$)")
_NAMED = re.compile(r"line (\d+), (?!column )([\w.-]+)")


class XmlFile:
    """A parsed document, or one inside a larger file: then its first line is line `first` of that."""

    def __init__(self, root: etree._Element, *, first: int = 1) -> None:
        self.root = root
        self._first = first
        self._positions: dict[etree._Element, dict[etree._Element, int]] = {}

    def line(self, element: etree._Element) -> int:
        """The line on which the element's start tag ends, as the parser counts."""
        return _line_of(element) + self._first - 1

    def line_of_error(self, location: str) -> int:
        """The line that a parser's error names."""
        found = _LINE.search(location)
        return int(found[1]) + self._first - 1 if found else 0

    def place(self, element: etree._Element, attribute: str = "") -> str:
        """An XPath for people: local names, and a number where there are several of a name."""
        steps = [f"@{attribute}"] if attribute else []
        here: etree._Element | None = element
        while here is not None:
            parent = here.getparent()
            name = etree.QName(here).localname
            if parent is not None:
                number = self._position(parent, here)
                name += f"[{number}]" if number else ""
            steps.append(name)
            here = parent
        return "/" + "/".join(reversed(steps))

    def _position(self, parent: etree._Element, child: etree._Element) -> int:
        """The number among siblings of its name, 0 for the only one; counted once for all of a parent's children."""
        known = self._positions.get(parent)
        if known is None:
            counts: dict[object, list[etree._Element]] = {}
            for one in parent.iterchildren("*"):
                counts.setdefault(etree.QName(one).localname, []).append(one)
            known = {
                one: number for alike in counts.values() if len(alike) > 1 for number, one in enumerate(alike, start=1)
            }
            self._positions[parent] = known
        return known.get(child, 0)

    def at(self, path: str, start: etree._Element | None = None) -> etree._Element | None:
        """The element that a path of libxml2 (`/a:b/*[2]`) leads to, or the last one on the way that is there."""
        here: etree._Element | None = None
        for step in path.strip("/").split("/"):
            match = _STEP.fullmatch(step)
            if match is None:
                return here
            name, number = match[2], int(match[3] or 1)
            if here is None:
                here = self.root if start is None else start
                continue
            alike = [one for one in here.iterchildren("*") if name in ("*", etree.QName(one).localname)]
            if number > len(alike):
                return here
            here = alike[number - 1]
        return here

    def finding(
        self,
        rule: str,
        element: etree._Element,
        text: str,
        expected: str,
        clause: str,
        *,
        attribute: str = "",
        level: Level = Level.ERROR,
    ) -> Finding:
        """A finding at an element or one of its attributes."""
        return Finding(
            rule=rule,
            level=level,
            place=self.place(element, attribute),
            text=text,
            expected=expected,
            clause=clause,
            line=self.line(element),
        )

    def malformed(
        self, rule: str, error: MalformedMessage, clause: str, element: etree._Element | None = None
    ) -> Finding:
        """A codec's error: at the place it names where that is in the document, else at the element that was read."""
        absolute = error.location.startswith("/")
        if error.location.partition("/")[0] == etree.QName(self.root).localname:
            absolute = True
        named = self.at(error.location) if absolute else self._on_line(error.location)
        where = named if named is not None else element if element is not None else self.root
        place = self.place(where)
        if named is None and error.location and not error.location.startswith("{"):
            place = f"{place} ({error.location})"
        return Finding(
            rule=rule,
            level=Level.ERROR,
            place=place,
            text=error.message,
            expected=error.expected,
            clause=clause,
            line=self.line_of_error(error.location) or self.line(where),
        )

    def _on_line(self, location: str) -> etree._Element | None:
        """The element of `line 7, Name`, where there is but one."""
        match = _NAMED.fullmatch(location)
        if match is None:
            return None
        line, name = int(match[1]), match[2]
        found = [one for one in self.root.iter(f"{{*}}{name}") if _line_of(one) == line]
        return found[0] if len(found) == 1 else None

    def by_schema(self, element: etree._Element, clause: str, *, schema: str = "messages.xsd") -> Iterator[Finding]:
        """What our schema of the element finds."""
        crowded = next((one for one in element.iter(etree.Element) if len(one) > MAX_CHILDREN), None)
        if crowded is not None:
            text = f"{len(crowded)} children: the message is not compared with its schema"
            expected = f"at most {MAX_CHILDREN} of one element, to be judged here"
            yield self.finding("SCHEMA.size", crowded, text, expected, clause, level=Level.WARNING)
            return
        compiled, lock = _schema(schema)
        with lock:
            if compiled.validate(element):
                return
            log: Any = compiled.error_log
            errors = [(one.path or "", one.message or "") for one in log]
        seen: set[tuple[str, str]] = set()
        for path, message in errors[: 2 * MAX_SCHEMA_FINDINGS]:
            where = self.at(path, element)
            where = element if where is None else where
            if "Element content is not allowed" in message and where.find(INCLUDE) is not None:
                continue  # the bytes are in another part
            text, expected = _in_words(message)
            attribute = _ATTRIBUTE.search(message)
            key = (path, attribute[1] if attribute else "")
            if key not in seen and len(seen) < MAX_SCHEMA_FINDINGS:
                # A value that breaks its type is told twice: by the facet, and by the type.
                seen.add(key)
                name = attribute[1] if attribute and where.get(attribute[1]) is not None else ""
                yield self.finding("SCHEMA", where, text, expected, clause, attribute=name)

    def by_profile(self, profile: Profile) -> Iterator[Finding]:
        """What the rules of a country find."""
        for rule in profile.xpaths:
            found = rule.context(self.root)
            for element in found if isinstance(found, list) else []:
                if isinstance(element, etree._Element) and not rule.test(element):
                    yield rule.said.finding(self.place(element), self.line(element))


_ATTRIBUTE = re.compile(r"attribute '(?:\{[^}]*\})?([^']+)'")


def _in_words(message: str) -> tuple[str, str]:
    text = _CLARK.sub("", message).strip()
    expected = _EXPECTED.search(text)
    if expected:
        return text[: expected.start()], expected[1].replace(" ,", ",")
    type_ = re.search(r"is not a valid value of the (?:atomic|list|union|local) type '([^']+)'", text)
    if type_:
        return text, f"a value of type {type_[1]}"
    if "is required but missing" in text:
        return text, "the attribute"
    if "is not allowed" in text:
        return text, "an attribute that the schema knows, or none"
    return text, "what the schema says"


def _line_of(element: Any) -> int:
    return int(element.sourceline or 1)


@cache
def _schema(name: str) -> tuple[etree.XMLSchema, threading.Lock]:
    # The log of errors belongs to the schema, so threads take turns.
    return etree.XMLSchema(file=str(resources("schemas") / name)), threading.Lock()
