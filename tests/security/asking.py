"""A person with a valid client certificate and a valid assertion, who asks a running hub whatever he likes."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any

import requests
from lxml import etree

from tests.imaging import STUDIES
from tests.trusted import DOCTOR, PURPOSES, SNOMED, Trusted
from xdsi.domain.codes import Code
from xdsi.domain.imaging import ImagingRequest, SeriesRequest, StudyRequest
from xdsi.domain.retrieval import DocumentRequest, RetrieveRequest
from xdsi.domain.stored_query import AdhocQuery
from xdsi.domain.subject import Subject
from xdsi.exchange import Transaction
from xdsi.spec.namespaces import APPROVED, RIM
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti43_retrieve_document_set as iti43
from xdsi.transactions import rad69_retrieve_imaging_document_set as rad69
from xdsi.wire import soap
from xdsi.wire.message import Packaging
from xdsi.wire.saml_issue import issue_assertion, security_header

REPOSITORY, LOCATION = "2.999.1.2", "2.999.1.3"
TREAT, ETREAT = Code("TREAT", PURPOSES), Code("ETREAT", PURPOSES)
_UNIQUE_ID = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"
SOAP12 = "application/soap+xml; charset=UTF-8"
JEKYLL = Subject(
    user_id="dr.jekyll",
    issuer="idp",
    assertion_id="",
    user_name="Dr Jekyll",
    organization="A",
    organization_id="urn:oid:2.999.5",
    roles=(Code(DOCTOR, SNOMED),),
    purposes=(TREAT,),
)
"""a doctor, as the published consent of one patient permits"""


@dataclass
class Asker:
    """Asks as `subject`, over the connection of a node that is known."""

    hub: Trusted
    subject: Subject = JEKYLL
    security: bytes | None = field(default=None, repr=False)
    """another wsse:Security header than that of the subject's assertion"""

    def as_(self, **changes: Any) -> Asker:
        """The same with another assertion."""
        return Asker(self.hub, replace(self.subject, **changes))

    @cached_property
    def header(self) -> bytes:
        """The wsse:Security header."""
        return security_header(self.assertion()) if self.security is None else self.security

    @property
    def authorization(self) -> str:
        """The assertion as REST requests carry it."""
        return "IHE-SAML " + base64.b64encode(self.assertion()).decode()

    def assertion(self, **changes: Any) -> bytes:
        """An assertion about the subject, by an issuer that the hub trusts."""
        own = self.hub.pki
        arguments = {"audiences": ("urn:oid:2.999.1",), "now": datetime.now(UTC)} | changes
        return issue_assertion(
            self.subject,
            key_pem=(own / "idp.key").read_bytes(),
            cert_pem=(own / "idp.pem").read_bytes(),
            **arguments,
        )

    def post(
        self, actor: str, action: str, body: bytes, *, headers: dict[str, str] | None = None, path: str = ""
    ) -> requests.Response:
        """A SOAP message with this body."""
        message = b"".join(soap.write_envelope(action, body, security=self.header, message_id=_fresh()))
        url = self.hub.server.base_url + (path or f"/services/{actor}")
        return self.hub.session.post(url, data=message, headers={"Content-Type": SOAP12, **(headers or {})}, timeout=60)

    def send(self, transaction: Transaction[Any, Any], request: Any, actor: str) -> requests.Response:
        """A request in the form of its transaction."""
        body = b"".join(transaction.request.encode(request, Packaging.SIMPLE).body)
        return self.post(actor, transaction.trigger, body)

    def query(
        self, query_id: str, *slots: tuple[str, Sequence[str]], return_type: str = "LeafClass", home: str = ""
    ) -> requests.Response:
        """ITI-18; the values as they stand in rim:Value."""
        given = tuple((name, tuple(values)) for name, values in slots)
        return self.send(iti18.TRANSACTION, AdhocQuery(query_id, return_type, given, home), "registry")

    def retrieve(self, *unique_ids: str, repository: str = REPOSITORY, home: str = "") -> requests.Response:
        """ITI-43."""
        wanted = tuple(DocumentRequest(home, repository, one) for one in unique_ids)
        return self.send(iti43.TRANSACTION, RetrieveRequest(wanted), "repository")

    def images(self, *studies: StudyRequest, syntaxes: Sequence[str] = ("1.2.840.10008.1.2.1",)) -> requests.Response:
        """RAD-69."""
        return self.send(rad69.TRANSACTION, ImagingRequest(studies, tuple(syntaxes)), "imaging-source")


def _fresh() -> str:
    return f"urn:uuid:{uuid.uuid4()}"


@cache
def archive() -> FolderPacs:
    """The hospital's images, as the tests read them."""
    return FolderPacs(STUDIES)


@cache
def all_of(study: str) -> StudyRequest:
    """Everything of a study, as somebody asks who knows all of its UIDs."""
    return claimed(study, study)


@cache
def claimed(study: str, of: str) -> StudyRequest:
    """The instances of the study `of`, claimed to be of `study`."""
    found = archive().study(of)
    assert found is not None
    series = tuple(
        SeriesRequest(
            one.series_instance_uid,
            tuple(DocumentRequest("", LOCATION, instance.sop_instance_uid) for instance in one.instances),
        )
        for one in found.series
    )
    return StudyRequest(study, series)


def quoted(text: str) -> str:
    """A value of a stored query."""
    return "'" + text.replace("'", "''") + "'"


def of_patient(cx: str) -> tuple[tuple[str, Sequence[str]], ...]:
    """The slots of FindDocuments."""
    return (
        ("$XDSDocumentEntryPatientId", [quoted(cx)]),
        ("$XDSDocumentEntryStatus", [f"('{APPROVED}')"]),
    )


def unique_ids(answer: bytes) -> list[str]:
    """The uniqueIds of the DocumentEntries of an answer to a query."""
    found = etree.fromstring(answer, etree.XMLParser()).iter(f"{{{RIM}}}ExternalIdentifier")
    return [one.get("value", "") for one in found if one.get("identificationScheme") == _UNIQUE_ID]
