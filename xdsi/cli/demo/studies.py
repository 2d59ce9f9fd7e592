"""The studies of the demonstration: two hospitals, four patients known to the domain and one that is not.

Images are those that come with pydicom (nothing is downloaded), relabelled. All OIDs are under 2.999, the arc for
examples; all people are invented.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from xdsi.cli.demo import slices
from xdsi.cli.demo.relabel import SOURCES, Label, StudyUids, encoded, read, relabel
from xdsi.domain.codes import Code
from xdsi.domain.identifiers import Oid, PatientId, new_oid
from xdsi.spec import imaging_codes

PATIENT_AUTHORITY = Oid("2.999.1.1")
"""the affinity domain's own patient identifiers"""

NORMAL = Code(*imaging_codes.CONFIDENTIALITY_CODE)
RESTRICTED = Code("R", NORMAL.scheme, "restricted")

_LOCATIONS = {
    "A": Oid("2.25.212656241004653187826102426855824085572"),
    "B": Oid("2.25.93247536288904023156762124129285340852"),
}
"""Retrieve Location UIDs; not under 2.999, which DICOM tools refuse as the root of a UID"""

LARGE = 1300
"""instances of the large study"""


class Role(StrEnum):
    """What a study is for."""

    ORDINARY = "ordinary"
    GROWING = "growing"
    """gets late images after its manifest was published"""
    RESTRICTED = "restricted"
    """published as restricted"""
    LARGE = "large"
    ABUSED = "abused"
    """its manifest is altered and presented for what it does not entitle to"""
    UNANNOUNCED = "unannounced"
    """of a patient that no feed announces"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """A hospital with its PACS; `slug` names its folder."""

    slug: str
    name: str
    organization_id: Oid
    patient_authority: Oid
    accession_authority: Oid
    source_id: Oid
    retrieve_location_uid: Oid
    issuer_name: str
    """Issuer of Patient ID (0010,0021)"""
    ae_title: str
    character_set: str
    referring_physician: str


def _hospital(arc: int, letter: str, name: str, character_set: str, referring_physician: str) -> Hospital:
    organization = f"2.999.{arc}"
    return Hospital(
        slug=f"hospital-{letter.lower()}",
        name=name,
        organization_id=Oid(organization),
        patient_authority=Oid(f"{organization}.1"),
        accession_authority=Oid(f"{organization}.2"),
        source_id=Oid(f"{organization}.3"),
        retrieve_location_uid=_LOCATIONS[letter],
        issuer_name=f"HOSPITAL_{letter}",
        ae_title=f"PACS_{letter}",
        character_set=character_set,
        referring_physician=referring_physician,
    )


HOSPITAL_A = _hospital(10, "A", "Hospital A", "ISO_IR 100", "Übel^Ulrike^^Dr")
HOSPITAL_B = _hospital(20, "B", "Hospital B", "ISO_IR 192", "Ševčík^Šimon^^Dr")
HOSPITALS = (HOSPITAL_A, HOSPITAL_B)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A person with the domain's identifier and one of each hospital that knows the person, by its slug."""

    letter: str
    name: str
    """PN"""
    birth_date: str
    sex: str
    domain_id: PatientId
    local_ids: Mapping[str, PatientId] = field(hash=False)
    announced: bool = True
    """False for one that no feed tells the domain of"""


def _patient(letter: str, name: str, birth_date: str, sex: str, *, announced: bool = True, **numbers: str) -> Patient:
    authorities = {hospital.slug: hospital.patient_authority for hospital in HOSPITALS}
    local_ids = {
        slug: PatientId(number, authorities[slug])
        for hospital, number in numbers.items()
        for slug in [hospital.replace("_", "-")]
    }
    return Patient(
        letter=letter,
        name=name,
        birth_date=birth_date,
        sex=sex,
        domain_id=PatientId(f"DEMO-{letter}", PATIENT_AUTHORITY),
        local_ids=local_ids,
        announced=announced,
    )


PATIENT_A = _patient("A", "Ahlgren^Astrid", "19650412", "F", hospital_a="A-10417", hospital_b="774029")
PATIENT_B = _patient("B", "Bürgi^Benedikt", "19821130", "M", hospital_a="A-10533")
PATIENT_C = _patient("C", "Costa^Célia", "19490807", "F", hospital_b="774316")
PATIENT_D = _patient("D", "Dvořák^Dana", "20010219", "F", hospital_b="774501")
PATIENT_E = _patient("E", "Eriksen^Emil", "19780601", "M", hospital_b="774999", announced=False)
PATIENTS = (PATIENT_A, PATIENT_B, PATIENT_C, PATIENT_D, PATIENT_E)

_CT_THORAX = "dicomdirtests/98892001"
LATE_SERIES = ("dicomdirtests/77654033/CT2/17106", "dicomdirtests/77654033/CT2/17136")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A study to make: when it was made of whom, and its series, each of source images."""

    slug: str
    role: Role
    hospital: Hospital
    patient: Patient
    description: str
    accession_number: str
    date: str
    time: str
    timezone_offset: str
    series: tuple[tuple[str, ...], ...] = ()
    """none for the large study, which is made of one slice"""
    confidentiality: Code = NORMAL


PLANS = (
    Plan(
        slug="a-ct-thorax",
        role=Role.GROWING,
        hospital=HOSPITAL_A,
        patient=PATIENT_A,
        description="CT Thorax",
        accession_number="A2026-0117",
        date="20260115",
        time="091500",
        timezone_offset="+0100",
        series=(
            (f"{_CT_THORAX}/CT2N/6293", f"{_CT_THORAX}/CT2N/6924"),
            tuple(f"{_CT_THORAX}/CT5N/{number}" for number in (2062, 2392, 2693, 3023, 3353)),
            ("reportsi.dcm",),
        ),
    ),
    Plan(
        slug="b-cr-thorax",
        role=Role.ORDINARY,
        hospital=HOSPITAL_A,
        patient=PATIENT_B,
        description="Röntgen Thorax",
        accession_number="A2026-0204",
        date="20260203",
        time="143012",
        timezone_offset="+0100",
        series=tuple((f"dicomdirtests/77654033/{name}",) for name in ("CR1/6154", "CR2/6247", "CR3/6278")),
    ),
    Plan(
        slug="b-us-abdomen",
        role=Role.RESTRICTED,
        hospital=HOSPITAL_A,
        patient=PATIENT_B,
        description="US Abdomen",
        accession_number="A2026-0219",
        date="20260211",
        time="080530",
        timezone_offset="+0100",
        series=(("examples_rgb_color.dcm", "examples_jpeg2k.dcm"), ("examples_ybr_color.dcm",)),
        confidentiality=RESTRICTED,
    ),
    Plan(
        slug="a-mr-head",
        role=Role.ORDINARY,
        hospital=HOSPITAL_B,
        patient=PATIENT_A,
        description="MR Head",
        accession_number="700112",
        date="20260722",
        time="101545",
        timezone_offset="+0200",
        series=(
            ("MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm"),
            ("MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm"),
        ),
    ),
    Plan(
        slug="c-ct-whole-body",
        role=Role.LARGE,
        hospital=HOSPITAL_B,
        patient=PATIENT_C,
        description="CT Whole Body",
        accession_number="700208",
        date="20260305",
        time="221907",
        timezone_offset="+0100",
    ),
    Plan(
        slug="d-cardiology",
        role=Role.ABUSED,
        hospital=HOSPITAL_B,
        patient=PATIENT_D,
        description="Kardiologie",
        accession_number="700311",
        date="20260317",
        time="160000",
        timezone_offset="+0100",
        series=(
            ("waveform_ecg.dcm",),
            ("SC_rgb_rle.dcm", "SC_rgb_gdcm_KY.dcm", "SC_rgb_jpeg_dcmtk.dcm"),
            ("SC_rgb_rle_2frame.dcm",),
        ),
    ),
    Plan(
        slug="e-us",
        role=Role.UNANNOUNCED,
        hospital=HOSPITAL_B,
        patient=PATIENT_E,
        description="US Vessels",
        accession_number="700419",
        date="20260409",
        time="113000",
        timezone_offset="+0200",
        series=(("examples_palette.dcm",),),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoStudy:
    """A study that lies in a hospital's folder."""

    role: Role
    hospital: Hospital
    patient: Patient
    study_instance_uid: str
    description: str
    accession_number: str
    confidentiality: Code
    slug: str
    """names the folder of its files"""
    instances: int
    total_bytes: int
    label: Label = field(repr=False)

    @property
    def local_id(self) -> PatientId:
        """The patient as the images name them."""
        return self.patient.local_ids[self.hospital.slug]


@dataclass(frozen=True, slots=True)
class DemoStudies:
    """Everything that was made."""

    folder: Path
    studies: tuple[DemoStudy, ...]

    @property
    def domain_ids(self) -> Mapping[PatientId, PatientId]:
        """The domain's identifier for each departmental one."""
        return {local: patient.domain_id for patient in PATIENTS for local in patient.local_ids.values()}

    def dicom_folder(self, hospital: Hospital) -> Path:
        """What the hospital's PACS serves."""
        return dicom_folder(self.folder, hospital)

    def of(self, hospital: Hospital) -> tuple[DemoStudy, ...]:
        """The studies of one hospital."""
        return tuple(study for study in self.studies if study.hospital == hospital)

    def with_role(self, role: Role) -> DemoStudy:
        """The first study that is for this."""
        return next(study for study in self.studies if study.role is role)


def dicom_folder(folder: Path, hospital: Hospital) -> Path:
    """The folder of a hospital's DICOM files within the demonstration's."""
    return folder / hospital.slug / "dicom"


def prepare(folder: Path, *, large: int = LARGE) -> DemoStudies:
    """Write every study below `folder`; `large` is the number of instances of the large one, at least two.

    Raises FileExistsError where a hospital has its folder of images already.
    """
    for hospital in HOSPITALS:
        dicom_folder(folder, hospital).mkdir(parents=True)
    return DemoStudies(folder, tuple(_make(plan, folder, large) for plan in PLANS))


def late_images(study: DemoStudy, folder: Path) -> DemoStudy:
    """Add a late CT series to a study that `prepare` wrote below the same folder; the study as it then is."""
    number = study.instances + 1
    return _with_files(study, folder, _relabelled(study.label, StudyUids(), LATE_SERIES, number))


def _make(plan: Plan, folder: Path, large: int) -> DemoStudy:
    label = _label(plan)
    study = DemoStudy(
        role=plan.role,
        hospital=plan.hospital,
        patient=plan.patient,
        study_instance_uid=label.study_instance_uid,
        description=plan.description,
        accession_number=plan.accession_number,
        confidentiality=plan.confidentiality,
        slug=plan.slug,
        instances=0,
        total_bytes=0,
        label=label,
    )
    return _with_files(study, folder, _large(label, large) if plan.role is Role.LARGE else _files(plan, label))


def _label(plan: Plan) -> Label:
    local_id = plan.patient.local_ids[plan.hospital.slug]
    return Label(
        patient_id=local_id.id,
        patient_issuer=local_id.authority,
        issuer_name=plan.hospital.issuer_name,
        patient_name=plan.patient.name,
        birth_date=plan.patient.birth_date,
        sex=plan.patient.sex,
        study_instance_uid=new_oid(),
        study_id=plan.accession_number[-4:],
        accession_number=plan.accession_number,
        accession_issuer=plan.hospital.accession_authority,
        date=plan.date,
        time=plan.time,
        timezone_offset=plan.timezone_offset,
        description=plan.description,
        institution=plan.hospital.name,
        referring_physician=plan.hospital.referring_physician,
        character_set=plan.hospital.character_set,
    )


def _with_files(study: DemoStudy, folder: Path, files: Iterator[bytes]) -> DemoStudy:
    target = dicom_folder(folder, study.hospital) / study.slug
    target.mkdir(parents=True, exist_ok=True)
    instances, size = study.instances, study.total_bytes
    for raw in files:
        instances += 1
        size += len(raw)
        (target / f"{instances:04}.dcm").write_bytes(raw)
    return replace(study, instances=instances, total_bytes=size)


def _files(plan: Plan, label: Label) -> Iterator[bytes]:
    uids = StudyUids()
    for number, sources in enumerate(plan.series, start=1):
        yield from _relabelled(label, uids, sources, number)


def _relabelled(label: Label, uids: StudyUids, sources: tuple[str, ...], series_number: int) -> Iterator[bytes]:
    series_uid = new_oid()
    for number, source in enumerate(sources, start=1):
        dataset = read(SOURCES / source)
        relabel(dataset, label, uids, series_uid=series_uid, series_number=series_number, instance_number=number)
        yield encoded(dataset)


def _large(label: Label, count: int) -> Iterator[bytes]:
    """Two reconstructions of one scan: the same positions in the same frame of reference."""
    uids = StudyUids()
    for number, part in enumerate((count - count // 2, count // 2), start=1):
        dataset = read(SOURCES / "CT_small.dcm")
        relabel(dataset, label, uids, series_uid=new_oid(), series_number=number, instance_number=1)
        yield from slices.files(dataset, count=part)
