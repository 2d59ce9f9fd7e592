"""From TOML and the environment to the sections' dataclasses; every mistake is named with its line."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from xdsi.domain.errors import ConfigurationError
from xdsi.domain.identifiers import is_oid

Keys: TypeAlias = tuple[str | int, ...]
"""the way to a value: sections and keys by name, members of a list of sections by number"""


class FromEnvironment(str):
    """The text of an environment variable; which type it stands for is known only where it is used."""

    variable: str

    def __new__(cls, text: str, variable: str) -> FromEnvironment:
        made = super().__new__(cls, text)
        made.variable = variable
        return made

    def read(self, hint: Any) -> Any:
        """The value as TOML would have given it: text for a text key, else what it is as JSON."""
        if hint in (str, Path):
            return str(self)
        try:
            found = json.loads(self)
        except ValueError:
            return str(self)
        one_of_many = typing.get_origin(hint) is tuple and not isinstance(found, list | dict)
        return str(self) if one_of_many else found


@dataclass(frozen=True, slots=True)
class Places:
    file: str
    text: str

    def of(self, keys: Keys, value: Any = None) -> str:
        """Where a value was set: its environment variable, or `file:line` as well as plain text can tell."""
        if isinstance(value, dict):
            value = next(iter(value.values()), None)
        if isinstance(value, FromEnvironment):
            return value.variable
        names = _names(keys)
        section, key = ".".join(names[:-1]), re.escape(names[-1])
        position = next((key for key in reversed(keys) if isinstance(key, int)), 0)
        current, seen = "", Counter[str]()
        for number, line in enumerate(self.text.splitlines(), start=1):
            header = re.match(r"\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}", line)
            if header:
                current = header[1]
                seen[current] += 1
            there = max(seen[current] - 1, 0) == position
            if there and header and current == ".".join(names):
                return f"{self.file}:{number}"
            if there and not header and current == section and re.match(rf"\s*[\"']?{key}[\"']?\s*=", line):
                return f"{self.file}:{number}"
        return self.file


def _names(keys: Keys) -> list[str]:
    return [key for key in keys if isinstance(key, str)]


def read_section(kind: Any, tree: Mapping[str, Any], keys: Keys, where: Places) -> Any:
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    problems: list[str] = []
    for key, value in tree.items():
        if key not in fields:
            known = ", ".join(sorted(fields))
            name = ".".join((*_names(keys), key))
            problems.append(f"{where.of((*keys, key), value)}: unknown key {name!r}; known: {known}")
    values: dict[str, Any] = {}
    for name, item in fields.items():
        if name in tree:
            values[name] = _noting(problems, _value, hints[name], tree[name], item, (*keys, name), where)
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            missing = ".".join((*_names(keys), name))
            problems.append(f"{where.of(keys or (name,), dict(tree))}: {missing!r} is required")
    if problems:
        raise ConfigurationError("\n".join(problems))
    return kind(**values)


def _noting(problems: list[str], read: Callable[..., Any], *arguments: Any) -> Any:
    """What `read` gives; None where it raises, with its problems among the others."""
    try:
        return read(*arguments)
    except ConfigurationError as error:
        problems.append(str(error))
        return None


def _value(hint: Any, given: Any, item: dataclasses.Field[Any], keys: Keys, where: Places) -> Any:
    def refusal(text: str) -> ConfigurationError:
        return ConfigurationError(f"{where.of(keys, given)}: {'.'.join(_names(keys))} {text}")

    value = given.read(hint) if isinstance(given, FromEnvironment) else given
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise refusal("must be a section")
        return read_section(hint, value, keys, where)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        items = [value] if isinstance(value, str | dict) else value
        if not isinstance(items, list):
            raise refusal("must be a list")
        if isinstance(given, FromEnvironment):
            items = [FromEnvironment(entry, given.variable) if isinstance(entry, str) else entry for entry in items]
        problems: list[str] = []
        several = dataclasses.is_dataclass(inner)
        found = tuple(
            _noting(problems, _value, inner, entry, item, (*keys, number) if several else keys, where)
            for number, entry in enumerate(items)
        )
        if problems:
            raise ConfigurationError("\n".join(problems))
        return found
    if origin is dict:
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise refusal("must be a table of text values")
        valid = item.metadata.get("keys", ())
        for key, text in value.items():
            if valid and key not in valid:
                raise refusal(f"has the key {key!r}; valid: {', '.join(valid)}")
            if problem := _problem(text, item):
                raise refusal(f"has {text!r}; valid: {problem}")
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    plain = str if hint is Path else hint
    if not isinstance(value, plain) or (plain is int and isinstance(value, bool)):
        raise refusal(f"must be {_KINDS[plain]}, not {value!r}")
    problem = _problem(value, item)
    if problem:
        raise refusal(f"is {value!r}; valid: {problem}")
    return hint(value)


def _is_url(text: str) -> bool:
    try:
        return re.fullmatch(r"https?://[^/\s?#]+(/\S*)?", text) is not None and bool(urlsplit(text).hostname)
    except ValueError:
        return False


_KINDS: Mapping[Any, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_CHECKS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "oid": ("an OID such as 2.999.1", is_oid),
    "oid-urn": ("urn:oid:2.999.1", lambda v: v.startswith("urn:oid:") and is_oid(v.removeprefix("urn:oid:"))),
    "sha256": ("64 lower-case hex digits", lambda v: re.fullmatch(r"[0-9a-f]{64}", v) is not None),
    "host-port": (
        "host:port",
        lambda v: re.fullmatch(r"[^\s:/]+:[0-9]{1,5}|\[[0-9A-Fa-f:]+\]:[0-9]{1,5}", v) is not None,
    ),
    "port": ("0 to 65535", lambda v: 0 <= v <= 65535),
    "levels": ("1 to 256", lambda v: 1 <= v <= 256),
    "query-values": ("1 to 1000", lambda v: 1 <= v <= 1000),
    "count": ("1 or more", lambda v: v >= 1),
    "days": ("0 or more", lambda v: v >= 0),
    "seconds": ("0 or more", lambda v: v >= 0),
    "url": ("https://host:port/path", _is_url),
    "code": ("CODE^^OID", lambda v: re.fullmatch(r"[^^]+\^[^^]*\^[^^]+", v) is not None),
    "collector": (
        "tls://host:6514 or https://host/fhir",
        lambda v: re.fullmatch(r"tls://[^/\s]+|https://[^/\s]+(/\S*)?", v) is not None,
    ),
}


def _problem(value: Any, item: dataclasses.Field[Any]) -> str:
    """What would be valid instead of a value; empty where it is."""
    choices = item.metadata.get("choices", ())
    if choices and value not in choices:
        return ", ".join(choices)
    form, holds = _CHECKS.get(item.metadata.get("check", ""), ("", None))
    if value == "" and item.default == "":
        return ""  # nothing is set
    return "" if holds is None or holds(value) else form
