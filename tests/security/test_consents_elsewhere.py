"""Consents in another repository: brought by ITI-43, pending while they cannot be had, never granting before."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests import builders, certificates
from tests.security.test_consents import _Attached
from xdsi import app, settings
from xdsi.actors import consent_source
from xdsi.actors.consent_fetching import AT_ONCE, ConsentFetching
from xdsi.domain.consent import Consent, Effect, SignatureStatus, Statement
from xdsi.domain.errors import Unavailable
from xdsi.domain.identifiers import PatientId
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Outcome
from xdsi.domain.retrieval import RetrieveAnswer, RetrievedDocument
from xdsi.domain.subject import Caller, Node, Peer
from xdsi.domain.submission import Document, Submission
from xdsi.exchange import Reply, Trace, Transaction, run
from xdsi.storage.copies import DocumentCopyFolder
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.wire import soap, xml
from xdsi.wire.message import Message, Packaging, Payload
from xdsi.wire.saml import SamlTrust, read_assertion
from xdsi.wire.saml_issue import security_header

PATIENT = PatientId.parse(builders.PATIENT)
FOREIGN = "2.999.8.2"
PERMIT = Statement(effect=Effect.PERMIT)
REPOSITORY = Caller(peer=Peer(address="127.0.0.1", node=Node(name="repository", permits=frozenset({"ITI-42"}))))


class Elsewhere:
    """A repository of somebody else, which may be away, be slow, or give out something else."""

    url = "urn:test:elsewhere"

    def __init__(self, parts: app.Parts) -> None:
        self.parts = parts
        self.held: dict[str, bytes] = {}
        self.away = False
        self.withheld = b""
        self.slow: threading.Event | None = None
        self.asked: list[bytes] = []

    def send(
        self, transaction: Transaction[Any, Any], payload: Payload, packaging: Packaging, security: bytes = b""
    ) -> Reply:
        self.asked.append(security)
        if self.slow is not None:
            self.slow.wait(20)
        if self.away:
            raise Unavailable("away")
        request = transaction.request.decode(Message(soap.read_envelope(b"".join(
            soap.write_envelope(transaction.trigger, payload.body))).body, {}))  # fmt: skip
        found = tuple(
            RetrievedDocument(one, "text/xml", _document(self.held[one.document_unique_id]))
            for one in request.documents
            if self.held.get(one.document_unique_id, self.withheld) != self.withheld
        )
        answer = transaction.response.encode(RetrieveAnswer(Outcome.of(()), found), Packaging.SIMPLE)
        body = soap.read_reply(b"".join(soap.write_envelope(transaction.reply, answer.body))).body
        return Reply(Message(body, {}), self.parts.make_spool(), "0" * 32)


def _document(raw: bytes) -> Document:
    sha1 = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    return Document(open=lambda: iter((raw,)), size=len(raw), sha1=sha1)


class Hub:
    def __init__(self, folder: Path) -> None:
        (folder / "ca.pem").write_bytes(certificates.authority("persons").cert_pem)
        self.parts = app.Parts(
            settings.Settings(
                server=settings.Server(data_dir=folder / "data", actors=("registry", "repository")),
                domain=settings.Domain(accept_unknown_patients=True),
                consent=settings.Consent(signer_ca=str(folder / "ca.pem"), fetch_seconds=0.5),
            )
        )
        self.elsewhere = Elsewhere(self.parts)
        self.parts.__dict__["other_repositories"] = {FOREIGN: self.elsewhere}
        self.signer = certificates.identity("Ann Roe", issuer="persons", serial_number=PATIENT.id)

    def consent(self) -> consent_source.SignedConsent:
        return consent_source.make(
            PATIENT,
            [PERMIT],
            description="consent",
            signing=consent_source.Signing(key=self.signer.signing_key),
            now=datetime.now(UTC),
        )

    def register(self, consent: consent_source.SignedConsent, *, repository: str = FOREIGN) -> Outcome:
        """ITI-42 as the other repository sends it."""
        source = consent_source.ConsentSource(
            client=self.parts.client, repository=_Attached(self.parts.repository_actor, self.parts.make_spool),
            source_id="2.999.3", institution="Hospital^^^^^^^^^2.999.5", clock=lambda: datetime.now(UTC),
        )  # fmt: skip
        made, documents = source._submission(consent, "Consent", "")
        entries = []
        for entry in made.document_entries:
            raw = b"".join(documents[entry.entry_uuid].open())
            self.elsewhere.held.setdefault(entry.unique_id, raw)
            entries.append(
                replace(entry, repository_unique_id=repository, hash=hashlib.sha1(raw).hexdigest(), size=str(len(raw)))
            )
        self.entries = tuple(entries)
        submission: Submission = replace(made, document_entries=tuple(entries))
        payload = run(
            self.parts.registry_actor,
            iti42.TRANSACTION,
            Message(soap.read_envelope(b"".join(soap.write_envelope(
                iti42.TRANSACTION.trigger, iti42.TRANSACTION.request.encode(submission, Packaging.SIMPLE).body
            ))).body, {}),
            REPOSITORY, packaging=Packaging.SIMPLE, trace=Trace(),
        )  # fmt: skip
        body = soap.read_reply(b"".join(soap.write_envelope(iti42.TRANSACTION.reply, payload.body))).body
        return iti42.TRANSACTION.response.decode(Message(body, {}))

    def status(self) -> list[SignatureStatus]:
        return [one.status for one in self.known()]

    def known(self) -> list[Consent]:
        with self.parts.registry.reading() as session:
            return list(session.consents(PATIENT))

    def retry(self) -> None:
        intake = self.parts.consent_intake
        assert intake is not None
        intake.retry(self.parts.registry)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    made = Hub(tmp_path)
    yield made
    made.parts.close()


def test_brought_as_it_is_registered(hub: Hub) -> None:
    assert hub.register(hub.consent()).accepted
    assert hub.status() == [SignatureStatus.VALID]
    # The document and its signature, once each.
    assert len(hub.elsewhere.asked) == 2


def test_what_cannot_be_had_is_pending_grants_nothing_and_is_asked_for_again(hub: Hub) -> None:
    hub.elsewhere.away = True
    assert hub.register(hub.consent()).accepted
    assert hub.status() == [SignatureStatus.PENDING]
    assert not hub.known()[0].active_at(datetime.now(UTC))
    hub.retry()
    assert hub.status() == [SignatureStatus.PENDING]
    hub.elsewhere.away = False
    hub.retry()
    assert hub.status() == [SignatureStatus.VALID]
    asked = len(hub.elsewhere.asked)
    hub.retry()
    assert len(hub.elsewhere.asked) == asked, "what has come is not asked for again"


def test_a_signature_alone_may_be_missing(hub: Hub) -> None:
    consent = hub.consent()
    hub.elsewhere.withheld = consent.signature
    assert hub.register(consent).accepted
    assert hub.status() == [SignatureStatus.PENDING]
    hub.retry()
    assert hub.status() == [SignatureStatus.PENDING]
    hub.elsewhere.withheld = b""
    hub.retry()
    assert hub.status() == [SignatureStatus.VALID]


def test_a_repository_that_does_not_answer_keeps_nobody_waiting_longer_than_agreed(hub: Hub) -> None:
    hub.elsewhere.slow = threading.Event()
    try:
        assert hub.register(hub.consent()).accepted
        assert hub.status() == [SignatureStatus.PENDING]
    finally:
        hub.elsewhere.slow.set()


def test_a_repository_that_does_not_answer_keeps_nobody_from_asking_another_one() -> None:
    stuck, asked = threading.Event(), []

    class Asking(ConsentFetching):
        def _ask(self, entry: DocumentEntry) -> bytes | None:
            asked.append(entry.unique_id)
            if entry.repository_unique_id == FOREIGN:
                stuck.wait(60)
            return None

    class Nothing:
        def find(self, repository: str, unique_id: str) -> bytes | None:
            return None

    other = "2.999.99.2"
    fetching: Any = Asking
    brought = fetching(
        client=None, repositories={FOREIGN: None, other: None}, copies=Nothing(), assertion=bytes, limit=1, seconds=0.05
    )
    slow = [builders.document_entry(unique_id=f"2.999.98.{n}", repository_unique_id=FOREIGN) for n in range(AT_ONCE)]
    try:
        brought.bring(slow)
        brought.bring([builders.document_entry(unique_id="2.999.97", repository_unique_id=other)])
        assert "2.999.97" in asked
    finally:
        stuck.set()
        brought.close()


def test_other_bytes_than_those_registered_are_not_believed(hub: Hub) -> None:
    consent = hub.consent()
    hub.elsewhere.held[consent.unique_id] = hub.consent().document
    assert hub.register(consent).accepted
    assert hub.status() == [SignatureStatus.PENDING]
    hub.elsewhere.held[consent.unique_id] = consent.document
    hub.retry()
    assert hub.status() == [SignatureStatus.VALID]


def test_an_unsigned_or_changed_consent_from_elsewhere_is_refused(hub: Hub) -> None:
    consent = hub.consent()
    changed = consent.document.replace(b"signed", b"sealed").replace(b"consent<", b"CONSENT<")
    assert changed != consent.document
    outcome = hub.register(replace(consent, document=changed))
    assert {problem.code for problem in outcome.problems} == {"XDSRegistryMetadataError"}
    assert hub.status() == []


def test_a_repository_that_nobody_knows_is_not_asked(hub: Hub) -> None:
    outcome = hub.register(hub.consent(), repository="2.999.8.3")
    assert {problem.code for problem in outcome.problems} == {"XDSRegistryMetadataError"}
    assert hub.elsewhere.asked == []


def test_a_pending_consent_ends_no_other(hub: Hub) -> None:
    first = hub.consent()
    assert hub.register(first).accepted
    (known,) = hub.known()
    hub.elsewhere.away = True
    second = hub.consent()
    submission_of = consent_source.ConsentSource._submission

    def replacing(self: Any, consent: Any, title: str, _: str) -> Any:
        return submission_of(self, consent, title, known.entry_uuid)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consent_source.ConsentSource, "_submission", replacing)
        outcome = hub.register(second)
    assert {problem.code for problem in outcome.problems} == {"XDSRegistryMetadataError"}
    assert [one.unique_id for one in hub.known()] == [first.unique_id]


def test_the_engine_says_who_it_is(tmp_path: Path) -> None:
    """By an assertion under the domain's name, with the key that signs decisions."""
    engine = certificates.identity("hub", "2048")
    (tmp_path / "hub.pem").write_bytes(engine.cert_pem)
    (tmp_path / "hub.key").write_bytes(engine.key_pem)
    with app.Parts(
        settings.Settings(
            server=settings.Server(data_dir=tmp_path / "data"),
            consent=settings.Consent(decision_certificate=str(tmp_path / "hub.pem")),
        )
    ) as parts:
        raw = parts.engine_assertion()
    trust = SamlTrust.of({"urn:oid:2.999.1": [engine.cert_pem]}, ["urn:oid:2.999.1"])
    header = xml.parse(security_header(raw), limit=100_000)
    verified = read_assertion([header], trust, now=datetime.now(UTC))
    assert verified.subject.user_id == "urn:xdsi:2026:decision-engine:urn:oid:2.999.1"


def test_a_copy_is_whole_and_stays(tmp_path: Path) -> None:
    copies = DocumentCopyFolder(tmp_path / "copies")
    assert copies.find(FOREIGN, "1.2") is None
    copies.keep(FOREIGN, "1.2", b"first")
    copies.keep(FOREIGN, "1.2", b"second")
    copies.keep("2.999.8.3", "1.2", b"another")
    copies.keep(FOREIGN, "../../1.2", b"elsewhere")
    assert copies.find(FOREIGN, "1.2") == b"first"
    assert copies.find("2.999.8.3", "1.2") == b"another"
    assert {one.parent for one in tmp_path.rglob("*") if one.is_file()} == {tmp_path / "copies"}
    assert len(list((tmp_path / "copies").iterdir())) == 3, "nothing half written is left"
