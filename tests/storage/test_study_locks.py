"""A study is published by one at a time, whoever else would: threads, processes, servers that share a database."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from tests.servers import environment
from xdsi.domain.errors import Unavailable
from xdsi.storage.study_locks import StudyLocks


def test_threads_take_turns(engine: Engine, tmp_path: Path) -> None:
    alone = StudyLocks(engine, tmp_path / "lock")
    inside, most = [0], [0]

    def publish() -> None:
        for _ in range(5):
            with alone("1.2.3"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert (most, inside) == ([1], [0])


def test_servers_that_share_a_database_take_turns(engine: Engine, tmp_path: Path) -> None:
    """Each has a data folder of its own."""
    if engine.dialect.name != "postgresql":
        return
    one, other = StudyLocks(engine, tmp_path / "one"), StudyLocks(engine, tmp_path / "other", patience=0.0)
    with one("1.2.3"):
        with pytest.raises(Unavailable, match="another server publishes"), other("1.2.3"):
            pass
        with other("1.2.4"):
            pass
    with other("1.2.3"):
        pass


def test_a_process_that_is_killed_holds_nothing(engine: Engine, tmp_path: Path) -> None:
    code = f"""
import sqlalchemy, time
from pathlib import Path
from xdsi.storage.study_locks import StudyLocks
with StudyLocks(sqlalchemy.create_engine("sqlite://"), Path({str(tmp_path / "lock")!r}))("1.2.3"):
    print("held", flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment())
    got = threading.Event()

    def publish() -> None:
        with StudyLocks(engine, tmp_path / "lock")("1.2.3"):
            got.set()

    waiting = threading.Thread(target=publish)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        waiting.start()
        assert not got.wait(0.2)
    finally:
        process.kill()
        process.communicate()
    assert got.wait(60)
    waiting.join(60)
