"""Right files of every kind that `xdsi validate` knows, to be changed in one thing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from lxml import etree

from tests import audit_samples, builders
from tests.certificates import identity
from tests.policies import appc
from xdsi.domain.codes import Code
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import Application, Demographics, FeedAnswer, FeedEvent, PatientIdentityFeed, PersonName
from xdsi.domain.subject import Subject
from xdsi.domain.submission import Document, Provision
from xdsi.rules.audit import events_for
from xdsi.spec import namespaces as ns
from xdsi.spec import uuids
from xdsi.spec.messages import FORMS
from xdsi.spec.optionality import Column
from xdsi.wire import audit, bppc, hl7v2, hl7v3, saml, soap, syslog, xml
from xdsi.wire.ebxml import provision, submission
from xdsi.wire.message import Packaging
from xdsi.wire.mtom import MultipartWriter
from xdsi.wire.signature_document import sign
from xdsi.wire.xml import E
from xdsi.wire.xmldsig import sign_enveloped

NOW = datetime(2026, 5, 4, 10, 0, 0, tzinfo=UTC)
IDP = identity("samples-idp", "2048")
ACTIONS = {(one.transaction, one.is_request): one.action for one in reversed(FORMS)}
"""the first of those of a transaction"""
AUDIENCE = "urn:oid:2.999.1"
DOCTOR = Subject(
    user_id="dr.jekyll",
    issuer="https://idp.example",
    assertion_id="_a1",
    user_name="Dr Jekyll",
    organization="Hospital A",
    organization_id="urn:oid:2.999.5",
    roles=(Code("112247003", "2.16.840.1.113883.6.96", "Doctor"),),
    purposes=(Code("TREAT", "2.16.840.1.113883.5.8"),),
)


# -- assertions


def assertion(now: datetime | None = None, signer: Any = IDP, **changes: Any) -> bytes:
    """A doctor's assertion, issued a moment ago where nothing else is said; it outlives a run of the tests."""
    issued = now or datetime.now(UTC) - timedelta(seconds=5)
    arguments = {"audiences": [AUDIENCE], "now": issued, "lifetime": timedelta(minutes=55)} | changes
    return saml.issue_assertion(DOCTOR, key_pem=signer.key_pem, cert_pem=signer.cert_pem, **arguments)


def altered_assertion(change: Any) -> bytes:
    """An assertion changed before its issuer signs it: only the content is wrong."""
    root = xml.parse(assertion())
    signature = root.find(E(ns.DS, "Signature"))
    assert signature is not None
    root.remove(signature)
    change(root)
    return xml.serialize(sign_enveloped(root, IDP.key_pem, IDP.cert_pem))


# -- messages


def envelope(transaction: str, body: bytes, *, request: bool = True, **arguments: Any) -> bytes:
    """A message of a transaction, with every header that the profile asks for."""
    if request:
        arguments = {"message_id": "urn:uuid:1", "to": "https://x.example/", "reply_to_anonymous": True} | arguments
    else:
        arguments = {"relates_to": "urn:uuid:1"} | arguments
    return b"".join(soap.write_envelope(ACTIONS[transaction, request], body, **arguments))


def submitted(column: Column = Column.REPOSITORY, **changes: Any) -> bytes:
    """A SubmitObjectsRequest with one entry."""
    made = builders.on_demand_entry if column is Column.ON_DEMAND else builders.document_entry
    entry = made(**changes)
    return submission.write(builders.submission(entry)).encode()


def provided(content: bytes = b"hello", **changes: Any) -> Provision:
    """A submission of one document with its bytes."""
    entry = builders.document_entry(**changes)
    return Provision(builders.submission(entry), {entry.entry_uuid: _document(content)})


def _document(content: bytes) -> Document:
    def chunks() -> Iterator[bytes]:
        yield content

    return Document(
        open=chunks,
        size=len(content),
        sha1=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def mtom(given: Provision | None = None, *, head: bool = True) -> bytes:
    """An ITI-41 request as multipart, with its Content-Type in front of it or without."""
    payload = provision.encode(given or provided(), Packaging.MTOM)
    writer = MultipartWriter(boundary="parts")
    root = envelope("ITI-41", b"".join(payload.body))
    raw = b"".join(writer.message((root,), payload.attachments))
    return f"Content-Type: {writer.content_type}\r\n\r\n".encode() + raw if head else raw


def plain_provision(given: Provision | None = None) -> bytes:
    """The body of an ITI-41 request with the document inline."""
    return b"".join(provision.encode(given or provided(), Packaging.SIMPLE).body)


QUERY = f"""<query:AdhocQueryRequest xmlns:query="{ns.QUERY}" xmlns:rim="{ns.RIM}">
<query:ResponseOption returnType="LeafClass" returnComposedObjects="true"/>
<rim:AdhocQuery id="{uuids.FIND_DOCUMENTS}">
<rim:Slot name="$XDSDocumentEntryPatientId"><rim:ValueList><rim:Value>'{builders.PATIENT.replace("&", "&amp;")}'</rim:Value></rim:ValueList></rim:Slot>
<rim:Slot name="$XDSDocumentEntryStatus"><rim:ValueList><rim:Value>('{ns.APPROVED}')</rim:Value></rim:ValueList></rim:Slot>
</rim:AdhocQuery>
</query:AdhocQueryRequest>""".encode()  # noqa: E501 - as one sees it on the wire

RETRIEVE = f"""<xds:RetrieveDocumentSetRequest xmlns:xds="{ns.XDS}">
<xds:DocumentRequest>
<xds:RepositoryUniqueId>2.999.1.2</xds:RepositoryUniqueId>
<xds:DocumentUniqueId>2.999.10.1</xds:DocumentUniqueId>
</xds:DocumentRequest>
</xds:RetrieveDocumentSetRequest>""".encode()

RETRIEVED = f"""<xds:RetrieveDocumentSetResponse xmlns:xds="{ns.XDS}" xmlns:rs="{ns.RS}">
<rs:RegistryResponse status="{ns.SUCCESS}"/>
<xds:DocumentResponse>
<xds:RepositoryUniqueId>2.999.1.2</xds:RepositoryUniqueId>
<xds:DocumentUniqueId>2.999.10.1</xds:DocumentUniqueId>
<xds:mimeType>text/plain</xds:mimeType>
<xds:Document>aGVsbG8=</xds:Document>
</xds:DocumentResponse>
</xds:RetrieveDocumentSetResponse>""".encode()

IMAGES = f"""<rad:RetrieveImagingDocumentSetRequest xmlns:rad="{ns.RAD}" xmlns:xds="{ns.XDS}">
<rad:StudyRequest studyInstanceUID="2.999.5.1">
<rad:SeriesRequest seriesInstanceUID="2.999.5.1.1">
<xds:DocumentRequest>
<xds:RepositoryUniqueId>2.999.1.3</xds:RepositoryUniqueId>
<xds:DocumentUniqueId>2.999.5.1.1.1</xds:DocumentUniqueId>
</xds:DocumentRequest>
</rad:SeriesRequest>
</rad:StudyRequest>
<rad:TransferSyntaxUIDList><rad:TransferSyntaxUID>1.2.840.10008.1.2.1</rad:TransferSyntaxUID></rad:TransferSyntaxUIDList>
</rad:RetrieveImagingDocumentSetRequest>""".encode()

REMOVAL = f"""<lcm:RemoveObjectsRequest xmlns:lcm="{ns.LCM}" xmlns:rim="{ns.RIM}">
<rim:ObjectRefList>
<rim:ObjectRef id="urn:uuid:77f2c1f0-31e5-4f69-9d3b-0d5dbef2ab01"/>
</rim:ObjectRefList>
</lcm:RemoveObjectsRequest>""".encode()

FAILURE = f"""<rs:RegistryResponse xmlns:rs="{ns.RS}" status="{ns.FAILURE}">
<rs:RegistryErrorList highestSeverity="{ns.SEVERITY_ERROR}">
<rs:RegistryError errorCode="XDSRegistryMetadataError" codeContext="wrong" severity="{ns.SEVERITY_ERROR}"/>
</rs:RegistryErrorList>
</rs:RegistryResponse>""".encode()


# -- consents and signatures


def bppc_consent(**changes: Any) -> bytes:
    """A patient accepts a policy of the domain."""
    arguments: dict[str, Any] = {
        "document_id": "2.999.30.1",
        "patient": PatientId("P1", "2.999.1.1"),
        "patient_name": ("Roe", "Ann"),
        "policies": (Code("2.999.50.1", "2.999.50", "Reports for all"),),
        "custodian": ("2.999.5", "Hospital A"),
        "now": NOW,
        "valid_from": NOW,
    }
    return bppc.encode_bppc(**arguments | changes)


def appc_consent(**changes: str) -> bytes:
    """A patient's own policy."""
    return appc(**changes)


def signature(**changes: Any) -> bytes:
    """A detached signature of one document."""
    arguments = {"key": IDP.signing_key, "now": NOW} | changes
    return sign({"2.999.30.1": hashlib.sha256(bppc_consent()).digest()}, **arguments)


# -- audit


def audit_message(transaction: str = "ITI-43") -> bytes:
    """The record of one exchange."""
    (event, *_) = events_for(audit_samples.rich_facts(transaction))
    return audit.encode(event)


def audit_syslog(message: bytes | None = None, **changes: Any) -> bytes:
    """The record as it travels, in its frame."""
    arguments = {"message": message or audit_message(), "time": NOW, "hostname": "hub", "app_name": "xdsi"} | changes
    return syslog.frame(syslog.SyslogMessage(**arguments))


# -- HL7


def feed(kind: FeedEvent = FeedEvent.ADD, trigger: str = "") -> PatientIdentityFeed:
    """A patient is announced, or merged."""
    return PatientIdentityFeed(
        kind=kind,
        patients=(PatientId("P1", "2.999.1.1"),),
        prior=(PatientId("P0", "2.999.1.1"),) if kind is FeedEvent.MERGE else (),
        demographics=Demographics(name=PersonName(family="Roe", given="Ann"), birth_date="19700101", sex="F"),
        message_id="5f0c6b1e-0000-4000-8000-000000000001",
        sender=Application("2.999.21", "2.999.2"),
        receiver=Application("2.999.22", "2.999.1"),
        created=NOW,
        trigger=trigger,
    )


def adt(trigger: str = "A04") -> bytes:
    """ITI-8."""
    return hl7v2.encode(feed(FeedEvent.MERGE if trigger == "A40" else hl7v2.TRIGGERS[trigger], trigger))


def interaction(kind: FeedEvent = FeedEvent.ADD) -> bytes:
    """ITI-44."""
    return hl7v3.encode(feed(kind))


def interaction_acknowledgement() -> bytes:
    """The answer to ITI-44."""
    return hl7v3.encode_acknowledgement(feed(), FeedAnswer(accepted=True), now=NOW)


REPORT = (
    b"MSH|^~\\&|RIS|A|XDSI|A|20260504100000||ORU^R01|7|P|2.5.1\r"
    b"PID|1||P1^^^&2.999.1.1&ISO||Roe^Ann||19700101|F\r"
    b"OBR|1|O1|F1|71260^CT chest^C4||||||||||||||A77|||||||F\r"
    b"OBX|1|ST|113014^Study Instance UID^DCM||2.999.5.1||||||F\r"
)
ORDER = (
    b"MSH|^~\\&|RIS|A|XDSI|A|20260504100000||ORM^O01|8|P|2.5.1\r"
    b"PID|1||P1^^^&2.999.1.1&ISO||Roe^Ann||19700101|F\r"
    b"ORC|NW|O1|F1\r"
    b"OBR|1|O1|F1|71260^CT chest^C4||||||||||||||A77\r"
    b"ZDS|2.999.5.1^App^Application^DICOM\r"
)


def pretty(raw: bytes) -> bytes:
    """The same document with an element a line."""
    root = etree.fromstring(raw)
    etree.indent(root)
    return etree.tostring(root) + b"\n"


def files() -> dict[str, tuple[str, bytes]]:
    """Every right sample: the key of its validator, and its bytes."""
    submission_ = submitted()
    return {
        "register": ("soap", envelope("ITI-42", submission_)),
        "register on demand": ("soap", envelope("ITI-61", submitted(Column.ON_DEMAND))),
        "registered": ("soap", envelope("ITI-42", FAILURE, request=False)),
        "query": ("soap", envelope("ITI-18", QUERY)),
        "retrieve": ("soap", envelope("ITI-43", RETRIEVE)),
        "images": ("soap", envelope("RAD-69", IMAGES)),
        "removal": ("soap", envelope("ITI-62", REMOVAL)),
        "query with an assertion": ("soap", envelope("ITI-18", QUERY, security=saml.security_header(assertion()))),
        "provide, multipart": ("soap", mtom()),
        "provide, multipart without headers": ("soap", mtom(head=False)),
        "feed in an envelope": ("soap", envelope("ITI-44", interaction())),
        "submission": ("ebrim", submission_),
        "provision": ("ebrim", plain_provision()),
        "stored query": ("ebrim", QUERY),
        "retrieval": ("ebrim", RETRIEVE),
        "retrieved": ("ebrim", RETRIEVED),
        "image request": ("ebrim", IMAGES),
        "failure": ("ebrim", FAILURE),
        "assertion": ("saml", assertion()),
        "consent": ("bppc", bppc_consent()),
        "policy": ("appc", appc_consent()),
        "signature": ("signature", signature()),
        "audit": ("audit", audit_message()),
        "audit in syslog": ("audit", audit_syslog()),
        "patient": ("hl7v2", adt()),
        "merge": ("hl7v2", adt("A40")),
        "order": ("hl7v2", ORDER),
        "report": ("hl7v2", REPORT),
        "interaction": ("hl7v3", interaction()),
        "merging interaction": ("hl7v3", interaction(FeedEvent.MERGE)),
        "acknowledgement": ("hl7v3", interaction_acknowledgement()),
    }
