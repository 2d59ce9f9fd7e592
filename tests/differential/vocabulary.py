"""The names of docs/policy.md section 3, written down once more: which attribute is seen where, as which kinds.

This folder reads the document, not the product: nothing here imports from xdsi/rules or xdsi/spec.
"""

from functools import cache

XACML = "urn:oasis:names:tc:xacml:2.0:policy:schema:os"
HL7 = "urn:hl7-org:v3"
XS = "http://www.w3.org/2001/XMLSchema#"
CORE = "urn:oasis:names:tc:xacml:1.0:"
XSPA = "urn:oasis:names:tc:xspa:1.0:subject:"
SER = "urn:ihe:iti:ser:2016:"
APPC = "urn:ihe:iti:appc:2016:"

TEXT, CODE, IDENTIFIER, BOOLEAN, DATE, DATE_TIME = "text", "code", "identifier", "boolean", "date", "dateTime"

TYPES = {
    XS + "string": TEXT,
    XS + "anyURI": TEXT,
    XS + "boolean": BOOLEAN,
    XS + "date": DATE,
    XS + "dateTime": DATE_TIME,
    HL7 + "#CV": CODE,
    HL7 + "#II": IDENTIFIER,
}

# How functions begin, and the data type that they are about.
FUNCTION_TYPES = {
    CORE + "function:string": XS + "string",
    CORE + "function:anyURI": XS + "anyURI",
    CORE + "function:boolean": XS + "boolean",
    CORE + "function:date": XS + "date",
    CORE + "function:dateTime": XS + "dateTime",
    HL7 + ":function:CV": HL7 + "#CV",
    HL7 + ":function:II": HL7 + "#II",
}

COMPARISONS = ("equal", "less-than", "less-than-or-equal", "greater-than", "greater-than-or-equal")

SUBJECT = {
    CORE + "subject:subject-id": {TEXT},
    CORE + "subject:subject-id-qualifier": {TEXT},
    XSPA + "subject-id": {TEXT},
    XSPA + "organization": {TEXT},
    XSPA + "organization-id": {TEXT},
    "urn:ihe:iti:xca:2010:homeCommunityId": {TEXT},
    XSPA + "npi": {TEXT, IDENTIFIER},
    "urn:ihe:iti:xua:2017:subject:provider-identifier": {IDENTIFIER},
    "urn:oasis:names:tc:xacml:2.0:subject:role": {CODE},
    XSPA + "purposeofuse": {CODE},
    "urn:oasis:names:tc:xacml:2.0:resource:resource-id": {IDENTIFIER},
    "urn:xdsi:2026:subject:emergency-reason": {TEXT},
    "urn:ihe:iti:bppc:2007:docid": {TEXT},
    "urn:ihe:iti:xua:2012:acp": {TEXT},
}

ENTRY = APPC + "document-entry:"
RESOURCE = {
    SER + "patient-id": {IDENTIFIER},
    "urn:e-health-suisse:2015:epr-spid": {IDENTIFIER},
    CORE + "resource:resource-id": {TEXT},
    SER + "document-entry:repository-unique-id": {TEXT},
    "urn:ihe:iti:xds-b:2007:documententry:repository-unique-id": {TEXT},
    APPC + "resource-type": {TEXT},
    ENTRY + "class-code": {CODE},
    ENTRY + "type-code": {CODE},
    ENTRY + "format-code": {CODE},
    ENTRY + "healthcare-facility-type-code": {CODE},
    ENTRY + "practice-setting-code": {CODE},
    APPC + "confidentiality-code": {CODE},
    ENTRY + "confidentiality-code": {CODE},
    "urn:ihe:iti:xds-b:2007:confidentiality-code": {CODE},
    ENTRY + "event-code": {CODE},
    ENTRY + "creation-time": {DATE_TIME},
    ENTRY + "service-start-time": {DATE_TIME},
    ENTRY + "service-stop-time": {DATE_TIME},
    APPC + "author-institution:id": {IDENTIFIER, TEXT},
    APPC + "author-person:id": {IDENTIFIER, TEXT},
    ENTRY + "legal-authenticator:id": {IDENTIFIER, TEXT},
    ENTRY + "reference-id": {IDENTIFIER},
    ENTRY + "source-patient-id": {IDENTIFIER},
    ENTRY + "related-folder:id": {TEXT},
    ENTRY + "related-folder:code": {CODE},
    APPC + "folder:code": {CODE},
    APPC + "availability-status": {TEXT},
    APPC + "community-id": {TEXT},
    APPC + "source-system-id": {TEXT, IDENTIFIER},
}

ACTION = {CORE + "action:action-id": {TEXT}, CORE + "action-id": {TEXT}}
ENVIRONMENT = {CORE + "environment:current-date": {DATE}, CORE + "environment:current-dateTime": {DATE_TIME}}

SECTIONS = {"Subject": SUBJECT, "Resource": RESOURCE, "Action": ACTION, "Environment": ENVIRONMENT}

ACTIONS = {
    "query": (
        "urn:ihe:iti:2007:RegistryStoredQuery",
        "urn:ihe:iti:2007:CrossGatewayQuery",
        "urn:ihe:iti:2009:MultiPatientStoredQuery",
    ),
    "retrieve": ("urn:ihe:iti:2007:RetrieveDocumentSet", "urn:ihe:iti:2007:CrossGatewayRetrieve"),
    "retrieve-imaging": (
        "urn:ihe:rad:2009:RetrieveImagingDocumentSet",
        "urn:ihe:rad:2011:CrossGatewayRetrieveImagingDocumentSet",
    ),
    "publish": (
        "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b",
        "urn:ihe:iti:2007:RegisterDocumentSet-b",
        "urn:ihe:iti:2010:RegisterOnDemandDocumentEntry",
    ),
    "update": ("urn:ihe:iti:2010:UpdateDocumentSet", "urn:ihe:iti:2018:RestrictedUpdateDocumentSet"),
    "delete": ("urn:ihe:iti:2010:DeleteDocumentSet", "urn:ihe:iti:2017:RemoveDocuments"),
}
READING = ("query", "retrieve", "retrieve-imaging")

_COMBINING = {
    kind: {
        **{f"{CORE}{kind}-combining-algorithm:{name}": name for name in ("deny-overrides", "permit-overrides")},
        f"{CORE}{kind}-combining-algorithm:first-applicable": "first-applicable",
        **{
            f"urn:oasis:names:tc:xacml:1.1:{kind}-combining-algorithm:ordered-{name}": name
            for name in ("deny-overrides", "permit-overrides")
        },
        f"urn:oasis:names:tc:xacml:3.0:{kind}-combining-algorithm:deny-overrides": "deny-overrides",
    }
    for kind in ("rule", "policy")
}
RULE_COMBINING, POLICY_COMBINING = _COMBINING["rule"], _COMBINING["policy"]
CONSENT_FORMATS = tuple(
    (code, "1.3.6.1.4.1.19376.1.2.3")
    for code in ("urn:ihe:iti:bppc:2007", "urn:ihe:iti:bppc-sd:2007", "urn:ihe:iti:appc:2016:consent")
)


@cache
def text(value: str) -> str:
    """What text is compared as: without `urn:oid:`, an action id as the name of its action."""
    value = value.removeprefix("urn:oid:")
    for name, ids in ACTIONS.items():
        if value in ids or value.removesuffix("Response") in ids:
            return name
    return value
