"""Studies to start from, and the DICOM files that pydicom carries (only those; none is downloaded)."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pydicom.data
import pytest

from xdsi.domain.codes import Code
from xdsi.domain.imaging import Accession, Description, ImagedPatient, Instance, Series, Study
from xdsi.domain.imaging_profile import ImagingProfile
from xdsi.rules import mado
from xdsi.rules import manifest_metadata as metadata
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.wire import kos, mado_fhir

FILES = Path(pydicom.data.__file__).parent / "test_files"
STUDIES = FILES / "dicomdirtests"
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
ECG_CLASS = "1.2.840.10008.5.1.4.1.1.9.1.1"
SR_CLASS = "1.2.840.10008.5.1.4.1.1.88.22"


def series(number: int = 1, count: int = 3, sop_class_uid: str = CT_CLASS, **changes: Any) -> Series:
    """A CT series of the chest."""
    uid = f"1.2.3.{number}"
    instances = tuple(
        Instance(sop_class_uid=sop_class_uid, sop_instance_uid=f"{uid}.{n}", instance_number=n)
        for n in range(1, count + 1)
    )
    attributes: dict[str, Any] = {"modality": "CT", "number": number, "body_part": "CHEST", "instances": instances}
    return Series(series_instance_uid=uid, **attributes | changes)


def study(**changes: Any) -> Study:
    """A study of one CT series with everything that metadata can take from images."""
    attributes: dict[str, Any] = {
        "patient": ImagedPatient(id="L1", issuer="1.2.40.1", name="Doe^Jané^M^Dr^Jr", birth_date="19700102", sex="F"),
        "accessions": (Accession(number="A77", issuer="1.2.40.2"),),
        "date": "20260301",
        "time": "101112.5",
        "timezone_offset": "+0100",
        "description": "Thorax nativ",
        "study_id": "S1",
        "referring_physician": "Refer^Rita",
        "institution": "Hospital A",
        "procedure_codes": (Code("24627-2", "LN", "CT Chest"),),
        "series": (series(performing_physicians=("Perform^Pat",)),),
    }
    return Study(study_instance_uid="1.2.3", **attributes | changes)


KO_CLASS = "1.2.840.10008.5.1.4.1.1.88.59"
PR_CLASS = "1.2.840.10008.5.1.4.1.1.11.1"
PDF_CLASS = "1.2.840.10008.5.1.4.1.1.104.1"
US_MULTIFRAME_CLASS = "1.2.840.10008.5.1.4.1.1.3.1"


def mixed_study() -> Study:
    """A study of several modalities: images, frames, curves, a key-image note, a presentation state and reports."""
    note = Instance(
        sop_class_uid=KO_CLASS,
        sop_instance_uid="1.2.3.5.1",
        instance_number=1,
        title=Code("113000", "DCM", "Of Interest"),
        description="Größe des Befunds",
    )
    frames = Instance(
        sop_class_uid=US_MULTIFRAME_CLASS, sop_instance_uid="1.2.3.2.1", instance_number=7, number_of_frames=120
    )
    return study(
        accessions=(
            Accession(number="A77", issuer="1.2.40.2", placer_order_number="P1", filler_order_number="F1"),
            Accession(number="A78", placer_order_number="P2", requested_procedure_description="Sonography"),
        ),
        series=(
            series(1, 3, anatomic_regions=(Code("69536005", "SCT", "Head"), Code("45048000", "SCT", "Neck"))),
            series(2, modality="US", body_part="LIVER", instances=(frames,), date="20260301", time="101500"),
            series(3, 2, ECG_CLASS, modality="ECG", body_part="SOMEWHERE"),
            series(4, 1, SR_CLASS, modality="SR", body_part="", description="Report & more"),
            series(5, modality="KO", body_part="", instances=(note,)),
            series(6, 1, PR_CLASS, modality="PR", body_part=""),
            series(7, 1, PDF_CLASS, modality="DOC", body_part=""),
            replace(series(8, 1, "1.2.3.4.5", modality="XX", body_part=""), number=None),
        ),
    )


def large_study(count: int) -> Study:
    """A study of `count` instances with UIDs of 64 characters."""
    stem = "1.2.840.99999.111111111111111111111.2222222222222222222."
    instances = tuple(
        Instance(sop_class_uid=CT_CLASS, sop_instance_uid=f"{stem}{10_000_000 + n}", instance_number=n)
        for n in range(count)
    )
    return study(series=(replace(series(), instances=instances),))


PROFILE = ImagingProfile(
    source_id="2.999.1.4",
    patient_id_authority="1.2.40.9",
    accession_authority="1.2.40.10",
    organization_id="urn:oid:2.999.1.9",
    organization_name="Hospital A",
)


def described(of: Study, profile: ImagingProfile = PROFILE) -> tuple[Study, Description]:
    """A study as MADO wants it, and what its manifest says beyond it."""
    of = metadata.localized(of, profile)
    return mado.completed(of, profile, created=NOW), mado.description(of, profile)


def mado_manifest(of: Study | None = None, profile: ImagingProfile = PROFILE) -> bytes:
    """A MADO manifest of a study."""
    completed, description = described(of or study(), profile)
    return manifest(completed, description=description)


def fhir_manifest(of: Study | None = None, profile: ImagingProfile = PROFILE, **changes: Any) -> bytes:
    """A FHIR manifest of a study."""
    completed, description = described(of or study(), profile)
    arguments: dict[str, Any] = {
        "identifier": "2.25.101",
        "retrieve_location_uid": "1.2.40.3",
        "retrieve_url": "https://pacs.example/dicom-web",
        "organization_id": profile.organization_id,
        "now": NOW,
    }
    return mado_fhir.encode(completed, description, **arguments | changes)


def manifest(of: Study | None = None, **changes: Any) -> bytes:
    """A manifest of a study."""
    arguments: dict[str, Any] = {
        "retrieve_location_uid": "1.2.40.3",
        "retrieve_ae_title": "PACS",
        "retrieve_url": "https://pacs.example/dicom-web",
        "sop_instance_uid": "2.25.101",
        "series_instance_uid": "2.25.102",
        "now": NOW,
    }
    return kos.encode(of or study(), **arguments | changes)


@cache
def pydicom_studies() -> tuple[Study, ...]:
    """Every study of pydicom's files."""
    return FolderPacs(FILES).studies()


def pydicom_files() -> list[Path]:
    """Every file that pydicom carries, DICOM or not."""
    return [path for path in sorted(FILES.rglob("*")) if path.is_file()]


def element(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """A data element in Explicit VR Little Endian, with any length that is asked for."""
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    long = vr in ("SQ", "OB", "OW", "UN", "UT")
    return head + (struct.pack("<HI", 0, size) if long else struct.pack("<H", size)) + value


def part10(dataset: bytes, transfer_syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    """A file with this data set, right or wrong."""
    uid = transfer_syntax.encode()
    return bytes(128) + b"DICM" + element(0x00020010, "UI", uid + b"\0" * (len(uid) % 2)) + dataset


def program(name: str) -> str:
    """The path of a program of the machine; without it the calling test is skipped, or fails where required."""
    # Where this environment is active, pynetdicom's programs of the same names come before dcmtk's.
    beside = [one for one in os.get_exec_path() if not Path(one).is_relative_to(sys.prefix)]
    path = shutil.which(name, path=os.pathsep.join(beside))
    if path:
        return path
    reason = f"the program {name} is not installed"
    if os.environ.get("XDSI_REQUIRE_ORACLES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def run(name: str, *arguments: str | Path) -> list[str]:
    """The lines that a program prints, on either output."""
    done = subprocess.run([program(name), *map(str, arguments)], capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
