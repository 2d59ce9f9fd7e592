"""Composition root: makes a running process of settings. The only package that names concrete classes."""

from __future__ import annotations

from pathlib import Path

from xdsi.app.services import Application, Parts
from xdsi.app.storage import base_url, tls_files, utc_now
from xdsi.settings import Settings
from xdsi.storage.recordings import FileRecording
from xdsi.transport.peers import peer_of_request
from xdsi.transport.soap_server import SoapEndpoint
from xdsi.transport.wsgi import compose

__all__ = ["Application", "Parts", "base_url", "build", "prepare", "tls_files", "utc_now"]


def build(settings: Settings) -> Application:
    """Everything that the settings ask for, ready to serve; raises ConfigurationError."""
    parts = Parts(settings)
    peer_of = peer_of_request(
        parts.nodes, proxy_header=settings.tls.proxy_header, proxy_addresses=settings.tls.proxy_addresses
    )
    folder = Path(settings.server.record_dir) if settings.server.record_dir else None

    def record(trace: str) -> FileRecording:
        assert folder is not None
        return FileRecording(folder, trace)

    endpoints = [
        SoapEndpoint(
            actor,
            make_spool=parts.make_spool,
            peer_of=peer_of,
            record=record if folder is not None else None,
            observe=parts.observe,
        )
        for actor in parts.actors()
    ]
    return Application(parts, compose(endpoints, parts.pages, base_url=base_url(settings)))


def prepare(settings: Settings) -> None:
    """Bring the database to the newest schema and tell mistakes of the settings, before any worker is forked."""
    parts = Parts(settings)
    for made in ("access", "code_sets", "identity_domain", "domain_policy"):
        getattr(parts, made)
    parts.engine.dispose()
