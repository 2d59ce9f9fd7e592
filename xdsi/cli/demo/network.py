"""The demonstration's network: certificates, settings and the processes of a hub and two hospitals."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from xdsi.cli.demo.studies import HOSPITAL_A, HOSPITAL_B, HOSPITALS, PATIENT_AUTHORITY, PATIENTS, Hospital
from xdsi.domain.errors import Unavailable
from xdsi.transport import pki

HOME = "urn:oid:2.999.1"
ISSUER = "urn:xdsi:demonstration:idp"
HUB_REPOSITORY = "2.999.1.2"
HOSPITAL_B_REPOSITORY = "2.999.20.5"
NATIONAL_ORGANIZATION = "urn:oid:2.999.30"


def repository_of(hospital: Hospital) -> str:
    """Where a hospital's manifests lie: hospital B has a repository of its own."""
    return HOSPITAL_B_REPOSITORY if hospital == HOSPITAL_B else HUB_REPOSITORY


@dataclass(slots=True)
class Network:
    """Ports, certificates and running processes."""

    out: Path
    ports: dict[str, int]
    credentials: dict[str, pki.Credential]
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    logs: dict[str, IO[str]] = field(default_factory=dict)

    def url(self, node: str, actor: str) -> str:
        """An actor's endpoint."""
        return f"https://127.0.0.1:{self.ports[node]}/services/{actor}"

    def settings_file(self, node: str) -> Path:
        """The settings of a node."""
        return self.out / "settings" / f"{node}.toml"

    def data(self, node: str) -> Path:
        """What a node keeps."""
        return self.out / "data" / node

    def start(self, node: str) -> None:
        """Start a node's server."""
        log = (self.out / "data" / f"{node}.log").open("w")
        self.logs[node] = log
        # -P: a folder named xdsi where this was started, such as a clone's, is not the program.
        command = [sys.executable, "-P", "-m", "xdsi", "--config", str(self.settings_file(node)), "serve"]
        self.processes[node] = subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=_environment(), start_new_session=True
        )

    def wait(self, node: str, seconds: float = 40.0) -> dict[str, Any]:
        """Until a node's server says that it is ready; raises Unavailable with its log otherwise."""
        process = self.processes[node]
        assert process.stdout is not None
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            readable, _, _ = select.select([process.stdout], [], [], 0.2)
            if readable:
                line = process.stdout.readline()
                if line.startswith("{"):
                    ready: dict[str, Any] = json.loads(line)
                    return ready
            if process.poll() is not None:
                break
        self.logs[node].flush()
        tail = (self.out / "data" / f"{node}.log").read_text()[-2000:]
        raise Unavailable(f"{node} did not start:\n{tail}")

    def stop(self) -> None:
        """Stop all servers in good order."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
        for log in self.logs.values():
            log.close()


def _environment() -> dict[str, str]:
    # Settings of the caller's shell must not leak into the demonstration.
    return {name: value for name, value in os.environ.items() if not name.startswith("XDSI_")}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def build(out: Path) -> Network:
    """Make the output folder anew, with certificates and settings."""
    if out.exists():
        if not (out / "endpoints.json").exists() and any(out.iterdir()):
            raise FileExistsError(f"{out} is not empty and was not made by a demonstration: choose another --out")
        shutil.rmtree(out)
    for name in ("settings", "data", "assertions", "messages", "audit", "images", "published"):
        (out / name).mkdir(parents=True)
    credentials = pki.create_demonstration(out / "pki")
    for patient in PATIENTS:
        name = f"patient-{patient.letter.lower()}"
        credentials[name] = pki.issue_signer(credentials["ca"], out / "pki", name, serial_number=patient.domain_id.id)
    names = ("hub", "hospital-a", "hospital-b", "mllp", "syslog")
    network = Network(out, dict(zip(names, _free_ports(len(names)), strict=True)), credentials)
    _write_settings(network)
    _write_endpoints(network)
    return network


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write(network: Network, node: str, sections: dict[str, dict[str, Any]], extra: str = "") -> None:
    lines = []
    for section, keys in sections.items():
        lines.append(f"[{section}]")
        for key, value in keys.items():
            if isinstance(value, dict):
                pairs = ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items())
                lines.append(f"{key} = {{ {pairs} }}")
            else:
                lines.append(f"{key} = {_toml(value)}")
        lines.append("")
    network.settings_file(node).write_text("\n".join(lines) + extra, "utf-8")


def _common(network: Network, node: str) -> dict[str, dict[str, Any]]:
    pem = network.out.resolve() / "pki"
    return {
        "server": {
            "port": network.ports.get(node, 0),
            "data_dir": str(network.data(node).resolve()),
            "record_dir": str((network.data(node) / "recorded").resolve()),
        },
        "domain": {"home_community_id": HOME, "patient_id_authority": PATIENT_AUTHORITY},
        "tls": {
            "certificate": str(pem / f"{node}.pem"),
            "key": str(pem / f"{node}.key"),
            "client_ca": str(pem / "ca.pem"),
        },
        "saml": {"audiences": [HOME]},
        "audit": {"source_id": node, "send": f"tls://127.0.0.1:{network.ports['syslog']}"},
    }


def _trusted(network: Network) -> str:
    pem = network.out.resolve() / "pki"
    return f"\n[[saml.issuer]]\nname = {_toml(ISSUER)}\ncertificates = [{_toml(str(pem / 'idp.pem'))}]\n"


def _nodes(network: Network, permits: dict[str, list[str]]) -> str:
    organizations = {
        "hospital-a": f"urn:oid:{HOSPITAL_A.organization_id}",
        "hospital-b": f"urn:oid:{HOSPITAL_B.organization_id}",
        "consumer": NATIONAL_ORGANIZATION,
        "hub": HOME,
    }
    text = ""
    for name, transactions in permits.items():
        text += f"\n[[node]]\nname = {_toml(name)}\nsha256 = {_toml(network.credentials[name].sha256)}\n"
        text += f"organization_id = {_toml(organizations[name])}\npermits = {_toml(transactions)}\n"
    return text


def _write_settings(network: Network) -> None:
    pem = network.out.resolve() / "pki"
    hub = _common(network, "hub")
    hub["server"] |= {
        "actors": ["registry", "repository", "identity", "authorization"],
        "mllp_port": network.ports["mllp"],
    }
    hub["repository"] = {"unique_id": HUB_REPOSITORY}
    hub["consent"] = {"signer_ca": str(pem / "ca.pem")}
    hub["audit"] = {"source_id": "hub", "listen": network.ports["syslog"]}
    feeds = ["ITI-8", "ITI-44", "ITI-41", "ITI-42", "ITI-79", "ITI-20"]
    _write(
        network,
        "hub",
        hub,
        _trusted(network) + _nodes(network, {"hospital-a": feeds, "hospital-b": feeds, "consumer": ["ITI-20"]}),
    )
    for hospital in HOSPITALS:
        own_repository = hospital == HOSPITAL_B
        node = _common(network, hospital.slug)
        node["server"] |= {"actors": ["imaging-source", *(["repository"] if own_repository else [])]}
        node["imaging_source"] = {
            "retrieve_location_uid": hospital.retrieve_location_uid,
            "retrieve_ae_title": hospital.ae_title,
            "pacs": f"folder:{(network.out / 'data' / hospital.slug / 'dicom').resolve()}",
            "repository_url": network.url(hospital.slug if own_repository else "hub", "repository"),
            "repository_unique_id": repository_of(hospital),
            "organization_id": f"urn:oid:{hospital.organization_id}",
            "organization_name": hospital.name,
            "source_id": hospital.source_id,
            "patient_id_authority": hospital.patient_authority,
            "accession_authority": hospital.accession_authority,
            "patient_ids": str((network.out / "settings" / f"{hospital.slug}-patients.toml").resolve()),
            "decision_url": network.url("hub", "authorization"),
            # Short, so that the demonstration need not wait to show that a revocation is felt here too.
            "decision_cache_seconds": 1.0,
        }
        node["consent"] = {"decision_trust": [str(pem / "hub.pem")]}
        if own_repository:
            node["repository"] = {
                "unique_id": HOSPITAL_B_REPOSITORY,
                "registry_url": network.url("hub", "registry"),
                "decision_url": network.url("hub", "authorization"),
            }
        permits = {hospital.slug: ["ITI-41"]} if own_repository else {}
        _write(network, hospital.slug, node, _trusted(network) + _nodes(network, permits))
        pairs = [
            f"{_toml(patient.local_ids[hospital.slug].cx)} = {_toml(patient.domain_id.cx)}"
            for patient in PATIENTS
            if hospital.slug in patient.local_ids
        ]
        (network.out / "settings" / f"{hospital.slug}-patients.toml").write_text("\n".join(pairs) + "\n", "utf-8")
    consumer = _common(network, "consumer")
    del consumer["server"]["port"], consumer["server"]["record_dir"]
    consumer["consumer"] = {
        "registry_url": network.url("hub", "registry"),
        "repositories": {
            HUB_REPOSITORY: network.url("hub", "repository"),
            HOSPITAL_B_REPOSITORY: network.url("hospital-b", "repository"),
        },
        "sources": {
            hospital.retrieve_location_uid: network.url(hospital.slug, "imaging-source") for hospital in HOSPITALS
        },
        "certificate": str(pem / "consumer.pem"),
        "key": str(pem / "consumer.key"),
        "ca": str(pem / "ca.pem"),
        "assertion": str((network.out / "assertions" / "radiologist.xml").resolve()),
    }
    _write(network, "consumer", consumer)


def _write_endpoints(network: Network) -> None:
    hub = {name: network.url("hub", name) for name in ("registry", "repository", "identity", "authorization")}
    endpoints = {
        "home_community_id": HOME,
        "patient_id_authority": PATIENT_AUTHORITY,
        "hub": {
            **hub,
            "repository_unique_id": HUB_REPOSITORY,
            "mllp": f"127.0.0.1:{network.ports['mllp']}",
            "audit": f"tls://127.0.0.1:{network.ports['syslog']}",
        },
        "hospital-a": {
            "imaging-source": network.url("hospital-a", "imaging-source"),
            "retrieve_location_uid": HOSPITAL_A.retrieve_location_uid,
        },
        "hospital-b": {
            "imaging-source": network.url("hospital-b", "imaging-source"),
            "repository": network.url("hospital-b", "repository"),
            "retrieve_location_uid": HOSPITAL_B.retrieve_location_uid,
            "repository_unique_id": HOSPITAL_B_REPOSITORY,
        },
        "patients": {
            patient.letter: {
                "domain": patient.domain_id.cx,
                **{slug: local.cx for slug, local in patient.local_ids.items()},
            }
            for patient in PATIENTS
        },
    }
    (network.out / "endpoints.json").write_text(json.dumps(endpoints, indent=2) + "\n", "utf-8")
