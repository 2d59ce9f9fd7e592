"""From an AdhocQuery as it came to a StoredQuery that can be answered, and back.

ITI TF-2 3.18.4.1.2.3 (parameters) and 3.18.4.1.3 (errors); 3.51.4.1.2 (multi-patient). What each query takes stands in
the table `spec.stored_queries`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xdsi.domain.outcome import Problem
from xdsi.domain.stored_query import AdhocQuery, ReturnType, StoredQuery, Value
from xdsi.rules import query_values
from xdsi.rules.query_values import BadCoding
from xdsi.spec.stored_queries import ITI18, STORED_QUERIES, Parameter, Query

MAX_VALUES = 1000
"""of one parameter"""
MAX_GROUPS = 16
"""Slots of one parameter that must all hold"""
MAX_ALTERNATIVES = 64
"""in each Slot of a parameter that is repeated"""

_SHOWN = 200

Groups = tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A query that can be answered, or the problems why not."""

    query: StoredQuery | None
    problems: tuple[Problem, ...] = ()
    ignored: tuple[str, ...] = ()
    """parameters that the query does not have"""


def check(
    request: AdhocQuery,
    *,
    queries: Mapping[str, Query] = ITI18,
    reject_unknown_parameters: bool = False,
    max_values: int = MAX_VALUES,
) -> Checked:
    """Read every parameter; all problems are found, not the first only.

    `queries` are those the transaction offers. An unknown parameter is ignored, as by an older registry (Metadata
    Update 3.18.4.1.2.3.5), unless it is to be refused.
    """
    row = queries.get(request.query_id)
    if row is None:
        return Checked(None, (_unknown_query(request.query_id),))
    reading = _Reading(request, row, max_values)
    reading.read()
    if reject_unknown_parameters:
        reading.refuse_unknown()
    if reading.problems:
        return Checked(None, tuple(reading.problems), tuple(reading.ignored))
    query = StoredQuery(
        query_id=row.id,
        return_type=ReturnType(request.return_type),
        parameters=reading.parameters,
        home_community_id=request.home_community_id,
        start_index=request.start_index,
        max_results=request.max_results,
    )
    return Checked(query, ignored=tuple(reading.ignored))


def _unknown_query(query_id: str) -> Problem:
    known = STORED_QUERIES.get(query_id)
    name = f" ({known.name})" if known is not None else ""
    text = f"stored query {query_id[:_SHOWN]!r}{name} is not offered here"
    return Problem("XDSUnknownStoredQuery", text, location="AdhocQuery/@id", rule="QUERY.id")


@dataclass(slots=True)
class _Reading:
    request: AdhocQuery
    row: Query
    max_values: int
    parameters: dict[str, Groups] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    _sent: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)

    def read(self) -> None:
        self._check_options()
        for name, values in self.request.slots:
            if name not in self.row.parameters:
                if name not in self.ignored:
                    self.ignored.append(name)
            elif values:
                self._sent.setdefault(name, []).append(values)
        for name, slots in self._sent.items():
            groups = self._groups(self.row.parameters[name], slots)
            if groups:
                self.parameters[name] = groups
        self._check_presence()

    def refuse_unknown(self) -> None:
        for name in self.ignored:
            text = f"{name[:_SHOWN]}: {self.row.name} has no such parameter"
            self._report("XDSRegistryError", text, name, "QUERY.parameter.unknown")

    def _report(self, code: str, text: str, place: str, rule: str) -> None:
        self.problems.append(Problem(code, text, location=place[:_SHOWN], rule=rule))

    def _check_options(self) -> None:
        if self.request.return_type not in set(ReturnType):
            text = f"returnType {self.request.return_type[:_SHOWN]!r}: expected LeafClass or ObjectRef"
            self._report("XDSRegistryError", text, "ResponseOption/@returnType", "QUERY.returnType")
        if self.request.start_index < 0:
            text = f"startIndex {self.request.start_index}: expected 0 or more"
            self._report("XDSRegistryError", text, "AdhocQueryRequest/@startIndex", "QUERY.startIndex")

    def _groups(self, parameter: Parameter, slots: list[tuple[str, ...]]) -> Groups:
        name = parameter.name
        if len(slots) > 1 and not parameter.conjunctive:
            text = f"{name} occurs {len(slots)} times; only a parameter with AND semantics may be repeated"
            self._report("XDSStoredQueryParamNumber", text, name, "QUERY.parameter.repeated")
            return ()
        if len(slots) > MAX_GROUPS:
            text = f"{name} occurs {len(slots)} times; at most {MAX_GROUPS} are accepted"
            self._report("XDSRegistryError", text, name, "QUERY.limit.groups")
            return ()
        limit = min(MAX_ALTERNATIVES, self.max_values) if len(slots) > 1 else self.max_values
        groups = []
        for slot in slots:
            values = self._values(parameter, slot)
            if values is None:
                return ()
            if len(values) > limit:
                text = f"{name} has {len(values)} values; at most {limit} are accepted in one Slot"
                self._report("XDSRegistryError", text, name, "QUERY.limit.values")
                return ()
            if values:
                groups.append(values)
        return tuple(groups)

    def _values(self, parameter: Parameter, slot: tuple[str, ...]) -> tuple[Value, ...] | None:
        """All alternatives of one Slot without repetition; None after a problem."""
        name = parameter.name
        if len(slot) > self.max_values:
            text = f"{name} has {len(slot)} rim:Values; at most {self.max_values} are accepted (limits.query_values)"
            self._report("XDSRegistryError", text, name, "QUERY.limit.values")
            return None
        values: dict[Value, None] = {}
        sent = 0
        for text in slot:
            try:
                for item, quoted in query_values.items(text):
                    sent += 1
                    values[query_values.decode(item, quoted=quoted, parameter=parameter)] = None
            except BadCoding as error:
                context = f"{name}: {text[:_SHOWN]!r} is not coded right: {str(error)[:_SHOWN]}"
                self._report("XDSRegistryError", context, name, "QUERY.parameter.coding")
                return None
        if sent > 1 and not parameter.multiple:
            self._report(
                "XDSStoredQueryParamNumber", f"{name} has {sent} values; it takes one", name, "QUERY.parameter.single"
            )
            return None
        return tuple(value for value in values if not parameter.vocabulary or value in parameter.vocabulary)

    def _check_presence(self) -> None:
        troubled = {problem.location for problem in self.problems}
        for name, parameter in self.row.parameters.items():
            if parameter.required and name not in self.parameters and name not in troubled:
                why = "has no value that is known" if name in self._sent else "is missing"
                text = f"{name} {why}; {self.row.name} requires it"
                self._report("XDSStoredQueryMissingParam", text, name, "QUERY.required")
        self._check_choice(troubled)
        any_of = self.row.any_of
        if any_of and not any(name in self.parameters or name in troubled for name in any_of):
            text = f"{self.row.name} requires at least one of {', '.join(any_of)}"
            self._report("XDSStoredQueryMissingParam", text, any_of[0], "QUERY.any-of")
        for pair in self.row.not_both:
            if all(name in self.parameters for name in pair):
                text = f"{pair[0]} and {pair[1]} exclude each other"
                self._report("XDSStoredQueryParamNumber", text, pair[1], "QUERY.not-both")

    def _check_choice(self, troubled: set[str]) -> None:
        one_of = self.row.one_of
        sent = [name for name in one_of if name in self.parameters or name in troubled]
        if one_of and not sent:
            text = f"{self.row.name} requires one of {', '.join(one_of)}"
            self._report("XDSStoredQueryMissingParam", text, one_of[0], "QUERY.one-of.missing")
        elif len(sent) > 1:
            text = f"{' and '.join(sent)}: {self.row.name} takes only one of them"
            self._report("XDSStoredQueryParamNumber", text, sent[1], "QUERY.one-of.several")


def patient_values(request: AdhocQuery, parameter: str) -> tuple[str, ...]:
    """The patient ids that a query names, for the audit record, which also describes queries that are refused."""
    found: dict[str, None] = {}
    for name, values in request.slots:
        if name == parameter:
            for text in values[:MAX_VALUES]:
                try:
                    found.update((item, None) for item, _ in query_values.items(text))
                except BadCoding:
                    found[text[:_SHOWN]] = None
    return tuple(found)


def encode(query: StoredQuery) -> AdhocQuery:
    """The query as a client sends it: lists in parentheses, single values without, values split at 256 characters.

    Raises ValueError for a query or a parameter that the table does not have.
    """
    row = STORED_QUERIES.get(query.query_id)
    if row is None:
        raise ValueError(f"unknown stored query {query.query_id}")
    slots: list[tuple[str, tuple[str, ...]]] = []
    for name, groups in query.parameters.items():
        parameter = row.parameters.get(name)
        if parameter is None:
            raise ValueError(f"{row.name} has no parameter {name}")
        if len(groups) > 1 and not parameter.conjunctive:
            raise ValueError(f"{name} cannot be repeated")
        for values in groups:
            if parameter.multiple:
                slots.append((name, query_values.encode_list(values, parameter)))
            elif len(values) == 1:
                slots.append((name, (query_values.encode(values[0], parameter),)))
            else:
                raise ValueError(f"{name} takes one value")
    return AdhocQuery(
        query_id=query.query_id,
        return_type=query.return_type.value,
        slots=tuple(slots),
        home_community_id=query.home_community_id,
        start_index=query.start_index,
        max_results=query.max_results,
    )
