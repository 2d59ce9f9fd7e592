"""`xdsi publish`: the hospital's everyday work."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from xdsi import app
from xdsi.actors.manifest_publisher import Result as PublishedResult
from xdsi.cli.command import LoadSettings, Result, Terminal
from xdsi.cli.keep import code
from xdsi.domain.outcome import Problem


def add(commands: Any) -> None:
    """Declare the commands."""
    publish = commands.add_parser("publish", help="publish manifests of studies (RAD-68), or announce them (ITI-61)")
    publish.add_argument("studies", nargs="*", metavar="STUDY", help="Study Instance UIDs; none: all that changed")
    publish.add_argument(
        "--confidentiality", type=code, action="append", default=[], metavar="CODE^NAME^OID",
        help="instead of those of its last manifest, at first normal; may be given several times",
    )  # fmt: skip
    publish.add_argument("--again", action="store_true", help="also what has not changed")
    publish.set_defaults(run=run_publish)


def run_publish(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Publish studies of this hospital."""
    with app.Parts(load()) as parts:
        publisher, pacs = parts.publisher, parts.pacs
        if parts.announces_on_demand and given.confidentiality:
            return Result(ok=False, message="--confidentiality is for manifests, not for what is made on demand")
        uids = given.studies or sorted({state.study_instance_uid for state in pacs.states()})
        studies = {uid: pacs.reread(uid) for uid in given.studies}
        unknown = [uid for uid, study in studies.items() if study is None]
        if unknown:
            return Result(ok=False, message=f"not in the PACS: {', '.join(unknown)}", items=_skipped(pacs.skipped()))
        # A registry refuses a code without a name.
        codes = tuple(replace(one, display=one.display or one.code) for one in given.confidentiality)
        with terminal.progress() as progress:
            results = [
                parts.on_demand.announce(study, again=given.again)
                if parts.announces_on_demand
                else publisher.publish(study, confidentiality_codes=codes, again=given.again)
                for uid in progress.track(uids, description="publishing")
                if (study := pacs.study(uid)) is not None
            ]
        skipped = _skipped(pacs.skipped())
    items = [
        {
            "study": one.study_instance_uid,
            "result": str(one.result),
            "document": one.unique_id,
            "entry": one.entry_uuid,
            "instances": one.instances,
            "trace": one.trace,
            "problems": _problems(one.problems),
        }
        for one in results
    ]
    terminal.table(
        "Published",
        ["study", "result", "instances", "problems"],
        [
            (one.study_instance_uid, str(one.result), str(one.instances), "; ".join(p.context for p in one.problems))
            for one in results
        ],
    )
    for one in skipped:
        terminal.say(f"skipped {one['skipped']}: {one['reason']}")
    done = {
        PublishedResult.PUBLISHED,
        PublishedResult.ANNOUNCED,
        PublishedResult.REPLACED,
        PublishedResult.UNCHANGED,
    }
    failed = [one for one in results if one.result not in done]
    message = "; ".join(
        f"{one.study_instance_uid}: {one.result}" + "".join(f", {p.code}: {p.context}" for p in one.problems)
        for one in failed
    )
    # Whoever names studies wants to hear of those; the rest is said to people only.
    return Result(ok=not failed, items=items if given.studies else [*items, *skipped], message=message)


def _skipped(found: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"skipped": place, "reason": reason} for place, reason in found]


def _problems(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [{"code": p.code, "context": p.context, "location": p.location, "rule": p.rule} for p in problems]
