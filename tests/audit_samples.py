"""Facts of exchanges to make audit messages from: each test changes one thing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from xdsi.domain.audit import (
    AuditSite,
    DocumentFacts,
    ExchangeFacts,
    MergeFacts,
    QueryFacts,
    RemovedObject,
    Side,
    StudyFacts,
)
from xdsi.domain.codes import Code
from xdsi.domain.consent import Decision
from xdsi.domain.subject import Node, Subject

NOW = datetime(2026, 2, 3, 10, 11, 12, 345000, tzinfo=UTC)
PATIENT = "P1^^^&2.999.1.1&ISO"
OTHER_PATIENT = "P2^^^&2.999.1.1&ISO"
SITE = AuditSite(
    source_id="xds-hub-1",
    enterprise_site_id="2.999.1",
    host="hub.example.org",
    process_id="4711",
    base_url="https://hub.example.org:8443",
)
SUBJECT = Subject(
    user_id="jdupont",
    issuer="https://idp.example.org",
    assertion_id="_a1",
    alias="dr",
    roles=(Code("112247003", "2.16.840.1.113883.6.96", "Medical doctor"),),
    purposes=(Code("TREAT", "2.16.840.1.113883.5.8", "treatment"),),
)
NODE = Node(name="hospital-a")
DENIED = Decision(permit=False, policy="urn:policy:1", rule="r1", document="2.999.30.1")


def facts(transaction: str, side: Side = Side.SERVER, **changes: Any) -> ExchangeFacts:
    """A successful exchange with everything that the transaction's message may name."""
    attributes: dict[str, Any] = {
        "time": NOW,
        "site": SITE,
        "endpoint": "https://hub.example.org:8443/services/registry",
        "peer_address": "192.0.2.7",
        "node": NODE,
        "subject": SUBJECT,
        "patients": (PATIENT,),
        "trace": "0123456789abcdef0123456789abcdef",
    }
    return ExchangeFacts(transaction=transaction, side=side, **attributes | changes)


def rich_facts(transaction: str, side: Side = Side.SERVER, **changes: Any) -> ExchangeFacts:
    """An exchange that names all kinds of object at once; the table picks what belongs to the transaction."""
    everything: dict[str, Any] = {
        "query": QueryFacts(
            id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d",
            request=b"<query:AdhocQueryRequest/>",
            home_community_id="urn:oid:2.999.9",
        ),
        "submission_set": "2.999.11.1",
        "documents": (
            DocumentFacts(unique_id="2.999.5.1", repository_unique_id="2.999.1.2", home_community_id="urn:oid:2.999.9"),
            DocumentFacts(unique_id="2.999.5.2", repository_unique_id="2.999.1.2", outcome=8),
        ),
        "studies": (
            StudyFacts(
                study_instance_uid="2.999.6",
                instances=(("1.2.840.10008.5.1.4.1.1.2", ("2.999.6.1.1", "2.999.6.1.2")),),
                series=("2.999.6.1",),
                accessions=("A77",),
                repository_unique_id="2.999.1.3",
                home_community_id="urn:oid:2.999.9",
            ),
        ),
        "removed": (
            RemovedObject(entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000001", kind="DocumentEntry"),
            RemovedObject(
                entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000002",
                kind="urn:ihe:iti:2007:AssociationType:RPLC",
                home_community_id="urn:oid:2.999.9",
            ),
        ),
        "message_id": "MSG-1",
        "home_community_id": "urn:oid:2.999.9",
        "results": (("2.999.5.1", "Permit"), ("2.999.5.2", "Deny")),
    }
    return facts(transaction, side, **everything | changes)


MERGE = MergeFacts(subsumed=OTHER_PATIENT, surviving=PATIENT)
