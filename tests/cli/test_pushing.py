"""`xdsi fetch --push` into a real Orthanc, by each of its ways in."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import requests

from tests.archives import Orthanc
from tests.cli.test_commands import done, failed, settings, xdsi
from tests.imaging import STUDIES
from tests.servers import Server
from tests.transport.test_rest import kept
from tests.trusted import CT

AUTHORITY = "2.999.1.5"
LOCAL = "L7^^^&2.999.7&ISO"


def consumer(folder: Path, server: Server, pacs: str) -> Path:
    folder.mkdir(exist_ok=True)
    return settings(
        folder,
        f"[domain]\npatient_id_authority = '{AUTHORITY}'\n"
        f"[imaging_source]\npacs = '{pacs}'\nrepository_url = '{server.url('repository')}'\n"
        "patient_id_authority = '2.999.7'\naccession_authority = '2.999.7.1'\n"
        f"[consumer]\nregistry_url = '{server.url('registry')}'\n"
        f"[consumer.repositories]\n'2.999.1.2' = '{server.url('repository')}'\n"
        f"[consumer.sources]\n'2.999.1.3' = '{server.url('imaging-source')}'\n",
    )


@pytest.fixture(scope="module")
def entry(open_server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = consumer(tmp_path_factory.mktemp("publishing"), open_server, f"folder:{STUDIES}")
    text = file.read_text().replace("patient_id_authority = '2.999.7'", f"patient_id_authority = '{AUTHORITY}'")
    file.write_text(text)
    (published,) = done("publish", CT, "--again", config=file)
    return str(published["entry"])


@pytest.mark.component
@pytest.mark.parametrize("kind", ["orthanc", "dicomweb", "dimse"])
def test_images_arrive_under_the_local_identifiers(
    open_server: Server, orthanc: Orthanc, entry: str, tmp_path: Path, kind: str
) -> None:
    places = {"orthanc": orthanc.url, "dicomweb": orthanc.dicom_web, "dimse": f"ARCHIVE@127.0.0.1:{orthanc.dicom_port}"}
    file = consumer(tmp_path / "c", open_server, f"{kind}:{places[kind]}")
    orthanc.clear()
    items = done(
        "fetch", entry, "--out", tmp_path / "out", "--push", "--local-id", LOCAL, "--accession", "A7", config=file
    )
    assert sorted(item["pushed"] for item in items if "pushed" in item) == sorted(kept(CT))
    found = requests.get(f"{orthanc.url}/instances", timeout=60).json()
    assert len(found) == 4
    for one in found:
        raw = requests.get(f"{orthanc.url}/instances/{one}/file", timeout=60).content
        dataset = pydicom.dcmread(BytesIO(raw))
        assert (dataset.PatientID, dataset.AccessionNumber) == ("L7", "A7")
        assert dataset.IssuerOfAccessionNumberSequence[0].UniversalEntityID == "2.999.7.1"
        original = dataset.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
        assert original.PatientID == "77654033"
        expected = pydicom.dcmread(BytesIO(kept(CT)[str(dataset.SOPInstanceUID)]))
        assert dataset.PixelData == expected.PixelData
    (record,) = [item for item in done("audit", "search", config=file) if item["transaction"] == "RAD-61"]
    assert (record["outcome"], record["patient"]) == (0, LOCAL)


def test_nothing_is_pushed_without_knowing_as_whom(open_server: Server, entry: str, tmp_path: Path) -> None:
    file = consumer(tmp_path, open_server, "orthanc:http://127.0.0.1:9/")
    status, answer = xdsi("fetch", entry, "--out", tmp_path / "out", "--push", config=file)
    assert (status, "has no identifier here" in str(answer["items"])) == (1, True)
    status, answer = xdsi("fetch", entry, "--out", tmp_path / "out", "--push", "--local-id", LOCAL, config=file)
    problems = [item["problem"] for item in answer["items"] if "pushed" in item]
    assert (status, len(problems)) == (1, 4)
    assert all("cannot be reached" in problem for problem in problems)


def test_a_folder_takes_no_images(open_server: Server, entry: str, tmp_path: Path) -> None:
    file = consumer(tmp_path, open_server, f"folder:{STUDIES}")
    assert "nothing can be pushed" in failed("fetch", entry, "--out", tmp_path / "out", "--push", config=file)
    assert "16 characters" in failed("fetch", entry, "--out", tmp_path, "--accession", "1" * 17, config=file)
    assert "is an OID" in failed("fetch", entry, "--out", tmp_path, "--accession-issuer", "x", config=file)
