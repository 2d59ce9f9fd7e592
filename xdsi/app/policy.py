"""Who may come in, who decides, and how other nodes are reached: the second layer of the parts."""

from __future__ import annotations

import os
import socket
from datetime import datetime
from functools import cached_property
from pathlib import Path

from xdsi.actors.authorization_verifier import HubDecisions, PermitAll
from xdsi.actors.consent_fetching import ConsentFetching
from xdsi.actors.consent_intake import LIMIT, SignedConsentIntake
from xdsi.app.consent_signers import ConsentSigners
from xdsi.app.policies import changed_since, domain_policy
from xdsi.app.storage import StorageParts, base_url, read_file, utc_now
from xdsi.domain.audit import AuditSite
from xdsi.domain.audit_records import Direction
from xdsi.domain.codes import Code, CodeSets
from xdsi.domain.consent import DomainPolicy, engine_of
from xdsi.domain.errors import ConfigurationError, MalformedMessage
from xdsi.domain.identity import ANY_AUTHORITY
from xdsi.domain.notification import Recipient
from xdsi.domain.ports import Decisions, Spool
from xdsi.domain.subject import Subject
from xdsi.exchange import Access, Channel, Client
from xdsi.rules.identity import IdentityDomain
from xdsi.rules.policy_conditions import zone_of
from xdsi.spec.audit_events import APPLICATION_START
from xdsi.storage.copies import DocumentCopyFolder
from xdsi.storage.replays import SqlReplayMemory
from xdsi.storage.s3_blobs import S3Blobs
from xdsi.transactions import iti79_authorization_decisions_query as iti79
from xdsi.transport.notice_sender import Destination, destination
from xdsi.transport.soap_client import SoapClient
from xdsi.transport.time_stamp_client import TimeStampClient
from xdsi.transport.tls import client_context
from xdsi.wire import code_sets
from xdsi.wire.jwt_token import JwtTrust
from xdsi.wire.saml import SamlTrust
from xdsi.wire.saml_issue import issue_assertion
from xdsi.wire.time_stamp import Stamp

_STARTS = 1000
"""of servers, those of other nodes that send their records here among them"""


class PolicyParts(StorageParts):
    """Adds access, decisions and channels."""

    @cached_property
    def site(self) -> AuditSite:
        """How audit records name this process."""
        return AuditSite(
            source_id=self.settings.audit.source_id,
            enterprise_site_id=self.settings.domain.home_community_id.removeprefix("urn:oid:"),
            host=socket.gethostname(),
            process_id=str(os.getpid()),
            base_url=base_url(self.settings),
        )

    @cached_property
    def access(self) -> Access:
        """What every request must show."""
        now = self.trust()
        return Access(
            trust=now.saml,
            tokens=now.tokens,
            renewed=self._terms,
            nodes_required=not self.open_profile,
            clock=utc_now,
            replay=self.used_before if not self.open_profile and self.settings.saml.refuse_replay else None,
        )

    def _terms(self) -> tuple[SamlTrust | None, JwtTrust]:
        now = self.trust()
        return now.saml, now.tokens

    def used_before(self, issuer: str, assertion_id: str, until: datetime) -> bool:
        """True for an assertion that was used; else it counts as used from now on."""
        return self.used_assertions(issuer, assertion_id, until)

    @cached_property
    def used_assertions(self) -> SqlReplayMemory:
        """Remembers assertions until they end."""
        return SqlReplayMemory(self.engine)

    @cached_property
    def client(self) -> Client:
        """Who we are when we ask other nodes."""
        return Client(site=self.site, trail=self.trail, clock=utc_now)

    def channel(self, url: str, *, read_seconds: float = 60.0) -> SoapClient:
        """A way to another node."""
        if not url.startswith("https:") or self.tls is None:
            return SoapClient(url, make_spool=self.make_spool, read_seconds=read_seconds)
        files = f"trusted is {self.tls.peer_ca} (tls.client_ca), shown is {self.tls.certificate} (tls.certificate)"
        return SoapClient(
            url,
            make_spool=self.make_spool,
            tls=client_context(self.tls),
            tls_files=files,
            read_seconds=read_seconds,
        )

    def make_spool(self) -> Spool:
        """A spool for one request."""
        return self.spools.open()

    def make_document_spool(self) -> Spool:
        """A spool for one request whose parts become documents of the repository."""
        return self.spools.open(
            self.newest_blobs.follow if isinstance(self.newest_blobs, S3Blobs) else None, self.document_form
        )

    @cached_property
    def domain_policy(self) -> DomainPolicy:
        """What the domain decides where the patient does not."""
        return domain_policy(self.settings)

    def policies_not_in_force(self) -> list[Path]:
        """Files of the domain's policy that are newer than the last start of a server on this store."""
        starts = self.trail.search(transaction=APPLICATION_START.code, limit=_STARTS)
        own = [one.time for one in starts if one.direction is Direction.SENT]
        return changed_since(self.settings, own[-1]) if own else []

    @cached_property
    def policy_decisions(self) -> iti79.PolicyDecisions:
        """Decides by the consents in the registry of this process."""
        return iti79.PolicyDecisions(self.domain_policy, self.registry)

    def decisions(self, decision_url: str) -> Decisions:
        """Who decides: nobody in the open profile, this process, or the hub at a URL."""
        if self.open_profile:
            return PermitAll()
        self.require_consent()
        if not decision_url:
            return self.policy_decisions
        source = self.settings.imaging_source
        return HubDecisions(
            self.client,
            self.channel(decision_url),
            lambda: self.trust().decisions,
            require_signed=source.require_signed_decisions,
            cache_seconds=source.decision_cache_seconds,
            offline_seconds=source.decision_offline_seconds,
        )

    def require_consent(self) -> None:
        """Only the open profile does without."""
        if not (self.settings.consent.enforce or self.open_profile):
            raise ConfigurationError("consent.enforce is false; valid: true, outside the open profile")

    @cached_property
    def consent_signers(self) -> ConsentSigners | None:
        """Who may sign consents; None where nobody's signature is trusted."""
        consent = self.settings.consent
        return ConsentSigners(self.settings) if consent.signer_ca or consent.seals else None

    @cached_property
    def notice_destinations(self) -> dict[Recipient, Destination]:
        """Where notices go, for the recipients that the settings say it of."""
        given, tls = self.settings.notification, client_context(self.tls) if self.tls is not None else None
        found = {
            Recipient.PATIENT: destination(given.patient, "notification.patient", tls=tls),
            Recipient.OFFICER: destination(given.officer, "notification.officer", tls=tls),
        }
        return {recipient: to for recipient, to in found.items() if to is not None}

    @property
    def time_stamps(self) -> Stamp | None:
        """The authority that stamps our signatures; None where the settings name none."""
        url = self.settings.consent.timestamp_url
        return TimeStampClient(url) if url else None

    @cached_property
    def consent_intake(self) -> SignedConsentIntake | None:
        """Verifies consents as they are registered; None where nobody's signature is trusted."""
        if self.consent_signers is None:
            return None
        return SignedConsentIntake(
            documents=self.documents,
            identities=self.identities,
            signers=self.consent_signers,
            clock=utc_now,
            reject_invalid=self.settings.consent.reject_invalid,
            zone=zone_of(self.domain_policy.time_zone),
            elsewhere=self.consents_elsewhere,
        )

    @cached_property
    def consents_elsewhere(self) -> ConsentFetching | None:
        """Consents in the repositories of `consumer.repositories`; None where there is no other."""
        channels = self.other_repositories
        if not channels:
            return None
        return ConsentFetching(
            client=self.client,
            repositories=channels,
            copies=DocumentCopyFolder(self.data / "consent-copies"),
            assertion=self.engine_assertion,
            limit=LIMIT,
            seconds=self.settings.consent.fetch_seconds,
        )

    @cached_property
    def other_repositories(self) -> dict[str, Channel]:
        """Ways to repositories that are not of this process, by repositoryUniqueId; a slow one is given up on."""
        own = self.settings.repository.unique_id if "repository" in self.settings.server.actors else ""
        seconds = self.settings.consent.fetch_seconds
        return {
            uid: self.channel(url, read_seconds=seconds)
            for uid, url in self.settings.consumer.repositories.items()
            if uid != own
        }

    def engine_assertion(self) -> bytes:
        """An assertion about the decision engine of this hub, signed as its ITI-79 answers are; empty without a key."""
        consent, tls = self.settings.consent, self.settings.tls
        certificate = consent.decision_certificate or tls.certificate
        if not certificate:
            return b""
        key = str(Path(certificate).with_suffix(".key")) if consent.decision_certificate else tls.key
        home = self.settings.domain.home_community_id
        scheme = home.removeprefix("urn:oid:")
        return issue_assertion(
            Subject(
                user_id=engine_of(home),
                issuer=home,
                assertion_id="",
                user_name="decision engine",
                organization="decision engine",
                organization_id=home,
                roles=(Code("decision-engine", scheme),),
                purposes=(Code("HOPERAT", "2.16.840.1.113883.5.8"),),
            ),
            audiences=self.settings.saml.audiences,
            key_pem=read_file(key, "consent.decision_certificate"),
            cert_pem=read_file(certificate, "consent.decision_certificate"),
            now=utc_now(),
        )

    @cached_property
    def identity_domain(self) -> IdentityDomain:
        """Whose patient identifiers are taken."""
        return IdentityDomain(self.settings.domain.patient_id_authority or ANY_AUTHORITY)

    @cached_property
    def code_sets(self) -> CodeSets | None:
        """The value sets of the domain."""
        file = self.settings.domain.codes
        try:
            return code_sets.decode(read_file(file, "domain.codes")) if file else None
        except MalformedMessage as error:
            raise ConfigurationError(f"domain.codes: {file}: {error}") from error
