"""National rules as data: a file of value sets, token rules and further rules, which `xdsi validate --profile` adds.

TOML; docs/validate.md describes it. Whoever names the file is trusted with its expressions.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lxml import etree

from xdsi.domain.codes import CodeSets
from xdsi.domain.errors import ConfigurationError, MalformedMessage
from xdsi.domain.findings import Finding, Level
from xdsi.spec import namespaces as ns
from xdsi.spec.token_rules import PROFILES, TokenRules
from xdsi.wire import code_sets

PREFIXES: Final = {
    "soap": ns.SOAP,
    "wsa": ns.WSA,
    "wsse": ns.WSSE,
    "rim": ns.RIM,
    "rs": ns.RS,
    "lcm": ns.LCM,
    "query": ns.QUERY,
    "xds": ns.XDS,
    "rmd": ns.RMD,
    "rad": ns.RAD,
    "hl7": ns.HL7V3,
    "saml": ns.SAML,
    "samlp": ns.SAMLP,
    "ds": ns.DS,
    "xades": ns.XADES,
    "xacml": ns.XACML_POLICY,
}
"""of the XPath expressions"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a rule of the file says when it is broken."""

    rule: str
    text: str
    expected: str
    clause: str
    level: Level

    def finding(self, place: str, line: int = 0, found: str = "") -> Finding:
        """The finding of one place."""
        text = f"{self.text} (is {found[:80]!r})" if found else self.text
        return Finding(
            rule=self.rule,
            level=self.level,
            place=place,
            text=text,
            expected=self.expected,
            clause=self.clause,
            line=line,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class XPathRule:
    """`test` holds for every node of `context`."""

    context: etree.XPath
    test: etree.XPath
    said: Said


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRule:
    """A field of each segment of a name is there, or has a form."""

    segment: str
    field: int
    component: int
    matches: re.Pattern[str] | None
    said: Said


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The rules of a domain or a country; without a file: those of the standard alone."""

    name: str = ""
    codes: CodeSets | None = None
    tokens: TokenRules = PROFILES["generic"]
    xpaths: tuple[XPathRule, ...] = ()
    fields: tuple[FieldRule, ...] = ()


def read_profile(path: Path) -> Profile:
    """The rules of a file; ConfigurationError names what cannot be used."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"profile {path}: {error}") from None
    known = {"name", "codes", "mime_types", "assigning_authorities", "token", "xpath", "field"}
    if unknown := document.keys() - known:
        raise ConfigurationError(f"profile {path}: unknown key {min(unknown)!r}; valid: {', '.join(sorted(known))}")
    try:
        sets: dict[str, Any] = {
            key: document[key] for key in ("codes", "mime_types", "assigning_authorities") if key in document
        }
        return Profile(
            name=str(document.get("name", path.stem)),
            codes=code_sets.from_table(sets) if sets else None,
            tokens=_tokens(document.get("token", {})),
            xpaths=tuple(_xpaths(document.get("xpath", []))),
            fields=tuple(_fields(document.get("field", []))),
        )
    except (MalformedMessage, KeyError, TypeError, ValueError, AttributeError, etree.XPathError, re.error) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigurationError(f"profile {path}: {what}") from None


def _tokens(table: Mapping[str, Any]) -> TokenRules:
    _check_keys(table, "token", "token")
    base = str(table.get("base", "generic"))
    if base not in PROFILES:
        raise ValueError(f"token.base is {base!r}; valid: {', '.join(PROFILES)}")
    rules = PROFILES[base]
    return TokenRules(
        required=rules.required | frozenset(map(str, table.get("required", []))),
        role_schemes=frozenset(map(str, table.get("role_schemes", rules.role_schemes))),
        purpose_schemes=frozenset(map(str, table.get("purpose_schemes", rules.purpose_schemes))),
        further=rules.further,
    )


_SAID: Final = frozenset({"rule", "text", "expected", "clause", "level"})
_KEYS: Final = {
    "token": frozenset({"base", "required", "role_schemes", "purpose_schemes"}),
    "xpath": _SAID | {"context", "test"},
    "field": _SAID | {"segment", "field", "component", "matches"},
}


def _check_keys(table: Mapping[str, Any], kind: str, place: str) -> None:
    if unknown := table.keys() - _KEYS[kind]:
        raise ValueError(f"{place}: unknown key {min(unknown)!r}; valid: {', '.join(sorted(_KEYS[kind]))}")
    if missing := {"text", "context", "test", "segment", "field"} & _KEYS[kind] - table.keys():
        raise ValueError(f"{place}: {min(missing)} is missing")
    if "level" in table and table["level"] not in set(Level):
        raise ValueError(f"{place}: level is {table['level']!r}; valid: {', '.join(Level)}")


def _said(table: Mapping[str, Any], kind: str, number: int) -> Said:
    return Said(
        rule=f"PROFILE.{table.get('rule', f'{kind}.{number}')}",
        text=str(table["text"]),
        expected=str(table.get("expected", "")),
        clause=str(table.get("clause", "")),
        level=Level(table.get("level", "error")),
    )


def _xpaths(tables: list[Mapping[str, Any]]) -> Iterator[XPathRule]:
    for number, table in enumerate(tables, start=1):
        _check_keys(table, "xpath", f"xpath {number}")
        context = etree.XPath(table["context"], namespaces=PREFIXES)
        test = etree.XPath(f"boolean({table['test']})", namespaces=PREFIXES)
        for expression in (context, test):
            expression(etree.Element("none"))  # an unknown prefix or function shows when it is used
        yield XPathRule(context=context, test=test, said=_said(table, "xpath", number))


def _fields(tables: list[Mapping[str, Any]]) -> Iterator[FieldRule]:
    for number, table in enumerate(tables, start=1):
        _check_keys(table, "field", f"field {number}")
        matches = table.get("matches")
        yield FieldRule(
            segment=str(table["segment"]),
            field=int(table["field"]),
            component=int(table.get("component", 1)),
            matches=re.compile(matches) if matches is not None else None,
            said=_said(table, "field", number),
        )
