"""`xdsi validate`: judge files, and name for each finding the place, the clause and what would be right."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from xdsi import validation
from xdsi.cli.command import LoadSettings, Result, Terminal, counted
from xdsi.domain.findings import Finding, Level, Report


def add(commands: Any) -> None:
    """Declare the command."""
    validate = commands.add_parser("validate", help="judge files: manifests (Key Object Selection, MADO, FHIR)")
    validate.add_argument("files", nargs="+", type=Path, metavar="FILE")
    validate.set_defaults(run=run)


def run(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Judge each file; refused where one has an error. Needs no settings."""
    items: list[dict[str, Any]] = []
    for file in given.files:
        report = _judge(file)
        items.append(
            {
                "file": str(file),
                "kind": report.kind,
                "valid": report.valid,
                "findings": [_record(one) for one in report.findings],
            }
        )
        title = f"{file}: {report.kind or 'of no known kind'}, {_summary(report)}"
        terminal.table(
            title,
            ["level", "rule", "place", "finding", "expected", "clause"],
            [(one.level, one.rule, one.place, one.text, one.expected, one.clause) for one in report.findings],
        )
    wrong = [item["file"] for item in items if not item["valid"]]
    return Result(ok=not wrong, items=items, message=f"not valid: {', '.join(wrong)}" if wrong else "")


def _judge(file: Path) -> Report:
    try:
        with file.open("rb") as source:
            raw = source.read(validation.MAX_BYTES + 1)
    except OSError as error:
        return _unread("file.read", f"cannot be read: {error.strerror}", "a file")
    if len(raw) > validation.MAX_BYTES:
        return _unread("file.size", "the file is too large", f"at most {validation.MAX_BYTES} bytes")
    return validation.validate(raw)


def _unread(rule: str, text: str, expected: str) -> Report:
    finding = Finding(rule=rule, level=Level.ERROR, place="", text=text, expected=expected, clause="")
    return Report(kind="", findings=(finding,))


def _summary(report: Report) -> str:
    if not report.findings:
        return "no finding"
    errors = sum(one.level is Level.ERROR for one in report.findings)
    warnings = len(report.findings) - errors
    said = [counted(number, noun) for number, noun in ((errors, "error"), (warnings, "warning")) if number]
    return ", ".join(said)


def _record(finding: Finding) -> dict[str, str]:
    return {
        "level": str(finding.level),
        "rule": finding.rule,
        "place": finding.place,
        "finding": finding.text,
        "expected": finding.expected,
        "clause": finding.clause,
    }
