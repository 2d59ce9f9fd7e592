"""A hub with a hospital's images in one server, mutual TLS and consent, and who may ask it: for tests of every path."""

from __future__ import annotations

import base64
import io
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from requests.adapters import HTTPAdapter

from tests.certificates import identity
from tests.imaging import STUDIES
from tests.servers import Server, free_port, serving, wait_until
from xdsi.cli import main
from xdsi.transport import pki

AUTHORITY = "2.999.1.5"
CT = "1.3.6.1.4.1.5962.1.1.0.0.0.1196530851.28319.0.1"
"""of Doe: its manifest is published, and Doe has consented that doctors see it"""
XR = "1.3.6.1.4.1.5962.1.1.0.0.0.1196527414.5534.0.1"
"""of Doe: no manifest was published"""
MR = "1.3.6.1.4.1.5962.1.1.0.0.0.1194734704.16302.0.1"
"""of Peter: its manifest is published, and nothing was consented to"""
DOE, PETER = f"77654033^^^&{AUTHORITY}&ISO", f"98890234^^^&{AUTHORITY}&ISO"
DOCTOR, PORTER = "112247003", "265937000"
SNOMED, PURPOSES = "2.16.840.1.113883.6.96", "2.16.840.1.113883.5.8"
ISSUER = "https://idp.example"
SIGNER = identity("jwt-issuer")


def key_set(*signers: Any, **named: Any) -> str:
    """A JSON Web Key Set; `named` by kid."""
    keys = [json.loads(_algorithm(one).to_jwk(one.key.public_key())) for one in (*signers, *named.values())]
    for key, kid in zip(keys[len(signers) :], named, strict=True):
        key["kid"] = kid
    return json.dumps({"keys": keys})


def _algorithm(signer: Any) -> Any:
    return jwt.get_algorithm_by_name(algorithm_of(signer))


def algorithm_of(signer: Any) -> str:
    """How a signer signs."""
    return "ES256" if isinstance(signer.key, ec.EllipticCurvePrivateKey) else "RS256"


def seconds() -> int:
    """When tokens are issued."""
    return int(time.time())


def claims(role: str = DOCTOR, **changes: Any) -> dict[str, Any]:
    """What a token says."""
    now = seconds()
    said: dict[str, Any] = {
        "iss": ISSUER, "sub": "dr.jekyll", "aud": "urn:oid:2.999.1", "jti": f"t{time.time_ns()}", "client_id": "viewer",
        "scope": "images", "iat": now, "exp": now + 300,
        "extensions": {
            "ihe_iua": {
                "subject_name": "Dr Jekyll", "subject_organization": "A", "subject_organization_id": "urn:oid:2.999.5",
                "subject_role": [{"system": f"urn:oid:{SNOMED}", "code": role}],
                "purpose_of_use": [{"system": f"urn:oid:{PURPOSES}", "code": "TREAT"}],
            }
        },
    }  # fmt: skip
    return said | changes


def token(role: str = DOCTOR, *, signer: Any = SIGNER, headers: dict[str, Any] | None = None, **changes: Any) -> str:
    """An access token."""
    return jwt.encode(claims(role, **changes), signer.key, algorithm=algorithm_of(signer), headers=headers)


class _Adapter(HTTPAdapter):
    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **named: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self.context, **named)


@dataclass
class Trusted:
    """The server, with commands and sessions beside it."""

    server: Server
    folder: Path
    move_port: int = 0
    """of the C-MOVE SCP"""
    store_ports: tuple[int, ...] = ()
    """where MOVER and PORTER, and where ELSEWHERE, take what is sent to them"""

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    def context(self, name: str = "consumer") -> ssl.SSLContext:
        """How a node of the authority connects."""
        context = ssl.create_default_context(cafile=str(self.pki / "ca.pem"))
        context.load_cert_chain(self.pki / f"{name}.pem", self.pki / f"{name}.key")
        return context

    @cached_property
    def session(self) -> requests.Session:
        """A client with the consumer's certificate."""
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", _Adapter(self.context()))
        return session

    def get(self, path: str, authorization: str | None = None, accept: str = "", **headers: str) -> requests.Response:
        """GET with a doctor's token, if nothing else is said."""
        given = headers | ({"Accept": accept} if accept else {"Accept": "*/*"})
        shown = f"Bearer {token()}" if authorization is None else authorization
        if shown:
            given["Authorization"] = shown
        return self.session.get(self.server.base_url + path, headers=given, timeout=60)

    def saml(self, role: str = DOCTOR) -> str:
        """An assertion as REST requests carry it."""
        out = self.folder / f"{role}.xml"
        self.command(
            "token", "issue", "--issuer", "idp", "--key", str(self.pki / "idp.key"), "--cert",
            str(self.pki / "idp.pem"), "--user", "dr", "--organization-id", "urn:oid:2.999.5", "--role",
            f"{role}^^{SNOMED}", "--purpose", f"TREAT^^{PURPOSES}", "--out", str(out),
        )  # fmt: skip
        return "IHE-SAML " + base64.b64encode(out.read_bytes()).decode()

    def command(self, *arguments: str) -> list[dict[str, Any]]:
        """A command of this hub's operator."""
        out = io.StringIO()
        with redirect_stdout(out):
            status = main(["--json", "--config", str(self.folder / "hub.toml"), *arguments])
        answer = json.loads(out.getvalue())
        assert status == 0, answer
        items: list[dict[str, Any]] = answer["items"]
        return items

    def furnish(self) -> None:
        """Two patients with a study each; one of them lets doctors see everything."""
        for patient in (DOE, PETER):
            self.command("patient", "add", patient)
        self.command("publish", CT, MR)
        (signer,) = self.command("pki", "signer", str(self.pki), DOE)
        permit = ("--permit", f"role={DOCTOR}^^{SNOMED}")
        self.command("consent", "grant", DOE, *permit, "--key", signer["key"], "--cert", signer["certificate"])

    def audited(self, trace: str) -> list[tuple[str, int]]:
        """(transaction or event, outcome) of every record of one exchange."""
        items = self.command("audit", "search", "--trace", trace)
        return sorted((item["transaction"], item["outcome"]) for item in items)

    def explained(self, trace: str) -> str:
        """What the operator is told of an exchange; traces are written behind the answer."""
        told: list[Any] = []

        def there() -> bool:
            with suppress(AssertionError):
                told[:] = self.command("explain", trace)
            return bool(told)

        wait_until(there, 30)
        return json.dumps(told)


def settings(folder: Path, port: int, *more: str) -> str:
    """The hub's settings, the PKI made on the way."""
    if not (folder / "pki").exists():
        pki.create_demonstration(folder / "pki")
    own = folder / "pki"
    (folder / "keys.json").write_text(key_set(SIGNER))
    return "\n".join(
        [
            "[server]", f"port = {port}", f"data_dir = '{folder / 'data'}'",
            "actors = ['registry', 'repository', 'identity', 'authorization', 'imaging-source']",
            "[tls]", f"certificate = '{own}/hub.pem'", f"key = '{own}/hub.key'", f"client_ca = '{own}/ca.pem'",
            "[imaging_source]", f"pacs = 'folder:{STUDIES}'", f"patient_id_authority = '{AUTHORITY}'",
            f"repository_url = 'https://127.0.0.1:{port}/services/repository'",
            "[domain]", f"patient_id_authority = '{AUTHORITY}'",
            "[consent]", f"signer_ca = '{own}/ca.pem'", f"emergency_roles = ['{DOCTOR}^^{SNOMED}']",
            "[notification]", "retry_seconds = 1", f"patient = 'folder:{folder / 'notices' / 'patient'}'",
            f"officer = 'folder:{folder / 'notices' / 'officer'}'",
            "[[saml.issuer]]", "name = 'idp'", f"certificates = '{own}/idp.pem'",
            "[[jwt.issuer]]", f"name = '{ISSUER}'", f"jwks = '{folder / 'keys.json'}'",
            "[[node]]", "name = 'hub'", f"sha256 = '{pki.load(own, 'hub').sha256}'",
            "permits = ['ITI-41', 'ITI-42', 'ITI-44', 'metrics', 'publishing']", *more,
        ]
    )  # fmt: skip


def entities(folder: Path, move_port: int, *store_ports: int) -> list[str]:
    """The part of the settings about DIMSE: two entities of one organisation, and one of another."""
    found = ["[dicom]", f"port = {move_port}"]
    for title, node, role, organization, port in (
        ("MOVER", "consumer", DOCTOR, 5, store_ports[0]),
        ("PORTER", "hospital-a", PORTER, 5, store_ports[0]),
        ("ELSEWHERE", "hospital-b", DOCTOR, 6, store_ports[1]),
    ):
        found += [
            "[[dicom.peer]]", f"ae_title = '{title}'", f"address = '127.0.0.1:{port}'",
            f"certificate_sha256 = '{pki.load(folder / 'pki', node).sha256}'",
            f"organization_id = 'urn:oid:2.999.{organization}'", f"role = '{role}^^{SNOMED}'",
            f"purpose = 'TREAT^^{PURPOSES}'",
        ]  # fmt: skip
    return found


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusted]:
    """The hub as it runs, with two published studies and one patient's consent."""
    folder = tmp_path_factory.mktemp("trusted")
    port, move_port, *store_ports = (free_port() for _ in range(4))
    pki.create_demonstration(folder / "pki")
    (folder / "hub.toml").write_text(settings(folder, port, *entities(folder, move_port, *store_ports)))
    with serving(folder / "data", config=folder / "hub.toml", port=port) as server:
        hub = Trusted(server, folder, move_port, tuple(store_ports))
        hub.furnish()
        yield hub
        hub.session.close()
