"""A manifest of a large study against pydicom writing the same data set, and against highdicom building the same."""

from __future__ import annotations

import gc
import io
import time
from collections.abc import Callable
from pathlib import Path

import highdicom
import pydicom
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tests.bench.figures import Comparison, Side, alternate
from tests.imaging import CT_CLASS, fhir_manifest, large_study, mado_manifest, manifest
from xdsi.domain.imaging import Study

COUNT = 10_000


def kos_and_pydicom(folder: Path, *, rounds: int) -> Comparison:
    """Ours from the index of the study to the bytes; pydicom from a data set that is there already."""
    study = large_study(COUNT)
    dataset = pydicom.dcmread(io.BytesIO(manifest(study)))
    _touch(dataset)

    def write() -> bytes:
        file = io.BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        return file.getvalue()

    if len(write()) != len(manifest(study)):
        raise RuntimeError("not the same data set")
    return _compare("pydicom writes the same data set", lambda: manifest(study), write, rounds=rounds, aim=0.5)


def kos_and_highdicom(folder: Path, *, rounds: int) -> Comparison:
    """highdicom is given what it asks for, a data set of each instance, and builds and writes the document."""
    study = large_study(COUNT)
    evidence = _evidence(study)

    def build() -> bytes:
        selection = KeyObjectSelection(document_title=codes.DCM.Manifest, referenced_objects=evidence)
        document = KeyObjectSelectionDocument(
            evidence=evidence,
            content=selection,
            series_instance_uid="2.25.102",
            series_number=999,
            sop_instance_uid="2.25.101",
            instance_number=1,
            manufacturer="xdsi",
            institution_name="Hospital A",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
        )
        file = io.BytesIO()
        document.save_as(file, enforce_file_format=True)
        if len(document.ContentSequence) != COUNT:
            raise RuntimeError(f"highdicom wrote {len(document.ContentSequence)} references")
        return file.getvalue()

    return _compare(
        f"highdicom {highdicom.__version__} builds and writes it",
        lambda: manifest(study), build, rounds=min(rounds, 2), aim=1.0,
    )  # fmt: skip


def mado_and_pydicom(folder: Path, *, rounds: int) -> Comparison:
    """The same for a manifest of MADO, which says something of each instance."""
    study = large_study(COUNT)
    dataset = pydicom.dcmread(io.BytesIO(mado_manifest(study)))
    _touch(dataset)

    def write() -> bytes:
        file = io.BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        return file.getvalue()

    comparison = _compare("pydicom writes the same data set", lambda: mado_manifest(study), write, rounds=rounds,
                          aim=None, kind="MADO manifest")  # fmt: skip
    comparison.notes["FHIR form"] = f"{COUNT / _rate(lambda: fhir_manifest(study)):.3f} s"
    return comparison


def _compare(
    other: str,
    ours: Callable[[], bytes],
    theirs: Callable[[], bytes],
    *,
    rounds: int,
    aim: float | None,
    kind: str = "manifest",
) -> Comparison:
    values = alternate(rounds, lambda: _rate(ours), lambda: _rate(theirs))
    return Comparison(
        f"{kind} of a study of {COUNT} instances",
        "instances a second",
        Side("xdsi, from the index of the study to the file", values[0]),
        Side(other, values[1]),
        aim,
        {"size": f"{len(ours())} bytes"},
    )


def _rate(make: Callable[[], bytes]) -> float:
    gc.collect()
    began = time.perf_counter()
    make()
    return COUNT / (time.perf_counter() - began)


def _touch(dataset: Dataset) -> None:
    """Have everything read, so that writing is not made to parse."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _touch(item)


def _evidence(study: Study) -> list[Dataset]:
    """A data set of each instance with the attributes that highdicom takes from it."""
    series = study.series[0]
    found = []
    for number, instance in enumerate(series.instances, 1):
        one = Dataset()
        one.SOPClassUID, one.SOPInstanceUID = CT_CLASS, instance.sop_instance_uid
        one.StudyInstanceUID, one.SeriesInstanceUID = study.study_instance_uid, series.series_instance_uid
        one.PatientID, one.PatientName = study.patient.id, "Doe^Jane"
        one.PatientBirthDate, one.PatientSex = study.patient.birth_date, study.patient.sex
        one.StudyDate, one.StudyTime, one.StudyID = study.date, study.time, study.study_id
        one.AccessionNumber, one.Modality, one.InstanceNumber = "A77", "CT", number
        one.ReferringPhysicianName, one.Rows, one.Columns = "", 512, 512
        one.SeriesNumber = 1
        found.append(one)
    return found
