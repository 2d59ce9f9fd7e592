"""The documents in which a source tells of one study: its manifests, of the kinds that the settings ask for.

RAD TF-2 4.68 (Key Object Selection), IHE RAD MADO (Key Object Selection with descriptions, FHIR manifest). Each is the
same bytes whenever it is made of the same study under the same ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from xdsi.domain.codes import Code
from xdsi.domain.identifiers import PatientId, derived_oid, new_entry_uuid, new_oid
from xdsi.domain.imaging import Study
from xdsi.domain.imaging_profile import FHIR, KOS, MADO, ImagingProfile
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.submission import Submission
from xdsi.rules import mado as mado_rules
from xdsi.rules import manifest_metadata as metadata
from xdsi.spec import mado
from xdsi.wire import kos, mado_fhir


@dataclass(frozen=True, slots=True, kw_only=True)
class SentDocument:
    """A document of a submission, by what it is and what it is known by."""

    kind: str
    unique_id: str
    entry_uuid: str
    replaces: tuple[str, ...] = ()
    """entryUUIDs of those that it takes the place of"""
    source: str = ""
    """SOP Instance UID of the object that a report was taken from; empty for a manifest"""
    registered: bool = False
    """a report that an earlier submission brought"""
    gone: bool = False
    """a report that is gone from the study, without a successor, and has to be withdrawn"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where the instances can be had, as manifests say it."""

    uid: str
    ae_title: str = ""
    """several separated by backslashes"""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """A document and its entry."""

    content: bytes
    entry: DocumentEntry


def planned(kinds: Sequence[str], former: Sequence[SentDocument]) -> tuple[SentDocument, ...]:
    """New documents of these kinds, each replacing the former of its kind; the first replaces what else there was."""
    places: dict[str, list[str]] = {kind: [] for kind in kinds}
    for one in former:
        if one.source:
            continue
        places[one.kind if one.kind in places else kinds[0]].append(one.entry_uuid)
    return tuple(
        SentDocument(kind=kind, unique_id=new_oid(), entry_uuid=new_entry_uuid(), replaces=tuple(replaced))
        for kind, replaced in places.items()
    )


def nameless(kinds: Sequence[str]) -> tuple[SentDocument, ...]:
    """Documents under ids that are always the same, to see whether they say the same."""
    return tuple(
        SentDocument(kind=kind, unique_id=f"2.25.{number}", entry_uuid="") for number, kind in enumerate(kinds)
    )


def made(
    study: Study,
    documents: Sequence[SentDocument],
    profile: ImagingProfile,
    location: Location,
    *,
    patient_id: PatientId,
    series_instance_uid: str,
    created: datetime,
) -> tuple[Made, ...]:
    """The documents with their entries, in the order given."""
    study = metadata.localized(study, profile)
    described = mado_rules.completed(study, profile, created=created)
    description = mado_rules.description(study, profile)
    selection = next((one for kind in (MADO, KOS) for one in documents if one.kind == kind), None)

    def content(one: SentDocument) -> bytes:
        if one.kind == FHIR:
            return mado_fhir.encode(
                described,
                description,
                # What says the same in two forms bears one identifier in both.
                identifier=selection.unique_id if selection else one.unique_id,
                retrieve_location_uid=location.uid,
                retrieve_url=location.url,
                organization_id=profile.organization_id,
                now=created,
            )
        series = series_instance_uid if one is selection else derived_oid(series_instance_uid, one.kind)
        return kos.encode(
            described if one.kind == MADO else study,
            retrieve_location_uid=location.uid,
            retrieve_ae_title=location.ae_title,
            retrieve_url=location.url,
            sop_instance_uid=one.unique_id,
            series_instance_uid=series,
            now=created,
            description=description if one.kind == MADO else None,
        )

    def whole(one: SentDocument) -> Made:
        raw = content(one)
        facts = metadata.ManifestFacts(
            sop_instance_uid=one.unique_id,
            created=created,
            size=len(raw),
            sha1=hashlib.sha1(raw, usedforsecurity=False).hexdigest(),
        )
        if one.kind == FHIR:
            facts = replace(facts, mime_type=mado.FHIR_MIME_TYPE, format_code=Code(*mado.FHIR_FORMAT))
        entry = metadata.document_entry(study, facts, profile, patient_id=patient_id, entry_uuid=one.entry_uuid)
        return Made(raw, entry)

    return tuple(whole(one) for one in documents)


def submission(
    documents: Sequence[SentDocument],
    entries: Sequence[DocumentEntry],
    profile: ImagingProfile,
    *,
    unique_id: str,
    now: datetime,
) -> Submission:
    """One submission of all documents, with what each replaces and what is another form of what."""
    first, *others = entries
    whole = metadata.submission(first, profile, unique_id=unique_id, now=now, others=others)
    for one in documents:
        for former in one.replaces:
            whole = metadata.replacement(whole, former, by=one.entry_uuid)
    for source, target in _transformations(documents):
        whole = metadata.transformation(whole, source.entry_uuid, of=target.entry_uuid)
    return whole


def _transformations(documents: Sequence[SentDocument]) -> Iterator[tuple[SentDocument, SentDocument]]:
    """The FHIR manifest is a transformation (XFRM) of the Key Object Selection whose identifier it bears."""
    by_kind = {one.kind: one for one in documents}
    selection = by_kind.get(MADO) or by_kind.get(KOS)
    if FHIR in by_kind and selection is not None:
        yield by_kind[FHIR], selection
