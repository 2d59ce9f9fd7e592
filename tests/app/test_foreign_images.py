"""An archive that gives out another patient's image in the place of one of a series, by every way images leave.

Its index says one thing and the file another. Not a byte of it leaves, and the others of its series do: RAD-69 has an
error for it, RAD-107 answers 206 with them, RAD-55 that this one cannot be had, RAD-16 counts it as failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.app.test_archives import LOCATION, consumer_of, request_of, series_of_files
from tests.archives import running_orthanc
from tests.moving import moved
from tests.servers import PATIENCE, Server, free_port, serving
from tests.trusted import DOCTOR, PURPOSES, SNOMED
from xdsi import app
from xdsi.domain.outcome import Status

STUDY = "2.25.801"
FILES = series_of_files(STUDY, 5)
UIDS = list(FILES)
FOREIGN = UIDS[1]
OTHERS = [uid for uid in UIDS if uid != FOREIGN]


@dataclass
class Hospital:
    server: Server
    move_port: int
    store_port: int

    def get(self, path: str, accept: str) -> tuple[int, bytes]:
        """Status and content."""
        with requests.get(f"{self.server.base_url}{path}", headers={"Accept": accept}, timeout=PATIENCE) as answer:
            return answer.status_code, answer.content


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """What the index of its archive says is right, a file of the study is not."""
    folder = tmp_path_factory.mktemp("lying")
    move_port, store_port = free_port(), free_port()
    with running_orthanc(folder / "orthanc", MaximumStorageCacheSize=0) as orthanc:
        orthanc.store(*FILES.values())
        kept = [path for path in (folder / "orthanc/db").rglob("*") if path.is_file()]
        (path,) = (path for path in kept if path.read_bytes() == FILES[FOREIGN])
        path.write_bytes(FILES[FOREIGN].replace(b"RIGHT-ONE", b"OTHER-ONE"))
        (folder / "source.toml").write_text(
            f'[domain]\nprofile = "open"\n[server]\nactors = ["imaging-source"]\n[imaging_source]\n'
            f'pacs = "dicomweb:{orthanc.dicom_web}"\n[pacs]\nretries = 0\nremember_seconds = 3600\n'
            f'[dicom]\nport = {move_port}\n[[dicom.peer]]\nae_title = "MOVER"\naddress = "127.0.0.1:{store_port}"\n'
            f'organization_id = "urn:oid:2.999.5"\nrole = "{DOCTOR}^^{SNOMED}"\npurpose = "TREAT^^{PURPOSES}"\n'
        )
        with serving(folder / "data", config=folder / "source.toml") as server:
            yield Hospital(server, move_port, store_port)


def test_it_is_one_error_of_rad_69(hospital: Hospital, tmp_path: Path) -> None:
    for _ in ("the first time", "and again, from what is remembered"):
        with app.Parts(consumer_of(hospital.server, tmp_path)) as parts:
            called = parts.consumer.fetch(request_of(STUDY, *UIDS), LOCATION)
            try:
                came = {
                    one.request.document_unique_id: b"".join(one.document.open()) for one in called.answer.documents
                }
                outcome = called.answer.outcome
            finally:
                called.close()
        assert outcome.status is Status.PARTIAL_SUCCESS
        assert [(one.code, one.location) for one in outcome.errors] == [("XDSRepositoryError", FOREIGN)]
        assert came == {uid: FILES[uid] for uid in OTHERS}


def test_it_leaves_by_no_other_way_and_the_others_do(hospital: Hospital) -> None:
    within = f"/dicom-web/studies/{STUDY}"
    dicom = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    seen = b""
    for path, accept in (("", dicom), (f"/series/{STUDY}.1", dicom), ("/metadata", "application/dicom+json")):
        status, content = hospital.get(within + path, accept)
        assert status == 206, path
        assert [uid for uid in UIDS if uid.encode() in content] == OTHERS, path
        seen += content
    named = f"studyUID={STUDY}&seriesUID={STUDY}.1"
    ways = [
        (f"{within}/series/{STUDY}.1/instances/%s", dicom),
        (f"{within}/series/{STUDY}.1/instances/%s/metadata", "application/dicom+json"),
        (f"{within}/series/{STUDY}.1/instances/%s/rendered", "image/png"),
        (f"/wado?requestType=WADO&contentType=application/dicom&{named}&objectUID=%s", "*/*"),
    ]
    for way, accept in ways:
        for uid, expected in ((FOREIGN, 503), (UIDS[0], 200)):
            status, content = hospital.get(way % uid, accept)
            assert status == expected, way
            seen += content
    ports = (hospital.move_port, hospital.store_port)
    last, came = moved(*ports, QueryRetrieveLevel="STUDY", StudyInstanceUID=STUDY)
    assert (last.NumberOfCompletedSuboperations, last.NumberOfFailedSuboperations) == (len(OTHERS), 1)
    assert came == set(OTHERS)
    some: dict[str, str | list[str]] = {"SeriesInstanceUID": f"{STUDY}.1", "SOPInstanceUID": [UIDS[0], FOREIGN]}
    last, came = moved(*ports, QueryRetrieveLevel="IMAGE", StudyInstanceUID=STUDY, **some)
    assert (last.NumberOfCompletedSuboperations, last.NumberOfFailedSuboperations) == (1, 1)
    assert came == {UIDS[0]}
    assert b"OTHER-ONE" not in seen
