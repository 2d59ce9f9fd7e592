"""`xdsi explain`, `xdsi audit search`, `xdsi audit verify`: what happened, and whether the trail is whole."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

from xdsi import app
from xdsi.cli.command import LoadSettings, Result, Terminal
from xdsi.cli.keep import patient


def add(commands: Any) -> None:
    """Declare the commands."""
    explain = commands.add_parser("explain", help="what happened in an exchange, and which rule decided")
    explain.add_argument("trace", metavar="TRACE")
    explain.set_defaults(run=run_explain)
    actions = commands.add_parser("audit", help="the audit trail").add_subparsers(required=True, metavar="ACTION")
    search = actions.add_parser("search", help="find audit records")
    search.add_argument("--patient", type=patient, metavar="CX")
    search.add_argument("--user", metavar="ID")
    search.add_argument("--trace", metavar="TRACE")
    search.add_argument("--since", type=datetime.fromisoformat, metavar="TIME")
    search.add_argument("--until", type=datetime.fromisoformat, metavar="TIME")
    search.add_argument("--outcome", type=int, choices=[0, 4, 8, 12])
    search.add_argument("--limit", type=int, default=200)
    search.set_defaults(run=run_search)
    verify = actions.add_parser("verify", help="check that no record was removed or changed")
    verify.set_defaults(run=run_verify)


def run_explain(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show the steps of an exchange."""
    with app.Parts(load()) as parts:
        records = parts.traces.find(given.trace)
    for record in records:
        terminal.table(
            f"{record['at']} {record['transaction']} from {record['peer']} {record['node']} {record['user']}",
            ["ms", "step", "detail"],
            [
                (
                    str(step["ms"]),
                    str(step["step"]),
                    ", ".join(f"{k}={v}" for k, v in step.items() if k not in ("ms", "step") and v != ""),
                )
                for step in record["steps"]
            ],
        )
    message = "" if records else f"no trace {given.trace} here"
    return Result(ok=bool(records), items=records, message=message)


def run_search(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show audit records, newest last."""
    with app.Parts(load()) as parts:
        records = parts.trail.search(
            patient=given.patient.cx if given.patient else "",
            user=given.user or "",
            since=given.since,
            until=given.until,
            outcome=given.outcome,
            trace=given.trace or "",
            limit=given.limit,
        )
    items = [
        {
            "time": record.time.isoformat(timespec="milliseconds"),
            "direction": record.direction,
            "transaction": record.transaction,
            "outcome": record.outcome,
            "user": record.user_id,
            "patient": record.patient,
            "trace": record.trace,
        }
        for record in records
    ]
    terminal.table(
        "Audit records", ["time", "", "transaction", "outcome", "user", "patient", "trace"],
        [tuple(str(value) for value in item.values()) for item in items],
    )  # fmt: skip
    return Result(items=items)


def run_verify(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Walk the chains."""
    with app.Parts(load()) as parts:
        report = parts.trail.verify()
    items = [{"finding": str(finding)} for finding in report.findings]
    state = "; ".join(item["finding"] for item in items) or "whole"
    message = f"{report.records} records in {report.chains} chains: {state}"
    return Result(ok=report.intact, items=items, message=message)
