"""The archives that the contract of the port `Pacs` is tried on, each holding the same files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.archives import Orthanc, orthanc
from tests.imaging import FILES
from xdsi.domain.imaging import Study
from xdsi.domain.ports import Pacs
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.storage.fresh_folder import FreshFolder
from xdsi.transport.http_client import HttpAccess
from xdsi.transport.pacs.dicomweb import DicomWebPacs
from xdsi.transport.pacs.orthanc import OrthancPacs

__all__ = ["orthanc"]

ALL = FILES.parent
"""pydicom's test files and those of every character set"""
MR_STUDY = "1.3.6.1.4.1.5962.1.2.4.20040826185059.5457"


@cache
def reference() -> FolderPacs:
    """The files as the folder adapter reads them: what every archive that holds them has to tell, too."""
    return FolderPacs(ALL)


@dataclass
class Archive:
    """An archive behind the port, with what tests do to it by other ways."""

    kind: str
    pacs: Pacs
    store: Callable[[Path], None]
    delete: Callable[[str], None]
    """by SOP Instance UID"""


@pytest.fixture(scope="session")
def filled(orthanc: Orthanc) -> Orthanc:
    """Orthanc with all of pydicom's files that are complete DICOM files."""
    orthanc.clear()
    pacs = reference()
    orthanc.store(*(pacs.path(one) for study in pacs.studies() for one in study.instances))
    return orthanc


@pytest.fixture(scope="session")
def filled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folder") / "all"
    shutil.copytree(ALL, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__", "palettes"))
    return folder


def folder_archive(folder: Path) -> Archive:
    pacs = FreshFolder(folder)

    def store(file: Path) -> None:
        shutil.copy(file, folder / f"stored-{file.name}")

    def delete(uid: str) -> None:
        places = {one.sop_instance_uid: pacs.path(one) for study in pacs.studies() for one in study.instances}
        places[uid].unlink()

    return Archive("folder", pacs, store, delete)


def remote_archive(kind: str, orthanc: Orthanc, folder: Path) -> Archive:
    made: dict[str, Callable[[], Pacs]] = {
        "orthanc": lambda: OrthancPacs(orthanc.url, HttpAccess(), folder),
        "dicomweb": lambda: DicomWebPacs(orthanc.dicom_web, HttpAccess(), folder),
    }

    def delete(uid: str) -> None:
        orthanc.delete(f"/instances/{orthanc.lookup(uid)}")

    return Archive(kind, made[kind](), lambda file: orthanc.store(file) and None, delete)


@pytest.fixture(params=["folder", "orthanc", "dicomweb"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    """Each kind of archive with all of pydicom's files."""
    if request.param == "folder":
        yield folder_archive(request.getfixturevalue("filled_folder"))
    else:
        yield remote_archive(request.param, request.getfixturevalue("filled"), tmp_path / "from-pacs")


def expected(uid: str) -> Study:
    """A study as it is in the files."""
    study = reference().study(uid)
    assert study is not None
    return study
