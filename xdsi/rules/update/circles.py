"""Whether Associations that are added would lead in a circle.

ITI TF-3 4.2.2.2 (relationships); Metadata Update 3.57.4.1.3.3 (Submit Association). Asked when everything else is
right, because the way may lead over what the asker may not see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from xdsi.domain.metadata import Association
from xdsi.domain.outcome import Problem
from xdsi.rules.submission.context import name_of, problem
from xdsi.rules.update.codes import UPDATE_ERROR
from xdsi.rules.update.context import Facts
from xdsi.spec import uuids

MOST: Final = 10_000
"""registered relationships that are followed"""


def check(facts: Facts, submitted: Sequence[Association]) -> Iterator[Problem]:
    """Relationships lead from one document to another, never back. One question to the registry, however far."""
    added = [one for one in submitted if one.type in uuids.RELATIONSHIPS]
    if not added:
        return
    registered = facts.relationships_from(list(dict.fromkeys(one.target for one in added)), MOST + 1)
    if len(registered) > MOST:
        text = f"more than {MOST} relationships lead on from {added[0].target} and others; none may lead back"
        yield problem(UPDATE_ERROR, added[0], "circle.far", text)
        return
    leads: dict[str, list[str]] = {}
    ends = [(one.source, one.target) for one in registered]
    ends += [(one.source, one.target) for one in added]
    for source, target in ends:
        leads.setdefault(source, []).append(target)
    circles = _circles(leads)
    for association in added:
        if association.source in circles and circles[association.source] == circles.get(association.target):
            text = (
                f"{name_of(association.type)} {association.entry_uuid} closes a circle of relationships at"
                f" {association.source}"
            )
            yield problem(UPDATE_ERROR, association, "circle", text)


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
