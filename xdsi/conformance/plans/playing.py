"""A plan as a case of a run: played with what it builds on, its deviations told as findings."""

from __future__ import annotations

from collections.abc import Callable

from lxml import etree

from ..answers import BadAnswer
from ..endpoint import Endpoint
from ..model import Case
from ..results import Exchange, Finding
from ..templates import TemplateError
from .runner import Plans, Report


def played(
    case: Case, endpoint: Endpoint, observe: Callable[[Exchange], None] | None = None
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Findings, and what could not be mapped. What the plan builds on is played anew, so cases are independent."""
    plans = Plans(case.folder.parent, endpoint, case=case, observe=observe)
    try:
        report = plans.run(case.name)
        others = plans.others(case.name)
    except (OSError, ValueError, BadAnswer, TemplateError, etree.LxmlError) as error:
        return (Finding("the plan", "a plan that can be played", f"{type(error).__name__}: {error}", case.clause),), ()
    finally:
        plans.close()
    findings = tuple(_findings(case.name, "", report))
    if findings:
        # Who builds on something that failed should read that first.
        findings = (*(one for name, other in others.items() for one in _findings(name, f"{name} ", other)), *findings)
    return findings, tuple(report.unmapped)


def _findings(name: str, before: str, report: Report) -> list[Finding]:
    found = []
    for deviation in report.deviations:
        step, _, text = deviation.partition(": ")
        seen, comma, expected = text.rpartition(", expected ")
        wanted = expected if comma else "what the plan says"
        found.append(Finding(before + step, wanted, seen if comma else text, f"test plan {name}"))
    return found
