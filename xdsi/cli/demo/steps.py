"""The steps of the demonstration as they are shown, checked and summed up."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from xdsi.cli.command import Terminal


@dataclass(slots=True)
class Step:
    """One thing that happens, with what was expected and what came of it."""

    name: str
    expected: str
    transaction: str = ""
    got: str = ""
    traces: list[str] = field(default_factory=list)
    seconds: float = 0.0
    wire: int = 0

    @property
    def ok(self) -> bool:
        """True when it came as expected."""
        return self.got == self.expected


@dataclass(slots=True)
class Steps:
    """Everything shown so far."""

    terminal: Terminal
    out: Path
    recorded: tuple[Path, ...]
    """folders in which the servers record their exchanges"""
    done: list[Step] = field(default_factory=list)

    def chapter(self, title: str) -> None:
        """A heading."""
        self.terminal.say(f"\n{title}")

    @contextmanager
    def step(self, name: str, expected: str, transaction: str = "") -> Iterator[Step]:
        """Do something; an exception is what it got."""
        step = Step(name, expected, transaction)
        began = time.perf_counter()
        try:
            yield step
        except Exception as error:
            step.got = f"{type(error).__name__}: {error}"
        step.seconds = time.perf_counter() - began
        step.wire += sum(self._size(trace) for trace in step.traces)
        self.done.append(step)
        self._show(step)

    def _size(self, trace: str) -> int:
        while True:
            # Who writes a record gives it another name when it is whole: it may go between being found and looked at.
            with suppress(FileNotFoundError):
                files = (file for folder in self.recorded if trace for file in folder.glob(f"*-{trace}-*"))
                return sum(file.stat().st_size for file in files)

    def _show(self, step: Step) -> None:
        mark = "[green]✔[/green]" if step.ok else "[red]✘[/red]"
        wire = f"{_bytes(step.wire):>9}" if step.wire else " " * 9
        line = f"{mark} {step.transaction:<8} {wire} {step.seconds * 1000:7.0f} ms  "
        self.terminal.console.print(line, end="")
        self.terminal.say(f"{step.name}: {step.got}" + ("" if step.ok else f"  (expected {step.expected})"))

    def summary(self) -> bool:
        """Show and write the summary; True when every step came as expected."""
        rows = [{"step": step.name, "expected": step.expected, "got": step.got, "ok": step.ok} for step in self.done]
        (self.out / "summary.json").write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", "utf-8")
        totals: dict[str, list[Step]] = {}
        for step in self.done:
            totals.setdefault(step.transaction or "-", []).append(step)
        self.terminal.table(
            "Summary",
            ["transaction", "steps", "as expected", "on the wire", "time"],
            [
                (
                    name,
                    str(len(steps)),
                    str(sum(step.ok for step in steps)),
                    _bytes(sum(step.wire for step in steps)),
                    f"{sum(step.seconds for step in steps):.2f} s",
                )
                for name, steps in sorted(totals.items())
            ],
        )
        return all(step.ok for step in self.done)

    def collect_messages(self) -> int:
        """Copy the recorded exchanges, in the order they happened, to messages/; returns how many files."""
        stems: dict[str, list[Path]] = {}
        for folder in self.recorded:
            for file in folder.glob("*"):
                stem, _, direction = file.name.rpartition("-")
                if direction.split(".")[0] in ("request", "response") and file.suffix != ".part":
                    stems.setdefault(stem, []).append(file)
        count = 0
        for number, stem in enumerate(sorted(stems), start=1):
            _, _, rest = stem.partition("-")
            transaction, _, _ = rest.rpartition("-")
            for file in stems[stem]:
                direction = file.name.rpartition("-")[2]
                shutil.copyfile(file, self.out / "messages" / f"{number:03d}-{transaction}-{direction}")
                count += 1
        return count


def _bytes(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    if size < 1_000_000:
        return f"{size / 1000:.1f} KB"
    return f"{size / 1_000_000:.1f} MB"
