"""A time stamping authority: openssl's, answering over HTTP on a port of its own."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from tests.certificates import END, START, Identity, _key, authority
from tests.imaging import program

AUTHORITY = "time stamps"
_SETTINGS = """[tsa]
default_tsa = own
[own]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/own.pem
certs = {folder}/ca.pem
signer_key = {folder}/own.key
signer_digest = sha256
default_policy = 2.999.1.8
digests = sha256, sha384, sha512
accuracy = secs:1
tsa_name = yes
ess_cert_id_alg = sha256
"""


def stamper() -> Identity:
    """Who signs the time stamps of AUTHORITY."""
    return _stamper(AUTHORITY)


@cache
def _stamper(issuer: str) -> Identity:
    parent, key = authority(issuer), _key(f"stamper of {issuer}", "2048")
    purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.TIME_STAMPING])
    usage = dict.fromkeys(
        ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign", "encipher_only",
         "decipher_only", "content_commitment"), False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stamper")]))
        .issuer_name(parent.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(END)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(purpose, critical=True)
        .sign(parent.key, hashes.SHA256())
    )
    return Identity(key, certificate)


@dataclass
class StampingAuthority:
    """Stamps what it is asked to; `spoil` changes its answers."""

    folder: Path
    url: str = ""
    asked: list[bytes] = field(default_factory=list)
    spoiled: dict[str, object] = field(default_factory=dict)

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def stamp(self, request: bytes) -> bytes:
        """The answer to a request (both in DER)."""
        (self.folder / "request").write_bytes(request)
        subprocess.run(
            [program("openssl"), "ts", "-reply", "-config", self.folder / "settings", "-section", "own", "-queryfile",
             self.folder / "request", "-out", self.folder / "answer"],
            check=True, capture_output=True,
        )  # fmt: skip
        return (self.folder / "answer").read_bytes()


def prepare(folder: Path, issuer: str = AUTHORITY) -> StampingAuthority:
    """An authority that keeps its files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    own = _stamper(issuer)
    (folder / "own.pem").write_bytes(own.cert_pem)
    (folder / "own.key").write_bytes(own.key_pem)
    (folder / "ca.pem").write_bytes(authority(issuer).cert_pem)
    (folder / "serial").write_text("01\n")
    (folder / "settings").write_text(_SETTINGS.format(folder=folder))
    return StampingAuthority(folder)


@contextmanager
def stamping(folder: Path, issuer: str = AUTHORITY) -> Iterator[StampingAuthority]:
    """The authority, served."""
    authority_ = prepare(folder, issuer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            authority_.asked.append(request)
            good = self.headers["Content-Type"] == "application/timestamp-query"
            answer = authority_.spoiled.get("answer") or authority_.stamp(request)
            self.send_response(int(authority_.spoiled.get("status", 200 if good else 415)))
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    authority_.url = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        yield authority_
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        shutil.rmtree(folder, ignore_errors=True)
