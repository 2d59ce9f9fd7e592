"""The Image Library by which a MADO manifest describes the series and instances that it lists.

IHE RAD MADO (content of the manifest); DICOM PS3.16 TID 1600, TID 1601 and TID 1609 with CP-2595.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdsi.domain.dicom_time import plain_date, plain_time
from xdsi.domain.imaging import Description, Instance, Series, Study
from xdsi.spec import dicom, imaging_codes, tags
from xdsi.spec import mado as codes
from xdsi.wire.dicom_content import (
    CONTAINS,
    CONTEXT,
    coded,
    container,
    contains,
    counted,
    dated,
    identified,
    reference,
    timed,
    worded,
)
from xdsi.wire.dicom_writer import item, sequence

_TEXT_LENGTH = 1024

Code = tuple[str, str, str]


def title(description: Description) -> Code:
    """Manifest with Description, (131560, DCM) unless trial codes are wanted."""
    return codes.CODES["manifest"][description.trial_codes]


def image_library(study: Study, description: Description) -> bytes:
    """The content item that holds the Image Library (TID 1600): a group for each series, an item for each instance."""
    new = {name: pair[description.trial_codes] for name, pair in codes.CODES.items()}
    series = [one for one in study.series if one.instances]
    modalities = sorted({modality(one.modality) for one in series})
    return container(
        CONTAINS,
        codes.IMAGE_LIBRARY,
        [
            *(coded(CONTEXT, codes.MODALITY, value) for value in modalities),
            *(coded(CONTEXT, codes.TARGET_REGION, (r.code, r.scheme, r.display)) for r in description.regions),
            counted(CONTEXT, new["series"], len(series), codes.SERIES_UNIT),
            *(container(CONTAINS, codes.IMAGE_LIBRARY_GROUP, _group(one, description, new)) for one in series),
        ],
        template="1600",
    )


def modality(term: str) -> Code:
    """The code of a Modality (0008,0060); Other for what neither CID 29 nor CID 32 knows."""
    known = imaging_codes.ACQUISITION_MODALITIES.get(term) or codes.NON_ACQUISITION_MODALITIES.get(term)
    return (term, "DCM", known) if known else ("OT", "DCM", "Other")


def _group(series: Series, description: Description, new: dict[str, Code]) -> Iterator[bytes]:
    yield coded(CONTEXT, codes.MODALITY, modality(series.modality))
    if day := plain_date(series.date):
        yield dated(CONTEXT, new["series_date"], day)
        if hour := plain_time(series.time):
            yield timed(CONTEXT, new["series_time"], hour)
    if series.description:
        yield worded(CONTEXT, new["series_description"], series.description[:_TEXT_LENGTH])
    if series.number is not None:
        yield worded(CONTEXT, codes.SERIES_NUMBER, str(series.number))
    yield identified(CONTEXT, codes.SERIES_INSTANCE_UID, series.series_instance_uid)
    region = description.series_regions.get(series.series_instance_uid)
    if isinstance(region, str):
        yield worded(CONTEXT, codes.TARGET_REGION, region)
    elif region is not None:
        yield coded(CONTEXT, codes.TARGET_REGION, (region.code, region.scheme, region.display))
    yield counted(CONTEXT, new["instances"], len(series.instances), codes.INSTANCES_UNIT)
    yield from map(_instance, series.instances)


def _instance(instance: Instance) -> bytes:
    about = list(_about(instance))
    return item(
        sequence(tags.REFERENCED_SOP_SEQUENCE, [reference(instance)]),
        contains(instance.sop_class_uid),
        sequence(tags.CONTENT_SEQUENCE, about) if about else b"",
    )


def _about(instance: Instance) -> Iterator[bytes]:
    if instance.number_of_frames > 1:
        yield counted(CONTEXT, codes.NUMBER_OF_FRAMES, instance.number_of_frames, codes.FRAMES_UNIT)
    if instance.instance_number is not None:
        yield worded(CONTEXT, codes.INSTANCE_NUMBER, str(instance.instance_number))
    if instance.sop_class_uid == dicom.KEY_OBJECT_SELECTION:
        if instance.title is not None:
            named = instance.title
            yield coded(CONTEXT, codes.DOCUMENT_TITLE, (named.code, named.scheme, named.display))
        if instance.description:
            yield worded(CONTEXT, codes.KEY_OBJECT_DESCRIPTION, instance.description[:_TEXT_LENGTH])
