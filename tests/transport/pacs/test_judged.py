"""The image that was judged is the image that leaves, whatever the archive puts in its place meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.archives import Orthanc
from tests.imaging import FILES
from tests.transport.pacs.conftest import CT_STUDY, study_of
from tests.transport.pacs.test_http_faults import Liar, listening, ok
from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import Instance
from xdsi.transport.http_client import HttpAccess
from xdsi.transport.pacs.orthanc import OrthancPacs
from xdsi.wire.dicom_identity import identity_of

QUICK = HttpAccess(connect_seconds=5, read_seconds=2, retries=0)


def image(size: int = 0, **changes: Any) -> bytes:
    """A file, larger where asked for, with other values."""
    dataset = pydicom.dcmread(FILES / "MR_small.dcm")
    dataset.IssuerOfPatientID = "2.999.1.5"
    if size:
        dataset.PixelData = bytes(size)
    for name, value in changes.items():
        setattr(dataset, name, value)
    file = BytesIO()
    dataset.save_as(file)
    return file.getvalue()


SMALL, LARGE = image(), image(3_000_000)
OTHERS = [
    {"PatientID": "SOMEBODY-ELSE"},
    {"IssuerOfPatientID": "2.999.1.6"},
    {"StudyInstanceUID": "1.2.3.4"},
    {"SeriesInstanceUID": "1.2.3.4"},
    {"SOPInstanceUID": "1.2.3.4"},
]


@dataclass
class Kept:
    """An archive that gives out what it is told to."""

    liar: Liar
    pacs: OrthancPacs

    def located(self, content: bytes, *, named: str = "a") -> Instance:
        """The instance as it was found when the archive had this content."""
        return Instance(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
            sop_instance_uid="1.2.3",
            size=len(content),
            locator=named,
            identity=identity_of(content, whole=True),
        )

    def gives(self, content: bytes, *, named: str = "a") -> None:
        self.liar.answers[f"/instances/{named}/file"] = ok(content, "application/dicom")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    liar = Liar()
    with listening(liar):
        yield Kept(liar, OrthancPacs(liar.url, QUICK, tmp_path))


def by_itself(pacs: OrthancPacs, one: Instance) -> Iterator[bytes]:
    return pacs.open(one)


def among_others(pacs: OrthancPacs, one: Instance) -> Iterator[bytes]:
    coming = pacs.ahead([one, one])
    assert coming is not None
    return next(coming)


WAYS = pytest.mark.parametrize("way", [by_itself, among_others])
Way = Callable[[OrthancPacs, Instance], Iterator[bytes]]


@WAYS
@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_what_was_found_is_given_out_as_it_is(kept: Kept, way: Way, content: bytes) -> None:
    kept.gives(content)
    assert b"".join(way(kept.pacs, kept.located(content))) == content


@WAYS
@pytest.mark.parametrize("size", [0, 3_000_000])
@pytest.mark.parametrize("changes", OTHERS)
def test_not_a_byte_leaves_of_another_image_in_its_place(
    kept: Kept, way: Way, size: int, changes: dict[str, str]
) -> None:
    found, now = image(size), image(size, **changes)
    kept.gives(now)
    with pytest.raises(Unavailable):
        next(way(kept.pacs, replace(kept.located(found), size=len(now))))


@WAYS
@pytest.mark.parametrize("content", [b"", b"<html>log in", bytes(300), SMALL[:900], SMALL + b"\0\0", LARGE[:-1000]])
def test_a_file_of_another_size_or_none_never_ends_like_one(kept: Kept, way: Way, content: bytes) -> None:
    kept.gives(content)
    with pytest.raises(Unavailable):
        list(way(kept.pacs, kept.located(LARGE if len(content) > 100_000 else SMALL)))


def test_an_image_that_is_another_patients_once_its_study_was_read_again_does_not_open(
    orthanc: Orthanc, tmp_path: Path
) -> None:
    pacs = OrthancPacs(orthanc.url, HttpAccess(), tmp_path)
    place = ("2.25.4711", "2.25.4711.1", "2.25.4711.1.1")
    uids = dict(zip(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), place, strict=True))
    (held,) = orthanc.store(image(**uids))
    former = pacs.locate(*place)
    assert former is not None
    orthanc.delete(f"/instances/{held}")
    (held,) = orthanc.store(image(PatientID="CORRECTED", **uids))
    assert pacs.reread(place[0]) is not None
    with pytest.raises(Unavailable):
        pacs.open(former)
    now = pacs.locate(*place)
    assert now is not None
    assert b"CORRECTED" in b"".join(pacs.open(now))
    orthanc.delete(f"/instances/{held}")


def test_files_asked_for_ahead_are_those_opened_one_by_one(filled: Orthanc, tmp_path: Path) -> None:
    pacs = OrthancPacs(filled.url, HttpAccess(), tmp_path)
    study = pacs.study(CT_STUDY)
    assert study is not None
    instances = list(study.instances)
    coming = pacs.ahead(instances)
    assert coming is not None
    wanted = {one.sop_instance_uid: one for one in study_of(CT_STUDY).instances}
    for one in instances:
        content = b"".join(next(coming))
        assert content == b"".join(pacs.open(one))
        assert len(content) == wanted[one.sop_instance_uid].size


def test_a_study_that_orthanc_says_did_not_change_is_not_listed_again(kept: Kept) -> None:
    uid, instance = "1.2.3", {"ID": "i1", "ParentSeries": "s1", "FileSize": 7}
    told = {"SOPInstanceUID": "1.2.3.1.1"}
    study = {"ID": "st", "IsStable": True, "LastUpdate": "20260101T000000"}
    statistics = {"CountInstances": 1, "DicomUncompressedSize": "7"}
    liar = kept.liar

    def say() -> None:
        liar.answers["/tools/find"] = ok(json.dumps([study]).encode())
        liar.answers["/studies/st/series"] = ok(
            json.dumps([{"ID": "s1", "MainDicomTags": {"SeriesInstanceUID": "1.2.3.1"}}]).encode()
        )
        liar.answers["/tools/bulk-content"] = ok(json.dumps([instance | {"MainDicomTags": told}]).encode())
        liar.answers["/studies/st/statistics"] = ok(json.dumps(statistics).encode())

    say()
    assert not kept.pacs.is_unchanged(uid), "it was never listed"
    kept.pacs.list_study(uid)
    assert kept.pacs.is_unchanged(uid)
    for what, other in (
        (study, {"LastUpdate": "20260101T000001"}),
        (study, {"ID": "another"}),
        (statistics, {"CountInstances": 0}),
        (statistics, {"DicomUncompressedSize": "8"}),
        (statistics, {"DicomUncompressedSize": "?"}),
    ):
        former = dict(what)
        what.update(other)  # type: ignore[arg-type]
        say()
        assert not kept.pacs.is_unchanged(uid), other
        what.update(former)
    study["IsStable"] = False
    say()
    kept.pacs.list_study(uid)
    assert not kept.pacs.is_unchanged(uid), "something more may come within the second"
