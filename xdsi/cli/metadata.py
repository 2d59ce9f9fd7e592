"""`xdsi db upgrade`, `export`, `import`: the database of the registry."""

from __future__ import annotations

import argparse
import gzip
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from xdsi import app
from xdsi.cli.command import LoadSettings, Result, Terminal, counted
from xdsi.cli.kept import add_data, kept

_STREAM = "file, or - for standard %s; a name that ends in .gz is %scompressed"


def add(commands: Any) -> None:
    """Declare the commands."""
    actions = commands.add_parser("db", help="the database of the registry").add_subparsers(
        required=True, metavar="ACTION"
    )
    upgrade = actions.add_parser(
        "upgrade",
        help="bring the schema to this version",
        description="Bring the schema of the database to this version's; `xdsi serve` does the same when it starts.",
    )
    upgrade.set_defaults(run=run_upgrade)
    out = actions.add_parser(
        "export",
        help="write the registry's metadata as a stream",
        description="Write patients with their merges, all objects with their status and versions, and the verified "
        "form of consents, as lines of JSON out of one snapshot. Documents and the audit trail are not part of it.",
    )
    out.add_argument("file", metavar="FILE", help=_STREAM % ("output", ""))
    add_data(out)
    out.set_defaults(run=run_export)
    into = actions.add_parser(
        "import",
        help="take in what `export` wrote",
        description="Take in a stream that `export` wrote, into an empty registry or one in use. What is registered "
        "already in the same words is passed over; what contradicts it is not taken in but told, and the exit status "
        "is 1. After a failure the same stream can be read again.",
    )
    into.add_argument("file", metavar="FILE", help=_STREAM % ("input", "de"))
    into.set_defaults(run=run_import)


def run_upgrade(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Bring the schema to the newest revision."""
    with app.Parts(load()) as parts:
        name = parts.engine.dialect.name
    return Result(message=f"the schema is that of this version ({name})", items=[{"engine": name}])


def run_export(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Write every line; a file appears under its name only when it is complete."""
    if given.file == "-":
        if terminal.quiet:
            raise OSError("--json and - would both write to standard output")
        terminal = Terminal(quiet=True)
    with kept(given, load) as parts, ExitStack() as stack:
        told = _progress(stack, terminal, "exported")
        count = 0
        part = Path(f"{given.file}.part")
        out: IO[Any] = sys.stdout.buffer if given.file == "-" else stack.enter_context(part.open("wb"))
        target = stack.enter_context(gzip.GzipFile("", "wb", 6, out, 0)) if given.file.endswith(".gz") else out
        for line in app.export_metadata(parts, told):
            target.write(line.encode())
            count += 1
        if target is not out:
            target.close()
        out.flush()
        if given.file != "-":
            os.fsync(out.fileno())
            part.replace(given.file)
    if given.file == "-":
        return Result()
    return Result(message=f"{given.file}: {counted(count, 'line')}", items=[{"file": given.file, "lines": count}])


def run_import(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Take in every line, and tell what was not."""
    with app.Parts(load()) as parts, ExitStack() as stack:
        told = _progress(stack, terminal, "imported")
        if given.file == "-":
            source: IO[Any] = sys.stdin.buffer
        elif given.file.endswith(".gz"):
            source = stack.enter_context(gzip.open(given.file, "rb"))
        else:
            source = stack.enter_context(Path(given.file).open("rb"))
        report = app.import_metadata(parts, source, told)
    terminal.table("", ["conflict", "id", "reason"], [(one["kind"], one["id"], one["reason"]) for one in report.told])
    summary = {
        "patients": report.patients, "objects": report.objects, "present": report.present,
        "consents": report.consents, "conflicts": report.conflicts,
    }  # fmt: skip
    message = ", ".join(f"{number} {name}" for name, number in summary.items())
    return Result(ok=not report.conflicts, message=message, items=[summary, *report.told])


def _progress(stack: ExitStack, terminal: Terminal, what: str) -> Callable[[int, int], None]:
    bar = stack.enter_context(terminal.progress())
    task = bar.add_task(f"entries {what}", total=None)

    def told(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total or None)

    return told
