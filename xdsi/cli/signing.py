"""With what `xdsi consent` signs: a PEM or PKCS#12 file, or a key on a PKCS#11 token."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from xdsi import app
from xdsi.actors.consent_source import Signing
from xdsi.domain.errors import ConfigurationError
from xdsi.transport.pkcs11_token import SCHEME, TokenUri, token_key
from xdsi.wire.signing_key import SigningKey, pem_key, pkcs12_key

PASS = "XDSI_SIGNING_PASS"  # noqa: S105 - the name of a variable


def add(command: argparse.ArgumentParser) -> None:
    """Declare what a command that signs is told."""
    what = "the patient's key, or a seal's: a file (PEM or PKCS#12), or pkcs11:token=T;object=O?module-path=LIBRARY"
    command.add_argument("--key", required=True, metavar="KEY", help=what)
    whose = "its certificate (PEM, with its chain); needed where the key does not bring it along"
    command.add_argument("--cert", type=Path, metavar="F", help=whose)
    secret = f"file with the key's pass phrase or PIN; else {PASS}, else it is asked for"
    command.add_argument("--pass-file", type=Path, metavar="F", help=secret)
    command.add_argument("--enveloping", action="store_true", help="enclose the consent in its signature")
    command.add_argument(
        "--witness", action="store_true", help="sign as a hospital that saw the patient sign, not as the patient"
    )


@contextmanager
def signing(given: argparse.Namespace, parts: app.Parts) -> Iterator[Signing]:
    """What the command was told to sign with; ConfigurationError where it does not work."""
    with ExitStack() as stack:
        key = stack.enter_context(_key(given))
        yield Signing(key=key, stamp=parts.time_stamps, enveloping=given.enveloping, witness=given.witness)


@contextmanager
def _key(given: argparse.Namespace) -> Iterator[SigningKey]:
    if given.key.startswith(SCHEME):
        certificates = _certificates(given.cert) if given.cert is not None else []
        with token_key(
            TokenUri.parse(given.key),
            _secret(given, "PIN of the token").decode(),
            certificates[0] if certificates else None,
            tuple(certificates[1:]),
        ) as key:
            yield key
        return
    raw = Path(given.key).read_bytes()
    if not raw.lstrip().startswith(b"-----"):
        yield pkcs12_key(raw, password=_secret(given, "pass phrase of the file") or None)
        return
    if given.cert is None:
        raise ConfigurationError("a key in PEM needs its certificate: --cert")
    yield pem_key(raw, given.cert.read_bytes(), password=_secret(given, "pass phrase") if _locked(raw) else None)


def _certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError as error:
        raise ConfigurationError(f"{file} is no certificate (PEM): {error}") from error


def _locked(pem: bytes) -> bool:
    try:
        load_pem_private_key(pem, None)
    except TypeError:
        return True
    except ValueError:
        return False
    return False


def _secret(given: argparse.Namespace, what: str) -> bytes:
    """The pass phrase or PIN: from a file, the environment, or whoever sits there; empty where nobody says one."""
    if given.pass_file is not None:
        content: bytes = given.pass_file.read_bytes()
        return content.rstrip(b"\r\n")
    if PASS in os.environ:
        return os.environ[PASS].encode()
    return getpass.getpass(f"{what}: ").encode() if sys.stdin.isatty() else b""
