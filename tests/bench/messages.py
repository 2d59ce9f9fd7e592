"""ITI-41 and ITI-43 as bytes: a message is made once and becomes another one by changing its number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests import builders
from tests.bench.hub import Hub
from xdsi.domain.codes import Code
from xdsi.domain.retrieval import DocumentRequest, RetrieveRequest
from xdsi.domain.submission import Document, Provision
from xdsi.transactions import iti41_provide_and_register_document_set as iti41
from xdsi.transactions import iti43_retrieve_document_set as iti43
from xdsi.wire import mtom, soap
from xdsi.wire.message import Packaging, Payload

REPOSITORY = "2.999.1.2"
PATIENT = "PATIENT-00001^^^&2.999.1.1&ISO"
FIRST = 7_310_000_000
_CONTENT = b"@@ the content of the document @@"


def unique_id(number: int) -> str:
    """The document of a message; all of one length."""
    return f"2.999.71.{FIRST + number}"


@dataclass(frozen=True)
class Provided:
    """A Provide and Register message around the content of one document."""

    content_type: str
    before: bytes
    after: bytes

    def around(self, number: int) -> tuple[bytes, bytes]:
        """What comes before and after the content in the message of this number."""
        old, new = str(FIRST).encode(), str(FIRST + number).encode()
        return self.before.replace(old, new), self.after.replace(old, new)


def provide(mime_type: str = "application/pdf", format_code: Code | None = None, source_patient: str = "") -> Provided:
    """The message that provides a document of any size."""
    changes = {"format_code": format_code} if format_code else {}
    entry = builders.document_entry(
        "doc1",
        unique_id=unique_id(0),
        mime_type=mime_type,
        patient_id=PATIENT,
        source_patient_id=source_patient or PATIENT,
        hash="",
        size="",
        repository_unique_id="",
        **changes,
    )
    submission_set = builders.submission_set("set", unique_id=f"2.999.72.{FIRST}", patient_id=PATIENT)
    document = Document(lambda: iter((_CONTENT,)), len(_CONTENT))
    request = Provision(builders.submission(entry, sets=[submission_set]), {"doc1": document})
    payload = iti41.TRANSACTION.request.encode(request, Packaging.MTOM)
    content_type, message = _written(iti41.TRANSACTION.trigger, payload)
    before, after = message.split(_CONTENT)
    return Provided(content_type, before, after)


def write_retrieval(unique_ids: list[str], file: Path, hub: Hub | None = None) -> str:
    """Write a message that asks for documents; returns its Content-Type."""
    request = RetrieveRequest(tuple(DocumentRequest("", REPOSITORY, one) for one in unique_ids))
    payload = iti43.TRANSACTION.request.encode(request, Packaging.MTOM)
    content_type, message = _written(iti43.TRANSACTION.trigger, payload, hub.security() if hub else b"")
    file.write_bytes(message)
    return content_type


def _written(action: str, payload: Payload, security: bytes = b"") -> tuple[str, bytes]:
    envelope = soap.write_envelope(
        action,
        payload.body,
        message_id=f"urn:uuid:00000000-0000-4000-a000-00{FIRST}",
        reply_to_anonymous=True,
        security=security,
    )
    writer = mtom.MultipartWriter()
    return writer.content_type, b"".join(writer.message((b"".join(envelope),), payload.attachments))
