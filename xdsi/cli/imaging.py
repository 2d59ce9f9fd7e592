"""`xdsi find`, `xdsi fetch`: the consumer's everyday work."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xdsi import app
from xdsi.actors.imaging_document_consumer import Found, ImagingDocumentConsumer, locations_of
from xdsi.cli.command import LoadSettings, Result, Terminal, counted
from xdsi.cli.keep import patient
from xdsi.domain.errors import XdsiError
from xdsi.domain.identifiers import is_entry_uuid, is_oid
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.submission import Document
from xdsi.spec import imaging_codes, mado, uuids

_MANIFESTS = {imaging_codes.MANIFEST_FORMAT[0]: "manifest.kos.dcm", mado.FHIR_FORMAT[0]: "manifest.fhir.json"}
"""formatCode -> the file that the manifest is written to"""


def add(commands: Any) -> None:
    """Declare the commands."""
    find = commands.add_parser("find", help="find the documents of a patient (ITI-18)")
    find.add_argument("patient", type=patient, metavar="PATIENT", help="ID^^^&OID&ISO")
    find.set_defaults(run=run_find)
    fetch = commands.add_parser("fetch", help="retrieve manifests and the images they name (ITI-43, RAD-69)")
    fetch.add_argument("entries", nargs="+", metavar="ENTRY", help="entryUUID or uniqueId")
    fetch.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    fetch.set_defaults(run=run_fetch)


def run_find(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show what may be seen of a patient."""
    with app.Parts(load()) as parts:
        found = parts.consumer.find_documents(given.patient)
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
    return Result(ok=not errors, items=items, message=message)


def run_fetch(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Write documents, and the images of manifests, into a folder."""
    items: list[dict[str, Any]] = []
    with app.Parts(load()) as parts:
        for wanted in given.entries:
            try:
                found = _find(parts.consumer, wanted)
                items.extend({"entry": wanted, "problem": f"{p.code}: {p.context}"} for p in found.outcome.errors)
                if not found.entries and found.outcome.accepted:
                    items.append({"entry": wanted, "problem": "not found"})
                for entry in found.entries:
                    items.extend(_fetch(parts.consumer, entry, given.out, terminal))
            except (XdsiError, LookupError) as error:
                # One that cannot be had does not keep the others.
                items.append({"entry": wanted, "problem": str(error)})
    failed = [item for item in items if item.get("problem")]
    terminal.table(
        "Fetched",
        ["file", "bytes", "problem"],
        [(str(i.get("file", i.get("entry", ""))), str(i.get("bytes", "")), i.get("problem", "")) for i in items],
    )
    return Result(ok=not failed, items=items)


def _find(consumer: ImagingDocumentConsumer, wanted: str) -> Found:
    name = "$XDSDocumentEntryEntryUUID" if is_entry_uuid(wanted) else "$XDSDocumentEntryUniqueId"
    return consumer.query(uuids.GET_DOCUMENTS, {name: ((wanted,),)})


def _fetch(
    consumer: ImagingDocumentConsumer, entry: DocumentEntry, out: Path, terminal: Terminal
) -> Iterable[dict[str, Any]]:
    name = _MANIFESTS.get(entry.format_code.code if entry.format_code else "")
    if name is None:
        yield from _fetch_document(consumer, entry, out)
        return
    manifest, raw = consumer.manifest(entry)
    folder = out / _name(manifest.study_instance_uid)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_bytes(raw)
    yield {"file": str(file), "document": entry.unique_id, "bytes": len(raw)}
    for location in locations_of(manifest):
        called = consumer.images(manifest, location=location)
        try:
            with terminal.progress() as progress:
                for retrieved in progress.track(called.answer.documents, description="images"):
                    uid = retrieved.request.document_unique_id
                    file = folder / f"{_name(uid)}.dcm"
                    yield {"file": str(file), "instance": uid, "bytes": _write(retrieved.document, file)}
            for problem in called.answer.outcome.errors:
                yield {"entry": problem.location, "problem": f"{problem.code}: {problem.context}"}
        finally:
            called.close()


def _name(uid: str) -> str:
    """A file name for a UID: itself where it is one, else nothing that came from elsewhere."""
    return uid if is_oid(uid) else hashlib.sha256(uid.encode()).hexdigest()[:32]


def _write(document: Document, file: Path) -> int:
    with file.open("wb") as target:
        return sum(target.write(chunk) for chunk in document.open())


def _fetch_document(consumer: ImagingDocumentConsumer, entry: DocumentEntry, out: Path) -> Iterable[dict[str, Any]]:
    called = consumer.retrieve([entry])
    try:
        out.mkdir(parents=True, exist_ok=True)
        for retrieved in called.answer.documents:
            file = out / _name(entry.unique_id)
            yield {"file": str(file), "document": entry.unique_id, "bytes": _write(retrieved.document, file)}
        for problem in called.answer.outcome.errors:
            yield {"entry": problem.location, "problem": f"{problem.code}: {problem.context}"}
    finally:
        called.close()


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
