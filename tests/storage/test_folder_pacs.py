"""The embedded PACS over a folder: what it serves, what it skips, and what it notices."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.imaging import FILES, STUDIES, element, part10
from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import Instance, Study
from xdsi.spec import tags
from xdsi.storage import folder_pacs
from xdsi.storage.folder_pacs import FolderPacs

MR = "MR_small.dcm"
MR_STUDY, MR_SERIES, MR_INSTANCE = (
    "1.3.6.1.4.1.5962.1.2.4.20040826185059.5457",
    "1.3.6.1.4.1.5962.1.3.4.1.20040826185059.5457",
    "1.3.6.1.4.1.5962.1.1.4.1.1.20040826185059.5457",
)


def uid(tag: int, value: str) -> bytes:
    return element(tag, "UI", value.encode() + b"\0" * (len(value) % 2))


def image(
    path: Path, *, study: str = "1.2.3", series: str = "1.2.3.1", sop: str = "1.2.3.1.1", patient: str = "P1"
) -> Path:
    """A small file with these identifiers."""
    dataset = (
        uid(tags.SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.2"),
        uid(tags.SOP_INSTANCE_UID, sop),
        element(tags.PATIENT_ID, "LO", patient.encode() + b" " * (len(patient) % 2)),
        uid(tags.STUDY_INSTANCE_UID, study),
        uid(tags.SERIES_INSTANCE_UID, series),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(part10(b"".join(dataset)))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One image in a folder of its own."""
    shutil.copy(FILES / MR, tmp_path / MR)
    return tmp_path


def uids(studies: tuple[Study, ...]) -> set[str]:
    return {study.study_instance_uid for study in studies}


def test_the_studies_of_a_dicomdir_tree() -> None:
    pacs = FolderPacs(STUDIES)
    counts = sorted((study.patient.id, len(study.series), len(list(study.instances))) for study in pacs.studies())
    assert counts == [
        ("12345678", 1, 50), ("77654033", 1, 4), ("77654033", 3, 3),
        ("98890234", 2, 2), ("98890234", 2, 4), ("98890234", 2, 7), ("98890234", 3, 11),
    ]  # fmt: skip
    assert {Path(path).name.partition("-")[0] for path, _ in pacs.skipped()} == {"DICOMDIR", "README", "README.txt"}


def test_an_instance_is_found_only_in_its_own_series_and_study(folder: Path) -> None:
    image(folder / "other.dcm")
    pacs = FolderPacs(folder)
    instance = pacs.locate(MR_STUDY, MR_SERIES, MR_INSTANCE)
    assert instance is not None
    assert instance.sop_instance_uid == MR_INSTANCE
    for place in (
        ("1.2.3", "1.2.3.1", MR_INSTANCE),
        (MR_STUDY, "1.2.3.1", MR_INSTANCE),
        ("1.2.3", MR_SERIES, MR_INSTANCE),
        (MR_STUDY, MR_SERIES, "1.2.3.1.1"),
        (MR_STUDY, MR_SERIES, ""),
        ("", "", ""),
        (MR_STUDY, MR_SERIES, f"../{MR}"),
    ):
        assert pacs.locate(*place) is None
    assert pacs.study("1.2.9") is None


def test_a_file_is_given_out_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_pacs, "CHUNK", 1000)
    pacs = FolderPacs(folder)
    (study,) = pacs.studies()
    (instance,) = study.instances
    chunks = list(pacs.open(instance))
    assert b"".join(chunks) == (FILES / MR).read_bytes()
    assert {len(chunk) for chunk in chunks[:-1]} == {1000}
    assert instance.size == (FILES / MR).stat().st_size
    assert pacs.path(instance) == folder / MR


def test_what_is_no_image_is_skipped_with_a_reason(folder: Path) -> None:
    (folder / "empty").touch()
    (folder / "text.txt").write_text("hello")
    (folder / "cut.dcm").write_bytes((FILES / "CT_small.dcm").read_bytes()[:5000])
    (folder / "directory").mkdir()
    (folder / "dangling").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe")
    shutil.copy(STUDIES / "DICOMDIR", folder / "DICOMDIR")
    pacs = FolderPacs(folder)
    assert uids(pacs.studies()) == {MR_STUDY}
    reasons = dict(pacs.skipped())
    assert set(reasons) == {"empty", "text.txt", "cut.dcm", "dangling", "pipe", "DICOMDIR"}
    assert reasons["empty"] == "the file is empty"
    assert reasons["text.txt"].startswith("not a DICOM file")
    assert "ends within a data element" in reasons["cut.dcm"]
    assert reasons["pipe"] == reasons["dangling"] == "not a regular file"
    assert reasons["DICOMDIR"].startswith("SOP Class UID is missing")


def test_a_file_that_may_not_be_read_is_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(folder / "other.dcm")
    opened = Path.open

    def refuse(self: Path, *arguments: object, **keywords: object) -> object:
        if self.name == "other.dcm":
            raise PermissionError(13, "Permission denied")
        return opened(self, *arguments, **keywords)

    monkeypatch.setattr(Path, "open", refuse)
    pacs = FolderPacs(folder)
    assert pacs.skipped() == [("other.dcm", "cannot be read: Permission denied")]
    monkeypatch.undo()
    assert pacs.refresh() == {"1.2.3"}
    assert pacs.skipped() == []


def test_the_same_instance_twice_counts_once(folder: Path) -> None:
    shutil.copy(FILES / MR, folder / "again.dcm")
    pacs = FolderPacs(folder)
    (study,) = pacs.studies()
    (instance,) = study.instances
    assert instance.locator == MR
    assert pacs.skipped() == [("again.dcm", f"the same SOP Instance UID as {MR}")]


@pytest.mark.parametrize("second", ["P2", ""])
def test_a_study_of_two_patients_is_withheld(tmp_path: Path, second: str) -> None:
    image(tmp_path / "a.dcm")
    image(tmp_path / "b.dcm", sop="1.2.3.1.2", patient=second)
    image(tmp_path / "c.dcm", study="1.2.4", series="1.2.4.1", sop="1.2.4.1.1", patient="P2")
    pacs = FolderPacs(tmp_path)
    assert uids(pacs.studies()) == {"1.2.4"}
    assert pacs.locate("1.2.3", "1.2.3.1", "1.2.3.1.1") is None
    assert dict(pacs.skipped()) == dict.fromkeys(("a.dcm", "b.dcm"), "files of study 1.2.3 name different patients")
    (tmp_path / "b.dcm").unlink()
    assert pacs.refresh() == {"1.2.3"}
    assert pacs.locate("1.2.3", "1.2.3.1", "1.2.3.1.1") is not None


def test_late_changed_and_vanished_files_are_noticed(folder: Path) -> None:
    pacs = FolderPacs(folder)
    assert pacs.refresh() == frozenset()
    late = image(folder / "deep" / "er" / "late.dcm")
    assert pacs.refresh() == {"1.2.3"}
    image(folder / "deep" / "second.dcm", sop="1.2.3.1.2")
    assert pacs.refresh() == {"1.2.3"}
    study = pacs.study("1.2.3")
    assert study is not None
    assert [instance.sop_instance_uid for instance in study.instances] == ["1.2.3.1.1", "1.2.3.1.2"]
    image(late, study="1.2.5", series="1.2.5.1", sop="1.2.5.1.1")
    assert pacs.refresh() == {"1.2.3", "1.2.5"}
    (folder / MR).unlink()
    assert pacs.refresh() == {MR_STUDY}
    assert pacs.study(MR_STUDY) is None
    assert pacs.locate(MR_STUDY, MR_SERIES, MR_INSTANCE) is None


def test_only_new_and_changed_files_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(folder / "other.dcm")
    pacs = FolderPacs(folder)
    read: list[str] = []
    real = folder_pacs.read_header
    monkeypatch.setattr(folder_pacs, "read_header", lambda file: read.append(file.name) or real(file))
    pacs.refresh()
    assert read == []
    image(folder / "other.dcm", sop="1.2.3.1.2")
    image(folder / "new.dcm", sop="1.2.3.1.3")
    pacs.refresh()
    assert sorted(Path(name).name for name in read) == ["new.dcm", "other.dcm"]


def test_studies_that_did_not_change_stay_the_same_object(folder: Path) -> None:
    pacs = FolderPacs(folder)
    before = pacs.study(MR_STUDY)
    image(folder / "other.dcm")
    pacs.refresh()
    assert pacs.study(MR_STUDY) is before


def only(pacs: FolderPacs) -> Instance:
    (instance,) = (instance for study in pacs.studies() for instance in study.instances)
    return instance


def test_a_file_that_changed_since_is_not_given_out(folder: Path) -> None:
    pacs = FolderPacs(folder)
    instance = only(pacs)
    image(folder / MR)
    with pytest.raises(Unavailable, match="has changed"):
        pacs.open(instance)
    with pytest.raises(Unavailable, match="has changed"):
        pacs.path(instance)
    (folder / MR).unlink()
    with pytest.raises(Unavailable, match="cannot be read"):
        pacs.open(instance)


def test_a_file_that_changes_before_the_first_chunk_is_not_given_out(folder: Path) -> None:
    pacs = FolderPacs(folder)
    chunks = pacs.open(only(pacs))
    image(folder / MR)
    with pytest.raises(Unavailable, match="has changed"):
        next(chunks)
    (folder / MR).unlink()
    with pytest.raises(Unavailable, match="cannot be read"):
        next(FolderPacs.open(pacs, only(pacs)))


def test_what_was_judged_is_given_out_or_nothing(tmp_path: Path) -> None:
    """Given an instance found, when its file gets the same UIDs and another patient, then nobody gets the new bytes."""
    path = image(tmp_path / "a.dcm", patient="PATIENT-A")
    pacs = FolderPacs(tmp_path)
    instance = pacs.locate("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert instance is not None
    begun = pacs.open(instance)
    image(tmp_path / "b.new", patient="PATIENT-B").replace(path)
    pacs.refresh()  # as any other request does
    with pytest.raises(Unavailable, match="has changed"):
        next(begun)
    with pytest.raises(Unavailable, match="has changed"):
        pacs.open(instance)
    found = pacs.locate("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert found is not None
    assert b"PATIENT-B" in b"".join(pacs.open(found))


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.truncate(path, 250),
        lambda path: path.write_bytes(path.read_bytes() + b"more"),
        lambda path: path.write_bytes(path.read_bytes()[::-1]),
    ],
    ids=["cut", "grown", "overwritten"],
)
def test_a_file_that_changes_while_it_is_sent_does_not_end_like_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    monkeypatch.setattr(folder_pacs, "CHUNK", 100)
    path = image(tmp_path / "a.dcm")
    size = path.stat().st_size
    pacs = FolderPacs(tmp_path)
    chunks = pacs.open(only(pacs))
    sent = [next(chunks)]
    change(path)
    os.utime(path, ns=(0, 0))  # so that the change shows, however coarse the clock of the file system is
    with pytest.raises(Unavailable, match="changed while it was sent"):
        sent.extend(chunks)
    assert sum(map(len, sent)) < size


def test_a_file_that_may_not_be_read_any_more_is_noticed_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pacs = FolderPacs(folder)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # root may read everything
    with pytest.raises(Unavailable, match="may not be read"):
        pacs.open(only(pacs))


@pytest.mark.parametrize("locator", ["../secret.dcm", "/etc/passwd", "", "nowhere"])
def test_only_files_of_the_folder_are_given_out(tmp_path: Path, locator: str) -> None:
    image(tmp_path / "secret.dcm")
    image(tmp_path / "folder" / "image.dcm")
    pacs = FolderPacs(tmp_path / "folder")
    with pytest.raises(Unavailable, match="is not a file of this folder"):
        pacs.open(Instance(sop_class_uid="1.2", sop_instance_uid="1.2.3.1.1", locator=locator))


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    image(folder / "image.dcm")
    pacs = FolderPacs(folder)
    folder.rename(tmp_path / "away")
    with pytest.raises(Unavailable, match="cannot be read"):
        pacs.refresh()
    assert uids(pacs.studies()) == {"1.2.3"}
    with pytest.raises(Unavailable, match="cannot be read"):
        FolderPacs(folder)


def test_a_folder_that_links_to_itself_ends(tmp_path: Path) -> None:
    image(tmp_path / "a" / "image.dcm")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert uids(FolderPacs(tmp_path).studies()) == {"1.2.3"}


def test_readers_and_refreshes_do_not_disturb_each_other(tmp_path: Path) -> None:
    image(tmp_path / "0.dcm")
    pacs = FolderPacs(tmp_path)
    stop = threading.Event()
    failures: list[BaseException] = []

    def reading() -> Iterator[None]:
        while not stop.is_set():
            for study in pacs.studies():
                for instance in study.instances:
                    found = pacs.locate("1.2.3", "1.2.3.1", instance.sop_instance_uid)
                    assert found is None or b"".join(pacs.open(found))
            yield

    def run() -> None:
        try:
            for _ in reading():
                pass
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 60):
        image(tmp_path / f"{number}.dcm", sop=f"1.2.3.1.{number + 1}")
        pacs.refresh()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    (study,) = pacs.studies()
    assert len(list(study.instances)) == 60


def test_a_study_of_1300_instances(tmp_path: Path) -> None:
    for number in range(1300):
        image(tmp_path / f"{number % 13}" / f"{number}.dcm", series=f"1.2.3.{number % 13}", sop=f"1.2.3.9.{number + 1}")
    (study,) = FolderPacs(tmp_path).studies()
    assert (len(study.series), len(list(study.instances))) == (13, 1300)
