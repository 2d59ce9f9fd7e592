"""A small certificate authority for demonstrations, tests and first starts.

Not a substitute for an organisation's own: keys are written unencrypted, readable by their owner only.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from xdsi.transport.tls import fingerprint


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate with its key, on disk as NAME.pem and NAME.key."""

    name: str
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    folder: Path

    @property
    def certificate_file(self) -> Path:
        """PEM."""
        return self.folder / f"{self.name}.pem"

    @property
    def key_file(self) -> Path:
        """PEM, PKCS#8, unencrypted."""
        return self.folder / f"{self.name}.key"

    @property
    def sha256(self) -> str:
        """The fingerprint by which a node is known."""
        return fingerprint(self.certificate.public_bytes(serialization.Encoding.DER))


def _write(credential: Credential) -> Credential:
    credential.folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(credential.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            credential.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    credential.certificate_file.write_bytes(credential.certificate.public_bytes(serialization.Encoding.PEM))
    return credential


_DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""RFC 9336"""


def _name(common_name: str, serial_number: str = "") -> x509.Name:
    parts = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "xdsi demonstration"),
        x509.NameAttribute(NameOID.COMMON_NAME, common_name),
    ]
    if serial_number:
        parts.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial_number))
    return x509.Name(parts)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, issuer_key: rsa.RSAPrivateKey, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # An hour back, so that machines whose clocks differ a little agree.
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _usage(*, signing: bool = False, authority: bool = False, commitment: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing,
        content_commitment=commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def create_authority(folder: Path, name: str = "ca", *, days: int = 730) -> Credential:
    """A self-signed certificate authority."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = _name(f"xdsi demonstration authority {name}")
    certificate = (
        _builder(subject, subject, key, key, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _write(Credential(name, certificate, key, folder))


def issue_node(authority: Credential, folder: Path, name: str, *, days: int = 365) -> Credential:
    """A node certificate for TLS in both roles, valid for loopback names."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.DNSName(name),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
    )
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = (
        _builder(_name(name), authority.certificate.subject, key, authority.key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signing=True), critical=True)
        .add_extension(usages, critical=False)
        .add_extension(names, critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return _write(Credential(name, certificate, key, folder))


def issue_signer(
    authority: Credential, folder: Path, name: str, *, serial_number: str = "", days: int = 365
) -> Credential:
    """A certificate to sign with: a person's (`serial_number` is the patient's identifier) or a token issuer's.

    It opens no connection: to be a node is not its purpose, though the authority is the same.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = (
        _builder(_name(name, serial_number), authority.certificate.subject, key, authority.key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signing=True, commitment=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_DOCUMENT_SIGNING]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return _write(Credential(name, certificate, key, folder))


def load(folder: Path, name: str) -> Credential:
    """Read a credential written before."""
    certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
    key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{name}.key is not an RSA key")
    return Credential(name, certificate, key, folder)


DEMONSTRATION_NODES = ("hub", "hospital-a", "hospital-b", "consumer")


def create_demonstration(folder: Path) -> dict[str, Credential]:
    """An authority with nodes, a token issuer, a patient who signs, and a stranger of another authority."""
    authority = create_authority(folder)
    credentials = {"ca": authority}
    for name in DEMONSTRATION_NODES:
        credentials[name] = issue_node(authority, folder, name)
    credentials["idp"] = issue_signer(authority, folder, "idp")
    strangers = create_authority(folder, "stranger-ca")
    credentials["stranger-ca"] = strangers
    credentials["stranger"] = issue_node(strangers, folder, "stranger")
    return credentials
