"""Whether a certificate may sign a consent: chain, revocation, key usage, and for whom it may sign.

RFC 5280; RFC 3161 section 4 (revoked authorities of time stamps); ETSI EN 319 102-1 (names of the sub-indications);
ITI TF-3 5.5. Nothing is fetched: revocation lists come with the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import verification
from cryptography.x509.oid import ExtensionOID, NameOID

from xdsi.domain.consent import SignatureStatus
from xdsi.domain.errors import ConfigurationError, XdsiError
from xdsi.domain.identifiers import PatientId
from xdsi.wire.revocation import lists_of, read_lists
from xdsi.wire.time_stamp import TimeStamp
from xdsi.wire.xmldsig import kind_of

_ETSI_SERIAL = re.compile(r"[A-Z]{3}[A-Z]{2}-(.+)")
"""ETSI EN 319 412-1: kind of number, country, the number"""


class SignatureRefused(XdsiError):
    """A signature does not count: `failed` for good, or `pending` what can be known later."""

    def __init__(self, indication: str, detail: str, *, status: SignatureStatus = SignatureStatus.FAILED) -> None:
        super().__init__(f"{indication}: {detail}")
        self.indication = indication
        self.detail = detail
        self.status = status


class Capacity(StrEnum):
    """As what somebody signs for a patient."""

    PATIENT = "patient"
    GUARDIAN = "guardian"
    HOSPITAL = "hospital"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """Who signs for whom, where certificates do not say so themselves.

    A signer is named by the serialNumber of the certificate's subject, or by the SHA-256 of the certificate.
    """

    persons: Mapping[str, frozenset[PatientId]] = field(default_factory=dict)
    """identifiers under which a person is a patient"""
    guardians: Mapping[str, frozenset[PatientId]] = field(default_factory=dict)
    """patients whose guardian a person is"""
    hospitals: Mapping[str, frozenset[PatientId]] = field(default_factory=dict)
    """the only patients for whom this seal stands in; a seal that is not named here stands in for all"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentTrust:
    """Whose signatures make a consent. Build it once with `of`."""

    anchors: tuple[x509.Certificate, ...]
    """authorities of the certificates that persons sign with"""
    intermediates: tuple[x509.Certificate, ...] = ()
    seals: frozenset[str] = frozenset()
    """SHA-256 of hospitals' certificates that may sign on a patient's behalf"""
    crls: tuple[x509.CertificateRevocationList, ...] = ()
    revocation_required: bool = False
    """without a current revocation list of its issuer a certificate leaves the signature pending"""
    certificate_policies: frozenset[str] = frozenset()
    """OIDs of which a person's certificate must carry one; empty: any"""
    identity_authority: str = ""
    """assigning authority (OID) of the identifiers that certificates carry; empty: any"""
    enrolment: Enrolment = field(default_factory=Enrolment)
    """for whom else certificates sign than for the patient whose identifier they carry"""
    timestamp_anchors: tuple[x509.Certificate, ...] = ()
    """authorities of time stamps; none: time stamps prove nothing"""
    timestamp_required: bool = False
    """a signature without a time stamp of one of these authorities fails"""
    clock_skew: timedelta = timedelta(seconds=60)

    @classmethod
    def of(
        cls,
        anchors: Iterable[str | bytes],
        *,
        intermediates: Iterable[str | bytes] = (),
        seals: Iterable[str | bytes] = (),
        crls: Iterable[str | bytes] = (),
        revocation_required: bool = False,
        timestamp_anchors: Iterable[str | bytes] = (),
        timestamp_required: bool = False,
    ) -> ConsentTrust:
        """From PEM files' contents (several in one file are taken); ConfigurationError where one is bad."""
        try:
            seal_certificates = [one for pem in seals for one in x509.load_pem_x509_certificates(_bytes(pem))]
            for seal in seal_certificates:
                kind_of(seal)
            return cls(
                anchors=tuple(one for pem in anchors for one in x509.load_pem_x509_certificates(_bytes(pem))),
                intermediates=tuple(
                    one for pem in intermediates for one in x509.load_pem_x509_certificates(_bytes(pem))
                ),
                seals=frozenset(fingerprint(seal) for seal in seal_certificates),
                crls=tuple(one for raw in crls for one in read_lists(_bytes(raw))),
                revocation_required=revocation_required,
                timestamp_anchors=tuple(
                    one for pem in timestamp_anchors for one in x509.load_pem_x509_certificates(_bytes(pem))
                ),
                timestamp_required=timestamp_required,
            )
        except ValueError as error:
            raise ConfigurationError(f"consent signers: {error}") from error


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate, lower-case hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def serial_number_of(certificate: x509.Certificate) -> str:
    """The serialNumber in the certificate's subject: the person's number, not the certificate's; empty without one."""
    found = certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    return str(found[0].value) if found else ""


def check_signer(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    trust: ConsentTrust,
    *,
    signing_time: datetime,
    now: datetime,
    first_seen: datetime | None = None,
) -> None:
    """Return when the certificate could sign at `signing_time`; raises SignatureRefused.

    `others` came with the signature and may lead to an anchor. `first_seen` is when the signature was proved to exist
    (it arrived, or was stamped): the certificate must have been valid then too, and what is revoked later does not
    hurt. Without it nothing proves that the signing time is true, so any revocation up to now counts.
    """
    try:
        kind_of(certificate)
    except ValueError as error:
        raise SignatureRefused("CRYPTO_CONSTRAINTS_FAILURE", str(error)) from error
    for moment in (signing_time, first_seen or signing_time):
        if moment < certificate.not_valid_before_utc:
            raise SignatureRefused("NOT_YET_VALID", "the certificate was not valid yet")
        if moment > certificate.not_valid_after_utc:
            raise SignatureRefused("EXPIRED", "the certificate was expired")
    if fingerprint(certificate) in trust.seals:
        chain: Sequence[x509.Certificate] = [certificate]
        if not _usage(certificate, {"content_commitment", "digital_signature"}):
            raise SignatureRefused("CHAIN_CONSTRAINTS_FAILURE", "the certificate is not for signing")
    else:
        if not _usage(certificate, {"content_commitment"}):
            raise SignatureRefused("CHAIN_CONSTRAINTS_FAILURE", "the certificate is not for non-repudiation")
        if trust.certificate_policies and trust.certificate_policies.isdisjoint(_policies(certificate)):
            raise SignatureRefused("CHAIN_CONSTRAINTS_FAILURE", "none of the accepted certificate policies")
        chain = _chain(certificate, [*others, *trust.intermediates], trust, signing_time)
    for position, member in enumerate(chain):
        if member.issuer != member.subject:
            issuer = chain[position + 1] if position + 1 < len(chain) else None
            _check_revocation(member, issuer, trust, first_seen or now)


def check_signs_for(certificate: x509.Certificate, patients: Collection[PatientId], trust: ConsentTrust) -> Capacity:
    """As what the certificate's holder signs for this patient; raises SignatureRefused for anybody who may not."""
    own = fingerprint(certificate)
    number = serial_number_of(certificate)
    enrolment = trust.enrolment
    if own in trust.seals:
        limited = enrolment.hospitals.get(own)
        if limited is None or not limited.isdisjoint(patients):
            return Capacity.HOSPITAL
        raise SignatureRefused("SIGNER_MISMATCH", "the seal does not stand in for this patient")
    names = [name for name in (own, number) if name]
    if any(not enrolment.persons.get(name, frozenset()).isdisjoint(patients) for name in names):
        return Capacity.PATIENT
    if number:
        etsi = _ETSI_SERIAL.fullmatch(number)
        numbers = {number, *([etsi[1]] if etsi else ())}
        if any(one.id in numbers and trust.identity_authority in ("", one.authority) for one in patients):
            return Capacity.PATIENT
    if any(not enrolment.guardians.get(name, frozenset()).isdisjoint(patients) for name in names):
        return Capacity.GUARDIAN
    raise SignatureRefused("SIGNER_MISMATCH", f"the signer with number {number!r} does not sign for the patient")


_HARMLESS = frozenset(
    {
        x509.ReasonFlags.unspecified,
        x509.ReasonFlags.affiliation_changed,
        x509.ReasonFlags.superseded,
        x509.ReasonFlags.cessation_of_operation,
    }
)
"""reasons, given in a list, that leave earlier time stamps good (RFC 3161 section 4)"""


def check_time_stamp(found: TimeStamp, trust: ConsentTrust) -> None:
    """Return where the authority's certificate was good; raises SignatureRefused where it was revoked."""
    own = found.chain[0]
    issuers = [one for one in (*found.chain[1:], *trust.timestamp_anchors) if one.subject == own.issuer]
    for crl in lists_of(own, trust.crls):
        signed = any(_usable(crl, issuer) for issuer in issuers)
        entry = crl.get_revoked_certificate_by_serial_number(own.serial_number)
        if not signed or entry is None:
            continue
        try:
            reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
        except x509.ExtensionNotFound:
            reason = None
        if reason not in _HARMLESS or entry.revocation_date_utc <= found.time:
            raise SignatureRefused("REVOKED", "the authority of the time stamp was revoked")


def _bytes(pem: str | bytes) -> bytes:
    return pem.encode() if isinstance(pem, str) else pem


def _usage(certificate: x509.Certificate, wanted: set[str]) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return any(getattr(usage, name) for name in wanted)


def _policies(certificate: x509.Certificate) -> set[str]:
    try:
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except (x509.ExtensionNotFound, ValueError):
        return set()
    return {policy.policy_identifier.dotted_string for policy in policies}


def _chain(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    trust: ConsentTrust,
    signing_time: datetime,
) -> Sequence[x509.Certificate]:
    """The certificates from the signer's to an anchor."""
    if not trust.anchors:
        raise SignatureRefused("NO_CERTIFICATE_CHAIN_FOUND", "no authority is configured")
    leaf = verification.ExtensionPolicy.permit_all().require_present(
        x509.KeyUsage, verification.Criticality.AGNOSTIC, None
    )
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store(list(trust.anchors)))
        .time(signing_time)
        .extension_policies(ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(), ee_policy=leaf)
        .build_client_verifier()
    )
    try:
        return verifier.verify(certificate, list(others)).chain
    except verification.VerificationError as error:
        raise SignatureRefused("NO_CERTIFICATE_CHAIN_FOUND", str(error)) from error


_KNOWN_CRL_EXTENSIONS = frozenset({ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.CRL_NUMBER})


def _check_revocation(
    certificate: x509.Certificate,
    issuer: x509.Certificate | None,
    trust: ConsentTrust,
    seen: datetime,
) -> None:
    lists = [crl for crl in lists_of(certificate, trust.crls) if _usable(crl, issuer)]
    for crl in lists:
        entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None and _invalid_since(entry) <= seen:
            raise SignatureRefused("REVOKED", f"a certificate was revoked on {entry.revocation_date_utc.isoformat()}")
    # A list made after the certificate's end need not name it any more (RFC 5280 3.3).
    lists = [crl for crl in lists if crl.last_update_utc <= certificate.not_valid_after_utc]
    if lists and all(crl.next_update_utc is not None and crl.next_update_utc < seen for crl in lists):
        raise SignatureRefused("TRY_LATER", "the revocation list is too old", status=SignatureStatus.PENDING)
    if not lists and trust.revocation_required:
        raise SignatureRefused("TRY_LATER", "no revocation list of the issuer", status=SignatureStatus.PENDING)


def _usable(crl: x509.CertificateRevocationList, issuer: x509.Certificate | None) -> bool:
    """Complete, direct and signed by its issuer (as far as the issuer's certificate is known)."""
    if any(extension.critical and extension.oid not in _KNOWN_CRL_EXTENSIONS for extension in crl.extensions):
        return False
    if issuer is None:
        return True
    try:
        return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (InvalidSignature, TypeError):
        return False


def _invalid_since(entry: x509.RevokedCertificate) -> datetime:
    """Since when the key is not to be trusted, where the list says so for a compromised key."""
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
        if reason is x509.ReasonFlags.key_compromise:
            invalid = entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc
            return min(invalid, entry.revocation_date_utc)
    except x509.ExtensionNotFound:
        pass
    return entry.revocation_date_utc
