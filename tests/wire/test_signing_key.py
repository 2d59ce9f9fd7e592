"""Keys in files: PEM and PKCS#12, with and without a pass phrase; what does not fit is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.certificates import authority, identity
from xdsi.domain.errors import ConfigurationError
from xdsi.wire.signing_key import method_of, pem_key, pkcs12_key

ANN = identity("Ann file", "2048", issuer="citizens")
SECRET = b"pass phrase"


def p12(password: bytes | None, *, chain: bool = True, certificate: bool = True) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    cas = [authority("citizens").certificate] if chain else None
    return pkcs12.serialize_key_and_certificates(
        b"Ann", ANN.key, ANN.certificate if certificate else None, cas, encryption
    )


@pytest.mark.parametrize("password", [None, SECRET])
def test_pkcs12(password: bytes | None) -> None:
    key = pkcs12_key(p12(password), password=password)
    assert key.certificate == ANN.certificate
    assert key.chain == (authority("citizens").certificate,)
    assert key.sign(b"x") == ANN.signing_key.sign(b"x")


@pytest.mark.parametrize(
    ("raw", "password"),
    [(p12(SECRET), None), (p12(SECRET), b"wrong"), (b"no file", None), (p12(None, certificate=False), None)],
    ids=["locked", "wrong pass phrase", "no file", "no certificate"],
)
def test_pkcs12_refused(raw: bytes, password: bytes | None) -> None:
    with pytest.raises(ConfigurationError):
        pkcs12_key(raw, password=password)


def test_pem_with_its_chain() -> None:
    key = pem_key(ANN.key_pem, ANN.cert_pem + authority("citizens").cert_pem)
    assert (key.certificate, key.chain) == (ANN.certificate, (authority("citizens").certificate,))


def test_a_locked_pem() -> None:
    locked = ANN.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(SECRET),
    )
    assert pem_key(locked, ANN.cert_pem, password=SECRET).certificate == ANN.certificate
    for wrong in (None, b"wrong"):
        with pytest.raises(ConfigurationError):
            pem_key(locked, ANN.cert_pem, password=wrong)


def test_a_certificate_of_another_key() -> None:
    with pytest.raises(ConfigurationError, match="not of this key"):
        pem_key(ANN.key_pem, identity("Bob file", "2048", issuer="citizens").cert_pem)


@pytest.mark.parametrize(
    ("kind", "method"), [("2048", "rsa-sha256"), ("P-256", "ecdsa-sha256"), ("P-384", "ecdsa-sha384")]
)
def test_the_method_goes_with_the_key(kind: str, method: str) -> None:
    assert method_of(identity(f"key {kind}", kind).certificate).endswith(f"#{method}")
