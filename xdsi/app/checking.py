"""What is wrong with settings beyond the form of each value: every mistake, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from xdsi.actors import (
    authorization_decisions_manager,
    document_registry,
    document_repository,
    identity_manager,
    imaging_document_source,
)
from xdsi.actors.archive_notices import AVAILABILITY, STEP
from xdsi.actors.order_messages import PERMITS
from xdsi.app import revocation_lists
from xdsi.app.addresses import is_loopback
from xdsi.app.dicom import dicom_peers
from xdsi.app.pacs import check_pacs
from xdsi.app.services import Parts
from xdsi.app.storage import read_file, utc_now
from xdsi.app.trust import decisions_of, nodes_of, saml_of, tokens_of
from xdsi.domain.errors import ConfigurationError
from xdsi.settings import Settings
from xdsi.transport.processors import require_processors
from xdsi.transport.tls import server_context
from xdsi.web.operations import METRICS
from xdsi.web.publishing_queue import PUBLISHING

_ROLES = (
    authorization_decisions_manager.ROLE,
    document_registry.ROLE,
    document_repository.ROLE,
    identity_manager.ROLE,
    imaging_document_source.ROLE,
)
PERMITTED = frozenset(
    {
        "*",
        *PERMITS.values(),
        STEP,
        AVAILABILITY,
        "ITI-8",
        "ITI-20",
        METRICS,
        PUBLISHING,
        *(one.number for role in _ROLES for one in role.transactions),
    }
)
"""what a node may be permitted; RAD-68 is asked for as ITI-41"""


def check(settings: Settings) -> None:
    """Read all that the settings name, and change nothing; raises ConfigurationError with a line for each mistake."""
    found = [*_mistakes(settings), *_unreadable(settings)]
    if found:
        raise ConfigurationError("\n".join(dict.fromkeys(found)))


def warnings(settings: Settings) -> list[str]:
    """What is right in settings that were checked, and yet keeps somebody out; a line for each."""
    return [*revocation_lists.warnings(settings, utc_now()), *_without_path(settings)]


def _without_path(settings: Settings) -> Iterator[str]:
    """Where a server is named and an endpoint is meant: whatever answers there is not the service."""
    repository, source, consumer = settings.repository, settings.imaging_source, settings.consumer
    decides = authorization_decisions_manager.ROLE
    named = (
        ("repository.registry_url", repository.registry_url, document_registry.ROLE),
        ("repository.registry_query_url", repository.registry_query_url, document_registry.ROLE),
        ("repository.decision_url", repository.decision_url, decides),
        ("imaging_source.repository_url", source.repository_url, document_repository.ROLE),
        ("imaging_source.registry_url", source.registry_url, document_registry.ROLE),
        ("imaging_source.decision_url", source.decision_url, decides),
        ("consumer.registry_url", consumer.registry_url, document_registry.ROLE),
        *((f"consumer.repositories of {one}", url, document_repository.ROLE)
          for one, url in consumer.repositories.items()),
        *((f"consumer.sources of {one}", url, imaging_document_source.ROLE) for one, url in consumer.sources.items()),
    )  # fmt: skip
    for key, url, role in named:
        if url and not urlsplit(url).path.strip("/"):
            yield f"{key}: {url} has no path; where xdsi serves it, it is {url.rstrip('/')}{role.path}"


def _unreadable(settings: Settings) -> Iterator[str]:
    try:
        revocation_lists.lists_of_tls(settings)
    except ConfigurationError as error:
        # Whoever else reads that file would only say so again.
        yield str(error)
        settings = replace(settings, tls=replace(settings.tls, crl=""))
    # Without usable TLS files the rest can be read all the same.
    for tls in (settings.tls, replace(settings.tls, certificate="")):
        try:
            parts = Parts(replace(settings, tls=tls))
        except ConfigurationError as error:
            yield str(error)
        else:
            break
    else:
        return

    def tls_context() -> None:
        if parts.tls is not None:
            server_context(parts.tls)

    def images() -> None:
        if "imaging-source" in settings.server.actors:
            check_pacs(settings)

    def processors() -> None:
        require_processors(settings.server.processors)

    def consumer() -> None:
        if settings.consumer.assertion:
            read_file(settings.consumer.assertion, "consumer.assertion")

    def peers() -> None:
        dicom_peers(settings)

    def named(part: str) -> Callable[[], object]:
        return lambda: getattr(parts, part)

    parts_read = (
        "code_sets", "consent_signers", "domain_policy", "identity_domain",
        "notice_destinations", "patient_ids",
        "peer_of", "store_location", "former_locations", "document_form",
    )  # fmt: skip

    def lists(read: Callable[[Settings], object]) -> Callable[[], object]:
        return lambda: read(settings)

    trust = (nodes_of, tokens_of, decisions_of) + (() if parts.open_profile else (saml_of,))
    by_itself = (tls_context, processors, parts.require_consent, images, consumer, peers)
    for read in (*map(lists, trust), *by_itself, *map(named, parts_read)):
        try:
            read()
        except ConfigurationError as error:
            yield str(error)


def _mistakes(settings: Settings) -> Iterator[str]:
    """Values that are right alone and wrong together."""
    server, tls, source, repository = settings.server, settings.tls, settings.imaging_source, settings.repository
    opened = settings.domain.profile == "open"
    yield from _address(settings)
    if opened and tls.certificate:
        yield "the open profile speaks plain HTTP; remove tls.certificate or the profile"
    for node in settings.node:
        for number in node.permits:
            if number not in PERMITTED:
                yield f"node.permits of {node.name!r} has {number!r}; valid: {', '.join(sorted(PERMITTED))}"
    if (
        "authorization" in server.actors
        and not opened
        and not (tls.certificate or settings.consent.decision_certificate)
    ):
        yield "the actor authorization signs its answers: it needs tls.certificate or consent.decision_certificate"
    if "repository" in server.actors and "registry" not in server.actors and not repository.registry_url:
        yield "a repository without a registry beside it needs repository.registry_url"
    if repository.registry_query_url and not repository.registry_url:
        yield "repository.registry_query_url is for a registry elsewhere: it needs repository.registry_url"
    if source.announce == "on-demand" and "repository" not in server.actors:
        yield "imaging_source.announce is on-demand: it needs the actor repository, which makes what was announced"
    asks = ("imaging-source" in server.actors and source.decision_url) or (
        "repository" in server.actors and repository.decision_url
    )
    if asks and not opened and source.require_signed_decisions and not settings.consent.decision_trust:
        yield "answers of decision_url are believed when consent.decision_trust names who signs them; it is empty"
    if settings.dicom.port and "imaging-source" not in server.actors:
        yield "dicom.port is served by the actor imaging-source, which is not among server.actors"
    publishing = settings.publishing
    publishes = publishing.automatic and "imaging-source" in server.actors and source.announce != "on-demand"
    if publishing.notices_port and not publishes:
        yield "publishing.notices_port is for publishing.automatic beside the actor imaging-source"
    if publishes and not source.repository_url:
        yield "publishing.automatic needs imaging_source.repository_url"
    if publishing.deleted != "keep" and not source.registry_url:
        yield f"publishing.deleted is {publishing.deleted!r}, which needs imaging_source.registry_url"
    if settings.audit.send and not tls.certificate:
        yield "audit.send needs tls.certificate"
    if settings.audit.listen and not tls.certificate:
        yield "audit.listen needs tls.certificate"


def _address(settings: Settings) -> Iterator[str]:
    address = settings.server.address
    try:
        loopback = is_loopback(address)
    except ValueError:
        yield f"server.address is {address!r}; valid: an IP address"
        return
    if not loopback and not settings.tls.certificate:
        yield f"server.address is {address}: without TLS only loopback addresses are served"
