"""A running repository while its processes are killed."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.faults.postgresql import postgresql
from tests.faults.repository_storm import Apart, Together, orphans, storm


@pytest.mark.parametrize(
    ("made", "database", "submissions", "kills"),
    [(Together, "sqlite", 40, 3), (Together, "postgresql", 40, 3), (Apart, "postgresql", 40, 4)],
    ids=["one process, SQLite", "one process, PostgreSQL", "processes of their own, PostgreSQL"],
)
def test_acknowledged_documents_survive_kills_and_nothing_else_stays(
    tmp_path: Path, made: type[Together | Apart], database: str, submissions: int, kills: int
) -> None:
    """Given sources at work, when processes are killed, every acknowledged document is found and whole.

    What was refused is not found, and what a crash left in the store is collected. `make long` does it with thousands.
    """
    with postgresql() if database == "postgresql" else nullcontext() as server:
        hub = made(tmp_path, server)
        try:
            ledger, wrong = storm(hub, submissions, kills, seed=11)
        finally:
            hub.stop()
        wrong += orphans(tmp_path / "data", server.url if server is not None and made is Together else "")
    assert wrong == []
    assert ledger.count >= submissions
