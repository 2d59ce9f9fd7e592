"""Evaluation of one policy for one request: targets and combining.

XACML 2.0 core sections 7.5 to 7.14 and appendix C, in the subset of docs/policy.md section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from xdsi.domain.consent import Effect, Match, Policy, Reference, Rule, Target, Value, Verdict
from xdsi.rules.policy_conditions import Request, condition_holds, match_holds
from xdsi.spec import xacml

MAX_REFERENCES = 8
"""how many references deep the library is followed"""
INDETERMINATE_RULE = "indeterminate"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a policy says, and the policy and rule (empty where none was reached) that said it."""

    verdict: Verdict
    policy: str = ""
    rule: str = ""


_NOT_APPLICABLE = Evaluation(Verdict.NOT_APPLICABLE)


def evaluate(policy: Policy, request: Request, library: Mapping[str, Policy]) -> Evaluation:
    """What `policy` says about `request`, with references taken from `library`."""
    return _policy(policy, request, library, ())


# Policies


def _policy(policy: Policy, request: Request, library: Mapping[str, Policy], chain: tuple[str, ...]) -> Evaluation:
    applies = _target(policy.target, request)
    if applies is None:
        return Evaluation(Verdict.INDETERMINATE, policy.id, INDETERMINATE_RULE)
    if not applies:
        return _NOT_APPLICABLE
    algorithm = xacml.RULE_ALGORITHMS.get(policy.combining)
    if algorithm is not None:
        return _RULES[algorithm](policy, request)
    algorithm = xacml.POLICY_ALGORITHMS.get(policy.combining)
    children = _resolve(policy, library, chain)
    if algorithm is None or children is None:
        return Evaluation(Verdict.INDETERMINATE, policy.id, INDETERMINATE_RULE)
    return _POLICIES[algorithm](children, request, library)


_Child = tuple[Policy, tuple[str, ...]]


def _resolve(policy: Policy, library: Mapping[str, Policy], chain: tuple[str, ...]) -> list[_Child] | None:
    """The policies that take part, each with the references followed so far; None where one cannot."""
    children: list[_Child] = []
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


def _rule(rule: Rule, request: Request) -> Verdict:
    applies = _target(rule.target, request)
    if applies and rule.condition is not None:
        applies = condition_holds(rule.condition, request)
    if applies is None:
        return Verdict.INDETERMINATE
    if not applies:
        return Verdict.NOT_APPLICABLE
    return Verdict.PERMIT if rule.effect is Effect.PERMIT else Verdict.DENY


def _rules_overriding(policy: Policy, request: Request, *, winner: Verdict) -> Evaluation:
    """Deny-overrides, or with the roles exchanged permit-overrides, of rules (XACML 2.0 C.1, C.3)."""
    loser_rule: str | None = None
    error = winner_error = False
    for rule in policy.children:
        if not isinstance(rule, Rule):
            return Evaluation(Verdict.INDETERMINATE, policy.id, INDETERMINATE_RULE)
        verdict = _rule(rule, request)
        if verdict is winner:
            return Evaluation(winner, policy.id, rule.id)
        if verdict is Verdict.INDETERMINATE:
            error = True
            winner_error = winner_error or rule.effect.value == winner.value
        elif verdict is not Verdict.NOT_APPLICABLE and loser_rule is None:
            loser_rule = rule.id
    if winner_error or (error and loser_rule is None):
        return Evaluation(Verdict.INDETERMINATE, policy.id, INDETERMINATE_RULE)
    if loser_rule is not None:
        loser = Verdict.PERMIT if winner is Verdict.DENY else Verdict.DENY
        return Evaluation(loser, policy.id, loser_rule)
    return _NOT_APPLICABLE


def _rules_first(policy: Policy, request: Request) -> Evaluation:
    for rule in policy.children:
        if not isinstance(rule, Rule):
            return Evaluation(Verdict.INDETERMINATE, policy.id, INDETERMINATE_RULE)
        verdict = _rule(rule, request)
        if verdict is not Verdict.NOT_APPLICABLE:
            name = INDETERMINATE_RULE if verdict is Verdict.INDETERMINATE else rule.id
            return Evaluation(verdict, policy.id, name)
    return _NOT_APPLICABLE


def _deny_overrides(children: Sequence[_Child], request: Request, library: Mapping[str, Policy]) -> Evaluation:
    """An error counts as Deny (XACML 2.0 C.1)."""
    permit: Evaluation | None = None
    for child, chain in children:
        evaluation = _policy(child, request, library, chain)
        if evaluation.verdict is Verdict.DENY:
            return evaluation
        if evaluation.verdict is Verdict.INDETERMINATE:
            return Evaluation(Verdict.DENY, evaluation.policy, evaluation.rule)
        if evaluation.verdict is Verdict.PERMIT and permit is None:
            permit = evaluation
    return permit or _NOT_APPLICABLE


def _permit_overrides(children: Sequence[_Child], request: Request, library: Mapping[str, Policy]) -> Evaluation:
    deny: Evaluation | None = None
    error: Evaluation | None = None
    for child, chain in children:
        evaluation = _policy(child, request, library, chain)
        if evaluation.verdict is Verdict.PERMIT:
            return evaluation
        if evaluation.verdict is Verdict.DENY and deny is None:
            deny = evaluation
        elif evaluation.verdict is Verdict.INDETERMINATE and error is None:
            error = evaluation
    return deny or error or _NOT_APPLICABLE


def _first_applicable(children: Sequence[_Child], request: Request, library: Mapping[str, Policy]) -> Evaluation:
    for child, chain in children:
        evaluation = _policy(child, request, library, chain)
        if evaluation.verdict is not Verdict.NOT_APPLICABLE:
            return evaluation
    return _NOT_APPLICABLE


_RULES: dict[str, Callable[[Policy, Request], Evaluation]] = {
    "deny-overrides": lambda policy, request: _rules_overriding(policy, request, winner=Verdict.DENY),
    "permit-overrides": lambda policy, request: _rules_overriding(policy, request, winner=Verdict.PERMIT),
    "first-applicable": _rules_first,
}
_POLICIES: dict[str, Callable[[Sequence[_Child], Request, Mapping[str, Policy]], Evaluation]] = {
    "deny-overrides": _deny_overrides,
    "permit-overrides": _permit_overrides,
    "first-applicable": _first_applicable,
}


# Targets: True, False, or None for an error


def _target(target: Target, request: Request) -> bool | None:
    result: bool | None = True
    for alternatives, attributes in (
        (target.subjects, request.subject),
        (target.resources, request.resource),
        (target.actions, request.action),
        (target.environments, request.environment),
    ):
        if alternatives:
            part = _any_of(alternatives, attributes, request.zone)
            if part is False:
                return False
            if part is None:
                result = None
    return result


def _any_of(
    alternatives: tuple[tuple[Match, ...], ...], attributes: Mapping[str, tuple[Value, ...]], zone: tzinfo
) -> bool | None:
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
