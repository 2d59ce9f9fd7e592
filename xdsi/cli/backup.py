"""`xdsi backup`, `xdsi restore`: everything a node keeps, into a folder and back."""

from __future__ import annotations

import argparse
import getpass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH
from pathlib import Path
from typing import Any, Final

from rich.progress import Progress
from sqlalchemy.engine import make_url

from xdsi import app
from xdsi.cli.command import LoadSettings, Result, Terminal, counted
from xdsi.cli.kept import add_data, chosen, kept
from xdsi.domain.errors import Refused
from xdsi.rules import backup_audit
from xdsi.storage import backup, restore
from xdsi.storage.files import locked

_NAMED: Final = 10
"""how many documents a message names; backup.json has all"""


def add(commands: Any) -> None:
    """Declare the commands."""
    take = commands.add_parser(
        "backup",
        help="copy registry, repository, consents and audit trail into a folder",
        description="Copy everything this node keeps into DIR, while it serves: one snapshot of the database, and the "
        "documents that it names. Settings, certificates and keys are not among it. Documents lie there as they were "
        "submitted: keep DIR where patients' data may be.",
    )
    take.add_argument("folder", type=Path, metavar="DIR", help="a new or empty folder")
    add_data(take)
    take.set_defaults(run=run_backup)
    put = commands.add_parser(
        "restore",
        help="put a backup back",
        description="Put back what `xdsi backup` copied, while the node does not serve. Each file is verified by its "
        "hash, and the chains of the audit trail are walked at the end.",
    )
    put.add_argument("folder", type=Path, metavar="DIR", help="what `xdsi backup` made")
    put.add_argument(
        "--force",
        action="store_true",
        help="also where something is kept already, which is lost, or other files are, which stay",
    )
    add_data(put)
    put.set_defaults(run=run_restore)


def run_backup(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Take a backup."""
    with kept(given, load) as parts:
        settings, engine, by = parts.settings, parts.engine, getpass.getuser()
        about = {
            "repository": settings.repository.unique_id,
            "home": settings.domain.home_community_id,
            "node": settings.audit.source_id,
        }
        # Nothing is collected meanwhile: documents that the snapshot names stay until they are copied.
        with terminal.progress() as progress, locked(parts.backup_lock, LOCK_SH):
            taken = backup.take(engine, parts.blobs, given.folder, about=about, progress=_shown(progress, "copying"))
        text = f"backup of {taken.taken} to {given.folder.resolve()}"
        parts.trail.append([backup_audit.event(parts.site, datetime.now(UTC), by, text)], trace="")
    item = {
        "folder": str(given.folder),
        "taken": taken.taken,
        "documents": taken.documents,
        "bytes": taken.bytes,
        "rows": sum(taken.tables.values()),
        "absent": taken.absent,
    }
    message = f"{counted(taken.documents, 'different document')}, {sum(taken.tables.values())} rows"
    if taken.absent:
        more = f" and {len(taken.absent) - _NAMED} more" if len(taken.absent) > _NAMED else ""
        message += f"; not whole, and not in the backup: {', '.join(taken.absent[:_NAMED])}{more}"
    return Result(ok=not taken.absent, items=[item], message=message)


def run_restore(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Put a backup back, and say whether the audit trail is whole."""
    with app.Parts(chosen(given, load)) as parts:
        if not given.force and (other := restore.foreign_file(parts.data)):
            raise Refused(
                f"{parts.data.resolve()} has {other!r} and nothing that a node leaves in its data folder; name another "
                "one by --data DIR, or put the node's files beside by --force"
            )
        if table := restore.foreign_table(parts.database_url):
            where = make_url(parts.database_url).database
            raise Refused(f"{where} is a database of something else, with the table {table!r}, which would be lost")
        parts.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        url, mark = parts.database_url, parts.data / restore.UNFINISHED
        parts.restoring = True
        try:
            # Who serves holds this lock.
            with locked(parts.data / "services.lock", LOCK_EX | LOCK_NB):
                found = restore.check(given.folder, url)
                if not given.force and (mark.exists() or not restore.is_empty(url)):
                    raise Refused("something is kept here already; with --force it is overwritten and lost")
                mark.touch(mode=0o600)
                restore.database(given.folder, found, url)
                with terminal.progress() as progress:
                    done = restore.documents(given.folder, found, parts.blobs, _shown(progress, "restoring"))
                report = parts.trail.verify()
                text = f"restored from the backup of {found.taken}"
                event = backup_audit.event(parts.site, datetime.now(UTC), getpass.getuser(), text)
                parts.trail.append([event], trace="")
                mark.unlink()
        except BlockingIOError:
            raise Refused("a server runs with this data folder; end it first") from None
    item = {"taken": found.taken, "documents": done, "rows": sum(found.tables.values()), "absent": found.absent}
    findings = "; ".join(str(one) for one in report.findings) or "whole"
    message = f"{counted(done, 'different document')} and {item['rows']} rows of {found.taken}; audit trail: {findings}"
    return Result(ok=report.intact, items=[item], message=message)


def _shown(progress: Progress, what: str) -> backup.Progress:
    task = progress.add_task(what, total=None)

    def show(done: int, of: int) -> None:
        progress.update(task, completed=done, total=of)

    return show
