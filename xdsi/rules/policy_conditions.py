"""One request as policies see it, and what a match or a condition says about it.

XACML 2.0 core sections 7.2 to 7.6 and appendix A, in the subset of docs/policy.md section 4. An answer is True, False,
or None for an error.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from xdsi.domain.codes import Code
from xdsi.domain.consent import (
    Action,
    Attributes,
    Designator,
    Expression,
    Literal,
    Match,
    Resource,
    Section,
    Value,
)
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.identifiers import InstanceIdentifier, PatientId
from xdsi.rules.by_identity import ByIdentity
from xdsi.rules.policy_attributes import PATIENT_ATTRIBUTES, ResourceBag, canonical, patient_values
from xdsi.spec import xacml

_OPERATORS: dict[str, Callable[[datetime, datetime], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(Z|[+-]\d{2}:\d{2})?")
_DATE_TIME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})?")
_EQUAL = {xacml.DATE: xacml.DATE_EQUAL, xacml.DATE_TIME: xacml.DATE_TIME_EQUAL}


class _Bag(dict[str, tuple[Value, ...]]):
    def __missing__(self, attribute: str) -> tuple[Value, ...]:
        return ()


class _Moment(_Bag):
    """The environment: when it is. Written out when a policy first asks for it."""

    __slots__ = ("_local",)

    def __init__(self, local: datetime) -> None:
        super().__init__()
        self._local = local

    def __missing__(self, attribute: str) -> tuple[Value, ...]:
        if attribute == xacml.CURRENT_DATE:
            return (self._local.date().isoformat(),)
        if attribute == xacml.CURRENT_DATE_TIME:
            return (self._local.isoformat(timespec="microseconds"),)
        return ()


@dataclass(slots=True, eq=False)
class Request:
    """The attributes of one question: who, what, which action, when; attributes that are absent are empty."""

    subject: Mapping[str, tuple[Value, ...]]
    resource: Mapping[str, tuple[Value, ...]]
    action: Mapping[str, tuple[Value, ...]]
    environment: Mapping[str, tuple[Value, ...]]
    zone: tzinfo = UTC

    @classmethod
    def of(
        cls, subject: Attributes, action: Action, patients: Collection[PatientId], now: datetime, *, zone: tzinfo = UTC
    ) -> Request:
        """A question about documents of the patient with the identifiers `patients`; `about` adds the document."""
        return cls(
            # What cannot change may be remembered.
            _remembered_bag(subject) if isinstance(subject, MappingProxyType) else _bag(subject),
            _Bag(dict.fromkeys(PATIENT_ATTRIBUTES, patient_values(patients))),
            _Bag({xacml.ACTION_ID: (action.value,)}),
            _Moment(now.astimezone(zone)),
            zone,
        )

    def about(self, resource: Resource) -> Request:
        """The same question about one document of that patient."""
        bag = ResourceBag(resource, self.resource[xacml.PATIENT_ID])
        return Request(self.subject, bag, self.action, self.environment, self.zone)

    def section(self, section: Section) -> Mapping[str, tuple[Value, ...]]:
        """The attributes of one section."""
        if section is Section.SUBJECT:
            return self.subject
        if section is Section.RESOURCE:
            return self.resource
        return self.action if section is Section.ACTION else self.environment


def zone_of(name: str) -> tzinfo:
    """The time zone of an IANA name; raises ConfigurationError where it is unknown here."""
    return UTC if name == "UTC" else _zone(name)


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(f"unknown time zone {name!r}; expected a name such as Europe/Brussels") from error


def _canonical_values(values: Sequence[Value]) -> tuple[Value, ...]:
    return tuple(canonical(value) if isinstance(value, str) else value for value in values)


def _bag(subject: Attributes) -> _Bag:
    return _Bag((name, _canonical_values(values)) for name, values in subject.items())


_remembered_bag = ByIdentity[Attributes, _Bag](_bag)


def match_holds(match: Match, attributes: Mapping[str, tuple[Value, ...]], zone: tzinfo) -> bool | None:
    """Whether any value of the match's attribute satisfies it."""
    values = attributes[match.attribute]
    if match.must_be_present and not any(isinstance(value, type(match.value)) for value in values):
        return None
    literal = canonical(match.value) if isinstance(match.value, str) else match.value
    if match.function in xacml.EQUALITIES:
        return literal in values
    if match.function not in xacml.COMPARISONS:
        return None
    error = False
    for value in values:
        try:
            if _compare(match.function, (literal, value), zone):
                return True
        except _Undetermined:
            error = True
    return None if error else False


# Conditions


class _Undetermined(Exception):
    """A condition that has no answer."""


def condition_holds(condition: Expression, request: Request) -> bool | None:
    """Whether a rule's condition is true."""
    try:
        return _truth(_value(condition, request))
    except _Undetermined:
        return None


_Single: TypeAlias = Value | bool
_Result: TypeAlias = _Single | list[_Single]
"""a list is a bag"""


def _value(expression: Expression, request: Request) -> _Result:
    if isinstance(expression, Literal):
        value = expression.value
        return canonical(value) if isinstance(value, str) else value
    if isinstance(expression, Designator):
        kind = _KINDS[expression.data_type]
        values = request.section(expression.section)[expression.attribute]
        bag: list[_Single] = [value for value in values if isinstance(value, kind)]
        if not bag and expression.must_be_present:
            raise _Undetermined
        return bag
    function, arguments = expression.function, expression.arguments
    if function == xacml.AND:
        return all(_truth(_value(argument, request)) for argument in arguments)
    if function == xacml.OR:
        return any(_truth(_value(argument, request)) for argument in arguments)
    results = [_value(argument, request) for argument in arguments]
    if function in xacml.BAG:
        return [_single(result) for result in results]
    match results:
        case [only] if function == xacml.NOT:
            return not _truth(only)
        case [[only]] if function in xacml.ONE_AND_ONLY:
            return only
        case [left, list(bag)] if function in xacml.IS_IN:
            wanted = _single(left)
            return any(_equal(xacml.IS_IN[function], wanted, member, request.zone) for member in bag)
        case [left, right] if function in xacml.EQUALITIES:
            return _single(left) == _single(right)
        case [left, right] if function in xacml.COMPARISONS:
            return _compare(function, (_single(left), _single(right)), request.zone)
    raise _Undetermined


_KINDS: dict[str, type[Code] | type[InstanceIdentifier] | type[str]] = {
    xacml.CV: Code,
    xacml.II: InstanceIdentifier,
    **dict.fromkeys(xacml.DATA_TYPES - {xacml.CV, xacml.II}, str),
}


def _truth(value: _Result) -> bool:
    if not isinstance(value, bool):
        raise _Undetermined
    return value


def _single(value: _Result) -> _Single:
    if isinstance(value, list):
        raise _Undetermined
    return value


def _equal(data_type: str, left: _Single, right: _Single, zone: tzinfo) -> bool:
    return _compare(_EQUAL[data_type], (left, right), zone) if data_type in _EQUAL else left == right


def _compare(function: str, operands: tuple[_Single, _Single], zone: tzinfo) -> bool:
    data_type, name = xacml.COMPARISONS[function]
    left, right = operands
    if not isinstance(left, str) or not isinstance(right, str):
        raise _Undetermined
    return _OPERATORS[name](_instant(left, data_type, zone), _instant(right, data_type, zone))


@lru_cache(maxsize=4096)
def _instant(text: str, data_type: str, zone: tzinfo) -> datetime:
    instant = instant_of(text, data_type, zone)
    if instant is None:
        raise _Undetermined
    return instant


def instant_of(text: str, data_type: str, zone: tzinfo) -> datetime | None:
    """The point in time of an XML Schema date (its first instant) or dateTime; None where it is neither.

    Without an offset it is read in `zone`.
    """
    if data_type == xacml.DATE:
        match = _DATE.fullmatch(text)
        moment = f"{match[1]}-{match[2]}-{match[3]}T00:00:00{match[4] or ''}" if match else ""
    else:
        match = _DATE_TIME.fullmatch(text)
        moment = f"{match[1]}{(match[2] or '')[:7]}{match[3] or ''}" if match else ""
    try:
        instant = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=zone)
