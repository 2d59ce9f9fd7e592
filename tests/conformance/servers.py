"""Servers as the cases need them: the open profile, with announced patients only, or as a first start makes one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from xdsi.conformance import FOLDER, PRESETS, Case, Endpoint, Entities, Issuer
from xdsi.conformance.cases import known_values

OPEN, STRICT, SECURED = "open", "strict", "secured"
_DICOM = ("--dicom", str(FOLDER / "dicom"))
_OPTIONS = {
    OPEN: ("--profile", "open", *_DICOM),
    STRICT: ("--profile", "open", *_DICOM, "--strict-patients"),
    SECURED: _DICOM,
}
ISSUER = "urn:xdsi:demonstration:idp"
"""whose assertions a first start trusts"""


SECURED_FEATURES = frozenset({
    "explains", "identity", "nodes", "permits", "published", "reference-id", "secured", "tokens", "trace",
    "wado-served",
})  # fmt: skip


class Process(Protocol):
    """A server's process; what of subprocess.Popen is needed."""

    stdout: IO[str] | None

    def terminate(self) -> None: ...

    def wait(self, timeout: float = ...) -> int: ...


Spawn = Callable[[Sequence[str], IO[str]], Process]
"""starts xdsi with these arguments, what it has to say for people going to a file"""


def spawn(arguments: Sequence[str], log: IO[str]) -> Process:
    """The product as it is, in a process of its own."""
    return subprocess.Popen([sys.executable, "-m", "xdsi", *arguments], stdout=subprocess.PIPE, stderr=log, text=True)


def profile_of(case: Case) -> str:
    """The profile that a case belongs to."""
    if "secured" in case.needs:
        return SECURED
    return STRICT if "strict-patients" in case.needs else OPEN


class NotStarted(Exception):
    """The server ended before it said that it is ready."""


class Server:
    """`xdsi serve` as a process of its own, from the line that says it is ready to its end."""

    def __init__(self, folder: Path, profile: str, start: Spawn = spawn) -> None:
        self._log = (folder / "server.log").open("w")
        port, mllp, move, store = _free_ports(4)
        options = ("--port", str(port), "--mllp-port", str(mllp), "--data", str(folder / "data"), *_OPTIONS[profile])
        settings = folder / "settings.toml"
        secured = _secured(folder / "data", port) if profile == SECURED else ""
        settings.write_text(secured + _moving(folder / "data", profile, move, store), "utf-8")
        self._process = start(["--config", str(settings), "serve", *options], self._log)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise NotStarted((folder / "server.log").read_text()[-2000:])
        ready = json.loads(line)
        ids = ready["ids"]
        features = PRESETS["xdsi"] | ({"strict-patients"} if profile == STRICT else set())
        self.endpoint = Endpoint(
            base_url=ready["base_url"],
            values={"home": ids["home"], "repository": ids["repository"], "location_uid": ids["location"]},
            features=frozenset(features),
            feed=profile == STRICT,
            mllp=f"{'mllps' if profile == SECURED else 'mllp'}://127.0.0.1:{mllp}",
            dimse=Entities(f"{'dicoms' if profile == SECURED else 'dicom'}://127.0.0.1:{move}", port=store),
        )
        if profile == SECURED:
            keys = folder / "data" / "pki"
            self.endpoint = replace(
                self.endpoint,
                features=SECURED_FEATURES,
                feed=True,
                issuer=Issuer.of(ISSUER, keys / "idp.key", keys / "idp.pem"),
                certificate=(str(keys / "consumer.pem"), str(keys / "consumer.key")),
                node=(str(keys / "hospital-a.pem"), str(keys / "hospital-a.key")),
                authorities=str(keys / "ca.pem"),
            )

        # Beside HTTP it listens a little later.
        _wait_for(mllp)
        _wait_for(move)
        if profile == SECURED:
            try:
                _publish(settings, folder / "data" / "published")
            except AssertionError:
                self.stop()
                raise

    def stop(self) -> None:
        """End the process and wait for it."""
        self._process.terminate()
        self._process.wait(30)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


def _secured(data: Path, port: int) -> str:
    """As a first start has it, with studies, access tokens beside assertions, and a domain that permits reading."""
    folder = data / "pki"
    if not (folder / "hub.pem").exists():
        data.mkdir(parents=True, exist_ok=True)
        # Not in this process: what it has imported of the product, no defect can be put into any more.
        command = [sys.executable, "-m", "xdsi", "pki", "init", str(folder)]
        subprocess.run(command, check=True, capture_output=True)
    (data / "keys.json").write_text(_key_set((folder / "idp.pem").read_bytes()), "utf-8")
    return f"""
[server]
actors = ["registry", "repository", "imaging-source", "identity", "authorization"]
port = {port}
data_dir = "{data}"

[imaging_source]
pacs = "folder:{FOLDER / "dicom"}"
patient_id_authority = "2.999.7.1"
repository_url = "https://127.0.0.1:{port}/services/repository"

[domain]
patient_id_authority = "2.999.7.1"

[tls]
certificate = "{folder / "hub.pem"}"
key = "{folder / "hub.key"}"
client_ca = "{folder / "ca.pem"}"

[consent]
default = "permit"
signer_ca = "{folder / "ca.pem"}"

[[saml.issuer]]
name = "{ISSUER}"
certificates = ["{folder / "idp.pem"}"]

[[jwt.issuer]]
name = "{ISSUER}"
jwks = "{data / "keys.json"}"

[[node]]
name = "hospital-a"
sha256 = "{_fingerprint(folder / "hospital-a.pem")}"
organization_id = "urn:oid:2.999.1.10"
permits = ["ITI-8", "ITI-41", "ITI-42", "ITI-44", "ITI-61", "ITI-79"]

[[node]]
name = "hub"
sha256 = "{_fingerprint(folder / "hub.pem")}"
permits = ["ITI-41", "ITI-42"]
"""


def _fingerprint(certificate: Path) -> str:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256()).hex()


def _moving(data: Path, profile: str, move: int, store: int) -> str:
    """The imaging source by DIMSE, and the runner's entity, bound to a node's certificate where there are such."""
    shown = f'certificate_sha256 = "{_fingerprint(data / "pki" / "hospital-a.pem")}"' if profile == SECURED else ""
    return f"""
[dicom]
port = {move}

[[dicom.peer]]
ae_title = "{Entities.calling}"
address = "127.0.0.1:{store}"
{shown}
organization_id = "urn:oid:2.999.1.10"
role = "112247003^^2.16.840.1.113883.6.96"
purpose = "TREAT^^2.16.840.1.113883.5.8"
"""


def _publish(settings: Path, done_before: Path) -> None:
    """The manifest of the one study that is to be seen, if the data folder is not the copy of one that has it."""
    if done_before.exists():
        return
    before = ["--json", "--config", str(settings)]
    patient, study = "L-4712^^^&2.999.7.1&ISO", known_values()["published_study"]
    both = [[*before, "patient", "add", patient], [*before, "publish", study]]
    # One process, because it takes its time to load; and not this one, for the sake of defects.
    code = f"import sys; from xdsi.cli import main; sys.exit(any([main(one) for one in {both!r}]))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    done_before.touch()


def _key_set(certificate: bytes) -> str:
    """The issuer's public key as RFC 7517 has it."""
    public = x509.load_pem_x509_certificate(certificate).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    key = {**RSAAlgorithm.to_jwk(public, as_dict=True), "kid": "idp", "use": "sig", "alg": "RS256"}
    key.pop("key_ops", None)
    return json.dumps({"keys": [key]})


def _wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
