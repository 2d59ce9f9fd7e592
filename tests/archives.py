"""Real archives for tests, each a process of its own on free ports of loopback with a folder of its own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.imaging import program
from tests.servers import PATIENCE, free_port, wait_until

_PLUGINS = Path("/usr/share/orthanc/plugins")


@dataclass
class Orthanc:
    """A running Orthanc with its DICOMweb plugin; without a password unless asked for one."""

    process: subprocess.Popen[bytes]
    http_port: int
    dicom_port: int
    folder: Path
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicom_web(self) -> str:
        return f"{self.url}/dicom-web"

    def store(self, *files: Path | bytes) -> list[str]:
        """Keep files; its ids of them."""
        ids = []
        for file in files:
            content = file if isinstance(file, bytes) else file.read_bytes()
            answer = self.session.post(f"{self.url}/instances", data=content, timeout=PATIENCE)
            assert answer.status_code == 200, f"{file if isinstance(file, Path) else ''}: {answer.text}"
            ids.append(answer.json()["ID"])
        return ids

    def delete(self, path: str) -> None:
        assert self.session.delete(f"{self.url}{path}", timeout=PATIENCE).status_code == 200

    def clear(self) -> None:
        for study in self.session.get(f"{self.url}/studies", timeout=PATIENCE).json():
            self.delete(f"/studies/{study}")

    def lookup(self, uid: str) -> str:
        """Its own id of what has a UID."""
        (found,) = self.session.post(f"{self.url}/tools/lookup", data=uid, timeout=PATIENCE).json()
        return str(found["ID"])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            return self.session.get(f"{self.url}/system", timeout=PATIENCE).status_code in (200, 401)
        except requests.ConnectionError:
            return False


def start_orthanc(folder: Path, **changes: Any) -> Orthanc:
    """Start one that answers, with everything allowed that a test may ask."""
    orthanc = program("Orthanc")
    plugin = _PLUGINS / "libOrthancDicomWeb.so"
    if not plugin.exists():
        program("the Orthanc plugin libOrthancDicomWeb.so")
    folder.mkdir(parents=True)
    http, dicom = free_port(), free_port()
    settings: dict[str, Any] = {
        "Name": "archive",
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": "ARCHIVE",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [str(plugin)],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StableAge": 1,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomCheckCalledAet": False,
        "DicomCheckModalityHost": False,
        "OverwriteInstances": True,
        "DicomWeb": {"Enable": True},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings | changes))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([orthanc, folder / "orthanc.json"], stdout=log, stderr=log, cwd=folder)
    archive = Orthanc(process, http, dicom, folder)
    wait_until(archive._answers, PATIENCE)
    return archive


@contextmanager
def running_orthanc(folder: Path, **changes: Any) -> Iterator[Orthanc]:
    archive = start_orthanc(folder, **changes)
    try:
        yield archive
    finally:
        if archive.process.poll() is None:
            archive.stop()


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One Orthanc for the whole run; who needs it empty clears it."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc") / "archive") as archive:
        yield archive


def copied(files: Iterable[Path], folder: Path) -> Path:
    """The files in a folder of their own, under numbers."""
    folder.mkdir(parents=True)
    for number, file in enumerate(files):
        shutil.copy(file, folder / f"{number}.dcm")
    return folder


@dataclass
class DcmQrScp:
    """A running dcmqrscp of DCMTK, called ARCHIVE, that moves to XDSI at a port of ours."""

    process: subprocess.Popen[bytes]
    port: int
    move_port: int
    folder: Path

    def store(self, *files: Path) -> None:
        """Keep files; it cannot be made to forget one."""
        names = []
        for file in files:
            target = self.folder / "db" / f"{len(list((self.folder / 'db').iterdir()))}-{file.name}"
            shutil.copy(file, target)
            names.append(str(target))
        subprocess.run([program("dcmqridx"), str(self.folder / "db"), *names], check=True, capture_output=True)


@pytest.fixture(scope="session")
def dcmqrscp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmQrScp]:
    """One dcmqrscp for the whole run."""
    name = program("dcmqrscp")
    folder = tmp_path_factory.mktemp("dcmqrscp")
    (folder / "db").mkdir()
    port, move_port = free_port(), free_port()
    (folder / "dcmqrscp.cfg").write_text(
        f"""NetworkTCPPort = {port}
MaxPDUSize = 65536
MaxAssociations = 32
HostTable BEGIN
ours = (XDSI, 127.0.0.1, {move_port})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ARCHIVE {folder}/db RW (200, 1024mb) ANY
AETable END
"""
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([name, "-c", folder / "dcmqrscp.cfg"], stdout=log, stderr=log, cwd=folder)
    archive = DcmQrScp(process, port, move_port, folder)

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, PATIENCE)
    yield archive
    process.terminate()
    process.wait(PATIENCE)
