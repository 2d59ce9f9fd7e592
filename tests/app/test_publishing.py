"""The publisher beside the imaging source, in front of a real Orthanc: the life of a study."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pynetdicom import AE
from pynetdicom.sop_class import InstanceAvailabilityNotification  # type: ignore[attr-defined]

from tests.archives import Orthanc, running_orthanc
from tests.cli.test_commands import done, xdsi
from tests.imaging import STUDIES
from tests.servers import PATIENCE, Server, free_port, serving, start, wait_until
from tests.wire.test_hl7v2_orders import message, obr
from xdsi import app, settings
from xdsi.actors.manifest_publisher import Attempt
from xdsi.domain.imaging import Study
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.wire import kos

AUTHORITY = "2.999.1.77"
"""of patients that nobody else publishes"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("archive") / "orthanc") as orthanc:
        yield orthanc


def held(pacs: FolderPacs) -> Study:
    return next(study for study in pacs.studies() if len(list(study.instances)) == 4)


def configured(folder: Path, archive: Orthanc, hub: Server, repository: str) -> Path:
    file = folder / "source.toml"
    file.write_text(
        f"""
[server]
actors = ["imaging-source"]
data_dir = "{folder}/data"
[domain]
profile = "open"
patient_id_authority = "{AUTHORITY}"
[imaging_source]
pacs = "orthanc:{archive.url}"
repository_url = "{repository}"
registry_url = "{hub.url("registry")}"
patient_id_authority = "{AUTHORITY}"
[publishing]
automatic = true
deleted = "deprecate"
stable_seconds = 1
compare_seconds = 1
retry_seconds = 0.1
[consumer]
registry_url = "{hub.url("registry")}"
[consumer.repositories]
"2.999.1.2" = "{hub.url("repository")}"
"""
    )
    return file


class Source:
    """What the hospital's own records say."""

    def __init__(self, config: Path) -> None:
        self.config = config

    def attempts(self, study: str) -> list[Attempt]:
        with app.Parts(settings.load(self.config, {})) as parts:
            return [one for one in parts.publications.all() if one.study_instance_uid == study]

    def queue(self) -> list[dict[str, Any]]:
        return done("source", "queue", config=self.config)

    def states(self, study: str) -> list[str]:
        return [one.state for one in self.attempts(study)]


# On a busy machine each of its steps takes seconds, and each waits for what others do.
@pytest.mark.timeout(300)
def test_the_life_of_a_study(archive: Orthanc, open_server: Server, tmp_path: Path) -> None:
    pacs = FolderPacs(STUDIES)
    study = held(pacs)
    uid, (first, *late) = study.study_instance_uid, study.instances

    # The repository is away: the study waits with the reason, and the attempt is kept.
    away = f"http://127.0.0.1:{free_port()}/services/repository"
    config = configured(tmp_path, archive, open_server, away)
    source = Source(config)
    archive.store(pacs.path(first))
    server = start(tmp_path / "data", config=config)
    try:
        wait_until(lambda: any(job["attempts"] > 1 for job in source.queue()), PATIENCE)
        (job,) = source.queue()
        assert (job["study"], job["state"]) == (uid, "waiting")
        assert "cannot be reached" in job["reason"]
        (sending,) = source.attempts(uid)
    finally:
        server.kill()

    # The process ended in the middle; it goes on, and the attempt is sent as it was.
    configured(tmp_path, archive, open_server, open_server.url("repository"))
    with serving(tmp_path / "data", config=config):
        wait_until(lambda: source.states(uid) == ["published"], PATIENCE)
        (published,) = source.attempts(uid)
        assert published.submission_set == sending.submission_set
        assert [one["uniqueId"] for one in found(config, study)] == [published.unique_id]

        # More instances: a new manifest replaces the first.
        archive.store(*(pacs.path(one) for one in late))
        wait_until(lambda: source.states(uid) == ["published"] * 2, PATIENCE)
        *_, second = source.attempts(uid)
        (entry,) = found(config, study)
        assert entry["uniqueId"] == second.unique_id
        _, answer = xdsi("fetch", second.unique_id, "--out", tmp_path / "got", config=config)
        (manifest,) = (one for one in answer["items"] if "document" in one)
        content = Path(manifest["file"]).read_bytes()
        assert len(list(kos.decode(content).references)) == 4

        # The manifest stored back is a new series of the study, and no reason for another manifest.
        archive.store(content)
        wait_until(lambda: archive_tells(config, uid, 5), PATIENCE)
        wait_until(lambda: source.queue() == [], PATIENCE)
        assert source.states(uid) == ["published"] * 2

        # A rejection note takes an instance out.
        archive.store(rejection(content, first.sop_instance_uid))
        wait_until(lambda: source.states(uid) == ["published"] * 3, PATIENCE)
        assert len(found(config, study)) == 1

        # Nothing in the archive's record says that a study was deleted.
        archive.delete(f"/studies/{archive.lookup(uid)}")
        wait_until(lambda: source.states(uid) == ["withdrawn"] * 3, PATIENCE)
        assert found(config, study) == []


def found(config: Path, study: Study) -> list[dict[str, Any]]:
    """The Approved manifests of the study at the hub."""
    items = done("find", f"{study.patient.id}^^^&{AUTHORITY}&ISO", config=config)
    return [one for one in items if any(uid.startswith(study.study_instance_uid) for uid in one["referenceIdList"])]


def archive_tells(config: Path, uid: str, count: int) -> bool:
    with app.Parts(settings.load(config, {})) as parts:
        study = parts.pacs.reread(uid)
        return study is not None and len(list(study.instances)) == count


def rejection(manifest: bytes, uid: str) -> bytes:
    """A rejection note of one instance, made of the manifest that names it."""
    from io import BytesIO

    note = pydicom.dcmread(BytesIO(manifest))
    note.SOPInstanceUID = note.file_meta.MediaStorageSOPInstanceUID = "2.25.4242.1"
    note.SeriesInstanceUID = "2.25.4242"
    note.ConceptNameCodeSequence[0].CodeValue = "113037"
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    for series in list(study.ReferencedSeriesSequence):
        kept = [one for one in series.ReferencedSOPSequence if one.ReferencedSOPInstanceUID == uid]
        if kept:
            series.ReferencedSOPSequence = kept
        else:
            study.ReferencedSeriesSequence.remove(series)
    note.ContentSequence = [
        one for one in note.ContentSequence
        if "ReferencedSOPSequence" in one and one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == uid
    ]  # fmt: skip
    out = BytesIO()
    note.save_as(out)
    return out.getvalue()


def test_a_notice_an_order_and_a_report_have_their_studies_published_at_once(
    open_server: Server, tmp_path: Path
) -> None:
    """Nobody looks at the folder for an hour: what was told alone is the reason."""
    shared = FolderPacs(STUDIES)
    study, ordered, reported = sorted(shared.studies(), key=lambda one: -len(list(one.instances)))[:3]
    folder, port, mllp_port = tmp_path / "images", free_port(), free_port()
    folder.mkdir()

    def arrives(study: Study) -> str:
        for one in study.instances:
            (folder / one.sop_instance_uid).write_bytes(shared.path(one).read_bytes())
        return study.study_instance_uid

    config = tmp_path / "source.toml"
    config.write_text(
        f"""
[server]
actors = ["imaging-source"]
data_dir = "{tmp_path}/data"
mllp_port = {mllp_port}
[domain]
profile = "open"
patient_id_authority = "2.999.1.78"
[imaging_source]
pacs = "folder:{folder}"
repository_url = "{open_server.url("repository")}"
patient_id_authority = "2.999.1.78"
[publishing]
automatic = true
stable_seconds = 0.2
poll_seconds = 3600
compare_seconds = 3600
notices_port = {port}
"""
    )
    source, uid = Source(config), study.study_instance_uid
    with serving(tmp_path / "data", config=config):
        wait_until(lambda: told(port, uid), PATIENCE)
        # There is nothing yet: what was told is looked at, and done with.
        wait_until(lambda: source.queue() == [], PATIENCE)
        assert source.states(uid) == []
        arrives(study)
        assert told(port, uid)
        wait_until(lambda: source.states(uid) == ["published"], PATIENCE)
        of_order, of_report = arrives(ordered), arrives(reported)
        assert said(mllp_port, message("ORM^O01", obr(), f"ZDS|{of_order}^RIS^Application^DICOM")) == b"AA"
        wait_until(lambda: source.states(of_order) == ["published"], PATIENCE)
        assert source.states(of_report) == []
        final = message("ORU^R01", obr(status="F"), f"OBX|1|HD|113014^DICOM Study^DCM||{of_report}")
        assert said(mllp_port, final) == b"AA"
        wait_until(lambda: source.states(of_report) == ["published"], PATIENCE)
    # What was told of its report counts where the rule asks for one.
    config.write_text(config.read_text() + "signed_report = true\n")
    _, answer = xdsi("publish", of_order, of_report, "--dry-run", config=config)
    plans = {one["study"]: one["reasons"] for one in answer["items"]}
    assert plans[of_order] == ["there is no signed report yet"]
    assert "its report is final" in plans[of_report]


def said(port: int, raw: bytes) -> bytes:
    """Send an HL7 v2 message; the code of its acknowledgement."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"\x0b" + raw + b"\x1c\r")
        answer = b""
        while not answer.endswith(b"\x1c\r"):
            answer += connection.recv(65536)
    (segment,) = (one for one in answer.split(b"\r") if one.startswith(b"MSA"))
    return segment.split(b"|")[1]


def told(port: int, uid: str) -> bool:
    """Send an Instance Availability Notification of a study; False where nobody listens yet."""
    entity = AE(ae_title="ARCHIVE")
    entity.add_requested_context(InstanceAvailabilityNotification)
    association = entity.associate("127.0.0.1", port, ae_title="XDSI")
    if not association.is_established:
        return False
    said = pydicom.Dataset()
    said.StudyInstanceUID = uid
    status, _ = association.send_n_create(said, InstanceAvailabilityNotification, "2.25.9")
    association.release()
    assert status.Status == 0
    return True
