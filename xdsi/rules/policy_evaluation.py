"""Evaluation of policies: targets and combining.

XACML 2.0 core sections 7.5 to 7.14 and appendix C, in the subset of docs/policy.md section 4. One question is mostly
about several documents of one patient, so a policy is first reduced to what still depends on the document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TypeAlias

from xdsi.domain.consent import CHANGING, Effect, Match, Policy, Reference, Rule, Target, Value, Verdict
from xdsi.rules.policy_attributes import PATIENT_ATTRIBUTES
from xdsi.rules.policy_conditions import Request, condition_holds, match_holds
from xdsi.spec import xacml

MAX_REFERENCES = 8
"""how many references deep the library is followed"""
INDETERMINATE_RULE = "indeterminate"
_CHANGES = frozenset[Value](action.value for action in CHANGING)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a policy says, and the policy and rule (empty where none was reached) that said it."""

    verdict: Verdict
    policy: str = ""
    rule: str = ""


Reduced: TypeAlias = Evaluation | Callable[[Request], Evaluation]
"""a policy for one subject, action, patient and time: its evaluation, or how to get it for one document"""
Library: TypeAlias = Mapping[str, Policy]

_Alternatives: TypeAlias = tuple[tuple[Match, ...], ...]
NOT_APPLICABLE = Evaluation(Verdict.NOT_APPLICABLE)


def evaluate(policy: Policy, request: Request, library: Library) -> Evaluation:
    """What `policy` says about `request`, with references taken from `library`."""
    return outcome(reduce(policy, request, library), request)


def outcome(reduced: Reduced, request: Request) -> Evaluation:
    """What a reduced policy says about `request`."""
    return reduced if isinstance(reduced, Evaluation) else reduced(request)


def reduce(policy: Policy, request: Request, library: Library) -> Reduced:
    """`policy` with all worked out that does not depend on the document."""
    return _policy(policy, request, library, (), by_name=False)


# Policies


def _policy(policy: Policy, request: Request, library: Library, chain: tuple[str, ...], *, by_name: bool) -> Reduced:
    by_name = by_name or bool(policy.target.actions)
    applies, alternatives = _reduce_target(policy.target, request)
    if applies is False:
        return NOT_APPLICABLE
    error = Evaluation(Verdict.INDETERMINATE, policy.id, INDETERMINATE_RULE)
    body = error if applies is None else _body(policy, request, library, chain, by_name=by_name)
    if not alternatives or (body is NOT_APPLICABLE and _cannot_fail(alternatives)):
        return body

    def guarded(request: Request) -> Evaluation:
        part = _any_of(alternatives, request.resource, request.zone)
        if part is False:
            return NOT_APPLICABLE
        return outcome(body, request) if part else error

    return guarded


def _body(policy: Policy, request: Request, library: Library, chain: tuple[str, ...], *, by_name: bool) -> Reduced:
    """The combined children of a policy whose target matches; `by_name` where it or one around it names actions."""
    algorithm = xacml.RULE_ALGORITHMS.get(policy.combining)
    if algorithm is not None:
        return _combined_rules(_RULES[algorithm], policy, request, by_name=by_name)
    algorithm = xacml.POLICY_ALGORITHMS.get(policy.combining)
    resolved = _resolve(policy, library, chain)
    if algorithm is None or resolved is None:
        return Evaluation(Verdict.INDETERMINATE, policy.id, INDETERMINATE_RULE)
    combine = _POLICIES[algorithm]
    reduced = [_policy(child, request, library, followed, by_name=by_name) for child, followed in resolved]
    children = [child for child in reduced if child is not NOT_APPLICABLE]
    if all(isinstance(child, Evaluation) for child in children):
        return combine(children, request)
    return lambda request: combine(children, request)


def _resolve(policy: Policy, library: Library, chain: tuple[str, ...]) -> list[tuple[Policy, tuple[str, ...]]] | None:
    """The policies that take part, each with the references followed to it; None where one cannot be had."""
    children: list[tuple[Policy, tuple[str, ...]]] = []
    for child in policy.children:
        if isinstance(child, Policy):
            children.append((child, chain))
        elif isinstance(child, Reference):
            found = library.get(child.id)
            if found is None or child.id in chain or len(chain) >= MAX_REFERENCES:
                return None
            children.append((found, (*chain, child.id)))
        else:
            return None
    return children


def _deny_overrides(children: Sequence[Reduced], request: Request) -> Evaluation:
    """An error counts as Deny (XACML 2.0 C.1)."""
    permit: Evaluation | None = None
    for child in children:
        evaluation = outcome(child, request)
        if evaluation.verdict is Verdict.DENY:
            return evaluation
        if evaluation.verdict is Verdict.INDETERMINATE:
            return Evaluation(Verdict.DENY, evaluation.policy, evaluation.rule)
        if evaluation.verdict is Verdict.PERMIT and permit is None:
            permit = evaluation
    return permit or NOT_APPLICABLE


def _permit_overrides(children: Sequence[Reduced], request: Request) -> Evaluation:
    deny: Evaluation | None = None
    error: Evaluation | None = None
    for child in children:
        evaluation = outcome(child, request)
        if evaluation.verdict is Verdict.PERMIT:
            return evaluation
        if evaluation.verdict is Verdict.DENY and deny is None:
            deny = evaluation
        elif evaluation.verdict is Verdict.INDETERMINATE and error is None:
            error = evaluation
    return deny or error or NOT_APPLICABLE


def _first_applicable(children: Sequence[Reduced], request: Request) -> Evaluation:
    for child in children:
        evaluation = outcome(child, request)
        if evaluation.verdict is not Verdict.NOT_APPLICABLE:
            return evaluation
    return NOT_APPLICABLE


_POLICIES: dict[str, Callable[[Sequence[Reduced], Request], Evaluation]] = {
    "deny-overrides": _deny_overrides,
    "permit-overrides": _permit_overrides,
    "first-applicable": _first_applicable,
}


# Rules


@dataclass(frozen=True, slots=True)
class _ReducedRule:
    rule: Rule
    applies: bool | None
    """what the target says apart from `alternatives`"""
    alternatives: _Alternatives

    def known(self) -> bool:
        """True when the document does not matter."""
        return not self.alternatives and (self.rule.condition is None or self.applies is None)

    def verdict(self, request: Request) -> Verdict:
        """Permit, Deny, NotApplicable or Indeterminate (XACML 2.0 section 7.8)."""
        rule = self.rule
        applies = self.applies
        if self.alternatives:
            part = _any_of(self.alternatives, request.resource, request.zone)
            if part is False:
                return Verdict.NOT_APPLICABLE
            applies = applies and part
        if applies and rule.condition is not None:
            applies = condition_holds(rule.condition, request)
        if applies is None:
            return Verdict.INDETERMINATE
        if not applies:
            return Verdict.NOT_APPLICABLE
        return Verdict.PERMIT if rule.effect is Effect.PERMIT else Verdict.DENY


_CombineRules: TypeAlias = Callable[[str, Sequence[_ReducedRule], Request], Evaluation]


def _combined_rules(combine: _CombineRules, policy: Policy, request: Request, *, by_name: bool) -> Reduced:
    rules: list[_ReducedRule] = []
    # A permit that was written for reading must not open a record to changes.
    named_only = not by_name and not _CHANGES.isdisjoint(request.action[xacml.ACTION_ID])
    for rule in policy.children:
        if not isinstance(rule, Rule):
            return Evaluation(Verdict.INDETERMINATE, policy.id, INDETERMINATE_RULE)
        if named_only and rule.effect is Effect.PERMIT and not rule.target.actions:
            continue
        applies, alternatives = _reduce_target(rule.target, request)
        if applies is not False:
            rules.append(_ReducedRule(rule, applies, alternatives))
    if all(rule.known() for rule in rules):
        return combine(policy.id, rules, request)
    return lambda request: combine(policy.id, rules, request)


def _overriding(winner: Verdict) -> _CombineRules:
    """Deny-overrides or permit-overrides of rules: the same with the roles exchanged (XACML 2.0 C.1, C.3)."""
    loser = Verdict.PERMIT if winner is Verdict.DENY else Verdict.DENY

    def combine(policy_id: str, rules: Sequence[_ReducedRule], request: Request) -> Evaluation:
        losing: Rule | None = None
        error = winner_error = False
        for reduced in rules:
            verdict = reduced.verdict(request)
            if verdict is winner:
                return Evaluation(winner, policy_id, reduced.rule.id)
            if verdict is loser:
                losing = losing or reduced.rule
            elif verdict is Verdict.INDETERMINATE:
                error = True
                winner_error = winner_error or reduced.rule.effect.value == winner.value
        if winner_error or (error and losing is None):
            return Evaluation(Verdict.INDETERMINATE, policy_id, INDETERMINATE_RULE)
        return NOT_APPLICABLE if losing is None else Evaluation(loser, policy_id, losing.id)

    return combine


def _first_rule(policy_id: str, rules: Sequence[_ReducedRule], request: Request) -> Evaluation:
    for reduced in rules:
        verdict = reduced.verdict(request)
        if verdict is not Verdict.NOT_APPLICABLE:
            name = INDETERMINATE_RULE if verdict is Verdict.INDETERMINATE else reduced.rule.id
            return Evaluation(verdict, policy_id, name)
    return NOT_APPLICABLE


_RULES: dict[str, _CombineRules] = {
    "deny-overrides": _overriding(Verdict.DENY),
    "permit-overrides": _overriding(Verdict.PERMIT),
    "first-applicable": _first_rule,
}


# Targets: True, False, or None for an error


def _reduce_target(target: Target, request: Request) -> tuple[bool | None, _Alternatives]:
    """What the target says whatever the document, and the alternatives of its Resources that are still open (AND)."""
    result: bool | None = True
    for alternatives, attributes in (
        (target.subjects, request.subject),
        (target.actions, request.action),
        (target.environments, request.environment),
    ):
        if alternatives:
            part = _any_of(alternatives, attributes, request.zone)
            if part is False:
                return False, ()
            if part is None:
                result = None
    if not target.resources:
        return result, ()
    still_open: list[tuple[Match, ...]] = []
    for conjunction in target.resources:
        rest: list[Match] = []
        for match in conjunction:
            known = (
                match_holds(match, request.resource, request.zone) if match.attribute in PATIENT_ATTRIBUTES else None
            )
            if known is False:
                break
            if known is None:
                rest.append(match)
        else:
            if not rest:
                return result, ()
            still_open.append(tuple(rest))
    return (result, tuple(still_open)) if still_open else (False, ())


def _cannot_fail(alternatives: _Alternatives) -> bool:
    return all(m.function in xacml.EQUALITIES and not m.must_be_present for matches in alternatives for m in matches)


def _any_of(alternatives: _Alternatives, attributes: Mapping[str, tuple[Value, ...]], zone: tzinfo) -> bool | None:
    error = False
    for conjunction in alternatives:
        whole: bool | None = True
        for match in conjunction:
            one = match_holds(match, attributes, zone)
            if one is False:
                whole = False
                break
            if one is None:
                whole = None
        if whole:
            return True
        error = error or whole is None
    return None if error else False
