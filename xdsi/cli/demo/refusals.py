"""The chapter in which everything is refused, each for its own reason."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from xdsi.cli.demo import attacks, studies
from xdsi.cli.demo.consuming import ask_for_one
from xdsi.cli.demo.network import HOSPITAL_B_REPOSITORY, HUB_REPOSITORY
from xdsi.cli.demo.publishing import grant
from xdsi.cli.demo.words import said
from xdsi.domain.consent import Effect, Statement
from xdsi.domain.errors import SoapFault, Unavailable
from xdsi.domain.identifiers import new_entry_uuid, new_oid
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.submission import Document, Provision
from xdsi.exchange import call
from xdsi.rules import manifest_metadata as metadata
from xdsi.transactions import iti41_provide_and_register_document_set as iti41
from xdsi.transport.soap_client import SoapClient
from xdsi.transport.tls import TlsFiles, client_context
from xdsi.wire import kos
from xdsi.wire.message import Packaging

if TYPE_CHECKING:
    from xdsi.cli.demo.story import Stage


def refuse(stage: Stage) -> None:
    """What must fail, fails, with the right code."""
    stage.steps.chapter("What must fail")
    genuine = (stage.out / "assertions" / "radiologist.xml").read_bytes()
    attempts = (
        ("no assertion", "none", b"", "InvalidSecurity"),
        ("an expired assertion", "expired", attacks.assertion(stage.network, age=timedelta(hours=2)), "MessageExpired"),
        ("an assertion that a stranger signed", "stranger", _by_stranger(stage), "FailedCheck"),
        ("an altered assertion", "altered", attacks.altered(genuine), "FailedCheck"),
        ("a wrapped assertion", "wrapped", attacks.wrapped(genuine), "InvalidSecurity"),
    )
    for what, name, assertion, expected in attempts:
        if assertion:
            (stage.out / "assertions" / f"{name}.xml").write_bytes(assertion)
        with stage.steps.step(f"a query with {what}", f"wsse:{expected}", "ITI-18") as step:
            step.got = _fault(stage, assertion)
    _forged_consents(stage)
    _other_authority(stage)
    with stage.steps.step(
        "images of D, who never signed, though the UIDs are known", "Failure XDSDocumentUniqueIdError", "RAD-69"
    ) as step:
        called = ask_for_one(stage, stage.published["d-cardiology"].manifest)
        step.traces.append(called.reply.trace)
        stage.refused = called.reply.trace
        step.got = said(called.answer.outcome)
        called.close()
    with stage.steps.step("the manifest of D", "Failure XDSDocumentUniqueIdError", "ITI-43") as step:
        step.got = _retrieve(stage, stage.published["d-cardiology"].unique_id, HOSPITAL_B_REPOSITORY, step.traces)
    _foreign_study(stage)


def _by_stranger(stage: Stage) -> bytes:
    return attacks.assertion(stage.network, signer="stranger")


def _fault(stage: Stage, assertion: bytes) -> str:
    try:
        stage.consumer_with(assertion).find_documents(studies.PATIENT_A.domain_id)
    except SoapFault as fault:
        return f"wsse:{fault.subcode[1]}" if fault.subcode else fault.reason
    return "an answer"


def _forged_consents(stage: Stage) -> None:
    """Only the patient's own key, certified by the domain's authority, makes a consent."""
    everything = [Statement(effect=Effect.PERMIT)]
    for signer, what in (("stranger", "a consent that a stranger signed"), ("patient-a", "a consent that A signed")):
        grant(
            stage,
            studies.PATIENT_D,
            everything,
            what,
            signer=signer,
            expected="Failure XDSRegistryMetadataError",
        )
    with stage.steps.step("finds the documents of DEMO-D", "0 documents", "ITI-18") as step:
        answer = stage.consumer.find_documents(studies.PATIENT_D.domain_id)
        step.traces.append(answer.trace)
        step.got = f"{len(answer.entries)} documents"


def _other_authority(stage: Stage) -> None:
    credential = stage.network.credentials["stranger"]
    files = TlsFiles(
        certificate=credential.certificate_file,
        key=credential.key_file,
        peer_ca=stage.network.credentials["ca"].certificate_file,
    )
    parts = stage.node("consumer")
    channel = SoapClient(stage.network.url("hub", "registry"), make_spool=parts.make_spool, tls=client_context(files))
    with stage.steps.step("a client certificate of another authority", "no connection", "ITI-19") as step:
        try:
            replace(stage.consumer, registry=channel).find_documents(studies.PATIENT_A.domain_id)
            step.got = "an answer"
        except Unavailable:
            step.got = "no connection"


def _retrieve(stage: Stage, unique_id: str, repository: str, traces: list[str]) -> str:
    entry = DocumentEntry(entry_uuid="", unique_id=unique_id, repository_unique_id=repository)
    called = stage.consumer.retrieve([entry])
    traces.append(called.reply.trace)
    called.close()
    return said(called.answer.outcome)


def _foreign_study(stage: Stage) -> None:
    """A manifest of D's study, presented as a document of A."""
    study = stage.images.with_role(studies.Role.ABUSED)
    publisher = stage.publisher(study.hospital)
    manifest = stage.published[study.slug].manifest
    held = stage.node(study.hospital.slug).pacs.study(study.study_instance_uid)
    with stage.steps.step(
        "a manifest with a study of another patient", "Failure InvalidDocumentContent", "RAD-68"
    ) as step:
        if held is None:
            raise LookupError(study.study_instance_uid)
        local = studies.PATIENT_A.local_ids[study.hospital.slug]
        sha1 = hashlib.sha1(manifest, usedforsecurity=False).hexdigest()
        now = publisher.clock()
        facts = metadata.ManifestFacts(
            sop_instance_uid=kos.decode(manifest).sop_instance_uid, created=now, size=len(manifest), sha1=sha1
        )
        claimed = replace(held, patient=replace(held.patient, id=local.id))
        entry = metadata.document_entry(
            claimed,
            facts,
            publisher.profile,
            patient_id=studies.PATIENT_A.domain_id,
            entry_uuid=new_entry_uuid(),
        )
        submission = metadata.submission(entry, publisher.profile, unique_id=new_oid(), now=now)
        document = Document(open=lambda: iter((manifest,)), size=len(manifest), sha1=sha1)
        called = call(
            publisher.client,
            iti41.TRANSACTION,
            Provision(submission, {entry.entry_uuid: document}),
            publisher.repository,
            packaging=Packaging.MTOM,
            number="RAD-68",
        )
        step.traces.append(called.reply.trace)
        step.got = said(called.answer)
        called.close()


def altered_document(stage: Stage) -> None:
    """Somebody with access to the hub's disk changes a stored manifest."""
    stage.steps.chapter("A document changed on disk")
    former = stage.published["former"]
    sha256 = hashlib.sha256(former.manifest).hexdigest()
    (file,) = (stage.network.data("hub") / "documents").rglob(f"*{sha256}*")
    raw = bytearray(file.read_bytes())
    raw[-20] ^= 0xFF
    file.chmod(0o600)
    file.write_bytes(bytes(raw))
    with stage.steps.step("retrieves the altered document", "Failure XDSRepositoryError", "ITI-43") as step:
        step.got = _retrieve(stage, former.unique_id, HUB_REPOSITORY, step.traces)
