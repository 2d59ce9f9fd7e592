"""From a stored query to its answer: select, weigh what decides, show what is permitted, keep to the limits.

ITI TF-2: 3.18.4.1.3, 3.51.4.1.3. docs/policy.md section 6: a SubmissionSet or Folder is visible when at least one
DocumentEntry that is its member, of any status and of its own patient, is permitted; one without such a member is
decided on by itself. An Association is visible when both its ends are. What is hidden is left out silently, and with it
what a query reaches only by way of it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from xdsi.domain.audit import ExchangeFacts, QueryFacts
from xdsi.domain.consent import Resource
from xdsi.domain.identifiers import PatientId
from xdsi.domain.outcome import Outcome, Problem, Severity
from xdsi.domain.ports import RegistrySession
from xdsi.domain.stored_query import AdhocQuery, Evidence, FoundObject, QueryAnswer, ReturnType, StoredQuery
from xdsi.rules import stored_query, visibility
from xdsi.spec.stored_queries import STORED_QUERIES, Query

log = logging.getLogger("xdsi.query")

_QUERY = "AdhocQuery"
"""the location of what no parameter alone is the cause of"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPorts:
    """What queries work with."""

    home_community_id: str
    unknown_patient: str = "empty"
    hidden: str = "silent"
    reject_unknown_parameters: bool = False
    max_values: int = stored_query.MAX_VALUES
    """of one parameter"""
    max_leaf_class: int = 10_000
    max_object_refs: int = 100_000

    def limit(self, query: StoredQuery) -> int:
        """How many objects an answer may have."""
        return self.max_leaf_class if query.return_type is ReturnType.LEAF_CLASS else self.max_object_refs


@dataclass(frozen=True, slots=True)
class Selection:
    """What a query found, or why it was not asked."""

    query: StoredQuery | None
    found: tuple[FoundObject, ...] = ()
    problems: tuple[Problem, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)
    resources: tuple[Resource, ...] = ()
    """what is decided on"""


def select(request: AdhocQuery, ports: QueryPorts, session: RegistrySession, queries: Mapping[str, Query]) -> Selection:
    """Check the query, which must be among `queries`, and select; DocumentEntries among the results are decided on.

    A query that could name patients and does not stops where its answer would be too large.
    """
    checked = stored_query.check(
        request,
        queries=queries,
        reject_unknown_parameters=ports.reject_unknown_parameters,
        max_values=ports.max_values,
    )
    if checked.ignored:
        log.info("query %s: unknown parameters ignored: %s", request.query_id, ", ".join(checked.ignored))
    if checked.query is None:
        return Selection(None, problems=checked.problems)
    query = checked.query
    problems = _patient_problems(query, ports, session)
    if problems:
        return Selection(query, problems=problems)
    limit = ports.limit(query)
    if _names_nobody(query):
        query = replace(query, at_most=limit + 1)
    found = tuple(session.find(query))
    if query.at_most and len(found) > limit:
        return Selection(query, problems=(_more_than(limit),))
    return Selection(query, found, resources=tuple([item.resource for item in found if item.resource is not None]))


def weigh(selection: Selection, session: RegistrySession) -> Selection:
    """Add what decides on the results that are no DocumentEntries."""
    if len(selection.resources) == len(selection.found):
        return selection
    evidence = session.evidence(selection.found)
    if not evidence.complete:
        problem = _too_many("the results, with their members, are too many")
        return replace(selection, problems=(problem,), resources=())
    return replace(selection, evidence=evidence, resources=tuple(evidence.resources.values()))


def answer(
    selection: Selection, ports: QueryPorts, session: RegistrySession, permitted: Collection[str] | None
) -> QueryAnswer:
    """Answer with what is permitted; limits, statuses and the single-patient rule are settled before the first byte.

    `permitted` are the ids of what was decided on and permitted, or None where everybody may see everything.
    """
    query = selection.query
    if query is None or selection.problems:
        return QueryAnswer(Outcome.of(selection.problems))
    visible, hidden = _visible(query, selection, permitted)
    page = _page(query, visible)
    problem = _limit(query, page, visible, ports)
    if problem is not None:
        return QueryAnswer(Outcome.of((problem,)))
    problems: tuple[Problem, ...] = ()
    if hidden and ports.hidden == "counted":
        problems = (Problem("XDSRegistryError", f"hidden:{hidden}", severity=Severity.WARNING, rule="QUERY.hidden"),)
    outcome = Outcome.of(problems, delivered=len(page))
    paged = len(visible) if query.max_results >= 0 or query.start_index > 0 else None
    if query.return_type is ReturnType.OBJECT_REF:
        home = ports.home_community_id
        references = tuple((item.id, item.home_community_id or home) for item in page)
        return QueryAnswer(outcome, object_refs=references, total=paged, start_index=query.start_index)
    fragments = session.fragments([item.id for item in page])
    return QueryAnswer(outcome, fragments=fragments, total=paged, start_index=query.start_index)


def describe(request: AdhocQuery, answer: QueryAnswer | None, base: ExchangeFacts) -> ExchangeFacts:
    """What the audit record says: the query as asked, and the patients it names (3.18.5.1, 3.51.5.1)."""
    row = STORED_QUERIES.get(request.query_id)
    patients: tuple[str, ...] = ()
    if row is not None and row.patient_parameter:
        patients = stored_query.patient_values(request, row.patient_parameter)
    return replace(
        base,
        patients=patients,
        query=QueryFacts(id=request.query_id, request=request.raw, home_community_id=request.home_community_id),
        outcome=0 if answer is not None and answer.outcome.accepted else 8,
    )


def _names_nobody(query: StoredQuery) -> bool:
    name = STORED_QUERIES[query.query_id].patient_parameter
    return bool(name) and not query.values(name)


def _patient_problems(query: StoredQuery, ports: QueryPorts, session: RegistrySession) -> tuple[Problem, ...]:
    if ports.unknown_patient != "error":
        return ()
    parameter = STORED_QUERIES[query.query_id].patient_parameter
    return tuple(
        Problem("XDSUnknownPatientId", patient.cx, location=parameter, rule="QUERY.patient.unknown")
        for patient in _patients(query)
        if session.patient_status(patient) != "active"
    )


def _patients(query: StoredQuery) -> tuple[PatientId, ...]:
    name = STORED_QUERIES[query.query_id].patient_parameter
    patients = []
    for value in query.values(name) if name else ():
        try:
            patients.append(PatientId.parse(str(value)))
        except ValueError:
            continue  # an id of another form is the id of nobody here
    return tuple(patients)


def _visible(
    query: StoredQuery, selection: Selection, permitted: Collection[str] | None
) -> tuple[Sequence[FoundObject], int]:
    """What may be shown, and how many DocumentEntries of the results may not."""
    if permitted is None:
        return selection.found, 0
    if not selection.evidence.resources and len(permitted) == len(selection.found):
        return selection.found, 0  # DocumentEntries only, all permitted
    hidden = sum(item.resource is not None and item.id not in permitted for item in selection.found)
    return visibility.visible(query, selection.found, selection.evidence, permitted), hidden


def _limit(
    query: StoredQuery, page: Sequence[FoundObject], visible: Sequence[FoundObject], ports: QueryPorts
) -> Problem | None:
    limit = ports.limit(query)
    if len(page) > limit:
        return _more_than(limit)
    if query.return_type is ReturnType.LEAF_CLASS:
        classes = STORED_QUERIES[query.query_id].single_patient
        persons = {item.patient_key for item in visible if item.kind in classes}
        if len(persons) > 1:
            return Problem(
                "XDSResultNotSinglePatient",
                f"the result would be of {len(persons)} patients; ask for ObjectRef, or for one patient",
                location=_QUERY,
                rule="QUERY.single-patient",
            )
    return None


def _more_than(limit: int) -> Problem:
    return _too_many(f"more than {limit} results; ask for ObjectRef, or narrow the query")


def _too_many(text: str) -> Problem:
    return Problem("XDSTooManyResults", text, location=_QUERY, rule="QUERY.limit")


def _page(query: StoredQuery, visible: Sequence[FoundObject]) -> Sequence[FoundObject]:
    page = visible[max(query.start_index, 0) :]
    return page[: query.max_results] if query.max_results >= 0 else page
