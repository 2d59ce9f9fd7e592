"""Reports of a study that are submitted beside its manifest, each once: read from the PACS when they are sent.

RAD TF-2 4.68 (reports in the submission of a manifest), RAD TF-3 table 4.68.4.1.2.3-1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from xdsi.actors.manifest_documents import Made, SentDocument
from xdsi.domain.dicom_time import utc, zone
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import derived_oid, new_entry_uuid
from xdsi.domain.imaging import Instance, Study
from xdsi.domain.imaging_profile import PDF, ImagingProfile
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Problem, Severity
from xdsi.domain.ports import InstanceSource
from xdsi.rules.imaging_reports import Report, format_code, mime_type, report_entry, reports_of
from xdsi.wire.dicom_report import MAX_BYTES, ReportContent, read_report


def planned(
    reports: Sequence[Report], former: Sequence[SentDocument], instances: InstanceSource | None
) -> tuple[tuple[SentDocument, ...], tuple[Problem, ...]]:
    """The reports of a study as documents, and a warning of each that cannot be published.

    Those of a former submission stay as they are registered. A new one takes the place of one of its kind that is gone
    from the study; one that is gone and has no successor is marked so.
    """
    known = {one.source: replace(one, registered=True, replaces=(), gone=False) for one in former if one.source}
    present = {report.instance.sop_instance_uid for report in reports}
    gone = [one for source, one in known.items() if source not in present]
    documents: list[SentDocument] = []
    problems: list[Problem] = []
    for report in reports:
        uid = report.instance.sop_instance_uid
        if uid in known:
            documents.append(known[uid])
            continue
        try:
            _content(report.instance, instances)
        except MalformedMessage as error:
            problems.append(_unreadable(uid, error))
            continue
        before = next((one for one in gone if one.kind == report.kind), None)
        if before is not None:
            gone.remove(before)
        documents.append(
            SentDocument(
                kind=report.kind,
                unique_id=derived_oid(uid, PDF) if report.kind == PDF else uid,
                entry_uuid=new_entry_uuid(),
                replaces=(before.entry_uuid,) if before is not None else (),
                source=uid,
            )
        )
    return (*documents, *(replace(one, gone=True) for one in gone)), tuple(problems)


def made(
    study: Study,
    documents: Sequence[SentDocument],
    manifest: DocumentEntry,
    profile: ImagingProfile,
    instances: InstanceSource | None,
) -> tuple[Made, ...]:
    """The new reports with their entries, which say of the study what that of its manifest says.

    Raises Unavailable or MalformedMessage where one cannot be read any more.
    """
    wanted = {one.source: one for one in documents if one.source}
    if not wanted:
        return ()
    found = {report.instance.sop_instance_uid: report for report in reports_of(study, profile)}
    return tuple(
        _made(one, found[source], _content(found[source].instance, instances), study, manifest, profile)
        for source, one in wanted.items()
    )


def _made(
    document: SentDocument,
    report: Report,
    read: ReportContent,
    study: Study,
    manifest: DocumentEntry,
    profile: ImagingProfile,
) -> Made:
    where = zone(study.timezone_offset) or profile.timezone
    entry = replace(
        manifest,
        entry_uuid=document.entry_uuid,
        authors=tuple(replace(author, id=new_entry_uuid()) for author in manifest.authors),
        unique_id=document.unique_id,
        mime_type=mime_type(report),
        format_code=format_code(report),
        creation_time=utc(read.date, read.time, where) or manifest.creation_time,
        size=str(len(read.content)),
        hash=hashlib.sha1(read.content, usedforsecurity=False).hexdigest(),
    )
    return Made(read.content, report_entry(entry, report, read.title, profile))


def _content(instance: Instance, instances: InstanceSource | None) -> ReportContent:
    if instances is None:
        raise MalformedMessage("there is no archive to read the report from")
    raw = bytearray()
    for chunk in instances.open(instance):
        raw += chunk
        if len(raw) > MAX_BYTES:
            raise MalformedMessage("the report is too large", expected=f"at most {MAX_BYTES} bytes")
    return read_report(bytes(raw))


def _unreadable(uid: str, error: MalformedMessage) -> Problem:
    text = f"report {uid} is not published: {error}"
    return Problem("InvalidDocumentContent", text, uid, severity=Severity.WARNING, rule="STUDY.report")
