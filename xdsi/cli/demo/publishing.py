"""The chapters on manifests and consents: what hospitals and patients hand in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from xdsi.actors import consent_source
from xdsi.cli.demo import patients, studies
from xdsi.cli.demo.attacks import RADIOLOGIST
from xdsi.cli.demo.words import manifests, said
from xdsi.domain.consent import Effect, Statement
from xdsi.domain.identifiers import InstanceIdentifier
from xdsi.domain.outcome import Outcome
from xdsi.spec.namespaces import DEPRECATED
from xdsi.wire.signing_key import pem_key

if TYPE_CHECKING:
    from xdsi.cli.demo.story import Stage


def publish(stage: Stage) -> None:
    """Each hospital publishes the manifest of each of its studies; patients are merged afterwards."""
    stage.steps.chapter("Manifests")
    for hospital in studies.HOSPITALS:
        publisher = stage.publisher(hospital)
        for study in stage.images.of(hospital):
            unknown = study.role is studies.Role.UNANNOUNCED
            expected = "Failure XDSUnknownPatientId" if unknown else "Success"
            former = patients.former(study.patient)
            # Two studies are published under identifiers that are merged into others afterwards.
            merged = study.role in (studies.Role.ORDINARY, studies.Role.LARGE) and study.patient in (
                studies.PATIENT_B,
                studies.PATIENT_C,
            )

            sender = publisher
            if merged:
                sender = replace(publisher, domain_ids={**publisher.domain_ids, study.local_id: former})
            name = f"{hospital.name} publishes {study.slug} of {former.id if merged else study.patient.domain_id.id}"
            if unknown:
                name += ", whom nobody announced"
            with stage.steps.step(name, expected, "RAD-68") as step:
                held = stage.node(hospital.slug).pacs.study(study.study_instance_uid)
                if held is None:
                    raise LookupError(study.study_instance_uid)
                published = sender.publish(held, confidentiality_codes=(study.confidentiality,))
                step.traces.append(published.trace)
                stage.published[study.slug] = published
                step.got = said(Outcome.of(published.problems))
                if published.manifest:
                    (stage.out / "published" / f"{study.slug}.kos.dcm").write_bytes(published.manifest)
    patients.merge(stage)


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
            signing=consent_source.Signing(
                key=pem_key(credential.key_file.read_bytes(), credential.certificate_file.read_bytes())
            ),
            now=now,
        )
        source = stage.node("hospital-a").consent_source(stage.network.url("hub", "repository"))
        published = source.publish(signed, title="Consent", replaces=replaces)
        step.traces.append(published.trace)
        step.got = said(published.outcome)
        if published.outcome.accepted:
            stage.consents[letter] = published.entry_uuid


def late_images(stage: Stage) -> None:
    """A study gets late images: its manifest is replaced, and only the new one is found."""
    stage.steps.chapter("Late images")
    study = stage.images.with_role(studies.Role.GROWING)
    former = stage.published[study.slug]
    grown = studies.late_images(study, stage.out / "data")
    publisher = stage.publisher(study.hospital)
    with stage.steps.step(f"{study.hospital.name} publishes {study.slug} again", "Success replaced", "RAD-68") as step:
        pacs = stage.node(study.hospital.slug).pacs
        held = pacs.reread(study.study_instance_uid)
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
