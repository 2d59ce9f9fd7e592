"""The chapters of the story in which everything goes well."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from xdsi.actors import consent_source, patient_identity_source
from xdsi.actors.imaging_document_consumer import request_of
from xdsi.cli.demo import studies
from xdsi.cli.demo.attacks import RADIOLOGIST
from xdsi.cli.demo.network import HOME
from xdsi.domain.consent import Effect, Statement
from xdsi.domain.identifiers import InstanceIdentifier, PatientId
from xdsi.domain.identity import Application, Demographics, FeedEvent, PatientIdentityFeed, PersonName
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Outcome
from xdsi.domain.retrieval import RetrieveAnswer
from xdsi.spec.namespaces import DEPRECATED
from xdsi.transport import mllp
from xdsi.transport.tls import TlsFiles, client_context
from xdsi.wire import audit as audit_codec

if TYPE_CHECKING:
    from xdsi.cli.demo.story import Stage

KOS_FORMAT = "1.2.840.10008.5.1.4.1.1.88.59"
EXPLICIT = "1.2.840.10008.1.2.1"


def said(outcome: Outcome) -> str:
    """`Success`, or the error codes."""
    codes = sorted({problem.code for problem in outcome.errors})
    status = outcome.status.rpartition(":")[2]
    return " ".join([status, *codes])


def manifests(entries: tuple[DocumentEntry, ...]) -> list[DocumentEntry]:
    """The manifests among the entries: consents are documents of the patient as well."""
    return [entry for entry in entries if entry.format_code is not None and entry.format_code.code == KOS_FORMAT]


# -- patients


def announce(stage: Stage) -> None:
    """Patients are told to the hub, by ITI-44 and by ITI-8, and an identifier of each kind is merged."""
    stage.steps.chapter("Patients")
    for patient in (studies.PATIENT_A, studies.PATIENT_B):
        _announce_v3(stage, patient.domain_id, patient)
    _announce_v3(stage, _former(studies.PATIENT_B), studies.PATIENT_B)
    for patient in (studies.PATIENT_C, studies.PATIENT_D):
        _announce_v2(stage, patient.domain_id, patient)
    _announce_v2(stage, _former(studies.PATIENT_C), studies.PATIENT_C)


def _former(patient: studies.Patient) -> PatientId:
    return PatientId(f"{patient.domain_id.id}-OLD", patient.domain_id.authority)


def _event(stage: Stage, hospital: studies.Hospital, kind: FeedEvent) -> PatientIdentityFeed:
    return PatientIdentityFeed(
        kind=kind,
        patients=(),
        message_id=f"2.25.{secrets.randbits(120)}",
        sender=Application(hospital.source_id, hospital.organization_id),
        receiver=Application(HOME.removeprefix("urn:oid:"), HOME.removeprefix("urn:oid:")),
        created=datetime.now(UTC),
    )


def _demographics(patient: studies.Patient) -> Demographics:
    return Demographics(name=PersonName.parse(patient.name), birth_date=patient.birth_date, sex=patient.sex)


def _announce_v3(stage: Stage, identifier: PatientId, patient: studies.Patient) -> None:

    event = _event(stage, studies.HOSPITAL_A, FeedEvent.ADD)
    event = replace(event, patients=(identifier,), demographics=_demographics(patient))
    _send_v3(stage, event, f"hospital A announces {identifier.id}")


def _send_v3(stage: Stage, event: PatientIdentityFeed, name: str) -> None:
    parts = stage.node("hospital-a")
    with stage.steps.step(name, "accepted", "ITI-44") as step:
        channel = parts.channel(stage.network.url("hub", "identity"))
        answer, trace = patient_identity_source.feed_v3(parts.client, event, channel)
        step.traces.append(trace)
        step.got = "accepted" if answer.accepted else "; ".join(p.text for p in answer.problems)


def _announce_v2(stage: Stage, identifier: PatientId, patient: studies.Patient) -> None:

    event = _event(stage, studies.HOSPITAL_B, FeedEvent.ADD)
    event = replace(event, patients=(identifier,), demographics=_demographics(patient))
    _send_v2(stage, event, f"hospital B announces {identifier.id} (MLLP over TLS)")


def _send_v2(stage: Stage, event: PatientIdentityFeed, name: str) -> None:
    parts = stage.node("hospital-b")
    credential = stage.network.credentials["hospital-b"]
    files = TlsFiles(
        certificate=credential.certificate_file,
        key=credential.key_file,
        peer_ca=stage.network.credentials["ca"].certificate_file,
    )
    with stage.steps.step(name, "accepted", "ITI-8") as step:

        def deliver(message: bytes) -> bytes:
            answer = mllp.send(
                "127.0.0.1",
                stage.network.ports["mllp"],
                message,
                client_context(files),
                server_hostname="localhost",
            )
            step.wire += len(message) + len(answer)
            return answer

        answer = patient_identity_source.feed_v2(parts.client, event, deliver)
        step.got = "accepted" if answer.accepted else "; ".join(p.text for p in answer.problems)


# -- manifests


def publish(stage: Stage) -> None:
    """Each hospital publishes the manifest of each of its studies; patients are merged afterwards."""
    stage.steps.chapter("Manifests")
    for hospital in studies.HOSPITALS:
        publisher = stage.publisher(hospital)
        for study in stage.images.of(hospital):
            unknown = study.role is studies.Role.UNANNOUNCED
            expected = "Failure XDSUnknownPatientId" if unknown else "Success"
            former = _former(study.patient)
            # Two studies are published under identifiers that are merged into others afterwards.
            merged = study.role in (studies.Role.ORDINARY, studies.Role.LARGE) and study.patient in (
                studies.PATIENT_B,
                studies.PATIENT_C,
            )

            sender = publisher
            if merged:
                sender = replace(publisher, domain_ids={**publisher.domain_ids, study.local_id: former})
            name = f"{hospital.name} publishes {study.slug} of {former.id if merged else study.patient.domain_id.id}"
            with stage.steps.step(name, expected, "RAD-68") as step:
                held = stage.node(hospital.slug).pacs.study(study.study_instance_uid)
                if held is None:
                    raise LookupError(study.study_instance_uid)
                published = sender.publish(held, confidentiality_codes=(study.confidentiality,))
                step.traces.append(published.trace)
                stage.published[study.slug] = published
                step.got = said(Outcome.of(published.problems))
                if published.manifest:
                    (stage.out / "images" / f"{study.slug}.kos.dcm").write_bytes(published.manifest)

    event = _event(stage, studies.HOSPITAL_A, FeedEvent.MERGE)
    event = replace(event, patients=(studies.PATIENT_B.domain_id,), prior=(_former(studies.PATIENT_B),))
    _send_v3(stage, event, "hospital A merges DEMO-B-OLD into DEMO-B")
    event = _event(stage, studies.HOSPITAL_B, FeedEvent.MERGE)
    event = replace(event, patients=(studies.PATIENT_C.domain_id,), prior=(_former(studies.PATIENT_C),))
    _send_v2(stage, event, "hospital B merges DEMO-C-OLD into DEMO-C (MLLP over TLS)")


# -- consents


def consent(stage: Stage) -> None:
    """Patients A, B and C sign; D never does."""
    stage.steps.chapter("Consents")
    everything = Statement(effect=Effect.PERMIT, roles=(RADIOLOGIST,))
    restricted = Statement(
        effect=Effect.DENY,
        author_institutions=(InstanceIdentifier(studies.HOSPITAL_A.organization_id),),
        confidentiality_codes=(studies.RESTRICTED,),
    )
    grant(stage, studies.PATIENT_A, [everything], "radiologists may see the whole record")
    grant(stage, studies.PATIENT_B, [everything, restricted], "radiologists, but not hospital A's restricted documents")
    grant(stage, studies.PATIENT_C, [everything], "radiologists may see the whole record")


def grant(
    stage: Stage,
    patient: studies.Patient,
    statements: list[Statement],
    what: str,
    *,
    signer: str = "",
    replaces: str = "",
    expected: str = "Success",
) -> None:
    """Write, sign and publish a consent through hospital A, with the patient's own key unless `signer` is another."""
    letter = patient.letter
    credential = stage.network.credentials[signer or f"patient-{letter.lower()}"]
    now = datetime.now(UTC)
    with stage.steps.step(f"patient {letter}: {what}", expected, "ITI-41") as step:
        signed = consent_source.make(
            patient.domain_id,
            statements,
            description=f"Consent of {patient.name.replace('^', ' ')}: {what}",
            key_pem=credential.key_file.read_bytes(),
            cert_pem=credential.certificate_file.read_bytes(),
            now=now,
        )
        source = stage.node("hospital-a").consent_source(stage.network.url("hub", "repository"))
        published = source.publish(signed, title="Consent", replaces=replaces)
        step.traces.append(published.trace)
        step.got = said(published.outcome)
        if published.outcome.accepted:
            stage.consents[letter] = published.entry_uuid


# -- finding and fetching


def find_and_fetch(stage: Stage) -> None:
    """The consumer sees what consent allows, reads the manifests and fetches the images."""
    stage.steps.chapter("The national consumer: a radiologist, for treatment")
    visible = {"A": 2, "B": 1, "C": 1, "D": 0}
    found: dict[str, list[DocumentEntry]] = {}
    for patient in studies.PATIENTS[:4]:
        expected = f"{visible[patient.letter]} manifests"
        with stage.steps.step(f"finds the manifests of {patient.domain_id.id}", expected, "ITI-18") as step:
            answer = stage.consumer.find_documents(patient.domain_id)
            step.traces.append(answer.trace)
            found[patient.letter] = manifests(answer.entries)
            step.got = f"{len(found[patient.letter])} manifests" if answer.outcome.accepted else said(answer.outcome)
    for entries in found.values():
        for entry in entries:
            _fetch(stage, entry)
    _transcode(stage, found["A"])


def _study_of(stage: Stage, entry: DocumentEntry) -> studies.DemoStudy:
    named = {reference.partition("^")[0] for reference in entry.reference_ids}
    return next(study for study in stage.images.studies if study.study_instance_uid in named)


def _originals(stage: Stage, study: studies.DemoStudy) -> dict[str, Path]:
    pacs = stage.node(study.hospital.slug).pacs
    held = pacs.study(study.study_instance_uid)
    return {one.sop_instance_uid: pacs.path(one) for one in held.instances} if held is not None else {}


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


# -- changes


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
    with stage.steps.step("finds the manifests of DEMO-C", "0 manifests", "ITI-18") as step:
        answer = stage.consumer.find_documents(studies.PATIENT_C.domain_id)
        step.traces.append(answer.trace)
        step.got = f"{len(manifests(answer.entries))} manifests"
    # The hospital may use the hub's former answer for the second that its settings allow.
    time.sleep(1.1)
    with stage.steps.step(
        "fetches an image of C whose UIDs are known", "Failure XDSDocumentUniqueIdError", "RAD-69"
    ) as step:
        from xdsi.cli.demo.refusals import ask_for_one

        answer_ = ask_for_one(stage, entry.manifest)
        step.traces.append(answer_.reply.trace)
        step.got = said(answer_.answer.outcome)
        answer_.close()


def late_images(stage: Stage) -> None:
    """A study gets late images: its manifest is replaced, and only the new one is found."""
    stage.steps.chapter("Late images")
    study = stage.images.with_role(studies.Role.GROWING)
    former = stage.published[study.slug]
    grown = studies.late_images(study, stage.out / "data")
    publisher = stage.publisher(study.hospital)
    with stage.steps.step(f"{study.hospital.name} publishes {study.slug} again", "Success replaced", "RAD-68") as step:
        pacs = stage.node(study.hospital.slug).pacs
        pacs.refresh()
        held = pacs.study(study.study_instance_uid)
        if held is None:
            raise LookupError(study.study_instance_uid)
        published = publisher.publish(held)
        step.traces.append(published.trace)
        step.got = f"{said(Outcome.of(published.problems))} {published.result}"
        stage.published[study.slug] = published
    expected = f"only the new one, {grown.instances} instances"
    with stage.steps.step("finds the manifests of DEMO-A", expected, "ITI-18") as step:
        answer = stage.consumer.find_documents(studies.PATIENT_A.domain_id)
        step.traces.append(answer.trace)
        found = {entry.unique_id: entry for entry in manifests(answer.entries)}
        new = found.get(published.unique_id)
        if new is None or former.unique_id in found:
            step.got = f"{len(found)} manifests, the former among them: {former.unique_id in found}"
        else:
            manifest, _ = stage.consumer.manifest(new)
            step.got = f"only the new one, {sum(1 for _ in manifest.references)} instances"
    with stage.steps.step("finds the former one as Deprecated", "1 manifest", "ITI-18") as step:
        answer = stage.consumer.find_documents(studies.PATIENT_A.domain_id, statuses=(DEPRECATED,))
        step.traces.append(answer.trace)
        count = sum(1 for entry in manifests(answer.entries) if entry.unique_id == former.unique_id)
        step.got = f"{count} manifest"
    stage.published["former"] = former


# -- audit


def audit(stage: Stage) -> None:
    """Every exchange has its records at both ends; the hospitals' lie with the hub as well."""
    stage.steps.chapter("Audit trail")
    nodes = {name: stage.node(name).trail for name in ("hub", "hospital-a", "hospital-b", "consumer")}
    with stage.steps.step("records of the nodes that reached the hub", "all", "ITI-20") as step:
        step.got = _await_records(stage)
    traces = {trace for done in stage.steps.done for trace in done.traces if trace}
    with stage.steps.step(
        "exchanges with records at both ends", f"{len(traces)} of {len(traces)}", "ITI-20"
    ) as step:
        # The records of the two ends differ in node or in event (Export here, Import there).
        ends: dict[str, set[tuple[str, str, str]]] = {trace: set() for trace in traces}
        for name, trail in nodes.items():
            for record in trail.search(limit=100_000):
                if record.trace in ends and "-" in record.transaction:
                    code = audit_codec.decode(record.xml).event.code
                    ends[record.trace].add((name, record.transaction, code))
        step.got = f"{sum(1 for found in ends.values() if len(found) >= 2)} of {len(traces)}"
    for name, trail in nodes.items():
        with stage.steps.step(f"chain of {name}", "whole", "ITI-20") as step:
            report = trail.verify()
            step.got = "whole" if report.intact else "; ".join(str(finding) for finding in report.findings)
    records = nodes["hub"].search(limit=100_000)
    shown: Counter[tuple[str, str, str, str]] = Counter()
    for number, record in enumerate(records, start=1):
        (stage.out / "audit" / f"{number:04d}-{record.transaction}.xml").write_bytes(record.xml)
        event = audit_codec.decode(record.xml)
        outcome = "success" if record.outcome == 0 else f"failure {record.outcome}"
        shown[record.transaction, event.event.display or event.event.code, event.source.source_id, outcome] += 1
    stage.terminal.table(
        f"{len(records)} audit records at the hub",
        ["transaction", "event", "reported by", "outcome", "records"],
        [(*key, str(count)) for key, count in sorted(shown.items())],
    )


def _await_records(stage: Stage) -> str:
    """Wait until the hub holds what the other nodes sent."""
    hub = stage.node("hub").trail
    until = time.monotonic() + 20
    missing: dict[str, int] = {}
    with stage.terminal.progress() as progress:
        task = progress.add_task("audit records on their way", total=None)
        while time.monotonic() < until:
            received = Counter(
                audit_codec.decode(record.xml).source.source_id for record in hub.search(limit=100_000)
            )
            missing = {}
            for name in ("hospital-a", "hospital-b", "consumer"):
                own = sum(1 for record in stage.node(name).trail.search(limit=100_000) if record.direction == "sent")
                if received[name] < own:
                    missing[name] = own - received[name]
            if not missing:
                return "all"
            progress.advance(task)
            time.sleep(0.3)
    return ", ".join(f"{count} of {name} missing" for name, count in missing.items())
