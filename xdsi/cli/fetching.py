"""`xdsi fetch`: manifests and all that they name, from wherever the settings say that it is."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xdsi import app
from xdsi.actors.image_fetcher import Arrived
from xdsi.actors.imaging_document_consumer import Found, ImagingDocumentConsumer
from xdsi.app.pacs import image_push
from xdsi.cli import pushing
from xdsi.cli.command import LoadSettings, Result, Terminal, counted, why
from xdsi.domain.errors import MalformedMessage, Refused, Unavailable, XdsiError
from xdsi.domain.identifiers import is_entry_uuid
from xdsi.domain.imaging import Instance, Manifest
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.wado import PNG, View
from xdsi.spec import imaging_codes, mado, uuids
from xdsi.storage.fetched_folder import FetchedFolder, name_of
from xdsi.transport.image_push import ImagePush
from xdsi.wire import contact_sheet
from xdsi.wire.file_set import write_file_set

MANIFESTS = {imaging_codes.MANIFEST_FORMAT[0]: "manifest.kos.dcm", mado.FHIR_FORMAT[0]: "manifest.fhir.json"}
"""formatCode -> the file that the manifest is written to"""
_THUMBNAILS = 64


def add(commands: Any) -> None:
    """Declare the command."""
    fetch = commands.add_parser("fetch", help="retrieve manifests and the images they name (ITI-43; RAD-69 or RAD-107)")
    fetch.add_argument("entries", nargs="+", metavar="ENTRY", help="entryUUID or uniqueId")
    fetch.add_argument(
        "--out", type=Path, required=True, metavar="DIR",
        help="folder to write to; what lies there of an earlier attempt is not fetched again",
    )  # fmt: skip
    fetch.add_argument("--by", choices=("rad69", "wado-rs"), default="rad69", help="preferred where a source has both")
    fetch.add_argument("--workers", type=int, default=4, metavar="N", help="requests at the same time")
    fetch.add_argument("--dicomdir", type=Path, metavar="DIR", help="also write the images as a File-set with DICOMDIR")
    fetch.add_argument("--contact-sheet", type=Path, metavar="FILE", help="also write small pictures of them (PNG)")
    pushing.add(fetch)
    fetch.set_defaults(run=run_fetch)


@dataclass(slots=True)
class Fetched:
    """What one command brought."""

    items: list[dict[str, Any]] = field(default_factory=list)
    images: list[tuple[Arrived, Path]] = field(default_factory=list)
    modalities: dict[str, str] = field(default_factory=dict)
    """series -> what a contact sheet says of it"""


def run_fetch(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Write documents, and the images of manifests, into a folder; all that was listed has to be there."""
    if given.workers < 1:
        return Result(ok=False, message="--workers is 1 or more")
    if wrong := pushing.complaint(given):
        return Result(ok=False, message=wrong)
    fetched = Fetched()
    settings = load()
    # Told before anything is fetched: a folder takes no images.
    way = image_push(settings) if given.push else None
    with app.one_command(settings) as parts:
        for wanted in given.entries:
            try:
                found = _find(parts.consumer, wanted)
                fetched.items.extend(
                    {"entry": wanted, "problem": f"{p.code}: {p.context}"} for p in found.outcome.errors
                )
                if not found.entries and found.outcome.accepted:
                    fetched.items.append(_not_found(wanted, found.trace))
                for entry in found.entries:
                    _fetch(parts, entry, given, fetched, terminal, way)
            except (XdsiError, LookupError) as error:
                # One that cannot be had does not keep the others.
                fetched.items.append({"entry": wanted, "problem": why(error, settings)})
        _afterwards(parts, given, fetched, terminal)
    failed = [item for item in fetched.items if item.get("problem")]
    terminal.table(
        "Fetched",
        ["file", "bytes", "problem"],
        [
            (str(i.get("file", i.get("entry", ""))), str(i.get("bytes", "")), i.get("problem", ""))
            for i in fetched.items
        ],
    )
    missing = sum(1 for item in failed if item.get("instance"))
    message = f"{counted(missing, 'image')} of those listed did not arrive" if missing else ""
    return Result(ok=not failed, items=fetched.items, message=message)


def _not_found(wanted: str, trace: str) -> dict[str, Any]:
    # Not there or not to be seen by who asks: the registry's operator can tell by the trace.
    told = f"not found [trace {trace}]" if trace else "not found"
    return {"entry": wanted, "problem": told} | ({"trace": trace} if trace else {})


def _find(consumer: ImagingDocumentConsumer, wanted: str) -> Found:
    name = "$XDSDocumentEntryEntryUUID" if is_entry_uuid(wanted) else "$XDSDocumentEntryUniqueId"
    return consumer.query(uuids.GET_DOCUMENTS, {name: ((wanted,),)})


def _fetch(
    parts: app.Parts,
    entry: DocumentEntry,
    given: argparse.Namespace,
    fetched: Fetched,
    terminal: Terminal,
    way: ImagePush | None,
) -> None:
    name = MANIFESTS.get(entry.format_code.code if entry.format_code else "")
    if name is None:
        fetched.items.extend(_fetch_document(parts.consumer, entry, given.out))
        return
    local = pushing.identity_for(parts, given, entry) if way is not None else None
    manifest, raw = parts.consumer.manifest(entry)
    shelf = FetchedFolder(given.out / name_of(manifest.study_instance_uid))
    file = shelf.path / name
    file.write_bytes(raw)
    fetched.items.append({"file": str(file), "document": entry.unique_id, "bytes": len(raw)})
    fetcher = replace(parts.image_fetcher, prefer_wado=given.by == "wado-rs", workers=given.workers)
    with terminal.progress() as progress:
        task = progress.add_task("images", total=sum(1 for _ in manifest.references))
        arrived = fetcher.fetch(manifest, shelf, lambda more: progress.advance(task, more))
    files: list[Path] = []
    for one in arrived:
        item: dict[str, Any] = {"instance": one.wanted.uid}
        if one.problem:
            item |= {"entry": one.wanted.uid, "problem": one.problem}
        else:
            path = shelf.file(one.wanted.uid)
            item |= {"file": str(path), "bytes": one.size}
            fetched.images.append((one, path))
            files.append(path)
        fetched.items.append(item)
    fetched.modalities.update(_captions(manifest))
    if way is not None and local is not None:
        fetched.items.extend(pushing.push(parts, way, files, local, terminal))


def _captions(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for number, series in enumerate(manifest.series, start=1):
        yield series.series_instance_uid, f"series {number}"


def _fetch_document(consumer: ImagingDocumentConsumer, entry: DocumentEntry, out: Path) -> Iterable[dict[str, Any]]:
    called = consumer.retrieve([entry])
    try:
        out.mkdir(parents=True, exist_ok=True)
        for retrieved in called.answer.documents:
            file = out / name_of(entry.unique_id)
            with file.open("wb") as target:
                size = sum(target.write(chunk) for chunk in retrieved.document.open())
            yield {"file": str(file), "document": entry.unique_id, "bytes": size}
        for problem in called.answer.outcome.errors:
            yield {"entry": problem.location, "problem": f"{problem.code}: {problem.context}"}
    finally:
        called.close()


def _afterwards(parts: app.Parts, given: argparse.Namespace, fetched: Fetched, terminal: Terminal) -> None:
    """What is made of the images once they are there."""
    files = [path for _, path in fetched.images]
    if given.dicomdir is not None and files:
        try:
            listing, left_out = write_file_set(files, given.dicomdir)
            fetched.items.append({"file": str(listing), "bytes": listing.stat().st_size})
            fetched.items.extend(
                {"entry": path.stem, "problem": f"not in the DICOMDIR: {why}"} for path, why in left_out
            )
        except (MalformedMessage, OSError) as error:
            fetched.items.append({"entry": str(given.dicomdir), "problem": str(error)})
    if given.contact_sheet is not None and files:
        with terminal.progress() as progress:
            chosen = _spread(fetched.images)
            thumbnails = list(
                progress.track(_thumbnails(parts, chosen, fetched), total=len(chosen), description="pictures")
            )
        given.contact_sheet.parent.mkdir(parents=True, exist_ok=True)
        with given.contact_sheet.open("wb") as target:
            contact_sheet.write_contact_sheet(thumbnails, target)
        fetched.items.append({"file": str(given.contact_sheet), "bytes": given.contact_sheet.stat().st_size})


def _spread(images: Sequence[tuple[Arrived, Path]]) -> list[tuple[Arrived, Path]]:
    """At most so many of the images, from all of their series and evenly over each."""
    groups: dict[str, list[tuple[Arrived, Path]]] = {}
    for image in images:
        groups.setdefault(image[0].wanted.series_uid, []).append(image)
    share = max(1, _THUMBNAILS // len(groups))
    chosen: list[tuple[Arrived, Path]] = []
    for group in groups.values():
        count = min(share, len(group))
        chosen.extend(group[(2 * number + 1) * len(group) // (2 * count)] for number in range(count))
    return chosen[:_THUMBNAILS]


def _thumbnails(
    parts: app.Parts, chosen: Sequence[tuple[Arrived, Path]], fetched: Fetched
) -> Iterator[contact_sheet.Thumbnail]:
    view = View(media_type=PNG, width=contact_sheet.SIDE, height=contact_sheet.SIDE)

    def made(image: tuple[Arrived, Path]) -> contact_sheet.Thumbnail:
        one, path = image
        caption = fetched.modalities.get(one.wanted.series_uid, "")
        instance = Instance(sop_class_uid="", sop_instance_uid=one.wanted.uid, locator=str(path))
        try:
            picture = b"".join(parts.fetched_pictures.rendered(instance, view).open())
        except (Refused, MalformedMessage, Unavailable, LookupError):
            return contact_sheet.Thumbnail(b"", f"{caption}: no picture")
        return contact_sheet.Thumbnail(picture, caption)

    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(made, chosen)
