"""Keys on a token: signatures come from it, keys do not; whatever is missing is named. The token is SoftHSM's."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests import softhsm
from tests.certificates import Identity, identity
from tests.wire.test_signature_document import PATIENT, STORE, checked
from xdsi.domain.consent import SignatureStatus
from xdsi.domain.errors import ConfigurationError
from xdsi.transport.pkcs11_token import TokenUri, token_key
from xdsi.wire.signature_document import sign

pytestmark = pytest.mark.component
PIN = "987654"
KEYS = {
    "rsa": identity("Ann token", "2048", issuer="citizens", serial_number=PATIENT.id),
    "p256": identity("Ann token P-256", "P-256", issuer="citizens", serial_number=PATIENT.id),
    "p384": identity("Ann token P-384", "P-384", issuer="citizens", serial_number=PATIENT.id),
}


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The library of a token `Ann` with three keys; without the programs the tests are skipped."""
    tool = softhsm.tool()
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        subprocess.run(
            [tool, "--init-token", "--free", "--label", "Ann", "--so-pin", "12345678", "--pin", PIN],
            check=True, capture_output=True,
        )  # fmt: skip
        for number, (label, one) in enumerate(KEYS.items(), start=1):
            (folder / "key.pem").write_bytes(one.key_pem)
            subprocess.run(
                [tool, "--import", folder / "key.pem", "--token", "Ann", "--label", label, "--id", f"{number:02x}",
                 "--pin", PIN],
                check=True, capture_output=True,
            )  # fmt: skip
        found = softhsm.module()
        _store_certificate(found, KEYS["rsa"], b"\x01")
        yield found


def _store_certificate(module: str, one: Identity, id_: bytes) -> None:
    import pkcs11

    with pkcs11.lib(module).get_token(token_label="Ann").open(user_pin=PIN, rw=True) as session:
        session.create_object(
            {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE,
                pkcs11.Attribute.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
                pkcs11.Attribute.TOKEN: True,
                pkcs11.Attribute.ID: id_,
                pkcs11.Attribute.SUBJECT: one.certificate.subject.public_bytes(),
                pkcs11.Attribute.VALUE: one.cert_der,
            }
        )


@pytest.mark.parametrize("label", KEYS)
def test_the_token_signs(module: str, label: str) -> None:
    digests = {unique_id: hashlib.sha256(raw).digest() for unique_id, raw in STORE.items()}
    with token_key(TokenUri(module, token="Ann", label=label), PIN, KEYS[label].certificate) as key:
        raw = sign(digests, key=key, now=datetime.now(UTC))
    result = checked(raw, now=datetime.now(UTC))
    assert result.status is SignatureStatus.VALID, result.reason


def test_the_certificate_lies_beside_the_key(module: str) -> None:
    with token_key(TokenUri.parse(f"pkcs11:token=Ann;id=%01?module-path={module}"), PIN) as key:
        assert key.certificate == KEYS["rsa"].certificate


@pytest.mark.parametrize(
    ("uri", "pin", "reason"),
    [
        ("pkcs11:token=Bob?module-path={}", PIN, "no token 'Bob'"),
        ("pkcs11:token=Ann;object=none?module-path={}", PIN, "no private key 'none'"),
        ("pkcs11:token=Ann;object=rsa?module-path={}", "000000", "PIN"),
        ("pkcs11:token=Ann?module-path={}", PIN, "several private keys"),
        ("pkcs11:token=Ann;object=p256?module-path={}", PIN, "no certificate for this key"),
        ("pkcs11:token=Ann;object=rsa?module-path={}.none", PIN, "cannot be used"),
    ],
)
def test_what_is_missing_is_named(module: str, uri: str, pin: str, reason: str) -> None:
    with (
        pytest.raises(ConfigurationError, match=reason),
        token_key(TokenUri.parse(uri.format(module)), pin),
    ):
        pass


def test_a_certificate_of_another_key(module: str) -> None:
    other = identity("Ann elsewhere", "2048", issuer="citizens", serial_number=PATIENT.id)
    with (
        pytest.raises(ConfigurationError, match="not of this key"),
        token_key(TokenUri(module, token="Ann", label="rsa"), PIN, other.certificate),
    ):
        pass


@pytest.mark.parametrize(
    "text", ["pkcs11:token=Ann", "pkcs11:token?module-path=x", "pkcs11:token=a;token=b?module-path=x", "pkcs11:pin=1"]
)
def test_uris_that_do_not_say_enough(text: str) -> None:
    with pytest.raises(ConfigurationError):
        TokenUri.parse(text)


def test_a_uri_is_unquoted() -> None:
    found = TokenUri.parse("pkcs11:token=My%20card;object=a%3Bb;id=%01%ff;type=private?module-path=/lib/x.so")
    assert found == TokenUri("/lib/x.so", token="My card", label="a;b", id=b"\x01\xff")
