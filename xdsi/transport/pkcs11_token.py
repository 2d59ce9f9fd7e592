"""A key on a token: a smart card, an HSM or a software token, by PKCS#11; it never leaves it.

PKCS#11 2.40; RFC 7512 (URIs). Needs the extra `xdsi[pkcs11]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from xdsi.domain.errors import ConfigurationError
from xdsi.wire.signing_key import check_certificate, hash_of

SCHEME = "pkcs11:"


@dataclass(frozen=True, slots=True)
class TokenUri:
    """Which key of which token: `pkcs11:token=...;object=...;id=%01?module-path=...`."""

    module: str
    token: str = ""
    serial: str = ""
    label: str = ""
    id: bytes = b""

    @classmethod
    def parse(cls, text: str) -> TokenUri:
        """Read it; ConfigurationError for one that does not say enough, or more than is understood."""
        path, _, query = text.removeprefix(SCHEME).partition("?")
        given: dict[str, bytes] = {}
        for part in filter(None, path.split(";")):
            name, separator, value = part.partition("=")
            if not separator or name not in ("token", "serial", "object", "id", "type") or name in given:
                raise ConfigurationError(f"{text}: {part!r}; valid: token, serial, object, id, type, once each")
            given[name] = unquote_to_bytes(value)
        module = dict(parse_qsl(query)).get("module-path", "")
        if not module:
            raise ConfigurationError(f"{text} lacks ?module-path=, the PKCS#11 library of the token")
        names: Mapping[str, str] = {name: value.decode(errors="replace") for name, value in given.items()}
        return cls(
            module=module,
            token=names.get("token", ""),
            serial=names.get("serial", ""),
            label=names.get("object", ""),
            id=given.get("id", b""),
        )


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A signing key in an open session; made by `token_key`."""

    key: Any
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]

    def sign(self, octets: bytes) -> bytes:
        """Have the token sign: RSA as PKCS#1, ECDSA as r and s side by side."""
        import pkcs11

        try:
            if isinstance(self.certificate.public_key(), rsa.RSAPublicKey):
                return bytes(self.key.sign(octets, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS))
            # Few tokens hash for ECDSA themselves.
            digest = hashes.Hash(hash_of(self.certificate))
            digest.update(octets)
            return bytes(self.key.sign(digest.finalize(), mechanism=pkcs11.Mechanism.ECDSA))
        except pkcs11.PKCS11Error as error:
            raise ConfigurationError(f"the token does not sign: {_name(error)}") from error


@contextmanager
def token_key(
    uri: TokenUri, pin: str, certificate: x509.Certificate | None = None, chain: tuple[x509.Certificate, ...] = ()
) -> Iterator[TokenKey]:
    """The key, for as long as its session is open; its certificate is that of the token unless one is given.

    ConfigurationError names what is missing: library, token, key, certificate, or the right PIN.
    """
    try:
        import pkcs11
    except ImportError as error:
        raise ConfigurationError("keys on tokens need PKCS#11 support: pip install 'xdsi[pkcs11]'") from error
    try:
        library = pkcs11.lib(uri.module)
        chosen: dict[str, Any] = {"token_label": uri.token} if uri.token else {}
        if uri.serial:
            chosen["token_serial"] = uri.serial.encode()
        token = library.get_token(**chosen)
        with token.open(user_pin=pin or None) as session:
            key = _key(session, uri)
            own = certificate or _certificate(session, key)
            check_certificate(own)
            made = TokenKey(key, own, chain)
            _check_pair(made)
            yield made
    except pkcs11.NoSuchToken as error:
        raise ConfigurationError(f"no token {uri.token or uri.serial!r} at {uri.module}") from error
    except pkcs11.MultipleTokensReturned as error:
        raise ConfigurationError("several tokens; say which by token= or serial=") from error
    except (pkcs11.PinIncorrect, pkcs11.PinLocked, pkcs11.PinLenRange, pkcs11.PinInvalid) as error:
        raise ConfigurationError(f"the PIN of the token is not accepted: {_name(error)}") from error
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        raise ConfigurationError(f"the token cannot be used: {_name(error)}") from error


def _key(session: Any, uri: TokenUri) -> Any:
    """The one private key that the URI means."""
    import pkcs11

    wanted: dict[Any, Any] = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}
    if uri.label:
        wanted[pkcs11.Attribute.LABEL] = uri.label
    if uri.id:
        wanted[pkcs11.Attribute.ID] = uri.id
    found = list(session.get_objects(wanted))
    if len(found) > 1:
        raise ConfigurationError("several private keys on the token; say which by object= or id=")
    if not found:
        raise ConfigurationError(f"no private key {uri.label or uri.id.hex()!r} on the token")
    return found[0]


def _certificate(session: Any, key: Any) -> x509.Certificate:
    """The certificate beside the key: of the same CKA_ID."""
    import pkcs11

    wanted = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE, pkcs11.Attribute.ID: key[pkcs11.Attribute.ID]}
    found = list(session.get_objects(wanted))
    if not found:
        raise ConfigurationError("the token has no certificate for this key; give one with --cert")
    return x509.load_der_x509_certificate(bytes(found[0][pkcs11.Attribute.VALUE]))


def _check_pair(made: TokenKey) -> None:
    """Raises where the certificate is not of this key, as far as the token shows the public half."""
    import pkcs11

    public = made.certificate.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        modulus = int.from_bytes(made.key[pkcs11.Attribute.MODULUS], "big")
        if modulus != public.public_numbers().n:
            raise ConfigurationError("the certificate is not of this key")


def _name(error: Exception) -> str:
    return str(error) or type(error).__name__
