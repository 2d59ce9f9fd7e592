"""Files with patients' data are not for everybody on the machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from xdsi import cli


@pytest.fixture
def open_handed() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_handed")
def test_what_a_command_writes_others_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDSI_SERVER__DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("XDSI_CONFIG", raising=False)
    assert cli.main(["db", "upgrade"]) == 0
    assert cli.main(["consent", "list", "P1^^^&2.999.1.1&ISO"]) == 0
    written = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
    assert len(written) > 1
    assert [path.name for path in written if stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO] == []
