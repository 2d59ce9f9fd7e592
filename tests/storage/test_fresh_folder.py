"""storage/fresh_folder: images that come later are found, and asking for none costs little."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.imaging import STUDIES
from xdsi.domain.imaging import Study
from xdsi.storage import fresh_folder
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.storage.fresh_folder import FreshFolder


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_folder, "_AT_MOST_EVERY_SECONDS", 0.0)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """The study of a folder with two of its files, `one.dcm` and `two.dcm`."""
    whole = max(FolderPacs(STUDIES).studies(), key=lambda one: len(list(one.instances)))
    for name, instance in zip(("one.dcm", "two.dcm"), whole.instances, strict=False):
        shutil.copy(STUDIES / instance.locator, tmp_path / name)
    (kept,) = FolderPacs(tmp_path).studies()
    return kept


def places(study: Study) -> dict[str, tuple[str, str, str]]:
    """File -> UIDs of study, series, instance."""
    return {
        instance.locator: (study.study_instance_uid, series.series_instance_uid, instance.sop_instance_uid)
        for series in study.series
        for instance in series.instances
    }


def test_a_file_that_was_written_anew_is_read_anew_at_once(tmp_path: Path, study: Study) -> None:
    folder = FreshFolder(tmp_path)
    ids = places(study)["one.dcm"]
    os.utime(tmp_path / "one.dcm", (1, 1))
    found = folder.locate(*ids)
    assert found is not None
    assert b"".join(folder.open(found)) == (tmp_path / "one.dcm").read_bytes()


def test_a_file_that_moved_is_found_at_once(tmp_path: Path, study: Study) -> None:
    folder = FreshFolder(tmp_path)
    (tmp_path / "one.dcm").rename(tmp_path / "elsewhere.dcm")
    found = folder.locate(*places(study)["one.dcm"])
    assert found is not None
    assert found.locator == "elsewhere.dcm"


def test_a_file_that_is_gone_is_not_located_and_the_others_are(tmp_path: Path, study: Study) -> None:
    folder = FreshFolder(tmp_path)
    (tmp_path / "one.dcm").unlink()
    assert folder.locate(*places(study)["one.dcm"]) is None
    assert folder.locate(*places(study)["two.dcm"]) is not None


def test_a_study_is_that_of_the_files_that_are_there(tmp_path: Path, study: Study) -> None:
    folder = FreshFolder(tmp_path)
    (tmp_path / "one.dcm").unlink()
    left = folder.study(study.study_instance_uid)
    assert left is not None
    assert [one.locator for one in left.instances] == ["two.dcm"]
    (tmp_path / "two.dcm").unlink()
    assert folder.study(study.study_instance_uid) is None


def test_a_file_that_changes_all_the_time_is_not_located(
    tmp_path: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = FreshFolder(tmp_path)
    looks: list[int] = []
    monkeypatch.setattr(folder, "refresh", lambda: looks.append(1))
    os.utime(tmp_path / "one.dcm", (1, 1))
    assert folder.locate(*places(study)["one.dcm"]) is None
    assert folder.locate(*places(study)["two.dcm"]) is not None
    assert looks == [1]


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
