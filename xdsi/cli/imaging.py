"""`xdsi publish`, `xdsi find`, `xdsi fetch`: the hospital's and the consumer's everyday work."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xdsi import app
from xdsi.actors.imaging_document_consumer import ImagingDocumentConsumer
from xdsi.actors.manifest_publisher import Published
from xdsi.actors.manifest_publisher import Result as PublishedResult
from xdsi.cli.command import LoadSettings, Result, Terminal
from xdsi.cli.keep import code, patient
from xdsi.domain.identifiers import is_entry_uuid
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Problem
from xdsi.spec import uuids

KOS_FORMAT = "1.2.840.10008.5.1.4.1.1.88.59"


def add(commands: Any) -> None:
    """Declare the commands."""
    publish = commands.add_parser("publish", help="publish the manifests of studies (RAD-68)")
    publish.add_argument("studies", nargs="*", metavar="STUDY", help="Study Instance UIDs; none: all that changed")
    publish.add_argument("--confidentiality", type=code, action="append", default=[], metavar="CODE^^OID")
    publish.add_argument("--again", action="store_true", help="also what has not changed")
    publish.set_defaults(run=run_publish)
    find = commands.add_parser("find", help="find the documents of a patient (ITI-18)")
    find.add_argument("patient", type=patient, metavar="PATIENT")
    find.set_defaults(run=run_find)
    fetch = commands.add_parser("fetch", help="retrieve manifests and the images they name (ITI-43, RAD-69)")
    fetch.add_argument("entries", nargs="+", metavar="ENTRY", help="entryUUID or uniqueId")
    fetch.add_argument("--out", type=Path, required=True, metavar="DIR")
    fetch.set_defaults(run=run_fetch)


def run_publish(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Publish studies of this hospital."""
    parts = app.Parts(load())
    publisher = parts.publisher
    parts.pacs.refresh()
    studies = {study.study_instance_uid: study for study in parts.pacs.studies()}
    unknown = [uid for uid in given.studies if uid not in studies]
    if unknown:
        return Result(ok=False, message=f"not in the PACS: {', '.join(unknown)}")
    results: list[Published] = []
    with terminal.progress() as progress:
        wanted = [studies[uid] for uid in given.studies] or list(studies.values())
        for study in progress.track(wanted, description="publishing"):
            results.append(
                publisher.publish(study, confidentiality_codes=tuple(given.confidentiality), again=given.again)
            )
    parts.trail.close()
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
    for path, reason in parts.pacs.skipped():
        terminal.say(f"skipped {path}: {reason}")
    done = {PublishedResult.PUBLISHED, PublishedResult.REPLACED, PublishedResult.UNCHANGED}
    return Result(ok=all(one.result in done for one in results), items=items)


def run_find(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show what may be seen of a patient."""
    parts = app.Parts(load())
    found = parts.consumer.find_documents(given.patient)
    parts.trail.close()
    items = [_item(entry) for entry in found.entries]
    terminal.table(
        f"{given.patient.cx}: {len(items)} documents",
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
    parts = app.Parts(load())
    consumer = parts.consumer
    items: list[dict[str, Any]] = []
    for wanted in given.entries:
        entries = _entries(consumer, wanted)
        if not entries:
            items.append({"entry": wanted, "problem": "not found"})
        for entry in entries:
            items.extend(_fetch(consumer, entry, given.out, terminal))
    parts.trail.close()
    failed = [item for item in items if item.get("problem")]
    terminal.table(
        "Fetched",
        ["file", "bytes", "problem"],
        [(str(i.get("file", i.get("entry", ""))), str(i.get("bytes", "")), i.get("problem", "")) for i in items],
    )
    return Result(ok=not failed, items=items)


def _entries(consumer: ImagingDocumentConsumer, wanted: str) -> tuple[DocumentEntry, ...]:
    name = "$XDSDocumentEntryEntryUUID" if is_entry_uuid(wanted) else "$XDSDocumentEntryUniqueId"
    return consumer.query(uuids.GET_DOCUMENTS, {name: ((wanted,),)}).entries


def _fetch(
    consumer: ImagingDocumentConsumer, entry: DocumentEntry, out: Path, terminal: Terminal
) -> Iterable[dict[str, Any]]:
    if entry.format_code is None or entry.format_code.code != KOS_FORMAT:
        yield from _fetch_document(consumer, entry, out)
        return
    manifest, raw = consumer.manifest(entry)
    folder = out / manifest.study_instance_uid
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.kos.dcm").write_bytes(raw)
    called = consumer.images(manifest)
    try:
        with terminal.progress() as progress:
            for retrieved in progress.track(called.answer.documents, description="images"):
                file = folder / f"{hashlib.sha256(retrieved.request.document_unique_id.encode()).hexdigest()[:32]}.dcm"
                size = 0
                with file.open("wb") as target:
                    for chunk in retrieved.document.open():
                        size += target.write(chunk)
                yield {"file": str(file), "instance": retrieved.request.document_unique_id, "bytes": size}
        for problem in called.answer.outcome.errors:
            yield {"entry": problem.location, "problem": f"{problem.code}: {problem.context}"}
    finally:
        called.close()


def _fetch_document(consumer: ImagingDocumentConsumer, entry: DocumentEntry, out: Path) -> Iterable[dict[str, Any]]:
    called = consumer.retrieve([entry])
    try:
        out.mkdir(parents=True, exist_ok=True)
        for retrieved in called.answer.documents:
            file = out / hashlib.sha256(entry.unique_id.encode()).hexdigest()[:32]
            file.write_bytes(b"".join(retrieved.document.open()))
            yield {"file": str(file), "document": entry.unique_id, "bytes": file.stat().st_size}
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


def _problems(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [{"code": p.code, "context": p.context, "location": p.location, "rule": p.rule} for p in problems]
