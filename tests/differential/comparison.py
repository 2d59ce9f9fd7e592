"""One case, both sides."""

from __future__ import annotations

from collections import Counter

from tests.differential import product
from tests.differential.language import Refused
from tests.differential.order import decide
from tests.differential.worlds import Case, case
from xdsi.domain.errors import MalformedMessage

REFUSED = "a policy of the domain is refused"


def naive(one: Case) -> tuple[bool, str, str] | str:
    try:
        return decide(one.asker, one.action, one.thing, one.person, one.consents, one.domain, one.now)
    except Refused:
        return REFUSED


def real(one: Case) -> tuple[bool, str, str] | str:
    try:
        found = product.decision(one)
    except MalformedMessage:
        return REFUSED
    return found.permit, found.rule, found.document


def compare(seeds: range) -> Counter[str]:
    """How often each kind of answer came; AssertionError names the first case in which the two differ."""
    answers: Counter[str] = Counter()
    for seed in seeds:
        one = case(seed)
        expected, found = naive(one), real(one)
        assert found == expected, f"case {seed}: docs/policy.md says {expected}, the product {found}"
        answers[answer(expected)] += 1
    return answers


def answer(found: tuple[bool, str, str] | str) -> str:
    """What kind of answer it is: permit or deny, and by whom."""
    if isinstance(found, str):
        return found
    permit, rule, document = found
    by = next((one for one in ("floor", "organization") if rule.startswith(f"urn:{one}")), rule)
    if document:
        by = "consent by error" if rule == "indeterminate" else "consent"
    return f"{'permit' if permit else 'deny'} {by}"
