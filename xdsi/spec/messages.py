"""Which message belongs to which transaction: wsa:Action, body element, packaging.

ITI TF-2 3.18 to 3.92 and Appendix V; Metadata Update, Remove Metadata and Documents, XCDR, Restricted Metadata Update;
RAD TF-2 4.69, 4.75; ITI TF-2 3.44 to 3.55 (HL7 V3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from xdsi.spec import namespaces as ns
from xdsi.spec.xacml import PROTOCOL_V2


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageForm:
    """One direction of one transaction."""

    transaction: str
    name: str
    is_request: bool
    action: str
    body: str
    """the element in Clark notation"""
    mtom: bool
    """travels as MTOM/XOP; else as plain SOAP"""


_QUERY = (f"{{{ns.QUERY}}}AdhocQueryRequest", f"{{{ns.QUERY}}}AdhocQueryResponse")
_REGISTRY_RESPONSE = f"{{{ns.RS}}}RegistryResponse"
_PROVIDE = (f"{{{ns.XDS}}}ProvideAndRegisterDocumentSetRequest", _REGISTRY_RESPONSE)
_SUBMIT = (f"{{{ns.LCM}}}SubmitObjectsRequest", _REGISTRY_RESPONSE)
_REMOVE = (f"{{{ns.LCM}}}RemoveObjectsRequest", _REGISTRY_RESPONSE)
_REMOVE_DOCUMENTS = (f"{{{ns.RMD}}}RemoveDocumentsRequest", _REGISTRY_RESPONSE)
_RETRIEVE = (f"{{{ns.XDS}}}RetrieveDocumentSetRequest", f"{{{ns.XDS}}}RetrieveDocumentSetResponse")
_IMAGES = (f"{{{ns.RAD}}}RetrieveImagingDocumentSetRequest", f"{{{ns.XDS}}}RetrieveDocumentSetResponse")
_DECISION = (f"{{{ns.XACML_SAML_PROTOCOL}}}XACMLAuthzDecisionQuery", f"{{{ns.SAMLP}}}Response")
_DECISION_V2 = (f"{{{PROTOCOL_V2}}}XACMLAuthzDecisionQuery", f"{{{ns.SAMLP}}}Response")

_I = "urn:ihe:iti:"
_ROWS: Final = (
    ("ITI-18", "Registry Stored Query", f"{_I}2007:RegistryStoredQuery", "", _QUERY, False),
    ("ITI-38", "Cross Gateway Query", f"{_I}2007:CrossGatewayQuery", "", _QUERY, False),
    ("ITI-51", "Multi-Patient Stored Query", f"{_I}2009:MultiPatientStoredQuery", "", _QUERY, False),
    ("ITI-41", "Provide and Register Document Set-b", f"{_I}2007:ProvideAndRegisterDocumentSet-b", "", _PROVIDE, True),
    ("ITI-80", "Cross-Gateway Document Provide", f"{_I}2015:CrossGatewayDocumentProvide", "", _PROVIDE, True),
    ("ITI-42", "Register Document Set-b", f"{_I}2007:RegisterDocumentSet-b", "", _SUBMIT, False),
    ("ITI-61", "Register On-Demand Document Entry", f"{_I}2010:RegisterOnDemandDocumentEntry",
     f"{_I}2010:RegisterOnDemandDocumentResponse", _SUBMIT, False),
    ("ITI-57", "Update Document Set", f"{_I}2010:UpdateDocumentSet", "", _SUBMIT, False),
    ("ITI-92", "Restricted Update Document Set", f"{_I}2018:RestrictedUpdateDocumentSet", "", _SUBMIT, False),
    ("ITI-62", "Remove Metadata", f"{_I}2010:DeleteDocumentSet", "", _REMOVE, False),
    ("ITI-86", "Remove Documents", f"{_I}2017:RemoveDocuments", "", _REMOVE_DOCUMENTS, False),
    ("ITI-43", "Retrieve Document Set", f"{_I}2007:RetrieveDocumentSet", "", _RETRIEVE, True),
    ("ITI-39", "Cross Gateway Retrieve", f"{_I}2007:CrossGatewayRetrieve", "", _RETRIEVE, True),
    ("RAD-69", "Retrieve Imaging Document Set", "urn:ihe:rad:2009:RetrieveImagingDocumentSet",
     f"{_I}2007:RetrieveDocumentSetResponse", _IMAGES, True),
    ("RAD-75", "Cross Gateway Retrieve Imaging Document Set",
     "urn:ihe:rad:2011:CrossGatewayRetrieveImagingDocumentSet", "", _IMAGES, True),
    ("ITI-79", "Authorization Decisions Query", f"{_I}2014:ser:XACMLAuthorizationDecisionQueryRequest",
     f"{_I}2014:ser:XACMLAuthorizationDecisionQueryResponse", _DECISION, False),
    ("ITI-79", "Authorization Decisions Query", f"{_I}2014:ser:XACMLAuthorizationDecisionQueryRequest",
     f"{_I}2014:ser:XACMLAuthorizationDecisionQueryResponse", _DECISION_V2, False),
)  # fmt: skip

# Interaction -> what answers it.
_HL7: Final = (
    ("ITI-44", "Patient Identity Feed HL7 V3", "PRPA_IN201301UV02", "MCCI_IN000002UV01", ""),
    ("ITI-44", "Patient Identity Feed HL7 V3", "PRPA_IN201302UV02", "MCCI_IN000002UV01", ""),
    ("ITI-44", "Patient Identity Feed HL7 V3", "PRPA_IN201304UV02", "MCCI_IN000002UV01", ""),
    ("ITI-45", "PIXV3 Query", "PRPA_IN201309UV02", "PRPA_IN201310UV02", ""),
    ("ITI-47", "Patient Demographics Query HL7 V3", "PRPA_IN201305UV02", "PRPA_IN201306UV02", ""),
    ("ITI-55", "Cross Gateway Patient Discovery", "PRPA_IN201305UV02", "PRPA_IN201306UV02",
     ":CrossGatewayPatientDiscovery"),
)  # fmt: skip


def _forms() -> Iterator[MessageForm]:
    for transaction, name, action, reply, (request, response), mtom in _ROWS:
        for is_request, uri, body in ((True, action, request), (False, reply or f"{action}Response", response)):
            yield MessageForm(
                transaction=transaction, name=name, is_request=is_request, action=uri, body=body, mtom=mtom
            )
    for transaction, name, asked, answered, suffix in _HL7:
        for is_request, interaction in ((True, asked), (False, answered)):
            yield MessageForm(
                transaction=transaction, name=name, is_request=is_request, mtom=False,
                action=f"{ns.HL7V3}:{interaction}{suffix}", body=f"{{{ns.HL7V3}}}{interaction}",
            )  # fmt: skip


FORMS: Final = tuple(_forms())


def forms_of(action: str) -> tuple[MessageForm, ...]:
    """The messages with a wsa:Action; several transactions may share one, as RAD-69 answers with that of ITI-43."""
    return tuple(one for one in FORMS if one.action == action)
