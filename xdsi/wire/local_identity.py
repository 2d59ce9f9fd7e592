"""Images of elsewhere under the identifiers of this hospital, the originals kept (Import Reconciliation, RAD TF-1: 21).

DICOM PS3.3 C.12.1.1.9 (Original Attributes), C.7.1.1 (Other Patient IDs), 10.14 and 10.17 (issuers). A foreign patient
number would mean another patient here, and a foreign accession number another order. UIDs and pixels stay as they are.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset

from xdsi.domain.errors import Refused
from xdsi.domain.identifiers import PatientId
from xdsi.spec import tags

_ORIGINAL_ATTRIBUTES, _OTHER_PATIENT_IDS, _OTHER_PATIENT_ID_LIST = 0x04000561, 0x00101002, 0x00101000
_CHANGED = (
    tags.ACCESSION_NUMBER, tags.ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, tags.PATIENT_ID, tags.ISSUER_OF_PATIENT_ID,
    tags.ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, _OTHER_PATIENT_ID_LIST, _OTHER_PATIENT_IDS,
    tags.REFERENCED_REQUEST_SEQUENCE, tags.REQUEST_ATTRIBUTES_SEQUENCE,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalIdentity:
    """By what the patient and the order are known here, and where the images come from."""

    patient: PatientId
    accession: str = ""
    """empty: no order of this hospital; the foreign number is taken out"""
    accession_issuer: str = ""
    """OID"""
    foreign_issuer: str = ""
    """OID of who issued the patient number in the images, where they do not say"""
    known_as: tuple[PatientId, ...] = ()
    """the patient's identifiers elsewhere: where any are known, an image has to bear one of them"""
    source: str
    """who gave the images out"""
    system: str
    """who changes them"""


def localize(dataset: Dataset, local: LocalIdentity, now: datetime) -> None:
    """Put the local identifiers in place; Refused for an image of nobody, or of somebody else."""
    former = str(dataset.get("PatientID") or "").strip()
    issuer = _issuer(dataset) or local.foreign_issuer
    if not former:
        raise Refused("the image has no Patient ID: whose it is cannot be kept")
    if local.known_as and former not in {one.id for one in (*local.known_as, local.patient)}:
        raise Refused("the image bears the number of another patient than its manifest")
    if (former, issuer) == (local.patient.id, local.patient.authority) and _accession(dataset) == local.accession:
        return
    original = Dataset()
    for tag in _CHANGED:
        if tag in dataset:
            original.add(deepcopy(dataset[tag]))  # what is set below changes the element, wherever it is
    _keep_original(dataset, original, local, now)
    others = list(dataset.get("OtherPatientIDsSequence") or [])
    others += [_identifier(one.id, one.authority) for one in local.known_as]
    others.insert(0, _identifier(former, issuer, str(dataset.get("IssuerOfPatientID") or "")))
    dataset.OtherPatientIDsSequence = _distinct(others, local.patient)
    if _OTHER_PATIENT_ID_LIST in dataset:
        del dataset[_OTHER_PATIENT_ID_LIST]  # retired: it says numbers without who issued them
    dataset.PatientID = local.patient.id
    dataset.IssuerOfPatientID = local.patient.authority
    dataset.IssuerOfPatientIDQualifiersSequence = [_entity(local.patient.authority)]
    dataset.AccessionNumber = local.accession
    if local.accession and local.accession_issuer:
        dataset.IssuerOfAccessionNumberSequence = [_entity(local.accession_issuer, local=True)]
    elif tags.ISSUER_OF_ACCESSION_NUMBER_SEQUENCE in dataset:
        del dataset[tags.ISSUER_OF_ACCESSION_NUMBER_SEQUENCE]
    for tag in (tags.REQUEST_ATTRIBUTES_SEQUENCE, tags.REFERENCED_REQUEST_SEQUENCE):
        if tag in dataset:
            del dataset[tag]
    dataset.InstanceCoercionDateTime = now.strftime("%Y%m%d%H%M%S.%f%z")


def _accession(dataset: Dataset) -> str:
    return str(dataset.get("AccessionNumber") or "").strip()


def _keep_original(dataset: Dataset, original: Dataset, local: LocalIdentity, now: datetime) -> None:
    item = Dataset()
    item.SourceOfPreviousValues = local.source[:64]
    item.AttributeModificationDateTime = now.strftime("%Y%m%d%H%M%S.%f%z")
    item.ModifyingSystem = local.system[:64]
    item.ReasonForTheAttributeModification = "COERCE"
    item.ModifiedAttributesSequence = [original]
    former = list(dataset.get("OriginalAttributesSequence") or [])
    dataset.OriginalAttributesSequence = [*former, item]


def _issuer(dataset: Dataset) -> str:
    qualifiers = dataset.get("IssuerOfPatientIDQualifiersSequence") or []
    named = [str(item.get("UniversalEntityID") or "") for item in qualifiers]
    return next((one for one in named if one), "")


def _identifier(number: str, issuer: str, issuer_name: str = "") -> Dataset:
    item = Dataset()
    item.PatientID = number
    item.TypeOfPatientID = "TEXT"
    if issuer_name or issuer:
        item.IssuerOfPatientID = (issuer_name or issuer)[:64]
    if issuer:
        item.IssuerOfPatientIDQualifiersSequence = [_entity(issuer)]
    return item


def _entity(oid: str, *, local: bool = False) -> Dataset:
    item = Dataset()
    if local:
        item.LocalNamespaceEntityID = oid
    item.UniversalEntityID = oid
    item.UniversalEntityIDType = "ISO"
    return item


def _distinct(items: list[Dataset], patient: PatientId) -> list[Dataset]:
    """Each identifier once, and not the one that is the patient's here."""
    found: dict[tuple[str, str], Dataset] = {}
    for item in items:
        key = (str(item.get("PatientID") or ""), _issuer(item))
        if key != (patient.id, patient.authority):
            found.setdefault(key, item)
    return list(found.values())
