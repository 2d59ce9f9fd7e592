"""storage/traces: what happened in exchanges, written behind the answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from xdsi.storage import traces
from xdsi.storage.traces import SqlTraceLog


def test_what_is_appended_is_found_in_order(engine: Engine) -> None:
    log = SqlTraceLog(engine)
    log.append("a" * 32, {"transaction": "ITI-41", "steps": [{"step": "décodé"}]})
    log.append("b" * 32, {"transaction": "ITI-18", "steps": []})
    log.append("a" * 32, {"transaction": "ITI-42", "steps": []})
    log.close()
    assert [record["transaction"] for record in log.find("a" * 32)] == ["ITI-41", "ITI-42"]
    first = log.find("a" * 32)[0]
    assert first["steps"] == [{"step": "décodé"}]
    assert first["at"].endswith("+00:00")
    assert log.find("c" * 32) == []


def test_another_process_finds_them(engine: Engine) -> None:
    log = SqlTraceLog(engine)
    for number in range(1200):
        log.append(f"{number:032x}", {"transaction": "ITI-18", "steps": []})
    log.close()
    other = SqlTraceLog(engine)
    assert len(other.find(f"{1199:032x}")) == len(other.find("0" * 32)) == 1


def test_values_of_any_kind_are_kept_as_text(engine: Engine) -> None:
    log = SqlTraceLog(engine)
    log.append("a" * 32, {"steps": [{"step": "odd", "path": Path("/x"), "raw": b"y"}]})
    log.append("b" * 32, {"steps": []})
    log.close()
    assert log.find("a" * 32)[0]["steps"] == [{"step": "odd", "path": "/x", "raw": "b'y'"}]
    assert log.find("b" * 32)


def test_one_that_cannot_be_written_does_not_keep_the_later_ones(engine: Engine) -> None:
    log = SqlTraceLog(engine)
    log.append("a" * 32, {"steps": []})
    log.append(None, {"steps": []})  # type: ignore[arg-type]
    log.append("b" * 32, {"steps": []})
    log.close()
    assert log.find("a" * 32)
    assert log.find("b" * 32)


def test_more_than_can_wait_are_dropped_and_nobody_waits(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_WAITING_AT_MOST", 3)
    monkeypatch.setattr(traces, "_PAUSE_SECONDS", 30.0)
    log = SqlTraceLog(engine)
    for number in range(10):
        log.append(f"{number:032x}", {"steps": []})
    log.close()
    assert [bool(log.find(f"{number:032x}")) for number in range(10)] == [True] * 3 + [False] * 7


def test_closing_without_having_written_is_fine(engine: Engine) -> None:
    SqlTraceLog(engine).close()


def test_old_traces_are_removed(engine: Engine) -> None:
    log = SqlTraceLog(engine)
    log.append("a" * 32, {"transaction": "ITI-41", "steps": []})
    log.close()
    now = datetime.now(UTC)
    assert (log.prune(now - timedelta(days=1)), len(log.find("a" * 32))) == (0, 1)
    assert (log.prune(now + timedelta(days=1)), log.find("a" * 32)) == (1, [])
