"""The chapter on patients: two feeds, and a merge by each."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from xdsi.actors import patient_identity_source
from xdsi.cli.demo import studies
from xdsi.cli.demo.network import HOME
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import Application, Demographics, FeedEvent, PatientIdentityFeed, PersonName
from xdsi.transport import mllp
from xdsi.transport.tls import TlsFiles, client_context

if TYPE_CHECKING:
    from xdsi.cli.demo.story import Stage


def announce(stage: Stage) -> None:
    """Patients are told to the hub, by ITI-44 and by ITI-8, and an identifier of each kind is merged."""
    stage.steps.chapter("Patients")
    for patient in (studies.PATIENT_A, studies.PATIENT_B):
        _announce_v3(stage, patient.domain_id, patient)
    _announce_v3(stage, former(studies.PATIENT_B), studies.PATIENT_B)
    for patient in (studies.PATIENT_C, studies.PATIENT_D):
        _announce_v2(stage, patient.domain_id, patient)
    _announce_v2(stage, former(studies.PATIENT_C), studies.PATIENT_C)


def former(patient: studies.Patient) -> PatientId:
    """The identifier under which a patient was known before, to be merged."""
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
    _send_v3(stage, event, f"Hospital A announces {identifier.id}")


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
    _send_v2(stage, event, f"Hospital B announces {identifier.id} (MLLP over TLS)")


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


def merge(stage: Stage) -> None:
    """The former identifiers end; what was published under them is found under the surviving ones."""
    event = _event(stage, studies.HOSPITAL_A, FeedEvent.MERGE)
    event = replace(event, patients=(studies.PATIENT_B.domain_id,), prior=(former(studies.PATIENT_B),))
    _send_v3(stage, event, "Hospital A merges DEMO-B-OLD into DEMO-B")
    event = _event(stage, studies.HOSPITAL_B, FeedEvent.MERGE)
    event = replace(event, patients=(studies.PATIENT_C.domain_id,), prior=(former(studies.PATIENT_C),))
    _send_v2(stage, event, "Hospital B merges DEMO-C-OLD into DEMO-C (MLLP over TLS)")
