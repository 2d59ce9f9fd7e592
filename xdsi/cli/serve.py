"""`xdsi serve`: run the actors of the settings.

Without settings a whole affinity domain is served on https://127.0.0.1:8443 with a fresh PKI under ./xdsi-data.
"""

from __future__ import annotations

import argparse
import atexit
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from xdsi import app, settings
from xdsi.cli.command import LoadSettings, Result, Terminal
from xdsi.domain.subject import Peer
from xdsi.settings import Settings, replaced
from xdsi.transport import pki
from xdsi.transport.http_server import HttpServer, require_port
from xdsi.transport.wsgi import WsgiApp

ISSUER = "urn:xdsi:demonstration:idp"
"""Issuer of the assertions that a first start trusts"""


def add(commands: Any) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "serve",
        help="run the actors of the settings",
        description="Run the actors of the settings until stopped; one line of JSON on standard output says when they "
        "are ready. Without settings: registry, repository, identities and decisions on https://127.0.0.1:8443 with "
        "mutual TLS, assertions and consent, and certificates made for it. An option wins over the settings.",
    )
    command.add_argument(
        "--profile",
        choices=["open"],
        help="open: plain HTTP on loopback, no SAML, no consent, any patient; "
        "registry, repository and identity on port 8080, whatever the settings say of these",
    )
    command.add_argument("--address", help="address to listen on; default 127.0.0.1")
    command.add_argument("--port", type=int, metavar="N", help="port to listen on; default 8443, open profile 8080")
    command.add_argument(
        "--data", type=Path, metavar="DIR", help="folder of everything that is kept; default xdsi-data"
    )
    command.add_argument("--home", metavar="URN", help="homeCommunityId (urn:oid:...)")
    command.add_argument("--repository-id", metavar="OID", help="repositoryUniqueId")
    command.add_argument("--location-uid", metavar="OID", help="Retrieve Location UID")
    command.add_argument("--dicom", type=Path, metavar="DIR", help="folder of DICOM files served by RAD-69")
    command.add_argument("--codes", type=Path, metavar="FILE", help="value sets, enforced when given")
    command.add_argument("--mllp-port", type=int, metavar="N", help="port of the HL7 v2 feed; 0: none")
    command.add_argument("--strict-patients", action="store_true", help="only patients that a feed announced")
    command.set_defaults(run=run)


def run(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Serve until stopped."""
    chosen = _with_options(load(), given)
    if given.config is None and given.profile is None and not chosen.tls.certificate:
        made = not (chosen.server.data_dir / "pki" / "hub.pem").exists()
        chosen = first_start(chosen)
        if made:
            sys.stderr.write(
                f"made certificates to try things out with in {chosen.server.data_dir / 'pki'}: ca, hub (this server), "
                f"hospital-a, hospital-b, consumer; idp issues assertions as {ISSUER}\n"
            )
    source = app.Source(given.config.resolve(), load) if given.config is not None else None
    holder: dict[str, app.Application] = {}

    def make() -> WsgiApp:
        claim.leave_to_parent()
        app.share_arenas()
        application = app.build(chosen, source)
        application.start_services()
        atexit.register(application.close)
        holder["application"] = application
        return application.wsgi

    def handshake_failed(address: str, reason: str) -> None:
        application = holder.get("application")
        if application is not None:
            application.parts.node_refused(Peer(address=address), reason)

    def tls_changed(what: str, *, failed: bool = False) -> None:
        application = holder.get("application")
        if application is not None:
            application.parts.tls_changed(what, failed=failed)

    require_port(chosen.server.address, chosen.server.port)
    # Migrations run once, before any worker; mistakes in the settings are told before anything listens.
    claim = app.prepare(chosen)
    server = HttpServer(
        make,
        address=chosen.server.address,
        port=chosen.server.port,
        tls=app.tls_files(chosen.tls),
        workers=chosen.server.workers,
        threads=chosen.server.threads,
        processors=chosen.server.processors,
        report_handshake=handshake_failed,
        tls_changed=tls_changed,
        tls_unusable=partial(tls_changed, failed=True),
        when_ready=lambda: _announce(chosen),
        deadlines=app.deadlines(chosen.limits),
    )
    server.run()
    return Result()


def _announce(chosen: Settings) -> None:
    ids = {
        "home": chosen.domain.home_community_id,
        "repository": chosen.repository.unique_id,
        "location": chosen.imaging_source.retrieve_location_uid,
    }
    line = {"base_url": app.base_url(chosen), "data": str(chosen.server.data_dir.resolve()), "ids": ids}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _with_options(chosen: Settings, given: argparse.Namespace) -> Settings:
    if given.profile == "open":
        chosen = replaced(chosen, "domain", profile="open")
        chosen = replaced(chosen, "consent", enforce=False)
        chosen = replaced(chosen, "server", actors=("registry", "repository", "identity"))
        chosen = replaced(chosen, "domain", accept_unknown_patients=not given.strict_patients)
        if given.port is None:
            chosen = replaced(chosen, "server", port=8080)
    server = {"address": given.address, "port": given.port, "data_dir": given.data, "mllp_port": given.mllp_port}
    chosen = replaced(chosen, "server", **{key: value for key, value in server.items() if value is not None})
    if given.home:
        chosen = replaced(chosen, "domain", home_community_id=given.home)
    if given.repository_id:
        chosen = replaced(chosen, "repository", unique_id=given.repository_id)
    if given.location_uid:
        chosen = replaced(chosen, "imaging_source", retrieve_location_uid=given.location_uid)
    if given.codes:
        chosen = replaced(chosen, "domain", codes=str(given.codes))
    if given.dicom:
        chosen = replaced(chosen, "imaging_source", pacs=f"folder:{given.dicom.resolve()}")
        chosen = replaced(chosen, "server", actors=(*chosen.server.actors, "imaging-source"))
    return chosen


def as_served(given: argparse.Namespace, chosen: Settings) -> Settings:
    """What `xdsi serve` without settings trusts, where it was started on this data folder; else the settings."""
    started = (chosen.server.data_dir / "pki" / "hub.pem").exists()
    return first_start(chosen) if given.config is None and started and not chosen.tls.certificate else chosen


def first_start(chosen: Settings) -> Settings:
    """Settings for a first try: a PKI, a token issuer and trust among them, made once under the data folder."""
    folder = chosen.server.data_dir / "pki"
    names = ("hub", "consumer", "hospital-a", "hospital-b")
    if not (folder / "hub.pem").exists():
        pki.create_demonstration(folder)
    certificates = {name: pki.load(folder, name) for name in names}
    chosen = replaced(
        chosen,
        "tls",
        certificate=str(folder / "hub.pem"),
        key=str(folder / "hub.key"),
        client_ca=str(folder / "ca.pem"),
    )
    issuer = settings.SamlIssuer(name=ISSUER, certificates=(str(folder / "idp.pem"),))
    chosen = replaced(chosen, "saml", issuer=(issuer,))
    chosen = replaced(chosen, "consent", signer_ca=str(folder / "ca.pem"))
    nodes = tuple(
        settings.Node(
            name=name,
            sha256=(certificates[name].sha256,),
            organization_id=f"urn:oid:2.999.1.{number}",
            permits=("ITI-8", "ITI-20", "ITI-41", "ITI-42", "ITI-44", "ITI-61", "ITI-79"),
        )
        for number, name in enumerate(names, start=10)
        if name != "consumer"
    )
    return settings.with_nodes(chosen, nodes)
