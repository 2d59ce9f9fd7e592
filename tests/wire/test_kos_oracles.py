"""Manifests before other people's programs, and other people's manifests before ours."""

from io import BytesIO
from pathlib import Path

import pytest
from highdicom.ko import KeyObjectSelectionDocument
from lxml import etree
from pydicom import dcmread

from tests.imaging import ECG_CLASS, SR_CLASS, large_study, manifest, mixed_study, pydicom_studies, run, series, study
from tests.oracles import corpus
from xdsi.domain.imaging import Accession, Study
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Severity
from xdsi.rules.manifest import check, check_against_entry
from xdsi.wire import kos
from xdsi.wire.dicom_content import value_type

MADE = {
    "complete": study(),
    "bare": Study(study_instance_uid="1.2.840.3", series=(series(),)),
    "several orders": study(accessions=(Accession(number="A1", issuer="1.2.40.2"), Accession(number="A2"))),
    "several modalities": mixed_study(),
    "mixed": study(series=(series(1), series(2, 1, ECG_CLASS), series(3, 2, SR_CLASS))),
    "large": large_study(2000),
}
STUDIES = {**MADE, **{of.study_instance_uid: of for of in pydicom_studies()}}


@pytest.fixture(params=STUDIES)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "manifest.dcm"
    path.write_bytes(manifest(STUDIES[request.param]))
    return path


@pytest.mark.component
def test_dciodvfy_finds_no_error(file: Path) -> None:
    lines = run("dciodvfy", file)
    assert "KeyObjectSelectionDocument" in lines
    assert [line for line in lines if "Error" in line] == []


@pytest.mark.component
def test_dsrdump_prints_it(file: Path) -> None:
    lines = run("dsrdump", file)
    assert any("Key Object Selection Document" in line for line in lines)
    assert [line for line in lines if line.startswith(("E:", "F:"))] == []


@pytest.mark.component
def test_dcmdump_finds_nothing_amiss(file: Path) -> None:
    assert [line for line in run("dcmdump", "-q", file) if line.startswith(("E:", "F:", "W:"))] == []


# highdicom has no class for items of type WAVEFORM, which TID 2010 knows.
IMAGES_AND_REPORTS = {
    name: of for name, of in STUDIES.items() if all(value_type(i.sop_class_uid) != "WAVEFORM" for i in of.instances)
}


@pytest.mark.parametrize("of", IMAGES_AND_REPORTS.values(), ids=IMAGES_AND_REPORTS)
def test_highdicom_reads_it_and_finds_every_instance(of: Study) -> None:
    read = KeyObjectSelectionDocument.from_dataset(dcmread(BytesIO(manifest(of))))
    found = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in read.content.get_references()]
    assert found == [one.sop_instance_uid for one in of.instances]
    for within in of.series[:3]:
        for one in within.instances[:3]:
            expected = (of.study_instance_uid, within.series_instance_uid, one.sop_instance_uid)
            assert read.resolve_reference(one.sop_instance_uid) == expected


KINDS = ("kos-", "kos.", "kos_")


@pytest.mark.oracle
def test_manifests_of_others_are_read_and_right() -> None:
    paths = [path for path in corpus("nist-toolkit2").rglob("*.dcm") if path.name.startswith(KINDS)]
    assert len(paths) > 20
    for path in paths:
        decoded = kos.decode(path.read_bytes())
        errors = [problem for problem in check(decoded) if problem.severity is Severity.ERROR]
        assert errors == [], path
        assert decoded.patient.id
        assert list(decoded.references)


@pytest.mark.oracle
def test_images_of_others_are_not_manifests() -> None:
    for path in corpus("nist-toolkit2", "imagecache").rglob("images/*.dcm"):
        with pytest.raises(kos.MalformedMessage, match="SOP class"):
            kos.decode(path.read_bytes())


def slot(metadata: etree._ElementTree, name: str) -> tuple[str, ...]:
    values = metadata.xpath("//*[local-name()='ExtrinsicObject']/*[@name=$name]//*[local-name()='Value']", name=name)
    return tuple(value.text for value in values)


@pytest.mark.oracle
def test_metadata_of_others_fit_their_manifests() -> None:
    folder = corpus("nist-toolkit2", "testkit", "tests", "idc_init", "XDS-I-idc-a")
    paths = sorted(folder.glob("kos-*"))
    assert len(paths) > 10
    for path in paths:
        xml = folder / path.name.replace("kos-", "metadata-").replace(".dcm", ".xml")
        decoded = kos.decode(path.read_bytes())
        metadata = etree.parse(xml)
        (source_patient_id,) = slot(metadata, "sourcePatientId")
        entry = DocumentEntry(
            entry_uuid="Document01",
            source_patient_id=source_patient_id,
            reference_ids=slot(metadata, "urn:ihe:iti:xds:2013:referenceIdList"),
        )
        rules = {problem.rule for problem in check_against_entry(decoded, entry)}
        assert rules <= {"KOS.uniqueId", "KOS.mimeType", "KOS.formatCode"}, path
