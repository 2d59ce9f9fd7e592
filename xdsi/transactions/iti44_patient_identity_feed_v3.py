"""ITI-44 Patient Identity Feed HL7 V3: an identity source tells the registry of patients and of merges, over SOAP.

ITI TF-2: 3.44.
"""

from __future__ import annotations

from xdsi.domain.identity import FeedAnswer, PatientIdentities, PatientIdentityFeed
from xdsi.rules.identity import IdentityDomain, decide


def handle(
    feed: PatientIdentityFeed, identities: PatientIdentities, domain_authority: str, *, namespace: str = ""
) -> FeedAnswer:
    """Register the domain's identifiers, from an added and a revised record alike, or record a merge (3.44.4.1.4)."""
    domain = IdentityDomain(domain_authority, namespace)
    return decide(feed, identities.status, domain, update_registers=True).carry_out(feed, identities)
