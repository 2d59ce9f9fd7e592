"""Which objects of a study are reports that are published beside its manifest, and what their entries say.

RAD TF-3 table 4.68.4.1.2.3-1 (formatCode and mimeType of reports); a report and the manifest of its study are tied by
the same referenceIdList, not by an association.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from xdsi.domain.codes import Code
from xdsi.domain.imaging import Instance, Study
from xdsi.domain.imaging_profile import PDF, STRUCTURED, ImagingProfile
from xdsi.domain.metadata import DocumentEntry
from xdsi.spec import dicom, imaging_codes


@dataclass(frozen=True, slots=True)
class Report:
    """An object of a study that is a report of a kind that is published."""

    kind: str
    instance: Instance


def reports_of(study: Study, profile: ImagingProfile) -> Iterator[Report]:
    """The reports of a study of the kinds asked for: encapsulated PDF, and verified structured reports."""
    for instance in study.instances:
        if PDF in profile.reports and instance.sop_class_uid == dicom.ENCAPSULATED_PDF:
            yield Report(PDF, instance)
        elif STRUCTURED in profile.reports and instance.sop_class_uid in dicom.REPORTS and instance.verified:
            yield Report(STRUCTURED, instance)


def mime_type(report: Report) -> str:
    """Of the document that is published."""
    return imaging_codes.PDF_MIME_TYPE if report.kind == PDF else imaging_codes.MANIFEST_MIME_TYPE


def format_code(report: Report) -> Code:
    """Of a PDF that of XDS-I; of a structured report its SOP class, as for Key Object Selections."""
    if report.kind == PDF:
        return Code(*imaging_codes.PDF_FORMAT)
    uid = report.instance.sop_class_uid
    return Code(uid, dicom.UID_REGISTRY, dicom.REPORTS[uid])


def report_entry(entry: DocumentEntry, report: Report, title: Code | None, profile: ImagingProfile) -> DocumentEntry:
    """The entry of a manifest of the study made that of a report: of another class, with the report's own title."""
    named = title.display if title is not None and title.display else ""
    return replace(entry, class_code=profile.report_class_code, title=named or entry.title)
