"""Policies of a domain from files: XACML in the language of docs/policy.md section 4, or plain rules in TOML.

    id = "2.999.1.7.1"                        # what consents refer to it by
    combine = "first-applicable"              # deny-overrides where it is left out

    [[rule]]
    name = "doctors"
    effect = "permit"
    role = ["112247003^^2.16.840.1.113883.6.96"]
    confidentiality = ["N^^2.16.840.1.113883.5.25"]

Values of one key are alternatives, keys add up. A permit without `action` is about reading, a deny about everything.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from lxml import etree

from xdsi.domain.codes import Code
from xdsi.domain.consent import READING, Action, Effect, Policy, Statement
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import InstanceIdentifier
from xdsi.spec import xacml
from xdsi.spec.namespaces import HL7V3, XACML_POLICY
from xdsi.wire.consent import write_statement
from xdsi.wire.xacml import decode_policy, read_policy
from xdsi.wire.xml import E

COMBINING = {
    "deny-overrides": xacml.RULE_DENY_OVERRIDES,
    "permit-overrides": "urn:oasis:names:tc:xacml:1.0:rule-combining-algorithm:permit-overrides",
    "first-applicable": "urn:oasis:names:tc:xacml:1.0:rule-combining-algorithm:first-applicable",
}
CODED = {
    "role": "roles",
    "purpose": "purposes",
    "class": "class_codes",
    "type": "type_codes",
    "confidentiality": "confidentiality_codes",
    "modality": "modalities",
}
PLAIN = {"organization": "organizations", "person": "persons", "study": "studies", "document": "documents"}
"""keys of a rule, as `xdsi consent grant` has them, and the fields of a Statement"""


def decode(raw: bytes) -> Policy:
    """The policy of a file; MalformedMessage for anything that the language does not have."""
    if raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return decode_policy(raw)
    document = read_toml(raw)
    known_keys(document, {"id", "description", "combine", "rule"}, "")
    identifier = text_of(document, "id", "")
    combine = text_of(document, "combine", "", "deny-overrides")
    if not identifier or combine not in COMBINING:
        expected = f"an id, and as combine one of {', '.join(COMBINING)}"
        raise MalformedMessage("not a policy", location="id, combine", expected=expected)
    rules = tables_of(document, "rule")
    if not rules:
        raise MalformedMessage("a policy without a rule", location="rule", expected="[[rule]]")
    root = etree.Element(E(XACML_POLICY, "Policy"), nsmap={None: XACML_POLICY, "hl7": HL7V3})  # type: ignore[dict-item]
    root.set("PolicyId", identifier)
    root.set("RuleCombiningAlgId", COMBINING[combine])
    etree.SubElement(root, E(XACML_POLICY, "Target"))
    names: set[str] = set()
    for number, rule in enumerate(rules, start=1):
        name, statement = _rule(rule, f"rule {number}")
        if name in names:
            raise MalformedMessage(f"two rules {name!r}", location=f"rule {number}", expected="a name for each")
        names.add(name)
        try:
            write_statement(root, name, statement)
        except ValueError as error:
            raise MalformedMessage(str(error), location=f"rule {number}") from error
    return read_policy(root)


def _rule(rule: Mapping[str, Any], place: str) -> tuple[str, Statement]:
    known_keys(rule, {"name", "effect", "action", "institution", *CODED, *PLAIN}, place)
    name, effect = text_of(rule, "name", place), text_of(rule, "effect", place)
    if not name or effect not in ("permit", "deny"):
        raise MalformedMessage("not a rule", location=place, expected="a name, and permit or deny as effect")
    fields: dict[str, Any] = {field: codes_of(rule, key, place) for key, field in CODED.items()}
    fields |= {field: texts_of(rule, key, place) for key, field in PLAIN.items()}
    institutions = (one.removeprefix("urn:oid:") for one in texts_of(rule, "institution", place))
    actions = tuple(action_of(one, place) for one in texts_of(rule, "action", place))
    permit = effect == "permit"
    return name, Statement(
        effect=Effect.PERMIT if permit else Effect.DENY,
        author_institutions=tuple(map(InstanceIdentifier, institutions)),
        actions=actions or (READING if permit else ()),
        **fields,
    )


# Values


def read_toml(raw: bytes) -> Mapping[str, Any]:
    """A TOML document; MalformedMessage where it is none."""
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MalformedMessage(f"not TOML: {error}", expected="TOML in UTF-8, or XACML") from None


def known_keys(table: Mapping[str, Any], known: set[str], place: str) -> None:
    """MalformedMessage for a key that means nothing: a slip must not change what a policy says."""
    for key in table:
        if key not in known:
            raise MalformedMessage(f"unknown key {key!r}", location=place or key, expected=", ".join(sorted(known)))


def tables_of(table: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The tables of `[[key]]`."""
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise MalformedMessage(f"{key} is no list of tables", location=key, expected=f"[[{key}]]")
    return found


def text_of(table: Mapping[str, Any], key: str, place: str, default: str = "") -> str:
    """A text."""
    found = table.get(key, default)
    if not isinstance(found, str):
        raise MalformedMessage(f"{key} is no text", location=place or key)
    return found


def texts_of(table: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
    """A list of texts that are not empty, or one of them."""
    found = table.get(key, [])
    values = [found] if isinstance(found, str) else found
    if not isinstance(values, list) or not all(isinstance(one, str) and one for one in values):
        raise MalformedMessage(f"{key} is no list of texts", location=place or key)
    return tuple(values)


def codes_of(table: Mapping[str, Any], key: str, place: str) -> tuple[Code, ...]:
    """A list of codes, each `CODE^^SCHEME`."""
    return tuple(_code(one, place) for one in texts_of(table, key, place))


def _code(text: str, place: str) -> Code:
    parts = text.split("^")
    if len(parts) != 3 or not parts[0] or not parts[2]:
        raise MalformedMessage(f"{text!r} is no code", location=place, expected="CODE^^SCHEME")
    return Code(parts[0], parts[2], parts[1])


def action_of(text: str, place: str) -> Action:
    """An action by its name."""
    try:
        return Action(text)
    except ValueError:
        raise MalformedMessage(f"unknown action {text!r}", location=place, expected=", ".join(Action)) from None
