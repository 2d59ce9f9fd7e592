"""Whether a registry accepts a submission, and what follows from it.

ITI TF-2 3.42.4.1.3 (Register Document Set-b), 3.61.4.1 (On-Demand); ITI TF-3 4.1.4, 4.2. All problems are found, never
the first only. `context` says what the rules ask of the registry.
"""

from __future__ import annotations

from dataclasses import replace

from xdsi.domain.codes import CodeSets
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.registration import RegisterPorts, Registration
from xdsi.domain.submission import Submission
from xdsi.rules.submission import identifiers, references, relationships, structure
from xdsi.rules.submission.assignment import Effects, assign, effects, registration
from xdsi.rules.submission.context import Context, Facts
from xdsi.rules.submission.metadata import MAX_PROBLEMS, by_strictness, check_metadata, limited
from xdsi.spec.optionality import Column

__all__ = [
    "MAX_PROBLEMS", "Effects", "Facts", "assign", "check", "check_metadata", "decide", "effects", "looked_at",
]  # fmt: skip


def decide(
    submission: Submission, session: Facts, ports: RegisterPorts, *, column: str
) -> tuple[Outcome, Registration | None]:
    """The problems of a submission, and what it changes where it is accepted."""
    outcome = Outcome.of(
        check(
            submission,
            session,
            column=column,
            accept_unknown_patients=ports.accept_unknown_patients,
            codes=ports.codes,
            strictness=ports.strictness,
        )
    )
    return outcome, registration(submission, session, ports) if outcome.accepted else None


def looked_at(submission: Submission, ports: RegisterPorts, *, column: str) -> Submission:
    """The submission with what is wrong with its objects by themselves: nobody has to wait while that is looked for."""
    found = own_problems(submission, column=column, codes=ports.codes, strictness=ports.strictness)
    return replace(submission, own_problems=found)


def own_problems(
    submission: Submission, *, column: str, codes: CodeSets | None, strictness: str
) -> tuple[Problem, ...]:
    """The problems of each object by itself, as strict as the registry is."""
    return tuple(by_strictness(check_metadata(submission, column=column, codes=codes), strictness))


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
    own = submission.own_problems
    found = [
        *submission.findings,
        *structure.check(context, Column(column)),
        *(own if own is not None else own_problems(submission, column=column, codes=codes, strictness=strictness)),
        *references.check(context),
        *identifiers.check_unique_ids(context),
        *identifiers.check_patients(context, codes, accept_unknown=accept_unknown_patients),
        *relationships.check_patient_of_request(context),
        *relationships.check(context),
    ]
    return limited(found, structure.METADATA_ERROR)
