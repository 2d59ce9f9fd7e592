"""`xdsi repository hold add`, `hold remove`, `hold list`: keep documents and records from being removed."""

from __future__ import annotations

import argparse
import getpass
from datetime import UTC, datetime
from typing import Any

from xdsi import app
from xdsi.cli import repository_care
from xdsi.cli.command import LoadSettings, Result, Terminal
from xdsi.cli.keep import patient
from xdsi.cli.kept import add_data, kept
from xdsi.domain.holds import HeldKind, Hold
from xdsi.domain.metadata import DocumentEntry
from xdsi.rules import hold_audit


def add(commands: Any) -> None:
    """Declare the commands."""
    actions = commands.add_parser("repository", help="the documents kept here").add_subparsers(
        required=True, metavar="ACTION"
    )
    repository_care.add(actions)
    holds = actions.add_parser("hold", help="legal holds: what nobody may remove").add_subparsers(
        required=True, metavar="ACTION"
    )
    place = holds.add_parser(
        "add",
        help="place a hold",
        description="Keep a document, or everything of a patient, from being removed by ITI-62 and ITI-86. Who placed "
        "the hold and why goes into the audit trail.",
    )
    what = place.add_mutually_exclusive_group(required=True)
    what.add_argument("entry", nargs="?", metavar="ENTRY", help="a document: its uniqueId or an entryUUID")
    what.add_argument("--patient", type=patient, metavar="CX", help="everything of this patient: ID^^^&OID&ISO")
    place.add_argument("--reason", required=True, metavar="TEXT", help="why, such as the case it is needed for")
    place.add_argument("--until", type=_time, metavar="TIME", help="when it ends by itself (ISO 8601); default: never")
    place.set_defaults(run=run_add)
    end = holds.add_parser("remove", help="end a hold")
    end.add_argument("number", type=int, metavar="NUMBER", help="of the hold, as `hold list` shows it")
    end.add_argument("--reason", required=True, metavar="TEXT", help="why it ends")
    end.set_defaults(run=run_remove)
    for one in (place, end):
        one.add_argument("--by", default="", metavar="NAME", help="who asked for it; default: the user of the system")
    listing = holds.add_parser("list", help="show the holds")
    add_data(listing)
    listing.set_defaults(run=run_list)


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-01-31T08:00:00+01:00") from error


def run_add(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Place a hold on something that is here."""
    now = datetime.now(UTC)
    settings = load()
    with app.one_command(settings) as parts:
        key: int | None = None
        if given.patient is not None:
            with parts.registry.reading() as session:
                key = session.patient_key(given.patient)
            if key is None:
                raise LookupError(f"patient {given.patient.cx} is not known here")
        hold = Hold(
            kind=HeldKind.PATIENT if given.patient is not None else HeldKind.DOCUMENT,
            target=given.patient.cx if given.patient is not None else _document(given.entry, parts),
            reason=given.reason,
            placed_by=given.by or getpass.getuser(),
            placed_at=now,
            until=given.until,
        )
        placed = parts.holds.add(hold, key, lambda one: hold_audit.placed(parts.site, now, one))
    message = f"hold {placed.number} is placed on {placed.kind} {placed.target}"
    if "registry" not in settings.server.actors:
        message += "; it does not keep metadata: place it at the registry, too"
    elif "repository" not in settings.server.actors:
        # A repository alone knows documents and nobody whose they are.
        what = "it" if hold.kind is HeldKind.DOCUMENT else "one on each of the patient's documents"
        message += f"; it does not keep documents: place {what} at the repository, too"
    return Result(items=[_item(placed)], message=message)


def _document(entry: str, parts: app.Parts) -> str:
    """The uniqueId that an ENTRY means; LookupError for what is neither stored nor registered here."""
    with parts.registry.reading() as session:
        registered = session.objects([entry]).get(entry)
        if isinstance(registered, DocumentEntry):
            return registered.unique_id
        if session.entries_by_unique_id([entry]) or parts.documents.find(entry) is not None:
            return entry
    raise LookupError(f"no document {entry} is here")


def run_remove(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """End a hold."""
    if not given.reason.strip():
        raise LookupError("a reason is needed")
    by, now = given.by or getpass.getuser(), datetime.now(UTC)
    with app.one_command(load()) as parts:
        ended = parts.holds.remove(
            given.number, lambda one: hold_audit.ended(parts.site, now, one, by, given.reason.strip())
        )
    return Result(items=[_item(ended)], message=f"hold {ended.number} on {ended.kind} {ended.target} is ended")


def run_list(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show the holds, those that have ended by themselves included."""
    with kept(given, load) as parts:
        items = [_item(one) for one in parts.holds.all()]
    columns = ["number", "kind", "target", "reason", "placed_by", "placed_at", "until"]
    terminal.table("Holds", columns, [[str(item[name]) for name in columns] for item in items])
    return Result(items=items)


def _item(hold: Hold) -> dict[str, Any]:
    return {
        "number": hold.number,
        "kind": str(hold.kind),
        "target": hold.target,
        "reason": hold.reason,
        "placed_by": hold.placed_by,
        "placed_at": hold.placed_at.isoformat(timespec="seconds"),
        "until": hold.until.isoformat(timespec="seconds") if hold.until is not None else "",
    }
