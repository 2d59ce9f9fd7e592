"""`xdsi find`: what may be seen of a patient."""

from __future__ import annotations

import argparse
from typing import Any

from xdsi import app
from xdsi.cli.command import LoadSettings, Result, Terminal, counted, why
from xdsi.cli.keep import patient
from xdsi.domain.errors import SoapFault
from xdsi.domain.metadata import DocumentEntry


def add(commands: Any) -> None:
    """Declare the commands."""
    find = commands.add_parser("find", help="find the documents of a patient (ITI-18)")
    find.add_argument("patient", type=patient, metavar="PATIENT", help="ID^^^&OID&ISO")
    find.set_defaults(run=run_find)


def run_find(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show what may be seen of a patient."""
    settings = load()
    try:
        with app.one_command(settings) as parts:
            found = parts.consumer.find_documents(given.patient)
    except SoapFault as error:
        return Result(ok=False, message=why(error, settings))
    items = [_item(entry) for entry in found.entries]
    terminal.table(
        f"{given.patient.cx}: {counted(len(items), 'document')}, trace {found.trace}",
        ["title", "created", "format", "repository", "uniqueId", "entryUUID"],
        [
            (i["title"], i["creationTime"], i["formatCode"], i["repositoryUniqueId"], i["uniqueId"], i["entryUUID"])
            for i in items
        ],
    )
    errors = found.outcome.errors
    message = "; ".join(f"{p.code}: {p.context}" for p in errors)
    return Result(ok=not errors, items=items, message=message, trace=found.trace)


def _item(entry: DocumentEntry) -> dict[str, Any]:
    return {
        "entryUUID": entry.entry_uuid,
        "uniqueId": entry.unique_id,
        "title": entry.title,
        "creationTime": entry.creation_time,
        "formatCode": entry.format_code.code if entry.format_code else "",
        "repositoryUniqueId": entry.repository_unique_id,
        "confidentiality": [str(one) for one in entry.confidentiality_codes],
        "referenceIdList": list(entry.reference_ids),
        "size": entry.size,
    }
