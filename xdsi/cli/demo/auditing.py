"""The chapter on the audit trail."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from xdsi.wire import audit as audit_codec

if TYPE_CHECKING:
    from xdsi.cli.demo.story import Stage


def audit(stage: Stage) -> None:
    """Every exchange has its records at both ends; the hospitals' lie with the hub as well."""
    stage.steps.chapter("Audit trail")
    nodes = {name: stage.node(name).trail for name in ("hub", "hospital-a", "hospital-b", "consumer")}
    with stage.steps.step("records of the nodes that reached the hub", "all", "ITI-20") as step:
        step.got = _await_records(stage)
    traces = {trace for done in stage.steps.done for trace in done.traces if trace}
    with stage.steps.step("exchanges with records at both ends", f"{len(traces)} of {len(traces)}", "ITI-20") as step:
        # The records of the two ends differ in node or in event (Export here, Import there).
        ends: dict[str, set[tuple[str, str, str]]] = {trace: set() for trace in traces}
        for name, trail in nodes.items():
            for record in trail.search(limit=100_000):
                if record.trace in ends and "-" in record.transaction:
                    code = audit_codec.decode(record.xml).event.code
                    ends[record.trace].add((name, record.transaction, code))
        step.got = f"{sum(1 for found in ends.values() if len(found) >= 2)} of {len(traces)}"
    for name, trail in nodes.items():
        with stage.steps.step(f"chain of {name}", "whole", "ITI-20") as step:
            report = trail.verify()
            step.got = "whole" if report.intact else "; ".join(str(finding) for finding in report.findings)
    records = nodes["hub"].search(limit=100_000)
    shown: Counter[tuple[str, str, str, str]] = Counter()
    for number, record in enumerate(records, start=1):
        (stage.out / "audit" / f"{number:04d}-{record.transaction}.xml").write_bytes(record.xml)
        event = audit_codec.decode(record.xml)
        outcome = "success" if record.outcome == 0 else f"failure {record.outcome}"
        # What is no transaction is named by its type: a start, a refused node.
        transaction = record.transaction if "-" in record.transaction else ""
        what = event.event if transaction or not event.types else event.types[0]
        shown[transaction, what.display or what.code, event.source.source_id, outcome] += 1
    stage.terminal.table(
        f"{len(records)} audit records at the hub",
        ["transaction", "event", "reported by", "outcome", "records"],
        [(*key, str(count)) for key, count in sorted(shown.items())],
    )


def _await_records(stage: Stage) -> str:
    """Wait until the hub holds what the other nodes sent."""
    hub = stage.node("hub").trail
    until = time.monotonic() + 20
    missing: dict[str, int] = {}
    with stage.terminal.progress() as progress:
        task = progress.add_task("audit records on their way", total=None)
        while time.monotonic() < until:
            received = Counter(audit_codec.decode(record.xml).source.source_id for record in hub.search(limit=100_000))
            missing = {}
            for name in ("hospital-a", "hospital-b", "consumer"):
                own = sum(1 for record in stage.node(name).trail.search(limit=100_000) if record.direction == "sent")
                if received[name] < own:
                    missing[name] = own - received[name]
            if not missing:
                return "all"
            progress.advance(task)
            time.sleep(0.3)
    return ", ".join(f"{count} of {name} missing" for name, count in missing.items())
