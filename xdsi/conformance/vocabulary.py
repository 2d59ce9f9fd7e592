"""The words of cases: actors and where they answer, features, and the answers that transactions know."""

from __future__ import annotations

from collections.abc import Mapping

PATHS: Mapping[str, str] = {
    "registry": "/services/registry",
    "repository": "/services/repository",
    "imaging-source": "/services/imaging-source",
    "wado-rs": "/dicom-web",
    "wado-uri": "/wado",
    "identity": "/services/identity",
    "authorization": "/services/authorization",
}
"""where actors answer if nothing else is said; the imaging source answers in three forms"""
FEATURES: Mapping[str, str] = {
    "explains": "errors name the attribute or parameter that is wrong in their codeContext",
    "identity": "ITI-44 is served",
    "images": "the files of dicom/ are loaded in the imaging source",
    "nodes": "certificates stand for nodes, and that of --tls-cert for none that may submit, feed or ask for decisions",
    "moves": "the files of dicom/ are sent by C-MOVE to the runner's entity, which the imaging source knows (--dimse)",
    "open": "no assertion is asked for, and a security header is ignored",
    "reference-id": "the Reference ID option",
    "removal": "ITI-86 is served, and whoever sends the messages may remove documents",
    "permits": "documents without a consent may be read, and nothing but consents and the policy speaks against it",
    "published": "the manifest of published_study of dicom/ is published, and may be read with its images",
    "repeats": "a message that is sent again, with the same MessageID and body, gets the answer of the first",
    "tokens": "access tokens (IUA) of the same issuer are taken where an assertion would be",
    "secured": "an identity assertion is asked for, and the runner can make such (--pki, or --issuer-key)",
    "strict-patients": "only patients that a feed announced are accepted",
    "trace": "every answer carries the header Xdsi-Trace, and faults end with it",
    "wado-served": "WADO-RS and WADO-URI answer, be it that they ask who is there",
    "wado": "the files of dicom/ are given out by WADO-RS and WADO-URI, too",
}
STATUSES: Mapping[str, str] = {
    "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success": "Success",
    "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure": "Failure",
    "urn:ihe:iti:2007:ResponseStatusType:PartialSuccess": "PartialSuccess",
}
"""of a RegistryResponse, as cases write them (ITI TF-3 4.2.4.2)"""
FAULTS = frozenset({"DataEncodingUnknown", "MustUnderstand", "Receiver", "Sender", "VersionMismatch"})
"""codes of SOAP 1.2 Part 1 section 5.4.6"""
ACKNOWLEDGEMENTS = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})
"""AcknowledgementType of HL7 v3, of which HL7 v2 has the first three"""
PACKAGINGS = ("mtom", "simple")
WRAPPINGS = ("advice", "beside")
"""where the genuine assertion lies"""
FORMS = ("jwt", "saml")
"""of what a GET shows"""
VERBS = ("echo", "move")
"""of DIMSE"""
LEVELS = ("", "PATIENT", "STUDY", "SERIES", "IMAGE")
KEYS = frozenset({"PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"})
"""of the identifier of a C-MOVE (PS3.4 C.6)"""
SCOPES = ("profile", "ruling")
CHANGES = frozenset({"remove", "set", "append", "before"})
