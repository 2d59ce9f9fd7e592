"""The problems of each object of a submission by itself, and what the registry's strictness makes of them.

ITI TF-3 4.3.1 (optionality), 4.2.3 (attributes); Metadata Update 4.3.1 (an update has the column of its kind of entry).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from xdsi.domain.answering import prefix
from xdsi.domain.codes import CodeSets
from xdsi.domain.metadata import DocumentEntry, RegistryObject
from xdsi.domain.outcome import Problem, Severity
from xdsi.domain.submission import Submission
from xdsi.rules import attributes, optionality
from xdsi.spec.optionality import Column

log = logging.getLogger("xdsi.metadata")

_LINE = 500
"""characters of what a sender wrote that a line of the log takes"""

MAX_PROBLEMS = 500
"""that are listed one by one"""


def check_metadata(
    submission: Submission, *, column: str | None = Column.REPOSITORY, codes: CodeSets | None = None
) -> Iterator[Problem]:
    """Optionality, data types, value sets of each object. Asks nothing of a registry.

    `column` is the sender's; None takes for each DocumentEntry the one of its own kind, Stable or On-Demand.
    """
    for one in submission.objects:
        yield from optionality.check(one, Column(column) if column is not None else column_of(one))
        yield from attributes.check_types(one)
        if codes is not None:
            yield from attributes.check_codes(one, codes)


def column_of(registry_object: RegistryObject) -> Column:
    """Whose column an object has to meet by what it is."""
    on_demand = isinstance(registry_object, DocumentEntry) and registry_object.is_on_demand
    return Column.ON_DEMAND if on_demand else Column.REPOSITORY


def by_strictness(problems: Iterable[Problem], strictness: str) -> Iterator[Problem]:
    """What may be tolerated stays an error (`reject`), becomes a warning (`warn`), or is left out (`log`, `off`).

    The log names the exchange and its sender, the rule and the place, and the code where it is about one; what else
    stands there may be about a patient.
    """
    tolerated = 0
    for found in problems:
        if strictness == "reject" or not attributes.is_lenient(found):
            yield found
        elif strictness in _TOLD:
            tolerated += 1
            if tolerated <= MAX_PROBLEMS:
                _log(found, *_TOLD[strictness])
            if strictness == "warn":
                yield replace(found, severity=Severity.WARNING)
        elif strictness != "off":
            raise ValueError(f"unknown strictness {strictness!r}")
    if tolerated > MAX_PROBLEMS:
        level, what = _TOLD[strictness]
        log.log(level, "%s%s: %d more problems", prefix(), what, tolerated - MAX_PROBLEMS)


# Who is warned of something is told it in the answer already.
_TOLD: Final = {"log": (logging.WARNING, "tolerated"), "warn": (logging.INFO, "warned of")}


def _log(found: Problem, level: int, what: str) -> None:
    if not log.isEnabledFor(level):
        return
    told = f": {found.context}" if found.rule.endswith(attributes.ABOUT_CODES) else ""
    # What a sender wrote makes no line of its own.
    place = " ".join(f"{found.location}{told}".split())[:_LINE]
    log.log(level, "%s%s: %s at %s", prefix(), what, found.rule, place)


def limited(found: Sequence[Problem], code: str) -> tuple[Problem, ...]:
    """The problems as an answer lists them: errors first, and a word on the rest, where they are very many."""
    if len(found) <= MAX_PROBLEMS:
        return tuple(found)
    text = f"and {len(found) - MAX_PROBLEMS} more problems"
    errors = sorted(found, key=lambda one: one.severity is not Severity.ERROR)
    return (*errors[:MAX_PROBLEMS], Problem(code, text, location="RegistryObjectList", rule="SUBMISSION.problems"))
