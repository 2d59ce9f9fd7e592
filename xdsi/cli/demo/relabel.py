"""Images that come with pydicom, told to be somebody else's: new patient, study and UIDs, the same pixels.

DICOM PS3.3 C.7.1 (patient), C.7.2 (study), C.7.3 (series), C.12.1 (SOP Common); PS3.15 annex E (UIDs replaced
consistently). Transfer syntaxes stay as they are: nothing is decoded.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pydicom.data
from pydicom import Dataset, FileDataset, dcmread
from pydicom.multival import MultiValue
from pydicom.uid import UID

from xdsi.domain.identifiers import new_oid

SOURCES = Path(pydicom.data.__file__).parent / "test_files"

_STANDARD = "1.2.840.10008."
# What the images say of their first patient and order, beyond what is written anew
_FORMER = (
    "OtherPatientIDs", "OtherPatientIDsSequence", "OtherPatientNames", "PatientAge", "PatientAddress",
    "PatientComments", "PatientBirthTime", "EthnicGroup", "Occupation", "AdditionalPatientHistory",
    "RequestAttributesSequence", "ReferencedRequestSequence", "RequestingPhysician", "RequestingService",
    "ProcedureCodeSequence", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy", "PerformingPhysicianName",
    "OperatorsName", "InstitutionAddress", "InstitutionalDepartmentName", "ReferencedStudySequence",
)  # fmt: skip
_DATES = ("SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What every image of a study says of its patient, study and hospital."""

    patient_id: str
    patient_issuer: str
    """OID of the hospital's patient numbers"""
    issuer_name: str
    patient_name: str
    birth_date: str
    sex: str
    study_instance_uid: str
    study_id: str
    accession_number: str
    accession_issuer: str
    date: str
    time: str
    timezone_offset: str
    description: str
    institution: str
    referring_physician: str
    character_set: str


@dataclass(slots=True)
class StudyUids:
    """New UIDs for the UIDs of source images, the same new one for the same old one within a study.

    The study's own UID is not among them. One SOP Instance that occurs in several encodings becomes several.
    """

    replaced: dict[str, str] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)

    def instance(self, old: str) -> str:
        """The new UID of an instance; a fresh one each time."""
        new = self.of(old)
        if new in self.given:
            new = new_oid()
        self.given.add(new)
        return new

    def of(self, old: str) -> str:
        """The new UID for an old one; what the standard defines, and what is no UID, stays."""
        if old.startswith(_STANDARD) or "." not in old:
            return old
        return self.replaced.setdefault(old, new_oid())


def read(source: Path) -> FileDataset:
    """A source image, with its oddities taken without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(source)


def relabel(
    dataset: FileDataset, label: Label, uids: StudyUids, *, series_uid: str, series_number: int, instance_number: int
) -> None:
    """Make the image one of the labelled study."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sop_instance_uid = uids.instance(str(dataset.get("SOPInstanceUID", "")))
        _replace_uids(dataset, uids)
        for keyword in _FORMER:
            if keyword in dataset:
                delattr(dataset, keyword)
        dataset.SpecificCharacterSet = label.character_set
        dataset.SOPInstanceUID = UID(sop_instance_uid)
        dataset.file_meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
        _name_patient(dataset, label)
        _name_study(dataset, label)
        dataset.SeriesInstanceUID = UID(series_uid)
        dataset.SeriesNumber = series_number
        dataset.InstanceNumber = instance_number
        if not dataset.get("Modality"):
            dataset.Modality = "OT"


def encoded(dataset: FileDataset) -> bytes:
    """The file, in the transfer syntax that it had."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _name_patient(dataset: Dataset, label: Label) -> None:
    dataset.PatientName = label.patient_name
    dataset.PatientID = label.patient_id
    dataset.IssuerOfPatientID = label.issuer_name
    dataset.IssuerOfPatientIDQualifiersSequence = [_designator(label.patient_issuer)]
    dataset.PatientBirthDate = label.birth_date
    dataset.PatientSex = label.sex


def _name_study(dataset: Dataset, label: Label) -> None:
    dataset.StudyInstanceUID = UID(label.study_instance_uid)
    dataset.StudyID = label.study_id
    dataset.AccessionNumber = label.accession_number
    dataset.IssuerOfAccessionNumberSequence = [_designator(label.accession_issuer)]
    dataset.StudyDate = label.date
    dataset.StudyTime = label.time
    dataset.TimezoneOffsetFromUTC = label.timezone_offset
    dataset.StudyDescription = label.description
    dataset.Manufacturer = dataset.get("Manufacturer") or ""  # goes with the institution (C.7.5.1)
    dataset.InstitutionName = label.institution
    dataset.ReferringPhysicianName = label.referring_physician
    for keyword in _DATES:
        if keyword in dataset:
            setattr(dataset, keyword, label.date)
    if "AcquisitionDateTime" in dataset:
        dataset.AcquisitionDateTime = label.date + label.time


def _designator(oid: str) -> Dataset:
    item = Dataset()
    item.UniversalEntityID = oid
    item.UniversalEntityIDType = "ISO"
    return item


def _replace_uids(dataset: Dataset, uids: StudyUids) -> None:
    for element in dataset.iterall():
        if element.VR != "UI" or not element.value:
            continue
        if isinstance(element.value, MultiValue):
            element.value = [UID(uids.of(str(one))) for one in element.value]
        else:
            element.value = UID(uids.of(str(element.value)))
