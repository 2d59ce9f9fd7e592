"""Names of the policy language: attributes, functions, combining algorithms and action ids.

XACML 2.0 core appendices A to C; APPC supplement 5.6 (attributes) and 43 (data types); SeR 3.79; the action ids are the
WS-Addressing actions of the transactions (ITI TF-2 appendix V, RAD TF-2).
"""

from __future__ import annotations

_XACML1 = "urn:oasis:names:tc:xacml:1.0:"
_XACML2 = "urn:oasis:names:tc:xacml:2.0:"
_XSPA = "urn:oasis:names:tc:xspa:1.0:subject:"
_APPC = "urn:ihe:iti:appc:2016:"
_SER = "urn:ihe:iti:ser:2016:"

# Data types
STRING = "http://www.w3.org/2001/XMLSchema#string"
ANY_URI = "http://www.w3.org/2001/XMLSchema#anyURI"
DATE = "http://www.w3.org/2001/XMLSchema#date"
DATE_TIME = "http://www.w3.org/2001/XMLSchema#dateTime"
BOOLEAN = "http://www.w3.org/2001/XMLSchema#boolean"
CV = "urn:hl7-org:v3#CV"
II = "urn:hl7-org:v3#II"
DATA_TYPES = frozenset({STRING, ANY_URI, DATE, DATE_TIME, BOOLEAN, CV, II})

# Who (and why): subject attributes
SUBJECT_ID = _XACML1 + "subject:subject-id"
SUBJECT_ID_QUALIFIER = _XACML1 + "subject:subject-id-qualifier"
SUBJECT_NAME = _XSPA + "subject-id"
ORGANIZATION = _XSPA + "organization"
ORGANIZATION_ID = _XSPA + "organization-id"
HOME_COMMUNITY_ID = "urn:ihe:iti:xca:2010:homeCommunityId"
NPI = _XSPA + "npi"
PROVIDER_IDENTIFIER = "urn:ihe:iti:xua:2017:subject:provider-identifier"
ROLE = _XACML2 + "subject:role"
PURPOSE_OF_USE = _XSPA + "purposeofuse"
SUBJECT_PATIENT = _XACML2 + "resource:resource-id"
"""the patient an identity assertion is for (XUA resource-id)"""
CONSENT_DOCUMENT = "urn:ihe:iti:bppc:2007:docid"
PRIVACY_POLICY = "urn:ihe:iti:xua:2012:acp"
EMERGENCY_REASON = "urn:xdsi:2026:subject:emergency-reason"
"""why the glass is broken, as the person wrote it; no profile has an attribute for it"""

# What: resource attributes
PATIENT_ID = _SER + "patient-id"
PATIENT_ID_CH = "urn:e-health-suisse:2015:epr-spid"
DOCUMENT_ID = _XACML1 + "resource:resource-id"
REPOSITORY_UNIQUE_ID = _SER + "document-entry:repository-unique-id"
REPOSITORY_UNIQUE_ID_2007 = "urn:ihe:iti:xds-b:2007:documententry:repository-unique-id"
RESOURCE_TYPE = _APPC + "resource-type"
RESOURCE_TYPE_PREFIX = _APPC
CLASS_CODE = _APPC + "document-entry:class-code"
TYPE_CODE = _APPC + "document-entry:type-code"
FORMAT_CODE = _APPC + "document-entry:format-code"
CONFIDENTIALITY_CODE = _APPC + "confidentiality-code"
CONFIDENTIALITY_CODE_ENTRY = _APPC + "document-entry:confidentiality-code"
CONFIDENTIALITY_CODE_CH = "urn:ihe:iti:xds-b:2007:confidentiality-code"
EVENT_CODE = _APPC + "document-entry:event-code"
HEALTHCARE_FACILITY_TYPE_CODE = _APPC + "document-entry:healthcare-facility-type-code"
PRACTICE_SETTING_CODE = _APPC + "document-entry:practice-setting-code"
CREATION_TIME = _APPC + "document-entry:creation-time"
SERVICE_START_TIME = _APPC + "document-entry:service-start-time"
SERVICE_STOP_TIME = _APPC + "document-entry:service-stop-time"
AUTHOR_INSTITUTION = _APPC + "author-institution:id"
AUTHOR_PERSON = _APPC + "author-person:id"
LEGAL_AUTHENTICATOR = _APPC + "document-entry:legal-authenticator:id"
REFERENCE_ID = _APPC + "document-entry:reference-id"
SOURCE_PATIENT_ID = _APPC + "document-entry:source-patient-id"
FOLDER_ID = _APPC + "document-entry:related-folder:id"
FOLDER_CODE = _APPC + "document-entry:related-folder:code"
FOLDER_OWN_CODE = _APPC + "folder:code"
AVAILABILITY_STATUS = _APPC + "availability-status"
COMMUNITY_ID = _APPC + "community-id"
SOURCE_SYSTEM_ID = _APPC + "source-system-id"

# Action and environment attributes
ACTION_ID = _XACML1 + "action:action-id"
ACTION_ID_SHORT = _XACML1 + "action-id"
CURRENT_DATE = _XACML1 + "environment:current-date"
CURRENT_DATE_TIME = _XACML1 + "environment:current-dateTime"

# The data types in which a policy may name each attribute: a policy with any other attribute or type is not understood
_TEXT = frozenset({STRING, ANY_URI})
_CODE, _IDENTIFIER, _EITHER, _TIME = frozenset({CV}), frozenset({II}), _TEXT | {II}, frozenset({DATE_TIME})
SUBJECT_TYPES: dict[str, frozenset[str]] = {
    SUBJECT_ID: _TEXT,
    SUBJECT_ID_QUALIFIER: _TEXT,
    SUBJECT_NAME: _TEXT,
    ORGANIZATION: _TEXT,
    ORGANIZATION_ID: _TEXT,
    HOME_COMMUNITY_ID: _TEXT,
    NPI: _EITHER,
    PROVIDER_IDENTIFIER: _IDENTIFIER,
    ROLE: _CODE,
    PURPOSE_OF_USE: _CODE,
    SUBJECT_PATIENT: _IDENTIFIER,
    CONSENT_DOCUMENT: _TEXT,
    PRIVACY_POLICY: _TEXT,
    EMERGENCY_REASON: _TEXT,
}
RESOURCE_TYPES: dict[str, frozenset[str]] = {
    PATIENT_ID: _IDENTIFIER,
    PATIENT_ID_CH: _IDENTIFIER,
    DOCUMENT_ID: _TEXT,
    REPOSITORY_UNIQUE_ID: _TEXT,
    REPOSITORY_UNIQUE_ID_2007: _TEXT,
    RESOURCE_TYPE: _TEXT,
    CLASS_CODE: _CODE,
    TYPE_CODE: _CODE,
    FORMAT_CODE: _CODE,
    CONFIDENTIALITY_CODE: _CODE,
    CONFIDENTIALITY_CODE_ENTRY: _CODE,
    CONFIDENTIALITY_CODE_CH: _CODE,
    EVENT_CODE: _CODE,
    HEALTHCARE_FACILITY_TYPE_CODE: _CODE,
    PRACTICE_SETTING_CODE: _CODE,
    CREATION_TIME: _TIME,
    SERVICE_START_TIME: _TIME,
    SERVICE_STOP_TIME: _TIME,
    AUTHOR_INSTITUTION: _EITHER,
    AUTHOR_PERSON: _EITHER,
    LEGAL_AUTHENTICATOR: _EITHER,
    REFERENCE_ID: _IDENTIFIER,
    SOURCE_PATIENT_ID: _IDENTIFIER,
    FOLDER_ID: _TEXT,
    FOLDER_CODE: _CODE,
    FOLDER_OWN_CODE: _CODE,
    AVAILABILITY_STATUS: _TEXT,
    COMMUNITY_ID: _TEXT,
    SOURCE_SYSTEM_ID: _EITHER,
}
ACTION_TYPES: dict[str, frozenset[str]] = {ACTION_ID: _TEXT, ACTION_ID_SHORT: _TEXT}
ENVIRONMENT_TYPES: dict[str, frozenset[str]] = {CURRENT_DATE: frozenset({DATE}), CURRENT_DATE_TIME: _TIME}

# Action ids by what they do; a final "Response" is dropped before looking up
ACTION_NAMES: dict[str, tuple[str, ...]] = {
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

# Equality functions and the data types they compare
STRING_EQUAL = _XACML1 + "function:string-equal"
ANY_URI_EQUAL = _XACML1 + "function:anyURI-equal"
BOOLEAN_EQUAL = _XACML1 + "function:boolean-equal"
CV_EQUAL = "urn:hl7-org:v3:function:CV-equal"
II_EQUAL = "urn:hl7-org:v3:function:II-equal"
DATE_EQUAL = _XACML1 + "function:date-equal"
DATE_TIME_EQUAL = _XACML1 + "function:dateTime-equal"
EQUALITIES: dict[str, str] = {
    STRING_EQUAL: STRING,
    ANY_URI_EQUAL: ANY_URI,
    CV_EQUAL: CV,
    II_EQUAL: II,
    BOOLEAN_EQUAL: BOOLEAN,
}

# Comparisons of points in time: function -> (data type, operator)
COMPARISONS: dict[str, tuple[str, str]] = {
    f"{_XACML1}function:{kind}-{name}": (data_type, operator)
    for kind, data_type in (("date", DATE), ("dateTime", DATE_TIME))
    for name, operator in (
        ("equal", "=="),
        ("less-than", "<"),
        ("less-than-or-equal", "<="),
        ("greater-than", ">"),
        ("greater-than-or-equal", ">="),
    )
}
DATE_LESS_OR_EQUAL = _XACML1 + "function:date-less-than-or-equal"
DATE_GREATER_OR_EQUAL = _XACML1 + "function:date-greater-than-or-equal"
DATE_LESS = _XACML1 + "function:date-less-than"
DATE_GREATER = _XACML1 + "function:date-greater-than"
DATE_TIME_LESS_OR_EQUAL = _XACML1 + "function:dateTime-less-than-or-equal"
DATE_TIME_GREATER_OR_EQUAL = _XACML1 + "function:dateTime-greater-than-or-equal"
DATE_TIME_LESS = _XACML1 + "function:dateTime-less-than"
DATE_TIME_GREATER = _XACML1 + "function:dateTime-greater-than"

# Logic and bags (conditions only)
AND = _XACML1 + "function:and"
OR = _XACML1 + "function:or"
NOT = _XACML1 + "function:not"
_BAG_PREFIX = {
    "string": _XACML1,
    "anyURI": _XACML1,
    "boolean": _XACML1,
    "date": _XACML1,
    "dateTime": _XACML1,
    "CV": "urn:hl7-org:v3:",
    "II": "urn:hl7-org:v3:",
}
_TYPE = {"string": STRING, "anyURI": ANY_URI, "boolean": BOOLEAN, "date": DATE, "dateTime": DATE_TIME}
_TYPE |= {"CV": CV, "II": II}
ONE_AND_ONLY: dict[str, str] = {f"{p}function:{n}-one-and-only": _TYPE[n] for n, p in _BAG_PREFIX.items()}
BAG: dict[str, str] = {f"{p}function:{n}-bag": _TYPE[n] for n, p in _BAG_PREFIX.items()}
IS_IN: dict[str, str] = {f"{p}function:{n}-is-in": _TYPE[n] for n, p in _BAG_PREFIX.items()}

# Combining algorithms, by what they do
_RULE = "rule-combining-algorithm:"
_POLICY = "policy-combining-algorithm:"
RULE_DENY_OVERRIDES = _XACML1 + _RULE + "deny-overrides"
POLICY_DENY_OVERRIDES = _XACML1 + _POLICY + "deny-overrides"
RULE_ALGORITHMS: dict[str, str] = {
    RULE_DENY_OVERRIDES: "deny-overrides",
    "urn:oasis:names:tc:xacml:1.1:" + _RULE + "ordered-deny-overrides": "deny-overrides",
    "urn:oasis:names:tc:xacml:3.0:" + _RULE + "deny-overrides": "deny-overrides",
    _XACML1 + _RULE + "permit-overrides": "permit-overrides",
    "urn:oasis:names:tc:xacml:1.1:" + _RULE + "ordered-permit-overrides": "permit-overrides",
    _XACML1 + _RULE + "first-applicable": "first-applicable",
}
POLICY_ALGORITHMS: dict[str, str] = {
    POLICY_DENY_OVERRIDES: "deny-overrides",
    "urn:oasis:names:tc:xacml:1.1:" + _POLICY + "ordered-deny-overrides": "deny-overrides",
    "urn:oasis:names:tc:xacml:3.0:" + _POLICY + "deny-overrides": "deny-overrides",
    _XACML1 + _POLICY + "permit-overrides": "permit-overrides",
    "urn:oasis:names:tc:xacml:1.1:" + _POLICY + "ordered-permit-overrides": "permit-overrides",
    _XACML1 + _POLICY + "first-applicable": "first-applicable",
}

# XACML in SAML, version 2 of the profile (older samples print the namespaces XACML_SAML_PROTOCOL, XACML_SAML_ASSERTION)
PROTOCOL_V2 = "urn:oasis:names:tc:xacml:2.0:profile:saml2.0:v2:schema:protocol"
ASSERTION_V2 = "urn:oasis:names:tc:xacml:2.0:profile:saml2.0:v2:schema:assertion"
CODED_URI = "urn:ihe:iti:2014:ser:"
"""begins a coded value written as a URI: codeSystem, codeSystemName, code, displayName (SeR 3.79)"""

# Consent documents in metadata (ITI TF-3 5.1.2, APPC 5.6)
FORMAT_SCHEME = "1.3.6.1.4.1.19376.1.2.3"
BPPC_FORMAT = "urn:ihe:iti:bppc:2007"
BPPC_SCAN_FORMAT = "urn:ihe:iti:bppc-sd:2007"
APPC_FORMAT = "urn:ihe:iti:appc:2016:consent"
CONSENT_FORMATS = frozenset({BPPC_FORMAT, BPPC_SCAN_FORMAT, APPC_FORMAT})
SIGNATURE_FORMATS = frozenset({"urn:ihe:iti:dsg:detached:2014", "urn:ihe:iti:dsg:enveloping:2014"})

# Purposes of use that mean an emergency: (code, scheme)
EMERGENCY_PURPOSES = frozenset(
    {
        ("ETREAT", "2.16.840.1.113883.5.8"),
        ("BTG", "2.16.840.1.113883.5.8"),
        ("EMERGENCY", "2.16.840.1.113883.3.18.7.1"),
        ("EMER", "2.16.756.5.30.1.127.3.10.5"),
    }
)
