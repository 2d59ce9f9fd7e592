"""An archive that falls silent or crawls in the middle of an answer: one caller is told, in bounded time, and no other.

RAD-69 and RAD-107 break their connection, RAD-16 counts the image as failed; audit says failure.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from tests.app.test_archives import LOCATION, request_of, series_of_files
from tests.archives import Orthanc, running_orthanc
from tests.cli.test_commands import done
from tests.crawling import Crawling
from tests.crawling import standing as relaying
from tests.moving import moved
from tests.servers import PATIENCE, Server, free_port, serving, wait_until
from tests.trusted import DOCTOR, PURPOSES, SNOMED
from xdsi import app, settings
from xdsi.domain.errors import Unavailable
from xdsi.domain.outcome import Status

SLOW, OTHER = "2.25.92", "2.25.93"
FILES = {study: series_of_files(study, 3) for study in (SLOW, OTHER)}


@dataclass
class Between:
    """Stands before the archive; files that are slow begin, and then hang or come byte by byte until `end`."""

    archive: Orthanc
    way: str = ""
    slow: str = ""
    reached: threading.Event = field(default_factory=threading.Event)
    end: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def become(self, way: str) -> None:
        self.way = way
        self.reached.clear()
        self.end.clear()

    def crawl(self, write: Any, content: bytes) -> None:
        write(content[:2000])
        self.reached.set()
        at = 2000
        while not self.end.wait(0.02):
            if self.way == "crawls":
                write(content[at : at + 1])
                at += 1


@contextmanager
def standing(between: Between) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            got = requests.request(self.command, between.archive.url + self.path, data=body, timeout=30)
            self.send_response(got.status_code)
            self.send_header("Content-Type", got.headers.get("Content-Type", "text/plain"))
            self.send_header("Content-Length", str(len(got.content)))
            self.end_headers()
            if between.way and self.path == between.slow:
                self.close_connection = True
                # Who asked has had enough at some time.
                with suppress(OSError):
                    between.crawl(self.wfile.write, got.content)
                return
            self.wfile.write(got.content)

        do_GET = do_POST = answer  # noqa: N815 - names of the library

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    between.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        between.end.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Hospital:
    between: Between
    server: Server
    folder: Path
    move_port: int
    store_port: int

    def rad69(self, study: str) -> tuple[str, Status, dict[str, bytes]]:
        file = self.folder / "consumer.toml"
        with app.Parts(settings.load(file, {})) as parts:
            called = parts.consumer.fetch(request_of(study, *FILES[study]), LOCATION)
            try:
                images = {
                    one.request.document_unique_id: b"".join(one.document.open()) for one in called.answer.documents
                }
                return called.reply.trace, called.answer.outcome.status, images
            finally:
                called.close()

    def rad107(self, study: str) -> tuple[str, int, bytes]:
        accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        url = f"{self.server.base_url}/dicom-web/studies/{study}"
        with requests.get(url, headers=accept, timeout=PATIENCE) as answer:
            return answer.headers["Xdsi-Trace"], answer.status_code, answer.content

    def rad16(self, study: str) -> tuple[Any, set[str]]:
        """The last answer to a C-MOVE, and what came."""
        return moved(self.move_port, self.store_port, QueryRetrieveLevel="STUDY", StudyInstanceUID=study)

    def audited(self, number: str) -> list[tuple[str, int]]:
        """(trace, outcome) of each record of a transaction."""
        items = done("audit", "search", "--limit", "1000", "--data", self.folder / "data")
        return [(item["trace"], item["outcome"]) for item in items if item["transaction"] == number]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("slow")
    move_port, store_port = free_port(), free_port()
    with running_orthanc(folder / "orthanc") as orthanc:
        for files in FILES.values():
            orthanc.store(*files.values())
        between = Between(orthanc)
        between.slow = f"/instances/{orthanc.lookup(list(FILES[SLOW])[-1])}/file"
        with standing(between):
            (folder / "source.toml").write_text(
                f'[domain]\nprofile = "open"\n[server]\nactors = ["imaging-source"]\n[imaging_source]\n'
                f'pacs = "orthanc:{between.url}"\n[pacs]\nretries = 0\nread_seconds = 1.0\nminimum_rate = 10000\n'
                f'remember_seconds = 3600\n[dicom]\nport = {move_port}\n[[dicom.peer]]\nae_title = "MOVER"\n'
                f'address = "127.0.0.1:{store_port}"\norganization_id = "urn:oid:2.999.5"\n'
                f'role = "{DOCTOR}^^{SNOMED}"\npurpose = "TREAT^^{PURPOSES}"\n'
            )
            with serving(folder / "data", config=folder / "source.toml") as server:
                (folder / "consumer.toml").write_text(
                    f'[server]\ndata_dir = "{folder}/consumer"\n[consumer]\nregistry_url = "{server.base_url}/x"\n'
                    f'[consumer.sources]\n"{LOCATION}" = "{server.url("imaging-source")}"\n'
                )
                found = Hospital(between, server, folder, move_port, store_port)
                # What there is is known from here on: it is the files that are slow.
                wait_until(lambda: found.rad69(SLOW)[1] is Status.SUCCESS)
                yield found


@pytest.mark.parametrize("way", ["hangs", "crawls"])
@pytest.mark.parametrize("transaction", ["RAD-69", "RAD-107", "RAD-16"])
def test_one_caller_waits_for_a_bounded_time_and_the_others_not_at_all(
    hospital: Hospital, transaction: str, way: str
) -> None:
    before = hospital.audited(transaction)
    hospital.between.become(way)
    with ThreadPoolExecutor(1) as executor:
        ask = {"RAD-69": hospital.rad69, "RAD-107": hospital.rad107, "RAD-16": hospital.rad16}[transaction]
        slow = executor.submit(ask, SLOW)
        try:
            assert hospital.between.reached.wait(PATIENCE)
            _, status, images = hospital.rad69(OTHER)
            assert (status, images) == (Status.SUCCESS, FILES[OTHER])
            assert hospital.rad107(OTHER)[1] == 200
            # It ends by itself: the archive has not said another word.
            if transaction == "RAD-16":
                last, came = slow.result(PATIENCE)
                assert (last.NumberOfFailedSuboperations, last.NumberOfCompletedSuboperations) == (1, 2)
                assert came == set(list(FILES[SLOW])[:2])
            else:
                with pytest.raises((Unavailable, requests.RequestException, urllib3.exceptions.HTTPError,
                                    http.client.HTTPException)):  # fmt: skip
                    slow.result(PATIENCE)
        finally:
            hospital.between.end.set()
            hospital.between.way = ""

    def failures() -> list[tuple[str, int]]:
        return [one for one in hospital.audited(transaction) if one not in before and one[1] != 0]

    wait_until(failures, PATIENCE)
    ((trace, outcome),) = failures()
    assert outcome == 8
    assert (trace, 0) in hospital.audited(transaction), "what was begun, and that it did not arrive"
    # Afterwards all of it is to be had.
    _, status, images = hospital.rad69(SLOW)
    assert (status, images) == (Status.SUCCESS, FILES[SLOW])


@pytest.mark.parametrize("way", ["hangs", "crawls"])
def test_the_same_of_an_archive_by_dimse(by_dimse: tuple[Hospital, Crawling], way: str) -> None:
    """An image is fetched whole before its first byte is given on; that is what ends."""
    hospital, relay = by_dimse
    relay.become(way)
    with ThreadPoolExecutor(1) as executor:
        slow = executor.submit(hospital.rad69, SLOW)
        try:
            assert relay.reached.wait(PATIENCE)
            _, status, images = hospital.rad69(OTHER)
            assert (status, set(images)) == (Status.SUCCESS, set(FILES[OTHER]))
            with pytest.raises((Unavailable, urllib3.exceptions.HTTPError, http.client.HTTPException)):
                slow.result(PATIENCE)
        finally:
            relay.end.set()
            relay.become("")
    _, status, images = hospital.rad69(SLOW)
    assert (status, set(images)) == (Status.SUCCESS, set(FILES[SLOW]))


@pytest.fixture(scope="module")
def by_dimse(hospital: Hospital, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hospital, Crawling]]:
    folder = tmp_path_factory.mktemp("dimse")
    orthanc = hospital.between.archive
    slow = list(FILES[SLOW])[-1].encode()
    with relaying(Crawling(("127.0.0.1", orthanc.dicom_port), "", slow, 5_000)) as relay:
        (folder / "source.toml").write_text(
            f'[domain]\nprofile = "open"\n[server]\nactors = ["imaging-source"]\n[imaging_source]\n'
            f'pacs = "dimse:ARCHIVE@127.0.0.1:{relay.port}"\n[pacs]\nread_seconds = 2.0\nminimum_rate = 10000\n'
            "remember_seconds = 3600\n"
        )
        with serving(folder / "data", config=folder / "source.toml") as server:
            (folder / "consumer.toml").write_text(
                f'[server]\ndata_dir = "{folder}/consumer"\n[consumer]\nregistry_url = "{server.base_url}/x"\n'
                f'[consumer.sources]\n"{LOCATION}" = "{server.url("imaging-source")}"\n'
            )
            found = Hospital(hospital.between, server, folder, 0, 0)
            wait_until(lambda: found.rad69(SLOW)[1] is Status.SUCCESS)
            yield found, relay
