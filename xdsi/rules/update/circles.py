"""Whether Associations that are added would lead in a circle.

ITI TF-3 4.2.2.2 (relationships); Metadata Update 3.57.4.1.3.3 (Submit Association). Asked when everything else is
right, because the way may lead over what the asker may not see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from xdsi.domain.metadata import Association
from xdsi.domain.outcome import Problem
from xdsi.rules.submission.context import name_of, problem
from xdsi.rules.update.codes import UPDATE_ERROR
from xdsi.rules.update.context import Facts
from xdsi.spec import uuids
from xdsi.spec.namespaces import DEPRECATED

_FURTHEST = 1000
"""documents that are looked through"""


def check(facts: Facts, submitted: Sequence[Association]) -> Iterator[Problem]:
    """Relationships lead from one document to another, never back; a circle is told of once."""
    leads: dict[str, set[str]] = {}
    for association in submitted:
        if association.type not in uuids.RELATIONSHIPS or association.source == association.target:
            continue
        leads.setdefault(association.source, set()).add(association.target)
        if association.source in _reached(facts, association.target, leads):
            text = (
                f"{name_of(association.type)} {association.entry_uuid} closes a circle of relationships at"
                f" {association.source}"
            )
            yield problem(UPDATE_ERROR, association, "circle", text)


def _reached(facts: Facts, start: str, leads: Mapping[str, Iterable[str]]) -> set[str]:
    """Where relationships lead from a document, by what is Approved in the registry and by `leads`."""
    found: set[str] = set()
    fresh = {start}
    while fresh and len(found) < _FURTHEST:
        links = facts.associations_of(sorted(fresh))
        ends = {
            link.target
            for link in links
            if link.source in fresh and link.type in uuids.RELATIONSHIPS and link.availability_status != DEPRECATED
        }
        for one in fresh:
            ends.update(leads.get(one, ()))
        fresh = ends - found
        found |= fresh
    return found
