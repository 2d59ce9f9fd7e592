"""Reads and verifies consents and their signatures as they are registered (docs/policy.md; ITI TF-3 5.1, 5.5; APPC).

A consent grants only when its signature is valid, the certificate chains to the consent trust list, the signer may sign
for that patient, and the document says of itself what its metadata say.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo

from xdsi.actors.consent_fetching import ConsentFetching
from xdsi.domain.consent import Consent, Policy, SignatureStatus
from xdsi.domain.errors import IntegrityLost, MalformedMessage
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import PatientIdentities
from xdsi.domain.metadata import Association, DocumentEntry
from xdsi.domain.outcome import Problem
from xdsi.domain.ports import Clock, DocumentStore, Registry, RegistrySession
from xdsi.domain.registration import review
from xdsi.domain.submission import Submission
from xdsi.rules import consent_document
from xdsi.spec import uuids
from xdsi.spec.xacml import CONSENT_FORMATS, FORMAT_SCHEME, SIGNATURE_FORMATS
from xdsi.wire import signature_document
from xdsi.wire.consent import decode_consent

log = logging.getLogger("xdsi.consent")

LIMIT = 1024 * 1024
"""bytes of a consent or signature document"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedConsentIntake:
    """Verifies with the bytes in the hub's own store, or brought from the repository that the entry names.

    What another repository does not give out in time stays pending and grants nothing; it is asked again.
    """

    documents: DocumentStore
    identities: PatientIdentities
    signers: Callable[[], signature_document.ConsentTrust]
    """who may sign, as it is now"""
    clock: Clock
    reject_invalid: bool
    zone: tzinfo = UTC
    """where days in a consent's window begin and end"""
    elsewhere: ConsentFetching | None = None
    """other repositories; None where none is known"""
    _looked_with: list[signature_document.ConsentTrust] = field(default_factory=list)
    """the trust with which pending consents were last looked at"""

    def prepare(self, entries: Sequence[DocumentEntry]) -> None:
        """Bring the consents and signatures among these entries that lie in other repositories."""
        if self.elsewhere is not None:
            self.elsewhere.bring([one for one in entries if is_consent(one) or is_signature(one)])

    def retry(self, registry: Registry) -> None:
        """Look again at pending consents of which something now came: a document, or word about certificates."""
        with registry.reading() as session:
            waiting = {one: self._papers(one, session) for one in session.pending_consents()}
        self.prepare([paper for papers in waiting.values() for paper in papers])
        signers = self.signers()
        changed = self._looked_with != [signers]
        came = [one for one, papers in waiting.items() if self._have_come(papers, changed=changed)]
        if came:
            with registry.writing() as session:
                review(came, session, self)
        self._looked_with[:] = [signers]

    @staticmethod
    def _papers(entry_uuid: str, session: RegistrySession) -> list[DocumentEntry]:
        """A consent's entry, and those of its signatures."""
        signs = session.related_to([entry_uuid], (uuids.SIGNS,))
        found = session.objects([entry_uuid, *(one.source for one in signs)]).values()
        return [one for one in found if isinstance(one, DocumentEntry)]

    def _have_come(self, papers: Sequence[DocumentEntry], *, changed: bool) -> bool:
        elsewhere = [one for one in papers if self._is_elsewhere(one)]
        return (bool(elsewhere) or changed) and all(self._read(one) is not None for one in elsewhere)

    def _is_elsewhere(self, entry: DocumentEntry) -> bool:
        return self.elsewhere is not None and self.elsewhere.knows(entry.repository_unique_id)

    def examine(self, submission: Submission, session: RegistrySession) -> tuple[Sequence[Problem], Sequence[Consent]]:
        """The consents that this submission brings or signs, verified; problems where one is refused or ended."""
        entries = {entry.entry_uuid: entry for entry in submission.document_entries}
        signatures = self._signatures(submission, entries, session)
        consents = {entry.entry_uuid: entry for entry in entries.values() if is_consent(entry)}
        for target in signatures:
            known = entries.get(target) or session.objects([target]).get(target)
            if isinstance(known, DocumentEntry) and is_consent(known):
                consents[target] = known
        problems: list[Problem] = []
        verified: list[Consent] = []
        for entry_uuid, entry in consents.items():
            consent = self._verify(entry, signatures.get(entry_uuid, ()), session)
            log.info("consent %s: %s %s", consent.unique_id, consent.status, consent.reason)
            # Only a valid signature changes what is known of a consent registered before: a bad one must not undo it.
            if entry_uuid in entries or consent.status is SignatureStatus.VALID:
                verified.append(consent)
            if consent.status is SignatureStatus.FAILED and self.reject_invalid:
                problems.append(
                    Problem(
                        "XDSRegistryMetadataError",
                        f"the consent {entry.unique_id} or its signature is not valid, or cannot be read here",
                        location=entry_uuid,
                        rule="CONSENT.signature",
                    )
                )
        problems.extend(self._ended_by_others(submission, verified, session))
        return problems, verified

    @staticmethod
    def _ended_by_others(
        submission: Submission, verified: Sequence[Consent], session: RegistrySession
    ) -> Iterator[Problem]:
        """A consent is ended by the patient's next one, not by whatever else a node would put in its place."""
        valid = {consent.entry_uuid for consent in verified if consent.status is SignatureStatus.VALID}
        ends = [one for one in submission.associations if one.type in uuids.REPLACEMENTS]
        allowed = {one.target for one in ends if one.source in valid}
        versions = [entry for entry in submission.document_entries if entry.logical_id != entry.entry_uuid]
        allowed |= {entry.logical_id for entry in versions if entry.entry_uuid in valid}
        ended = _with_descendants([one.target for one in ends], session)
        ended += [entry.logical_id for entry in versions if entry.logical_id]
        for entry in session.objects(ended).values() if ended else ():
            if isinstance(entry, DocumentEntry) and is_consent(entry) and entry.entry_uuid not in allowed:
                yield Problem(
                    "XDSRegistryMetadataError",
                    f"the consent {entry.unique_id} can be replaced by another validly signed consent only",
                    location=entry.entry_uuid,
                    rule="CONSENT.replacement",
                )

    def _signatures(
        self, submission: Submission, entries: dict[str, DocumentEntry], session: RegistrySession
    ) -> dict[str, tuple[DocumentEntry, ...]]:
        """For each signed entry of this submission or of the registry, the signature documents that sign it."""
        signs: dict[str, tuple[DocumentEntry, ...]] = {}
        for association in submission.associations:
            if association.type != uuids.SIGNS:
                continue
            source = self._entry(association, entries, session)
            if source is not None and is_signature(source):
                signs[association.target] = (*signs.get(association.target, ()), source)
        return signs

    @staticmethod
    def _entry(
        association: Association, entries: dict[str, DocumentEntry], session: RegistrySession
    ) -> DocumentEntry | None:
        found = entries.get(association.source) or session.objects([association.source]).get(association.source)
        return found if isinstance(found, DocumentEntry) else None

    def _verify(self, entry: DocumentEntry, signatures: Sequence[DocumentEntry], session: RegistrySession) -> Consent:
        consent = Consent(
            unique_id=entry.unique_id,
            entry_uuid=entry.entry_uuid,
            patient=PatientId.parse(entry.patient_id),
            policy=Policy(id=entry.unique_id, combining=""),
            status=SignatureStatus.PENDING,
        )
        # What was signed stays signed: a consent that was replaced would come back by a second entry of its document.
        known = session.entries_by_unique_id([entry.unique_id])
        if any(is_consent(other) and other.logical_id != entry.logical_id for other in known):
            return replace(consent, status=SignatureStatus.FAILED, reason="the consent is registered already")
        raw = self._read(entry)
        if raw is None and self._is_elsewhere(entry) and not _is_large(entry):
            return replace(consent, reason=f"repository {entry.repository_unique_id} has not given it out yet")
        if raw is None:
            # Registered without being understood, a refusal would not be enforced: it is not accepted here.
            reason = f"the document is in no repository that this hub can ask, or larger than {LIMIT} bytes"
            return replace(consent, status=SignatureStatus.FAILED, reason=reason)
        try:
            policy, facts = decode_consent(raw, entry.format_code.code if entry.format_code else "", zone=self.zone)
        except MalformedMessage as error:
            return replace(consent, status=SignatureStatus.FAILED, reason=f"unreadable: {error}")
        consent = replace(consent, policy=policy, valid_from=facts.valid_from, valid_until=facts.valid_until)
        contradictions = tuple(consent_document.check(facts, entry, linked=self.identities.aliases))
        if contradictions:
            reason = "; ".join(problem.context for problem in contradictions)
            return replace(consent, status=SignatureStatus.FAILED, reason=reason)
        if not signatures:
            return replace(consent, reason="no signature")
        results = [self._verify_signature(consent, raw, signature) for signature in signatures]
        # One valid signature is enough; else the worst that was found.
        for status in (SignatureStatus.VALID, SignatureStatus.FAILED, SignatureStatus.PENDING):
            for result in results:
                if result.status is status:
                    return result
        return consent

    def _verify_signature(self, consent: Consent, document: bytes, signature: DocumentEntry) -> Consent:
        raw = self._read(signature)
        if raw is None:
            return replace(consent, reason="the signature document is not at hand")

        def digest(unique_id: str, algorithm: str) -> bytes | None:
            content = document if unique_id == consent.unique_id else self._stored(unique_id)
            return None if content is None else hashlib.new(algorithm, content).digest()

        persons = (consent.patient, *self.identities.aliases(consent.patient))
        now = self.clock()
        result = signature_document.verify(
            raw, digest, self.signers(), now, patients=persons, about=consent.unique_id, first_seen=now
        )
        return replace(
            consent,
            status=result.status,
            reason=result.reason,
            signer=result.signer,
            signed_at=result.signing_time,
        )

    def _read(self, entry: DocumentEntry) -> bytes | None:
        if self.elsewhere is not None and self.elsewhere.knows(entry.repository_unique_id):
            return self.elsewhere.find(entry)
        return self._stored(entry.unique_id)

    def _stored(self, unique_id: str) -> bytes | None:
        stored = self.documents.find(unique_id)
        if stored is None or stored.document.size > LIMIT:
            return None
        try:
            return b"".join(stored.document.open())
        except IntegrityLost:
            return None


def _with_descendants(replaced: Sequence[str], session: RegistrySession) -> list[str]:
    """The entries that a replacement deprecates: those replaced, and what hangs on them."""
    seen: dict[str, None] = {}
    fresh = list(replaced)
    while fresh:
        seen.update(dict.fromkeys(fresh))
        related = session.related_to(fresh, (uuids.APND, uuids.XFRM))
        fresh = [id_ for id_ in dict.fromkeys(one.source for one in related) if id_ not in seen]
    return list(seen)


def _is_large(entry: DocumentEntry) -> bool:
    return entry.size.isdecimal() and int(entry.size) > LIMIT


def is_consent(entry: DocumentEntry) -> bool:
    """True for a BPPC or APPC consent document, by its formatCode."""
    code = entry.format_code
    return code is not None and code.scheme == FORMAT_SCHEME and code.code in CONSENT_FORMATS


def is_signature(entry: DocumentEntry) -> bool:
    """True for a DSG signature document, by its formatCode."""
    code = entry.format_code
    return code is not None and code.scheme == FORMAT_SCHEME and code.code in SIGNATURE_FORMATS
