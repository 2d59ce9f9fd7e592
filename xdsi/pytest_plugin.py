"""pytest plays conformance cases: `pytest --xdsi-endpoint URL` has an item for each (docs/conformance.md).

Nothing is imported and nothing collected where no endpoint is named.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdsi.conformance import Case, Endpoint, Result


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("xdsi", "conformance cases of an XDS-I.b endpoint")
    group.addoption("--xdsi-endpoint", metavar="URL", help="play the conformance cases against this endpoint")
    group.addoption("--xdsi-actor", metavar="NAME", action="append", default=[], help="cases about this actor")
    group.addoption("--xdsi-suite", metavar="NAME|FOLDER", default="", help="a suite, or a folder of your own cases")
    group.addoption("--xdsi-case", metavar="N", action="append", default=[], help="a case, by its number")
    group.addoption(
        "--xdsi-options", metavar="TEXT", default="", help="further options of `xdsi conformance run`, as one text"
    )
    parser.addini("xdsi_options", "options of `xdsi conformance run` for --xdsi-endpoint", default="")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add an item for each case; an endpoint that nobody can speak to is told at once."""
    url = config.getoption("--xdsi-endpoint")
    if not url:
        return
    from xdsi import conformance

    cases, endpoint, probe = _asked(config, url)
    if not config.getoption("collectonly"):
        seen = conformance.look(endpoint, (), probe=probe)
        if seen.error:
            raise pytest.UsageError(f"--xdsi-endpoint: {seen.error}")
        endpoint = seen.endpoint
    items.extend(
        CaseItem.from_parent(session, name=f"xdsi::{case.name}", case=case, endpoint=endpoint) for case in cases
    )


def _asked(config: pytest.Config, url: str) -> tuple[tuple[Case, ...], Endpoint, bool]:
    """The cases, the endpoint, and whether its features are to be found out; UsageError for what cannot be."""
    from xdsi.conformance import TemplateError
    from xdsi.conformance.options import chosen_cases, endpoint_of, parser

    options = ["--endpoint", url]
    for actor in config.getoption("--xdsi-actor"):
        options += ["--actor", actor]
    for case in config.getoption("--xdsi-case"):
        options += ["--case", case]
    if config.getoption("--xdsi-suite"):
        options += ["--suite", config.getoption("--xdsi-suite")]
    more = shlex.split(config.getini("xdsi_options")) + shlex.split(config.getoption("--xdsi-options"))
    try:
        given = parser().parse_args([*options, *more])
        return chosen_cases(given), endpoint_of(given), not given.feature
    except (SystemExit, ValueError, TemplateError) as error:
        why = "not an option of `xdsi conformance run`" if isinstance(error, SystemExit) else str(error)
        raise pytest.UsageError(f"--xdsi-options: {why}") from None


class CaseFailed(Exception):
    """Something was not as a case expects it."""

    def __init__(self, result: Result) -> None:
        super().__init__(str(result.findings[0]))
        self.result = result


class CaseItem(pytest.Item):
    """One case."""

    def __init__(self, *, case: Case, endpoint: Endpoint, **given: Any) -> None:
        super().__init__(**given)
        self.case = case
        self.endpoint = endpoint

    def runtest(self) -> None:
        """Play it."""
        from xdsi.conformance import Verdict, play, secrets

        result = play(self.case, self.endpoint)
        if result.verdict is Verdict.SKIPPED:
            pytest.skip(result.reason)
        if result.verdict is Verdict.FAILED:
            for exchange in result.exchanges:
                if exchange.step in {one.step for one in result.findings}:
                    text = secrets.told(secrets.decoded(exchange.response))
                    self.add_report_section("call", f"answer to {exchange.step!r}", f"HTTP {exchange.http}\n{text}")
            raise CaseFailed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """What was expected, what was found, and the clause."""
        if not isinstance(excinfo.value, CaseFailed):
            return str(super().repr_failure(excinfo, style))
        return "\n".join(_lines(excinfo.value.result))

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where it stands, and its title."""
        place = self.case.folder if self.case.plan else self.case.folder / "expectation.toml"
        return place, None, f"{self.case.name}: {self.case.title}"


def _lines(result: Result) -> Iterator[str]:
    yield f"{result.case.name}: {result.case.title}"
    for one in result.findings:
        yield f"  {one.step}"
        yield f"    expected: {one.expected}"
        yield f"    found:    {one.found}"
        yield f"    clause:   {one.clause}"
