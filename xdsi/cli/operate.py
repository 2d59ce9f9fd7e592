"""`xdsi explain`, `xdsi audit search`, `xdsi audit verify`: what happened, and whether the trail is whole."""

from __future__ import annotations

import argparse
from contextlib import suppress
from datetime import datetime
from typing import Any

from xdsi.cli.command import LoadSettings, Result, Terminal, counted
from xdsi.cli.keep import patient
from xdsi.cli.kept import add_data, kept
from xdsi.domain.audit import AuditOutcome
from xdsi.domain.audit_records import Finding, TrailRecord
from xdsi.domain.errors import MalformedMessage
from xdsi.spec.audit_events import EMERGENCY_OVERRIDE
from xdsi.spec.namespaces import WSA_ANONYMOUS
from xdsi.wire import audit as audit_codec


def add(commands: Any) -> None:
    """Declare the commands."""
    explain = commands.add_parser(
        "explain",
        help="what happened in an exchange, and which rule decided",
        description="Show the steps of an exchange, and the rule that decided. Ask the node that answered: the trace "
        "is in its answer's header Xdsi-Trace, at the end of its errors, and in its audit records.",
    )
    explain.add_argument("trace", metavar="TRACE", help="32 hexadecimal digits")
    add_data(explain)
    explain.set_defaults(run=run_explain)
    actions = commands.add_parser("audit", help="the audit trail").add_subparsers(required=True, metavar="ACTION")
    search = actions.add_parser(
        "search",
        help="find audit records",
        description="Show audit records of this node and of those that send theirs here, newest last.",
    )
    search.add_argument("--patient", type=patient, metavar="CX", help="about this patient: ID^^^&OID&ISO")
    search.add_argument("--user", metavar="ID", help="of this user")
    search.add_argument("--trace", metavar="TRACE", help="of this exchange; records of other nodes have no trace")
    when = "ISO 8601, such as 2026-01-31T08:00; without an offset the time of this machine"
    search.add_argument("--since", type=_time, metavar="TIME", help=f"from this time on ({when})")
    search.add_argument("--until", type=_time, metavar="TIME", help="before this time")
    search.add_argument(
        "--outcome",
        type=int,
        choices=[int(one) for one in AuditOutcome],
        help="0 success, 4 minor failure (such as a refused resource), 8 serious failure, 12 major failure",
    )
    search.add_argument(
        "--emergencies",
        action="store_true",
        help="only emergencies that overrode consent, with their reasons: for patients and the data protection officer",
    )
    search.add_argument("--limit", type=int, default=200, help="how many at most, the newest; default %(default)s")
    add_data(search)
    search.set_defaults(run=run_search)
    verify = actions.add_parser(
        "verify",
        help="check that no record was removed or changed",
        description="Walk all chains of the audit trail of this node; exit status 1 where one is broken. Each process "
        "has chains of its own, and links, which `audit search` does not show, bind them together.",
    )
    add_data(verify)
    verify.set_defaults(run=run_verify)


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-01-31T08:00:00+01:00") from error


def run_explain(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show the steps of an exchange."""
    with kept(given, load) as parts:
        records = parts.traces.find(given.trace)
        folder = parts.data.resolve()
    for record in records:
        # An attempt that was no message of a transaction has none.
        transaction = record["transaction"] if "-" in record["transaction"] else "no transaction"
        about = (record["at"], transaction, "from", record["node"], record["user"], record["peer"])
        terminal.table(
            " ".join(filter(None, about)),
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
    message = "" if records else f"no trace {given.trace} in {folder}; the node that answered keeps it"
    return Result(ok=bool(records), items=records, message=message)


def run_search(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show audit records, newest last."""
    with kept(given, load) as parts:
        records = parts.trail.search(
            patient=given.patient.cx if given.patient else "",
            user=given.user or "",
            since=given.since,
            until=given.until,
            outcome=given.outcome,
            trace=given.trace or "",
            transaction=EMERGENCY_OVERRIDE.code if given.emergencies else "",
            limit=given.limit,
        )
    items = [_item(record) for record in records]
    terminal.table(
        counted(len(items), "audit record"),
        ["time", "node", "transaction", "event", "outcome", "user", "patient", "trace", "reason"],
        [_row(item) for item in items],
    )
    at_limit = len(items) >= given.limit
    return Result(items=items, message="only the newest are shown; --limit shows more" if at_limit else "")


def _item(record: TrailRecord) -> dict[str, Any]:
    node, event, told = record.peer, "", ""
    with suppress(MalformedMessage):  # another node's text is evidence whatever it says
        decoded = audit_codec.decode(record.xml)
        node = decoded.source.source_id
        what = decoded.types[0] if decoded.types and "-" not in record.transaction else decoded.event
        event = what.display or what.code
        told = decoded.outcome_description
    return {
        "record": record.id,
        "time": record.time.isoformat(timespec="milliseconds"),
        "node": node,
        "direction": record.direction,
        "transaction": record.transaction,
        "event": event,
        "outcome": record.outcome,
        "told": told,
        "user": record.user_id,
        "patient": record.patient,
        "trace": record.trace,
    }


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    return (
        item["time"],
        item["node"],
        # A code that is no transaction is that of the event, which has a name.
        item["transaction"] if "-" in item["transaction"] else "",
        item["event"],
        "success" if item["outcome"] == AuditOutcome.SUCCESS else f"failure {item['outcome']}",
        # What a process is called on the wire where no person asks.
        "" if item["user"] == WSA_ANONYMOUS else item["user"],
        item["patient"],
        item["trace"],
        # Of a success it is why consent was overridden, or what was changed.
        item["told"].partition(" [trace")[0],
    )


def run_verify(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Walk the chains."""
    with kept(given, load) as parts:
        report = parts.trail.verify()
    items = [
        {
            "finding": _sentence(finding),
            "tampering": str(finding.tampering),
            "chain": finding.chain,
            "first": finding.sequence,
            "last": finding.last_sequence,
        }
        for finding in report.findings
    ]
    state = "; ".join(str(item["finding"]) for item in items) or "whole"
    told = report.records - report.links
    message = (
        f"{counted(report.records, 'record')} in {counted(report.chains, 'chain')}, {told} of what happened and "
        f"{counted(report.links, 'link')} between chains: {state}"
    )
    return Result(ok=report.intact, items=items, message=message)


def _sentence(finding: Finding) -> str:
    """What is wrong, and where in the trail."""
    first, last = finding.sequence, finding.last_sequence
    place = f", place {first}" if first == last else f", places {first} to {last}"
    return f"{finding.detail} [{finding.tampering}: chain {finding.chain}{place if last else ''}]"
