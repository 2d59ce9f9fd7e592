"""The header of a DICOM file as the part of a study that it is: patient, study, series and one instance.

DICOM PS3.3 C.7.1 to C.7.3, C.12.1 (SOP Common), C.17 (titles of Key Object Selections and reports).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import BinaryIO

from xdsi.domain.codes import Code
from xdsi.domain.identifiers import is_oid
from xdsi.domain.imaging import Accession, ImagedPatient, Instance, Series, Study, merge_accessions
from xdsi.spec import dicom, mado, tags
from xdsi.wire.dicom_reader import read
from xdsi.wire.dicom_text import CharacterSet, DataSet

WANTED = frozenset(
    {
        tags.SPECIFIC_CHARACTER_SET, tags.SOP_CLASS_UID, tags.SOP_INSTANCE_UID,
        tags.STUDY_INSTANCE_UID, tags.STUDY_DATE, tags.STUDY_TIME, tags.STUDY_ID, tags.STUDY_DESCRIPTION,
        tags.TIMEZONE_OFFSET_FROM_UTC, tags.REFERRING_PHYSICIAN_NAME, tags.INSTITUTION_NAME,
        tags.INSTITUTIONAL_DEPARTMENT_NAME, tags.CURRENT_PATIENT_LOCATION, tags.VERIFICATION_FLAG,
        tags.PROCEDURE_CODE_SEQUENCE, tags.ACCESSION_NUMBER, tags.ISSUER_OF_ACCESSION_NUMBER_SEQUENCE,
        tags.PATIENT_ID, tags.ISSUER_OF_PATIENT_ID, tags.ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE,
        tags.PATIENT_NAME, tags.PATIENT_BIRTH_DATE, tags.PATIENT_SEX,
        tags.SERIES_INSTANCE_UID, tags.MODALITY, tags.SERIES_NUMBER, tags.SERIES_DESCRIPTION, tags.SERIES_DATE,
        tags.SERIES_TIME, tags.BODY_PART_EXAMINED, tags.ANATOMIC_REGION_SEQUENCE, tags.PERFORMING_PHYSICIAN_NAME,
        tags.REQUEST_ATTRIBUTES_SEQUENCE, tags.REFERENCED_REQUEST_SEQUENCE, tags.REQUESTED_PROCEDURE_ID,
        tags.REQUESTED_PROCEDURE_DESCRIPTION, tags.PLACER_ORDER_NUMBER, tags.FILLER_ORDER_NUMBER,
        tags.INSTANCE_NUMBER, tags.NUMBER_OF_FRAMES, tags.CONCEPT_NAME_CODE_SEQUENCE,
        tags.CODE_VALUE, tags.CODING_SCHEME_DESIGNATOR, tags.CODE_MEANING,
        tags.UNIVERSAL_ENTITY_ID, tags.UNIVERSAL_ENTITY_ID_TYPE,
    }
)  # fmt: skip
_CONTENT = frozenset(
    {
        tags.CONTENT_SEQUENCE, tags.CONCEPT_NAME_CODE_SEQUENCE, tags.CODE_VALUE, tags.CODING_SCHEME_DESIGNATOR,
        tags.CODE_MEANING, tags.TEXT_VALUE,
    }
)  # fmt: skip
INDEXED = WANTED | {
    tags.NUMBER_OF_STUDY_RELATED_SERIES, tags.NUMBER_OF_STUDY_RELATED_INSTANCES,
    tags.NUMBER_OF_SERIES_RELATED_INSTANCES, tags.MODALITIES_IN_STUDY, tags.CONTENT_SEQUENCE, tags.TEXT_VALUE,
}  # fmt: skip
"""what archives tell besides when they are asked what they have"""
_HD = re.compile(r".*&([0-2][0-9.]+)&ISO")


def read_header(file: BinaryIO) -> Study:
    """A study that holds just this file's instance; its locator is left to the caller.

    Raises MalformedMessage for a file that is not a complete DICOM file, or does not say which instance, series and
    study it is.
    """
    part10 = read(file, WANTED)
    if part10.dataset.code(tags.SOP_CLASS_UID) == dicom.KEY_OBJECT_SELECTION:
        # The content of reports can be large, and only that of key objects is needed.
        part10.dataset[tags.CONTENT_SEQUENCE] = read(file, _CONTENT).dataset.items_of(tags.CONTENT_SEQUENCE)
    return part_of(part10.dataset, transfer_syntax_uid=part10.transfer_syntax, size=file.seek(0, 2))


def part_of(dataset: DataSet, *, transfer_syntax_uid: str = "", size: int = 0) -> Study:
    """A study that holds just the instance of this data set; MalformedMessage where it does not say which it is."""
    charset = CharacterSet(dataset)
    instance = instance_of(dataset, charset, transfer_syntax_uid=transfer_syntax_uid, size=size)
    series = series_of(dataset, charset)
    study = study_of(dataset, charset)
    return replace(study, series=(replace(series, instances=(instance,)),))


def instance_of(dataset: DataSet, charset: CharacterSet, *, transfer_syntax_uid: str = "", size: int = 0) -> Instance:
    """The instance a data set is, or speaks of."""
    return Instance(
        sop_class_uid=dataset.uid(tags.SOP_CLASS_UID, "SOP Class UID"),
        sop_instance_uid=dataset.uid(tags.SOP_INSTANCE_UID, "SOP Instance UID"),
        transfer_syntax_uid=transfer_syntax_uid,
        instance_number=dataset.number(tags.INSTANCE_NUMBER),
        number_of_frames=max(1, dataset.number(tags.NUMBER_OF_FRAMES) or 1),
        title=code(dataset.item(tags.CONCEPT_NAME_CODE_SEQUENCE), charset),
        description=_key_object_description(dataset, charset),
        verified=dataset.code(tags.VERIFICATION_FLAG) == "VERIFIED",
        size=size,
    )


def series_of(dataset: DataSet, charset: CharacterSet) -> Series:
    """The series a data set lies in, without instances."""
    regions = (code(item, charset) for item in dataset.items_of(tags.ANATOMIC_REGION_SEQUENCE))
    performers = charset.text(dataset, tags.PERFORMING_PHYSICIAN_NAME).split("\\")
    return Series(
        series_instance_uid=dataset.uid(tags.SERIES_INSTANCE_UID, "Series Instance UID"),
        modality=dataset.code(tags.MODALITY),
        description=charset.text(dataset, tags.SERIES_DESCRIPTION),
        number=dataset.number(tags.SERIES_NUMBER),
        body_part=dataset.code(tags.BODY_PART_EXAMINED),
        anatomic_regions=tuple(region for region in regions if region),
        date=dataset.code(tags.SERIES_DATE),
        time=dataset.code(tags.SERIES_TIME),
        performing_physicians=tuple(dict.fromkeys(name for one in performers if (name := one.strip(" ^")))),
    )


def study_of(dataset: DataSet, charset: CharacterSet) -> Study:
    """The study a data set belongs to, without series."""
    procedures = (code(item, charset) for item in dataset.items_of(tags.PROCEDURE_CODE_SEQUENCE))
    return Study(
        study_instance_uid=dataset.uid(tags.STUDY_INSTANCE_UID, "Study Instance UID"),
        patient=patient(dataset, charset),
        accessions=accessions(dataset, charset),
        date=dataset.code(tags.STUDY_DATE),
        time=dataset.code(tags.STUDY_TIME),
        timezone_offset=dataset.code(tags.TIMEZONE_OFFSET_FROM_UTC),
        description=charset.text(dataset, tags.STUDY_DESCRIPTION),
        study_id=charset.text(dataset, tags.STUDY_ID),
        referring_physician=charset.text(dataset, tags.REFERRING_PHYSICIAN_NAME).split("\\")[0].strip(" ^"),
        institution=charset.text(dataset, tags.INSTITUTION_NAME),
        ward=charset.text(dataset, tags.CURRENT_PATIENT_LOCATION)
        or charset.text(dataset, tags.INSTITUTIONAL_DEPARTMENT_NAME),
        procedure_codes=tuple(procedure for procedure in procedures if procedure),
    )


def _key_object_description(dataset: DataSet, charset: CharacterSet) -> str:
    """The first Key Object Description (113012, DCM) of a Key Object Selection (TID 2010)."""
    for content in dataset.items_of(tags.CONTENT_SEQUENCE):
        concept = code(content.item(tags.CONCEPT_NAME_CODE_SEQUENCE), charset)
        if concept is not None and (concept.code, concept.scheme) == mado.KEY_OBJECT_DESCRIPTION[:2]:
            return charset.text(content, tags.TEXT_VALUE)
    return ""


def patient(dataset: DataSet, charset: CharacterSet) -> ImagedPatient:
    """The Patient module; the issuer is its OID, wherever a producer put it."""
    issuer_name = charset.text(dataset, tags.ISSUER_OF_PATIENT_ID)
    written = _HD.fullmatch(issuer_name)
    candidates = (
        _issuer(dataset.item(tags.ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE)),
        written[1] if written else issuer_name,
    )
    return ImagedPatient(
        id=charset.text(dataset, tags.PATIENT_ID),
        issuer=next((oid for oid in candidates if is_oid(oid)), ""),
        issuer_name=issuer_name,
        name=charset.text(dataset, tags.PATIENT_NAME).rstrip("="),
        birth_date=dataset.code(tags.PATIENT_BIRTH_DATE),
        sex=dataset.code(tags.PATIENT_SEX),
    )


def accessions(dataset: DataSet, charset: CharacterSet) -> tuple[Accession, ...]:
    """The orders a data set names: in its Request Attributes, its Referenced Requests, and at study level."""
    attributes, requests = tags.REQUEST_ATTRIBUTES_SEQUENCE, tags.REFERENCED_REQUEST_SEQUENCE
    named = (*dataset.items_of(attributes), *dataset.items_of(requests), dataset)
    return merge_accessions(
        Accession(
            number=number,
            issuer=_issuer(item.item(tags.ISSUER_OF_ACCESSION_NUMBER_SEQUENCE)),
            placer_order_number=charset.text(item, tags.PLACER_ORDER_NUMBER),
            filler_order_number=charset.text(item, tags.FILLER_ORDER_NUMBER),
            requested_procedure_id=charset.text(item, tags.REQUESTED_PROCEDURE_ID),
            requested_procedure_description=charset.text(item, tags.REQUESTED_PROCEDURE_DESCRIPTION),
        )
        for item in named
        if (number := charset.text(item, tags.ACCESSION_NUMBER))
    )


def code(item: DataSet, charset: CharacterSet) -> Code | None:
    """A code sequence item; its scheme is the Coding Scheme Designator. None without a value or a scheme."""
    value, scheme = charset.text(item, tags.CODE_VALUE), charset.text(item, tags.CODING_SCHEME_DESIGNATOR)
    return Code(value, scheme, charset.text(item, tags.CODE_MEANING)) if value and scheme else None


def _issuer(item: DataSet) -> str:
    """The OID of an HL7v2 Hierarchic Designator macro (PS3.3 10.14), empty for another kind of identifier."""
    oid = item.code(tags.UNIVERSAL_ENTITY_ID)
    return oid if item.code(tags.UNIVERSAL_ENTITY_ID_TYPE) in ("ISO", "") and is_oid(oid) else ""
