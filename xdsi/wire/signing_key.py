"""Keys that sign documents: what a signature needs of one, wherever the key is kept.

A key gives one raw signature and nothing else, so that it can stay on a token (XML Signature 1.1, 6.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import pkcs12

from xdsi.domain.errors import ConfigurationError
from xdsi.wire.xmldsig import kind_of

_METHOD = "http://www.w3.org/2001/04/xmldsig-more#"


class SigningKey(Protocol):
    """A private key with its certificate."""

    @property
    def certificate(self) -> x509.Certificate:
        """Whose key it is."""

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Authorities between the certificate and the anchor, sent along."""

    def sign(self, octets: bytes) -> bytes:
        """The value of a signature over `octets` by `method_of`: PKCS#1 for RSA, r and s side by side for ECDSA."""


@dataclass(frozen=True, slots=True)
class KeyInHand:
    """A key that this process holds."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    def sign(self, octets: bytes) -> bytes:
        """As SigningKey promises."""
        algorithm = hash_of(self.certificate)
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(octets, padding.PKCS1v15(), algorithm)
        r, s = decode_dss_signature(self.key.sign(octets, ec.ECDSA(algorithm)))
        size = (self.key.curve.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def pem_key(key_pem: bytes, cert_pem: bytes, *, password: bytes | None = None) -> KeyInHand:
    """A key and its certificate (followed by its chain, if any) in PEM; ConfigurationError where they do not fit."""
    try:
        key = serialization.load_pem_private_key(key_pem, password)
        certificate, *chain = x509.load_pem_x509_certificates(cert_pem)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"cannot sign documents with this key and certificate: {error}") from error
    return _fitting(key, certificate, chain)


def pkcs12_key(raw: bytes, *, password: bytes | None = None) -> KeyInHand:
    """The key, certificate and chain of a PKCS#12 file; ConfigurationError where one is missing or bad."""
    try:
        key, certificate, chain = pkcs12.load_key_and_certificates(raw, password)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"cannot read the PKCS#12 file: {error}") from error
    if key is None or certificate is None:
        raise ConfigurationError("the PKCS#12 file lacks a key or its certificate")
    return _fitting(key, certificate, chain)


def _fitting(key: object, certificate: x509.Certificate, chain: list[x509.Certificate]) -> KeyInHand:
    check_certificate(certificate)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) or (
        key.public_key() != certificate.public_key()
    ):
        raise ConfigurationError("the certificate is not of this key")
    return KeyInHand(key, certificate, tuple(chain))


def check_certificate(certificate: x509.Certificate) -> None:
    """ConfigurationError for a certificate whose signatures nobody would accept."""
    try:
        kind_of(certificate)
    except ValueError as error:
        raise ConfigurationError(f"cannot sign documents with this key and certificate: {error}") from error


def method_of(certificate: x509.Certificate) -> str:
    """The SignatureMethod of a certificate's key: SHA-256, and SHA-384 for the larger curves."""
    kind = "rsa" if isinstance(certificate.public_key(), rsa.RSAPublicKey) else "ecdsa"
    return f"{_METHOD}{kind}-{hash_of(certificate).name}"


def hash_of(certificate: x509.Certificate) -> hashes.SHA256 | hashes.SHA384:
    """The digest that goes with the key."""
    key = certificate.public_key()
    large = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size > 256
    return hashes.SHA384() if large else hashes.SHA256()
