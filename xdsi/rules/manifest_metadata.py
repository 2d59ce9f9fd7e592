"""The metadata with which an Imaging Document Source publishes a manifest.

RAD TF-3 table 4.68.4.1.2.3-1 (DocumentEntry), RAD TF-2 4.68.4.1.2.1 (a changed manifest replaces the one before).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from xdsi.domain.codes import Code
from xdsi.domain.dicom_time import offset_at, plain_date, utc, zone
from xdsi.domain.identifiers import PatientId, new_entry_uuid
from xdsi.domain.imaging import ImagedPatient, Study
from xdsi.domain.imaging_profile import ImagingProfile
from xdsi.domain.metadata import Association, Author, DocumentEntry, SubmissionSet
from xdsi.domain.submission import Submission
from xdsi.rules import manifest_values as values
from xdsi.spec import imaging_codes, uuids

_TITLE_LENGTH = 127
_FORMAT_CODE = Code(*imaging_codes.MANIFEST_FORMAT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFacts:
    """What metadata says of the manifest's own bytes; `created` is aware, the Instance Creation Date and Time.

    `sop_instance_uid` becomes uniqueId, which is that of the Bundle where the manifest is one.
    """

    sop_instance_uid: str
    created: datetime
    size: int
    sha1: str
    mime_type: str = imaging_codes.MANIFEST_MIME_TYPE
    format_code: Code = _FORMAT_CODE


def localized(study: Study, profile: ImagingProfile) -> Study:
    """The study with the time zone offset that its date had where the modalities are, if the images name none."""
    if zone(study.timezone_offset) is not None:
        return study
    return replace(study, timezone_offset=offset_at(study.date, study.time, profile.timezone))


def document_entry(
    study: Study, facts: ManifestFacts, profile: ImagingProfile, *, patient_id: PatientId, entry_uuid: str
) -> DocumentEntry:
    """The DocumentEntry of a manifest; `patient_id` is the affinity domain's, the study has the department's.

    Raises ValueError for a study whose patient cannot be named (`rules.manifest.check_study` says so beforehand).
    """
    patient = study.patient.identifier(profile.patient_id_authority)
    if patient is None:
        raise ValueError(f"study {study.study_instance_uid} has no patient identifier with an authority")
    source_patient_id = PatientId(values.escaped(patient.id), patient.authority).cx
    accessions = (values.accession_reference(one, profile.accession_authority) for one in study.accessions)
    return DocumentEntry(
        entry_uuid=entry_uuid,
        mime_type=facts.mime_type,
        unique_id=facts.sop_instance_uid,
        patient_id=patient_id.cx,
        authors=tuple(_authors(study, profile)),
        class_code=profile.class_code,
        confidentiality_codes=profile.confidentiality_codes,
        creation_time=facts.created.astimezone(UTC).strftime("%Y%m%d%H%M%S"),
        event_codes=values.event_codes(study.series, profile),
        format_code=facts.format_code,
        hash=facts.sha1,
        healthcare_facility_type_code=profile.healthcare_facility_type_code,
        language_code=profile.language_code,
        practice_setting_code=profile.practice_setting_code,
        reference_ids=(*accessions, values.study_reference(study.study_instance_uid)),
        service_start_time=_service_start_time(study, profile),
        size=str(facts.size),
        source_patient_id=source_patient_id,
        source_patient_info=tuple(_source_patient_info(study.patient, source_patient_id)),
        title=_title(study)[:_TITLE_LENGTH],
        type_code=values.procedure_code(study.procedure_codes, profile) or profile.type_code,
    )


def submission(
    entry: DocumentEntry,
    profile: ImagingProfile,
    *,
    unique_id: str,
    now: datetime,
    entry_uuid: str = "",
    others: Sequence[DocumentEntry] = (),
) -> Submission:
    """The submission of a manifest, and of others that tell of the same study.

    `unique_id` is the SubmissionSet's, kept by the publisher for a retry.
    """
    submission_set = SubmissionSet(
        entry_uuid=entry_uuid or new_entry_uuid(),
        unique_id=unique_id,
        source_id=profile.source_id,
        patient_id=entry.patient_id,
        submission_time=now.astimezone(UTC).strftime("%Y%m%d%H%M%S"),
        authors=tuple(replace(author, id=new_entry_uuid()) for author in entry.authors),
        content_type_code=profile.content_type_code,
        title=entry.title,
    )
    members = tuple(
        Association(
            entry_uuid=new_entry_uuid(),
            type=uuids.HAS_MEMBER,
            source=submission_set.entry_uuid,
            target=one.entry_uuid,
            submission_set_status=("Original",),
        )
        for one in (entry, *others)
    )
    return Submission((submission_set,), (entry, *others), (), members)


def replacement(submission: Submission, replaced_entry_uuid: str, *, by: str = "") -> Submission:
    """The same submission, its document `by` (without one its only document) replacing a registered one."""
    if not by:
        (entry,) = submission.document_entries
        by = entry.entry_uuid
    return _related(submission, uuids.RPLC, by, replaced_entry_uuid)


def transformation(submission: Submission, entry_uuid: str, *, of: str) -> Submission:
    """The same submission, a document of it being another form of a second one."""
    return _related(submission, uuids.XFRM, entry_uuid, of)


def _related(submission: Submission, kind: str, source: str, target: str) -> Submission:
    related = Association(entry_uuid=new_entry_uuid(), type=kind, source=source, target=target)
    return replace(submission, associations=(*submission.associations, related))


def snapshot(submission: Submission, on_demand_entry_uuid: str) -> Submission:
    """The same submission, its first document being what an On-Demand entry gave at that moment (ITI TF-3 4.2.2.2)."""
    first = submission.document_entries[0].entry_uuid
    return _related(submission, uuids.IS_SNAPSHOT_OF, first, on_demand_entry_uuid)


def _authors(study: Study, profile: ImagingProfile) -> Iterator[Author]:
    """One author per performing physician, else the institution alone.

    The referring physician asked for the study and has not made it: policies on authors must not find them here.
    """
    name = profile.organization_name or study.institution
    institution = values.organization(name, profile.organization_id)
    institutions = (institution,) if institution else ()
    performers = (values.person_name(name) for series in study.series for name in series.performing_physicians)
    persons = dict.fromkeys(f"^{name}" for name in performers if name)
    if persons or institutions:
        for person in persons or ("",):
            yield Author(person=person, institutions=institutions)


def _service_start_time(study: Study, profile: ImagingProfile) -> str:
    """Study Date and Time in UTC; without a study date, those of the first series."""
    where = zone(study.timezone_offset) or profile.timezone
    begun = [(study.date, study.time)] if plain_date(study.date) else [(one.date, one.time) for one in study.series]
    return min(filter(None, (utc(day, time, where) for day, time in begun)), default="")


def _source_patient_info(patient: ImagedPatient, source_patient_id: str) -> Iterator[str]:
    yield f"PID-3|{source_patient_id}"
    if name := values.person_name(patient.name):
        yield f"PID-5|{name}"
    if birth_date := plain_date(patient.birth_date):
        yield f"PID-7|{birth_date}"
    if patient.sex in ("F", "M", "O"):
        yield f"PID-8|{patient.sex}"


def _title(study: Study) -> str:
    return study.description or next((code.display for code in study.procedure_codes if code.display), "")
