"""ITI-18 Registry Stored Query: a consumer finds what the registry holds, as far as consent lets it.

ITI TF-2: 3.18. What is hidden is left out silently, with the associations that would betray it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsi.domain.audit import ExchangeFacts, QueryFacts
from xdsi.domain.consent import Action
from xdsi.domain.identifiers import PatientId
from xdsi.domain.metadata import Association
from xdsi.domain.outcome import Outcome, Problem, Severity
from xdsi.domain.ports import RegistrySession
from xdsi.domain.stored_query import (
    AdhocQuery,
    FoundObject,
    ObjectKind,
    QueryAnswer,
    ReturnType,
    StoredQuery,
)
from xdsi.exchange import Call, Codec, Located, Transaction
from xdsi.rules import stored_query as rules
from xdsi.spec import uuids
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
    beside: tuple[FoundObject, ...] = ()
    """what the results speak of and are not"""


def locate(request: AdhocQuery, ports: QueryPorts, session: RegistrySession) -> Located:
    """Check the query and select; consent decides on the DocumentEntries among the results or named by them."""
    checked = rules.check(request, reject_unknown_parameters=ports.reject_unknown_parameters)
    if checked.ignored:
        log.info("query %s: unknown parameters ignored: %s", request.query_id, ", ".join(checked.ignored))
    if checked.query is None:
        return Located(state=_Selection(None, problems=checked.problems))
    problems = _patient_problems(checked.query, ports, session)
    if problems:
        return Located(state=_Selection(checked.query, problems=problems))
    found = tuple(session.find(checked.query))
    beside = _beside(checked.query, found, session)
    resources = tuple(item.resource for item in (*found, *beside) if item.resource is not None)
    return Located(resources, _Selection(checked.query, found, beside=beside))


def _beside(query: StoredQuery, found: Sequence[FoundObject], session: RegistrySession) -> tuple[FoundObject, ...]:
    """The DocumentEntries that an answer would tell of without containing them, and what leads to them."""
    if query.query_id == uuids.GET_FOLDERS_FOR_DOCUMENT:
        return tuple(session.find(replace(query, query_id=uuids.GET_DOCUMENTS)))
    known = {item.id for item in found}
    beside: list[FoundObject] = []
    fresh = [item for item in found if item.kind is ObjectKind.ASSOCIATION]
    while ends := dict.fromkeys(end for item in fresh for end in (item.source, item.target) if end not in known):
        known.update(ends)
        named = StoredQuery(
            uuids.GET_DOCUMENTS,
            ReturnType.OBJECT_REF,
            {"$XDSDocumentEntryEntryUUID": (tuple(ends),), "$MetadataLevel": (("2",),)},
        )
        entries = session.find(named)
        beside.extend(entries)
        others = session.objects([end for end in ends if end not in {entry.id for entry in entries}])
        # A SubmissionSet may have an association to an association between a Folder and an entry.
        fresh = [
            FoundObject(id=one.entry_uuid, kind=ObjectKind.ASSOCIATION, source=one.source, target=one.target)
            for one in others.values()
            if isinstance(one, Association)
        ]
        beside.extend(fresh)
    return tuple(beside)


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
    visible, hidden = _visible(selection, [decision.permit for decision in call.decisions])
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


def _visible(selection: _Selection, permits: Sequence[bool]) -> tuple[list[FoundObject], int]:
    """What may be shown, and how many entries may not.

    An Association goes when an end of it is a hidden entry. A SubmissionSet or Folder that was selected beside hidden
    entries stays, because it names none of them; one that was selected because of a hidden entry goes.
    """
    assert selection.query is not None
    found, everything = selection.found, (*selection.found, *selection.beside)
    permitted = iter(permits)
    hidden = {item.id for item in everything if item.resource is not None and not next(permitted)}
    if not hidden:
        return list(found), 0
    dropped = set(hidden)
    # An association between a SubmissionSet and an association with a hidden end goes too.
    while betraying := {
        item.id
        for item in everything
        if item.kind is ObjectKind.ASSOCIATION
        and item.id not in dropped
        and (item.source in dropped or item.target in dropped)
    }:
        dropped |= betraying
    if selection.query.query_id == uuids.GET_FOLDERS_FOR_DOCUMENT:
        dropped.update(item.id for item in found)
    elif selection.query.query_id == uuids.GET_SUBMISSION_SETS:
        links = [item for item in found if item.kind is ObjectKind.ASSOCIATION]
        kept = {link.source for link in links if link.id not in dropped}
        dropped.update(link.source for link in links if link.source not in kept)
    return [item for item in found if item.id not in dropped], len(hidden)


def _limit(
    checked: StoredQuery, page: Sequence[FoundObject], visible: Sequence[FoundObject], ports: QueryPorts
) -> Problem | None:
    leaf = checked.return_type is ReturnType.LEAF_CLASS
    limit = ports.max_leaf_class if leaf else ports.max_object_refs
    if len(page) > limit:
        return Problem(
            "XDSTooManyResults",
            f"more than {limit} results; ask for ObjectRef, or narrow the query",
            rule="QUERY.limit",
        )
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


def _page(checked: StoredQuery, visible: list[FoundObject]) -> list[FoundObject]:
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
    handle=handle,
    refuse=refuse,
    facts=facts,
    action=Action.QUERY,
    unavailable_code="XDSRegistryBusy",
)

