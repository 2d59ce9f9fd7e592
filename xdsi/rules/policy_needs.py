"""What policies look at beside the subject and the document's own metadata: folders, and what time it is.

Folders are read only where a policy asks for them (APPC 5.6, related-folder), and what policies say is worked out anew
for each question where they look at the time; docs/policy.md section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from xdsi.domain.consent import (
    Apply,
    Designator,
    DomainPolicy,
    Expression,
    Match,
    Policy,
    Reference,
    Rule,
    Section,
)
from xdsi.rules.by_identity import ByIdentity
from xdsi.spec import xacml

_FOLDER: Final = frozenset({xacml.FOLDER_ID, xacml.FOLDER_CODE})
_LARGE: Final = 8 * 1024
"""characters of a policy, about: what follows from a larger one is not kept. Less than storage keeps of one, so that
nothing is remembered of what is made anew each time"""
_PART: Final = 32
"""characters that a part counts for besides its texts"""


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be known to evaluate a policy."""

    folders: bool = False
    time: bool = False
    large: bool = False
    """too large to keep what follows from it"""


def needs_of(policy: Policy) -> Needs:
    """Of one policy, without the policies it refers to."""
    return _of_policy(policy)


def needs_of_domain(domain: DomainPolicy) -> Needs:
    """Of all policies of a domain, those that consents may refer to included."""
    return _of_domain(domain)


def _read(policy: Policy) -> Needs:
    parts = list(_parts(policy))
    return Needs(
        folders=any(isinstance(part, Match | Designator) and part.attribute in _FOLDER for part in parts),
        time=any(isinstance(part, Designator) and part.section is Section.ENVIRONMENT for part in parts)
        or any(isinstance(part, Policy | Rule) and part.target.environments for part in parts),
        large=sum(map(_size, parts)) > _LARGE,
    )


_Part: TypeAlias = Policy | Rule | Reference | Match | Expression


def _size(part: _Part) -> int:
    # Values may be codes and identifiers, too, each with texts of any length.
    texts = [getattr(part, name, "") for name in ("id", "attribute", "value")]
    return _PART + sum([len(text) if isinstance(text, str) else len(repr(text)) for text in texts])


def _parts(of: Policy | Rule | Reference) -> Iterator[_Part]:
    yield of
    if isinstance(of, Reference):
        return
    target = of.target
    for section in (target.subjects, target.resources, target.actions, target.environments):
        for alternative in section:
            yield from alternative
    if isinstance(of, Rule):
        if of.condition is not None:
            yield from _expressions(of.condition)
        return
    for child in of.children:
        yield from _parts(child)


def _expressions(expression: Expression) -> Iterator[Expression]:
    yield expression
    if isinstance(expression, Apply):
        for argument in expression.arguments:
            yield from _expressions(argument)


def _together(policies: Iterable[Policy]) -> Needs:
    found = [needs_of(policy) for policy in policies]
    # A domain's policies are kept for as long as it is.
    return Needs(folders=any(one.folders for one in found), time=any(one.time for one in found))


_of_policy = ByIdentity[Policy, Needs](_read, lasting=lambda needs: not needs.large)
_of_domain = ByIdentity[DomainPolicy, Needs](
    lambda domain: _together((*domain.floor, *domain.organizations, *domain.referable.values()))
)
