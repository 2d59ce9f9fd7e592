"""Composition root: makes a running process of settings. The only package that names concrete classes."""

from __future__ import annotations

import logging
from pathlib import Path

from xdsi.actors import document_registry, document_repository
from xdsi.app.allocator import share_arenas
from xdsi.app.checking import check, warnings
from xdsi.app.claim import Claim, claim
from xdsi.app.metadata import export_metadata, import_metadata
from xdsi.app.one_command import one_command
from xdsi.app.services import Application, Parts
from xdsi.app.storage import base_url, database_file, tls_files, utc_now
from xdsi.app.trust import Source
from xdsi.settings import Limits, Settings
from xdsi.storage.recordings import FileRecording
from xdsi.transport.http_pace import Deadlines
from xdsi.transport.rest import RestEndpoint
from xdsi.transport.soap_request import SoapLimits
from xdsi.transport.soap_server import SoapEndpoint
from xdsi.transport.wsgi import compose
from xdsi.wire.mtom import MultipartLimits
from xdsi.wire.xml import Shape

log = logging.getLogger("xdsi.app")

__all__ = [
    "Application",
    "Parts",
    "Source",
    "base_url",
    "build",
    "check",
    "database_file",
    "deadlines",
    "export_metadata",
    "import_metadata",
    "one_command",
    "prepare",
    "share_arenas",
    "tls_files",
    "utc_now",
    "warnings",
]


def soap_limits(limits: Limits) -> SoapLimits:
    """What one request may carry."""
    multipart = MultipartLimits(
        parts=limits.parts, root=limits.root_bytes, part=limits.part_bytes, message=limits.message_bytes
    )
    return SoapLimits(
        simple_bytes=min(limits.simple_bytes, limits.message_bytes),
        message_bytes=limits.message_bytes,
        unverified_bytes=limits.unverified_bytes,
        multipart=multipart,
        shape=Shape(depth=limits.xml_depth, attributes=limits.xml_attributes),
        markup=limits.xml_markup,
    )


def deadlines(limits: Limits) -> Deadlines:
    """How long the other end of a connection may take."""
    return Deadlines(
        opening_seconds=limits.opening_seconds,
        idle_seconds=limits.idle_seconds,
        minimum_bytes_per_second=limits.bytes_per_second,
        write_seconds=limits.write_seconds,
    )


def build(settings: Settings, source: Source | None = None) -> Application:
    """Everything that the settings ask for, ready to serve; raises ConfigurationError.

    With `source`, who is trusted is read from there again while it serves.
    """
    parts = Parts(settings, source)
    folder = Path(settings.server.record_dir) if settings.server.record_dir else None

    def record(trace: str) -> FileRecording:
        assert folder is not None
        return FileRecording(folder, trace)

    endpoints = [
        SoapEndpoint(
            actor,
            make_spool=parts.make_document_spool if actor.role is document_repository.ROLE else parts.make_spool,
            peer_of=parts.peer_of,
            limits=soap_limits(settings.limits),
            record=record if folder is not None else None,
            observe=parts.observe,
            one_computes=parts.one_computes if actor.role is document_registry.ROLE else None,
        )
        for actor in parts.actors()
    ]
    rest = [
        RestEndpoint(actor, service, peer_of=parts.peer_of, observe=parts.observe)
        for actor, service in parts.rest_services()
    ]
    return Application(parts, compose(endpoints, parts.pages, base_url=base_url(settings), rest=rest))


def prepare(settings: Settings) -> Claim:
    """Before any worker is forked: tell mistakes of the settings, be the one server of the database, and bring it to
    the newest schema."""
    check(settings)
    for warning in warnings(settings):
        log.warning("%s", warning)
    claimed = claim(settings)
    Parts(settings).engine.dispose()
    return claimed
