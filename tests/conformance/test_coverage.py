"""What the product serves is tried by cases: each transaction is accepted in one and refused in one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

import pytest

from xdsi import actors
from xdsi.conformance import Case, Step, load
from xdsi.exchange import Role

CASES = load()
AS_CASES_HAVE_IT = {"RAD-68": "ITI-41"}
"""one and the same on the wire"""
WITHOUT_A_CASE: dict[str, str] = {}
"""What is served and tried by no case, and why; a row that is not true any more fails."""


@cache
def served() -> frozenset[str]:
    """The transactions in the tables of all actors, and ITI-8, which the identity manager serves without a row."""
    modules = (
        importlib.import_module(f"{actors.__name__}.{one.name}") for one in pkgutil.iter_modules(actors.__path__)
    )
    roles = {id(role): role for module in modules for role in vars(module).values() if isinstance(role, Role)}
    numbers = {row.number for role in roles.values() for row in role.transactions}
    return frozenset({AS_CASES_HAVE_IT.get(number, number) for number in numbers} | {"ITI-8"})


def steps_of(number: str) -> Iterator[tuple[Case, Step]]:
    """The steps that speak a transaction; ITI-44 has one row for each of its interactions."""
    for case in CASES:
        for step in case.steps:
            if step.kind.name == number or step.kind.name.startswith(f"{number}-"):
                yield case, step


def accepts(step: Step) -> bool:
    """The step expects that what is asked for is done."""
    expect = step.expect
    permitted = any(one.decision == "Permit" for one in expect.decisions)
    done = expect.status == "Success" or expect.acknowledgement in ("CA", "AA") or permitted
    sent = expect.dimse.status == "0000" and bool(expect.dimse.completed)
    return done or sent or any(200 <= status < 300 for status in expect.http if not expect.fault)


def refuses(step: Step) -> bool:
    """The step expects that it is not."""
    expect = step.expect
    denied = any(one.decision == "Deny" for one in expect.decisions)
    said = expect.fault or expect.refused or expect.status == "Failure" or expect.acknowledgement in ("CE", "AE", "AR")
    refused = expect.dimse.rejected or expect.dimse.status not in ("", "0000")
    return bool(said or refused) or denied or any(status >= 400 for status in expect.http)


@pytest.mark.parametrize("number", sorted(served()))
def test_a_transaction_that_is_served_accepts_and_refuses_in_some_case(number: str) -> None:
    steps = [step for _, step in steps_of(number)]
    if number in WITHOUT_A_CASE:
        assert steps == [], f"there are cases of {number} now: take its row out"
        return
    assert any(map(accepts, steps)), f"no case in which {number} is accepted"
    assert any(map(refuses, steps)), f"no case in which {number} is refused"


def test_what_is_without_a_case_is_served() -> None:
    assert set(WITHOUT_A_CASE) <= served()
    assert {"ITI-8", "ITI-18", "ITI-41", "ITI-42", "ITI-43", "ITI-79", "RAD-16", "RAD-55", "RAD-69"} <= served()


def test_every_transaction_of_the_cases_is_served() -> None:
    spoken = {step.kind.name for case in CASES for step in case.steps}
    assert [name for name in spoken if not any(name == one or name.startswith(f"{one}-") for one in served())] == []
