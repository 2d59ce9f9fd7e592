"""Who asks: the verified person (XUA) and the verified node (ITI-19)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from xdsi.domain.codes import Code
from xdsi.domain.identifiers import PatientId


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A verified identity assertion (ITI TF-2 3.40.4.1.2), from SAML or JWT alike."""

    user_id: str
    """NameID"""
    issuer: str
    assertion_id: str
    user_name: str = ""
    user_qualifier: str = ""
    """NameID/@NameQualifier"""
    alias: str = ""
    """NameID/@SPProvidedID"""
    organization: str = ""
    organization_id: str = ""
    """urn:oid: or a URL"""
    further_organizations: tuple[str, ...] = ()
    further_organization_ids: tuple[str, ...] = ()
    """a person who acts for several organisations names them all; a rule about any of them counts"""
    home_community_id: str = ""
    npi: str = ""
    provider_identifiers: tuple[str, ...] = ()
    """CX-like `extension^^^&root&ISO` of urn:ihe:iti:xua:2017:subject:provider-identifier"""
    roles: tuple[Code, ...] = ()
    purposes: tuple[Code, ...] = ()
    patient: PatientId | None = None
    """resource-id: the one patient the assertion is for"""
    consent_documents: tuple[str, ...] = ()
    privacy_policies: tuple[str, ...] = ()
    emergency_reason: str = ""
    """why the person asks in an emergency, in his own words"""
    not_before: datetime | None = None
    not_on_or_after: datetime | None = None
    certificate_sha256: str = ""
    """the issuer's certificate that verified it"""

    @property
    def audit_name(self) -> str:
        """`alias<user@issuer>` (ITI TF-2 3.40.4.2)."""
        return f"{self.alias}<{self.user_id}@{self.issuer}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A system known by its client certificate, and what it may do."""

    name: str
    certificate_sha256: str = ""
    organization_id: str = ""
    permits: frozenset[str] = frozenset()
    """transaction numbers, e.g. ITI-42; `*` permits all"""

    def may(self, transaction: str) -> bool:
        """True when this node is permitted to start the transaction."""
        return "*" in self.permits or transaction in self.permits


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The other end of a connection."""

    address: str
    certificate_sha256: str = ""
    certificate_subject: str = ""
    node: Node | None = None
    unshown: bool = False
    """a proxy passed this on and showed no certificate: nobody knows on whose connection it came"""

    def may(self, transaction: str) -> bool:
        """True for a node that is permitted to start the transaction."""
        return self.node is not None and self.node.may(transaction)

    def why_not(self, transaction: str) -> str:
        """For operators: why it is not permitted to start the transaction."""
        if self.node is not None:
            return f"node {self.node.name!r} is not permitted {transaction}"
        shown = [f"fingerprint {self.certificate_sha256}"] if self.certificate_sha256 else []
        shown += [f"subject {self.certificate_subject}"] if self.certificate_subject else []
        who = f"certificate of no known node ({', '.join(shown)})" if shown else "who shows no certificate"
        return f"{who} is not permitted {transaction}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Everything verified about who sent a request."""

    peer: Peer
    subject: Subject | None = None
    assertion: bytes = field(default=b"", repr=False)
    """the verified assertion as it came, to pass on where the profile asks for it"""
