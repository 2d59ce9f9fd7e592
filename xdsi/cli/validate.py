"""`xdsi validate`: judge files, and name for each finding the place, the clause and what would be right."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, BinaryIO

from xdsi import validation
from xdsi.cli.command import LoadSettings, Result, Terminal, counted
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.findings import Finding, Level, Report
from xdsi.validation import Terms


class _Format(argparse.Action):
    """`--format json` is `--json` after the command's name."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        namespace.json = values == "json"


def add(commands: Any) -> None:
    """Declare the command."""
    validate = commands.add_parser(
        "validate",
        help="judge files: messages, metadata, manifests, assertions, consents, signatures, audit, HL7",
        description="Judge each file as what it is: a SOAP message with or without its parts, ebRIM, a manifest, an "
        "assertion, a consent, a signature, an audit message, HL7 v2 or V3. Tells every finding with its place, the "
        "clause and what would be right. Nothing is sent anywhere.",
    )
    validate.add_argument("files", nargs="+", metavar="FILE", help="a file; - is standard input")
    validate.add_argument(
        "--as", dest="kind", choices=[one.key for one in validation.VALIDATORS], help="judge as this kind, whatever it "
        "looks like"
    )  # fmt: skip
    validate.add_argument("--profile", type=Path, metavar="FILE", help="national rules beside the standard (TOML)")
    validate.add_argument(
        "--format", choices=["text", "json"], action=_Format, dest="json", default=argparse.SUPPRESS,
        help="json: the same as --json",
    )  # fmt: skip
    validate.set_defaults(run=run)


def run(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Judge each file; refused where one has an error. Needs no settings."""
    try:
        terms = Terms(profile=validation.read_profile(given.profile)) if given.profile else Terms()
    except ConfigurationError as error:
        # These are rules to judge by, and no settings.
        return Result(ok=False, message=str(error))
    items: list[dict[str, Any]] = []
    for file in given.files:
        report = _judge(file, given.kind or "", terms)
        items.append(record(file, report))
        kind = f"{report.kind}: {report.about}" if report.about else report.kind
        title = f"{file}: {kind or 'of no known kind'}, {summary(report)}"
        terminal.table(
            title,
            ["level", "rule", "line", "place", "finding", "expected", "clause"],
            [
                (one.level, one.rule, str(one.line or ""), one.place, one.text, one.expected, one.clause)
                for one in report.findings
            ],
        )
    wrong = [item["file"] for item in items if not item["valid"]]
    return Result(ok=not wrong, items=items, message=f"not valid: {', '.join(wrong)}" if wrong else "")


def _judge(file: str, kind: str, terms: Terms) -> Report:
    try:
        if file == "-":
            raw = _read(sys.stdin.buffer)
        else:
            with Path(file).open("rb") as source:
                raw = _read(source)
    except OSError as error:
        return _unread("file.read", f"cannot be read: {error.strerror}", "a file")
    if len(raw) > validation.MAX_BYTES:
        return _unread("file.size", "the file is too large", f"at most {validation.MAX_BYTES} bytes")
    return validation.validate(raw, key=kind, terms=terms)


def _read(source: BinaryIO) -> bytes:
    return source.read(validation.MAX_BYTES + 1)


def _unread(rule: str, text: str, expected: str) -> Report:
    finding = Finding(rule=rule, level=Level.ERROR, place="", text=text, expected=expected, clause="")
    return Report(kind="", findings=(finding,))


def summary(report: Report) -> str:
    """`2 errors, 1 warning`, or that there is nothing."""
    if not report.findings:
        return "no finding"
    errors = sum(one.level is Level.ERROR for one in report.findings)
    warnings = len(report.findings) - errors
    said = [counted(number, noun) for number, noun in ((errors, "error"), (warnings, "warning")) if number]
    return ", ".join(said)


def record(file: str, report: Report) -> dict[str, Any]:
    """A report as JSON has it."""
    return {
        "file": file,
        "kind": report.kind,
        "about": report.about,
        "valid": report.valid,
        "findings": [
            {
                "level": str(one.level),
                "rule": one.rule,
                "line": one.line,
                "place": one.place,
                "finding": one.text,
                "expected": one.expected,
                "clause": one.clause,
            }
            for one in report.findings
        ],
    }
