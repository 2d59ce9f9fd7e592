"""Studies as a PACS holds them, manifests as a Key Object Selection names them, and requests for images.

DICOM PS3.3 A.1.2 (patient, study, series, instance) and C.17.6 (Key Object Document); RAD TF-2 4.69 (requests).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from xdsi.domain.codes import Code
from xdsi.domain.identifiers import PatientId, is_oid
from xdsi.spec import dicom

if TYPE_CHECKING:
    from xdsi.domain.retrieval import DocumentRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagedPatient:
    """The patient as the images name them: the department's identifier, not the affinity domain's."""

    id: str = ""
    issuer: str = ""
    """OID of the assigning authority, empty where the images do not say"""
    issuer_name: str = ""
    """Issuer of Patient ID (0010,0021), a local name"""
    name: str = ""
    """PN"""
    birth_date: str = ""
    sex: str = ""

    def identifier(self, authority: str) -> PatientId | None:
        """The identifier within its own authority, else within `authority`; None without an id or an authority."""
        issuer = self.issuer or authority
        return PatientId(self.id, issuer) if self.id and is_oid(issuer) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accession:
    """An order that the study fulfils: its accession number and what else the request is known by."""

    number: str
    issuer: str = ""
    """OID of the assigning authority"""
    placer_order_number: str = ""
    filler_order_number: str = ""
    requested_procedure_id: str = ""
    requested_procedure_description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which image of whom a file has to say that it is: what was judged is what leaves."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    patient_id: str
    issuer: str = ""
    issuer_name: str = ""

    def is_of(self, other: Identity) -> bool:
        """Whether a file that says this is the one meant; one that names no issuer is of the others' of its study."""
        if self == other:
            return True
        silent = not (self.issuer or self.issuer_name)
        return silent and replace(self, issuer=other.issuer, issuer_name=other.issuer_name) == other


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SOP Instance. `locator` is for the source that made it and means nothing to others."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str = ""
    instance_number: int | None = None
    number_of_frames: int = 1
    title: Code | None = None
    """document title of a Key Object Selection or a report"""
    verified: bool = False
    """a report that somebody answers for (Verification Flag)"""
    description: str = ""
    """Key Object Description of a Key Object Selection"""
    size: int = 0
    locator: str = ""
    identity: Identity | None = field(default=None, compare=False, repr=False)
    """what its file says, where the source looks at it while it leaves"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series with its instances."""

    series_instance_uid: str
    modality: str = ""
    description: str = ""
    number: int | None = None
    body_part: str = ""
    """Body Part Examined (0018,0015)"""
    anatomic_regions: tuple[Code, ...] = ()
    date: str = ""
    time: str = ""
    performing_physicians: tuple[str, ...] = ()
    """PN"""
    instances: tuple[Instance, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One study with its series; dates and times are DICOM's DA and TM, in the study's own time zone."""

    study_instance_uid: str
    patient: ImagedPatient = ImagedPatient()
    accessions: tuple[Accession, ...] = ()
    date: str = ""
    time: str = ""
    timezone_offset: str = ""
    """Timezone Offset From UTC (0008,0201), `+0100`; empty where the images do not say"""
    description: str = ""
    study_id: str = ""
    referring_physician: str = ""
    """PN"""
    institution: str = ""
    ward: str = ""
    """Current Patient Location (0038,0300), or Institutional Department Name (0008,1040) where that is not said"""
    procedure_codes: tuple[Code, ...] = ()
    series: tuple[Series, ...] = ()

    @property
    def instances(self) -> Iterator[Instance]:
        """All instances, series by series."""
        return (instance for series in self.series for instance in series.instances)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a MADO manifest says beyond the study itself (IHE RAD MADO, TID 1600): where in the body it was made."""

    regions: tuple[Code, ...]
    """of the study, from the value set IHE-MADO1"""
    series_regions: Mapping[str, Code | str] = field(default_factory=dict)
    """Series Instance UID -> Target Region, as text where the images have no code"""
    trial_codes: bool = False
    """write the codes of the trial use version instead of those of DICOM"""


def merge(parts: Iterable[Study]) -> Study:
    """One study made of parts of it (such as one per file); what the first part says of the study stands.

    Later parts fill what is empty and add accession numbers, procedure codes, series and instances. Series and
    instances come out by number, then by UID. Raises ValueError for parts of different studies, or for no part.
    """
    merged: Study | None = None
    accessions: dict[Accession, None] = {}
    procedures: dict[Code, None] = {}
    series: dict[str, Series] = {}
    instances: dict[str, dict[str, Instance]] = {}
    for part in parts:
        if merged is None:
            merged = part
        elif part.study_instance_uid != merged.study_instance_uid:
            raise ValueError(f"{part.study_instance_uid} is another study than {merged.study_instance_uid}")
        else:
            merged = _filled(merged, part)
        accessions.update(dict.fromkeys(part.accessions))
        procedures.update(dict.fromkeys(part.procedure_codes))
        for one in part.series:
            uid = one.series_instance_uid
            series[uid] = _filled_series(series[uid], one) if uid in series else one
            found = instances.setdefault(uid, {})
            for instance in one.instances:
                found.setdefault(instance.sop_instance_uid, instance)
    if merged is None:
        raise ValueError("a study has at least one part")
    return replace(
        merged,
        accessions=merge_accessions(accessions),
        procedure_codes=tuple(procedures),
        series=tuple(
            replace(one, instances=tuple(sorted(instances[uid].values(), key=_instance_order)))
            for uid, one in sorted(series.items(), key=lambda item: (_number(item[1].number), item[0]))
        ),
    )


def merge_accessions(accessions: Iterable[Accession]) -> tuple[Accession, ...]:
    """Orders named several times, each once; one without an issuer is taken for its namesake that has one."""
    merged: list[Accession] = []
    for accession in accessions:
        for index, known in enumerate(merged):
            if known.number == accession.number and not (known.issuer and accession.issuer not in ("", known.issuer)):
                merged[index] = Accession(
                    **{name: getattr(known, name) or getattr(accession, name) for name in Accession.__slots__}
                )
                break
        else:
            merged.append(accession)
    return tuple(merged)


def speaks_of_others(instance: Instance) -> bool:
    """Whether it is a manifest or a rejection note: made of what others say, and no part of what was examined."""
    title = (instance.title.code, instance.title.scheme) if instance.title is not None else None
    apart = dicom.MANIFEST_TITLES | dicom.REJECTION_TITLES.keys()
    return instance.sop_class_uid == dicom.KEY_OBJECT_SELECTION and title in apart


def as_witnesses(parts: Iterable[Study]) -> list[Study]:
    """Parts of a study in the order in which they tell of it.

    A manifest that was stored back must not be the reason for another one: it comes last, and of the study it says
    nothing.
    """
    found = list(parts)
    heard = [part for part in found if not all(map(speaks_of_others, part.instances))]
    silent = [
        Study(
            study_instance_uid=part.study_instance_uid,
            patient=ImagedPatient(id=part.patient.id),
            series=part.series,
        )
        for part in found
        if all(map(speaks_of_others, part.instances))
    ]
    return heard + silent


def of_several_patients(parts: Iterable[Study]) -> bool:
    """Whether parts of a study disagree on the patient: by number, or by who issued it where they say."""
    patients = {part.patient for part in parts}
    return len({one.id for one in patients}) > 1 or len({one.issuer for one in patients if one.issuer}) > 1


_STUDY_TEXT = (
    "date", "time", "timezone_offset", "description", "study_id", "referring_physician", "institution", "ward",
)  # fmt: skip
_SERIES_TEXT = ("modality", "description", "body_part", "date", "time")


def _filled(study: Study, part: Study) -> Study:
    changes = {name: value for name in _STUDY_TEXT if not getattr(study, name) and (value := getattr(part, name))}
    if not study.patient.issuer and part.patient.issuer and part.patient.id == study.patient.id:
        changes["patient"] = replace(study.patient, issuer=part.patient.issuer)
    return replace(study, **changes) if changes else study


def _filled_series(series: Series, part: Series) -> Series:
    changes: dict[str, object] = {
        name: value for name in _SERIES_TEXT if not getattr(series, name) and (value := getattr(part, name))
    }
    if series.number is None and part.number is not None:
        changes["number"] = part.number
    for name in ("anatomic_regions", "performing_physicians"):
        known = getattr(series, name)
        added = tuple(value for value in getattr(part, name) if value not in known)
        if added:
            changes[name] = (*known, *added)
    return replace(series, **changes) if changes else series  # type: ignore[arg-type]


def _number(number: int | None) -> tuple[bool, int]:
    return number is None, number or 0


def _instance_order(instance: Instance) -> tuple[tuple[bool, int], str]:
    return _number(instance.instance_number), instance.sop_instance_uid


class Reference(NamedTuple):
    """An instance named by a manifest."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencedSeries:
    """A series named by a manifest, and where it can be had."""

    series_instance_uid: str
    instances: tuple[Reference, ...] = ()
    retrieve_location_uid: str = ""
    """(0040,E011), the repositoryUniqueId of RAD-69"""
    retrieve_ae_titles: tuple[str, ...] = ()
    retrieve_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencedStudy:
    """A study item of the Current Requested Procedure Evidence Sequence; a manifest has exactly one."""

    study_instance_uid: str
    series: tuple[ReferencedSeries, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a Key Object Selection says; `studies` is its evidence, `tree` the UIDs its content tree refers to."""

    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str = ""
    media_storage_sop_class_uid: str = ""
    media_storage_sop_instance_uid: str = ""
    modality: str = ""
    title: Code | None = None
    template: str = ""
    """mapping resource and template identifier, `DCMR/2010`"""
    patient: ImagedPatient = ImagedPatient()
    accessions: tuple[Accession, ...] = ()
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    creation_date: str = ""
    """Instance Creation Date, or Content Date where that is absent"""
    creation_time: str = ""
    timezone_offset: str = ""
    studies: tuple[ReferencedStudy, ...] = ()
    tree: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[ReferencedSeries, ...]:
        """All series of the evidence."""
        return tuple(series for study in self.studies for series in study.series)

    @property
    def references(self) -> Iterator[Reference]:
        """All instances of the evidence."""
        return (instance for series in self.series for instance in series.instances)


@dataclass(frozen=True, slots=True)
class SeriesRequest:
    """Instances wanted of one series."""

    series_instance_uid: str
    documents: tuple[DocumentRequest, ...]


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """Series wanted of one study."""

    study_instance_uid: str
    series: tuple[SeriesRequest, ...]


@dataclass(frozen=True, slots=True)
class ImagingRequest:
    """A RetrieveImagingDocumentSetRequest: instances by study and series, and the transfer syntaxes that will do."""

    studies: tuple[StudyRequest, ...]
    transfer_syntaxes: tuple[str, ...]
