"""Data folders to start from: made once, because a new database takes a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from xdsi.app import Parts
from xdsi.settings import Server, Settings


@pytest.fixture(scope="session")
def empty_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose database has the newest schema and nothing in it."""
    data = tmp_path_factory.mktemp("empty") / "data"
    with Parts(Settings(server=Server(data_dir=data))) as parts:
        parts.engine.connect().close()
    return data
