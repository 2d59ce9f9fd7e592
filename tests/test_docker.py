"""The container files, as text: real settings, pinned images, no root, health checks, files that exist.

Nothing is built or started here; the two scripts of the image are run as they are.
"""

from __future__ import annotations

import http.server
import re
import runpy
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from xdsi import settings
from xdsi.cli.demo import studies as demo
from xdsi.transport import pki
from xdsi.transport.tls import TlsFiles, server_context

ROOT = Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
NODES = ("hub", "hospital-a", "hospital-b")
PINNED = re.compile(r"[a-z0-9./-]+:[0-9][a-z0-9.-]*[a-z0-9]")


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, its continued lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


def instructions() -> list[Instruction]:
    lines = [line for line in (DOCKER / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def of(name: str) -> list[Instruction]:
    return [one for one in instructions() if one.name == name]


def last_stage() -> list[Instruction]:
    everything = instructions()
    begin = max(index for index, one in enumerate(everything) if one.name == "FROM")
    return everything[begin:]


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What prepare.py makes."""
    folder = tmp_path_factory.mktemp("docker") / "secrets"
    runpy.run_path(str(DOCKER / "prepare.py"))["main"](folder)
    return folder


# -- the image


def test_base_images_are_pinned() -> None:
    images = [one.words[0] for one in of("FROM")]
    assert len(images) == 2
    assert set(images) == {"python:3.11-slim-bookworm"}


def test_dependencies_are_those_of_the_lock_file() -> None:
    installs = [one.text for one in of("RUN") if "pip install" in one.text]
    assert any("--require-hashes" in one and "-r requirements.lock" in one for one in installs)
    assert all("--require-hashes" in one or "--no-deps" in one for one in installs)


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    admitted = {line[1:] for line in ignored if line.startswith("!")}
    for copy in of("COPY"):
        sources = [word for word in copy.words[:-1] if not word.startswith("--")]
        if "--from=build" in copy.words:
            continue
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source.removeprefix("./") in admitted, source
    assert all((ROOT / path).exists() for path in admitted)


def test_the_image_runs_without_root_and_checks_its_health() -> None:
    stage = last_stage()
    (user,) = [one.words[0] for one in stage if one.name == "USER"]
    assert user == "10001:10001"
    (entry,) = [one.text for one in stage if one.name == "ENTRYPOINT"]
    assert yaml.safe_load(entry) == ["xdsi", "serve"]
    (check,) = [one.text for one in stage if one.name == "HEALTHCHECK"]
    assert "/opt/xdsi/share/healthcheck.py" in check
    assert "/health/ready" in (DOCKER / "healthcheck.py").read_text()


def test_variables_of_the_image_are_settings() -> None:
    environment = dict(word.split("=", 1) for one in last_stage() if one.name == "ENV" for word in one.words)
    ours = {name: value for name, value in environment.items() if name.startswith("XDSI_")}
    assert ours
    settings.load(None, ours)


# -- compose.yaml


def test_services() -> None:
    assert set(SERVICES) == {*NODES, "db", "orthanc"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_unprivileged_and_checked(name: str) -> None:
    service = SERVICES[name]
    assert PINNED.fullmatch(service["image"]), service["image"]
    user, group = service["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert not service.get("privileged")


@pytest.mark.parametrize("name", [*NODES, "db"])
def test_file_systems_are_read_only(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert "/tmp" in SERVICES[name]["tmpfs"]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@pytest.mark.parametrize("name", SERVICES)
def test_volumes_secrets_and_configs_are_declared(name: str) -> None:
    service = SERVICES[name]
    for volume in service.get("volumes", ()):
        assert volume.split(":")[0] in COMPOSE["volumes"], volume
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    assert {one["source"] for one in service.get("configs", ())} <= set(COMPOSE["configs"])
    assert set(service.get("depends_on", ())) <= set(SERVICES)


def test_nothing_declared_is_unused() -> None:
    for kind in ("volumes", "secrets", "configs"):
        used = set()
        for service in SERVICES.values():
            for one in service.get(kind, ()):
                used.add(one["source"] if isinstance(one, dict) else one.split(":")[0])
        assert used == set(COMPOSE[kind])


def test_what_is_mounted_is_made(mounted: Path) -> None:
    for kind in ("secrets", "configs"):
        for name, one in COMPOSE[kind].items():
            assert one["file"] == f"./secrets/{name}"
            assert (mounted / name).is_file(), name
    for name in COMPOSE["secrets"]:
        assert (mounted / name).stat().st_mode & 0o077 == 0, name


def test_no_secret_is_in_a_variable() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or name.endswith("_FILE"), name
            assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), name


def test_build_uses_the_dockerfile() -> None:
    for name in NODES:
        build = SERVICES[name]["build"]
        assert (DOCKER / build["context"] / build["dockerfile"]).resolve() == DOCKER / "Dockerfile"


def loaded(name: str, mounted: Path) -> settings.Settings:
    """The settings that a service starts with."""
    environment = {key: value for key, value in SERVICES[name]["environment"].items() if key.startswith("XDSI_")}
    assert all(isinstance(value, str) for value in environment.values())
    config = environment.pop("XDSI_CONFIG")
    files = {one["target"]: one["source"] for one in SERVICES[name]["configs"]}
    return settings.load(mounted / files[config], environment)


@pytest.mark.parametrize("name", NODES)
def test_every_variable_is_a_setting(name: str, mounted: Path) -> None:
    chosen = loaded(name, mounted)
    default = settings.Settings()
    for key in SERVICES[name]["environment"]:
        if key != "XDSI_CONFIG":
            section, field = key.removeprefix("XDSI_").lower().split("__")
            assert hasattr(getattr(default, section), field), key
    assert chosen.server.address == "0.0.0.0"
    assert f"{chosen.server.data_dir}" in [volume.split(":")[1] for volume in SERVICES[name]["volumes"]]


@pytest.mark.parametrize("name", NODES)
def test_every_file_that_settings_name_is_mounted(name: str, mounted: Path) -> None:
    chosen = loaded(name, mounted)
    present = {one["target"] for one in SERVICES[name]["configs"]}
    present |= {f"/run/secrets/{one}" for one in SERVICES[name]["secrets"]}
    named = [chosen.tls.certificate, chosen.tls.key, chosen.tls.client_ca, chosen.consent.signer_ca]
    named += [*chosen.consent.decision_trust, chosen.imaging_source.patient_ids]
    named += [file for issuer in chosen.saml.issuer for file in issuer.certificates]
    named += re.findall(r"passfile=(.+)", chosen.registry.database)
    assert {file for file in named if file} <= present


def test_nodes_know_each_other(mounted: Path) -> None:
    for name in NODES:
        nodes = {node.name: node for node in loaded(name, mounted).node}
        assert set(nodes) == set(NODES)
        for node in nodes.values():
            assert node.sha256 == (pki.load(mounted, node.name).sha256,)
    hub = loaded("hub", mounted)
    for hospital in demo.HOSPITALS:
        chosen = loaded(hospital.slug, mounted)
        source = chosen.imaging_source
        assert source.organization_id == hospital.organization_id.urn == nodes[hospital.slug].organization_id
        assert source.patient_id_authority == hospital.patient_authority
        assert source.accession_authority == hospital.accession_authority
        assert source.source_id == hospital.source_id
        assert source.retrieve_location_uid == hospital.retrieve_location_uid
        assert source.retrieve_ae_title == hospital.ae_title
        assert source.repository_unique_id == hub.repository.unique_id
        assert source.repository_url.startswith(hub.server.public_url)
        assert chosen.audit.send == f"tls://hub:{hub.audit.listen}"
    assert hub.domain.patient_id_authority == demo.PATIENT_AUTHORITY


def test_passwords_agree(mounted: Path) -> None:
    password = (mounted / "db-password").read_text()
    assert len(password) >= 24
    assert (mounted / "pgpass").read_text() == f"db:5432:xdsi:xdsi:{password}\n"


def test_nothing_is_made_twice(mounted: Path) -> None:
    with pytest.raises(SystemExit):
        runpy.run_path(str(DOCKER / "prepare.py"))["main"](mounted)


# -- healthcheck.py


class _Health(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/ready" else 404)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch, files: TlsFiles | None = None) -> Iterator[None]:
    """A server that healthcheck.py takes for the container's own."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Health)
    if files is not None:
        server.socket = server_context(files).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.delenv("XDSI_CONFIG", raising=False)
    monkeypatch.setenv("XDSI_SERVER__PORT", str(server.server_port))
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1)])
def test_health_is_what_ready_says(status: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Health, "status", status)
    with served(monkeypatch):
        assert runpy.run_path(str(DOCKER / "healthcheck.py"))["main"]() == expected


def test_health_is_asked_with_the_certificate_of_the_node(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = TlsFiles(certificate=mounted / "hub.pem", key=mounted / "hub.key", peer_ca=mounted / "ca.pem")
    for key, file in {"CERTIFICATE": files.certificate, "KEY": files.key, "CLIENT_CA": files.peer_ca}.items():
        monkeypatch.setenv(f"XDSI_TLS__{key}", str(file))
    with served(monkeypatch, files):
        assert runpy.run_path(str(DOCKER / "healthcheck.py"))["main"]() == 0


def test_a_closed_port_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDSI_CONFIG", raising=False)
    monkeypatch.setenv("XDSI_SERVER__PORT", "1")
    assert runpy.run_path(str(DOCKER / "healthcheck.py"))["main"]() == 1
