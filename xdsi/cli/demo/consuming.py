"""The chapters of the national consumer: what it finds, retrieves and fetches, and what not any more."""

from __future__ import annotations

import hashlib
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from xdsi.actors.imaging_document_consumer import TRANSFER_SYNTAXES, request_of
from xdsi.cli.demo import studies
from xdsi.cli.demo.publishing import grant
from xdsi.cli.demo.words import EXPLICIT, manifests, said
from xdsi.domain.consent import Effect, Statement
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.retrieval import RetrieveAnswer
from xdsi.exchange import Called
from xdsi.wire import kos

if TYPE_CHECKING:
    from xdsi.cli.demo.story import Stage


def find_and_fetch(stage: Stage) -> None:
    """The consumer sees what consent allows, reads the manifests and fetches the images."""
    stage.steps.chapter("The national consumer: a radiologist, for treatment")
    visible = {"A": 2, "B": 1, "C": 1, "D": 0}
    found: dict[str, list[DocumentEntry]] = {}
    for patient in studies.PATIENTS[:4]:
        published = sum(study.patient == patient for study in stage.images.studies)
        expected = f"{visible[patient.letter]} of {published}"
        with stage.steps.step(f"finds the manifests of {patient.domain_id.id}", expected, "ITI-18") as step:
            answer = stage.consumer.find_documents(patient.domain_id)
            step.traces.append(answer.trace)
            found[patient.letter] = manifests(answer.entries)
            count = len(found[patient.letter])
            step.got = f"{count} of {published}" if answer.outcome.accepted else said(answer.outcome)
    for entries in found.values():
        for entry in entries:
            _fetch(stage, entry)
    _transcode(stage, found["A"])


def _study_of(stage: Stage, entry: DocumentEntry) -> studies.DemoStudy:
    named = {reference.partition("^")[0] for reference in entry.reference_ids}
    return next(study for study in stage.images.studies if study.study_instance_uid in named)


def _originals(stage: Stage, study: studies.DemoStudy) -> dict[str, Path]:
    node = stage.node(study.hospital.slug)
    held = node.pacs.study(study.study_instance_uid)
    return {one.sop_instance_uid: node.pacs_folder() / one.locator for one in held.instances} if held else {}


def _fetch(stage: Stage, entry: DocumentEntry) -> None:
    study = _study_of(stage, entry)
    with stage.steps.step(f"retrieves the manifest of {study.slug}", f"{study.instances} instances", "ITI-43") as step:
        called = stage.consumer.retrieve([entry])
        step.traces.append(called.reply.trace)
        called.close()
        manifest, _ = stage.consumer.manifest(entry)
        step.got = f"{sum(1 for _ in manifest.references)} instances"
    name = f"fetches the images of {study.slug} from {study.hospital.name}"
    with stage.steps.step(name, f"Success, {study.instances} of {study.instances} bit for bit", "RAD-69") as step:
        called = stage.consumer.images(manifest)
        try:
            step.traces.append(called.reply.trace)
            same = _compare(stage, called.answer, study)
            step.got = f"{said(called.answer.outcome)}, {same} of {study.instances} bit for bit"
        finally:
            called.close()


def _compare(stage: Stage, answer: RetrieveAnswer, study: studies.DemoStudy) -> int:
    """Keep what was fetched; how many instances have the SHA-256 of the hospital's file."""
    originals = _originals(stage, study)
    folder = stage.out / "images" / study.slug
    folder.mkdir(exist_ok=True)
    same = 0
    with stage.terminal.progress() as progress:
        documents = progress.track(answer.documents, description=study.slug)
        for number, retrieved in enumerate(documents, start=1):
            raw = b"".join(retrieved.document.open())
            original = originals[retrieved.request.document_unique_id].read_bytes()
            same += hashlib.sha256(raw).digest() == hashlib.sha256(original).digest()
            (folder / f"{number:04d}.dcm").write_bytes(raw)
    return same


def _transcode(stage: Stage, entries: list[DocumentEntry]) -> None:
    """An instance stored as RLE, asked for uncompressed: another transfer syntax, the same pixels."""
    with stage.steps.step("asks for a compressed image uncompressed", "the same pixels", "RAD-69") as step:
        entry = {_study_of(stage, one).slug: one for one in entries}["a-mr-head"]
        study = _study_of(stage, entry)
        manifest, _ = stage.consumer.manifest(entry)
        originals = _originals(stage, study)
        compressed = next(
            uid
            for uid, path in originals.items()
            if str(pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID) == "1.2.840.10008.1.2.5"
        )
        request = request_of(manifest, (EXPLICIT,), keep=lambda uid: uid == compressed)
        called = stage.consumer.fetch(request, manifest.series[0].retrieve_location_uid)
        try:
            step.traces.append(called.reply.trace)
            (retrieved,) = called.answer.documents
            image = pydicom.dcmread(BytesIO(b"".join(retrieved.document.open())))
            original = pydicom.dcmread(originals[compressed])
            same = (image.pixel_array == original.pixel_array).all() and image.file_meta.TransferSyntaxUID == EXPLICIT
            step.got = "the same pixels" if same else "other pixels"
        finally:
            called.close()


def revoke(stage: Stage) -> None:
    """Patient C signs a revocation; it counts from the moment it was acknowledged."""
    stage.steps.chapter("Patient C revokes")
    entry = stage.published["c-ct-whole-body"]
    grant(
        stage,
        studies.PATIENT_C,
        [Statement(effect=Effect.DENY)],
        "revokes the consent",
        replaces=stage.consents["C"],
    )
    with stage.steps.step("finds the manifests of DEMO-C", "0 of 1", "ITI-18") as step:
        answer = stage.consumer.find_documents(studies.PATIENT_C.domain_id)
        step.traces.append(answer.trace)
        step.got = f"{len(manifests(answer.entries))} of 1"
    # The hospital may use the hub's former answer for the second that its settings allow.
    time.sleep(1.1)
    with stage.steps.step(
        "fetches an image of C whose UIDs are known", "Failure XDSDocumentUniqueIdError", "RAD-69"
    ) as step:
        answer_ = ask_for_one(stage, entry.manifest)
        step.traces.append(answer_.reply.trace)
        step.got = said(answer_.answer.outcome)
        answer_.close()


def ask_for_one(stage: Stage, raw: bytes) -> Called[RetrieveAnswer]:
    """RAD-69 for the first instance that a manifest names, whatever anybody permitted."""
    manifest = kos.decode(raw)
    first = next(manifest.references).sop_instance_uid
    request = request_of(manifest, TRANSFER_SYNTAXES, keep=lambda uid: uid == first)
    return stage.consumer.fetch(request, manifest.series[0].retrieve_location_uid)
