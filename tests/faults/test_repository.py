"""A running repository while its processes are killed."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.faults.postgresql import postgresql
from tests.faults.repository_storm import orphans, storm
from tests.faults.storm import Hub


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_acknowledged_documents_survive_kills_and_nothing_else_stays(tmp_path: Path, database: str) -> None:
    """Given sources at work, when processes are killed, every acknowledged document is found and whole.

    What was refused is not found, and what a crash left in the store is collected. `make long` does it with thousands.
    """
    with postgresql() if database == "postgresql" else nullcontext() as server:
        hub = Hub(tmp_path, server)
        try:
            ledger, wrong = storm(hub, submissions=40, kills=3, seed=11)
        finally:
            hub.stop()
        wrong += orphans(tmp_path / "data", server.url if server is not None else "")
    assert wrong == []
    assert ledger.count >= 40
