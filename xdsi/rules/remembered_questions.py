"""What all policies say to one person about one patient, kept until a consent begins or ends (docs/decisions/0016).

Everything that it follows from is part of what it is found by: persons, consents and the domain's policy by identity,
for they never change, the action and the patient as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Generic, TypeAlias, TypeVar

from xdsi.domain.consent import Action, Attributes, Consent, DomainPolicy
from xdsi.domain.identifiers import PatientId
from xdsi.rules.policy_needs import needs_of, needs_of_domain

MOST: Final = 1024
_BEGINNING, _END = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))

Q = TypeVar("Q")
Ask: TypeAlias = Callable[[Attributes, Action, Collection[PatientId], Sequence[Consent], DomainPolicy, datetime], Q]


@dataclass(frozen=True, slots=True)
class _Kept(Generic[Q]):
    question: Q
    inputs: tuple[object, ...]
    """so that no other objects have their identity"""
    since: datetime
    until: datetime
    """between these no consent begins or ends"""


class RememberedQuestions(Generic[Q]):
    """A pure function of who asks, for what, of whom, by which consents and policies, and when."""

    def __init__(self, ask: Ask[Q]) -> None:
        self._ask = ask
        self._kept: dict[tuple[object, ...], _Kept[Q]] = {}

    def __call__(
        self,
        who: Attributes,
        action: Action,
        person: Collection[PatientId],
        consents: Sequence[Consent],
        domain: DomainPolicy,
        now: datetime,
    ) -> Q:
        """The value for exactly these, at this time."""
        key = (id(who), id(domain), action, frozenset(person), *map(id, consents))
        kept = self._kept.get(key)
        if kept is not None and kept.since <= now < kept.until:
            return kept.question
        question = self._ask(who, action, person, consents, domain, now)
        if _lasts(who, consents, domain):
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[key] = _Kept(question, (who, domain, *consents), *_meanwhile(consents, now))
        return question


def _lasts(who: Attributes, consents: Sequence[Consent], domain: DomainPolicy) -> bool:
    """Whether it depends on the time by nothing but the windows of consents, and its inputs are kept elsewhere, too."""
    if not isinstance(who, MappingProxyType) or needs_of_domain(domain).time:
        return False
    needs = [needs_of(consent.policy) for consent in consents]
    return not any(one.time or one.large for one in needs)


def _meanwhile(consents: Sequence[Consent], now: datetime) -> tuple[datetime, datetime]:
    """The last time before and the first one after now at which one of the consents begins or ends."""
    ends = [end for consent in consents for end in (consent.valid_from, consent.valid_until) if end is not None]
    return (
        max((end for end in ends if end <= now), default=_BEGINNING),
        min((end for end in ends if end > now), default=_END),
    )
