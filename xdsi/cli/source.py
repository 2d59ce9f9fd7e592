"""`xdsi publish`, `xdsi source`: the hospital's everyday work."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from xdsi import app
from xdsi.actors.manifest_publisher import Result as PublishedResult
from xdsi.actors.study_publisher import Considered
from xdsi.cli.command import LoadSettings, Result, Terminal
from xdsi.cli.keep import code
from xdsi.cli.kept import add_data, kept
from xdsi.domain.outcome import Problem
from xdsi.rules.publication import modalities_of


def add(commands: Any) -> None:
    """Declare the commands."""
    publish = commands.add_parser("publish", help="publish manifests of studies (RAD-68), or announce them (ITI-61)")
    publish.add_argument("studies", nargs="*", metavar="STUDY", help="Study Instance UIDs; none: all that changed")
    publish.add_argument(
        "--confidentiality", type=code, action="append", default=[], metavar="CODE^NAME^OID",
        help="instead of those of its last manifest, at first normal; may be given several times",
    )  # fmt: skip
    publish.add_argument("--again", action="store_true", help="also what has not changed")
    publish.add_argument("--dry-run", action="store_true", help="say what would be published and why; send nothing")
    publish.add_argument(
        "--whatever-the-rule", action="store_true", help="also what the settings ([publishing]) do not choose"
    )
    publish.set_defaults(run=run_publish)
    source = commands.add_parser("source", help="the queue of studies to be published")
    actions = source.add_subparsers(dest="action", required=True, metavar="ACTION")
    queue = actions.add_parser("queue", help="show the queue, and what was set aside with the reason")
    queue.add_argument("--dead", action="store_true", help="only what was set aside")
    queue.add_argument(
        "--retry", nargs="*", metavar="STUDY", help="try these at once; without STUDY all that were set aside"
    )
    add_data(queue)
    queue.set_defaults(run=run_queue)
    reconcile = actions.add_parser("reconcile", help="compare archive, record and registry, and repair what differs")
    reconcile.add_argument("--dry-run", action="store_true", help="only say what differs")
    reconcile.set_defaults(run=run_reconcile)


def run_publish(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Publish studies of this hospital, or say which would be."""
    with app.one_command(load()) as parts:
        publisher, pacs = parts.study_publisher, parts.pacs
        if parts.announces_on_demand and given.confidentiality:
            return Result(ok=False, message="--confidentiality is for manifests, not for what is made on demand")
        uids = given.studies or sorted({state.study_instance_uid for state in pacs.states()})
        # A registry refuses a code without a name.
        codes = tuple(replace(one, display=one.display or one.code) for one in given.confidentiality)

        def consider(uid: str) -> Considered:
            regardless = given.whatever_the_rule
            if given.dry_run:
                return publisher.plan(uid, again=given.again, whatever_the_rule=regardless)
            return publisher.publish(uid, confidentiality_codes=codes, again=given.again, whatever_the_rule=regardless)

        with terminal.progress() as progress:
            results = [consider(uid) for uid in progress.track(uids, description="publishing")]
        skipped = [{"skipped": place, "reason": reason} for place, reason in pacs.skipped()]
    items = [_item(one) for one in results]
    terminal.table(
        "Would be published" if given.dry_run else "Published",
        ["study", "result", "instances", "why"],
        [(one["study"], one["result"], str(one["instances"]), _why(one)) for one in items],
    )
    for one in skipped:
        terminal.say(f"skipped {one['skipped']}: {one['reason']}")
    failed = [
        item
        for item, one in zip(items, results, strict=True)
        # Who names a study wants it published.
        if item["result"] not in _DONE and (given.studies or one.published is not None)
    ]
    missing = [item["study"] for item in failed if item["result"] == _MISSING]
    others = [f"{item['study']}: {item['result']}, {_why(item)}" for item in failed if item["result"] != _MISSING]
    message = "; ".join([f"{_MISSING}: {', '.join(missing)}"] * bool(missing) + others)
    # Whoever names studies wants to hear of those; the rest is said to people only.
    return Result(ok=not failed, items=items if given.studies else [*items, *skipped], message=message)


def run_queue(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show the queue, or let studies be tried again."""
    with kept(given, load) as parts:
        queue = parts.publication_queue
        if given.retry is not None:
            found = queue.retry(given.retry, now=time.time())
            unknown = sorted(set(given.retry) - set(found))
            message = f"not in the queue: {', '.join(unknown)}" if unknown else f"{len(found)} to be tried again"
            return Result(ok=not unknown, items=[{"study": uid} for uid in found], message=message)
        jobs = [job for job in queue.jobs() if job.state == "dead" or not given.dead]
    items: list[dict[str, Any]] = [
        {
            "study": job.study_instance_uid,
            "state": job.state,
            "due": datetime.fromtimestamp(job.due, UTC).isoformat(timespec="seconds"),
            "since": datetime.fromtimestamp(job.since, UTC).isoformat(timespec="seconds"),
            "attempts": job.attempts,
            "origin": job.origin,
            "reason": job.reason,
        }
        for job in jobs
    ]
    terminal.table(
        "Queue",
        ["study", "state", "due", "attempts", "origin", "reason"],
        [(one["study"], one["state"], one["due"], str(one["attempts"]), one["origin"], one["reason"]) for one in items],
    )
    return Result(items=items)


def run_reconcile(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Find what differs, and repair it at once."""
    with app.Parts(load()) as parts:
        reconciliation = parts.reconciliation()
        asked = reconciliation.registry is not None
        findings = list(reconciliation.findings())
        left: dict[str, str] = {}
        if not given.dry_run and findings:
            reconciliation.repair(findings)
            wanted = {one.study_instance_uid for one in findings if one.repair}
            for job in parts.publication_queue.jobs():
                if job.study_instance_uid in wanted:
                    parts.publication_worker.do(job)
            left = {
                job.study_instance_uid: job.reason or "it waits for its turn"
                for job in parts.publication_queue.jobs()
                if job.study_instance_uid in wanted
            }
    items: list[dict[str, Any]] = [
        {
            "study": one.study_instance_uid,
            "finding": one.what,
            "repair": one.repair,
            "result": "" if given.dry_run or not one.repair else left.get(one.study_instance_uid, "done"),
        }
        for one in findings
    ]
    terminal.table(
        "Differences",
        ["study", "finding", "repair", "result"],
        [(one["study"], one["finding"], one["repair"], one["result"]) for one in items],
    )
    told = "" if items else "nothing differs"
    if not asked:
        unasked = "the registry was not asked: imaging_source.registry_url is not set"
        told = f"{told}; {unasked}" if told else unasked
    return Result(ok=given.dry_run or not left, items=items, message=told)


_MISSING = "not in the PACS"
_DONE = {
    PublishedResult.PUBLISHED,
    PublishedResult.ANNOUNCED,
    PublishedResult.REPLACED,
    PublishedResult.UNCHANGED,
}


def _item(one: Considered) -> dict[str, Any]:
    done = one.published
    nothing = "withheld" if one.withheld else "not chosen" if one.study is not None else _MISSING
    return {
        "study": one.study_instance_uid,
        "result": str(done.result) if done is not None else nothing,
        "reasons": list(one.verdict.reasons),
        "patient": one.study.patient.id if one.study is not None else "",
        "date": one.study.date if one.study is not None else "",
        "modalities": modalities_of(one.study) if one.study is not None else [],
        "document": done.unique_id if done is not None else "",
        "entry": done.entry_uuid if done is not None else "",
        "instances": sum(1 for _ in one.study.instances) if one.study is not None else 0,
        "trace": done.trace if done is not None else "",
        "problems": _problems(done.problems) if done is not None else [],
    }


def _why(item: dict[str, Any]) -> str:
    told = [
        problem["context"] if problem["severity"] == "error" else f"{problem['severity']}: {problem['context']}"
        for problem in item["problems"]
    ]
    return "; ".join(told) or "; ".join(item["reasons"])


def _problems(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [
        {
            "severity": p.severity.name.lower(),
            "code": p.code,
            "context": p.context,
            "location": p.location,
            "rule": p.rule,
        }
        for p in problems
    ]
