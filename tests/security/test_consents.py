"""Hospitals that would end, revive or bend the consents of patients: only the patient's signature changes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import builders, certificates
from xdsi import app, settings
from xdsi.actors import consent_source
from xdsi.domain.codes import Code
from xdsi.domain.consent import Effect, Statement
from xdsi.domain.identifiers import PatientId, new_oid
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Outcome
from xdsi.domain.ports import Spool
from xdsi.domain.subject import Node, Peer
from xdsi.domain.submission import Document, Provision, Submission
from xdsi.exchange import Actor, Channel, Reply, Trace, Transaction, admit, call, run
from xdsi.spec import uuids
from xdsi.transactions import iti41_provide_and_register_document_set as iti41
from xdsi.wire import soap
from xdsi.wire.message import Message, Packaging, Payload

PATIENT = PatientId.parse(builders.PATIENT)
NOW = datetime.now(UTC)
DENY, PERMIT = Statement(effect=Effect.DENY), Statement(effect=Effect.PERMIT)


class _Attached:
    """A channel to an actor of this process, attachments included."""

    url = "urn:test"

    def __init__(self, actor: Actor, make_spool: Callable[[], Spool]) -> None:
        self._actor, self._make_spool = actor, make_spool

    def send(
        self, transaction: Transaction[Any, Any], payload: Payload, packaging: Packaging, security: bytes = b""
    ) -> Reply:
        raw = b"".join(soap.write_envelope(transaction.trigger, payload.body))
        request = soap.read_envelope(raw)
        parts = {one.content_id: _document(b"".join(one.open())) for one in payload.attachments}
        trace = Trace()
        hospital = Peer(address="127.0.0.1", node=Node(name="hospital", permits=frozenset({"ITI-41"})))
        caller = admit(self._actor, transaction, request, hospital, trace)
        answer = run(
            self._actor, transaction, Message(request.body, parts), caller, packaging=Packaging.SIMPLE, trace=trace
        )
        reply = soap.read_reply(b"".join(soap.write_envelope(transaction.reply, answer.body)))
        return Reply(Message(reply.body), self._make_spool(), trace.id)


class Hub:
    """A registry with its repository, and a hospital that may send what it likes."""

    def __init__(self, folder: Path) -> None:
        (folder / "ca.pem").write_bytes(certificates.authority("persons").cert_pem)
        self.parts = app.Parts(
            settings.Settings(
                server=settings.Server(data_dir=folder / "data", actors=("registry", "repository")),
                domain=settings.Domain(accept_unknown_patients=True),
                consent=settings.Consent(signer_ca=str(folder / "ca.pem")),
            )
        )
        self.signer = certificates.identity("Ann Roe", issuer="persons", serial_number=PATIENT.id)

    @property
    def channel(self) -> Channel:
        return _Attached(self.parts.repository_actor, self.parts.make_spool)

    @property
    def source(self) -> consent_source.ConsentSource:
        return consent_source.ConsentSource(
            client=self.parts.client,
            repository=self.channel,
            source_id="2.999.3",
            institution="Hospital^^^^^^^^^2.999.5",
            clock=lambda: NOW,
        )

    def consent(
        self, *statements: Statement, age: int = 0, signer: certificates.Identity | None = None
    ) -> consent_source.SignedConsent:
        who = signer or self.signer
        return consent_source.make(
            PATIENT,
            statements,
            description="consent",
            signing=consent_source.Signing(key=who.signing_key),
            now=NOW - timedelta(minutes=age),
        )

    def send(self, submission: Submission, *documents: bytes) -> Outcome:
        """ITI-41; the documents in the order of their entries."""
        given = {
            entry.entry_uuid: _document(content)
            for entry, content in zip(submission.document_entries, documents, strict=True)
        }
        called = call(
            self.parts.client, iti41.TRANSACTION, Provision(submission, given), self.channel, packaging=Packaging.MTOM
        )
        called.close()
        return called.answer

    def in_force(self) -> list[str]:
        with self.parts.registry.reading() as session:
            return [one.unique_id for one in session.consents(PATIENT) if one.active_at(datetime.now(UTC))]

    def close(self) -> None:
        self.parts.traces.close()
        self.parts.trail.close()
        self.parts.spools.close()
        self.parts.engine.dispose()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    made = Hub(tmp_path)
    yield made
    made.close()


def _document(content: bytes) -> Document:
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return Document(open=lambda: iter((content,)), size=len(content), sha1=sha1)


def _replacing(target: str, entry: DocumentEntry | None = None) -> Submission:
    """Something else of the same patient in the place of a registered entry."""
    return builders.submission(
        entry or _entry(),
        sets=[builders.submission_set(unique_id=new_oid())],
        associations=[builders.association(uuids.RPLC, "doc1", target)],
    )


def _entry(content: bytes = b"hello", **changes: object) -> DocumentEntry:
    attributes = {"hash": "", "size": "", "repository_unique_id": "", "unique_id": new_oid()}
    return builders.document_entry(**attributes | changes)


def _refused(outcome: Outcome) -> set[str]:
    assert not outcome.accepted
    assert {problem.code for problem in outcome.problems} == {"XDSRegistryMetadataError"}
    return {problem.context.partition(" [trace")[0] for problem in outcome.problems}


def test_a_note_does_not_take_the_place_of_a_refusal(hub: Hub) -> None:
    refusal = hub.source.publish(hub.consent(DENY), title="No")
    before = hub.in_force()
    assert before == [refusal.unique_id]
    _refused(hub.send(_replacing(refusal.entry_uuid), b"hello"))
    assert hub.in_force() == before


def test_an_unsigned_consent_does_not_take_the_place_of_a_refusal(hub: Hub) -> None:
    refusal = hub.source.publish(hub.consent(DENY), title="No")
    unsigned = hub.consent(PERMIT)
    code = Code("urn:ihe:iti:appc:2016:consent", "1.3.6.1.4.1.19376.1.2.3", "APPC")
    entry = _entry(unique_id=unsigned.unique_id, format_code=code, mime_type="text/xml")
    _refused(hub.send(_replacing(refusal.entry_uuid, entry), unsigned.document))
    assert hub.in_force() == [refusal.unique_id]


def test_a_refusal_does_not_go_with_the_note_that_it_hangs_on(hub: Hub) -> None:
    note = _entry()
    submission = builders.submission(note, sets=[builders.submission_set(unique_id=new_oid())])
    assert hub.send(submission, b"hello").accepted
    with hub.parts.registry.reading() as session:
        (target,) = (one.entry_uuid for one in session.entries_by_unique_id([note.unique_id]))
    consent = hub.consent(DENY)
    made, documents = hub.source._submission(consent, "No", target)
    hung = replace(
        made,
        associations=tuple(
            replace(one, type=uuids.APND) if one.type == uuids.RPLC else one for one in made.associations
        ),
    )
    provided = call(
        hub.parts.client, iti41.TRANSACTION, Provision(hung, documents), hub.channel, packaging=Packaging.MTOM
    )
    assert provided.answer.accepted
    assert hub.in_force() == [consent.unique_id]
    _refused(hub.send(_replacing(target), b"other"))
    assert hub.in_force() == [consent.unique_id]


def test_the_patient_may_change_his_mind(hub: Hub) -> None:
    first = hub.source.publish(hub.consent(PERMIT, age=5), title="Yes")
    second = hub.source.publish(hub.consent(DENY), title="No", replaces=first.entry_uuid)
    assert second.outcome.accepted
    assert hub.in_force() == [second.unique_id]


def test_a_consent_that_was_replaced_does_not_come_back(hub: Hub) -> None:
    old = hub.consent(PERMIT, age=5)
    first = hub.source.publish(old, title="Yes")
    second = hub.source.publish(hub.consent(DENY), title="No", replaces=first.entry_uuid)
    _refused(hub.source.publish(old, title="Yes again").outcome)
    assert hub.in_force() == [second.unique_id]


def test_a_consent_has_one_entry_so_that_revoking_it_leaves_none(hub: Hub) -> None:
    permit = hub.consent(PERMIT, age=5)
    first = hub.source.publish(permit, title="Yes")
    _refused(hub.source.publish(permit, title="Yes, planted").outcome)
    second = hub.source.publish(hub.consent(DENY), title="No", replaces=first.entry_uuid)
    assert hub.in_force() == [second.unique_id]


def test_a_signature_of_another_consent_grants_nothing(hub: Hub) -> None:
    genuine, forged = hub.consent(DENY), hub.consent(PERMIT)
    _refused(hub.source.publish(replace(forged, signature=genuine.signature), title="Yes").outcome)
    assert hub.in_force() == []


def test_what_was_changed_after_signing_grants_nothing(hub: Hub) -> None:
    genuine = hub.consent(DENY)
    changed = genuine.document.replace(b'Effect="Deny"', b'Effect="Permit"')
    assert changed != genuine.document
    _refused(hub.source.publish(replace(genuine, document=changed), title="Yes").outcome)
    assert hub.in_force() == []


@pytest.mark.parametrize("number", ["", "P2", "PNOBE-P2"], ids=["a node", "another patient", "another person"])
def test_nobody_else_signs_for_the_patient(hub: Hub, number: str) -> None:
    stranger = certificates.identity("stranger", issuer="persons", serial_number=number)
    _refused(hub.source.publish(hub.consent(PERMIT, signer=stranger), title="Yes").outcome)
    assert hub.in_force() == []


def test_a_bad_signature_does_not_undo_a_good_one(hub: Hub) -> None:
    refusal = hub.source.publish(hub.consent(DENY), title="No")
    bad = hub.consent(PERMIT)
    code = Code("urn:ihe:iti:dsg:detached:2014", "1.3.6.1.4.1.19376.1.2.3", "DSG")
    signature = builders.submission(
        _entry(format_code=code, mime_type="text/xml"),
        sets=[builders.submission_set(unique_id=new_oid())],
        associations=[builders.association(uuids.SIGNS, "doc1", refusal.entry_uuid)],
    )
    _refused(hub.send(signature, bad.signature))
    assert hub.in_force() == [refusal.unique_id]
