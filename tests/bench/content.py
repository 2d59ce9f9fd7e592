"""Fills a hub with patients, documents and consents, and writes the queries that ask for them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests import builders
from tests.bench.hub import RADIOLOGIST, Hub, patient
from xdsi.actors import consent_source
from xdsi.domain.codes import Code
from xdsi.domain.consent import Effect, Statement
from xdsi.domain.identifiers import PatientId
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.domain.submission import Submission
from xdsi.exchange import call
from xdsi.rules import stored_query
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.transport import pki
from xdsi.wire import soap
from xdsi.wire.message import Packaging
from xdsi.wire.signing_key import pem_key

PATIENTS = 40
FOUND = 10
"""entries in each answer"""
_FEWEST, _MOST = FOUND, 50
_WANTED = Code("REPORTS", "2.999.20", "Reports")
_OTHER = Code("IMAGES", "2.999.20", "Images")


def fill(hub: Hub) -> None:
    """Register each patient's documents, and the consent without which a full hub would show none of them."""
    registry = hub.channel("registry")
    for number in range(1, PATIENTS + 1):
        count = _FEWEST + (_MOST - _FEWEST) * (number - 1) // (PATIENTS - 1)
        called = call(hub.client(), iti42.TRANSACTION, _submission(number, count), registry)
        called.close()
        if called.answer.problems:
            raise RuntimeError(str(called.answer.problems))
    if hub.full:
        consent_to_all(hub, range(1, PATIENTS + 1))


def _submission(number: int, count: int) -> Submission:
    entries = [
        builders.document_entry(
            f"urn:uuid:00000000-0000-4000-8000-{number:06d}{index:06d}",
            unique_id=f"2.999.10.{number + 10_000}.{index + 100}",
            patient_id=patient(number),
            class_code=_WANTED if index < FOUND else _OTHER,
            creation_time=f"20240102{index:06d}",
        )
        for index in range(count)
    ]
    submission_set = builders.submission_set("set", unique_id=f"2.999.11.{number + 10_000}", patient_id=patient(number))
    return builders.submission(*entries, sets=[submission_set])


def consent_to_all(hub: Hub, numbers: range) -> None:
    """Publish a signed consent for each of these patients: radiologists may see everything."""
    source = consent_source.ConsentSource(
        client=hub.client(),
        repository=hub.channel("repository"),
        source_id="2.999.3",
        institution="Hospital A^^^^^^^^^2.999.9",
        clock=lambda: datetime.now(UTC),
    )
    seal = pki.load(hub.pki, "seal")
    for number in numbers:
        consent = consent_source.make(
            PatientId.parse(patient(number)),
            [Statement(effect=Effect.PERMIT, roles=(RADIOLOGIST,))],
            description="radiologists may see everything",
            signing=consent_source.Signing(key=pem_key(seal.key_file.read_bytes(), seal.certificate_file.read_bytes())),
            now=datetime.now(UTC),
        )
        published = source.publish(consent, title="Consent")
        if published.outcome.problems:
            raise RuntimeError(str(published.outcome.problems))


def write_queries(hub: Hub, folder: Path, *, assertions: int = 1) -> list[Path]:
    """FindDocuments for each patient as a whole SOAP message, one file each.

    With several `assertions` there are as many messages, each with one of its own.
    """
    folder.mkdir()
    security = hub.security()
    files = []
    for at in range(max(PATIENTS, assertions)):
        number = at % PATIENTS + 1
        if assertions > 1:
            security = hub.security()
        query = StoredQuery(
            uuids.FIND_DOCUMENTS,
            ReturnType.LEAF_CLASS,
            {
                "$XDSDocumentEntryPatientId": ((patient(number),),),
                "$XDSDocumentEntryStatus": ((APPROVED,),),
                "$XDSDocumentEntryClassCode": ((_WANTED,),),
            },
        )
        payload = iti18.TRANSACTION.request.encode(stored_query.encode(query), Packaging.SIMPLE)
        pieces = soap.write_envelope(
            iti18.TRANSACTION.trigger,
            payload.body,
            message_id=f"urn:uuid:00000000-0000-4000-9000-{at + 1:012d}",
            to=hub.url("registry"),
            reply_to_anonymous=True,
            security=security,
        )
        file = folder / f"{at + 1:05d}.xml"
        file.write_bytes(b"".join(pieces))
        files.append(file)
    return files
