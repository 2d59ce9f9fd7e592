"""What of an archive is shared: rejected instances are not, whoever asks and whichever way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests import imaging
from tests.transactions.ports import Pacs
from xdsi.actors.shared_archive import SharedArchive
from xdsi.domain.codes import Code
from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import ImagedPatient, Instance, Series, Study
from xdsi.spec import dicom

TITLES = ("113001", "113037", "113038", "113039")
IMAGES = imaging.series(1, 3)


def note(*named: str, title: str = "113001", uid: str = "1.2.3.9.1") -> tuple[Series, bytes]:
    """A rejection note as a series of the study, and its bytes."""
    kept = replace(IMAGES, instances=tuple(one for one in IMAGES.instances if one.sop_instance_uid in named))
    # A note is built as a manifest is, but for its title.
    content = imaging.manifest(imaging.study(series=(kept,))).replace(b"113030", title.encode())
    instance = Instance(
        sop_class_uid=dicom.KEY_OBJECT_SELECTION, sop_instance_uid=uid, title=Code(title, "DCM", "Rejected")
    )
    return Series(series_instance_uid="1.2.3.9", modality="KO", instances=(instance,)), content


@dataclass
class Archive(Pacs):
    """Studies in memory, with the bytes of notes."""

    def __init__(self, study: Study, contents: dict[str, bytes]) -> None:
        super().__init__(study)
        self.contents = contents

    def reread(self, uid: str) -> Study | None:
        return self.study(uid)

    def open(self, instance: Instance) -> Iterator[bytes]:
        content = self.contents.get(instance.sop_instance_uid)
        if content is None:
            raise Unavailable(instance.sop_instance_uid)
        return iter((content,))


def shared(*series: Series, contents: dict[str, bytes] | None = None, **changes: Any) -> SharedArchive:
    given: dict[str, Any] = {"issuers": {}, "rejections": TITLES}
    return SharedArchive(Archive(imaging.study(series=series), contents or {}), **given | changes)  # type: ignore[arg-type]


def uids(study: Study | None) -> list[str]:
    return [one.sop_instance_uid for one in study.instances] if study else []


@pytest.mark.parametrize("title", TITLES)
def test_rejected_instances_are_neither_told_nor_found(title: str) -> None:
    series, content = note("1.2.3.1.2", title=title)
    archive = shared(IMAGES, series, contents={"1.2.3.9.1": content})
    assert uids(archive.study("1.2.3")) == ["1.2.3.1.1", "1.2.3.1.3", "1.2.3.9.1"]
    assert uids(archive.reread("1.2.3")) == uids(archive.study("1.2.3"))
    assert archive.locate("1.2.3", "1.2.3.1", "1.2.3.1.2") is None
    assert archive.locate("1.2.3", "1.2.3.1", "1.2.3.1.1") is not None


def test_an_instance_is_not_found_even_if_nobody_asked_for_the_study() -> None:
    series, content = note("1.2.3.1.2")
    assert shared(IMAGES, series, contents={"1.2.3.9.1": content}).locate("1.2.3", "1.2.3.1", "1.2.3.1.2") is None


def test_a_site_may_keep_what_was_rejected_for_quality() -> None:
    series, content = note("1.2.3.1.2")
    archive = shared(IMAGES, series, contents={"1.2.3.9.1": content}, rejections=TITLES[1:])
    assert "1.2.3.1.2" in uids(archive.study("1.2.3"))


@pytest.mark.parametrize("code", [Code("113030", "DCM"), Code("113000", "DCM"), Code("113001", "99LOCAL"), None])
def test_other_key_objects_reject_nothing(code: Code | None) -> None:
    series, content = note("1.2.3.1.2")
    (one,) = series.instances
    archive = shared(IMAGES, replace(series, instances=(replace(one, title=code),)), contents={"1.2.3.9.1": content})
    assert "1.2.3.1.2" in uids(archive.study("1.2.3"))


def test_a_note_that_cannot_be_read_may_name_anything() -> None:
    series, content = note("1.2.3.1.2")
    for contents in ({}, {"1.2.3.9.1": content[:300]}):
        archive = shared(IMAGES, series, contents=contents)
        with pytest.raises(Unavailable):
            archive.study("1.2.3")
        with pytest.raises(Unavailable):
            archive.locate("1.2.3", "1.2.3.1", "1.2.3.1.1")


@pytest.mark.parametrize(
    ("patient", "issuer"),
    [
        (ImagedPatient(id="1", issuer_name="HOSP-A"), "1.2.40.7"),
        (ImagedPatient(id="1", issuer="1.2.40.1"), "1.2.40.8"),
        (ImagedPatient(id="1", issuer="1.2.40.2"), "1.2.40.2"),
        (ImagedPatient(id="1", issuer_name="hosp-b"), ""),
    ],
)
def test_issuers_are_known_by_their_oids(patient: ImagedPatient, issuer: str) -> None:
    study = imaging.study(patient=patient)
    archive = SharedArchive(
        Archive(study, {}),
        issuers={"HOSP-A": "1.2.40.7", "1.2.40.1": "1.2.40.8"},
        rejections=(),  # type: ignore[arg-type]
    )
    found = archive.study("1.2.3")
    assert found is not None
    assert found.patient.issuer == issuer


def test_a_study_of_which_all_is_rejected_is_gone() -> None:
    series, content = note("1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3")
    assert shared(IMAGES, series, contents={"1.2.3.9.1": content}).study("1.2.3") is None
