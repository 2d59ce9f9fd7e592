"""What is audited for each transaction and for each security event: one table each.

Sources: DICOM PS3.15 A.5 and PS3.16 CID 400-403 (codes); the "Security Audit Considerations" of each transaction,
ITI TF-2 3.8.5 to 3.92.5; for RAD-55, -69, -75, -107, whose clauses name only the event, the practice of fielded actors.
"""

from __future__ import annotations

from typing import NamedTuple

from xdsi.spec import uuids

DCM = "DCM"
RFC_3881 = "RFC-3881"
IHE_TRANSACTIONS = "IHE Transactions"
IHE_METADATA = "IHE XDS Metadata"


class Term(NamedTuple):
    """A coded value: csd-code, codeSystemName, originalText."""

    code: str
    system: str
    text: str


# EventID
APPLICATION_ACTIVITY = Term("110100", DCM, "Application Activity")
AUDIT_LOG_USED = Term("110101", DCM, "Audit Log Used")
INSTANCES_ACCESSED = Term("110103", DCM, "DICOM Instances Accessed")
INSTANCES_TRANSFERRED = Term("110104", DCM, "DICOM Instances Transferred")
EXPORT = Term("110106", DCM, "Export")
IMPORT = Term("110107", DCM, "Import")
PATIENT_RECORD = Term("110110", DCM, "Patient Record")
QUERY = Term("110112", DCM, "Query")
SECURITY_ALERT = Term("110113", DCM, "Security Alert")

# EventTypeCode of events that are no transaction
APPLICATION_START = Term("110120", DCM, "Application Start")
APPLICATION_STOP = Term("110121", DCM, "Application Stop")
NODE_AUTHENTICATION = Term("110126", DCM, "Node Authentication")
EMERGENCY_OVERRIDE = Term("110127", DCM, "Emergency Override Started")
RESTRICTED_FUNCTION = Term("110132", DCM, "Use of Restricted Function")
OBJECT_SECURITY = Term("110135", DCM, "Object Security Attributes Changed")
SECURITY_CONFIGURATION = Term("110129", DCM, "Security Configuration")
RECORDING_STOPPED = Term("110133", DCM, "Audit Recording Stopped")
RECORDING_STARTED = Term("110134", DCM, "Audit Recording Started")
# DICOM has no code for it.
DOCUMENT_INTEGRITY = Term("document-integrity", "urn:xdsi:audit", "Document Integrity Lost")
ENCRYPTION_KEY = Term("encryption-key", "urn:xdsi:audit", "Encryption Key Missing")
AUTHENTICATION_DECISION = Term("110143", DCM, "Authentication Decision")
AUTHORIZATION_DECISION = Term("110144", DCM, "Authorization Decision")

# RoleIDCode
APPLICATION = Term("110150", DCM, "Application")
LAUNCHER = Term("110151", DCM, "Application Launcher")
DESTINATION = Term("110152", DCM, "Destination Role ID")
SOURCE = Term("110153", DCM, "Source Role ID")

# ParticipantObjectIDTypeCode
PATIENT_NUMBER = Term("2", RFC_3881, "Patient Number")
REPORT_NUMBER = Term("9", RFC_3881, "Report Number")
USER_IDENTIFIER = Term("11", RFC_3881, "User Identifier")
URI = Term("12", RFC_3881, "URI")
STUDY_INSTANCE_UID = Term("110180", DCM, "Study Instance UID")
NODE_ID = Term("110182", DCM, "Node ID")
SUBMISSION_SET = Term(uuids.SUBMISSION_SET, IHE_METADATA, "submission set classificationNode")

# AuditSourceTypeCode, DICOM PS3.15 table A.5.1
SOURCE_TYPES: dict[str, Term] = {
    code: Term(code, DCM, text)
    for code, text in (
        ("1", "End-user display device, diagnostic device"),
        ("2", "Data acquisition device or instrument"),
        ("3", "Web Server Process or Thread"),
        ("4", "Application Server Process or Thread"),
        ("5", "Database Server Process or Thread"),
        ("6", "Security server"),
        ("7", "ISO level 1-3 network component"),
        ("8", "ISO level 4-6 operating software"),
        ("9", "Other"),
    )
}

# Types of ParticipantObjectDetail; the spellings differ between transactions on purpose
QUERY_ENCODING = "QueryEncoding"
HOME_COMMUNITY_XCA = "urn:ihe:iti:xca:2010:homeCommunityId"
HOME_COMMUNITY_IHE = "ihe:homeCommunityID"
REPOSITORY = "Repository Unique ID"
REPOSITORY_RAD = "Repository Unique Id"
REPOSITORY_RMD = "urn:ihe:iti:xds:2007:repositoryUniqueId"
SERIES = "Series Instance Unique Id"
DOCUMENT_UNIQUE_ID = "ihe:DocumentUniqueId"
ALERT_DESCRIPTION = "Alert Description"


class Kind:
    """Kinds of participant object that a transaction's message carries."""

    PATIENT = "patient"
    QUERY = "query"
    SUBMISSION_SET = "submission set"
    DOCUMENT = "document"
    STUDY = "study"
    REGISTRY_OBJECT = "registry object"
    DECISION = "decision"


class Report(NamedTuple):
    """What one side reports: event, EventActionCode (empty where the request decides)."""

    event: Term
    action: str


class AuditedTransaction(NamedTuple):
    """One transaction. `source` says which end has the role Source (110153): the requester or the responder."""

    number: str
    name: str
    client: Report
    server: Report
    objects: tuple[str, ...]
    source: str = "requester"
    message_detail: str = ""
    """the type of the patient object's Detail that names the message"""
    home_detail: str = HOME_COMMUNITY_XCA
    repository_detail: str = REPOSITORY
    life_cycle: str = ""
    """of the documents or objects concerned"""

    @property
    def type(self) -> Term:
        """EventTypeCode."""
        return Term(self.number, IHE_TRANSACTIONS, self.name)


def _query(number: str, name: str, *, action: str = "E", message: str = "", home: str = "") -> AuditedTransaction:
    report = Report(QUERY, action)
    objects = (Kind.PATIENT, Kind.QUERY)
    return AuditedTransaction(
        number, name, report, report, objects, message_detail=message, home_detail=home or HOME_COMMUNITY_XCA
    )


def _provide(number: str, name: str, *objects: str, action: str = "") -> AuditedTransaction:
    client, server = Report(EXPORT, action or "R"), Report(IMPORT, action or "C")
    return AuditedTransaction(number, name, client, server, (Kind.PATIENT, *objects))


def _retrieve(number: str, name: str) -> AuditedTransaction:
    return AuditedTransaction(
        number, name, Report(IMPORT, "C"), Report(EXPORT, "R"), (Kind.PATIENT, Kind.DOCUMENT),
        source="responder", home_detail=HOME_COMMUNITY_IHE,
    )  # fmt: skip


def _images(number: str, name: str, action: str, home: str = HOME_COMMUNITY_IHE) -> AuditedTransaction:
    return AuditedTransaction(
        number, name, Report(INSTANCES_ACCESSED, action), Report(INSTANCES_TRANSFERRED, "R"),
        (Kind.PATIENT, Kind.STUDY), home_detail=home, repository_detail=REPOSITORY_RAD,
    )  # fmt: skip


def _patient(number: str, name: str, message: str) -> AuditedTransaction:
    report = Report(PATIENT_RECORD, "")
    return AuditedTransaction(number, name, report, report, (Kind.PATIENT,), message_detail=message)


def _remove(number: str, name: str, kind: str, repository: str = REPOSITORY) -> AuditedTransaction:
    report = Report(PATIENT_RECORD, "D")
    return AuditedTransaction(
        number, name, report, report, (Kind.PATIENT, kind), repository_detail=repository, life_cycle="15"
    )


TRANSACTIONS: dict[str, AuditedTransaction] = {
    row.number: row
    for row in (
        _patient("ITI-8", "Patient Identity Feed", "MSH-10"),
        _query("ITI-9", "PIX Query", message="MSH-10"),
        _query("ITI-18", "Registry Stored Query"),
        _query("ITI-21", "Patient Demographics Query", message="MSH-10"),
        _query("ITI-38", "Cross Gateway Query"),
        _retrieve("ITI-39", "Cross Gateway Retrieve"),
        _provide("ITI-41", "Provide and Register Document Set-b", Kind.SUBMISSION_SET),
        _provide("ITI-42", "Register Document Set-b", Kind.SUBMISSION_SET),
        _retrieve("ITI-43", "Retrieve Document Set"),
        _patient("ITI-44", "Patient Identity Feed", "II"),
        _query("ITI-45", "PIX Query", message="II"),
        _query("ITI-47", "Patient Demographics Query", message="II"),
        _query("ITI-51", "Multi-Patient Stored Query"),
        _query("ITI-52", "Document Metadata Subscribe", action=""),
        _provide("ITI-53", "Document Metadata Notify", Kind.REGISTRY_OBJECT),
        _provide("ITI-54", "Document Metadata Publish", Kind.REGISTRY_OBJECT),
        _query("ITI-55", "Cross Gateway Patient Discovery", home=HOME_COMMUNITY_IHE),
        _provide("ITI-57", "Update Document Set", Kind.SUBMISSION_SET, action="U"),
        _provide("ITI-61", "Register On-Demand Document Entry", Kind.SUBMISSION_SET),
        _remove("ITI-62", "Remove Metadata", Kind.REGISTRY_OBJECT),
        _provide("ITI-65", "Provide Document Bundle", Kind.SUBMISSION_SET),
        _query("ITI-66", "Find Document Lists"),
        _query("ITI-67", "Find Document References"),
        _retrieve("ITI-68", "Retrieve Document"),
        AuditedTransaction(
            "ITI-79", "Authorization Decisions Query", Report(QUERY, "E"), Report(QUERY, "E"),
            (Kind.PATIENT, Kind.QUERY, Kind.DECISION),
        ),
        # Reading the trail is what is audited, not each record that arrives (ITI-20 itself).
        AuditedTransaction(
            "ITI-81", "Retrieve ATNA AuditEvent", Report(AUDIT_LOG_USED, "R"), Report(AUDIT_LOG_USED, "R"),
            (Kind.PATIENT,),
        ),
        _remove("ITI-86", "Remove Documents", Kind.DOCUMENT, REPOSITORY_RMD),
        _provide("ITI-92", "Restricted Update Document Set", Kind.SUBMISSION_SET, action="U"),
        _images("RAD-16", "Retrieve Images", "R"),
        _images("RAD-55", "WADO Retrieve", "R"),
        # Not a retrieval: who sends images to be imported reports that he transferred them (PS3.15 A.5.3).
        AuditedTransaction(
            "RAD-61", "Imported Objects Stored", Report(INSTANCES_TRANSFERRED, "R"), Report(INSTANCES_TRANSFERRED, "C"),
            (Kind.PATIENT, Kind.STUDY), repository_detail=REPOSITORY_RAD,
        ),
        _provide("RAD-68", "Provide and Register Imaging Document Set - MTOM/XOP", Kind.SUBMISSION_SET),
        _images("RAD-69", "Retrieve Imaging Document Set", "C"),
        _images("RAD-75", "Cross Gateway Retrieve Imaging Document Set", "C", HOME_COMMUNITY_XCA),
        _images("RAD-107", "WADO-RS Retrieve", "R"),
        _query("RAD-129", "QIDO-RS Query"),
    )
}  # fmt: skip

# Record Audit Event: a record about each record would never end.
NOT_AUDITED = frozenset({"ITI-20"})


class SystemEvent(NamedTuple):
    """An event that is no transaction: event, type, action, EventOutcomeIndicator."""

    event: Term
    type: Term
    action: str
    outcome: int


START = SystemEvent(APPLICATION_ACTIVITY, APPLICATION_START, "E", 0)
STOP = SystemEvent(APPLICATION_ACTIVITY, APPLICATION_STOP, "E", 0)
NODE_REFUSED = SystemEvent(SECURITY_ALERT, NODE_AUTHENTICATION, "E", 8)
TOKEN_REFUSED = SystemEvent(SECURITY_ALERT, AUTHENTICATION_DECISION, "E", 8)
CONSENT_DENIED = SystemEvent(SECURITY_ALERT, AUTHORIZATION_DECISION, "E", 4)
BREAK_GLASS = SystemEvent(SECURITY_ALERT, EMERGENCY_OVERRIDE, "E", 0)
BACKUP = SystemEvent(SECURITY_ALERT, RESTRICTED_FUNCTION, "E", 0)
HOLD_CHANGED = SystemEvent(SECURITY_ALERT, OBJECT_SECURITY, "E", 0)
CONFIGURATION_CHANGED = SystemEvent(SECURITY_ALERT, SECURITY_CONFIGURATION, "E", 0)
AUDIT_STOPPED = SystemEvent(SECURITY_ALERT, RECORDING_STOPPED, "E", 8)
KEY_MISSING = SystemEvent(SECURITY_ALERT, ENCRYPTION_KEY, "E", 8)
DOCUMENT_LOST = SystemEvent(SECURITY_ALERT, DOCUMENT_INTEGRITY, "E", 8)
AUDIT_STARTED = SystemEvent(SECURITY_ALERT, RECORDING_STARTED, "E", 0)

# ITI TF-2 3.53.5, 3.62.5: ParticipantObjectIDTypeCode by kind of object; an Association has its own type URN
OBJECT_KINDS: dict[str, Term] = {
    "DocumentEntry": Term(uuids.STABLE, IHE_METADATA, "document entry object type"),
    "OnDemandDocumentEntry": Term(uuids.ON_DEMAND, IHE_METADATA, "on-demand document entry object type"),
    "SubmissionSet": Term(uuids.SUBMISSION_SET, IHE_METADATA, "submission set classification node"),
    "Folder": Term(uuids.FOLDER, IHE_METADATA, "folder classification node"),
    "": Term("urn:ihe:iti:2017:ObjectRef", IHE_METADATA, "registry object reference"),
}
