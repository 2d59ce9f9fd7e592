"""ITI-18 Registry Stored Query: a consumer finds what the registry holds, as far as consent lets it.

ITI TF-2: 3.18. docs/policy.md section 6: a SubmissionSet or Folder is visible when at least one DocumentEntry that is
its member, of any status and of its own patient, is permitted; one without such a member is decided on by itself. An
Association is visible when both its ends are. What is hidden is left out silently, and with it what a query reaches
only by way of it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from xdsi.domain.audit import ExchangeFacts, QueryFacts
from xdsi.domain.consent import Action
from xdsi.domain.identifiers import PatientId
from xdsi.domain.outcome import Outcome, Problem, Severity
from xdsi.domain.ports import RegistrySession
from xdsi.domain.stored_query import (
    AdhocQuery,
    Evidence,
    FoundObject,
    QueryAnswer,
    ReturnType,
    StoredQuery,
)
from xdsi.exchange import Call, Codec, Located, Transaction
from xdsi.rules import stored_query as rules
from xdsi.rules import visibility
from xdsi.spec.stored_queries import STORED_QUERIES
from xdsi.wire.ebxml import query

log = logging.getLogger("xdsi.iti18")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPorts:
    """What queries work with."""

    home_community_id: str
    unknown_patient: str = "empty"
    hidden: str = "silent"
    reject_unknown_parameters: bool = False
    max_leaf_class: int = 10_000
    max_object_refs: int = 100_000


@dataclass(frozen=True, slots=True)
class _Selection:
    query: StoredQuery | None
    found: tuple[FoundObject, ...] = ()
    problems: tuple[Problem, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)


def locate(request: AdhocQuery, ports: QueryPorts, session: RegistrySession) -> Located:
    """Check the query and select; consent decides on the DocumentEntries among the results."""
    checked = rules.check(request, reject_unknown_parameters=ports.reject_unknown_parameters)
    if checked.ignored:
        log.info("query %s: unknown parameters ignored: %s", request.query_id, ", ".join(checked.ignored))
    if checked.query is None:
        return Located(state=_Selection(None, problems=checked.problems))
    problems = _patient_problems(checked.query, ports, session)
    if problems:
        return Located(state=_Selection(checked.query, problems=problems))
    found = tuple(session.find(checked.query))
    resources = tuple(item.resource for item in found if item.resource is not None)
    return Located(resources, _Selection(checked.query, found))


def weigh(located: Located, ports: QueryPorts, session: RegistrySession) -> Located:
    """Add what decides on the results that are no DocumentEntries."""
    selection: _Selection = located.state
    if len(located.resources) == len(selection.found):
        return located
    evidence = session.evidence(selection.found)
    if not evidence.complete:
        return Located(state=replace(selection, problems=(_too_many("the results, with their members, are too many"),)))
    return Located(tuple(evidence.resources.values()), replace(selection, evidence=evidence))


def _patient_problems(checked: StoredQuery, ports: QueryPorts, session: RegistrySession) -> tuple[Problem, ...]:
    if ports.unknown_patient != "error":
        return ()
    problems = []
    for patient in _patients(checked):
        if session.patient_status(patient) != "active":
            problems.append(Problem("XDSUnknownPatientId", patient.cx, rule="QUERY.patient.unknown"))
    return tuple(problems)


def _patients(checked: StoredQuery) -> tuple[PatientId, ...]:
    name = STORED_QUERIES[checked.query_id].patient_parameter
    patients = []
    for value in checked.values(name) if name else ():
        try:
            patients.append(PatientId.parse(str(value)))
        except ValueError:
            continue  # an id of another form is the id of nobody here
    return tuple(patients)


def handle(call: Call[AdhocQuery]) -> QueryAnswer:
    """Answer with what is permitted; limits, statuses and the single-patient rule are settled before the first byte."""
    ports: QueryPorts = call.ports
    selection: _Selection = call.located.state
    if selection.query is None or selection.problems:
        return QueryAnswer(Outcome.of(selection.problems))
    visible, hidden = _visible(selection, call)
    page = _page(selection.query, visible)
    problem = _limit(selection.query, page, visible, ports)
    if problem is not None:
        return QueryAnswer(Outcome.of((problem,)))
    problems: tuple[Problem, ...] = ()
    if hidden and ports.hidden == "counted":
        problems = (Problem("XDSRegistryError", f"hidden:{hidden}", severity=Severity.WARNING, rule="QUERY.hidden"),)
    outcome = Outcome.of(problems, delivered=len(page))
    paged = len(visible) if selection.query.max_results >= 0 or selection.query.start_index > 0 else None
    if selection.query.return_type is ReturnType.OBJECT_REF:
        home = ports.home_community_id
        return QueryAnswer(
            outcome, object_refs=tuple((item.id, item.home_community_id or home) for item in page), total=paged
        )
    return QueryAnswer(outcome, fragments=call.session.fragments([item.id for item in page]), total=paged)


def _visible(selection: _Selection, call: Call[AdhocQuery]) -> tuple[Sequence[FoundObject], int]:
    """What may be shown, and how many DocumentEntries of the results may not."""
    if call.unrestricted:
        return selection.found, 0
    assert selection.query is not None
    decided = zip(call.located.resources, call.decisions, strict=True)
    permitted = {resource.entry_uuid for resource, decision in decided if decision.permit}
    hidden = sum(item.resource is not None and item.id not in permitted for item in selection.found)
    return visibility.visible(selection.query, selection.found, selection.evidence, permitted), hidden


def _limit(
    checked: StoredQuery, page: Sequence[FoundObject], visible: Sequence[FoundObject], ports: QueryPorts
) -> Problem | None:
    leaf = checked.return_type is ReturnType.LEAF_CLASS
    limit = ports.max_leaf_class if leaf else ports.max_object_refs
    if len(page) > limit:
        return _too_many(f"more than {limit} results; ask for ObjectRef, or narrow the query")
    if leaf:
        classes = STORED_QUERIES[checked.query_id].single_patient
        persons = {item.patient_key for item in visible if item.kind in classes}
        if len(persons) > 1:
            return Problem(
                "XDSResultNotSinglePatient",
                f"the result would be of {len(persons)} patients; ask for ObjectRef, or for one patient",
                rule="QUERY.single-patient",
            )
    return None


def _too_many(text: str) -> Problem:
    return Problem("XDSTooManyResults", text, rule="QUERY.limit")


def _page(checked: StoredQuery, visible: Sequence[FoundObject]) -> Sequence[FoundObject]:
    page = visible[max(checked.start_index, 0) :]
    return page[: checked.max_results] if checked.max_results >= 0 else page


def refuse(request: AdhocQuery | None, problems: Sequence[Problem]) -> QueryAnswer:
    """No results."""
    return QueryAnswer(Outcome.of(problems))


def facts(request: AdhocQuery, answer: QueryAnswer | None, base: ExchangeFacts) -> ExchangeFacts:
    """The query as asked, and the patient it names (3.18.5.1)."""
    row = STORED_QUERIES.get(request.query_id)
    patients: tuple[str, ...] = ()
    if row is not None and row.patient_parameter:
        patients = rules.patient_values(request, row.patient_parameter)
    return replace(
        base,
        patients=patients,
        query=QueryFacts(
            id=request.query_id, request=request.raw, home_community_id=request.home_community_id
        ),
        outcome=0 if answer is not None and answer.outcome.accepted else 8,
    )


TRANSACTION = Transaction(
    number="ITI-18",
    name="Registry Stored Query",
    trigger="urn:ihe:iti:2007:RegistryStoredQuery",
    reply="urn:ihe:iti:2007:RegistryStoredQueryResponse",
    request=Codec(query.decode_request, query.encode_request),
    response=Codec(query.decode_answer, query.encode_answer),
    locate=locate,
    weigh=weigh,
    handle=handle,
    refuse=refuse,
    facts=facts,
    action=Action.QUERY,
    unavailable_code="XDSRegistryBusy",
)

