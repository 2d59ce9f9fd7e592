"""RAD-69 and RAD-68 with a real archive behind the imaging source, and what a consumer sees when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import requests
import urllib3

from tests.archives import Orthanc, running_orthanc
from tests.imaging import FILES, STUDIES
from tests.servers import Server, envelope, serving, start
from tests.transport.pacs.test_http_faults import Liar, listening, ok, status
from xdsi import app, settings
from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import ImagingRequest, SeriesRequest, Study, StudyRequest
from xdsi.domain.outcome import Status
from xdsi.domain.retrieval import DocumentRequest
from xdsi.settings import Settings
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.wire.ebxml import imaging
from xdsi.wire.message import Packaging

LOCATION = "2.999.1.3"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


@pytest.fixture(scope="module")
def held() -> Study:
    """A study of seven images in two series."""
    return next(study for study in FolderPacs(STUDIES).studies() if len(list(study.instances)) == 7)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, held: Study) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("archive") / "orthanc") as orthanc:
        orthanc.store(*(STUDIES / one.locator for one in held.instances))
        yield orthanc


def configured(folder: Path, pacs: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "source.toml"
    file.write_text(
        f'[domain]\nprofile = "open"\n[server]\nactors = ["imaging-source"]\n[imaging_source]\npacs = "{pacs}"\n'
        "[pacs]\nretries = 0\n"
    )
    return file


def consumer_of(server: Server, folder: Path) -> Settings:
    file = folder / "consumer.toml"
    file.write_text(
        f'[server]\ndata_dir = "{folder}/consumer"\n[consumer]\nregistry_url = "{server.base_url}/x"\n'
        f'[consumer.sources]\n"{LOCATION}" = "{server.url("imaging-source")}"\n'
    )
    return settings.load(file, {})


def request(study: Study, *syntaxes: str) -> ImagingRequest:
    series = tuple(
        SeriesRequest(
            one.series_instance_uid,
            tuple(DocumentRequest("", LOCATION, instance.sop_instance_uid) for instance in one.instances),
        )
        for one in study.series
    )
    return ImagingRequest((StudyRequest(study.study_instance_uid, series),), syntaxes)


def fetched(chosen: Settings, wanted: ImagingRequest) -> tuple[Status, dict[str, bytes]]:
    with app.Parts(chosen) as parts:
        called = parts.consumer.fetch(wanted, LOCATION)
        try:
            images = {one.request.document_unique_id: b"".join(one.document.open()) for one in called.answer.documents}
            return called.answer.outcome.status, images
        finally:
            called.close()


class Between(Liar):
    """Stands before the archive and passes everything on, but may cut files off, or be away."""

    def __init__(self, archive: Orthanc) -> None:
        super().__init__()
        self.archive = archive
        self.cut: set[str] = set()
        self.away = False

    def answer(self, head: str) -> bytes:
        method, target, _ = head.split("\r\n")[0].split(" ")
        if self.away:
            return b""
        body = head.partition("\r\n\r\n")[2].encode("latin-1")
        got = requests.request(method, self.archive.url + target, data=body, timeout=30)
        if got.status_code != 200:
            return status(got.status_code)
        whole = ok(got.content, got.headers["Content-Type"])
        return whole[:-1000] if target in self.cut else whole


@pytest.fixture(scope="module")
def between(archive: Orthanc) -> Iterator[Between]:
    found = Between(archive)
    with listening(found):
        yield found


@pytest.fixture(scope="module")
def consumer(between: Between, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("source")
    with serving(folder / "data", config=configured(folder, f"orthanc:{between.url}")) as server:
        yield consumer_of(server, folder)


def test_images_come_bit_for_bit_from_the_archive(consumer: Settings, held: Study) -> None:
    outcome, images = fetched(consumer, request(held, EXPLICIT))
    assert outcome is Status.SUCCESS
    assert images == {one.sop_instance_uid: (STUDIES / one.locator).read_bytes() for one in held.instances}


def test_images_of_the_archive_are_transcoded(consumer: Settings, held: Study) -> None:
    few = replace(held, series=held.series[:1])
    outcome, images = fetched(consumer, request(few, IMPLICIT))
    assert outcome is Status.SUCCESS
    assert {pydicom.dcmread(BytesIO(image)).file_meta.TransferSyntaxUID for image in images.values()} == {IMPLICIT}
    assert images.keys() == {one.sop_instance_uid for one in few.instances}


def test_an_archive_that_breaks_off_breaks_the_answer(
    consumer: Settings, between: Between, archive: Orthanc, held: Study
) -> None:
    """The consumer must never take part of an answer for the whole of it."""
    *_, last = held.instances
    between.cut = {f"/instances/{archive.lookup(last.sop_instance_uid)}/file"}
    try:
        fetched(consumer, request(replace(held, series=held.series[:1]), EXPLICIT))
        with pytest.raises(Unavailable, match="broke off"):
            fetched(consumer, request(held, EXPLICIT))
    finally:
        between.cut = set()


def test_an_archive_that_is_away_gives_an_error_for_each_instance(
    consumer: Settings, between: Between, held: Study
) -> None:
    other = next(study for study in FolderPacs(STUDIES).studies() if len(list(study.instances)) == 11)
    between.away = True
    try:
        # Asked of another study: what was said of this one a moment ago may still be used.
        assert fetched(consumer, request(other, EXPLICIT)) == (Status.FAILURE, {})
    finally:
        between.away = False


def test_an_archive_that_is_killed_in_the_middle_breaks_the_answer(tmp_path: Path) -> None:
    """Nothing that ends like an answer comes of it: the connection breaks before what was announced is there."""
    dataset = pydicom.dcmread(FILES / "MR_small.dcm")
    dataset.PixelData = bytes(900_000)
    uids = [f"2.25.88.1.{number}" for number in range(1, 61)]
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.88", "2.25.88.1"
    documents = tuple(DocumentRequest("", LOCATION, uid) for uid in uids)
    wanted = ImagingRequest((StudyRequest("2.25.88", (SeriesRequest("2.25.88.1", documents),)),), (EXPLICIT,))
    with running_orthanc(tmp_path / "orthanc") as orthanc:
        for uid in uids:
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
            file = BytesIO()
            dataset.save_as(file)
            orthanc.store(file.getvalue())
        with serving(tmp_path / "data", config=configured(tmp_path / "source", f"orthanc:{orthanc.url}")) as server:
            body = b"".join(imaging.encode_request(wanted, Packaging.SIMPLE).body)
            headers = {"Content-Type": "application/soap+xml"}
            message = envelope("urn:ihe:rad:2009:RetrieveImagingDocumentSet", body)
            with requests.post(
                server.url("imaging-source"), data=message, headers=headers, stream=True, timeout=60
            ) as answer:
                announced, came = int(answer.headers["Content-Length"]), len(answer.raw.read(65536))
                orthanc.process.kill()
                orthanc.process.wait()
                with suppress(requests.RequestException, urllib3.exceptions.HTTPError):
                    while chunk := answer.raw.read(65536):
                        came += len(chunk)
            assert 65536 < came < announced


def series_of_files(study: str, count: int) -> dict[str, bytes]:
    """A series, by SOP Instance UID."""
    dataset = pydicom.dcmread(FILES / "MR_small.dcm")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.PatientID = study, f"{study}.1", "RIGHT-ONE"
    files: dict[str, bytes] = {}
    for number in range(1, count + 1):
        uid = f"{study}.1.{number}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        file = BytesIO()
        dataset.save_as(file)
        files[uid] = file.getvalue()
    return files


def request_of(study: str, *uids: str) -> ImagingRequest:
    documents = tuple(DocumentRequest("", LOCATION, uid) for uid in uids)
    return ImagingRequest((StudyRequest(study, (SeriesRequest(f"{study}.1", documents),)),), (EXPLICIT,))


def test_what_a_killed_server_left_in_its_folders_is_gone_after_the_next_start(
    archive: Orthanc, tmp_path: Path
) -> None:
    """Images of patients, which nobody would take any more: those of a series that nobody had asked for yet."""
    files = series_of_files("2.25.90", 8)
    archive.store(*files.values())
    config = configured(tmp_path / "source", f"dicomweb:{archive.dicom_web}")

    def lying() -> list[bytes]:
        folders = [tmp_path / "data" / name for name in ("from-pacs", "transcoded")]
        found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return [path.read_bytes() for path in found if "lock" not in path.name]

    server = start(tmp_path / "data", config=config)
    try:
        outcome, images = fetched(consumer_of(server, tmp_path), request_of("2.25.90", *list(files)[:4]))
        assert (outcome, len(images)) == (Status.SUCCESS, 4)
    finally:
        server.kill()
    assert sorted(lying()) == sorted(list(files.values())[4:])
    (tmp_path / "data/from-pacs/of-a-former-version").write_bytes(b"an image")
    (tmp_path / "data/transcoded/of-a-former-version").write_bytes(b"an image")
    with serving(tmp_path / "data", config=config) as server:
        assert lying() == []
        outcome, images = fetched(consumer_of(server, tmp_path), request_of("2.25.90", *files))
        assert images == files
    archive.delete(f"/studies/{archive.lookup('2.25.90')}")
    assert [path.name for path in (tmp_path / "data/from-pacs").iterdir()] == ["lock"]
