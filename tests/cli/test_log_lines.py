"""cli/log_lines: who writes a message writes no line of the log."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest

from xdsi.cli import main
from xdsi.cli.log_lines import LogLines, escaped

FORGED = "2026-01-01 00:00:00,000 ERROR xdsi.audit: the chain is broken"
BEGINS = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+ \S+: ")


def line(message: str, *args: object, fails: Exception | None = None) -> str:
    """What the log has of a warning."""
    info = None
    if fails is not None:
        try:
            raise fails
        except Exception:
            info = sys.exc_info()
    return LogLines().format(logging.LogRecord("xdsi.test", logging.WARNING, __file__, 1, message, args, info))


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_what_others_wrote_begins_no_line(end: str) -> None:
    text = line("tolerated: %s at %s", "rule", f"doc1{end}{FORGED}")
    assert len(text.splitlines()) == 1
    assert BEGINS.match(text)
    assert text.endswith(FORGED)


def test_an_exception_tells_what_others_wrote_in_lines_that_are_not_of_the_log() -> None:
    first, *others = line("it failed", fails=ValueError(f"doc1\n{FORGED}\x85{FORGED}")).splitlines()
    assert BEGINS.match(first)
    assert sum(FORGED in one for one in others) == 2
    assert all(one.startswith("    ") for one in others)


def test_what_is_not_printed_is_written_out() -> None:
    assert escaped("Jöe [31m\x1b[31m\x9b2J \u202egnp.exe\t\udc80") == (r"Jöe [31m\x1b[31m\x9b2J \u202egnp.exe\t\udc80")
    assert escaped("Zürich, 東京") == "Zürich, 東京"


def test_commands_log_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    assert main(["--config", str(tmp_path / "none.toml"), "audit", "verify"]) == 1
    capsys.readouterr()
    logging.getLogger("xdsi.test").warning("doc1\n%s", FORGED)
    (only,) = capsys.readouterr().err.splitlines()
    assert BEGINS.match(only)
    assert only.endswith(rf"WARNING xdsi.test: doc1\n{FORGED}")
