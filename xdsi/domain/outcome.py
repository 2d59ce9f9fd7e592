"""What came of a request: Problems and the status they add up to.

ITI TF-3 4.2.4 (Success and error reporting).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from xdsi.spec import namespaces as ns


class Severity(StrEnum):
    """RegistryError/@severity."""

    ERROR = ns.SEVERITY_ERROR
    WARNING = ns.SEVERITY_WARNING


class Status(StrEnum):
    """RegistryResponse/@status."""

    SUCCESS = ns.SUCCESS
    PARTIAL_SUCCESS = ns.PARTIAL_SUCCESS
    FAILURE = ns.FAILURE

    @property
    def word(self) -> str:
        """`success`, `partial` or `failure`: what an exchange is counted as."""
        return self.name.partition("_")[0].lower()


@dataclass(frozen=True, slots=True)
class Problem:
    """One RegistryError.

    `code` is the standard's errorCode, `context` what a person needs to mend it, `location` the object or parameter,
    `rule` our stable local code (kept for the operator and the tests), e.g. `DE.hash.format`.
    """

    code: str
    context: str
    location: str = ""
    severity: Severity = Severity.ERROR
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The problems of one request, in the order they were found."""

    problems: tuple[Problem, ...] = ()
    delivered: int | None = field(default=None)
    """How many results went out, where a mix of results and errors is PartialSuccess; None where all or nothing."""

    @classmethod
    def of(cls, problems: Iterable[Problem], delivered: int | None = None) -> Outcome:
        """Collect problems."""
        return cls(tuple(problems), delivered)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Problems that are not warnings."""
        return tuple(p for p in self.problems if p.severity is Severity.ERROR)

    @property
    def accepted(self) -> bool:
        """True when nothing but warnings was found."""
        return not self.errors

    @property
    def status(self) -> Status:
        """The status of ITI TF-3 tables 4.2.4.2-1 to -4."""
        if self.accepted:
            return Status.SUCCESS
        return Status.PARTIAL_SUCCESS if self.delivered else Status.FAILURE


def outcome_of(answer: object) -> Outcome | None:
    """The outcome that an answer is or has; None where it reports in another way, as that of a feed does."""
    outcome = answer if isinstance(answer, Outcome) else getattr(answer, "outcome", None)
    return outcome if isinstance(outcome, Outcome) else None
