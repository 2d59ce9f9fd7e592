"""The demonstration's studies: real images of invented patients, which a PACS folder serves and a source publishes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest

from tests import imaging
from xdsi.cli.demo import studies as demo
from xdsi.cli.demo.relabel import SOURCES, read
from xdsi.cli.demo.studies import HOSPITAL_A, HOSPITAL_B, HOSPITALS, DemoStudies, DemoStudy, Role
from xdsi.domain.imaging import Study
from xdsi.rules import manifest as manifest_rules
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.wire import kos

LARGE = 7
PLANS = {plan.slug: plan for plan in demo.PLANS}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DemoStudies:
    return demo.prepare(tmp_path_factory.mktemp("demo"), large=LARGE)


@pytest.fixture(scope="module")
def served(made: DemoStudies) -> dict[str, Study]:
    return {
        study.study_instance_uid: study
        for hospital in HOSPITALS
        for study in FolderPacs(made.dicom_folder(hospital)).studies()
    }


def files(made: DemoStudies, study: DemoStudy) -> list[Path]:
    return sorted((made.dicom_folder(study.hospital) / study.slug).iterdir())


def with_sources(made: DemoStudies) -> Iterator[tuple[Path, Path]]:
    """Every file beside the image that it was made of."""
    for study in made.studies:
        sources = [name for series in PLANS[study.slug].series for name in series] or ["CT_small.dcm"] * LARGE
        for file, source in zip(files(made, study), sources, strict=True):
            yield file, SOURCES / source


def test_every_file_is_served(made: DemoStudies) -> None:
    for hospital in HOSPITALS:
        pacs = FolderPacs(made.dicom_folder(hospital))
        assert pacs.skipped() == []
        assert {study.study_instance_uid for study in pacs.studies()} == {
            study.study_instance_uid for study in made.of(hospital)
        }


def test_studies_are_what_is_said_of_them(made: DemoStudies, served: dict[str, Study]) -> None:
    for study in made.studies:
        found = served[study.study_instance_uid]
        assert len(list(found.instances)) == study.instances
        assert sum(instance.size for instance in found.instances) == study.total_bytes
        assert found.patient.identifier("") == study.local_id
        assert found.patient.issuer_name == study.hospital.issuer_name
        assert (found.patient.name, found.patient.birth_date, found.patient.sex) == (
            study.patient.name, study.patient.birth_date, study.patient.sex,
        )  # fmt: skip
        assert [(one.number, one.issuer) for one in found.accessions] == [
            (study.accession_number, study.hospital.accession_authority)
        ]
        assert found.description == study.description
        assert found.institution == study.hospital.name
        assert found.timezone_offset in ("+0100", "+0200")
        assert found.study_instance_uid.startswith("2.25.")


def test_all_files_of_a_study_agree(made: DemoStudies) -> None:
    for study in made.studies:
        headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in files(made, study)]
        for keyword in ("StudyDate", "StudyTime", "StudyID", "ReferringPhysicianName", "InstitutionName"):
            assert len({str(header[keyword].value) for header in headers}) == 1
        assert all(header.file_meta.MediaStorageSOPInstanceUID == header.SOPInstanceUID for header in headers)
        assert all(header.SeriesInstanceUID.startswith("2.25.") for header in headers)
        assert all("RequestAttributesSequence" not in header for header in headers)


def test_cast(made: DemoStudies) -> None:
    def studies_of(letter: str) -> list[DemoStudy]:
        return [study for study in made.studies if study.patient.letter == letter]

    assert {study.hospital.slug for study in studies_of("A")} == {"hospital-a", "hospital-b"}
    assert [study.confidentiality.code for study in studies_of("B")] == ["N", "R"]
    assert [len(studies_of(letter)) for letter in "CDE"] == [1, 1, 1]
    assert [patient.letter for patient in demo.PATIENTS if not patient.announced] == ["E"]
    assert made.with_role(Role.LARGE).instances == LARGE
    assert {made.with_role(role).role for role in Role} == set(Role)
    assert len(made.domain_ids) == 6
    assert {study.local_id for study in made.studies} == set(made.domain_ids)


def test_kinds_of_images(made: DemoStudies, served: dict[str, Study]) -> None:
    modalities = {series.modality for study in served.values() for series in study.series}
    assert modalities == {"CT", "MR", "CR", "US", "OT", "ECG", "SR"}
    syntaxes = {instance.transfer_syntax_uid for study in served.values() for instance in study.instances}
    assert syntaxes == {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.91",
    }
    frames = {instance.number_of_frames for study in served.values() for instance in study.instances}
    assert frames == {1, 2, 30}


def test_pixels_stay_as_they_are(made: DemoStudies) -> None:
    for file, source in with_sources(made):
        image, original = read(file), read(source)
        assert image.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
        assert image.SOPClassUID == original.SOPClassUID
        assert ("PixelData" in image) == ("PixelData" in original)
        if "PixelData" in original:
            assert image.PixelData == original.PixelData


def test_instances_are_told_apart(served: dict[str, Study]) -> None:
    uids = [instance.sop_instance_uid for study in served.values() for instance in study.instances]
    assert len(set(uids)) == len(uids)
    series = [one.series_instance_uid for study in served.values() for one in study.series]
    assert len(set(series)) == len(series)


def test_large_study_is_two_stacks_of_slices(made: DemoStudies) -> None:
    study = made.with_role(Role.LARGE)
    slices = [pydicom.dcmread(file) for file in files(made, study)]
    first, second = slices[:4], slices[4:]
    assert [one.SeriesNumber for one in slices] == [1, 1, 1, 1, 2, 2, 2]
    assert [one.InstanceNumber for one in slices] == [1, 2, 3, 4, 1, 2, 3]
    assert len({one.FrameOfReferenceUID for one in slices}) == 1
    heights = [float(one.ImagePositionPatient[2]) for one in first]
    assert heights == pytest.approx([heights[0] + 0.6 * n for n in range(4)])
    assert [float(one.SliceLocation) for one in first] == heights
    assert [one.ImagePositionPatient for one in second] == [one.ImagePositionPatient for one in first[:3]]


def test_more_slices_than_one_digit_counts(tmp_path: Path) -> None:
    study = demo.prepare(tmp_path, large=24).with_role(Role.LARGE)
    (found,) = [
        one
        for one in FolderPacs(demo.dicom_folder(tmp_path, HOSPITAL_B)).studies()
        if one.study_instance_uid == study.study_instance_uid
    ]
    assert [instance.instance_number for instance in found.series[0].instances] == list(range(1, 13))


def test_late_images_join_the_study(tmp_path: Path) -> None:
    made = demo.prepare(tmp_path, large=2)
    study = made.with_role(Role.GROWING)
    pacs = FolderPacs(made.dicom_folder(study.hospital))
    before = pacs.study(study.study_instance_uid)
    grown = demo.late_images(study, tmp_path)
    assert pacs.refresh() == {study.study_instance_uid}
    assert pacs.skipped() == []
    after = pacs.study(study.study_instance_uid)
    assert before is not None
    assert after is not None
    assert len(after.series) == len(before.series) + 1
    assert len(list(after.instances)) == grown.instances == study.instances + 2
    assert sum(instance.size for instance in after.instances) == grown.total_bytes
    assert {one.sop_instance_uid for one in before.instances} < {one.sop_instance_uid for one in after.instances}
    twice = demo.late_images(grown, tmp_path)
    pacs.refresh()
    again = pacs.study(study.study_instance_uid)
    assert again is not None
    assert len(list(again.instances)) == twice.instances


def test_nothing_is_overwritten(made: DemoStudies) -> None:
    with pytest.raises(FileExistsError):
        demo.prepare(made.folder, large=2)


def test_every_study_makes_a_manifest(made: DemoStudies, served: dict[str, Study]) -> None:
    for study in made.studies:
        found = served[study.study_instance_uid]
        assert manifest_rules.check_study(found, patient_id_authority="") == []
        raw = kos.encode(
            found,
            retrieve_location_uid=study.hospital.retrieve_location_uid,
            sop_instance_uid="2.25.1",
            series_instance_uid="2.25.2",
            now=datetime(2026, 8, 1, tzinfo=UTC),
        )
        manifest = kos.decode(raw)
        locations = [study.hospital.retrieve_location_uid]
        assert manifest_rules.check(manifest, retrieve_locations=locations) == []
        assert len(list(manifest.references)) == study.instances


def test_identifiers_are_distinct() -> None:
    oids = [demo.PATIENT_AUTHORITY]
    for hospital in (HOSPITAL_A, HOSPITAL_B):
        oids += [
            hospital.organization_id, hospital.patient_authority, hospital.accession_authority, hospital.source_id,
            hospital.retrieve_location_uid,
        ]  # fmt: skip
    assert len(set(oids)) == len(oids)
    assert all(oid.startswith(("2.999.", "2.25.")) for oid in oids)


def complaints(file: Path) -> set[str]:
    """What dciodvfy finds wrong, without the values that it quotes."""
    lines = [line for line in imaging.run("dciodvfy", file) if line.startswith("Error")]
    return {" ".join(word for word in line.split() if not word[:1].isdigit()) for line in lines}


@pytest.mark.component
def test_no_image_is_worse_than_its_source(made: DemoStudies, tmp_path: Path) -> None:
    seen = set()
    for file, source in with_sources(made):
        if source not in seen:  # of the large study one slice will do
            seen.add(source)
            plain = Path(shutil.copy(source, tmp_path / "source.dcm"))
            new = complaints(file) - complaints(plain)
            assert not new, source.name
