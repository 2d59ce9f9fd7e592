"""Manifests of every kind against a real registry and repository: published, replaced, found, fetched and judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.actors.test_imaging_reports import pdf_file
from tests.cli.test_commands import done, settings
from tests.imaging import FILES, STUDIES
from tests.servers import Server
from tests.transport.test_rest import kept
from tests.trusted import MR
from xdsi.spec import imaging_codes, mado
from xdsi.validation import validate

KOS, FHIR = imaging_codes.MANIFEST_FORMAT[0], mado.FHIR_FORMAT[0]


def hospital(folder: Path, server: Server, *kinds: str) -> Path:
    """A hospital of its own beside the open server, which publishes manifests of these kinds."""
    return settings(
        folder,
        f"""
[domain]
patient_id_authority = "2.999.1.5"
[imaging_source]
pacs = "folder:{STUDIES}"
repository_url = "{server.url("repository")}"
manifests = {list(kinds)}
[consumer]
registry_url = "{server.url("registry")}"
[consumer.repositories]
"2.999.1.2" = "{server.url("repository")}"
[consumer.sources]
"2.999.1.3" = "{server.url("imaging-source")}"
""",
    )


def found(config: Path) -> dict[str, str]:
    """The entries of the study that are there now: entryUUID -> formatCode."""
    items = done("find", "98890234^^^&2.999.1.5&ISO", config=config)
    return {
        one["entryUUID"]: one["formatCode"] for one in items if any(MR in value for value in one["referenceIdList"])
    }


def images(items: list[dict[str, Any]]) -> dict[str, bytes]:
    return {item["instance"]: Path(item["file"]).read_bytes() for item in items if "instance" in item}


@pytest.mark.parametrize("of", [KOS, FHIR])
def test_both_forms_are_found_and_each_leads_to_the_images(open_server: Server, tmp_path: Path, of: str) -> None:
    config = hospital(tmp_path, open_server, "mado", "mado-fhir")
    before = found(config)
    (published,) = done("publish", MR, config=config)
    assert (published["result"], published["problems"]) == ("published", [])
    new = {uuid: code for uuid, code in found(config).items() if uuid not in before}
    assert sorted(new.values()) == sorted([KOS, FHIR])
    (entry,) = [uuid for uuid, code in new.items() if code == of]
    items = done("fetch", entry, "--out", tmp_path / "out", config=config)
    assert images(items) == kept(MR)
    (file,) = [Path(item["file"]) for item in items if "instance" not in item]
    report = validate(file.read_bytes())
    assert (report.kind.startswith("MADO"), report.findings) == (True, ())


def test_when_it_is_published_again_and_when_the_settings_change_nothing_former_stays(
    open_server: Server, tmp_path: Path
) -> None:
    others = found(hospital(tmp_path, open_server, "mado", "mado-fhir"))
    kinds = (["mado", "mado-fhir"], ["mado", "mado-fhir"], ["kos"], ["mado-fhir", "kos"])
    results, seen = [], []
    for some in kinds:
        config = hospital(tmp_path, open_server, *some)
        (one,) = done("publish", MR, "--again", config=config)
        results.append(one["result"])
        seen.append(sorted(code for uuid, code in found(config).items() if uuid not in others))
    assert results == ["published", "replaced", "replaced", "replaced"]
    assert seen == [sorted([KOS, FHIR]), sorted([KOS, FHIR]), [KOS], sorted([KOS, FHIR])]


def test_a_report_of_the_study_is_found_beside_its_manifest(open_server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "pacs"
    folder.mkdir()
    image = pydicom.dcmread(FILES / "CT_small.dcm")
    image.PatientID, image.StudyInstanceUID, image.SOPInstanceUID = "R1", "2.999.77.1", "2.999.77.1.1.1"
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.save_as(folder / "image.dcm")
    pdf = b"%PDF-1.4\n%%EOF\n"
    study = {"PatientID": "R1", "StudyInstanceUID": "2.999.77.1", "SeriesInstanceUID": "2.999.77.1.2"}
    (folder / "report.dcm").write_bytes(pdf_file("2.999.77.1.2.1", pdf, Modality="DOC", PatientName="Roe^Jo", **study))
    config = hospital(tmp_path, open_server, "mado", "mado-fhir")
    text = config.read_text("utf-8").replace(str(STUDIES), str(folder))
    config.write_text(text.replace("manifests =", 'reports = "pdf"\nmanifests ='), "utf-8")
    (published,) = done("publish", "2.999.77.1", config=config)
    assert (published["result"], published["problems"]) == ("published", [])
    entries = done("find", "R1^^^&2.999.1.5&ISO", config=config)
    assert sorted(one["formatCode"] for one in entries) == sorted([KOS, FHIR, "urn:ihe:rad:PDF"])
    (report,) = [one for one in entries if one["formatCode"] == "urn:ihe:rad:PDF"]
    assert {tuple(one["referenceIdList"]) for one in entries} == {tuple(report["referenceIdList"])}
    (item,) = done("fetch", report["entryUUID"], "--out", tmp_path / "out", config=config)
    assert Path(item["file"]).read_bytes() == pdf
