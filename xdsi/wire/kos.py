"""The Key Object Selection Document that serves as an XDS-I manifest.

DICOM PS3.3 A.35.4 and C.17.6, PS3.16 TID 2010; RAD TF-2 4.68 (what IHE adds to the series items of the evidence).
"""

from __future__ import annotations

from datetime import datetime
from io import BytesIO

from pydicom.uid import UID

from xdsi.domain.dicom_time import plain_date, plain_time, zone
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.imaging import (
    Accession,
    Description,
    ImagedPatient,
    Manifest,
    Reference,
    ReferencedSeries,
    ReferencedStudy,
    Study,
)
from xdsi.spec import dicom, tags
from xdsi.wire import dicom_header, mado
from xdsi.wire.dicom_content import code, contains, reference
from xdsi.wire.dicom_reader import Limits, read
from xdsi.wire.dicom_text import CharacterSet, DataSet, Items, plain_uids, required_uid
from xdsi.wire.dicom_writer import item, part10, sequence, text

MAX_BYTES = 20 * 1024 * 1024
MAX_INSTANCES = 50_000

_SERIES_NUMBER = "999"
_READABLE = frozenset({dicom.EXPLICIT_LE, dicom.IMPLICIT_LE, dicom.DEFLATED_EXPLICIT_LE})
_LIMITS = Limits(inflated=MAX_BYTES)
_WANTED = frozenset(
    {
        tags.SPECIFIC_CHARACTER_SET, tags.INSTANCE_CREATION_DATE, tags.INSTANCE_CREATION_TIME, tags.SOP_CLASS_UID,
        tags.SOP_INSTANCE_UID, tags.STUDY_DATE, tags.CONTENT_DATE, tags.STUDY_TIME, tags.CONTENT_TIME,
        tags.ACCESSION_NUMBER, tags.ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, tags.RETRIEVE_AE_TITLE, tags.MODALITY,
        tags.CODE_VALUE, tags.CODING_SCHEME_DESIGNATOR, tags.CODE_MEANING, tags.MAPPING_RESOURCE,
        tags.TIMEZONE_OFFSET_FROM_UTC, tags.STUDY_DESCRIPTION, tags.REFERENCED_SERIES_SEQUENCE,
        tags.REFERENCED_SOP_CLASS_UID, tags.REFERENCED_SOP_INSTANCE_UID, tags.RETRIEVE_URL,
        tags.REFERENCED_SOP_SEQUENCE, tags.PATIENT_NAME, tags.PATIENT_ID, tags.ISSUER_OF_PATIENT_ID,
        tags.ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, tags.PATIENT_BIRTH_DATE, tags.PATIENT_SEX,
        tags.STUDY_INSTANCE_UID, tags.SERIES_INSTANCE_UID, tags.REQUESTED_PROCEDURE_DESCRIPTION,
        tags.UNIVERSAL_ENTITY_ID, tags.UNIVERSAL_ENTITY_ID_TYPE, tags.REQUESTED_PROCEDURE_ID,
        tags.PLACER_ORDER_NUMBER, tags.FILLER_ORDER_NUMBER, tags.CONCEPT_NAME_CODE_SEQUENCE,
        tags.REFERENCED_REQUEST_SEQUENCE, tags.CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE,
        tags.CONTENT_TEMPLATE_SEQUENCE, tags.CONTENT_SEQUENCE, tags.TEMPLATE_IDENTIFIER, tags.RETRIEVE_LOCATION_UID,
    }
)  # fmt: skip


def encode(
    study: Study,
    *,
    retrieve_location_uid: str,
    sop_instance_uid: str,
    series_instance_uid: str,
    now: datetime,
    retrieve_ae_title: str = "",
    retrieve_url: str = "",
    description: Description | None = None,
) -> bytes:
    """A manifest (113030, DCM) of every instance of the study, as a file; with `description` a MADO manifest.

    Patient and study attributes are those of the images; `now` is written in the study's time zone where that is
    known. `retrieve_ae_title` may name several, separated by backslashes. Raises ValueError for a study without
    instances, because such a manifest cannot exist, and for a `now` that is not aware.
    """
    if now.tzinfo is None:
        raise ValueError("the time of a manifest has to be aware of its zone")
    where = zone(study.timezone_offset)
    local = now.astimezone(where) if where else now
    today, hour = local.strftime("%Y%m%d"), local.strftime("%H%M%S")
    order = study.accessions[0] if len(study.accessions) == 1 else None
    patient = study.patient
    title = dicom.MANIFEST if description is None else mado.title(description)
    evidence, content = _references(study, retrieve_location_uid, retrieve_ae_title, retrieve_url)
    if description is not None:
        content.append(mado.image_library(study, description))
    elements = (
        text(tags.SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 192"),
        text(tags.INSTANCE_CREATION_DATE, "DA", today),
        text(tags.INSTANCE_CREATION_TIME, "TM", hour),
        text(tags.SOP_CLASS_UID, "UI", dicom.KEY_OBJECT_SELECTION),
        text(tags.SOP_INSTANCE_UID, "UI", sop_instance_uid),
        text(tags.STUDY_DATE, "DA", plain_date(study.date)),
        text(tags.CONTENT_DATE, "DA", today),
        text(tags.STUDY_TIME, "TM", plain_time(study.time)),
        text(tags.CONTENT_TIME, "TM", hour),
        text(tags.ACCESSION_NUMBER, "SH", order.number if order else ""),
        _issuer(tags.ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, order.issuer if order else ""),
        text(tags.MODALITY, "CS", "KO"),
        text(tags.MANUFACTURER, "LO", "xdsi"),
        _known(tags.INSTITUTION_NAME, "LO", study.institution[:64]),
        text(tags.REFERRING_PHYSICIAN_NAME, "PN", study.referring_physician),
        _known(tags.TIMEZONE_OFFSET_FROM_UTC, "SH", study.timezone_offset if where else ""),
        _known(tags.STUDY_DESCRIPTION, "LO", study.description[:64]),
        sequence(tags.PROCEDURE_CODE_SEQUENCE, (code(c.code, c.scheme, c.display) for c in study.procedure_codes))
        if study.procedure_codes
        else b"",
        text(tags.SERIES_DESCRIPTION, "LO", title[2]),
        sequence(tags.REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE),
        text(tags.PATIENT_NAME, "PN", patient.name),
        text(tags.PATIENT_ID, "LO", patient.id),
        _known(tags.ISSUER_OF_PATIENT_ID, "LO", patient.issuer_name),
        _issuer(tags.ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, patient.issuer),
        text(tags.PATIENT_BIRTH_DATE, "DA", plain_date(patient.birth_date)),
        text(tags.PATIENT_SEX, "CS", patient.sex if patient.sex in ("F", "M", "O") else ""),
        b"" if description is None else sequence(tags.OTHER_PATIENT_IDS_SEQUENCE, [_other_id(patient)]),
        text(tags.STUDY_INSTANCE_UID, "UI", study.study_instance_uid),
        text(tags.SERIES_INSTANCE_UID, "UI", series_instance_uid),
        text(tags.STUDY_ID, "SH", study.study_id),
        text(tags.SERIES_NUMBER, "IS", _SERIES_NUMBER),
        text(tags.INSTANCE_NUMBER, "IS", "1"),
        text(tags.VALUE_TYPE, "CS", "CONTAINER"),
        sequence(tags.CONCEPT_NAME_CODE_SEQUENCE, [code(*title)]),
        text(tags.CONTINUITY_OF_CONTENT, "CS", "SEPARATE"),
        sequence(tags.REFERENCED_REQUEST_SEQUENCE, (_request(study, one) for one in study.accessions))
        if study.accessions
        else b"",
        evidence,
        sequence(
            tags.CONTENT_TEMPLATE_SEQUENCE,
            [item(text(tags.MAPPING_RESOURCE, "CS", "DCMR"), text(tags.TEMPLATE_IDENTIFIER, "CS", "2010"))],
        ),
        sequence(tags.CONTENT_SEQUENCE, content),
    )
    return part10(dicom.KEY_OBJECT_SELECTION, sop_instance_uid, b"".join(elements))


def _references(study: Study, location_uid: str, ae_title: str, url: str) -> tuple[bytes, list[bytes]]:
    """The evidence sequence and the items of the content: every instance once in each, in the same order."""
    series_items: list[bytes] = []
    content: list[bytes] = []
    for series in study.series:
        references = [reference(instance) for instance in series.instances]
        if not references:
            continue
        series_items.append(
            item(
                _known(tags.RETRIEVE_AE_TITLE, "AE", ae_title),
                _known(tags.RETRIEVE_URL, "UR", url),
                sequence(tags.REFERENCED_SOP_SEQUENCE, references),
                text(tags.SERIES_INSTANCE_UID, "UI", series.series_instance_uid),
                text(tags.RETRIEVE_LOCATION_UID, "UI", location_uid),
            )
        )
        content += (
            item(sequence(tags.REFERENCED_SOP_SEQUENCE, [one]), contains(instance.sop_class_uid))
            for instance, one in zip(series.instances, references, strict=True)
        )
    if not content:
        raise ValueError(f"study {study.study_instance_uid} has no instance to refer to")
    study_item = item(
        sequence(tags.REFERENCED_SERIES_SEQUENCE, series_items),
        text(tags.STUDY_INSTANCE_UID, "UI", study.study_instance_uid),
    )
    evidence = sequence(tags.CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, [study_item])
    return evidence, content


def _request(study: Study, accession: Accession) -> bytes:
    return item(
        text(tags.ACCESSION_NUMBER, "SH", accession.number),
        _issuer(tags.ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, accession.issuer),
        sequence(tags.REFERENCED_STUDY_SEQUENCE),
        text(tags.STUDY_INSTANCE_UID, "UI", study.study_instance_uid),
        text(tags.REQUESTED_PROCEDURE_DESCRIPTION, "LO", accession.requested_procedure_description[:64]),
        sequence(tags.REQUESTED_PROCEDURE_CODE_SEQUENCE),
        text(tags.REQUESTED_PROCEDURE_ID, "SH", accession.requested_procedure_id),
        text(tags.PLACER_ORDER_NUMBER, "LO", accession.placer_order_number),
        text(tags.FILLER_ORDER_NUMBER, "LO", accession.filler_order_number),
    )


def _other_id(patient: ImagedPatient) -> bytes:
    return item(
        text(tags.PATIENT_ID, "LO", patient.id),
        _known(tags.ISSUER_OF_PATIENT_ID, "LO", patient.issuer_name),
        text(tags.TYPE_OF_PATIENT_ID, "CS", "TEXT"),
        _issuer(tags.ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, patient.issuer),
    )


def _issuer(tag: int, oid: str) -> bytes:
    if not oid:
        return b""
    designator = item(text(tags.UNIVERSAL_ENTITY_ID, "UT", oid), text(tags.UNIVERSAL_ENTITY_ID_TYPE, "CS", "ISO"))
    return sequence(tag, [designator])


def _known(tag: int, vr: str, value: str) -> bytes:
    return text(tag, vr, value) if value else b""


def decode(raw: bytes, *, rejections: bool = False) -> Manifest:
    """What a manifest says; tolerant of what known producers leave out.

    Raises MalformedMessage for another SOP class, a rejection note unless `rejections` are asked for, a missing UID,
    and what exceeds the limits.
    """
    if len(raw) > MAX_BYTES:
        raise MalformedMessage("the manifest is too large", expected=f"at most {MAX_BYTES} bytes")
    part10_file = read(BytesIO(raw), _WANTED, _LIMITS)
    dataset, meta = part10_file.dataset, part10_file.meta
    sop_class = dataset.uid(tags.SOP_CLASS_UID, "SOP Class UID")
    if sop_class != dicom.KEY_OBJECT_SELECTION:
        raise MalformedMessage(
            f"the document is of SOP class {UID(sop_class).name}",
            location="(0008,0016)",
            expected=dicom.KEY_OBJECT_SELECTION,
        )
    if part10_file.transfer_syntax not in _READABLE:
        raise MalformedMessage(
            f"transfer syntax {part10_file.transfer_syntax} is not one for manifests",
            location="(0002,0010)",
            expected="Explicit or Implicit VR Little Endian",
        )
    charset = CharacterSet(dataset)
    title = dicom_header.code(dataset.item(tags.CONCEPT_NAME_CODE_SEQUENCE), charset)
    if not rejections and title is not None and (title.code, title.scheme) in dicom.REJECTION_TITLES:
        raise MalformedMessage(
            f"the document is a rejection note ({title.code}, {dicom.REJECTION_TITLES[title.code, title.scheme]})",
            location="(0040,A043)",
            expected="a manifest",
        )
    template = dataset.item(tags.CONTENT_TEMPLATE_SEQUENCE)
    known: dict[bytes, str] = {}
    created = dataset.code(tags.INSTANCE_CREATION_DATE)
    return Manifest(
        sop_instance_uid=dataset.uid(tags.SOP_INSTANCE_UID, "SOP Instance UID"),
        series_instance_uid=dataset.uid(tags.SERIES_INSTANCE_UID, "Series Instance UID"),
        study_instance_uid=dataset.uid(tags.STUDY_INSTANCE_UID, "Study Instance UID"),
        sop_class_uid=sop_class,
        transfer_syntax_uid=part10_file.transfer_syntax,
        media_storage_sop_class_uid=meta.code(tags.MEDIA_STORAGE_SOP_CLASS_UID),
        media_storage_sop_instance_uid=meta.code(tags.MEDIA_STORAGE_SOP_INSTANCE_UID),
        modality=dataset.code(tags.MODALITY),
        title=title,
        template="/".join(template.codes(tags.MAPPING_RESOURCE) + template.codes(tags.TEMPLATE_IDENTIFIER)),
        patient=dicom_header.patient(dataset, charset),
        accessions=dicom_header.accessions(dataset, charset),
        study_date=dataset.code(tags.STUDY_DATE),
        study_time=dataset.code(tags.STUDY_TIME),
        study_description=charset.text(dataset, tags.STUDY_DESCRIPTION),
        creation_date=created or dataset.code(tags.CONTENT_DATE),
        creation_time=dataset.code(tags.INSTANCE_CREATION_TIME if created else tags.CONTENT_TIME),
        timezone_offset=dataset.code(tags.TIMEZONE_OFFSET_FROM_UTC),
        studies=_evidence(dataset, known),
        tree=_tree(dataset, known),
    )


def _evidence(dataset: DataSet, known: dict[bytes, str]) -> tuple[ReferencedStudy, ...]:
    left = MAX_INSTANCES
    studies = []
    for study in dataset.items_of(tags.CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE):
        series_list = []
        for series in study.items_of(tags.REFERENCED_SERIES_SEQUENCE):
            instances = series.items_of(tags.REFERENCED_SOP_SEQUENCE)
            left -= len(instances)
            if left < 0:
                raise MalformedMessage("the manifest names too many instances", expected=f"at most {MAX_INSTANCES}")
            series_list.append(
                ReferencedSeries(
                    series_instance_uid=series.uid(tags.SERIES_INSTANCE_UID, "Series Instance UID of the evidence"),
                    instances=_references_of(instances, known),
                    retrieve_location_uid=series.code(tags.RETRIEVE_LOCATION_UID),
                    retrieve_ae_titles=series.codes(tags.RETRIEVE_AE_TITLE),
                    retrieve_url=series.code(tags.RETRIEVE_URL),
                )
            )
        uid = study.uid(tags.STUDY_INSTANCE_UID, "Study Instance UID of the evidence")
        studies.append(ReferencedStudy(study_instance_uid=uid, series=tuple(series_list)))
    return tuple(studies)


def _references_of(instances: Items, known: dict[bytes, str]) -> tuple[Reference, ...]:
    """What the items of a series refer to; `known` are UIDs that were looked at, for all are of few classes."""
    of_class, of_instance = tags.REFERENCED_SOP_CLASS_UID, tags.REFERENCED_SOP_INSTANCE_UID
    classes, uids = instances.column(of_class), instances.column(of_instance)
    plain = plain_uids({*classes, *uids})
    known.update(plain)
    if not plain:
        # One by one, for there is something to be said of one of them.
        for sop_class, uid in zip(classes, uids, strict=True):
            if sop_class not in known:
                known[sop_class] = required_uid(sop_class, of_class, "Referenced SOP Class UID")
            if uid not in known:
                known[uid] = required_uid(uid, of_instance, "Referenced SOP Instance UID")
    return tuple(map(Reference, map(known.__getitem__, classes), map(known.__getitem__, uids)))


def _tree(dataset: DataSet, known: dict[bytes, str]) -> tuple[str, ...]:
    """SOP Instance UIDs that content items at any depth refer to, in the order of the tree."""
    tag, name = tags.REFERENCED_SOP_INSTANCE_UID, "Referenced SOP Instance UID of the content tree"
    named = _named(dataset.items_of(tags.CONTENT_SEQUENCE))
    try:
        return tuple(map(known.__getitem__, named))
    except KeyError:
        return tuple(known[uid] if uid in known else required_uid(uid, tag, name) for uid in named)


def _named(content: Items) -> list[bytes]:
    """What content items refer to, and what those below them do; the reader limits how deep they are nested."""
    if not content.has(tags.CONTENT_SEQUENCE):
        return content.column(tags.REFERENCED_SOP_SEQUENCE, tags.REFERENCED_SOP_INSTANCE_UID)
    found = []
    for one in content:
        found += one.items_of(tags.REFERENCED_SOP_SEQUENCE).column(tags.REFERENCED_SOP_INSTANCE_UID)
        found += _named(one.items_of(tags.CONTENT_SEQUENCE))
    return found
