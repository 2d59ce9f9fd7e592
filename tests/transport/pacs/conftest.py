"""The archives that the contract of the port `Pacs` is tried on, each holding the same files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.archives import DcmQrScp, Orthanc, copied, dcmqrscp, orthanc
from tests.imaging import FILES
from tests.servers import wait_until
from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import Study
from xdsi.domain.ports import Pacs
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.storage.fresh_folder import FreshFolder
from xdsi.transport.http_client import HttpAccess
from xdsi.transport.pacs.associations import DimseAccess, DimseAddress
from xdsi.transport.pacs.dicomweb import DicomWebPacs
from xdsi.transport.pacs.dimse import DimsePacs
from xdsi.transport.pacs.orthanc import OrthancPacs

__all__ = ["dcmqrscp", "orthanc"]

ALL = FILES.parent
"""pydicom's test files and those of every character set"""


@cache
def reference() -> FolderPacs:
    """The files as the folder adapter reads them: what every archive that holds them has to tell, too."""
    return FolderPacs(ALL)


def study_of(uid: str) -> Study:
    found = reference().study(uid)
    assert found is not None
    return found


CT_STUDY, MR_STUDY = (
    next(study.study_instance_uid for study in reference().studies() if len(list(study.instances)) == count)
    for count in (7, 11)
)


@dataclass
class Archive:
    """An archive behind the port, with what tests do to it by other ways."""

    kind: str
    pacs: Pacs
    store: Callable[[Path], None]
    delete: Callable[[str], None] | None
    """by SOP Instance UID; None where the archive cannot"""
    reference: FolderPacs
    """the files it holds"""
    exact: bool = True
    """whether files come as they were stored; what crosses an association may be written anew"""


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

    return Archive("folder", pacs, store, delete, reference())


def from_orthanc(kind: str, orthanc: Orthanc, folder: Path) -> Archive:
    entity = DimseAddress("ARCHIVE", "127.0.0.1", orthanc.dicom_port)
    made: dict[str, Callable[[], Pacs]] = {
        "orthanc": lambda: OrthancPacs(orthanc.url, HttpAccess(), folder),
        "dicomweb": lambda: DicomWebPacs(orthanc.dicom_web, HttpAccess(), folder),
        "dimse": lambda: DimsePacs(entity, DimseAccess(), folder),
    }

    def delete(uid: str) -> None:
        orthanc.delete(f"/instances/{orthanc.lookup(uid)}")

    def store(file: Path) -> None:
        orthanc.store(file)

    return Archive(kind, made[kind](), store, delete, reference(), exact=kind != "dimse")


@pytest.fixture(scope="session")
def filled_dcmqrscp(dcmqrscp: DcmQrScp) -> DcmQrScp:
    dcmqrscp.store(*(path for path in sorted(plain_studies(dcmqrscp.folder).glob("*.dcm"))))
    return dcmqrscp


def plain_studies(folder: Path) -> Path:
    """Two studies without compression: dcmqrscp sends no other unless told which, and each move takes its time."""
    pacs = reference()
    paths = [pacs.path(one) for uid in (CT_STUDY, MR_STUDY) for one in study_of(uid).instances]
    return copied(paths, folder / "plain") if not (folder / "plain").exists() else folder / "plain"


def from_dcmqrscp(dcmqrscp: DcmQrScp, folder: Path) -> tuple[Archive, DimsePacs]:
    access = DimseAccess(retrieve="move", storage_port=dcmqrscp.move_port)
    pacs = DimsePacs(DimseAddress("ARCHIVE", "127.0.0.1", dcmqrscp.port), access, folder)
    return Archive(
        "dimse-move", pacs, dcmqrscp.store, None, FolderPacs(plain_studies(dcmqrscp.folder)), exact=False
    ), pacs


@pytest.fixture(params=["folder", "orthanc", "dicomweb", "dimse", "dimse-move"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    """Each kind of archive with all of pydicom's files, or those it can hold."""
    folder = tmp_path / "from-pacs"
    if request.param == "folder":
        yield folder_archive(request.getfixturevalue("filled_folder"))
    elif request.param == "dimse-move":
        found, pacs = from_dcmqrscp(request.getfixturevalue("filled_dcmqrscp"), folder)
        settle(found)
        yield found
        pacs.close()
    else:
        found = from_orthanc(request.param, request.getfixturevalue("filled"), folder)
        settle(found)
        yield found


_SETTLED: set[str] = set()
"""kinds whose counts have been right once since they were filled"""


def settle(archive: Archive) -> None:
    """Until what it counts is what it lists: one that has just been filled does the two at different moments."""

    def right() -> bool:
        with suppress(Unavailable):
            for state in archive.pacs.states():
                archive.pacs.reread(state.study_instance_uid)
            return True
        return False

    if archive.kind not in _SETTLED:
        wait_until(right, 60)
        _SETTLED.add(archive.kind)
