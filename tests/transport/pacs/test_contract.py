"""The port `Pacs`: every kind of archive tells and gives out the same, compared with the files themselves."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from tests.imaging import FILES
from tests.servers import wait_until
from tests.transport.pacs.conftest import CT_STUDY, MR_STUDY, Archive
from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import Instance, Study

COMPRESSED = "1.3.6.1.4.1.5962.1.2.8.20040826185059.5457"
"""a study of files in JPEG, JPEG 2000 and others"""

# (kind, attribute) -> studies of which an archive tells something else than the files, and why
DEVIATIONS = {
    # Orthanc's conversion of ISO 2022 IR 13 with IR 87 to UTF-8 loses the second.
    ("dicomweb", "patient"): {"1.3.6.1.4.1.5962.1.2.0.1175775771.5705.0"},
    # Two files of one series disagree, and each archive has another one first.
    ("orthanc", "institution"): {COMPRESSED},
    ("dicomweb", "institution"): {COMPRESSED},
    ("dimse", "institution"): {COMPRESSED},
}


def told(study: Study) -> Study:
    """What a manifest is made of: without what only the archive itself understands."""
    return replace(
        study,
        series=tuple(
            replace(
                series,
                instances=tuple(replace(one, locator="", size=0, transfer_syntax_uid="") for one in series.instances),
            )
            for series in study.series
        ),
    )


def test_all_studies_are_told_as_the_files_have_them(archive: Archive) -> None:
    found: dict[str, Study] = {}

    def settled() -> bool:
        # An archive that has just been filled counts and lists at different moments.
        with suppress(Unavailable):
            found.update({study.study_instance_uid: told(study) for study in archive.pacs.studies()})
        return bool(found)

    wait_until(settled, 30)
    wanted = {study.study_instance_uid: told(study) for study in archive.reference.studies()}
    assert found.keys() == wanted.keys(), archive.pacs.skipped()
    assert {state.study_instance_uid for state in archive.pacs.states()} == wanted.keys()
    for uid, study in wanted.items():
        for name in Study.__slots__:
            if uid not in DEVIATIONS.get((archive.kind, name), ()):
                assert getattr(found[uid], name) == getattr(study, name), (uid, name)


@pytest.mark.parametrize("uid", [CT_STUDY, COMPRESSED])
def test_each_instance_is_given_out_as_it_was_stored(archive: Archive, uid: str) -> None:
    study = archive.reference.study(uid)
    for series in study.series if study else ():
        for one in series.instances:
            located = archive.pacs.locate(uid, series.series_instance_uid, one.sop_instance_uid)
            assert located is not None
            assert located.transfer_syntax_uid == one.transfer_syntax_uid
            content = b"".join(archive.pacs.open(located))
            stored = archive.reference.path(one).read_bytes()
            assert content == stored if archive.exact else same_data(content, stored)


def same_data(given: bytes, stored: bytes) -> bool:
    """The same elements in the same transfer syntax; group lengths and padding at the end are not sent."""
    read = [pydicom.dcmread(BytesIO(one)) for one in (given, stored)]
    for dataset in read:
        for tag in [element.tag for element in dataset if element.tag.element == 0 or element.tag == 0xFFFCFFFC]:
            del dataset[tag]
    assert read[0].file_meta.TransferSyntaxUID == read[1].file_meta.TransferSyntaxUID
    assert [element.tag for element in read[0]] == [element.tag for element in read[1]]
    return read[0].get("PixelData") == read[1].get("PixelData")


def test_an_instance_is_found_only_in_its_own_series_and_study(archive: Archive) -> None:
    study, other = archive.reference.study(CT_STUDY), archive.reference.study(MR_STUDY)
    assert study is not None
    assert other is not None
    (series, *_), (one, *_) = study.series, study.instances
    assert archive.pacs.locate(CT_STUDY, series.series_instance_uid, one.sop_instance_uid) is not None
    for place in (
        (MR_STUDY, series.series_instance_uid, one.sop_instance_uid),
        (CT_STUDY, other.series[0].series_instance_uid, one.sop_instance_uid),
        (CT_STUDY, series.series_instance_uid, "1.2.3"),
        ("1.2.3", series.series_instance_uid, one.sop_instance_uid),
        ("", "", ""),
        ("*", "*", "*"),
        ("../studies", "..", "?"),
        ("1" * 65, "1.2", "1.3"),
    ):
        assert archive.pacs.locate(*place) is None, place
    assert archive.pacs.study("1.2.3.4") is None
    assert archive.pacs.study("*") is None
    assert archive.pacs.reread("%2e%2e") is None


def test_an_instance_as_a_file(archive: Archive) -> None:
    study = archive.reference.study(CT_STUDY)
    assert study is not None
    (series, *_) = study.series
    (one, *_) = series.instances
    located = archive.pacs.locate(CT_STUDY, series.series_instance_uid, one.sop_instance_uid)
    assert located is not None
    with archive.pacs.file(located) as path:
        assert pydicom.dcmread(path).SOPInstanceUID == one.sop_instance_uid


def test_what_nobody_has_cannot_be_opened(archive: Archive) -> None:
    with pytest.raises(Unavailable):
        list(archive.pacs.open(Instance(sop_class_uid="1.2", sop_instance_uid="1.2.3", locator="")))


def stranger(path: Path, study: str, number: int) -> Path:
    dataset = pydicom.dcmread(FILES / "CT_small.dcm")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{study}.1.{number}"
    dataset.PatientID, dataset.StudyDate, dataset.InstanceNumber = "LATE", "20300102", number
    dataset.save_as(path)
    return path


def states(archive: Archive) -> dict[str, str]:
    return {state.study_instance_uid: state.state for state in archive.pacs.states()}


def settled(archive: Archive) -> dict[str, str]:
    """Its states when they do not change any more: one that has just been filled counts for a while."""
    seen: list[dict[str, str]] = []

    def the_same_thrice() -> bool:
        seen.append(states(archive))
        return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3]

    wait_until(the_same_thrice, 30)
    return seen[-1]


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {uid for uid in before.keys() | after.keys() if before.get(uid) != after.get(uid)}


def grown_to(archive: Archive, uid: str, *numbers: int) -> None:
    """The archive has just these instances of the study; one may take a while to note what it has taken in."""

    def listed() -> bool:
        study = archive.pacs.reread(uid)
        return study is not None and [one.instance_number for one in study.instances] == [*numbers]

    wait_until(listed, 30)


def test_what_comes_and_goes_is_noticed(archive: Archive, tmp_path: Path) -> None:
    pacs, uid = archive.pacs, f"2.25.77{sum(archive.kind.encode())}"
    before = settled(archive)
    assert pacs.study(uid) is None
    archive.store(stranger(tmp_path / f"{archive.kind}-one.dcm", uid, 1))
    grown_to(archive, uid, 1)
    came = states(archive)
    assert changed(before, came) == {uid}, (before, came)
    recent = {state.study_instance_uid for state in pacs.states(date(2030, 1, 1))}
    assert uid in recent
    assert not recent & {CT_STUDY, MR_STUDY}, "those are of 2004"

    archive.store(stranger(tmp_path / f"{archive.kind}-two.dcm", uid, 2))
    grown_to(archive, uid, 1, 2)
    grown = states(archive)
    assert changed(came, grown) == {uid}

    if archive.delete is None:
        return
    archive.delete(f"{uid}.1.1")
    less = pacs.reread(uid)
    assert less is not None
    assert [instance.instance_number for instance in less.instances] == [2]
    assert pacs.locate(uid, f"{uid}.1", f"{uid}.1.1") is None
    shrunk = states(archive)
    assert changed(grown, shrunk) == {uid}

    archive.delete(f"{uid}.1.2")
    assert pacs.reread(uid) is None
    assert states(archive) == before
