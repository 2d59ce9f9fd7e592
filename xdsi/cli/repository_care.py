"""`xdsi repository verify`, `xdsi repository migrate`: whether every document is whole, and moving them elsewhere."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from xdsi import app
from xdsi.app import document_store
from xdsi.cli.command import LoadSettings, Result, Terminal, counted
from xdsi.cli.kept import add_data, kept
from xdsi.storage.document_check import LOCKED, MISSING, examine
from xdsi.storage.moving import move


def add(actions: Any) -> None:
    """Declare the actions of `xdsi repository`."""
    verify = actions.add_parser(
        "verify",
        help="hash every document anew",
        description="Hash every document anew and look for bytes that no document is made of, while the server runs. "
        "What is rotten goes into quarantine. Exit status 1 where something is missing, rotten, unreadable, locked or "
        "extra.",
    )
    add_data(verify)
    verify.set_defaults(run=run_verify)
    migrate = actions.add_parser(
        "migrate",
        help="copy every document to another store, or to the current key",
        description="Copy every document that is not in the store URL yet, or is encrypted there with an older key, "
        "and read each copy back, while the server runs. Nothing is removed; a run that was broken off goes on. Where "
        "the server is to write to URL already, name it repository.store and the old one in repository.former_stores.",
    )
    migrate.add_argument(
        "--to", default="", metavar="URL", help="file:///path or s3://bucket/prefix; default: the store"
    )
    migrate.set_defaults(run=run_migrate)


def run_verify(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Examine the store."""
    with kept(given, load) as parts, terminal.progress() as progress:
        task = progress.add_task("documents", total=parts.documents.index.count())
        found = list(examine(parts.documents, parts.blobs, lambda: progress.advance(task)))
        documents = int(progress.tasks[0].completed)
    items = [{"finding": one.kind, "name": one.name} for one in found]
    terminal.table("", ["finding", "name"], [(one.kind, one.name) for one in found])
    kinds = Counter(one.kind for one in found)
    state = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "all whole, nothing extra"
    if documents and kinds[MISSING] == documents:
        state += "; is this the store they were put into? repository.store and repository.former_stores name it"
    if kinds[LOCKED]:
        state += "; extra bytes were not looked for, because only the missing key tells them apart"
    return Result(ok=not found, items=items, message=f"{counted(documents, 'document')}: {state}")


def run_migrate(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Copy to another store."""
    settings = load()
    with app.Parts(settings) as parts:
        places = [parts.store_location, *parts.former_locations]
        place = parts.store_location
        if given.to:
            place = document_store.location(given.to, settings.repository, parts.data, key="--to")
        target = parts.newest_blobs if place == parts.store_location else parts.blobs_at(place)
        sources = [parts.blobs_at(one) for one in places if one != place]
        try:
            with terminal.progress() as progress:
                task = progress.add_task("documents", total=parts.documents.index.count())
                moved = move(parts.documents.index, sources, target, lambda: progress.advance(task))
        finally:
            for one in (*sources, target):
                one.close()
    items = [{"document": unique_id, "problem": problem} for unique_id, problem in moved.failed]
    terminal.table("", ["document", "problem"], moved.failed)
    message = f"{counted(moved.copied, 'document')} copied, {moved.present} there already, {len(moved.failed)} failed"
    return Result(ok=not moved.failed, items=items, message=message)
