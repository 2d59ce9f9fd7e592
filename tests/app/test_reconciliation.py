"""`xdsi source reconcile` against a registry: each difference between archive, record and registry, and its repair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.cli.test_commands import done, xdsi
from tests.imaging import FILES
from tests.servers import Server
from xdsi import app, settings
from xdsi.actors.manifest_publisher import Attempt
from xdsi.app import Parts
from xdsi.spec.namespaces import APPROVED, DEPRECATED

AUTHORITY = "2.999.1.78"


class Hospital:
    """A folder of images and the settings of its publisher."""

    def __init__(self, folder: Path, hub: Server, study: str, deleted: str) -> None:
        self.folder, self.study = folder / "images", study
        self.folder.mkdir()
        self.config = folder / "source.toml"
        self.config.write_text(
            f"""
[server]
data_dir = "{folder}/data"
[domain]
patient_id_authority = "{AUTHORITY}"
[imaging_source]
pacs = "folder:{self.folder}"
repository_url = "{hub.url("repository")}"
registry_url = "{hub.url("registry")}"
patient_id_authority = "{AUTHORITY}"
[publishing]
deleted = "{deleted}"
retry_seconds = 0
"""
        )

    def image(self, number: int, patient: str = "R1") -> None:
        dataset = pydicom.dcmread(FILES / "CT_small.dcm")
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self.study, f"{self.study}.1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{self.study}.1.{number}"
        dataset.PatientID, dataset.InstanceNumber = f"{patient}-{self.study[-1]}", number
        dataset.save_as(self.folder / f"{number}.dcm")

    def reconcile(self, *options: str) -> list[tuple[str, str, str]]:
        items = done("source", "reconcile", *options, config=self.config)
        assert {one["study"] for one in items} <= {self.study}
        return [(one["finding"], one["repair"], one["result"]) for one in items]

    def parts(self) -> Parts:
        return app.Parts(settings.load(self.config, {}))

    def newest(self) -> Attempt:
        with self.parts() as parts:
            found = parts.publications.newest(self.study)
        assert found is not None
        return found

    def at_the_registry(self, *attempts: Attempt) -> list[str | None]:
        with self.parts() as parts:
            statuses = parts.source_registry.statuses(attempts)
        return [statuses.get(one.entry_uuid) for one in attempts]


@pytest.mark.parametrize(("deleted", "study"), [("deprecate", "2.25.9901.1"), ("remove", "2.25.9901.2")])
def test_each_difference_is_found_and_repaired(open_server: Server, tmp_path: Path, deleted: str, study: str) -> None:
    hospital = Hospital(tmp_path, open_server, study, deleted)
    assert hospital.reconcile() == []

    hospital.image(1)
    assert hospital.reconcile("--dry-run") == [("chosen, but not published", "publish", "")]
    assert hospital.reconcile() == [("chosen, but not published", "publish", "done")]
    first = hospital.newest()
    assert hospital.at_the_registry(first) == [APPROVED]
    assert hospital.reconcile() == []

    hospital.image(2)
    assert hospital.reconcile() == [("its manifest is not what the archive has", "replace", "done")]
    second = hospital.newest()
    assert hospital.at_the_registry(first, second) == [DEPRECATED, APPROVED]

    # Somebody removed it there: it is sent again as it was.
    with hospital.parts() as parts:
        assert parts.source_registry.remove(second).accepted
    assert hospital.at_the_registry(second) == [None]
    (finding,) = hospital.reconcile()
    assert finding == ("published, but the registry does not show it", "send again", "done")
    again = hospital.newest()
    assert (again.entry_uuid, again.submission_set) == (second.entry_uuid, second.submission_set)
    assert hospital.at_the_registry(again) == [APPROVED]

    # The patient was corrected: the manifest of the former one is withdrawn, and the new one replaces none.
    for number in (1, 2):
        hospital.image(number, patient="R2")
    assert hospital.reconcile() == [("its manifest is not what the archive has", "replace", "done")]
    corrected = hospital.newest()
    assert corrected.patient == f"R2-{study[-1]}^^^&{AUTHORITY}&ISO"
    withdrawn = DEPRECATED if deleted == "deprecate" else None
    assert hospital.at_the_registry(again, corrected) == [withdrawn, APPROVED]

    for file in hospital.folder.iterdir():
        file.unlink()
    assert hospital.reconcile() == [("published, but not in the archive", "withdraw", "done")]
    assert hospital.at_the_registry(corrected) == [withdrawn]
    assert hospital.reconcile() == []


def test_what_somebody_else_deprecated_is_told_and_left(open_server: Server, tmp_path: Path) -> None:
    hospital = Hospital(tmp_path, open_server, "2.25.9901.3", "keep")
    hospital.image(1)
    hospital.reconcile()
    with hospital.parts() as parts:
        assert parts.source_registry.deprecate(hospital.newest()).accepted
        assert parts.source_registry.deprecate(hospital.newest()).accepted, "done already is done"
    assert hospital.reconcile() == [("published, but the registry has it as Deprecated", "", "")]


def test_a_manifest_that_is_kept_is_set_aside_with_the_reason(open_server: Server, tmp_path: Path) -> None:
    hospital = Hospital(tmp_path, open_server, "2.25.9901.4", "keep")
    hospital.image(1)
    hospital.reconcile()
    (hospital.folder / "1.dcm").unlink()
    status, answer = xdsi("source", "reconcile", config=hospital.config)
    assert status == 1
    (item,) = answer["items"]
    assert item["result"].endswith("its manifest stands")
    (job,) = queue(hospital, "--dead")
    assert (job["state"], job["origin"]) == ("dead", "reconciliation")
    assert [one["study"] for one in queue(hospital, "--retry")] == [hospital.study]
    assert queue(hospital, "--dead") == []
    assert xdsi("source", "queue", "--retry", "1.2.3", config=hospital.config)[0] == 1


def queue(hospital: Hospital, *options: str) -> list[dict[str, Any]]:
    return done("source", "queue", *options, config=hospital.config)
