"""`xdsi patient add`, `merge`, `list`: tell the hub of patients, by ITI-44."""

from __future__ import annotations

import argparse
import re
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from xdsi import app
from xdsi.cli.command import LoadSettings, Result, Terminal
from xdsi.cli.keep import patient
from xdsi.cli.kept import add_data, kept
from xdsi.domain.identity import Application, Demographics, FeedEvent, PatientIdentityFeed, PersonName
from xdsi.exchange import call
from xdsi.settings import Settings
from xdsi.transactions import iti44_patient_identity_feed_v3 as iti44
from xdsi.wire import hl7_timestamp


def add(commands: Any) -> None:
    """Declare the commands."""
    actions = commands.add_parser("patient", help="patients of the domain").add_subparsers(
        required=True, metavar="ACTION"
    )
    url = "endpoint of the hub, such as https://127.0.0.1:8443/services/identity; without it this node's own store, "
    url += "where it runs a registry or an identity actor"
    new = actions.add_parser("add", help="announce a patient (ITI-44)")
    new.add_argument("patient", type=patient, metavar="PATIENT", help="ID^^^&OID&ISO")
    new.add_argument("--name", default="", metavar="FAMILY^GIVEN")
    new.add_argument("--birth-date", default="", type=birth_date, metavar="DATE", help="YYYY-MM-DD or YYYYMMDD")
    new.add_argument("--sex", default="", type=str.upper, choices=["F", "M", "O", "U"])
    new.add_argument("--url", default="", help=url)
    new.set_defaults(run=run_add)
    merge = actions.add_parser("merge", help="merge one identifier into another, for good")
    merge.add_argument("subsumed", type=patient, metavar="SUBSUMED", help="the identifier that ends: ID^^^&OID&ISO")
    merge.add_argument("survivor", type=patient, metavar="SURVIVOR", help="the one that stays")
    merge.add_argument("--url", default="", help=url)
    merge.set_defaults(run=run_merge)
    listing = actions.add_parser("list", help="identifiers this node knows")
    listing.add_argument("--limit", type=int, default=1000, help="how many at most; default %(default)s")
    add_data(listing)
    listing.set_defaults(run=run_list)


def birth_date(text: str) -> str:
    """Read `1970-01-31` or `19700131`, also without day or month, as YYYY[MM[DD]]; nothing stays nothing."""
    if not text:
        return ""
    form = re.fullmatch(r"\d{4}(?:-\d\d(?:-\d\d)?|\d\d(?:\d\d)?)?", text)
    digits = hl7_timestamp.read_date(text.replace("-", "")) if form else None
    if digits is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 1970-01-31 or 19700131")
    return digits


def run_add(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Announce one patient."""
    demographics = Demographics(
        name=PersonName.parse(given.name) if given.name else None,
        birth_date=given.birth_date or None,
        sex=given.sex or None,
    )
    settings = load()
    event = _event(settings, FeedEvent.ADD)
    return _send(settings, replace(event, patients=(given.patient,), demographics=demographics), given.url)


def run_merge(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Merge two identifiers, for good."""
    settings = load()
    event = _event(settings, FeedEvent.MERGE)
    return _send(settings, replace(event, patients=(given.survivor,), prior=(given.subsumed,)), given.url)


def run_list(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show the store of this node."""
    with kept(given, load) as parts:
        known = parts.identities.list(limit=given.limit)
    items = [
        {
            "patient": one.patient.cx,
            "status": str(one.status),
            "survivor": one.survivor.cx if one.survivor else "",
            "name": one.demographics.name.xpn if one.demographics.name else "",
        }
        for one in known
    ]
    terminal.table(
        "Patients", ["identifier", "status", "merged into", "name"], [tuple(item.values()) for item in items]
    )
    return Result(items=items)


def _event(settings: Settings, kind: FeedEvent) -> PatientIdentityFeed:
    return PatientIdentityFeed(
        kind=kind,
        patients=(),
        message_id=f"2.25.{secrets.randbits(120)}",
        sender=Application(settings.imaging_source.source_id, ""),
        receiver=Application(settings.domain.home_community_id.removeprefix("urn:oid:"), ""),
        created=datetime.now(UTC),
    )


def _send(settings: Settings, event: PatientIdentityFeed, url: str) -> Result:
    folder = settings.server.data_dir.resolve()
    if not url and not {"registry", "identity"} & set(settings.server.actors):
        actors = ", ".join(settings.server.actors) or "none"
        return Result(
            ok=False,
            message=f"nothing is done: this node runs neither registry nor identity (server.actors: {actors}), so "
            "nobody would ask its store; say which hub to tell: --url https://HUB/services/identity",
        )
    with app.one_command(settings) as parts:
        channel = parts.channel(url) if url else parts.own_identity_channel
        called = call(parts.client, iti44.BY_EVENT[event.kind], event, channel)
        called.close()
    answer = called.answer.answer
    problems = [{"code": p.code, "text": p.text, "rule": p.rule} for p in answer.problems]
    kept = f"accepted by {url}" if url else f"accepted, and kept in this node's own store in {folder}"
    message = "; ".join(p.text for p in answer.problems) or kept
    return Result(ok=answer.accepted, items=problems, message=message)
