"""Reports beside a manifest: which are published, as what, once each, and what becomes of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests import imaging
from tests.actors.test_manifest_publisher import Hospital, related
from tests.wire.ebxml.bodies import content_of
from xdsi.actors.manifest_publisher import Result
from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.imaging import Instance, Study
from xdsi.spec import dicom, uuids
from xdsi.wire.dicom_report import read_report

PDF = b"%PDF-1.4\n%report\n%%EOF\n"
SR = "1.2.840.10008.5.1.4.1.1.88.33"


def dicom_file(sop_class_uid: str, uid: str, **values: Any) -> bytes:
    """A file of a report."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = sop_class_uid
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ContentDate, dataset.ContentTime = "20260302", "101500"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def pdf_file(uid: str, content: bytes = PDF, **values: Any) -> bytes:
    title = {"DocumentTitle": "Befund Thorax", "MIMETypeOfEncapsulatedDocument": "application/pdf"}
    return dicom_file(dicom.ENCAPSULATED_PDF, uid, EncapsulatedDocument=content, **title | values)


@dataclass
class Archive:
    """A PACS of reports."""

    files: dict[str, bytes] = field(default_factory=dict)
    away: bool = False
    opened: list[str] = field(default_factory=list)

    def open(self, instance: Instance) -> Iterator[bytes]:
        if self.away:
            raise Unavailable("the PACS is away")
        self.opened.append(instance.sop_instance_uid)
        raw = self.files[instance.sop_instance_uid]
        return iter((raw[:100], raw[100:]))


def study(*reports: tuple[str, str]) -> Study:
    """A study of images and reports: SOP class and instance."""
    instances = tuple(
        Instance(sop_class_uid=of, sop_instance_uid=uid, instance_number=n, verified=True)
        for n, (of, uid) in enumerate(reports, 1)
    )
    return imaging.study(series=(imaging.series(), imaging.series(2, modality="DOC", instances=instances)))


def hospital(archive: Archive, *kinds: str) -> Hospital:
    profile = replace(imaging.PROFILE, reports=kinds)
    return Hospital(settings={"profile": profile, "instances": archive})


ONE = (dicom.ENCAPSULATED_PDF, "1.2.3.2.1")
TWO = (dicom.ENCAPSULATED_PDF, "1.2.3.2.2")
ARCHIVE = {"1.2.3.2.1": pdf_file("1.2.3.2.1"), "1.2.3.2.2": pdf_file("1.2.3.2.2", PDF + b"x")}


def test_a_pdf_goes_with_the_manifest_as_the_pdf_that_it_holds() -> None:
    at = hospital(Archive(dict(ARCHIVE)), "pdf")
    assert at.publisher.publish(study(ONE)).result is Result.PUBLISHED
    (sent,) = at.repository.received
    manifest, report = sent.submission.document_entries
    assert content_of(sent.documents[report.entry_uuid]) == PDF
    assert (report.mime_type, report.size, report.title) == ("application/pdf", str(len(PDF)), "Befund Thorax")
    assert report.format_code is not None
    assert report.class_code is not None
    assert (report.format_code.code, report.format_code.scheme) == ("urn:ihe:rad:PDF", "1.3.6.1.4.1.19376.1.2.3")
    assert (report.class_code.code, report.type_code) == ("REPORTS", manifest.type_code)
    assert report.creation_time == "20260302091500", "Content Date and Time, in UTC"
    assert report.unique_id not in (manifest.unique_id, "1.2.3.2.1"), "the bytes are not those of the object"
    # What ties them together
    assert (report.reference_ids, report.patient_id) == (manifest.reference_ids, manifest.patient_id)
    assert related(sent, uuids.HAS_MEMBER) == {
        (sent.submission.submission_set.entry_uuid, one.entry_uuid) for one in (manifest, report)
    }
    assert not related(sent, uuids.APND) | related(sent, uuids.XFRM) | related(sent, uuids.RPLC)


def test_a_verified_structured_report_goes_as_it_is() -> None:
    raw = dicom_file(SR, "1.2.3.2.1")
    at = hospital(Archive({"1.2.3.2.1": raw}), "sr")
    at.publisher.publish(study((SR, "1.2.3.2.1")))
    (sent,) = at.repository.received
    _, report = sent.submission.document_entries
    assert content_of(sent.documents[report.entry_uuid]) == raw
    assert (report.unique_id, report.mime_type) == ("1.2.3.2.1", "application/dicom")
    assert report.format_code is not None
    assert (report.format_code.code, report.format_code.scheme) == (SR, "1.2.840.10008.2.6.1")


@pytest.mark.parametrize(
    ("kinds", "of", "verified", "published"),
    [
        ((), dicom.ENCAPSULATED_PDF, True, False),
        (("sr",), dicom.ENCAPSULATED_PDF, True, False),
        (("pdf",), SR, True, False),
        (("sr",), SR, False, False),
        (("sr",), SR, True, True),
        (("sr", "pdf"), "1.2.840.10008.5.1.4.1.1.88.67", True, False),  # doses
        (("sr", "pdf"), dicom.KEY_OBJECT_SELECTION, True, False),
    ],
)
def test_what_counts_as_a_report(kinds: Any, of: str, verified: bool, published: bool) -> None:
    at = hospital(Archive({"1.2.3.2.1": dicom_file(of, "1.2.3.2.1")}), *kinds)
    told = study((of, "1.2.3.2.1"))
    images, others = told.series
    told = replace(told, series=(images, replace(others, instances=(replace(others.instances[0], verified=verified),))))
    at.publisher.publish(told)
    assert len(at.repository.received[0].submission.document_entries) == 1 + published


def test_a_report_is_sent_once_and_a_new_one_brings_the_manifest_again() -> None:
    archive = Archive(dict(ARCHIVE))
    at = hospital(archive, "pdf")
    assert at.publisher.publish(study(ONE)).result is Result.PUBLISHED
    assert at.publisher.publish(study(ONE)).result is Result.UNCHANGED
    archive.opened.clear()
    assert at.publisher.publish(study(ONE, TWO)).result is Result.REPLACED
    assert set(archive.opened) == {"1.2.3.2.2"}, "what is registered is not read again"
    first, second = (one.submission.document_entries for one in at.repository.received)
    assert len(second) == 2
    assert related(at.repository.received[1], uuids.RPLC) == {(second[0].entry_uuid, first[0].entry_uuid)}
    newest = at.publications.newest("1.2.3")
    assert newest is not None
    assert {one.entry_uuid: one.registered for one in newest.current} == {
        second[0].entry_uuid: False, first[1].entry_uuid: True, second[1].entry_uuid: False,
    }  # fmt: skip


def test_a_report_takes_the_place_of_one_that_is_gone() -> None:
    at = hospital(Archive(dict(ARCHIVE)), "pdf")
    at.publisher.publish(study(ONE))
    at.publisher.publish(study(TWO))
    first, second = (one.submission.document_entries for one in at.repository.received)
    assert related(at.repository.received[1], uuids.RPLC) == {
        (new.entry_uuid, old.entry_uuid) for new, old in zip(second, first, strict=True)
    }


def test_a_report_that_is_gone_without_successor_is_to_be_withdrawn_unless_it_comes_back() -> None:
    at = hospital(Archive(dict(ARCHIVE)), "pdf")

    def reports() -> list[tuple[str, str, bool, bool]]:
        newest = at.publications.newest("1.2.3")
        assert newest is not None
        return [(one.kind, one.source, one.registered, one.gone) for one in newest.current[1:]]

    at.publisher.publish(study(ONE))
    assert reports() == [("pdf", "1.2.3.2.1", False, False)]
    at.publisher.publish(study())
    assert reports() == [("pdf", "1.2.3.2.1", True, True)]
    at.publisher.publish(study(ONE))
    assert reports() == [("pdf", "1.2.3.2.1", True, False)]


@pytest.mark.parametrize(
    "raw", [pdf_file("1.2.3.2.1", b"no pdf"), pdf_file("1.2.3.2.1", MIMETypeOfEncapsulatedDocument="text/xml"), b"junk"]
)
def test_a_report_that_cannot_be_read_is_told_and_does_not_keep_the_manifest(raw: bytes) -> None:
    at = hospital(Archive({"1.2.3.2.1": raw}), "pdf")
    done = at.publisher.publish(study(ONE))
    assert (done.result, [one.rule for one in done.problems]) == (Result.PUBLISHED, ["STUDY.report"])
    assert len(at.repository.received[0].submission.document_entries) == 1


def test_while_the_archive_is_away_nothing_is_sent() -> None:
    archive = Archive(dict(ARCHIVE), away=True)
    at = hospital(archive, "pdf")
    assert at.publisher.publish(study(ONE)).result is Result.UNAVAILABLE
    assert (at.repository.received, at.publications.attempts) == ([], {})
    archive.away = False
    assert at.publisher.publish(study(ONE)).result is Result.PUBLISHED


def test_after_a_lost_answer_the_same_reports_are_sent_again() -> None:
    archive = Archive(dict(ARCHIVE))
    at = hospital(archive, "pdf")
    at.repository.error = Unavailable("broke off", uncertain=True)
    at.publisher.publish(study(ONE, TWO))
    at.repository.error = None
    at.time += timedelta(days=1)
    archive.away = True
    assert at.publisher.publish(study(ONE, TWO)).result is Result.UNAVAILABLE
    archive.away = False
    assert at.publisher.publish(study(ONE, TWO)).result is Result.PUBLISHED
    lost, again = at.repository.received
    assert [replace(one, authors=()) for one in lost.submission.document_entries] == [
        replace(one, authors=()) for one in again.submission.document_entries
    ]


def test_a_pdf_is_taken_out_without_the_padding_of_its_element() -> None:
    odd = b"%PDF-1.4\n%%EOF\n"
    assert len(odd) % 2 == 1
    assert read_report(pdf_file("1.2.3", odd)).content == odd


def test_a_report_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xdsi.wire.dicom_report.MAX_BYTES", 100)
    with pytest.raises(MalformedMessage, match="too large"):
        read_report(pdf_file("1.2.3"))
