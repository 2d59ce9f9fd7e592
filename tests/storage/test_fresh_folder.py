"""storage/fresh_folder: images that come later are found, and asking for none costs little."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.imaging import STUDIES
from xdsi.storage import fresh_folder
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.storage.fresh_folder import FreshFolder


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_folder, "_AT_MOST_EVERY_SECONDS", 0.0)


@pytest.mark.usefixtures("hasty")
def test_what_came_after_the_start_is_found(tmp_path: Path) -> None:
    study = next(iter(FolderPacs(STUDIES).studies()))
    series = study.series[0]
    instance = series.instances[0]
    folder = FreshFolder(tmp_path)
    ids = (study.study_instance_uid, series.series_instance_uid, instance.sop_instance_uid)
    assert folder.locate(*ids) is None
    shutil.copy(STUDIES / instance.locator, tmp_path / "one.dcm")
    assert folder.locate(*ids) is not None
    assert folder.study(study.study_instance_uid) is not None
    assert folder.study("1.2.3") is None


def test_the_folder_is_not_looked_through_at_every_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = FreshFolder(tmp_path)
    looks: list[int] = []
    monkeypatch.setattr(folder, "refresh", lambda: looks.append(1))
    for _ in range(100):
        assert folder.study("1.2.3") is None
        assert folder.locate("1.2.3", "1.2.3.1", "1.2.3.1.1") is None
    assert looks == []
    monkeypatch.setattr(fresh_folder, "_AT_MOST_EVERY_SECONDS", 0.0)
    assert folder.study("1.2.3") is None
    assert looks == [1]
