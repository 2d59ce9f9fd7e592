"""A repository that is killed while it waits for a registry elsewhere: what was never registered does not stay."""

from __future__ import annotations

import socket
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

from tests.faults.repository_storm import fetched, found, provide
from tests.servers import PATIENCE, serving, wait_until

NEVER, KEPT, UNANSWERED = "2.999.41.1", "2.999.41.2", "2.999.41.3"
LONG_AGO = "2020-01-01T00:00:00+00:00"
REGISTRY = """[domain]
profile = "open"
accept_unknown_patients = true
[consent]
enforce = false
[server]
actors = ["registry"]
"""
REPOSITORY = """[domain]
profile = "open"
[consent]
enforce = false
[server]
actors = ["repository"]
[repository]
registry_url = "{url}"
{more}
"""


def killed_while_it_waits(data: Path, config: Path) -> None:
    """Provide a document to a repository whose registry takes the message and says nothing, and kill it then."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        config.write_text(REPOSITORY.format(url=url, more=f'registry_query_url = "{url}"'), "utf-8")
        with serving(data, config=config) as server:

            def send() -> None:
                with suppress(OSError, ValueError):
                    provide(server, 0, NEVER, b"never registered")

            sender = threading.Thread(target=send)
            sender.start()
            taken, _ = silent.accept()
            with taken:
                assert taken.recv(1), "the registry is asked once the document is stored"
                assert fetched(server, NEVER) == b"never registered", "it was to be retrievable before (ITI-41)"
                server.kill()
            sender.join(PATIENCE)


def time_passes(data: Path, *, forgotten: str = "") -> None:
    """All documents were published long ago; of one it is not known that it was registered."""
    with closing(sqlite3.connect(data / "xdsi.sqlite3", timeout=PATIENCE)) as database:
        database.execute("UPDATE document SET claimed = ?", (LONG_AGO,))
        database.execute("UPDATE document SET confirmed = 0 WHERE unique_id = ?", (forgotten,))
        database.commit()


def index(data: Path) -> dict[str, int]:
    """The documents of a repository, each with how many submissions of it are known to be registered."""
    with closing(sqlite3.connect(f"file:{data / 'xdsi.sqlite3'}?mode=ro", uri=True, timeout=PATIENCE)) as database:
        return dict(database.execute("SELECT unique_id, confirmed FROM document"))


def test_what_a_killed_repository_did_not_register_is_taken_back(tmp_path: Path) -> None:
    """Given a document that was stored and not registered, when time has passed, it is given out no more.

    What was acknowledged stays, and so does what was registered before a crash kept the repository from knowing it.
    """
    data, config = tmp_path / "repository", tmp_path / "repository.toml"
    (tmp_path / "registry.toml").write_text(REGISTRY, "utf-8")
    killed_while_it_waits(data, config)
    with serving(tmp_path / "registry", config=tmp_path / "registry.toml") as registry:
        url = registry.url("registry")
        config.write_text(REPOSITORY.format(url=url, more=f'registry_query_url = "{url}"'), "utf-8")
        with serving(data, config=config) as server:
            assert provide(server, 0, KEPT, b"acknowledged")
            assert provide(server, 0, UNANSWERED, b"registered")
            assert index(data) == {NEVER: 0, KEPT: 1, UNANSWERED: 1}, "noted before the answer"
        time_passes(data, forgotten=UNANSWERED)
        with serving(data, config=config) as server:
            wait_until(lambda: index(data) == {KEPT: 1, UNANSWERED: 1}, PATIENCE)
            assert fetched(server, NEVER) is None
            assert fetched(server, KEPT) == b"acknowledged"
            assert fetched(server, UNANSWERED) == b"registered"
        assert found(registry, 0) == {KEPT, UNANSWERED}


def test_a_registry_that_does_not_answer_says_nothing(tmp_path: Path) -> None:
    """Given a document of which nobody knows, when the registry cannot be reached, it stays."""
    data, config = tmp_path / "repository", tmp_path / "repository.toml"
    killed_while_it_waits(data, config)
    time_passes(data)
    with serving(data, config=config) as server:
        wait_until(lambda: "did not say what became" in server.log.read_text(), PATIENCE)
        assert fetched(server, NEVER) == b"never registered"
