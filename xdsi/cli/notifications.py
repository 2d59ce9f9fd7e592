"""`xdsi notifications`: what patients and the data protection officer are told, and whether they were."""

from __future__ import annotations

import argparse
from typing import Any

from xdsi.cli.command import LoadSettings, Result, Terminal, counted
from xdsi.cli.keep import patient
from xdsi.cli.kept import add_data, kept
from xdsi.transport.notice_sender import send


def add(commands: Any) -> None:
    """Declare the commands."""
    actions = commands.add_parser(
        "notifications", help="emergencies that overrode consent: who was told of them"
    ).add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="notices, oldest first")
    listing.add_argument("--patient", type=patient, metavar="CX", help="about this patient: ID^^^&OID&ISO")
    listing.add_argument("--waiting", action="store_true", help="only those that were not sent")
    listing.add_argument("--limit", type=int, default=200, help="how many at most, the newest; default %(default)s")
    add_data(listing)
    listing.set_defaults(run=run_list)
    sending = actions.add_parser(
        "send", help="send now what waits", description="Send what waits; a running hub does so by itself."
    )
    add_data(sending)
    sending.set_defaults(run=run_send)


def run_list(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show notices."""
    about = given.patient.cx if given.patient else ""
    with kept(given, load) as parts:
        found = parts.notices.find(patient=about, waiting=given.waiting, limit=given.limit)
    items = [
        {
            "id": one.id,
            "recipient": one.recipient.value,
            "at": one.at.isoformat(),
            "patient": one.patient,
            "told": str(one.content.get("told", "")),
            "user": str(one.content.get("user", "")),
            "sent": one.sent_at.isoformat() if one.sent_at else "",
            "attempts": one.attempts,
            "reason": one.reason,
        }
        for one in found
    ]
    columns = ["id", "recipient", "at", "patient", "told", "user", "sent", "attempts", "reason"]
    terminal.table("notices", columns, [tuple(str(value) for value in item.values()) for item in items])
    return Result(items=items)


def run_send(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Send what waits."""
    with kept(given, load) as parts:
        if not parts.notice_destinations:
            return Result(ok=False, message="nobody is told: set notification.patient, notification.officer")
        arrived, failed = send(parts.notices, parts.notice_destinations)
    message = f"{counted(arrived, 'notice')} sent" + (f", {failed} did not arrive" if failed else "")
    return Result(ok=not failed, items=[{"sent": arrived, "failed": failed}], message=message)
