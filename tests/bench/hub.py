"""`xdsi serve` as it is measured: the open profile, and a whole hub with TLS, assertions and consent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench.processes import Server, free_port, python, running
from xdsi.domain.audit import AuditSite
from xdsi.domain.codes import Code
from xdsi.domain.subject import Subject
from xdsi.exchange import Client
from xdsi.storage.spool import SpoolFolder
from xdsi.transport import pki
from xdsi.transport.soap_client import SoapClient
from xdsi.transport.tls import TlsFiles, client_context
from xdsi.wire.saml_issue import issue_assertion, security_header

HOME = "urn:oid:2.999.1"
AUTHORITY = "2.999.1.1"
LOCAL_AUTHORITY = "2.999.1.5"
LOCATION = "2.999.1.3"
ISSUER = "urn:xdsi:benchmark:idp"
RADIOLOGIST = Code("309343006", "2.16.840.1.113883.6.96", "Radiologist")
TREATMENT = Code("TREAT", "2.16.840.1.113883.5.8", "treatment")
CERTIFICATE_HEADER = "X-Client-Certificate"
"""in which a proxy passes the certificate of its client"""
WORKERS, THREADS = 1, 16
"""what `xdsi serve` uses when nobody says otherwise"""


class _NoTrail:
    """The client's side of an exchange is not what is measured."""

    def append(self, events: object, *, trace: str, connection: object = None) -> list[int]:
        return []


@dataclass(frozen=True)
class Hub:
    """A running hub and what its clients need."""

    server: Server
    folder: Path
    settings: Path | None = None
    """of the full profile"""

    @property
    def full(self) -> bool:
        return self.settings is not None

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    def url(self, actor: str) -> str:
        return f"{self.server.url}/services/{actor}"

    def client(self) -> Client:
        """Who fills the hub."""
        site = AuditSite(source_id="benchmark", host="localhost", process_id="1")
        return Client(site=site, trail=_NoTrail(), clock=lambda: datetime.now(UTC))

    def channel(self, actor: str) -> SoapClient:
        """A way in for who fills the hub."""
        spools = SpoolFolder(self.folder / "client-spool")
        tls = client_context(tls_files(self.pki, "hospital-a")) if self.full else None
        return SoapClient(self.url(actor), make_spool=spools.open, tls=tls)

    def security(self) -> bytes:
        """The header that a query must bear."""
        if not self.full:
            return b""
        subject = Subject(
            user_id="dr.weber",
            issuer=ISSUER,
            assertion_id="",
            user_name="Dr Wanda Weber",
            organization="National eHealth platform",
            organization_id="urn:oid:2.999.30",
            roles=(RADIOLOGIST,),
            purposes=(TREATMENT,),
        )
        assertion = issue_assertion(
            subject,
            audiences=[HOME],
            key_pem=(self.pki / "idp.key").read_bytes(),
            cert_pem=(self.pki / "idp.pem").read_bytes(),
            now=datetime.now(UTC),
            lifetime=timedelta(minutes=30),
        )
        return security_header(assertion)


def tls_files(folder: Path, name: str) -> TlsFiles:
    """The PEM files of one node."""
    return TlsFiles(certificate=folder / f"{name}.pem", key=folder / f"{name}.key", peer_ca=folder / "ca.pem")


@contextmanager
def open_hub(folder: Path, *, pacs: str = "") -> Iterator[Hub]:
    """`xdsi serve` with the open profile."""
    port = free_port()
    folder.mkdir(parents=True)
    command = python("xdsi")
    if pacs:
        # The option for the profile knows folders only.
        settings = folder / "open.toml"
        settings.write_text(
            f"[server]\nactors = {json.dumps(_actors(pacs))}\n[imaging_source]\npacs = {_text(pacs)}\n"
            '[domain]\nprofile = "open"\naccept_unknown_patients = true\n[consent]\nenforce = false\n'
        )
        command += ["--config", settings, "serve"]
    else:
        command += ["serve", "--profile", "open"]
    command += ["--port", str(port), "--data", folder / "data", "--location-uid", LOCATION]
    with running(command, port=port, tls=False, log=folder / "serve.log") as server:
        yield Hub(server, folder)


@contextmanager
def hub_behind_proxy(full: Hub) -> Iterator[Hub]:
    """The hub of a folder that `full_hub` made, as it runs behind a proxy that ends TLS: plain HTTP on loopback.

    Every check is made; the client's certificate comes in the header `CERTIFICATE_HEADER`.
    """
    assert full.settings is not None
    port = free_port()
    text = full.settings.read_text().replace(f"port = {full.server.port}\n", f"port = {port}\n")
    kept = [line for line in text.splitlines() if line.partition(" = ")[0] not in ("certificate", "key", "client_ca")]
    at = kept.index("[tls]") + 1
    kept[at:at] = [f"proxy_header = {_text(CERTIFICATE_HEADER)}", 'proxy_addresses = ["127.0.0.1"]']
    settings = full.folder / "proxied.toml"
    settings.write_text("\n".join(kept) + "\n")
    command = python("xdsi", "--config", settings, "serve")
    with running(command, port=port, tls=False, log=full.folder / "proxied.log") as server:
        yield Hub(server, full.folder, settings)


@contextmanager
def full_hub(folder: Path, *, pacs: str = "") -> Iterator[Hub]:
    """A hub that asks for a certificate and an assertion, and decides by consent."""
    port = free_port()
    settings = _write_settings(folder, port, pacs)
    command = python("xdsi", "--config", settings, "serve")
    with running(command, port=port, tls=True, log=folder / "serve.log") as server:
        yield Hub(server, folder, settings)


def _write_settings(folder: Path, port: int, pacs: str) -> Path:
    pem = folder / "pki"
    credentials = pki.create_demonstration(pem)
    credentials["seal"] = pki.issue_signer(credentials["ca"], pem, "seal")
    permits = ["ITI-8", "ITI-41", "ITI-42", "ITI-44"]
    (folder / "patients.toml").write_text(f'"{local(1)}" = "{patient(1)}"\n')
    lines = [
        "[server]",
        f"port = {port}",
        f"data_dir = {_text(folder / 'data')}",
        f"actors = {json.dumps(_actors(pacs))}",
        "[domain]",
        f"home_community_id = {_text(HOME)}",
        f"patient_id_authority = {_text(AUTHORITY)}",
        "accept_unknown_patients = true",
        "[tls]",
        f"certificate = {_text(pem / 'hub.pem')}",
        f"key = {_text(pem / 'hub.key')}",
        f"client_ca = {_text(pem / 'ca.pem')}",
        "[saml]",
        f"audiences = [{_text(HOME)}]",
        "[[saml.issuer]]",
        f"name = {_text(ISSUER)}",
        f"certificates = [{_text(pem / 'idp.pem')}]",
        "[consent]",
        f"signer_ca = {_text(pem / 'ca.pem')}",
        f"seals = [{_text(pem / 'seal.pem')}]",
    ]
    if pacs:
        lines += [
            "[imaging_source]",
            f"pacs = {_text(pacs)}",
            f"retrieve_location_uid = {_text(LOCATION)}",
            f"repository_url = {_text(f'https://127.0.0.1:{port}/services/repository')}",
            f"patient_id_authority = {_text(LOCAL_AUTHORITY)}",
            f"patient_ids = {_text(folder / 'patients.toml')}",
        ]
    for name in ("hub", "hospital-a"):
        lines += ["[[node]]", f"name = {_text(name)}", f"sha256 = {_text(credentials[name].sha256)}"]
        lines += ['organization_id = "urn:oid:2.999.9"', f"permits = {json.dumps(permits)}"]
    file = folder / "hub.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


def _actors(pacs: str) -> list[str]:
    return ["registry", "repository", "identity", *(["imaging-source"] if pacs else [])]


def _text(value: object) -> str:
    return json.dumps(str(value))


def patient(number: int) -> str:
    """A patient's identifier in the domain; all are of one length, so that answers are."""
    return f"PATIENT-{number:05d}^^^&{AUTHORITY}&ISO"


def local(number: int) -> str:
    """The same in the hospital."""
    return f"LOCAL-{number:05d}^^^&{LOCAL_AUTHORITY}&ISO"
