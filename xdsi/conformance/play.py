"""A run: cases one after the other, each with its result, those that do not apply with the reason."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from lxml import etree

from . import plans, secrets
from .endpoint import Endpoint
from .engine import run
from .model import Case
from .results import Exchange, Finding, Recorded, Report, Result, Verdict
from .templates import NoPatientLeft, TemplateError


def play(case: Case, endpoint: Endpoint) -> Result:
    """One case, or the reason why it was not played."""
    obstacles = endpoint.obstacles(case)
    if case.plan and not case.steps:
        obstacles = ("nothing of the plan could be mapped", *case.unmapped)
    if obstacles:
        return Result(case, Verdict.SKIPPED, reason="; ".join(obstacles))
    exchanges: list[Recorded] = []

    def keep(exchange: Exchange) -> None:
        exchanges.append(Recorded.of(exchange))

    began = time.perf_counter()
    reason = ""
    try:
        if case.plan:
            findings, unmapped = plans.played(case, endpoint, keep)
            reason = f"not mapped: {'; '.join(unmapped)}" if unmapped else ""
        else:
            findings = run(case, endpoint, observe=keep)
    except NoPatientLeft:
        return Result(
            case, Verdict.SKIPPED, reason="needs a patient that no case has used; none is left of those named"
        )
    except (TemplateError, etree.LxmlError, re.error, LookupError, ValueError, OSError) as error:
        # A mistake in a case of one's own is its finding; the others are played.
        findings = (Finding("the case", "a case that can be played", f"{error}", case.clause),)
    return Result(
        case,
        Verdict.FAILED if findings else Verdict.PASSED,
        findings=tuple(map(secrets.of_finding, findings)),
        exchanges=tuple(exchanges),
        reason=reason,
        seconds=time.perf_counter() - began,
    )


def play_all(cases: Iterable[Case], endpoint: Endpoint, *, tell: Callable[[Result], None] | None = None) -> Report:
    """Every case; `tell` hears of each result as it comes."""
    started = datetime.now(UTC)
    results = []
    for case in cases:
        results.append(play(case, endpoint))
        if tell is not None:
            tell(results[-1])
    return Report(endpoint=endpoint.base_url, started=started, results=tuple(results))
