"""What every command shares: its result, and how it speaks to people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from xdsi.settings import Settings

LoadSettings: TypeAlias = Callable[[], Settings]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a command has to say."""

    ok: bool = True
    items: list[dict[str, Any]] = field(default_factory=list)
    message: str = ""


class Terminal:
    """Output for people, on standard error where standard output is for a program."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=quiet, highlight=False, soft_wrap=True)
        self.quiet = quiet

    def say(self, text: str, *, error: bool = False) -> None:
        """A line."""
        self.console.print(text, style="red" if error else None, markup=False)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table; nothing with `--json`."""
        if self.quiet:
            return
        table = Table(title=title or None, title_justify="left")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def progress(self) -> Progress:
        """A progress bar that is not drawn where nobody looks."""
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=self.quiet or not self.console.is_terminal,
        )
