"""Whether Associations that are added, or approved again, would lead in a circle.

ITI TF-3 4.2.2.2 (relationships); Metadata Update 3.57.4.1.3.3 (Submit Association). Asked when everything else is
right, because the way may lead over what the asker may not see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from xdsi.domain.metadata import Association
from xdsi.domain.outcome import Problem
from xdsi.rules.submission.context import name_of, problem
from xdsi.rules.update.codes import UPDATE_ERROR
from xdsi.rules.update.context import Facts
from xdsi.rules.update.plan import Plan
from xdsi.spec import uuids
from xdsi.spec.namespaces import DEPRECATED

MOST: Final = 10_000
"""registered relationships that are followed"""


def check(facts: Facts, plan: Plan) -> Iterator[Problem]:
    """Relationships lead from one document to another, never back, as they will be after the update.

    One question to the registry, however far they lead. What follows a document to its new version closes no circle
    that was not there; such a one hinders nobody who corrects the document.
    """
    added = [(one, reason) for one, reason in plan.connected if one.type in uuids.RELATIONSHIPS]
    asked = [(one, reason) for one, reason in added if isinstance(reason, Association)]
    if not asked:
        return
    registered = facts.relationships_from(list(dict.fromkeys(one.target for one, _ in added)), MOST + 1)
    if len(registered) > MOST:
        association, reason = asked[0]
        text = f"more than {MOST} relationships lead on from {association.target} and others; none may lead back"
        yield problem(UPDATE_ERROR, reason, "circle.far", text)
        return
    ended = {one.entry_uuid for one in plan.registration.statuses if one.new == DEPRECATED}
    ends = [(one.source, one.target) for one in registered if one.id not in ended]
    ends += [(one.source, one.target) for one, _ in added]
    leads: dict[str, list[str]] = {}
    for source, target in ends:
        leads.setdefault(source, []).append(target)
    circles = _circles(leads)
    for association, reason in asked:
        if circles[association.source] == circles[association.target]:
            # As the request has it, with its ids, unless it only names what is registered.
            told = reason if reason.type == association.type else association
            text = f"{name_of(told.type)} {told.entry_uuid} closes a circle of relationships at {told.source}"
            yield problem(UPDATE_ERROR, reason, "circle", text)


def _circles(leads: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """For each document a number: the same one for those that lead to each other (Kosaraju; each link twice)."""
    order: list[str] = []
    seen: set[str] = set()
    for start in leads:
        if start in seen:
            continue
        seen.add(start)
        ways = [(start, iter(leads[start]))]
        while ways:
            here, remaining = ways[-1]
            step = next((one for one in remaining if one not in seen), None)
            if step is None:
                order.append(here)
                ways.pop()
            else:
                seen.add(step)
                ways.append((step, iter(leads.get(step, ()))))
    backwards: dict[str, list[str]] = {}
    for source, targets in leads.items():
        for target in targets:
            backwards.setdefault(target, []).append(source)
    found: dict[str, int] = {}
    for number, start in enumerate(reversed(order)):
        fresh = [] if start in found else [start]
        while fresh:
            here = fresh.pop()
            if here not in found:
                found[here] = number
                fresh.extend(backwards.get(here, ()))
    return found
