"""`xdsi source reconcile` against a registry: each difference between archive, record and registry, and its repair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.actors.test_imaging_reports import pdf_file
from tests.cli.test_commands import done, xdsi
from tests.imaging import FILES
from tests.servers import Server, free_port
from xdsi import app, settings
from xdsi.actors.manifest_documents import SentDocument
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
reports = ["pdf"]
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

    def report(self, number: int) -> None:
        uid = f"{self.study}.2.{number}"
        content = pdf_file(
            uid, StudyInstanceUID=self.study, SeriesInstanceUID=f"{self.study}.2", Modality="DOC", SeriesNumber=2,
            PatientID=f"R1-{self.study[-1]}", InstanceNumber=number,
        )  # fmt: skip
        (self.folder / f"report{number}.dcm").write_bytes(content)

    def documents(self) -> list[str | None]:
        """Status of each document of the newest submission."""
        newest = self.newest()
        with self.parts() as parts:
            statuses = parts.source_registry.statuses([newest])
        return [statuses.get(one.entry_uuid) for one in newest.current]

    def status_of(self, *entries: str) -> list[str | None]:
        """What the registry has of entries of this patient."""
        documents = tuple(SentDocument(kind="pdf", unique_id="", entry_uuid=one) for one in entries)
        with self.parts() as parts:
            statuses = parts.source_registry.statuses([replace(self.any(), documents=documents)])
        return [statuses.get(one) for one in entries]

    def any(self) -> Attempt:
        with self.parts() as parts:
            return parts.publications.all()[-1]

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
        assert parts.source_registry.remove([second]).accepted
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


@pytest.mark.parametrize(("deleted", "study"), [("deprecate", "2.25.9902.1"), ("remove", "2.25.9902.2")])
def test_a_report_goes_with_what_it_was_published_beside(
    open_server: Server, tmp_path: Path, deleted: str, study: str
) -> None:
    hospital = Hospital(tmp_path, open_server, study, deleted)
    withdrawn = DEPRECATED if deleted == "deprecate" else None
    hospital.image(1)
    hospital.report(1)
    hospital.report(2)
    hospital.reconcile()
    assert hospital.documents() == [APPROVED] * 3
    _, first, second = (one.entry_uuid for one in hospital.newest().current)

    # One report is gone from the study, which goes on.
    (hospital.folder / "report1.dcm").unlink()
    assert hospital.reconcile() == [("its manifest is not what the archive has", "replace", "done")]
    assert hospital.documents() == [APPROVED] * 2, "what is left"
    assert hospital.status_of(first, second) == [withdrawn, APPROVED]
    assert hospital.reconcile() == []

    # It comes back: it is published again.
    hospital.report(1)
    hospital.reconcile()
    assert hospital.documents() == [APPROVED] * 3
    entries = [one.entry_uuid for one in hospital.newest().current]
    assert first not in entries

    # All of the study is deleted.
    for file in hospital.folder.iterdir():
        file.unlink()
    assert hospital.reconcile() == [("published, but not in the archive", "withdraw", "done")]
    assert hospital.status_of(*entries) == [withdrawn] * 3
    with hospital.parts() as parts:
        everything = [one.entry_uuid for one in parts.publications.all()]
    assert hospital.status_of(*everything) == [withdrawn] * 3, "former manifests, too"
    assert hospital.reconcile() == []


def test_a_report_whose_withdrawal_failed_is_withdrawn_later(open_server: Server, tmp_path: Path) -> None:
    """The manifest is published when the registry cannot be asked any more."""
    hospital = Hospital(tmp_path, open_server, "2.25.9902.3", "deprecate")
    hospital.image(1)
    hospital.report(1)
    hospital.reconcile()
    (_, report) = (one.entry_uuid for one in hospital.newest().current)
    (hospital.folder / "report1.dcm").unlink()
    reachable = hospital.config.read_text()
    hospital.config.write_text(reachable.replace(open_server.url("registry"), f"http://127.0.0.1:{free_port()}/x"))
    status, answer = xdsi("publish", hospital.study, config=hospital.config)
    assert status == 1
    assert "stands" in answer["message"]
    hospital.config.write_text(reachable)
    assert hospital.status_of(report) == [APPROVED]
    assert hospital.reconcile() == [("a report is gone from it, but stands", "withdraw", "done")]
    assert hospital.status_of(report) == [DEPRECATED]


def test_what_the_registry_does_not_show_is_not_said_to_be_removed(open_server: Server, tmp_path: Path) -> None:
    """Policy may hide it: then it stands."""
    hospital = Hospital(tmp_path, open_server, "2.25.9902.4", "remove")
    hospital.image(1)
    hospital.reconcile()
    with hospital.parts() as parts:
        assert parts.source_registry.remove([hospital.newest()]).accepted
    (hospital.folder / "1.dcm").unlink()
    status, answer = xdsi("source", "reconcile", config=hospital.config)
    assert status == 1
    assert "does not show" in answer["items"][0]["result"]


def test_a_removal_whose_end_was_not_noted_is_done(open_server: Server, tmp_path: Path) -> None:
    hospital = Hospital(tmp_path, open_server, "2.25.9902.5", "remove")
    hospital.image(1)
    hospital.reconcile()
    attempt = hospital.newest()
    (hospital.folder / "1.dcm").unlink()
    assert hospital.reconcile() == [("published, but not in the archive", "withdraw", "done")]
    # As a process that ended right after the registry's answer leaves it.
    with hospital.parts() as parts:
        (kept,) = parts.publications.all()
        assert kept == replace(attempt, state="withdrawn")
        parts.publications.keep(replace(kept, state="published", reason="being removed"))
    assert hospital.reconcile() == [("published, but not in the archive", "withdraw", "done")]


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
