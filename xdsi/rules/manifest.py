"""When a Key Object Selection is a manifest, and when it fits the metadata it was submitted with.

DICOM PS3.3 C.17.6, PS3.16 TID 2010; RAD TF-2 4.68.4.1.2 (content of a manifest), RAD TF-3 table 4.68.4.1.2.3-1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from functools import partial

from xdsi.domain.imaging import Instance, Manifest, Study, speaks_of_others
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

    With `retrieve_locations`, the Retrieve Location UIDs that are served, it is judged as a source has to judge what
    it is about to publish: every series names one of them. Without, as one that was received: a series without
    location and file meta information of another instance, which occur in practice, are warnings only.
    """
    finding = partial(_finding, manifest)
    return [
        *_identity(manifest, finding),
        *_meta(manifest, retrieve_locations, finding),
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


def _meta(manifest: Manifest, known: Collection[str] | None, finding: _Finding) -> Iterator[Problem]:
    severity = Severity.WARNING if known is None else Severity.ERROR
    meta = {
        "class": (manifest.media_storage_sop_class_uid, manifest.sop_class_uid),
        "instance": (manifest.media_storage_sop_instance_uid, manifest.sop_instance_uid),
    }
    for what, (outside, inside) in meta.items():
        if outside != inside:
            yield finding("KOS.meta", f"the file meta information names SOP {what} {outside!r}, not {inside}", severity)


def _title(manifest: Manifest, finding: _Finding) -> Iterator[Problem]:
    title = manifest.title
    if title is None:
        yield finding("KOS.title", "the document has no title; a manifest has (113030, DCM)")
    elif (title.code, title.scheme) in dicom.REJECTION_TITLES:
        yield finding("KOS.title.rejection", f"({title.code}, {title.scheme}) is the title of a rejection note")
    elif (title.code, title.scheme) not in dicom.MANIFEST_TITLES:
        yield finding("KOS.title", f"({title.code}, {title.scheme}) is not the title of a manifest")
    if not manifest.template:
        yield finding("KOS.template", "the content names no template", Severity.WARNING)
    elif manifest.template != _TEMPLATE:
        yield finding("KOS.template", f"the content is by template {manifest.template}, not {_TEMPLATE}")


def _evidence(manifest: Manifest, finding: _Finding) -> Iterator[Problem]:
    if len(manifest.studies) != 1:
        yield finding("KOS.study.one", f"the evidence has {len(manifest.studies)} studies; a manifest has one")
    own = manifest.study_instance_uid
    if others := {study.study_instance_uid for study in manifest.studies} - {own}:
        yield finding("KOS.study.uid", f"the evidence is of {_some('study', others)}, not {own}")
    if empty := {study.study_instance_uid for study in manifest.studies if not study.series}:
        yield finding("KOS.study.empty", f"{_some('study', empty)} has no series")
    if empty := {series.series_instance_uid for series in manifest.series if not series.instances}:
        yield finding("KOS.series.empty", f"{_some('series', empty)} has no instance")
    listed = [series.series_instance_uid for series in manifest.series]
    if manifest.series_instance_uid in listed:
        yield finding("KOS.series.own", "the document lies in a series that it refers to")
    if repeated := _repeated(listed):
        yield finding("KOS.series.duplicate", f"{_some('series', repeated)} is listed more than once")
    uids = [reference.sop_instance_uid for reference in manifest.references]
    if repeated := _repeated(uids):
        yield finding("KOS.instance.duplicate", f"{_some('instance', repeated)} is listed more than once")
    if manifest.sop_instance_uid in uids:
        yield finding("KOS.instance.self", "the document refers to itself")


def _tree(manifest: Manifest, finding: _Finding) -> Iterator[Problem]:
    listed = {reference.sop_instance_uid for reference in manifest.references}
    named = set(manifest.tree)
    beyond, missing = named - listed, listed - named
    if beyond:
        yield finding("KOS.tree", f"the content refers to {_some('instance', beyond)} that is not in the evidence")
    if missing:
        text = f"the content does not refer to {_some('instance', missing)} that is in the evidence"
        yield finding("KOS.tree.incomplete", text, Severity.WARNING)


def _locations(manifest: Manifest, known: Collection[str] | None, finding: _Finding) -> Iterator[Problem]:
    places = {series.series_instance_uid: series.retrieve_location_uid for series in manifest.series}
    severity = Severity.WARNING if known is None else Severity.ERROR
    if nowhere := {uid for uid, place in places.items() if not place}:
        yield finding("KOS.location", f"{_some('series', nowhere)} has no Retrieve Location UID", severity)
    if known is not None and (elsewhere := {place for place in places.values() if place and place not in known}):
        yield finding("KOS.location.unknown", f"{_some('Retrieve Location UID', elsewhere)} is not served")


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
    studies = {value.split("^")[0] for value in entry.reference_ids if value.split("^")[4:5] == [STUDY_REFERENCE]}
    if studies and manifest.study_instance_uid not in studies:
        yield finding(
            "KOS.referenceIdList",
            f"referenceIdList names study {', '.join(sorted(studies))}, the document {manifest.study_instance_uid}",
        )


def rejection_notes(study: Study, titles: Collection[str]) -> list[Instance]:
    """The Key Object Selections of a study that reject instances under one of these titles (codes of DCM)."""
    return [
        one
        for one in study.instances
        if one.sop_class_uid == dicom.KEY_OBJECT_SELECTION
        and one.title is not None
        and (one.title.code, one.title.scheme) in dicom.REJECTION_TITLES
        and one.title.code in titles
    ]


def without(study: Study, uids: Collection[str]) -> Study:
    """The study without some of its instances, and without series of which nothing is left."""
    kept = []
    for series in study.series:
        instances = tuple(one for one in series.instances if one.sop_instance_uid not in uids)
        if instances:
            kept.append(replace(series, instances=instances))
    return replace(study, series=tuple(kept))


def shareable(study: Study) -> Study:
    """The study without manifests and rejection notes: they speak of its instances and are none to be shared.

    A manifest that was stored back into the PACS must not be the reason for another one.
    """
    kept = []
    for series in study.series:
        instances = tuple(instance for instance in series.instances if not speaks_of_others(instance))
        if instances:
            kept.append(series if len(instances) == len(series.instances) else replace(series, instances=instances))
    return replace(study, series=tuple(kept))


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
    if repeated := _repeated(instance.sop_instance_uid for instance in study.instances):
        problems.append(finding("study.instance.duplicate", f"{_some('instance', repeated)} is in several series"))
    return problems


def _finding(manifest: Manifest, rule: str, text: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(
        CODE, f"{manifest.sop_instance_uid}: {text}", manifest.sop_instance_uid, severity=severity, rule=rule
    )


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, times in Counter(values).items() if times > 1]


def _some(what: str, uids: Collection[str]) -> str:
    """One of them and how many more, so that a message stays readable whatever was sent."""
    more = f" (and {len(uids) - 1} more)" if len(uids) > 1 else ""
    return f"{what} {min(uids)}{more}"
