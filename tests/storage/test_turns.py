"""storage/turns: processes that write in one SQLite database take turns, and nobody is left out."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.servers import wait_until
from xdsi.domain.errors import Unavailable
from xdsi.storage.database import open_database, writing
from xdsi.storage.turns import Turns

WRITERS, UNITS = 3, 40
_WRITE = """
import sys
from concurrent.futures import ThreadPoolExecutor
import sqlalchemy as sa
from xdsi.storage.database import open_database, writing
engine = open_database(sys.argv[1])
def write(number):
    with writing(engine) as connection:
        seen = connection.execute(sa.text("SELECT count(*) FROM done")).scalar_one()
        connection.execute(sa.text("INSERT INTO done VALUES (:seen, :who)"), {"seen": seen, "who": sys.argv[2]})
with ThreadPoolExecutor(4) as pool:
    list(pool.map(write, range(int(sys.argv[3]))))
"""


def test_units_of_work_of_several_processes_follow_each_other(tmp_path: Path) -> None:
    """Given processes that write at once, then each unit of work sees all before it, and none is refused."""
    url = f"sqlite:///{tmp_path / 'registry.sqlite3'}"
    engine = open_database(url)
    with writing(engine) as connection:
        connection.execute(sa.text("CREATE TABLE done (seen INTEGER PRIMARY KEY, who TEXT)"))
    command = [sys.executable, "-c", _WRITE, url]
    started = [subprocess.Popen([*command, str(number), str(UNITS)]) for number in range(WRITERS)]
    assert [process.wait(timeout=300) for process in started] == [0] * WRITERS
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT who, count(*), max(seen) FROM done GROUP BY who")).all()
    assert [row[1] for row in found] == [UNITS] * WRITERS
    assert max(row[2] for row in found) == WRITERS * UNITS - 1
    engine.dispose()


def test_who_had_a_turn_waits_behind_who_had_none(tmp_path: Path) -> None:
    one, two = Turns(tmp_path / "db"), Turns(tmp_path / "db")
    order: list[str] = []

    def write() -> None:
        two.take()
        order.append("two")
        two.give()

    one.take()
    other = threading.Thread(target=write)
    other.start()
    wait_until(lambda: _is_locked(tmp_path / "db-next"))
    one.give()
    one.take()
    order.append("one")
    one.give()
    other.join()
    assert order == ["two", "one"]


def test_a_turn_ends_with_its_process(tmp_path: Path) -> None:
    code = "import pathlib, sys, time; from xdsi.storage.turns import Turns\n"
    code += "turns = Turns(pathlib.Path(sys.argv[1])); turns.take(); print('mine', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "db"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"mine\n"
        assert _is_locked(tmp_path / "db-turn")
        process.kill()
    turns = Turns(tmp_path / "db")
    turns.take()
    turns.give()


def test_a_process_and_its_copy_take_turns(tmp_path: Path) -> None:
    """Given a process that had a turn, then one that becomes of it waits while the first one has its next."""
    turns = Turns(tmp_path / "db")
    turns.take()
    turns.give()
    reading, writing = os.pipe()
    turns.take()
    child = os.fork()
    if not child:
        turns.take()
        os.write(writing, b"mine")
        os._exit(0)
    assert select.select([reading], [], [], 0.2)[0] == []
    turns.give()
    assert os.read(reading, 4) == b"mine"
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)


def test_what_is_given_up_leaves_nothing_open(tmp_path: Path) -> None:
    """Given an engine that has written, when it is disposed of, then no file of its turns is open; it writes again."""
    engine = open_database(f"sqlite:///{tmp_path / 'db'}")
    with writing(engine) as connection:
        connection.execute(sa.text("CREATE TABLE done (who TEXT)"))
        assert _opened(tmp_path / "db-turn")
        # Whoever writes keeps his turn to his end.
        engine.dispose()
        assert _is_locked(tmp_path / "db-turn")
    assert not _is_locked(tmp_path / "db-turn")
    assert not _opened(tmp_path / "db-turn", tmp_path / "db-next")
    with writing(engine) as connection:
        connection.execute(sa.text("INSERT INTO done VALUES ('me')"))
    engine.dispose()
    assert not _opened(tmp_path / "db-turn", tmp_path / "db-next")


def test_where_no_turn_can_be_had_the_database_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="db-next"):
        Turns(tmp_path / "missing" / "db").take()


def _opened(*paths: Path) -> bool:
    """Whether this process has one of these files open."""
    found = {one.resolve() for one in Path("/proc/self/fd").iterdir()}
    return not found.isdisjoint(path.resolve() for path in paths)


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
