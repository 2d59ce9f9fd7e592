"""Publishes a patient's signed consent: the document and its signature in one submission (ITI-41).

APPC supplement 5.6; ITI TF-3 5.1 (BPPC); ITI TF-3 5.5 (DSG: signature metadata, association `signs`).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from xdsi.domain.codes import Code
from xdsi.domain.consent import Statement
from xdsi.domain.identifiers import PatientId, new_entry_uuid, new_oid
from xdsi.domain.metadata import Association, Author, DocumentEntry, SubmissionSet
from xdsi.domain.outcome import Outcome
from xdsi.domain.ports import Clock
from xdsi.domain.submission import Document, Provision, Submission
from xdsi.exchange import Channel, Client, call
from xdsi.spec import uuids
from xdsi.spec.xacml import APPC_FORMAT, BPPC_FORMAT, BPPC_SCAN_FORMAT, FORMAT_SCHEME
from xdsi.transactions import iti41_provide_and_register_document_set as iti41
from xdsi.wire import signature_document
from xdsi.wire.bppc import Scan, encode_bppc
from xdsi.wire.consent import encode_appc
from xdsi.wire.message import Packaging
from xdsi.wire.signature_writer import DETACHED, ENVELOPING
from xdsi.wire.signing_key import SigningKey
from xdsi.wire.time_stamp import Stamp

_LOINC = "2.16.840.1.113883.6.1"
_CONSENT = Code("57016-8", _LOINC, "Privacy policy acknowledgement Document")
_SIGNATURE_TYPE = Code("E1762", "1.2.840.10065.1.12", "Full Document")
_PURPOSE_CONSENT = Code("1.2.840.10065.1.12.1.7", "1.2.840.10065.1.12", "Consent Signature")
_PURPOSE_WITNESS = Code("1.2.840.10065.1.12.1.11", "1.2.840.10065.1.12", "Consent Witness Signature")
_NORMAL = Code("N", "2.16.840.1.113883.5.25", "normal")
_FACILITY = Code("22232009", "2.16.840.1.113883.6.96", "Hospital")
_PRACTICE = Code("394802001", "2.16.840.1.113883.6.96", "General medicine")
_APPC = Code(APPC_FORMAT, FORMAT_SCHEME, "Advanced Patient Privacy Consents")
_BPPC = Code(BPPC_FORMAT, FORMAT_SCHEME, "Basic Patient Privacy Consents")
_BPPC_SCAN = Code(BPPC_SCAN_FORMAT, FORMAT_SCHEME, "Basic Patient Privacy Consents with Scanned Document")
_DETACHED = Code(DETACHED, FORMAT_SCHEME, "Document Digital Signature, detached")
_ENVELOPING = Code(ENVELOPING, FORMAT_SCHEME, "Document Digital Signature, enveloping")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """With what a consent is signed, and how."""

    key: SigningKey
    stamp: Stamp | None = None
    """who gives a time stamp (XAdES-T); None: none (XAdES-BES)"""
    enveloping: bool = False
    """enclose the consent in its signature"""
    witness: bool = False
    """a hospital that saw the patient sign, on paper say, instead of the patient"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedConsent:
    """A consent ready to be published."""

    patient: PatientId
    unique_id: str
    document: bytes
    signature: bytes
    format_code: Code = _APPC
    policies: tuple[Code, ...] = ()
    """the domain's policies that it refers to, as eventCodeList repeats them"""
    signature_format: Code = _DETACHED
    purpose: Code = _PURPOSE_CONSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedConsent:
    """What came of publishing; `entry_uuid` is the consent's, to replace or revoke it by."""

    outcome: Outcome
    entry_uuid: str
    unique_id: str
    trace: str


def make(
    patient: PatientId,
    statements: Sequence[Statement],
    *,
    description: str,
    signing: Signing,
    now: datetime,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    accepts: Sequence[Code] = (),
) -> SignedConsent:
    """Write a consent (APPC) and sign its bytes; `accepts` are policies of the domain that it refers to."""
    unique_id = f"urn:uuid:{uuid.uuid4()}"
    document = encode_appc(
        patient=patient,
        policy_set_id=unique_id,
        description=description,
        statements=statements,
        references=[policy.code for policy in accepts],
        valid_from=valid_from,
        valid_until=valid_until,
    )
    return _signed(patient, unique_id, document, signing, now, format_code=_APPC, policies=tuple(accepts))


def acknowledge(
    patient: PatientId,
    policies: Sequence[Code],
    *,
    patient_name: tuple[str, str],
    custodian: tuple[str, str],
    signing: Signing,
    now: datetime,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    scan: Scan | None = None,
) -> SignedConsent:
    """Write a consent that accepts policies of the domain and says nothing else (BPPC), and sign its bytes.

    `patient_name` is family and given name, `custodian` OID and name of the organisation that recorded it, `scan` the
    paper that the patient signed.
    """
    unique_id = new_oid()
    document = encode_bppc(
        document_id=unique_id,
        patient=patient,
        patient_name=patient_name,
        policies=policies,
        custodian=custodian,
        now=now,
        valid_from=valid_from or now,
        valid_until=valid_until,
        scan=scan,
    )
    format_code = _BPPC if scan is None else _BPPC_SCAN
    return _signed(patient, unique_id, document, signing, now, format_code=format_code, policies=tuple(policies))


def _signed(
    patient: PatientId,
    unique_id: str,
    document: bytes,
    signing: Signing,
    now: datetime,
    *,
    format_code: Code,
    policies: tuple[Code, ...],
) -> SignedConsent:
    digest = hashlib.sha256(document).digest()
    purpose = _PURPOSE_WITNESS if signing.witness else _PURPOSE_CONSENT
    signature = signature_document.sign(
        {} if signing.enveloping else {unique_id: digest},
        enclosed={unique_id: document} if signing.enveloping else None,
        key=signing.key,
        stamp=signing.stamp,
        commitment=purpose.code,
        now=now,
    )
    return SignedConsent(
        patient=patient,
        unique_id=unique_id,
        document=document,
        signature=signature,
        format_code=format_code,
        policies=policies,
        signature_format=_ENVELOPING if signing.enveloping else _DETACHED,
        purpose=purpose,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentSource:
    """Publishes consents to one repository."""

    client: Client
    repository: Channel
    source_id: str
    institution: str
    """XON of who publishes"""
    clock: Clock

    def publish(self, consent: SignedConsent, *, title: str, replaces: str = "") -> PublishedConsent:
        """Provide and register; `replaces` is the entryUUID of the consent that this one ends."""
        submission, documents = self._submission(consent, title, replaces)
        (entry, _) = submission.document_entries
        called = call(
            self.client,
            iti41.TRANSACTION,
            Provision(submission, documents),
            self.repository,
            packaging=Packaging.MTOM,
        )
        called.close()
        return PublishedConsent(
            outcome=called.answer,
            entry_uuid=entry.entry_uuid,
            unique_id=consent.unique_id,
            trace=called.reply.trace,
        )

    def _submission(self, consent: SignedConsent, title: str, replaces: str) -> tuple[Submission, dict[str, Document]]:
        now = self.clock().strftime("%Y%m%d%H%M%S")
        entry = self._entry(
            consent.patient,
            unique_id=consent.unique_id,
            now=now,
            title=title,
            format_code=consent.format_code,
            type_code=_CONSENT,
            language="en",
            event_codes=consent.policies,
        )
        signature = self._entry(
            consent.patient,
            unique_id=new_oid(),
            now=now,
            title="Consent Signature",
            format_code=consent.signature_format,
            type_code=_SIGNATURE_TYPE,
            language="art",
            event_codes=(consent.purpose,),
        )
        submission_set = SubmissionSet(
            entry_uuid=new_entry_uuid(),
            unique_id=new_oid(),
            source_id=self.source_id,
            patient_id=consent.patient.cx,
            submission_time=now,
            authors=(Author(institutions=(self.institution,)),),
            content_type_code=_CONSENT,
            title=title,
        )
        associations = [
            Association(
                entry_uuid=new_entry_uuid(),
                type=uuids.HAS_MEMBER,
                source=submission_set.entry_uuid,
                target=one.entry_uuid,
                submission_set_status=("Original",),
            )
            for one in (entry, signature)
        ]
        associations.append(
            Association(
                entry_uuid=new_entry_uuid(),
                type=uuids.SIGNS,
                source=signature.entry_uuid,
                target=entry.entry_uuid,
            )
        )
        if replaces:
            associations.append(
                Association(entry_uuid=new_entry_uuid(), type=uuids.RPLC, source=entry.entry_uuid, target=replaces)
            )
        documents = {entry.entry_uuid: _document(consent.document), signature.entry_uuid: _document(consent.signature)}
        return Submission((submission_set,), (entry, signature), (), tuple(associations)), documents

    def _entry(
        self,
        patient: PatientId,
        *,
        unique_id: str,
        now: str,
        title: str,
        format_code: Code,
        type_code: Code,
        language: str,
        event_codes: tuple[Code, ...] = (),
    ) -> DocumentEntry:
        return DocumentEntry(
            entry_uuid=new_entry_uuid(),
            mime_type="text/xml",
            unique_id=unique_id,
            patient_id=patient.cx,
            source_patient_id=patient.cx,
            authors=(Author(institutions=(self.institution,)),),
            class_code=_CONSENT,
            confidentiality_codes=(_NORMAL,),
            creation_time=now,
            service_start_time=now,
            event_codes=event_codes,
            format_code=format_code,
            healthcare_facility_type_code=_FACILITY,
            language_code=language,
            practice_setting_code=_PRACTICE,
            title=title,
            type_code=type_code,
        )


def _document(raw: bytes) -> Document:
    sha1 = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    return Document(open=lambda: iter((raw,)), size=len(raw), sha1=sha1)
