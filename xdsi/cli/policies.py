"""`xdsi policy test`: the tests that stand beside a domain's policies."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from xdsi.app.policies import PolicyTests, domain_policy
from xdsi.cli.command import LoadSettings, Result, Terminal, counted


def add(commands: Any) -> None:
    """Declare the command."""
    actions = commands.add_parser("policy", help="the domain's policies").add_subparsers(
        required=True, metavar="ACTION"
    )
    test = actions.add_parser(
        "test",
        help="decide the cases that stand beside the policies",
        description="Read the policies of consent.policies, decide every case of the files NAME.test.toml among them "
        "as the hub would, and say which come out otherwise than expected. Nothing is connected to or changed.",
    )
    test.set_defaults(run=run_test)


def run_test(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Run the cases; refused where one fails, or there is none."""
    settings = load()
    if not settings.consent.policies:
        which = "" if given.config is not None else "; `xdsi --config FILE policy test` reads the settings of a hub"
        return Result(ok=False, message=f"consent.policies names no folder{which}")
    tests = PolicyTests(domain_policy(settings), Path(settings.consent.policies))
    items = [
        {
            "case": one.case.name,
            "ok": one.passed,
            "expected": " ".join(filter(None, ("permit" if one.case.permit else "deny", one.case.rule))),
            "decided": f"{'permit' if one.decision.permit else 'deny'} {one.decision.rule}",
            "policy": one.decision.policy,
            "file": str(one.file),
        }
        for one in tests.run()
    ]
    failed = sum(not item["ok"] for item in items)
    columns = ["case", "expected", "decided", "policy", "file"]
    rows = [("ok" if item["ok"] else "FAILED", *(str(item[column]) for column in columns)) for item in items]
    terminal.table("", ["result", *columns], rows)
    if not items:
        return Result(ok=False, message=f"no test in {settings.consent.policies}")
    message = (
        f"{counted(len(items), 'case')}, {failed} failed" if failed else f"{counted(len(items), 'case')}, all passed"
    )
    return Result(ok=not failed, items=items, message=message)
