"""A plain zeep client without a network: what tests of our descriptions talk with."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from lxml import etree
from zeep import Client
from zeep.transports import Transport

from xdsi.domain import packaged
from xdsi.spec import namespaces as ns
from xdsi.transport import wsdl

LOCATION = "https://hub.example:8443/services/here"

ACTIONS = {
    "DocumentRegistry_RegistryStoredQuery": (
        "urn:ihe:iti:2007:RegistryStoredQuery",
        "urn:ihe:iti:2007:RegistryStoredQueryResponse",
    ),
    "DocumentRegistry_RegisterDocumentSet-b": (
        "urn:ihe:iti:2007:RegisterDocumentSet-b",
        "urn:ihe:iti:2007:RegisterDocumentSet-bResponse",
    ),
    "DocumentRegistry_MultiPatientStoredQuery": (
        "urn:ihe:iti:2009:MultiPatientStoredQuery",
        "urn:ihe:iti:2009:MultiPatientStoredQueryResponse",
    ),
    "DocumentRegistry_RegisterOnDemandDocumentEntry": (
        "urn:ihe:iti:2010:RegisterOnDemandDocumentEntry",
        "urn:ihe:iti:2010:RegisterOnDemandDocumentResponse",
    ),
    "DocumentRegistry_UpdateDocumentSet": (
        "urn:ihe:iti:2010:UpdateDocumentSet",
        "urn:ihe:iti:2010:UpdateDocumentSetResponse",
    ),
    "UpdateResponder_RestrictedUpdateDocumentSet": (
        "urn:ihe:iti:2018:RestrictedUpdateDocumentSet",
        "urn:ihe:iti:2018:RestrictedUpdateDocumentSetResponse",
    ),
    "DocumentRegistry_DeleteDocumentSet": (
        "urn:ihe:iti:2010:DeleteDocumentSet",
        "urn:ihe:iti:2010:DeleteDocumentSetResponse",
    ),
    "DocumentRepository_ProvideAndRegisterDocumentSet-b": (
        "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b",
        "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-bResponse",
    ),
    "DocumentRepository_RetrieveDocumentSet": (
        "urn:ihe:iti:2007:RetrieveDocumentSet",
        "urn:ihe:iti:2007:RetrieveDocumentSetResponse",
    ),
    "DocumentRepository_RemoveDocuments": (
        "urn:ihe:iti:2017:RemoveDocuments",
        "urn:ihe:iti:2017:RemoveDocumentsResponse",
    ),
    "ImagingDocumentSource_RetrieveImagingDocumentSet": (
        "urn:ihe:rad:2009:RetrieveImagingDocumentSet",
        "urn:ihe:iti:2007:RetrieveDocumentSetResponse",
    ),
    "DocumentRegistry_PRPA_IN201301UV02": ("urn:hl7-org:v3:PRPA_IN201301UV02", "urn:hl7-org:v3:MCCI_IN000002UV01"),
    "DocumentRegistry_PRPA_IN201302UV02": ("urn:hl7-org:v3:PRPA_IN201302UV02", "urn:hl7-org:v3:MCCI_IN000002UV01"),
    "DocumentRegistry_PRPA_IN201304UV02": ("urn:hl7-org:v3:PRPA_IN201304UV02", "urn:hl7-org:v3:MCCI_IN000002UV01"),
    "AuthorizationDecisionsManager_AuthorizationDecisionsQuery": (
        "urn:ihe:iti:2014:ser:XACMLAuthorizationDecisionQueryRequest",
        "urn:ihe:iti:2014:ser:XACMLAuthorizationDecisionQueryResponse",
    ),
}


class Offline(Transport):
    """zeep without a network: descriptions as the server gives them, one canned answer, and no connection."""

    def __init__(self, actor: str = "", answer: bytes = b"", content_type: str = "application/soap+xml") -> None:
        super().__init__()
        self._actor = actor
        self._answer = answer
        self._content_type = content_type
        self.sent: list[tuple[str, bytes, dict[str, str]]] = []

    def _load_remote_data(self, url: str) -> bytes:
        parts = urlsplit(url)
        assert parts._replace(query="").geturl() == LOCATION, f"zeep asks the network for {url}"
        if parts.query == "wsdl":
            return wsdl.wsdl_for(self._actor, LOCATION)
        return wsdl.schema(parse_qs(parts.query)["xsd"][0], LOCATION)

    def post(self, address: str, message: bytes, headers: dict[str, str]) -> requests.Response:
        self.sent.append((address, message, headers))
        response = requests.Response()
        response.status_code = 200
        response._content = self._answer
        response.headers["Content-Type"] = self._content_type
        return response


def client_of(transaction: str, transport: Offline | None = None) -> Client:
    return Client(str(packaged.resources("wsdl") / f"{transaction}.wsdl"), transport=transport or Offline())


def operations(client: Client) -> dict[str, Any]:
    (service,) = client.wsdl.services.values()
    (port,) = service.ports.values()
    return dict(port.binding.all())


def body_of(client: Client, operation: str, **content: Any) -> etree._Element:
    message = client.create_message(client.service, operation, **content)
    (body,) = message.find(f"{{{ns.SOAP}}}Body")
    return etree.fromstring(etree.tostring(body))


def envelope(body: bytes) -> bytes:
    return b'<e:Envelope xmlns:e="%s"><e:Body>%s</e:Body></e:Envelope>' % (ns.SOAP.encode(), body)
