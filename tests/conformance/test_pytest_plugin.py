"""The pytest plugin as a hospital has it in its own CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import Server

pytest_plugins = ["pytester"]
OWN = """
title = "Nobody has a document"
clause = "our handbook, 3.2"
[[step]]
name = "find"
transaction = "ITI-18"
request = "find.xml"
[step.expect]
status = "Success"
xpath = [{ path = "//rim:ExtrinsicObject", count = 1 }]
"""


def pytested(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """pytest in a folder of its own."""
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)


def test_cases_are_items_beside_other_tests(pytester: pytest.Pytester, open_server: Server) -> None:
    pytester.makepyfile("def test_own(): pass")
    where = ["--xdsi-endpoint", open_server.base_url, "--xdsi-actor", "registry"]
    result = pytested(
        pytester, *where, "--xdsi-case", "0101", "--xdsi-case", "0102", "--xdsi-case", "0201", "-k", "not 0201"
    )
    result.assert_outcomes(passed=3, deselected=1)


def test_a_failure_names_the_clause_and_shows_the_answer(
    pytester: pytest.Pytester, open_server: Server, tmp_path: Path
) -> None:
    (tmp_path / "9001-nobody").mkdir()
    (tmp_path / "9001-nobody" / "expectation.toml").write_text(OWN)
    result = pytested(pytester, "--xdsi-endpoint", open_server.base_url, "--xdsi-suite", str(tmp_path))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*expected: 1 at //rim:ExtrinsicObject", "*clause:   our handbook, 3.2", "*answer to*"]
    )


def test_what_does_not_apply_is_skipped_with_the_reason(pytester: pytest.Pytester, open_server: Server) -> None:
    pytester.makeini("[pytest]\nxdsi_options = --feature open\n")
    result = pytested(pytester, "--xdsi-endpoint", open_server.base_url, "--xdsi-case", "0701", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*needs images*"])


def test_an_endpoint_that_is_away_or_an_option_that_is_none_ends_the_run(pytester: pytest.Pytester) -> None:
    result = pytested(pytester, "--xdsi-endpoint", "http://127.0.0.1:1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*connection refused*"])
    result = pytested(pytester, "--xdsi-endpoint", "http://127.0.0.1:1", "--xdsi-options=--nonsense")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert pytested(pytester).ret == pytest.ExitCode.NO_TESTS_COLLECTED
