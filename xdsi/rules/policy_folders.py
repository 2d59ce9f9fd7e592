"""Whether a policy asks for the folders of a document: they are read only when one does.

APPC 5.6 (related-folder); docs/policy.md section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xdsi.domain.consent import Apply, Designator, DomainPolicy, Expression, Match, Policy, Rule, Target
from xdsi.rules.by_identity import ByIdentity
from xdsi.spec import xacml

_FOLDER = frozenset({xacml.FOLDER_ID, xacml.FOLDER_CODE})


def asks_for_folders(policies: Iterable[Policy], domain: DomainPolicy) -> bool:
    """True when one of these policies, or one of the domain's, compares a folder attribute."""
    return any(map(_asks, (*policies, *domain.floor, *domain.organizations, *domain.referable.values())))


def _attributes(policy: Policy) -> Iterator[str]:
    yield from _of_target(policy.target)
    for child in policy.children:
        if isinstance(child, Policy):
            yield from _attributes(child)
        elif isinstance(child, Rule):
            yield from _of_target(child.target)
            if child.condition is not None:
                yield from _of_expression(child.condition)


def _of_target(target: Target) -> Iterator[str]:
    matches: Iterable[Match] = (match for alternative in target.resources for match in alternative)
    yield from (match.attribute for match in matches)


def _of_expression(expression: Expression) -> Iterator[str]:
    if isinstance(expression, Designator):
        yield expression.attribute
    elif isinstance(expression, Apply):
        for argument in expression.arguments:
            yield from _of_expression(argument)


_asks = ByIdentity[Policy, bool](lambda policy: not _FOLDER.isdisjoint(_attributes(policy)))
