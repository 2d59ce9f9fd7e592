"""What a process keeps: the first layer of its parts."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from xdsi import settings as configuration
from xdsi.actors.shared_archive import SharedArchive
from xdsi.app import document_store
from xdsi.app.pacs import folder_of, open_pacs
from xdsi.app.reading import read_file
from xdsi.app.trust import Nodes, ReloadingTrust, Source
from xdsi.domain.computing import OneComputes
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.subject import Peer
from xdsi.rules import notification
from xdsi.settings import Settings
from xdsi.storage.audit_trail import DatabaseAuditTrail
from xdsi.storage.database import open_database, sqlite_file, upgrade, writing
from xdsi.storage.documents import SqlDocumentStore
from xdsi.storage.first_answers import SqlFirstAnswers
from xdsi.storage.forms import Form
from xdsi.storage.holds import SqlHolds
from xdsi.storage.identities import SqlPatientIdentities
from xdsi.storage.moving import MovingBlobs
from xdsi.storage.notices import SqlNotices
from xdsi.storage.own_folder import OwnFolder
from xdsi.storage.publication_queue import SqlPublicationQueue
from xdsi.storage.publications import SqlPublications
from xdsi.storage.registry import SqlRegistry
from xdsi.storage.restore import UNFINISHED
from xdsi.storage.s3_bucket import S3Location
from xdsi.storage.spool import SpoolFolder
from xdsi.storage.traces import SqlTraceLog
from xdsi.transport.peers import peer_of_request
from xdsi.transport.tls import TlsFiles
from xdsi.web.operations import Metrics
from xdsi.wire import audit as audit_codec

__all__ = ["StorageParts", "base_url", "read_file", "tls_files", "utc_now"]


def utc_now() -> datetime:
    """The clock of production."""
    return datetime.now(UTC)


def tls_files(tls: configuration.Tls) -> TlsFiles | None:
    """The PEM files of the settings, or None for plain HTTP."""
    if not tls.certificate:
        return None
    if not tls.key or not tls.client_ca:
        raise ConfigurationError("tls.certificate needs tls.key and tls.client_ca")
    return TlsFiles(
        certificate=Path(tls.certificate),
        key=Path(tls.key),
        peer_ca=Path(tls.client_ca),
        crl=Path(tls.crl) if tls.crl else None,
    )


def base_url(settings: Settings) -> str:
    """Where peers reach this process."""
    server = settings.server
    if server.public_url:
        return server.public_url.rstrip("/")
    scheme = "https" if settings.tls.certificate else "http"
    host = f"[{server.address}]" if ":" in server.address else server.address
    return f"{scheme}://{host}:{server.port}"


def database_file(settings: Settings) -> Path | None:
    """The file that holds the database; None where a server does."""
    url = settings.registry.database
    if not url:
        return settings.server.data_dir.resolve() / "xdsi.sqlite3"
    return sqlite_file(url)


log = logging.getLogger("xdsi.app")


class StorageParts:
    """Settings, certificates and storage; each part is made once, when first needed."""

    def __init__(self, settings: Settings, source: Source | None = None) -> None:
        self.settings = settings
        self.source = source
        self.data = settings.server.data_dir
        self.open_profile = settings.domain.profile == "open"
        self.tls = tls_files(settings.tls)
        self.metrics = Metrics()
        self.restoring = False

    @cached_property
    def trust(self) -> ReloadingTrust:
        """Who is trusted, now."""
        return ReloadingTrust(
            self.settings, self.source, changed=self.trust_changed, unusable=partial(self.trust_changed, failed=True)
        )

    @cached_property
    def nodes(self) -> Nodes:
        """The nodes that are known, now."""
        return Nodes(self.trust)

    def trust_changed(self, what: str, *, failed: bool = False) -> None:
        """The lists of trust were read again, or could not be."""
        log.log(logging.ERROR if failed else logging.WARNING, "%s", what)

    @cached_property
    def peer_of(self) -> Callable[[Mapping[str, Any]], Peer]:
        """Who sent a request."""
        tls = self.settings.tls
        try:
            return peer_of_request(self.nodes, proxy_header=tls.proxy_header, proxy_addresses=tls.proxy_addresses)
        except ValueError as error:
            raise ConfigurationError(f"tls.proxy_addresses: {error}; valid: addresses or networks") from error

    @cached_property
    def one_computes(self) -> OneComputes | None:
        """The turns of those who ask the registry; None where each statement waits for a server, and others compute."""
        return OneComputes() if database_file(self.settings) is not None else None

    def observe(self, transaction: str, outcome: str) -> None:
        """Count an exchange."""
        self.metrics.count("xdsi_exchanges_total", transaction=transaction, outcome=outcome)

    @property
    def database_url(self) -> str:
        """Where the database is."""
        return self.settings.registry.database or f"sqlite:///{database_file(self.settings)}"

    @property
    def backup_lock(self) -> Path:
        """Shared by backups; who removes documents has it alone."""
        return self.data / "backup.lock"

    @cached_property
    def engine(self) -> Any:
        """The database, at the newest schema; none while a restore is not finished."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.restoring and (self.data / UNFINISHED).exists():
            raise ConfigurationError(f"a restore into {self.data} was not finished; run it again with --force")
        engine = open_database(
            self.database_url,
            connections=self.settings.registry.database_connections,
            statement_seconds=self.settings.registry.statement_seconds,
        )
        upgrade(engine)
        return engine

    @cached_property
    def trail(self) -> DatabaseAuditTrail:
        """The audit trail."""
        return DatabaseAuditTrail(
            self.engine,
            encode=audit_codec.encode,
            decode=audit_codec.decode,
            host=socket.gethostname(),
            notices=notification.of_event,
        )

    @cached_property
    def notices(self) -> SqlNotices:
        """What persons are to be told."""
        return SqlNotices(self.engine)

    @cached_property
    def traces(self) -> SqlTraceLog:
        """What operators ask for by trace id."""
        return SqlTraceLog(self.engine)

    @cached_property
    def first_answers(self) -> SqlFirstAnswers:
        """What messages were answered."""
        return SqlFirstAnswers(self.engine, in_flight=self.data / "in-flight.lock")

    def recording(self) -> AbstractContextManager[Connection]:
        """A unit of work for audit records and remembered answers."""
        return writing(self.engine)

    @cached_property
    def identities(self) -> SqlPatientIdentities:
        """Who the patients are."""
        return SqlPatientIdentities(self.engine)

    @cached_property
    def registry(self) -> SqlRegistry:
        """The registry's storage."""
        return SqlRegistry(self.engine, trail=self.trail, home=self.settings.domain.home_community_id)

    @cached_property
    def documents(self) -> SqlDocumentStore:
        """The repository's storage."""
        return SqlDocumentStore(self.engine, self.blobs, lost=self.document_lost, without_key=self.key_missing)

    @cached_property
    def store_location(self) -> document_store.FolderLocation | S3Location:
        """Where documents lie."""
        repository = self.settings.repository
        return document_store.location(repository.store, repository, self.data)

    @cached_property
    def former_locations(self) -> list[document_store.FolderLocation | S3Location]:
        """Where documents still lie during a move."""
        repository = self.settings.repository
        key = "repository.former_stores"
        return [document_store.location(url, repository, self.data, key=key) for url in repository.former_stores]

    @cached_property
    def newest_blobs(self) -> document_store.Store:
        """Where new documents go."""
        return self.blobs_at(self.store_location)

    def blobs_at(self, place: document_store.FolderLocation | S3Location) -> document_store.Store:
        """The store at a place."""
        return document_store.opened(place, self.document_form, self.engine)

    @cached_property
    def blobs(self) -> document_store.Store | MovingBlobs:
        """The bytes of documents."""
        former = [self.blobs_at(place) for place in self.former_locations]
        return MovingBlobs(self.newest_blobs, former) if former else self.newest_blobs

    @cached_property
    def document_form(self) -> Form:
        """How documents are written."""
        return document_store.form(self.settings.repository, os.environ)

    def document_lost(self, unique_id: str, reason: str) -> None:
        """A stored document is not what was acknowledged."""
        self.metrics.count("xdsi_documents_lost_total")

    def key_missing(self, key_id: str) -> None:
        """A stored document is encrypted with a key that the settings do not name."""
        log.error("documents are encrypted with the key %r, which repository.encryption_keys does not name", key_id)
        self.metrics.count("xdsi_documents_without_key_total")

    @cached_property
    def holds(self) -> SqlHolds:
        """Legal holds."""
        return SqlHolds(
            self.engine,
            trail=self.trail,
            registry=self.registry,
            repository_unique_id=self.settings.repository.unique_id,
        )

    @cached_property
    def spools(self) -> SpoolFolder:
        """Where parts of messages wait."""
        return SpoolFolder(self.data / "spool")

    @cached_property
    def from_pacs(self) -> OwnFolder:
        """Where images of an archive wait to be given out."""
        return OwnFolder(self.data / "from-pacs")

    @cached_property
    def transcoded(self) -> OwnFolder:
        """Where what was made of images waits to be given out."""
        return OwnFolder(self.data / "transcoded")

    @cached_property
    def publications(self) -> SqlPublications:
        """What the hospital has published."""
        return SqlPublications(self.engine)

    @cached_property
    def publication_queue(self) -> SqlPublicationQueue:
        """Studies to be published, and what is known of the archive."""
        return SqlPublicationQueue(self.engine, archive=self.settings.imaging_source.pacs)

    @cached_property
    def pacs(self) -> SharedArchive:
        """Where the hospital's images are, as far as they are shared."""
        publishing = self.settings.publishing
        archive = open_pacs(self.settings, lambda: self.from_pacs.path)
        return SharedArchive(archive, issuers=publishing.issuers, rejections=publishing.rejections)

    def pacs_folder(self) -> Path:
        """The folder of images that the settings name."""
        return folder_of(self.settings)
