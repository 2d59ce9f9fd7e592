"""Whether a registry accepts a submission, and what follows from it.

ITI TF-2 3.42.4.1.3 (Register Document Set-b), 3.61.4.1 (On-Demand); ITI TF-3 4.1.4, 4.2. All problems are found, never
the first only. `context` says what the rules ask of the registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from xdsi.domain.codes import CodeSets
from xdsi.domain.outcome import Problem, Severity
from xdsi.domain.submission import Submission
from xdsi.rules import attributes, optionality
from xdsi.rules.submission import identifiers, references, relationships, structure
from xdsi.rules.submission.assignment import Effects, assign, effects
from xdsi.rules.submission.context import Context, Facts
from xdsi.spec.optionality import Column

MAX_PROBLEMS = 500
"""that are listed one by one"""

__all__ = ["Effects", "Facts", "assign", "check", "check_metadata", "effects", "tolerated"]


def check(
    submission: Submission,
    session: Facts,
    *,
    column: str = Column.REPOSITORY,
    accept_unknown_patients: bool = False,
    codes: CodeSets | None = None,
    strictness: str = "reject",
) -> tuple[Problem, ...]:
    """Every problem of a submission, decoder's findings first.

    `column` is the sender's (DR for ITI-42, OD for ITI-61). `strictness` decides on what may be tolerated, such as a
    code outside the value sets: `reject` makes it an error, `warn` a warning, `log` and `off` leave it out.
    """
    context = Context.of(submission, session)
    found = [
        *submission.findings,
        *structure.check(context, Column(column)),
        *_by_strictness(check_metadata(submission, column=column, codes=codes), strictness),
        *references.check(context),
        *identifiers.check_unique_ids(context),
        *identifiers.check_patients(context, codes, accept_unknown=accept_unknown_patients),
        *relationships.check_patient_of_request(context),
        *relationships.check(context),
    ]
    if len(found) <= MAX_PROBLEMS:
        return tuple(found)
    text = f"and {len(found) - MAX_PROBLEMS} more problems"
    errors = sorted(found, key=lambda one: one.severity is not Severity.ERROR)
    return (*errors[:MAX_PROBLEMS], Problem(structure.METADATA_ERROR, text, rule="SUBMISSION.problems"))


def check_metadata(
    submission: Submission, *, column: str = Column.REPOSITORY, codes: CodeSets | None = None
) -> Iterator[Problem]:
    """The problems of each object by itself: optionality, data types, value sets. Asks nothing of a registry."""
    for one in submission.objects:
        yield from optionality.check(one, Column(column))
        yield from attributes.check_types(one)
        if codes is not None:
            yield from attributes.check_codes(one, codes)


def tolerated(submission: Submission, *, codes: CodeSets | None = None) -> tuple[Problem, ...]:
    """What `strictness` may leave unsaid, for an operator who wants it logged."""
    return tuple(found for found in check_metadata(submission, codes=codes) if attributes.is_lenient(found))


def _by_strictness(problems: Iterable[Problem], strictness: str) -> Iterator[Problem]:
    for found in problems:
        if strictness == "reject" or not attributes.is_lenient(found):
            yield found
        elif strictness == "warn":
            yield replace(found, severity=Severity.WARNING)
        elif strictness not in {"log", "off"}:
            raise ValueError(f"unknown strictness {strictness!r}")
