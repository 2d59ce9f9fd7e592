"""Archives over TLS: only the one that the settings' authority vouches for, with our certificate where it asks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from tests.transport.test_http_ahead import Archive, paths, send
from xdsi.domain.errors import Unavailable
from xdsi.transport import pki
from xdsi.transport.http_ahead import Place
from xdsi.transport.http_client import HttpAccess, HttpClient
from xdsi.transport.pacs.associations import DimseAccess, DimseAddress
from xdsi.transport.pacs.dicomweb import DicomWebPacs
from xdsi.transport.pacs.dimse import FIND, DimsePacs
from xdsi.transport.pacs.orthanc import OrthancPacs
from xdsi.transport.tls import TlsFiles, archive_context, client_context, fingerprint, server_context

UID = "1.2.3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with hub (the archive here), consumer (us), and a stranger of another authority."""
    made = tmp_path_factory.mktemp("pki")
    pki.create_demonstration(made)
    return made


def of_archive(folder: Path) -> Any:
    return server_context(TlsFiles(certificate=folder / "hub.pem", key=folder / "hub.key", peer_ca=folder / "ca.pem"))


def ours(folder: Path, name: str | None = "consumer", ca: str = "ca") -> Any:
    pair = (folder / f"{name}.pem", folder / f"{name}.key") if name else None
    return archive_context(ca=folder / f"{ca}.pem", certificate=pair)


@dataclass
class Secure:
    """An archive that asks for a client's certificate."""

    archive: Archive
    url: str


@pytest.fixture
def secure(folder: Path) -> Iterator[Secure]:
    archive = Archive()
    context = of_archive(folder)
    # Each connection shakes hands in its own thread, when it is first read.
    archive.socket = context.wrap_socket(archive.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=archive.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield Secure(archive, archive.url.replace("http:", "https:"))
    archive.shutdown()
    archive.server_close()
    thread.join(10)


def searched(archive: Archive) -> None:
    """One study, on the first page."""
    record = {"0020000D": {"vr": "UI", "Value": [UID]}}

    def answer(records: list[Any]) -> Callable[[BaseHTTPRequestHandler], None]:
        body = json.dumps(records).encode()
        return lambda handler: send(handler, body, Content_Type="application/dicom+json")

    for offset, records in ((0, [record]), (1, [])):
        archive.answers[f"/studies?includefield=00201208&limit=1000&offset={offset}"] = answer(records)


def test_an_archive_by_https_with_our_certificate(secure: Secure, folder: Path, tmp_path: Path) -> None:
    searched(secure.archive)
    pacs = DicomWebPacs(secure.url, HttpAccess(tls=ours(folder), retries=0), tmp_path)
    assert [state.study_instance_uid for state in pacs.states()] == [UID]


def test_the_next_request_shows_the_certificate_of_now(secure: Secure, folder: Path, tmp_path: Path) -> None:
    """A renewal: no restart, and no connection that is kept goes on showing the former one."""
    seen: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        connection: Any = handler.connection
        seen.append(fingerprint(connection.getpeercert(True)))
        send(handler, b"[]", Content_Type="application/dicom+json")

    def put(name: str, *parts: str) -> None:
        for part in parts:
            fresh = tmp_path / f"fresh.{part}"
            fresh.write_bytes((folder / f"{name}.{part}").read_bytes())
            fresh.replace(tmp_path / f"own.{part}")

    secure.archive.answers["/x"] = answer
    put("consumer", "pem", "key")
    files = TlsFiles(certificate=tmp_path / "own.pem", key=tmp_path / "own.key", peer_ca=folder / "ca.pem")
    client = HttpClient(secure.url, HttpAccess(tls=client_context(files), retries=0))
    former, renewed = (pki.load(folder, name).sha256 for name in ("consumer", "hospital-a"))
    for exchanged, shown in (((), former), ((), former), (("pem",), former), (("key",), renewed), ((), renewed)):
        put("hospital-a", *exchanged)
        client.json("/x")
        assert seen[-1] == shown, exchanged
    assert len(secure.archive.connections) == 2
    (tmp_path / "own.key").unlink()
    client.json("/x")
    assert seen[-1] == renewed, "files that are gone for a moment do no harm"


def test_files_asked_for_ahead_come_over_tls_too(secure: Secure, folder: Path) -> None:
    client = HttpClient(secure.url, HttpAccess(tls=ours(folder), retries=0))
    wanted = paths(20)
    found = [one.content if one else None for one in client.ahead([Place(one, 700) for one in wanted], "*/*")]
    assert found == [one.encode() * 100 for one in wanted]


@pytest.mark.parametrize(
    "context",
    [
        lambda folder: ours(folder, name=None),
        lambda folder: ours(folder, name="stranger"),
        lambda folder: ours(folder, ca="stranger-ca"),
    ],
    ids=["without our certificate", "with a stranger's", "an archive that nobody vouches for"],
)
def test_who_is_not_known_gets_nothing_and_gives_nothing(
    secure: Secure, folder: Path, tmp_path: Path, context: Callable[[Path], Any]
) -> None:
    access = HttpAccess(user="xdsi", password="secret", tls=context(folder), retries=0)
    for kind in (DicomWebPacs, OrthancPacs):
        with pytest.raises(Unavailable):
            list(kind(secure.url, access, tmp_path).states())
    assert list(HttpClient(secure.url, access).ahead([Place("/file/0", 700)], "*/*")) == [None]
    assert secure.archive.heads == [], "no credentials were shown to anybody"


@contextmanager
def entity(folder: Path) -> Iterator[DimseAddress]:
    """An application entity over TLS that has one study."""

    def find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        found = Dataset()
        found.QueryRetrieveLevel, found.StudyInstanceUID = "STUDY", UID
        found.NumberOfStudyRelatedInstances = "1"
        yield 0xFF00, found
        yield 0x0000, None

    made = AE(ae_title="ARCHIVE")
    made.add_supported_context(FIND)
    server = made.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)], ssl_context=of_archive(folder)
    )
    try:
        yield DimseAddress("ARCHIVE", "127.0.0.1", server.server_address[1])
    finally:
        server.shutdown()


def test_an_archive_by_dimse_over_tls(folder: Path, tmp_path: Path) -> None:
    with entity(folder) as address:
        pacs = DimsePacs(address, DimseAccess(tls=ours(folder), connect_seconds=5, read_seconds=5), tmp_path)
        assert [state.study_instance_uid for state in pacs.states()] == [UID]
        pacs.close()
