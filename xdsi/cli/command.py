"""What every command shares: its result, and how it speaks to people."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from xdsi.domain.errors import SoapFault
from xdsi.settings import Settings
from xdsi.spec.namespaces import WSSE

LoadSettings: TypeAlias = Callable[[], Settings]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a command has to say."""

    ok: bool = True
    items: list[dict[str, Any]] = field(default_factory=list)
    message: str = ""
    trace: str = ""
    """of the exchange that was the command's one and only"""


_WIDE = 10_000
"""columns where nobody's window ends a line"""
_READABLE = 120
"""columns of a table that is read and not searched"""


def why(error: Exception, settings: Settings) -> str:
    """What to tell of a failure; who sent no assertion where one is asked for learns which key names it."""
    refused = isinstance(error, SoapFault) and error.subcode == (WSSE, "InvalidSecurity")
    if refused and not settings.consumer.assertion:
        return f"{error}; no identity assertion was sent, because consumer.assertion names none"
    return str(error)


def counted(number: int, noun: str) -> str:
    """`1 document`, `2 documents`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class Terminal:
    """Output for people, on standard error where standard output is for a program."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=quiet, highlight=False, soft_wrap=True)
        if not self.console.is_terminal and "COLUMNS" not in os.environ:
            # In a file or a pipe a row is a line, to be searched and cut.
            self.console.width = _WIDE
        self.quiet = quiet

    def say(self, text: str, *, error: bool = False) -> None:
        """A line."""
        if error:
            # Standard output may be read by a program that waits for something else there.
            Console(stderr=True, highlight=False, soft_wrap=True).print(text, style="red", markup=False)
        else:
            self.console.print(text, markup=False)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, prose: bool = False) -> None:
        """A table, its empty columns left out; a list where the window is too narrow for it. Nothing with `--json`.

        With `prose` it is to be read: then it is no wider where there is no window.
        """
        if self.quiet:
            return
        cells = [tuple(row) for row in rows]
        filled = [number for number in range(len(columns)) if any(row[number] for row in cells)]
        if not filled:
            if title:
                self.say(title)
            return
        table = Table(title=escape(title) or None, title_justify="left")
        for number in filled:
            # Identifiers and times stay whole, so that they can be copied; what has blanks in it can be wrapped.
            whole = not any(" " in row[number] for row in cells)
            table.add_column(columns[number], no_wrap=whole, overflow="fold")
        for row in cells:
            table.add_row(*(escape(row[number]) for number in filled))
        needed = table.__rich_measure__(self.console, self.console.options.update(max_width=_WIDE)).minimum
        width = _READABLE if prose and self.console.width == _WIDE else self.console.width
        if needed <= width:
            self.console.print(table, width=width)
        else:
            self._list(title, [[(columns[number], row[number]) for number in filled] for row in cells])

    def _list(self, title: str, records: Iterable[Sequence[tuple[str, str]]]) -> None:
        if title:
            self.say(title)
        for record in records:
            self.say("")
            width = max(len(name) for name, _ in record)
            for name, value in record:
                if value:
                    self.say(f"  {name:<{width}}  {value}")

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
