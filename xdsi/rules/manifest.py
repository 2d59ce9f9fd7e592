"""When a Key Object Selection is a manifest, and when it fits the metadata it was submitted with.

DICOM PS3.3 C.17.6, PS3.16 TID 2010; RAD TF-2 4.68.4.1.2 (content of a manifest), RAD TF-3 table 4.68.4.1.2.3-1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

from xdsi.domain.imaging import Manifest, Study
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Problem, Severity
from xdsi.rules.manifest_values import STUDY_REFERENCE, unescaped
from xdsi.spec import dicom, imaging_codes

CODE = "InvalidDocumentContent"
_TEMPLATE = "DCMR/2010"

_Finding = Callable[..., Problem]


def is_manifest(entry: DocumentEntry) -> bool:
    """True when the entry says that its document is a Key Object Selection."""
    code, scheme, _ = imaging_codes.MANIFEST_FORMAT
    return entry.format_code is not None and (entry.format_code.code, entry.format_code.scheme) == (code, scheme)


def check(manifest: Manifest, *, retrieve_locations: Collection[str] | None = None) -> list[Problem]:
    """Everything that keeps a Key Object Selection from being a manifest.

    With `retrieve_locations`, the Retrieve Location UIDs that are served, every series has to name one of them; that
    is what a source has to hold before it publishes. Without, a series without location is a warning only.
    """
    finding = partial(_finding, manifest)
    return [
        *_identity(manifest, finding),
        *_title(manifest, finding),
        *_evidence(manifest, finding),
        *_tree(manifest, finding),
        *_locations(manifest, retrieve_locations, finding),
    ]


def _identity(manifest: Manifest, finding: _Finding) -> Iterator[Problem]:
    if manifest.sop_class_uid != dicom.KEY_OBJECT_SELECTION:
        yield finding("KOS.class", f"SOP class {manifest.sop_class_uid} is not Key Object Selection")
    if manifest.modality != "KO":
        yield finding("KOS.modality", f"modality is {manifest.modality!r}, not KO")
    meta = {
        "class": (manifest.media_storage_sop_class_uid, manifest.sop_class_uid),
        "instance": (manifest.media_storage_sop_instance_uid, manifest.sop_instance_uid),
    }
    for what, (outside, inside) in meta.items():
        if outside != inside:
            yield finding("KOS.meta", f"file meta information names SOP {what} {outside!r}, the data set {inside}")


def _title(manifest: Manifest, finding: _Finding) -> Iterator[Problem]:
    title = manifest.title
    if title is None:
        yield finding("KOS.title", "the document has no title; a manifest has (113030, DCM)")
    elif (title.code, title.scheme) in dicom.REJECTION_TITLES:
        yield finding("KOS.title.rejection", f"({title.code}, {title.scheme}) is the title of a rejection note")
    elif (title.code, title.scheme) not in dicom.MANIFEST_TITLES:
        yield finding("KOS.title", f"({title.code}, {title.scheme}) is not the title of a manifest")
    if not manifest.template:
        yield finding("KOS.template", "the content names no template", severity=Severity.WARNING)
    elif manifest.template != _TEMPLATE:
        yield finding("KOS.template", f"the content is by template {manifest.template}, not {_TEMPLATE}")


def _evidence(manifest: Manifest, finding: _Finding) -> Iterator[Problem]:
    if len(manifest.studies) != 1:
        yield finding("KOS.study.one", f"the evidence has {len(manifest.studies)} studies; a manifest has one")
    for study in manifest.studies:
        if study.study_instance_uid != manifest.study_instance_uid:
            yield finding(
                "KOS.study.uid",
                f"the evidence is of study {study.study_instance_uid}, the document of {manifest.study_instance_uid}",
            )
        if not study.series:
            yield finding("KOS.study.empty", f"study {study.study_instance_uid} has no series")
    for series in manifest.series:
        if not series.instances:
            yield finding("KOS.series.empty", f"series {series.series_instance_uid} has no instance")
        if series.series_instance_uid == manifest.series_instance_uid:
            yield finding("KOS.series.own", "the document lies in a series that it refers to")
    for uid in _repeated(series.series_instance_uid for series in manifest.series):
        yield finding("KOS.series.duplicate", f"series {uid} is listed more than once")
    uids = [reference.sop_instance_uid for reference in manifest.references]
    for uid in _repeated(uids):
        yield finding("KOS.instance.duplicate", f"instance {uid} is listed more than once")
    if manifest.sop_instance_uid in uids:
        yield finding("KOS.instance.self", "the document refers to itself")


def _tree(manifest: Manifest, finding: _Finding) -> Iterator[Problem]:
    listed = {reference.sop_instance_uid for reference in manifest.references}
    named = set(manifest.tree)
    beyond, missing = named - listed, listed - named
    if beyond:
        yield finding("KOS.tree", f"the content refers to {_some(beyond)} not in the evidence")
    if missing:
        yield finding(
            "KOS.tree.incomplete", f"the content does not refer to {_some(missing)} in the evidence", Severity.WARNING
        )


def _locations(manifest: Manifest, known: Collection[str] | None, finding: _Finding) -> Iterator[Problem]:
    for series in manifest.series:
        uid = series.retrieve_location_uid
        if not uid:
            severity = Severity.WARNING if known is None else Severity.ERROR
            yield finding(
                "KOS.location", f"series {series.series_instance_uid} has no Retrieve Location UID", severity=severity
            )
        elif known is not None and uid not in known:
            yield finding(
                "KOS.location.unknown",
                f"series {series.series_instance_uid} is said to be at {uid}, which is not served",
            )


def check_against_entry(manifest: Manifest, entry: DocumentEntry) -> list[Problem]:
    """Everything in which a manifest and the DocumentEntry submitted with it disagree.

    The patient is compared with sourcePatientId, the department's identifier; the affinity domain's identifier is
    not in the images. The issuer counts where the manifest names one.
    """
    finding = partial(_finding, manifest)
    return [*_patient(manifest, entry, finding), *_entry(manifest, entry, finding)]


def _patient(manifest: Manifest, entry: DocumentEntry, finding: _Finding) -> Iterator[Problem]:
    components = [part.strip() for part in entry.source_patient_id.split("^")]
    number = unescaped(components[0])
    designator = (components[3] if len(components) > 3 else "").split("&")
    authority = designator[1] if len(designator) > 1 else ""
    patient = manifest.patient
    if not patient.id:
        yield finding("KOS.patient", "the document names no patient, so that sourcePatientId cannot be confirmed")
    elif patient.id != number:
        yield finding("KOS.patient", f"the document is about patient {patient.id!r}, sourcePatientId says {number!r}")
    elif patient.issuer and patient.issuer != authority:
        yield finding(
            "KOS.patient.issuer",
            f"the document has its patient id from {patient.issuer}, sourcePatientId from {authority or 'nobody'}",
        )


def _entry(manifest: Manifest, entry: DocumentEntry, finding: _Finding) -> Iterator[Problem]:
    if entry.unique_id != manifest.sop_instance_uid:
        yield finding("KOS.uniqueId", f"uniqueId {entry.unique_id!r} is not the document's SOP Instance UID")
    if entry.mime_type != imaging_codes.MANIFEST_MIME_TYPE:
        yield finding("KOS.mimeType", f"mimeType is {entry.mime_type!r}, not {imaging_codes.MANIFEST_MIME_TYPE}")
    if not is_manifest(entry):
        yield finding("KOS.formatCode", f"formatCode is {entry.format_code}, not that of a Key Object Selection")
    studies = {
        value.split("^")[0] for value in entry.reference_ids if value.split("^")[4:5] == [STUDY_REFERENCE]
    }
    if studies and manifest.study_instance_uid not in studies:
        yield finding(
            "KOS.referenceIdList",
            f"referenceIdList names study {', '.join(sorted(studies))}, the document {manifest.study_instance_uid}",
        )


def check_study(study: Study, *, patient_id_authority: str) -> list[Problem]:
    """Everything that keeps a study from being published."""

    def finding(rule: str, text: str) -> Problem:
        return Problem(CODE, f"study {study.study_instance_uid}: {text}", study.study_instance_uid, rule=rule)

    problems = []
    if not any(study.instances):
        problems.append(finding("study.empty", "there is no instance to share"))
    if not study.patient.id:
        problems.append(finding("study.patient", "the images name no patient"))
    elif len(study.patient.id) > 64:
        problems.append(finding("study.patient", "the patient id is longer than 64 characters"))
    elif study.patient.identifier(patient_id_authority) is None:
        problems.append(finding("study.patient.issuer", "neither images nor settings say who issued the patient id"))
    for uid in _repeated(instance.sop_instance_uid for instance in study.instances):
        problems.append(finding("study.instance.duplicate", f"instance {uid} is in several series"))
    return problems


def _finding(manifest: Manifest, rule: str, text: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(
        CODE, f"{manifest.sop_instance_uid}: {text}", manifest.sop_instance_uid, severity=severity, rule=rule
    )


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, times in Counter(values).items() if times > 1]


def _some(uids: Collection[str]) -> str:
    first = min(uids)
    return f"{len(uids)} instances (such as {first})" if len(uids) > 1 else f"instance {first}"
