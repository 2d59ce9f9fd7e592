"""`xdsi conformance`: run numbered cases against any endpoint, list them, show one."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xdsi import conformance
from xdsi.cli.command import LoadSettings, Result, Terminal, counted
from xdsi.conformance import Case, Report, TemplateError, Verdict
from xdsi.conformance.options import add_choice, add_options, chosen_cases, endpoint_of


def add(commands: Any) -> None:
    """Declare the commands."""
    group = commands.add_parser("conformance", help="run conformance cases against any endpoint, and list them")
    actions = group.add_subparsers(dest="action", required=True, metavar="ACTION")
    play = actions.add_parser(
        "run",
        help="run cases against an endpoint",
        description="Run numbered cases against an endpoint, this server's or somebody else's, and say of each whether "
        "it passed, failed (what was expected, what was found, the clause) or does not apply there (why). Ids and "
        "patients are made anew each time; the documents that were submitted stay.",
    )
    add_options(play)
    add_choice(play)
    play.add_argument("--junit", type=Path, metavar="FILE", help="write a report as JUnit XML")
    play.add_argument("--html", type=Path, metavar="FILE", help="write a report as a page with every exchange")
    play.add_argument(
        "--keep-secrets", action="store_true", help="leave the values and signatures of assertions in the page"
    )
    play.set_defaults(run=run)
    listing = actions.add_parser("list", help="list the cases")
    add_choice(listing)
    listing.add_argument("--actor", action="append", default=[], choices=conformance.ACTORS, help="cases about it")
    listing.set_defaults(run=run_list)
    plans = actions.add_parser(
        "import",
        help="say what of the XDS toolkit's test plans can be played",
        description="Read a folder of test plans (a folder per test, a testplan.xml per section), or one test, and say "
        "of each what it is mapped on and what could not be mapped. Nothing is sent; `run --suite FOLDER` plays them.",
    )
    plans.add_argument("folder", type=Path, metavar="FOLDER", help="of tests, or one test")
    plans.set_defaults(run=run_import)
    show = actions.add_parser("show", help="show a case: purpose, clause, preconditions, steps")
    show.add_argument("case", metavar="CASE", help="its number")
    show.add_argument("--suite", default="", metavar="NAME|FOLDER", help="where it is from")
    show.set_defaults(run=run_show)


def run(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Look at the endpoint, play the cases, report. Needs no settings."""
    try:
        cases = chosen_cases(given)
        endpoint = endpoint_of(given)
    except (TemplateError, ValueError) as error:
        return Result(ok=False, message=str(error))
    for path in (given.junit, given.html):
        if path is not None and not path.parent.is_dir():
            return Result(ok=False, message=f"{path}: there is no such folder")
        if path is not None and (path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK)):
            return Result(ok=False, message=f"{path}: no file can be written there")
    terminal.say(f"{counted(len(cases), 'case')} for {conformance.secrets.without_credentials(given.endpoint)}")
    asked = {place for actor in given.actor for place in conformance.ACTORS[actor]} & set(endpoint.paths)
    seen = conformance.look(endpoint, asked, probe=not given.feature)
    if seen.error:
        return Result(ok=False, message=seen.error)
    needed = frozenset[str]().union(*(case.actors for case in cases))
    for sight in seen.sights:
        if not sight.answers and sight.actor in needed:
            terminal.say(f"no {sight.actor} here: {sight.what}")
    asked_for = frozenset[str]().union(*(case.needs for case in cases)) | {"trace"}
    for feature, why in seen.found.items():
        if feature not in asked_for:
            continue
        terminal.say(f"{'with' if feature in seen.endpoint.features else 'without'} {feature}: {why}")
    report = _played(cases, seen.endpoint, terminal)
    if given.junit is not None:
        given.junit.write_bytes(conformance.junit.document(report))
    if given.html is not None:
        given.html.write_bytes(conformance.page.document(report, keep_secrets=given.keep_secrets))
    for path in (given.junit, given.html):
        if path is not None:
            terminal.say(f"written: {path}")
    failed = [result for result in report.results if result.verdict is Verdict.FAILED]
    terminal.table(
        "What was not as expected",
        ["case", "step", "expected", "found", "clause"],
        [
            (result.case.name, one.step, one.expected, _short(one.found), one.clause)
            for result in failed
            for one in result.findings
        ],
    ) if failed else None
    return Result(ok=report.passed, items=[_record(result) for result in report.results], message=_summary(report))


def _played(cases: Sequence[Case], endpoint: conformance.Endpoint, terminal: Terminal) -> Report:
    """Play with a line for each case, and a bar where somebody looks on."""
    with terminal.progress() as progress:
        task = progress.add_task("cases", total=len(cases))

        def tell(result: conformance.Result) -> None:
            progress.advance(task)
            if terminal.quiet:
                return
            why = f"  {result.reason}" if result.reason else ""
            clause = "" if why else f" {result.case.clause}"
            progress.console.print(f"{_WORDS[result.verdict]:<4}  {result.case.name:<48}{clause}{why}", markup=False)

        return conformance.play_all(cases, endpoint, tell=tell)


_WORDS = {Verdict.PASSED: "pass", Verdict.FAILED: "FAIL", Verdict.SKIPPED: "skip"}


def _summary(report: Report) -> str:
    counts = report.counts()
    said = ", ".join(f"{counts[verdict]} {word}" for verdict, word in _WORDS.items() if counts[verdict])
    if report.results and not counts[Verdict.PASSED] and not counts[Verdict.FAILED]:
        return f"{said}; no case was played: the reasons stand above"
    return said


def _short(text: str) -> str:
    return text if len(text) <= 400 else f"{text[:400]}..."


def _record(result: conformance.Result) -> dict[str, Any]:
    return {
        "case": result.case.name,
        "title": result.case.title,
        "clause": result.case.clause,
        "scope": result.case.scope,
        "verdict": str(result.verdict),
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
        "findings": [
            {"step": one.step, "expected": one.expected, "found": one.found, "clause": one.clause}
            for one in result.findings
        ],
    }


def run_list(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """The cases, in order."""
    try:
        cases = chosen_cases(given)
    except (TemplateError, ValueError) as error:
        return Result(ok=False, message=str(error))
    items = [
        {
            "case": case.name, "title": case.title, "clause": case.clause, "scope": case.scope,
            "actors": sorted(conformance.subjects(case)), "transactions": list(case.transactions),
            "needs": sorted(case.needs),
        }
        for case in cases
    ]  # fmt: skip
    rows = [
        (case.name, case.title, case.clause, case.scope, ", ".join(sorted(case.needs)), ", ".join(case.transactions))
        for case in cases
    ]
    terminal.table("", ["case", "title", "clause", "scope", "needs", "transactions"], rows)
    return Result(items=items, message=counted(len(cases), "case"))


def run_import(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """What each plan is mapped on, and what of it could not be mapped; refused where there is none to play."""
    folder: Path = given.folder
    if not folder.is_dir():
        return Result(ok=False, message=f"{folder}: no folder")
    cases = [conformance.plans.case_of(test) for test in conformance.plans.tests(folder)]
    if not cases:
        return Result(
            ok=False, message=f"{folder}: no test plan in it (a folder with sections, each with testplan.xml)"
        )
    items = [
        {
            "plan": case.name, "title": case.title, "steps": len(case.steps), "transactions": list(case.transactions),
            "actors": sorted(conformance.subjects(case)), "needs": sorted(case.needs), "unmapped": list(case.unmapped),
        }
        for case in cases
    ]  # fmt: skip
    terminal.table(
        "",
        ["plan", "title", "transactions", "steps", "needs", "not mapped"],
        [
            (case.name, _short(case.title), ", ".join(case.transactions), str(len(case.steps)),
             ", ".join(sorted(case.needs)), "; ".join(case.unmapped))
            for case in cases
        ],
    )  # fmt: skip
    playable = [case for case in cases if case.steps]
    whole = sum(not case.unmapped for case in playable)
    said = f"{counted(len(cases), 'plan')}: {whole} mapped whole, {len(playable) - whole} in part, "
    said += f"{len(cases) - len(playable)} not at all"
    if playable:
        said += f"; play them with: xdsi conformance run --endpoint URL --suite {folder}"
    return Result(ok=bool(playable), items=items, message=said)


def run_show(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """What a case is about, and its steps."""
    try:
        found = conformance.chosen(conformance.cases_of(given.suite), [given.case])
    except TemplateError as error:
        return Result(ok=False, message=str(error))
    if len(found) != 1:
        return Result(ok=False, message=f"{given.case}: {counted(len(found), 'case')} of that number")
    (case,) = found
    terminal.say(conformance.purpose(case).strip() or f"# {case.name} {case.title}\n\nClause: {case.clause}")
    steps = [
        (step.name, step.kind.name, step.actor, step.packaging, step.request or step.http.path) for step in case.steps
    ]
    terminal.table("", ["step", "transaction", "actor", "packaging", "request"], steps)
    terminal.say(f"folder: {case.folder}")
    names = ("step", "transaction", "actor", "packaging", "request")
    return Result(
        items=[dict(zip(names, step, strict=True)) for step in steps],
    )
