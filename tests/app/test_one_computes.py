"""Who asks the registry computes in turns where the database is a file: the whole process, with real storage."""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transport.test_serving import GOOD
from xdsi import app
from xdsi.app import Parts
from xdsi.app.services import Application
from xdsi.settings import Settings, replaced
from xdsi.spec.namespaces import SUCCESS

DEADLINE = 20.0


@pytest.fixture
def made(empty_data: Path, tmp_path: Path) -> Iterator[Application]:
    """A registry as `xdsi serve --profile open` makes it, but for HTTP."""
    data = tmp_path / "data"
    shutil.copytree(empty_data, data)
    settings = replaced(Settings(), "server", data_dir=data, actors=("registry",))
    built = app.build(replaced(settings, "domain", profile="open"))
    yield built
    built.parts.close()


def ask(made: Application, path: str = "/services/registry") -> str:
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": path, "SERVER_NAME": "hub", "SERVER_PORT": "80",
        "REMOTE_ADDR": "192.0.2.7", "wsgi.url_scheme": "http", "CONTENT_TYPE": "application/soap+xml",
        "CONTENT_LENGTH": str(len(GOOD)), "wsgi.input": io.BytesIO(GOOD),
    }  # fmt: skip
    return b"".join(made.wsgi(environ, lambda status, headers, *rest: None)).decode()


def test_a_query_gives_its_turn_back_before_it_is_answered(made: Application) -> None:
    turns = made.parts.one_computes
    assert turns is not None
    for _ in range(2):
        assert SUCCESS in ask(made)
        assert (turns.held, turns.waiting) == (False, 0)


def test_queries_are_answered_while_one_is_stuck(made: Application) -> None:
    """Given a thread that has taken its turn and comes to no end, when others ask."""
    turns = made.parts.one_computes
    assert turns is not None
    answers: list[str] = []
    with turns.turn():
        others = [threading.Thread(target=lambda: answers.append(ask(made))) for _ in range(4)]
        for one in others:
            one.start()
        for one in others:
            one.join(DEADLINE)
        assert [SUCCESS in one for one in answers] == [True] * 4
    assert (turns.held, turns.waiting) == (False, 0)


@pytest.mark.parametrize(
    ("database", "in_turns"),
    [("", True), ("sqlite:////var/lib/xdsi/registry.sqlite3", True), ("postgresql+psycopg://hub@db/xdsi", False)],
)
def test_where_a_server_holds_the_database_nobody_waits_for_a_turn(
    tmp_path: Path, database: str, in_turns: bool
) -> None:
    settings = replaced(Settings(), "server", data_dir=tmp_path)
    with Parts(replaced(settings, "registry", database=database)) as parts:
        assert (parts.one_computes is not None) is in_turns
