"""What runs beside HTTP, and the process as a whole."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import urlsplit

from flask import Flask

from xdsi.actors import identity_manager
from xdsi.actors.order_messages import by_type
from xdsi.actors.registered_documents import RegisteredDocuments
from xdsi.app.addresses import is_loopback
from xdsi.app.publishing import PublishingParts
from xdsi.app.storage import read_file, utc_now
from xdsi.domain.audit import AuditEvent
from xdsi.domain.errors import ConfigurationError, Refused, Unavailable
from xdsi.domain.subject import Peer
from xdsi.exchange import Client
from xdsi.rules import audit_alerts
from xdsi.storage.files import locked
from xdsi.transport.audit_fhir import FhirDestination, FhirForwarder
from xdsi.transport.mllp import MllpServer
from xdsi.transport.move_scp import MoveServer
from xdsi.transport.notice_scp import NoticeServer
from xdsi.transport.notice_sender import send
from xdsi.transport.operations_server import OperationsServer
from xdsi.transport.syslog import Destination, Forwarder, Pace
from xdsi.transport.syslog_collector import Collector
from xdsi.transport.tls import ReloadingContext, client_context
from xdsi.transport.wsgi import WsgiApp
from xdsi.web.operations import METRICS, operations
from xdsi.web.publishing_queue import PUBLISHING, PublishingQueue
from xdsi.wire import audit, audit_fhir

log = logging.getLogger("xdsi.app")
_NOBODYS = "0" * 64
"""a hash that no document has, to ask the store for"""


class Service(Protocol):
    """Something beside HTTP that runs once for a data folder, whatever the number of workers."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


class Parts(PublishingParts):
    """Everything a process is made of, each made once, when first needed."""

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End what was made, in good order."""
        if "alerts" in self.__dict__:
            self.alerts.shutdown()
        if self.__dict__.get("consents_elsewhere") is not None:
            self.__dict__["consents_elsewhere"].close()
        for name in ("pacs", "from_pacs", "transcoded", "traces", "trail", "spools", "blobs"):
            if name in self.__dict__:
                getattr(self, name).close()
        if "engine" in self.__dict__:
            self.engine.dispose()

    def services(self) -> list[Service]:
        """What runs once for the data folder."""
        found: list[Service] = []
        server, audit = self.settings.server, self.settings.audit
        # The server tells of the same files.
        context = ReloadingContext(self.tls, changed=log.info, unusable=log.info) if self.tls else None
        if server.mllp_port:
            feed = identity_manager.Hl7v2Feed(
                ports=self.feed_ports,
                clock=utc_now,
                trail=self.trail,
                traces=self.traces,
                site=self.site,
                nodes_required=not self.open_profile,
            )
            take = by_type(self.order_messages, feed) if "imaging-source" in server.actors else feed
            found.append(
                MllpServer(
                    server.address,
                    server.mllp_port,
                    lambda raw, peer: take(raw, self.named(peer)),
                    context,
                    on_refused=self.node_refused,
                )
            )
        if audit.listen:
            if context is None:
                raise ConfigurationError("audit.listen needs TLS")
            found.append(
                Collector(
                    server.address,
                    audit.listen,
                    context,
                    self.trail.receive,
                    admit=self.admit_audit_sender,
                    refused=self.node_refused,
                )
            )
        if self.settings.dicom.port:
            found.append(self.move_server(context))
        if "imaging-source" in server.actors and self.settings.publishing.automatic:
            found.append(self.publishing())
            if self.settings.publishing.notices_port:
                found.append(self.notice_server(context))
        if server.operations_port:
            found.append(OperationsServer(server.operations_port, self.operations_pages))
        if audit.send:
            found.append(self.forwarder(audit.send))
        found.append(Regularly("housekeeping", 3600, self.tidy))
        if self.notice_destinations:
            found.append(Regularly("notices", self.settings.notification.retry_seconds, self.notify))
        intake = self.consent_intake if "registry" in server.actors and not self.open_profile else None
        if intake is not None:
            every = self.settings.consent.retry_seconds
            found.append(Regularly("pending consents", every, lambda: intake.retry(self.registry)))
        return found

    def notice_server(self, context: ReloadingContext | None) -> NoticeServer:
        """Takes notices by DIMSE."""
        return NoticeServer(
            self.archive_notices,
            address=self.settings.server.address,
            port=self.settings.publishing.notices_port,
            ae_title=self.settings.dicom.ae_title,
            tls=context,
            named=self.named,
            refused=self.node_refused,
        )

    def move_server(self, context: ReloadingContext | None) -> MoveServer:
        """The C-MOVE SCP."""
        files, dicom = self.tls, self.settings.dicom
        return MoveServer(
            self.image_mover,
            address=self.settings.server.address,
            port=dicom.port,
            ae_title=dicom.ae_title,
            server_tls=context,
            client_tls=(lambda: client_context(files)) if files is not None else None,
            refused=self.node_refused,
        )

    def forwarder(self, url: str, *, seconds: float | None = None) -> Forwarder | FhirForwarder:
        """Sends audit records to a collector; `seconds` is how long all of it may take, where that is limited."""
        parsed = urlsplit(url)
        if parsed.scheme not in ("tls", "https") or not parsed.hostname or self.tls is None:
            valid = "tls://host:6514 or https://host/fhir, with TLS certificates"
            raise ConfigurationError(f"audit.send is {url!r}; valid: {valid}")
        if parsed.scheme == "https":
            return FhirForwarder(
                self.trail,
                FhirDestination(base_url=url, context=client_context(self.tls)),
                lambda xml: audit_fhir.encode(audit.decode(xml)),
                pace=Pace(operation=seconds / 2) if seconds is not None else None,
            )
        return Forwarder(
            self.trail,
            Destination(
                host=parsed.hostname,
                port=parsed.port or 6514,
                context=client_context(self.tls),
                hostname=self.site.host,
                process_id=self.site.process_id,
            ),
            pace=Pace(operation=seconds / 2) if seconds is not None else None,
        )

    def named(self, peer: Peer) -> Peer:
        """A peer with the node its certificate stands for; without a certificate it is nobody."""
        if not peer.certificate_sha256:
            return peer
        return replace(peer, node=self.nodes.get(peer.certificate_sha256))

    def admit_audit_sender(self, peer: Peer) -> Peer:
        """Only nodes that are permitted ITI-20 may send audit records."""
        named = self.named(peer)
        if not named.may("ITI-20"):
            raise Refused(named.why_not("ITI-20"))
        return named

    def node_refused(self, peer: Peer, reason: str) -> None:
        """Audit a peer that did not get in (ITI-19)."""
        log.warning("%s refused: %s", peer.address, reason)
        self.metrics.count("xdsi_handshakes_refused_total")
        try:
            self.trail.append((audit_alerts.node_refused(self.site, utc_now(), peer, reason),), trace="")
        except Unavailable as error:
            log.error("a refused node could not be audited: %s", error)

    def trust_changed(self, what: str, *, failed: bool = False) -> None:
        """Log and audit that lists of trust were read again, or that they could not be."""
        super().trust_changed(what, failed=failed)
        # Whoever noticed may be inside a unit of work, for whose end the record would wait, and he for the record.
        self.alerts.submit(
            self._audit,
            audit_alerts.configuration_changed(self.site, utc_now(), "lists of trust", what, failed=failed),
        )

    def tls_changed(self, what: str, *, failed: bool = False) -> None:
        """Log and audit that the server's certificate, authorities or revocation lists were read again, or not."""
        log.log(logging.ERROR if failed else logging.WARNING, "%s", what)
        self.alerts.submit(
            self._audit, audit_alerts.configuration_changed(self.site, utc_now(), "files of TLS", what, failed=failed)
        )

    def document_lost(self, unique_id: str, reason: str) -> None:
        """Count and audit a stored document that is not what was acknowledged."""
        super().document_lost(unique_id, reason)
        alert = audit_alerts.document_lost(self.site, utc_now(), unique_id, reason)
        # Whoever noticed may be inside a unit of work, for whose end the record would wait, and he for the record.
        self.alerts.submit(self._audit, alert)

    def key_missing(self, key_id: str) -> None:
        """Count each case, and audit the first one of a key: what is wrong is one setting."""
        super().key_missing(key_id)
        with self._told_lock:
            if key_id in self._keys_told:
                return
            self._keys_told.add(key_id)
        self.alerts.submit(self._audit, audit_alerts.key_missing(self.site, utc_now(), key_id))

    @cached_property
    def _told_lock(self) -> threading.Lock:
        return threading.Lock()

    @cached_property
    def _keys_told(self) -> set[str]:
        return set()

    @cached_property
    def alerts(self) -> ThreadPoolExecutor:
        """Audits beside the exchange that noticed something."""
        return ThreadPoolExecutor(1, thread_name_prefix="alerts")

    def _audit(self, event: AuditEvent) -> None:
        try:
            self.trail.append((event,), trace="")
        except Unavailable as error:
            log.error("an alert could not be audited: %s", error)

    @cached_property
    def pages(self) -> Flask:
        """The web pages, as whoever may connect sees them."""
        queue = PublishingQueue(
            jobs=lambda: self.publication_queue.jobs(),
            retry=lambda uids: self.publication_queue.retry(uids, now=time.time()),
            shown_to=self._for_nodes_permitted(PUBLISHING),
        )
        return self._pages(
            self._for_nodes_permitted(METRICS), queue if "imaging-source" in self.settings.server.actors else None
        )

    @cached_property
    def operations_pages(self) -> Flask:
        """Those without patient data, for operators on a port of theirs."""
        return self._pages(lambda environ: True, None)

    def _for_nodes_permitted(self, what: str) -> Callable[[Mapping[str, Any]], bool]:
        """Who is shown a page: the open profile hides nothing."""

        def shown(environ: Mapping[str, Any]) -> bool:
            node = self.peer_of(environ).node
            return node is not None and node.may(what)

        return shown if self.settings.domain.profile != "open" else lambda environ: True

    def _pages(self, counts_for: Callable[[Mapping[str, Any]], bool], queue: PublishingQueue | None) -> Flask:
        roles = [actor.role for actor in self.actors()]
        services = {self.site.endpoint(role.path): role.name for role in roles}
        server = self.settings.server
        shown = server.validator == "on" or (server.validator == "auto" and is_loopback(server.address))
        return operations(
            self.ready(), self.metrics, services=services, with_validator=shown, counts_for=counts_for, queue=queue
        )

    def notify(self) -> None:
        """Send what persons are to be told."""
        send(self.notices, self.notice_destinations)

    def tidy(self) -> None:
        """Remove documents that no submission was acknowledged for, and traces past their time."""
        if "repository" in self.settings.server.actors:
            try:
                self.blobs.find(_NOBODYS)
            except Unavailable as error:
                # Here, because it is also the first thing that is done after a start.
                log.error("no document can be stored or read now: %s", error)
            else:
                self._collect()
        self.traces.prune(utc_now() - timedelta(days=self.settings.server.trace_days))

    def _collect(self) -> None:
        try:
            with locked(self.backup_lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
                self._review()
                collected = self.documents.collect()
        except BlockingIOError:
            log.info("a backup is being taken: no document is removed now")
            return
        if collected:
            log.warning("%d documents that nobody needs are removed", len(collected))

    def _review(self) -> None:
        """Take back what was published and never registered; where nobody can tell, it stays."""
        repository = self.settings.repository
        if not repository.registry_url:
            self.documents.review(self._registered)
        elif repository.registry_query_url:
            try:
                revoked = self.documents.review(self.registered_elsewhere)
            except Unavailable as error:
                log.warning("the registry did not say what became of submissions that did not end: %s", error)
                return
            for unique_id in revoked:
                log.warning("document %s was never registered: it is not given out any more", unique_id)

    @cached_property
    def registered_elsewhere(self) -> RegisteredDocuments:
        """What the registry of this repository knows, where that is another node."""
        repository = self.settings.repository

        def client() -> Client:
            named = repository.registry_query_assertion
            shown = read_file(named, "repository.registry_query_assertion") if named else b""
            return replace(self.client, assertion=shown)

        return RegisteredDocuments(client=client, channel=self.channel(repository.registry_query_url))

    def _registered(self, unique_ids: Sequence[str]) -> Set[str]:
        """Which of these documents the registry of this process knows."""
        with self.registry.reading() as session:
            return session.kinds_by_unique_id(unique_ids).keys()

    def ready(self) -> Mapping[str, Callable[[], str]]:
        """The checks of `/health/ready`."""

        def database() -> str:
            try:
                self.trail.backlog()
            except Unavailable as error:
                return str(error)
            return ""

        def documents() -> str:
            try:
                self.blobs.find(_NOBODYS)
            except Unavailable as error:
                return str(error)
            return ""

        if "repository" in self.settings.server.actors:
            return {"database": database, "documents": documents}
        return {"database": database}


class Regularly:
    """Does something at the start and again after a time, whatever became of it."""

    def __init__(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        self._name, self._seconds, self._work = name, seconds, work
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            try:
                self._work()
            except Exception:
                log.exception("%s failed; it is tried again in %g seconds", self._name, self._seconds)
            if self._stopping.wait(self._seconds):
                return


@dataclass(slots=True)
class Application:
    """A process as it serves."""

    parts: Parts
    wsgi: WsgiApp
    _services: list[Service] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start_services(self) -> None:
        """Run what runs beside HTTP in one worker only: the one that holds the lock of the data folder."""
        self.parts.trail.append((audit_alerts.started(self.parts.site, utc_now()),), trace="")
        lock = os.open(self.parts.data / "services.lock", os.O_RDWR | os.O_CREAT, 0o600)

        def run() -> None:
            # Made here, not before: a service may take its port as soon as it exists.
            for service in self.parts.services():
                service.start()
                self._services.append(service)

        def wait_and_run() -> None:
            while not self._stopping.wait(1.0):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                try:
                    run()
                except Exception:
                    log.exception("what runs beside HTTP could not be started; another worker may take over")
                    fcntl.flock(lock, fcntl.LOCK_UN)
                    continue
                return

        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._thread = threading.Thread(target=wait_and_run, name="services", daemon=True)
            self._thread.start()
            return
        run()

    def close(self) -> None:
        """End in good order."""
        self._stopping.set()
        for service in self._services:
            service.stop()
        self.parts.trail.append((audit_alerts.stopped(self.parts.site, utc_now()),), trace="")
        self.parts.close()
