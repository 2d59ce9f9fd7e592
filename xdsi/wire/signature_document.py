"""Document Digital Signature documents: read and verify a detached or enveloping XAdES signature; never dereference.

ITI TF-3 5.5 (DSG), XML Signature 1.1, XAdES (ETSI EN 319 132). References are met with digests that the caller has of
its own documents; no address is ever opened. xmlsec does not check a ds:Manifest, so the whole check is ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from xdsi.domain.consent import SignatureResult, SignatureStatus
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import PatientId
from xdsi.wire import time_stamp
from xdsi.wire.canonical import C14N_10, canonical
from xdsi.wire.signature_reader import DIGESTS, METHODS, OBJECT, SignatureDocument, SignedProperties, read
from xdsi.wire.signature_writer import CONSENT, CONSENT_WITNESS, sign, unique_id_of
from xdsi.wire.signer import (
    Capacity,
    ConsentTrust,
    SignatureRefused,
    check_signer,
    check_signs_for,
    check_time_stamp,
    fingerprint,
    serial_number_of,
)

__all__ = ["ConsentTrust", "Fetch", "SignatureDocument", "integrity", "read", "sign", "verify"]

Fetch = Callable[[str, str], bytes | None]
"""uniqueId of a document and a name of hashlib ('sha256') to the digest of its stored bytes; None where not at hand"""


def verify(
    raw: bytes,
    fetch: Fetch,
    trust: ConsentTrust,
    now: datetime,
    *,
    patients: Collection[PatientId] | None,
    about: str = "",
    first_seen: datetime | None = None,
) -> SignatureResult:
    """Check everything: form, digests of all documents, signature, signer, purpose.

    `patients` are the identifiers of the patient whom the signer must be (a hospital's seal may stand in); None where
    the signature is not a consent's. `about` is the uniqueId of the document that has to be among the signed ones;
    documents beside it need not be at hand; it may also be enclosed, byte for byte. `first_seen` is when the signature
    arrived: a trusted time stamp can prove that it existed before.
    """
    try:
        document = read(raw)
    except MalformedMessage as error:
        return SignatureResult(status=SignatureStatus.FAILED, reason=f"FORMAT_FAILURE: {error}")
    certificate: x509.Certificate | None = None
    documents: dict[str, bool | None] = {}
    on_behalf = False
    stamped: datetime | None = None
    try:
        properties = document.properties
        if properties is None:
            raise SignatureRefused("FORMAT_FAILURE", "the signed properties are not signed")
        certificate = _signing_certificate(document, properties)
        _check_value(document, certificate)
        documents = _check_references(document, fetch)
        _note_enclosed(document, documents, fetch, about)
        stamped = _time_stamped(document, trust, now)
        proved = min(filter(None, (stamped, first_seen)), default=None)
        _check_time(properties.signing_time, trust, now, proved)
        waiting: SignatureRefused | None = None
        try:
            check_signer(
                certificate,
                [other for other in document.certificates if other != certificate],
                trust,
                signing_time=properties.signing_time,
                now=now,
                first_seen=proved,
            )
        except SignatureRefused as refused:
            # What waits for a revocation list may be wrong in other respects already.
            if refused.status is SignatureStatus.FAILED:
                raise
            waiting = refused
        if patients is not None:
            capacity = check_signs_for(certificate, patients, trust)
            on_behalf = capacity is not Capacity.PATIENT
            purposes = {CONSENT, CONSENT_WITNESS} if capacity is Capacity.HOSPITAL else {CONSENT}
            if purposes.isdisjoint(properties.commitments):
                raise SignatureRefused("SIG_CONSTRAINTS_FAILURE", f"signed as {', '.join(properties.commitments)}")
        _check_documents(documents, about)
        if waiting is not None:
            raise waiting
        status, reason = SignatureStatus.VALID, ""
    except SignatureRefused as refused:
        status, reason = refused.status, str(refused)
    except MalformedMessage as error:
        status, reason = SignatureStatus.FAILED, f"FORMAT_FAILURE: {error}"
    return SignatureResult(
        status=status,
        reason=reason,
        signer="" if certificate is None else certificate.subject.rfc4514_string(),
        serial_number="" if certificate is None else serial_number_of(certificate),
        certificate_sha256="" if certificate is None else fingerprint(certificate),
        on_behalf=on_behalf,
        signing_time=None if document.properties is None else document.properties.signing_time,
        commitments=() if document.properties is None else document.properties.commitments,
        documents=documents,
        stamped_at=stamped,
    )


def integrity(document: SignatureDocument) -> tuple[SignatureRefused, ...]:
    """Every way in which a signature does not hold by itself: nothing is asked about who signed, or of other documents.

    Verifying asks for more (`verify`); what fails here fails there.
    """
    certificate = document.certificates[0] if document.certificates else None
    refused: list[SignatureRefused] = []

    def attempt(check: Callable[[], object]) -> None:
        try:
            check()
        except SignatureRefused as found:
            refused.append(found)

    if document.properties is None:
        refused.append(SignatureRefused("FORMAT_FAILURE", "the signed properties are not signed"))
    else:
        properties = document.properties
        named: list[x509.Certificate] = []
        attempt(lambda: named.append(_signing_certificate(document, properties)))
        certificate = named[0] if named else certificate
    if certificate is not None:
        signer = certificate
        attempt(lambda: _check_value(document, signer))

    def references() -> None:
        changed = [one for one, same in _check_references(document, lambda uri, name: None).items() if same is False]
        if changed:
            raise SignatureRefused("HASH_FAILURE", f"changed after signing: {', '.join(changed)}")

    attempt(references)
    return tuple(refused)


# Checks


def _signing_certificate(document: SignatureDocument, properties: SignedProperties) -> x509.Certificate:
    """The certificate that the signed properties name: a twin with the same key is not it."""
    for certificate in document.certificates:
        for method, digest in properties.certificate_digests:
            if certificate.fingerprint(_HASHES[DIGESTS[method]]) == digest:
                return certificate
    raise SignatureRefused("SIG_CONSTRAINTS_FAILURE", "the certificate is not the one that was signed")


_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def _check_value(document: SignatureDocument, certificate: x509.Certificate) -> None:
    octets = canonical(document.root[0], document.canonicalization)
    key = certificate.public_key()
    kind, algorithm = METHODS[document.method]
    try:
        if isinstance(key, rsa.RSAPublicKey) and kind == "RSA":
            key.verify(document.value, octets, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and kind == "EC":
            half = len(document.value) // 2
            r, s = (int.from_bytes(part, "big") for part in (document.value[:half], document.value[half:]))
            key.verify(encode_dss_signature(r, s), octets, ec.ECDSA(algorithm))
        else:
            raise SignatureRefused("SIG_CRYPTO_FAILURE", "the key is not of the kind of the signature")
    except InvalidSignature:
        raise SignatureRefused("SIG_CRYPTO_FAILURE", "the signature value is wrong") from None


def _check_references(document: SignatureDocument, fetch: Fetch) -> dict[str, bool | None]:
    """Whether each document is unchanged; raises for a wrong digest of anything else that is signed."""
    documents: dict[str, bool | None] = {}
    for reference in (*document.references, *document.manifest):
        if reference.submission_set:
            continue
        name = DIGESTS[reference.digest_method]
        if reference.target is None:
            identifier = unique_id_of(reference.uri)
            found = fetch(identifier, name)
            _note(documents, identifier, unchanged=None if found is None else found == reference.digest_value)
            continue
        digest = hashes.Hash(_HASHES[name])
        digest.update(canonical(reference.target, reference.transform or C14N_10))
        unchanged = digest.finalize() == reference.digest_value
        if reference.target.tag == OBJECT:
            _note(documents, reference.uri, unchanged=unchanged)
        elif not unchanged:
            raise SignatureRefused("HASH_FAILURE", f"{reference.uri} was changed after signing")
    return documents


def _note_enclosed(document: SignatureDocument, documents: dict[str, bool | None], fetch: Fetch, about: str) -> None:
    """Add the document `about` where the signature encloses exactly its stored bytes (enveloping form)."""
    if not about or about in documents:
        return
    stored = fetch(about, "sha256")
    for enclosed in document.enclosed():
        if stored is not None and hashlib.sha256(enclosed).digest() == stored:
            documents[about] = True


def _time_stamped(document: SignatureDocument, trust: ConsentTrust, now: datetime) -> datetime | None:
    """When a trusted authority saw the signature; None where none did and none is required."""
    times: list[datetime] = []
    for element in document.time_stamps if trust.timestamp_anchors else ():
        covered = canonical(document.root[1], element.canonicalization)
        found = time_stamp.verify(element.token, covered, trust.timestamp_anchors)
        if found is not None:
            check_time_stamp(found, trust)
            if found.time > now + trust.clock_skew:
                raise SignatureRefused("SIG_CONSTRAINTS_FAILURE", f"stamped in the future, at {found.time.isoformat()}")
            times.append(found.time)
    if trust.timestamp_required and not times:
        raise SignatureRefused("SIG_CONSTRAINTS_FAILURE", "no time stamp of a trusted authority")
    return min(times, default=None)


def _note(documents: dict[str, bool | None], identifier: str, *, unchanged: bool | None) -> None:
    """Of two references to one document the worse counts."""
    if documents.get(identifier, True) is not False and not (unchanged and identifier in documents):
        documents[identifier] = unchanged


def _check_time(signing_time: datetime, trust: ConsentTrust, now: datetime, first_seen: datetime | None) -> None:
    if signing_time > min(now, first_seen or now) + trust.clock_skew:
        raise SignatureRefused("SIG_CONSTRAINTS_FAILURE", f"signed in the future, at {signing_time.isoformat()}")


def _check_documents(documents: Mapping[str, bool | None], about: str) -> None:
    changed = [identifier for identifier, unchanged in documents.items() if unchanged is False]
    if changed:
        raise SignatureRefused("HASH_FAILURE", f"changed after signing: {', '.join(changed)}")
    if not documents or (about and about not in documents):
        raise SignatureRefused("CONTEXT_MISMATCH", f"the signature is not about {about or 'any document'}")
    needed = [about] if about else list(documents)
    missing = [identifier for identifier in needed if documents[identifier] is None]
    if missing:
        detail = f"not at hand: {', '.join(missing)}"
        raise SignatureRefused("SIGNED_DATA_NOT_FOUND", detail, status=SignatureStatus.PENDING)
