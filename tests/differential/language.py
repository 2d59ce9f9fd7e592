"""The policy language of docs/policy.md section 4, evaluated naively: straight over the XML, nothing kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from typing import Any

from lxml import etree

from tests.differential import vocabulary as v

_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(Z|[+-][0-9]{2}:[0-9]{2})?")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
PERMIT, DENY, INDETERMINATE, NOT_APPLICABLE = "Permit", "Deny", "Indeterminate", "NotApplicable"


class Refused(Exception):
    """The document has something in it that the language does not have (4, 4.1, 4.6)."""


class Failed(Exception):
    """An error while evaluating."""


@dataclass(frozen=True)
class Result:
    verdict: str
    rule: str = ""
    clean: bool = True
    """false for an Indeterminate, and for a Deny that stands for an error"""


def _parsed(raw: bytes) -> Any:
    if len(raw) > 1024 * 1024:
        raise Refused("too large")
    root = etree.fromstring(raw, etree.XMLParser(remove_comments=True, resolve_entities=False))
    if sum(1 for _ in root.iter()) > 2000:
        raise Refused("too many elements")
    if name(root) not in ("PolicySet", "Policy"):
        raise Refused("no policy")
    _check_policy(root, 1)
    return root


def name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def children(element: Any, *names: str) -> list[Any]:
    return [child for child in element if name(child) in names]


@lru_cache(maxsize=64)
def _read(raw: bytes) -> Any:
    try:
        return _parsed(raw)
    except Refused as refused:
        return refused


def read(raw: bytes) -> Any:
    """The root of a document of the language; the same text is looked at once."""
    found = _read(raw)
    if isinstance(found, Refused):
        raise found
    return found


# What the language has (4.1)


def _check_policy(element: Any, depth: int) -> None:
    if depth > 16:
        raise Refused("too deep")
    if len(children(element, "Target")) != 1:
        raise Refused("needs a Target")
    is_set = name(element) == "PolicySet"
    known = v.POLICY_COMBINING if is_set else v.RULE_COMBINING
    if element.get("PolicyCombiningAlgId" if is_set else "RuleCombiningAlgId") not in known:
        raise Refused("combining algorithm")
    if element.get("PolicySetId" if is_set else "PolicyId") is None:
        raise Refused("needs an id")
    for child in element:
        if name(child) == "Target":
            _check_target(child)
        elif name(child) in ("Description", "PolicyDefaults", "PolicySetDefaults"):
            continue
        elif is_set and name(child) in ("PolicySet", "Policy"):
            _check_policy(child, depth + 1)
        elif is_set and name(child) in ("PolicySetIdReference", "PolicyIdReference"):
            if set(child.attrib) & {"Version", "EarliestVersion", "LatestVersion"}:
                raise Refused("a version")
        elif not is_set and name(child) == "Rule":
            _check_rule(child)
        else:
            raise Refused(name(child))


def _check_rule(rule: Any) -> None:
    if rule.get("Effect") not in (PERMIT, DENY) or rule.get("RuleId") is None:
        raise Refused("Rule")
    for child in rule:
        if name(child) == "Target":
            _check_target(child)
        elif name(child) == "Condition":
            if len(child) != 1:
                raise Refused("a Condition is one expression")
            _check_expression(child[0], 1)
        elif name(child) != "Description":
            raise Refused(name(child))


def _check_target(target: Any) -> None:
    for group in target:
        section = name(group).removesuffix("s")
        if section not in v.SECTIONS or name(group) != section + "s":
            raise Refused(name(group))
        for alternative in group:
            if name(alternative) != section:
                raise Refused(name(alternative))
            for match in alternative:
                if name(match) != section + "Match":
                    raise Refused(name(match))
                _check_match(match, section)


def _check_match(match: Any, section: str) -> None:
    if len(match) != 2 or name(match[0]) != "AttributeValue" or name(match[1]) != section + "AttributeDesignator":
        raise Refused("Match")
    function = match.get("MatchId")
    types = _match_functions()
    if function not in types or function.endswith(":boolean-equal"):
        raise Refused(f"function {function}")
    _check_literal(match[0])
    _check_designator(match[1])
    if not types[function] == match[0].get("DataType") == match[1].get("DataType"):
        raise Refused("function, literal and attribute are of different types")


def _comparisons(start: str) -> tuple[str, ...]:
    return v.COMPARISONS if start.endswith((":date", ":dateTime")) else ("equal",)


def _check_literal(literal: Any) -> None:
    kind = v.TYPES.get(literal.get("DataType"))
    if kind is None:
        raise Refused("data type")
    if kind in (v.CODE, v.IDENTIFIER):
        wanted, needed = ("CodedValue", ("code", "codeSystem")) if kind == v.CODE else ("InstanceIdentifier", ("root",))
        if len(literal) != 1 or name(literal[0]) != wanted or not all(literal[0].get(one) for one in needed):
            raise Refused("literal")
    elif len(literal):
        raise Refused("literal")
    else:
        try:
            literal_value(literal, timezone.utc)  # noqa: UP017
        except Failed as error:
            raise Refused("literal") from error


def _check_designator(designator: Any) -> None:
    attributes = v.SECTIONS[name(designator).removesuffix("AttributeDesignator")]
    kind = v.TYPES.get(designator.get("DataType"))
    if kind not in attributes.get(designator.get("AttributeId"), ()):
        raise Refused("attribute")
    if designator.get("Issuer") is not None:
        raise Refused("Issuer")
    access = v.CORE + "subject-category:access-subject"
    if designator.get("SubjectCategory", access) != access:
        raise Refused("SubjectCategory")


def _check_expression(element: Any, depth: int) -> None:
    if name(element) == "AttributeValue":
        _check_literal(element)
    elif name(element).endswith("AttributeDesignator"):
        _check_designator(element)
    elif name(element) == "Apply":
        if depth > 16:
            raise Refused("too deep")
        if element.get("FunctionId") not in _functions():
            raise Refused("function")
        for argument in element:
            _check_expression(argument, depth + 1)
    else:
        raise Refused(name(element))


@cache
def _match_functions() -> dict[str, str]:
    return {f"{start}-{how}": kind for start, kind in v.FUNCTION_TYPES.items() for how in _comparisons(start)}


@cache
def _functions() -> set[str]:
    found = {f"{v.CORE}function:{one}" for one in ("and", "or", "not")}
    for start in v.FUNCTION_TYPES:
        found |= {f"{start}-{how}" for how in (*_comparisons(start), "one-and-only", "bag", "is-in")}
    return found


# Values


def literal_value(literal: Any, zone: tzinfo) -> Any:
    kind = v.TYPES[literal.get("DataType")]
    if kind == v.CODE:
        return kind, (literal[0].get("code"), literal[0].get("codeSystem"))
    if kind == v.IDENTIFIER:
        return kind, (literal[0].get("root"), literal[0].get("extension", ""))
    written = (literal.text or "").strip()
    if kind == v.TEXT:
        return kind, v.text(written)
    if kind == v.BOOLEAN:
        if written not in ("true", "false", "1", "0"):
            raise Failed("no boolean")
        return kind, written in ("true", "1")
    return kind, (day if kind == v.DATE else moment)(written, zone)


def day(written: str, zone: tzinfo) -> datetime:
    """The first instant of a date."""
    found = _DATE.fullmatch(written)
    if found is None:
        raise Failed("no date")
    try:
        first = date(int(found[1]), int(found[2]), int(found[3]))
        return datetime(first.year, first.month, first.day, tzinfo=_offset(found[4], zone))
    except ValueError as error:
        raise Failed("no date") from error


def moment(written: str, zone: tzinfo) -> datetime:
    found = _TIME.fullmatch(written)
    if found is None:
        raise Failed("no time")
    numbers = [int(one) for one in found.groups()[:6]]
    try:
        return datetime(*numbers, int((found[7] or "0")[:6].ljust(6, "0")), tzinfo=_offset(found[8], zone))  # type: ignore[misc, arg-type]
    except ValueError as error:
        raise Failed("no time") from error


def _offset(written: str | None, zone: tzinfo) -> tzinfo:
    if written is None:
        return zone
    if written == "Z":
        return timezone.utc  # noqa: UP017
    hours, minutes = int(written[1:3]), int(written[4:6])
    if minutes > 59 or hours > 14:
        raise Failed("no offset")
    return timezone((-1 if written[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))


# Evaluation


class Evaluation:
    """One policy against one question. `attributes` gives the bag of (kind, value) of a section's attribute."""

    def __init__(self, attributes: Any, referable: dict[str, Any], zone: tzinfo) -> None:
        self.attributes, self.referable, self.zone = attributes, referable, zone

    def changes(self) -> bool:
        """Whether the action is one that only a permit with Actions permits (4.4)."""
        return any(value in ("update", "delete") for _, value in self.attributes("Action", v.CORE + "action-id"))

    def policy(self, element: Any, followed: tuple[str, ...] = (), *, named: bool = False) -> Result:
        named = named or has_actions(element)
        applies = self.target(element.find(f"{{{v.XACML}}}Target"))
        if applies == "error":
            return Result(INDETERMINATE, "indeterminate", clean=False)
        if not applies:
            return Result(NOT_APPLICABLE)
        if name(element) == "Policy":
            results = [
                (self.rule(rule), rule.get("Effect"))
                for rule in children(element, "Rule")
                if rule.get("Effect") == DENY or named or has_actions(rule) or not self.changes()
            ]
            return _rules(v.RULE_COMBINING[element.get("RuleCombiningAlgId")], results)
        referred = children(element, "PolicySetIdReference", "PolicyIdReference")
        for one in referred:
            identifier = (one.text or "").strip()
            if identifier not in self.referable or identifier in followed or len(followed) + 1 > 8:
                return Result(INDETERMINATE, "indeterminate", clean=False)
        found = []
        for child in children(element, "PolicySet", "Policy", "PolicySetIdReference", "PolicyIdReference"):
            if child in referred:
                identifier = (child.text or "").strip()
                found.append(self.policy(self.referable[identifier], (*followed, identifier), named=named))
            else:
                found.append(self.policy(child, followed, named=named))
        return _policies(v.POLICY_COMBINING[element.get("PolicyCombiningAlgId")], found)

    def rule(self, rule: Any) -> Result:
        target = rule.find(f"{{{v.XACML}}}Target")
        applies = True if target is None else self.target(target)
        if applies == "error":
            return Result(INDETERMINATE, "indeterminate", clean=False)
        if not applies:
            return Result(NOT_APPLICABLE)
        condition = rule.find(f"{{{v.XACML}}}Condition")
        if condition is not None:
            try:
                answer = self.value(condition[0])
            except Failed:
                answer = None
            if not (isinstance(answer, tuple) and answer[0] == v.BOOLEAN):
                return Result(INDETERMINATE, "indeterminate", clean=False)
            if not answer[1]:
                return Result(NOT_APPLICABLE)
        return Result(rule.get("Effect"), rule.get("RuleId"))

    # Targets (4.2)

    def target(self, target: Any) -> Any:
        return _and(
            [
                _or([_and([self.match(match) for match in one]) for one in group]) if len(group) else True
                for group in target
            ]
        )

    def match(self, match: Any) -> Any:
        bag = self.bag(match[1])
        if not bag:
            return "error" if match[1].get("MustBePresent") in ("true", "1") else False
        failed = False
        for one in bag:
            try:
                if _compare(match.get("MatchId"), literal_value(match[0], self.zone), one):
                    return True
            except Failed:
                failed = True
        return "error" if failed else False

    def bag(self, designator: Any) -> list[Any]:
        section = name(designator).removesuffix("AttributeDesignator")
        kind = v.TYPES[designator.get("DataType")]
        return [one for one in self.attributes(section, designator.get("AttributeId")) if one[0] == kind]

    # Conditions (4.3)

    def value(self, element: Any) -> Any:
        if name(element) == "AttributeValue":
            return literal_value(element, self.zone)
        if name(element) == "Apply":
            return self.apply(element)
        bag = self.bag(element)
        if not bag and element.get("MustBePresent") in ("true", "1"):
            raise Failed("must be present")
        return bag

    def apply(self, element: Any) -> Any:
        function = element.get("FunctionId")
        if function in (v.CORE + "function:and", v.CORE + "function:or"):
            decisive = function.endswith(":or")
            for argument in element:
                if _boolean(self.value(argument)) is decisive:
                    return v.BOOLEAN, decisive
            return v.BOOLEAN, not decisive
        arguments = [self.value(argument) for argument in element]
        if function == v.CORE + "function:not":
            (only,) = _exactly(1, arguments)
            return v.BOOLEAN, not _boolean(only)
        start = next(one for one in v.FUNCTION_TYPES if function.startswith(one + "-"))
        kind, how = v.TYPES[v.FUNCTION_TYPES[start]], function.removeprefix(start + "-")
        if how == "bag":
            return [_single(kind, one) for one in arguments]
        if how == "one-and-only":
            (bag,) = _exactly(1, arguments)
            (only,) = _exactly(1, _bag(kind, bag))
            return only
        if how == "is-in":
            wanted, bag = _exactly(2, arguments)
            return v.BOOLEAN, _single(kind, wanted) in _bag(kind, bag)
        left, right = _exactly(2, arguments)
        return v.BOOLEAN, _compare(function, _single(kind, left), _single(kind, right))


def has_actions(element: Any) -> bool:
    return element.find(f"{{{v.XACML}}}Target/{{{v.XACML}}}Actions") is not None


def _exactly(number: int, values: list[Any]) -> list[Any]:
    if len(values) != number:
        raise Failed("number of arguments")
    return values


def _single(kind: str, value: Any) -> Any:
    if isinstance(value, list) or value[0] != kind:
        raise Failed("no single value of the kind")
    return value


def _bag(kind: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or any(one[0] != kind for one in value):
        raise Failed("no bag of the kind")
    return value


def _boolean(value: Any) -> bool:
    return bool(_single(v.BOOLEAN, value)[1])


def _compare(function: str, left: Any, right: Any) -> bool:
    a, b = left[1], right[1]
    how = next(one for one in reversed(v.COMPARISONS) if function.endswith("-" + one))
    return {
        "equal": lambda: a == b,
        "less-than": lambda: a < b,
        "less-than-or-equal": lambda: a <= b,
        "greater-than": lambda: a > b,
        "greater-than-or-equal": lambda: a >= b,
    }[how]()  # type: ignore[no-any-return]


def _and(parts: list[Any]) -> Any:
    if any(part is False for part in parts):
        return False
    return "error" if "error" in parts else True


def _or(parts: list[Any]) -> Any:
    if any(part is True for part in parts):
        return True
    return "error" if "error" in parts else False


# Combining (4.5)


def _first(results: list[Result], verdict: str) -> Result | None:
    return next((one for one in results if one.verdict == verdict), None)


def _rules(algorithm: str, results: list[tuple[Result, str]]) -> Result:
    all_of_them = [result for result, _ in results]
    if algorithm == "first-applicable":
        return next((one for one in all_of_them if one.verdict != NOT_APPLICABLE), Result(NOT_APPLICABLE))
    strong, weak = (DENY, PERMIT) if algorithm == "deny-overrides" else (PERMIT, DENY)
    undecided = Result(INDETERMINATE, "indeterminate", clean=False)
    if (found := _first(all_of_them, strong)) is not None:
        return found
    if any(result.verdict == INDETERMINATE and effect == strong for result, effect in results):
        return undecided
    if (found := _first(all_of_them, weak)) is not None:
        return found
    return undecided if _first(all_of_them, INDETERMINATE) else Result(NOT_APPLICABLE)


def _policies(algorithm: str, results: list[Result]) -> Result:
    if algorithm == "first-applicable":
        return next((one for one in results if one.verdict != NOT_APPLICABLE), Result(NOT_APPLICABLE))
    if algorithm == "deny-overrides":
        refusal = next((one for one in results if one.verdict in (DENY, INDETERMINATE)), None)
        if refusal is not None:
            return Result(DENY, refusal.rule, refusal.clean)
        return _first(results, PERMIT) or Result(NOT_APPLICABLE)
    for verdict in (PERMIT, DENY, INDETERMINATE):
        if (found := _first(results, verdict)) is not None:
            return found
    return Result(NOT_APPLICABLE)
