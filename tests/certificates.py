"""Keys and certificates made in memory, once per run: what signs assertions, consents and decisions in tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from xdsi.wire.signing_key import KeyInHand

START = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2034, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Identity:
    """A private key with its certificate."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def cert_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def cert_der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def signing_key(self) -> KeyInHand:
        return KeyInHand(self.key, self.certificate)

    @property
    def sha256(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()


@cache
def _key(name: str, kind: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    match kind:
        case "P-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case size:
            return rsa.generate_private_key(65537, int(size))


@cache
def identity(
    name: str,
    kind: str = "P-256",
    *,
    issuer: str | Identity = "",
    serial_number: str = "",
    ca: bool = False,
    start: datetime = START,
    end: datetime = END,
    content_commitment: bool = True,
    digital_signature: bool = True,
    key_of: str = "",
) -> Identity:
    """The identity `name`, self-signed or issued by `issuer`, or the authority of that name.

    The same arguments give the same one.
    """
    key = _key(key_of or name, kind)
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if serial_number:
        names.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial_number))
    subject = x509.Name(names)
    parent = (authority(issuer) if issuer else None) if isinstance(issuer, str) else issuer
    usage = x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment and not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent.certificate.subject if parent else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if parent:
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(parent.key.public_key())
        builder = builder.add_extension(authority_id, critical=False)
    return Identity(key, builder.sign(parent.key if parent else key, hashes.SHA256()))


def authority(name: str) -> Identity:
    """A certificate authority of this name."""
    return identity(name, ca=True, content_commitment=False, digital_signature=False)


def intermediate(name: str, issuer: str, *, end: datetime = END) -> Identity:
    """An authority that another one vouches for until `end`; of one name all have the same key."""
    return identity(
        name, issuer=issuer, ca=True, end=end, content_commitment=False, digital_signature=False, key_of=f"{name}'s"
    )


def revocation_list(
    issuer: str,
    *revoked: Identity,
    at: datetime = START + timedelta(days=1),
    updated: datetime = START,
    next_update: datetime = END,
    reason: str = "",
) -> bytes:
    """A PEM revocation list of the authority `issuer`."""
    parent = authority(issuer)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(parent.certificate.subject)
        .last_update(updated)
        .next_update(next_update)
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number).revocation_date(at)
        if reason:
            entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags[reason]), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(parent.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
