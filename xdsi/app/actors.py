"""The actors and their clients: the third layer of the parts."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from xdsi.actors import (
    authorization_decisions_manager,
    document_registry,
    document_repository,
    identity_manager,
    image_mover,
    imaging_document_source,
)
from xdsi.actors.authorization_verifier import PermitAll
from xdsi.actors.consent_source import ConsentSource
from xdsi.actors.image_fetcher import ImageFetcher
from xdsi.actors.image_mover import ImageMover
from xdsi.actors.imaging_document_consumer import ImagingDocumentConsumer
from xdsi.actors.manifest_publisher import ManifestPublisher
from xdsi.actors.on_demand_manifests import OnDemandManifests
from xdsi.actors.registry_client import InProcess, RegistersBy42
from xdsi.actors.source_registry import SourceRegistry
from xdsi.actors.study_publisher import StudyPublisher
from xdsi.actors.withdrawal import Withdrawal
from xdsi.app.dicom import dicom_peers
from xdsi.app.patient_ids import PatientIds
from xdsi.app.policy import PolicyParts
from xdsi.app.storage import read_file, utc_now
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.imaging import Instance
from xdsi.domain.imaging_profile import ImagingProfile
from xdsi.domain.ports import Decisions
from xdsi.domain.registration import RegisterPorts
from xdsi.domain.subject import Node
from xdsi.exchange import Actor, Channel, Client, Reply, Role, Transaction, no_unit_of_work
from xdsi.rules.image_access import ImagingPorts, WadoPorts
from xdsi.rules.publication import PublicationRule
from xdsi.rules.stored_query_answer import QueryPorts
from xdsi.storage.pictures import SubprocessPictures
from xdsi.storage.study_locks import StudyLocks
from xdsi.storage.transcoding import SubprocessTranscoder
from xdsi.transactions import iti79_authorization_decisions_query as iti79
from xdsi.transactions import rad55_wado_retrieve as rad55
from xdsi.transactions import rad107_wado_rs_retrieve as rad107
from xdsi.transactions.iti41_provide_and_register_document_set import ProvidePorts
from xdsi.transactions.iti43_retrieve_document_set import RetrievePorts
from xdsi.transactions.iti44_patient_identity_feed_v3 import FeedPorts
from xdsi.transactions.iti86_remove_documents import RemovePorts
from xdsi.transport.http_client import HttpAccess
from xdsi.transport.rest import RestService
from xdsi.transport.soap_client import SoapClient
from xdsi.transport.tls import TlsFiles, client_context
from xdsi.transport.wado_client import WadoClient
from xdsi.wire import wado_rs, wado_uri
from xdsi.wire.message import Packaging, Payload


class ActorParts(PolicyParts):
    """Adds the actors of this process."""

    def actor(
        self,
        role: Role,
        ports: Mapping[str, Any],
        *,
        decisions: Decisions,
        unit_of_work: Callable[[bool], AbstractContextManager[Any]] = no_unit_of_work,
    ) -> Actor:
        """An actor of this process."""
        return Actor(
            role=role,
            ports=ports,
            access=self.access,
            decisions=decisions,
            unit_of_work=unit_of_work,
            trail=self.trail,
            traces=self.traces,
            site=self.site,
            first_answers=self.first_answers,
            recording=self.recording,
        )

    @cached_property
    def registry_actor(self) -> Actor:
        """The Document Registry."""
        domain = self.settings.domain
        register = RegisterPorts(
            clock=utc_now,
            consents=self.consent_intake,
            accept_unknown_patients=domain.accept_unknown_patients,
            codes=self.code_sets,
            strictness=self.settings.registry.strictness,
            home_community_id=domain.home_community_id,
        )
        query = QueryPorts(
            home_community_id=domain.home_community_id,
            unknown_patient=domain.unknown_patient,
            hidden=self.settings.consent.hidden,
            reject_unknown_parameters=self.settings.registry.reject_unknown_parameters,
            max_values=self.settings.limits.query_values,
        )
        return self.actor(
            document_registry.ROLE,
            {
                **dict.fromkeys(("ITI-18", "ITI-51"), query),
                **dict.fromkeys(("ITI-42", "ITI-57", "ITI-61", "ITI-62", "ITI-92"), register),
                **{
                    number: replace(register, strictness=strictness)
                    for number, strictness in self.settings.registry.strictness_of.items()
                },
            },
            decisions=self.decisions(""),
            unit_of_work=self.registry.unit_of_work,
        )

    @cached_property
    def repository_actor(self) -> Actor:
        """The Document Repository."""
        repository = self.settings.repository
        registers = RegistersBy42(client=self.client, channel=self.registry_channel("ITI-42"))
        ports = {
            "ITI-41": ProvidePorts(
                repository_unique_id=repository.unique_id,
                documents=self.documents,
                registry=registers,
                check_manifests=repository.check_manifests,
                # Elsewhere only: the registry of this process is looked into.
                confirm=self.documents.index.confirm if repository.registry_query_url else None,
            ),
            "ITI-43": RetrievePorts(
                repository_unique_id=repository.unique_id,
                documents=self.documents,
                max_documents=self.settings.limits.documents,
                on_demand=self.on_demand if self.announces_on_demand else None,
            ),
            "ITI-86": RemovePorts(
                repository_unique_id=repository.unique_id,
                documents=self.documents,
                holds=self.holds,
                clock=utc_now,
                retention=timedelta(days=repository.retention_days),
                max_documents=self.settings.limits.documents,
            ),
        }
        return self.actor(document_repository.ROLE, ports, decisions=self.decisions(repository.decision_url))

    def registry_channel(self, number: str) -> Channel:
        """The repository's way to its registry, for one transaction."""
        url = self.settings.repository.registry_url
        if url:
            return self.channel(url)
        if "registry" not in self.settings.server.actors:
            raise ConfigurationError("a repository without a registry beside it needs repository.registry_url")
        return self.in_process(self.registry_actor, number)

    def in_process(self, actor: Actor, number: str) -> InProcess:
        """A way to an actor of this process, for one transaction."""
        own = Node(name=self.site.source_id, permits=frozenset({number}))
        url = self.site.endpoint(actor.role.path)
        return InProcess(actor=actor, node=own, make_spool=self.make_spool, url=url)

    @property
    def announces_on_demand(self) -> bool:
        """Whether studies are announced instead of published."""
        return self.settings.imaging_source.announce == "on-demand"

    @cached_property
    def on_demand(self) -> OnDemandManifests:
        """Announces this hospital's studies, and makes their manifests."""
        return OnDemandManifests(
            publisher=self.publisher,
            registry=self.registry_channel("ITI-61"),
            repository_unique_id=self.settings.repository.unique_id,
            announcements=self.publications,
            studies=lambda: self.pacs,
            save_snapshots=self.settings.imaging_source.save_snapshots,
            alone=self.study_locks,
        )

    @cached_property
    def image_decisions(self) -> Decisions:
        """Who decides on images, by whichever way they are asked for."""
        return self.decisions(self.settings.imaging_source.decision_url)

    @cached_property
    def imaging_ports(self) -> ImagingPorts:
        """What every way of giving images out works with."""
        source = self.settings.imaging_source
        return ImagingPorts(
            retrieve_location_uid=source.retrieve_location_uid,
            instances=self.pacs,
            manifests=None if self.open_profile else self.publications,
            transcoder=SubprocessTranscoder(self.pacs.file, self.transcoded.path),
            patient_id_authority=source.patient_id_authority,
            max_instances=self.settings.limits.instances,
        )

    @cached_property
    def wado_ports(self) -> WadoPorts:
        """What WADO works with."""
        return WadoPorts(images=self.imaging_ports, pictures=SubprocessPictures(self.pacs.file, self.transcoded.path))

    @cached_property
    def imaging_actor(self) -> Actor:
        """The Imaging Document Source."""
        return self.actor(imaging_document_source.ROLE, {"RAD-69": self.imaging_ports}, decisions=self.image_decisions)

    def rest_services(self) -> Iterable[tuple[Actor, RestService[Any, Any]]]:
        """What is served by REST, and the actor that each is of."""
        if "imaging-source" in self.settings.server.actors:
            ports, decisions = self.wado_ports, self.image_decisions
            yield (
                self.actor(imaging_document_source.WADO_RS, {"RAD-107": ports}, decisions=decisions),
                RestService(transaction=rad107.TRANSACTION, read=wado_rs.read_request, write=wado_rs.write_answer),
            )
            yield (
                self.actor(imaging_document_source.WADO_URI, {"RAD-55": ports}, decisions=decisions),
                RestService(transaction=rad55.TRANSACTION, read=wado_uri.read_request, write=wado_uri.write_answer),
            )

    @cached_property
    def image_mover(self) -> ImageMover:
        """The Imaging Document Source behind C-MOVE."""
        dicom = self.settings.dicom
        actor = self.actor(image_mover.ROLE, {"RAD-16": self.imaging_ports}, decisions=self.image_decisions)
        place = f"dicom:{dicom.ae_title}@{self.settings.server.address}:{dicom.port}"
        return ImageMover(
            actor=replace(actor, site=replace(self.site, base_url=place)),
            peers=dicom_peers(self.settings),
            check_certificates=not self.open_profile,
        )

    @cached_property
    def feed_ports(self) -> FeedPorts:
        """What both forms of the identity feed work with."""
        return FeedPorts(identities=self.identities, domain=self.identity_domain, clock=utc_now)

    @cached_property
    def identity_actor(self) -> Actor:
        """The receiver of identity feeds."""
        return self.actor(identity_manager.ROLE, {"ITI-44": self.feed_ports}, decisions=PermitAll())

    @cached_property
    def own_identity_channel(self) -> InProcess:
        """The identity manager of this node, for its operator: audited like any other feed."""
        operator = Node(name=self.site.source_id, permits=frozenset({"ITI-44"}))
        url = self.site.endpoint(identity_manager.ROLE.path)
        return InProcess(actor=self.identity_actor, node=operator, make_spool=self.make_spool, url=url)

    @cached_property
    def authorization_actor(self) -> Actor:
        """The Authorization Decisions Manager."""
        consent = self.settings.consent
        certificate = consent.decision_certificate or self.settings.tls.certificate
        key = str(Path(certificate).with_suffix(".key")) if consent.decision_certificate else self.settings.tls.key
        if not certificate:
            raise ConfigurationError("the actor authorization signs its answers: it needs tls.certificate")
        signer = iti79.AnswerSigner(
            issuer=self.settings.domain.home_community_id,
            key_pem=read_file(key, "consent.decision_certificate"),
            cert_pem=read_file(certificate, "consent.decision_certificate"),
        )
        ports = iti79.DecisionPorts(decisions=self.policy_decisions, clock=utc_now, signer=signer)
        return self.actor(
            authorization_decisions_manager.ROLE,
            {"ITI-79": ports},
            decisions=PermitAll(),
            unit_of_work=self.registry.unit_of_work,
        )

    def actors(self) -> Iterable[Actor]:
        """Those that the settings ask for."""
        wanted = self.settings.server.actors
        if "registry" in wanted:
            yield self.registry_actor
        if "repository" in wanted:
            yield self.repository_actor
        if "imaging-source" in wanted:
            yield self.imaging_actor
        if "identity" in wanted:
            yield self.identity_actor
        if "authorization" in wanted and not self.open_profile:
            yield self.authorization_actor

    @cached_property
    def publisher(self) -> ManifestPublisher:
        """Publishes this hospital's studies."""
        source = self.settings.imaging_source
        if not source.repository_url and not self.announces_on_demand:
            raise ConfigurationError("imaging_source.repository_url is needed to publish")
        if not source.manifests or len(set(source.manifests)) != len(source.manifests):
            raise ConfigurationError("imaging_source.manifests must name at least one kind, and each once")
        profile = ImagingProfile(
            source_id=source.source_id,
            patient_id_authority=source.patient_id_authority,
            accession_authority=source.accession_authority,
            organization_id=source.organization_id,
            organization_name=source.organization_name,
            manifests=source.manifests,
            reports=source.reports,
            mado_codes=source.mado_codes,
        )
        return ManifestPublisher(
            client=self.client,
            repository=self.channel(source.repository_url) if source.repository_url else OwnRepository(self),
            repository_unique_id=(
                source.repository_unique_id if source.repository_url else self.settings.repository.unique_id
            ),
            publications=self.publications,
            profile=profile,
            domain_ids=self.patient_ids,
            domain_authority=self.settings.domain.patient_id_authority,
            retrieve_location_uid=source.retrieve_location_uid,
            retrieve_ae_title=source.retrieve_ae_title,
            retrieve_url=source.retrieve_url,
            clock=utc_now,
            instances=self.pacs if source.reports else None,
            contradicted=lambda attempt: bool(source.registry_url) and self.source_registry.contradicts(attempt),
        )

    @cached_property
    def study_publisher(self) -> StudyPublisher:
        """Publishes or announces those of the archive's studies that are to be."""
        chosen = self.settings.publishing
        publisher = self.publisher
        return StudyPublisher(
            pacs=self.pacs,
            rule=PublicationRule(
                modalities=chosen.modalities,
                excluded_modalities=chosen.excluded_modalities,
                institutions=chosen.institutions,
                wards=chosen.wards,
                referring_physicians=chosen.referring_physicians,
                max_age_days=chosen.max_age_days,
                signed_report=chosen.signed_report,
            ),
            publisher=publisher,
            on_demand=self.on_demand if self.announces_on_demand else None,
            clock=utc_now,
            reported=self.publication_queue.is_reported,
            withdraw=self.withdrawal,
            withdraw_reports=self.withdrawal.reports,
            owes_reports=self.withdrawal.owes,
            alone=self.study_locks,
        )

    @cached_property
    def study_locks(self) -> StudyLocks:
        """Keep a command and a server that publishes by itself from doing the same twice."""
        return StudyLocks(self.engine, self.data / "publishing.lock")

    @cached_property
    def source_registry(self) -> SourceRegistry:
        """The registry as the hospital asks it."""
        source = self.settings.imaging_source
        if not source.registry_url:
            raise ConfigurationError("imaging_source.registry_url is needed to ask what became of manifests")

        def client() -> Client:
            named = source.assertion
            return replace(self.client, assertion=read_file(named, "imaging_source.assertion") if named else b"")

        return SourceRegistry(
            client=client,
            channel=self.channel(source.registry_url),
            profile=self.publisher.profile,
            clock=utc_now,
        )

    @cached_property
    def withdrawal(self) -> Withdrawal:
        """What becomes of manifests of studies that are gone."""
        return Withdrawal(
            way=self.settings.publishing.deleted,
            registry=lambda: self.source_registry,
            published=self.publications,
        )

    @cached_property
    def patient_ids(self) -> PatientIds:
        """The domain's identifier of each of the hospital's own."""
        return PatientIds(self.settings.imaging_source.patient_ids)

    def consent_source(self, url: str = "") -> ConsentSource:
        """Publishes consents to a repository; without a URL to the hospital's."""
        source = self.settings.imaging_source
        to = url or source.repository_url
        if not to:
            raise ConfigurationError("a repository is needed: --url, or imaging_source.repository_url")
        organization = source.organization_id.removeprefix("urn:oid:")
        return ConsentSource(
            client=self.client,
            repository=self.channel(to),
            source_id=source.source_id,
            institution=f"{source.organization_name}^^^^^^^^^{organization}",
            clock=utc_now,
        )

    @cached_property
    def consumer(self) -> ImagingDocumentConsumer:
        """Finds and fetches as the settings of `[consumer]` say."""
        consumer = self.settings.consumer
        if not consumer.registry_url:
            raise ConfigurationError("consumer.registry_url is needed to find and fetch")
        assertion = read_file(consumer.assertion, "consumer.assertion") if consumer.assertion else b""
        channels = {
            kind: {uid: self.consumer_channel(url) for uid, url in urls.items()}
            for kind, urls in (("repositories", consumer.repositories), ("sources", consumer.sources))
        }
        return ImagingDocumentConsumer(
            client=replace(self.client, assertion=assertion),
            registry=self.consumer_channel(consumer.registry_url),
            repositories=channels["repositories"],
            sources=channels["sources"],
        )

    @cached_property
    def image_fetcher(self) -> ImageFetcher:
        """Fetches what manifests name, by the URLs of `[consumer]`."""
        consumer = self.settings.consumer
        access = HttpAccess(authorization=self._authorization(), tls=self.consumer_tls)
        wado = {uid: WadoClient(url, access) for uid, url in consumer.dicomweb.items()}
        return ImageFetcher(consumer=self.consumer, wado=wado)

    @cached_property
    def fetched_pictures(self) -> SubprocessPictures:
        """Takes apart what was fetched, each instance by its file."""

        @contextmanager
        def lying(instance: Instance) -> Iterator[Path]:
            yield Path(instance.locator)

        return SubprocessPictures(lying, self.transcoded.path)

    def _authorization(self) -> str:
        """What shows a WADO-RS source who asks."""
        consumer = self.settings.consumer
        if consumer.token:
            return "Bearer " + read_file(consumer.token, "consumer.token").decode("ascii", "replace").strip()
        if not consumer.assertion:
            return ""
        return "IHE-SAML " + base64.b64encode(read_file(consumer.assertion, "consumer.assertion")).decode()

    @property
    def consumer_tls(self) -> ssl.SSLContext | None:
        """The consumer's certificate, else this node's."""
        consumer = self.settings.consumer
        if consumer.certificate and consumer.key and consumer.ca:
            return client_context(
                TlsFiles(certificate=Path(consumer.certificate), key=Path(consumer.key), peer_ca=Path(consumer.ca))
            )
        return client_context(self.tls) if self.tls is not None else None

    def consumer_channel(self, url: str) -> SoapClient:
        """A way to another node with the consumer's certificate."""
        if not url.startswith("https:"):
            return SoapClient(url, make_spool=self.make_spool)
        consumer = self.settings.consumer
        if not (consumer.certificate and consumer.key and consumer.ca):
            return self.channel(url)
        files = f"trusted is {consumer.ca} (consumer.ca), shown is {consumer.certificate} (consumer.certificate)"
        return SoapClient(url, make_spool=self.make_spool, tls=self.consumer_tls, tls_files=files)


class OwnRepository:
    """The way to the repository of this process, made when it is first used: the source is among its parts."""

    def __init__(self, parts: ActorParts) -> None:
        self._parts = parts

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._parts.site.endpoint(document_repository.ROLE.path)

    def send(
        self, transaction: Transaction[Any, Any], payload: Payload, packaging: Packaging, security: bytes = b""
    ) -> Reply:
        """Send one request and return its answer."""
        channel = self._parts.in_process(self._parts.repository_actor, "ITI-41")
        return channel.send(transaction, payload, packaging, security)
