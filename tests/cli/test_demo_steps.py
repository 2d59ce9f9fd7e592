"""The steps of the demonstration: what is counted while others still write it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xdsi.cli.command import Terminal
from xdsi.cli.demo.steps import Steps


def test_a_record_that_becomes_whole_while_it_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, whole = tmp_path / "1-unknown-abc-request.part", tmp_path / "1-ITI-41-abc-request.xml"
    part.write_bytes(b"12345")
    found = Path.glob

    def between(folder: Path, pattern: str, **options: Any) -> Iterator[Path]:
        for file in found(folder, pattern, **options):
            if part.exists():
                part.rename(whole)
            yield file

    monkeypatch.setattr(Path, "glob", between)
    steps = Steps(Terminal(quiet=True), tmp_path, (tmp_path,))
    with steps.step("something", "done", "ITI-41") as step:
        step.traces.append("abc")
        step.got = "done"
    assert [one.wire for one in steps.done] == [5]
