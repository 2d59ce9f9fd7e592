"""What commands show: tables whose identifiers can be copied, whatever the width."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from xdsi.cli.command import Terminal

ENTRY = "urn:uuid:aecdb8f8-996d-4caa-ba4b-64e9fcbc54bc"
DOCUMENT = "2.25.118063425874404984514033920323123856033"
COLUMNS = ("title", "document", "entry", "problem")


def shown(rows: list[tuple[str, ...]], *, width: int, columns: tuple[str, ...] = COLUMNS, title: str = "Found") -> str:
    """A table as a window of that width has it."""
    terminal = Terminal()
    terminal.console = Console(
        file=StringIO(), width=width, force_terminal=True, color_system=None, highlight=False, soft_wrap=True
    )
    terminal.table(title, columns, rows)
    file = terminal.console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_identifiers_stay_whole(width: int) -> None:
    text = shown([("CT Thorax", DOCUMENT, ENTRY, "")], width=width)
    assert ENTRY in text
    assert DOCUMENT in text
    assert ("│" in text) == (width >= 120)


def test_prose_is_wrapped() -> None:
    text = shown([("a title of many words that go on and on", "1.2", "x", "y")], width=40)
    assert "│ a title" in text
    assert max(len(line) for line in text.splitlines()) <= 40


def test_empty_columns_are_left_out() -> None:
    text = shown([("CT", "1.2", "x", ""), ("MR", "1.3", "", "")], width=80)
    assert "problem" not in text
    assert "entry" in text


def test_a_table_without_rows_is_its_title() -> None:
    assert shown([], width=80).strip() == "Found"
    assert shown([], width=80, title="") == ""


def test_brackets_are_text() -> None:
    text = shown([("[red]x[/red]", "[/]", "a", "b")], width=80, title="[bold]")
    assert "[red]x[/red]" in text
    assert "[/]" in text
    assert "[bold]" in text


def test_in_a_pipe_a_row_is_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    rows = [("a title of several words", DOCUMENT, ENTRY, "word " * 100)] * 3
    Terminal().table("Found", COLUMNS, rows)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if DOCUMENT in line and ENTRY in line]) == 3


def test_in_a_pipe_prose_is_wrapped(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    Terminal().table("Checks", COLUMNS, [("issuer", "met", ENTRY, "word " * 100)], prose=True)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 120
    assert any(ENTRY in line for line in lines)


def test_nothing_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(quiet=True).table("Found", COLUMNS, [("a", "b", "c", "d")])
    assert capsys.readouterr().out == ""
