"""Every id that a submission refers to must be found, in the request or in the registry, and be of the right class.

ITI TF-2 3.42.4.1.3.3.2, 3.42.4.1.3.5; ITI TF-3 4.2.2.2 (relationships).
"""

from __future__ import annotations

from collections.abc import Iterator

from xdsi.domain.metadata import Association, DocumentEntry, SubmissionSet
from xdsi.domain.outcome import Problem
from xdsi.rules.submission.context import Context, name_of, problem
from xdsi.rules.submission.structure import METADATA_ERROR
from xdsi.spec import uuids

UNRESOLVED = "UnresolvedReferenceException"
# A relationship whose target can only be what is registered already; the others may join two new documents.
_TO_REGISTERED = frozenset({uuids.RPLC, uuids.XFRM_RPLC, uuids.IS_SNAPSHOT_OF})


def check(context: Context) -> Iterator[Problem]:
    """References, new ids, and circles among new documents."""
    for one in context.submission.objects:
        if one.entry_uuid in context.registered:
            text = f"an object with the id {one.entry_uuid} is registered already; a new object needs a new UUID"
            yield problem(METADATA_ERROR, one, "entryUUID.registered", text)
    for association in context.submission.associations:
        if association.type in uuids.RELATIONSHIPS:
            yield from _check_relationship(context, association)
        else:
            yield from _check_membership(context, association)
    yield from _check_circles(context)


def _unresolved(association: Association, end: str, id_: str, where: str) -> Problem:
    text = f"{id_}, the {end} of {name_of(association.type)} {association.entry_uuid}, is not {where}"
    return problem(UNRESOLVED, association, f"{end}.unresolved", text)


def _check_relationship(context: Context, association: Association) -> Iterator[Problem]:
    source, target = association.source, association.target
    if source and not isinstance(context.own.get(source), DocumentEntry):
        yield _unresolved(association, "sourceObject", source, "a DocumentEntry of this submission")
    if not target:
        return
    known = context.registered if association.type in _TO_REGISTERED else {**context.registered, **context.own}
    found = known.get(target)
    if found is None:
        where = "in the registry" if association.type in _TO_REGISTERED else "in the registry or this submission"
        yield _unresolved(association, "targetObject", target, where)
    elif not isinstance(found, DocumentEntry):
        text = (
            f"{target}, the targetObject of {name_of(association.type)} {association.entry_uuid}, is a"
            f" {type(found).__name__}; expected a DocumentEntry"
        )
        yield problem(METADATA_ERROR, association, "target.kind", text)


def _check_membership(context: Context, association: Association) -> Iterator[Problem]:
    for end, id_ in (("sourceObject", association.source), ("targetObject", association.target)):
        if id_ and context.find(id_) is None:
            yield _unresolved(association, end, id_, "in the registry or this submission")
        elif isinstance(context.registered.get(id_), SubmissionSet) and id_ not in context.own:
            text = f"{association.entry_uuid} names the registered SubmissionSet {id_}, which is closed"
            yield problem(METADATA_ERROR, association, "set.closed", text)


def _check_circles(context: Context) -> Iterator[Problem]:
    """Relationships among the documents of one request must lead from one to another, never back."""
    leads: dict[str, list[Association]] = {}
    for one in context.relationships():
        if one.source != one.target and one.source in context.own and one.target in context.own:
            leads.setdefault(one.source, []).append(one)
    done: set[str] = set()
    for start in leads:
        path: set[str] = set()
        steps: list[tuple[str, Iterator[Association]]] = []
        if start not in done:
            path.add(start)
            steps.append((start, iter(leads[start])))
        while steps:
            here, remaining = steps[-1]
            step = next(remaining, None)
            if step is None:
                steps.pop()
                path.discard(here)
                done.add(here)
            elif step.target in path:
                text = f"{name_of(step.type)} {step.entry_uuid} closes a circle of relationships at {step.target}"
                yield problem(METADATA_ERROR, step, "circle", text)
            elif step.target not in done and step.target in leads:
                path.add(step.target)
                steps.append((step.target, iter(leads[step.target])))
