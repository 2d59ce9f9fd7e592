"""What simulated clients send: a prepared message of each actor, new ids in each.

ITI TF-2 3.41, 3.18, 3.43; RAD TF-2 4.69.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from xdsi.domain.codes import Code
from xdsi.domain.identifiers import PatientId, new_entry_uuid
from xdsi.domain.imaging import ImagingRequest, SeriesRequest, StudyRequest
from xdsi.domain.metadata import Association, Author, DocumentEntry, SubmissionSet
from xdsi.domain.retrieval import DocumentRequest, RetrieveRequest
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.domain.submission import Document, Provision, Submission
from xdsi.rules import stored_query
from xdsi.spec import uuids
from xdsi.spec.messages import FORMS
from xdsi.spec.namespaces import APPROVED
from xdsi.wire import mtom, soap
from xdsi.wire.ebxml import imaging, provision, query, retrieve
from xdsi.wire.message import Packaging, Payload
from xdsi.wire.saml_issue import security_header
from xdsi.wire.simulated_faults import HttpMessage

_ACTIONS = {one.transaction: one for one in FORMS if one.is_request}
_SNOMED = "2.16.840.1.113883.6.96"


def message(transaction: str, payload: Payload, *, to: str, assertion: bytes = b"") -> HttpMessage:
    """A request in its envelope and packaging."""
    form = _ACTIONS[transaction]
    security = security_header(assertion) if assertion else b""
    root = b"".join(
        soap.write_envelope(
            form.action, payload.body, message_id=f"urn:uuid:{uuid.uuid4()}", to=to, reply_to_anonymous=True,
            security=security,
        )
    )  # fmt: skip
    if not form.mtom:
        return HttpMessage(0, (("Content-Type", soap.CONTENT_TYPE),), root)
    writer = mtom.MultipartWriter(action=form.action)
    body = b"".join(writer.message((root,), payload.attachments))
    return HttpMessage(0, (("Content-Type", writer.content_type),), body)


def oid() -> str:
    """A fresh OID (ITU-T X.667)."""
    return f"2.25.{uuid.uuid4().int}"


def submission(patient: PatientId, text: str, *, source_id: str) -> Payload:
    """A document source submits a text (ITI-41)."""
    content = text.encode()

    def chunks() -> Iterator[bytes]:
        yield content

    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    author = Author(institutions=("Simulated source",))
    entry = DocumentEntry(
        entry_uuid=new_entry_uuid(), unique_id=oid(), patient_id=patient.cx, source_patient_id=patient.cx,
        mime_type="text/plain", creation_time=now, language_code="en", title="Simulated document", authors=(author,),
        class_code=Code("REPORTS", "1.3.6.1.4.1.19376.1.2.6.1", "Reports"),
        confidentiality_codes=(Code("N", "2.16.840.1.113883.5.25", "normal"),),
        format_code=Code("urn:ihe:iti:xds:2017:mimeTypeSufficient", "1.3.6.1.4.1.19376.1.2.3", "mimeType Sufficient"),
        healthcare_facility_type_code=Code("22232009", _SNOMED, "Hospital"),
        practice_setting_code=Code("394914008", _SNOMED, "Radiology"),
        type_code=Code("34133-9", "2.16.840.1.113883.6.1", "Summary of episode note"),
    )  # fmt: skip
    own = SubmissionSet(
        entry_uuid=new_entry_uuid(), unique_id=oid(), source_id=source_id, patient_id=patient.cx, submission_time=now,
        authors=(author,), content_type_code=Code("REPORTS", "1.3.6.1.4.1.19376.1.2.6.1", "Reports"),
    )  # fmt: skip
    link = Association(
        entry_uuid=new_entry_uuid(), type=uuids.HAS_MEMBER, source=own.entry_uuid, target=entry.entry_uuid,
        submission_set_status=("Original",),
    )  # fmt: skip
    document = Document(
        open=chunks, size=len(content), sha1=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    given = Provision(Submission((own,), (entry,), (), (link,)), {entry.entry_uuid: document})
    return provision.encode(given, Packaging.MTOM)


def find_documents(patient: PatientId) -> Payload:
    """A consumer looks for a patient's documents (ITI-18)."""
    asked = StoredQuery(
        uuids.FIND_DOCUMENTS,
        ReturnType.LEAF_CLASS,
        {"$XDSDocumentEntryPatientId": ((patient.cx,),), "$XDSDocumentEntryStatus": ((APPROVED,),)},
    )
    return query.encode_request(stored_query.encode(asked), Packaging.SIMPLE)


def retrieval(repository_id: str, unique_id: str) -> Payload:
    """A consumer fetches a document (ITI-43)."""
    return retrieve.encode_request(RetrieveRequest((DocumentRequest("", repository_id, unique_id),)), Packaging.MTOM)


def images(study: str, series: str, instance: str, location_uid: str) -> Payload:
    """An imaging consumer fetches an image (RAD-69)."""
    asked = DocumentRequest("", location_uid, instance)
    request = ImagingRequest((StudyRequest(study, (SeriesRequest(series, (asked,)),)),), ("1.2.840.10008.1.2.1",))
    return imaging.encode_request(request, Packaging.MTOM)
