"""Every kind of file that the validators know: right samples, and of each single fault its line, its place, its clause.

The samples have an element a line, so that a line can be wrong; the line that is expected is that on which a text of
the table stands, not one that the validators counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests import message_samples as samples
from tests.imaging import fhir_manifest, mado_manifest, manifest
from tests.validation.faults import Change, having, swap, twice, without
from tests.validation.test_manifests import bundle, changed, resource, series
from xdsi.domain.findings import Level
from xdsi.validation import VALIDATORS, validate

LEAST = 5
"""single faults of each kind"""


@dataclass(frozen=True)
class Fault:
    """A sample with one fault, and what is to be said of it."""

    kind: str
    raw: bytes
    rule: str
    place: str
    clause: str
    on: str = ""
    """text of the line on which it stands, the first of several; empty where the file has no lines"""


def faulty(kind: str, raw: bytes, change: Change, rule: str, place: str, clause: str, on: str = "") -> Fault:
    return Fault(kind, change(raw), rule, place, clause, on)


def lines(raw: bytes) -> bytes:
    """A signature with each element on a line of its own, which its own values do not survive but its form does."""
    return raw.replace(b"><", b">\n<")


def of_json(change: Callable[[dict[str, Any]], Any]) -> Change:
    return lambda _: bundle(change)


def of_dicom(change: Callable[[Any], Any]) -> Change:
    return lambda raw: changed(raw, change)


SOAP = samples.pretty(samples.envelope("ITI-42", samples.submitted()))
MTOM = samples.mtom()
SUBMISSION = samples.pretty(samples.submitted())
BPPC = samples.pretty(samples.bppc_consent())
APPC = samples.pretty(samples.appc_consent())
FEED = samples.pretty(samples.interaction())
AUDIT = samples.pretty(samples.audit_message())
SIGNATURE = lines(samples.signature())
ASSERTION = samples.assertion()
REPORT = samples.REPORT
KOS, MADO, FHIR = manifest(), mado_manifest(), fhir_manifest()

RIGHT = {
    "soap": (SOAP, MTOM, samples.mtom(head=False)),
    "ebrim": (SUBMISSION, samples.QUERY, samples.RETRIEVE),
    "kos": (KOS,),
    "mado": (MADO,),
    "fhir": (FHIR,),
    "saml": (ASSERTION,),
    "bppc": (BPPC,),
    "appc": (APPC,),
    "signature": (samples.signature(),),
    "audit": (AUDIT, samples.audit_syslog()),
    "hl7v2": (samples.adt(), samples.adt("A40"), samples.ORDER, REPORT),
    "hl7v3": (FEED, samples.interaction_acknowledgement()),
}

ENTRY = "//rim:ExtrinsicObject"
PLACE = "/Envelope/Body/SubmitObjectsRequest/RegistryObjectList/ExtrinsicObject"
MATCH = "//*[local-name()='ResourceMatch']"
INFO = "/Signature/SignedInfo"
DSG = "ITI TF-3 5.5.2; XML Signature 1.1"
XACML = "APPC 5.6; XACML 2.0 core 5"
HL7 = "ITI TF-2 3.44.4.1.2; HL7 V3 2008"
PRPA = "/PRPA_IN201301UV02"
ITI43 = "security audit considerations of ITI-43; ITI TF-2 3.20.7"
EVENT = "/ClinicalDocument/documentationOf/serviceEvent"

FAULTS: dict[str, Fault] = {
    "soap: no action": faulty(
        "soap", SOAP, without("//wsa:Action"), "SOAP.wsa.Action", "/Envelope/Header",
        "ITI TF-2 V.3.2.2; WS-Addressing 1.0 core 3", ":Header>",
    ),
    "soap: an action of nobody": faulty(
        "soap", SOAP, having("//wsa:Action", "urn:x"), "?SOAP.wsa.Action", "/Envelope/Header/Action",
        "ITI TF-2 V.3.2.2", "urn:x",
    ),
    "soap: a hash of nothing": faulty(
        "soap", SOAP, having(f"{ENTRY}/rim:Slot[@name='hash']//rim:Value", "zz"), "DE.hash.format", f"{PLACE}/Slot[2]",
        "ITI TF-3 4.2.3.2", '"hash"',
    ),
    "soap: no class": faulty(
        "soap", SOAP, without(f"{ENTRY}/rim:Classification[2]"), "DE.classCode.required", PLACE, "ITI TF-3 4.3.1",
        "<rim:ExtrinsicObject",
    ),
    "soap: MTOM, a part that is not there": faulty(
        "soap", MTOM, swap("cid:", "cid:x"), "MTOM.parts",
        "/Envelope/Body/ProvideAndRegisterDocumentSetRequest/Document", "ITI TF-2 V.8; XOP 1.0", "Envelope",
    ),
    "soap: MTOM, an action of nobody": faulty(
        "soap", MTOM, swap(">urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b<", ">urn:x<"), "?SOAP.wsa.Action",
        "/Envelope/Header/Action", "ITI TF-2 V.3.2.2", ">urn:x<",
    ),
    "ebrim: a time that is none": faulty(
        "ebrim", SUBMISSION, having(f"{ENTRY}/rim:Slot[@name='creationTime']//rim:Value", "2024-01-01"),
        "DE.creationTime.format", PLACE.removeprefix("/Envelope/Body") + "/Slot[1]", "ITI TF-3 4.2.3.2",
        '"creationTime"',
    ),
    "ebrim: a slot twice": faulty(
        "ebrim", SUBMISSION, twice(f"{ENTRY}/rim:Slot[@name='size']"), "DE.slot.twice",
        PLACE.removeprefix("/Envelope/Body") + "/Slot[9]", "ebRIM 3.0 2.6", "",
    ),
    "ebrim: a media type of nothing": faulty(
        "ebrim", SUBMISSION, having(f"{ENTRY}/@mimeType", "text"), "DE.mimeType.format",
        PLACE.removeprefix("/Envelope/Body") + "/@mimeType", "ITI TF-3 4.2.3.2", 'mimeType="text"',
    ),
    "ebrim: an entry that nobody links": faulty(
        "ebrim", SUBMISSION, without("//rim:Association"), "DE.linked", PLACE.removeprefix("/Envelope/Body"),
        "ITI TF-3 4.1.4.1", "<rim:ExtrinsicObject",
    ),
    "ebrim: a query without a status": faulty(
        "ebrim", samples.pretty(samples.QUERY), without("//rim:Slot[@name='$XDSDocumentEntryStatus']"),
        "QUERY.required", "/AdhocQueryRequest/AdhocQuery", "ITI TF-2 3.18.4.1.2.3.7", "AdhocQuery id",
    ),
    "kos: no patient": faulty(
        "kos", KOS, of_dicom(lambda one: one.pop("PatientID")), "KOS.PatientID", "(0010,0020)", "PS3.3 C.7.1.1",
    ),
    "kos: no study date": faulty(
        "kos", KOS, of_dicom(lambda one: one.pop("StudyDate")), "KOS.StudyDate", "(0008,0020)", "PS3.3 C.7.2.1",
    ),
    "kos: no accession number": faulty(
        "kos", KOS, of_dicom(lambda one: one.pop("AccessionNumber")), "KOS.AccessionNumber", "(0008,0050)",
        "PS3.3 C.7.2.1",
    ),
    "kos: no sex": faulty(
        "kos", KOS, of_dicom(lambda one: one.pop("PatientSex")), "KOS.PatientSex", "(0010,0040)", "PS3.3 C.7.1.1",
    ),
    "kos: no instance": faulty(
        "kos", KOS, of_dicom(lambda one: one.pop("SOPInstanceUID")), "KOS.SOPInstanceUID", "(0008,0018)",
        "PS3.3 C.12.1",
    ),
    "mado: no issuer of the patient": faulty(
        "mado", MADO, of_dicom(lambda one: one.pop("IssuerOfPatientID")), "MADO.IssuerOfPatientID", "(0010,0021)",
        "IHE RAD MADO 6.X.2 (Patient Module)",
    ),
    "mado: no institution": faulty(
        "mado", MADO, of_dicom(lambda one: one.pop("InstitutionName")), "MADO.InstitutionName", "(0008,0080)",
        "IHE RAD MADO 6.X.2 (attributes of the manifest)",
    ),
    "mado: no time zone": faulty(
        "mado", MADO, of_dicom(lambda one: one.pop("TimezoneOffsetFromUTC")), "MADO.TimezoneOffsetFromUTC",
        "(0008,0201)", "IHE RAD MADO 6.X.2 (attributes of the manifest)",
    ),
    "mado: an empty study date": faulty(
        "mado", MADO, of_dicom(lambda one: setattr(one, "StudyDate", "")), "MADO.StudyDate", "(0008,0020)",
        "IHE RAD MADO 6.X.2 (General Study Module)",
    ),
    "mado: no order": faulty(
        "mado", MADO, of_dicom(lambda one: one.pop("ReferencedRequestSequence")), "MADO.ReferencedRequestSequence",
        "(0040,A370)", "IHE RAD MADO 6.X.2.8.1 (Referenced Request Macro)",
    ),
    "fhir: no identifier": faulty(
        "fhir", FHIR, of_json(lambda one: one.pop("identifier")), "FHIR.Bundle.identifier", "Bundle.identifier",
        "MadoFhirBundle",
    ),
    "fhir: a collection": faulty(
        "fhir", FHIR, of_json(lambda one: one.update(type="collection")), "FHIR.Bundle.type", "Bundle.type",
        "MadoFhirBundle",
    ),
    "fhir: an entry without address": faulty(
        "fhir", FHIR, of_json(lambda one: one["entry"][0].pop("fullUrl")), "FHIR.Bundle.entry.fullUrl",
        "Bundle.entry[0].fullUrl", "FHIR R4 3.2 (bdl-7)",
    ),
    "fhir: no title": faulty(
        "fhir", FHIR, of_json(lambda one: resource(one, "Composition").pop("title")), "FHIR.Composition.title",
        "Bundle.entry[0].resource.title", "MadoComposition",
    ),
    "fhir: no series UID": faulty(
        "fhir", FHIR, of_json(lambda one: series(one).pop("uid")), "FHIR.ImagingStudy.series.uid",
        "Bundle.entry[1].resource.series[0].uid", "MadoImagingStudy",
    ),
    "saml: no name": Fault(
        "saml", samples.altered_assertion(lambda one: one.find("{*}Subject").remove(one.find("{*}Subject/{*}NameID"))),
        "SAML.subject", "/Assertion/Subject", "ITI TF-2 3.40.4.1.2; SAML 2.0 core 2.4.1", "Subject",
    ),
    "saml: no audience": Fault(
        "saml", samples.altered_assertion(
            lambda one: one.find("{*}Conditions").remove(one.find("{*}Conditions/{*}AudienceRestriction"))),
        "SAML.audience", "/Assertion/Conditions", "ITI TF-2 3.40.4.1.2; SAML 2.0 core 2.5.1.4", "Conditions",
    ),
    "saml: no login": Fault(
        "saml", samples.altered_assertion(lambda one: one.remove(one.find("{*}AuthnStatement"))), "SAML.structure",
        "/Assertion", "ITI TF-2 3.40.4.1.2; SAML 2.0 core 2.3.3", "Issuer",
    ),
    "saml: altered": faulty(
        "saml", ASSERTION, swap(">Hospital A<", ">Hospital B<"), "SAML.signature.value", "/Assertion/Signature",
        "ITI TF-2 3.40.4.1.2; SAML 2.0 core 5.4", "Issuer",
    ),
    "saml: no begin": Fault(
        "saml", samples.altered_assertion(lambda one: one.find("{*}Conditions").attrib.pop("NotBefore")),
        "SAML.conditions", "/Assertion/Conditions", "ITI TF-2 3.40.4.1.2; SAML 2.0 core 2.5.1", "Conditions",
    ),
    "bppc: no custodian": faulty(
        "bppc", BPPC, without("//hl7:custodian"), "CDA.custodian", "/ClinicalDocument", "HL7 CDA R2 4.2",
        "<ClinicalDocument",
    ),
    "bppc: another code": faulty(
        "bppc", BPPC, having("/*/hl7:code/@code", "11488-4"), "BPPC.form", "/ClinicalDocument/code", "ITI TF-3 5.1.2",
        "11488-4",
    ),
    "bppc: no begin": faulty(
        "bppc", BPPC, without("//hl7:serviceEvent//hl7:low"), "BPPC.form", f"{EVENT}/effectiveTime",
        "ITI TF-3 5.1.2",
    ),
    "bppc: a policy without an id": faulty(
        "bppc", BPPC, without("//hl7:serviceEvent/hl7:id"), "BPPC.serviceEvent.id", EVENT, "ITI TF-3 5.1.2",
        "<serviceEvent",
    ),
    "bppc: a policy without a domain": faulty(
        "bppc", BPPC, without("//hl7:serviceEvent/hl7:code/@codeSystem"), "BPPC.serviceEvent.code", f"{EVENT}/code",
        "ITI TF-3 5.1.2", "2.999.50.1",
    ),
    "appc: no description": faulty(
        "appc", APPC, without("/*/*[local-name()='Description']"), "APPC.form", "/PolicySet", XACML, "<PolicySet",
    ),
    "appc: a combining that nobody knows": faulty(
        "appc", APPC, having("/*/@PolicyCombiningAlgId", "urn:x"), "APPC.form", "/PolicySet", XACML, "urn:x",
    ),
    "appc: a match that nobody knows": faulty(
        "appc", APPC, having(f"{MATCH}/@MatchId", "urn:x"), "APPC.form",
        "/PolicySet/Target/Resources/Resource/ResourceMatch", XACML, "urn:x",
    ),
    "appc: a rule without effect": faulty(
        "appc", APPC, without("//*[local-name()='Rule']/@Effect"), "APPC.form", "/PolicySet/Policy/Rule", XACML,
        'RuleId="r"',
    ),
    "appc: an effect of nothing": faulty(
        "appc", APPC, having("//*[local-name()='Rule']/@Effect", "Maybe"), "APPC.form", "/PolicySet/Policy/Rule", XACML,
        "Maybe",
    ),
    "appc: a policy without an id": faulty(
        "appc", APPC, without("//*[local-name()='Policy']/@PolicyId"), "APPC.form", "/PolicySet/Policy", XACML,
        "RuleCombiningAlgId",
    ),
    "signature: a method that is not accepted": faulty(
        "signature", SIGNATURE, having("//ds:SignatureMethod/@Algorithm", "urn:x"), "DSG.form",
        f"{INFO}/SignatureMethod", DSG, "urn:x",
    ),
    "signature: a canonical form that is not accepted": faulty(
        "signature", SIGNATURE, having("//ds:CanonicalizationMethod/@Algorithm", "urn:x"), "DSG.form",
        f"{INFO}/CanonicalizationMethod", DSG, "urn:x",
    ),
    "signature: a digest that is none": faulty(
        "signature", SIGNATURE, having("//ds:Reference[2]/ds:DigestValue", "!"), "DSG.form",
        f"{INFO}/Reference[2]/DigestValue", DSG, ">!<",
    ),
    "signature: a digest method that is not accepted": faulty(
        "signature", SIGNATURE, having("//ds:Reference[2]/ds:DigestMethod/@Algorithm", "urn:x"), "DSG.form",
        f"{INFO}/Reference[2]/DigestMethod", DSG, "urn:x",
    ),
    "signature: a value that is not base64": faulty(
        "signature", SIGNATURE, having("//ds:SignatureValue", "!"), "DSG.form", "/Signature/SignatureValue", DSG, ">!<",
    ),
    "signature: a reference to nothing": faulty(
        "signature", SIGNATURE, having("//ds:Reference[starts-with(@URI, '#')]/@URI", "#nothing"), "DSG.form",
        f"{INFO}/Reference[2] (#nothing)", DSG, "#nothing",
    ),
    "audit: another action": faulty(
        "audit", AUDIT, having("//@EventActionCode", "D"), "AUDIT.EventActionCode", "/AuditMessage/EventIdentification",
        ITI43, "EventActionCode",
    ),
    "audit: no code": faulty(
        "audit", AUDIT, without("//EventID/@csd-code"), "SCHEMA", "/AuditMessage/EventIdentification/EventID",
        "DICOM PS3.15 A.5.1", "<EventID",
    ),
    "audit: another event": faulty(
        "audit", AUDIT, having("//EventID/@csd-code", "110112"), "AUDIT.EventID",
        "/AuditMessage/EventIdentification/EventID", ITI43, "<EventID",
    ),
    "audit: a time that is none": faulty(
        "audit", AUDIT, having("//@EventDateTime", "yesterday"), "SCHEMA",
        "/AuditMessage/EventIdentification/@EventDateTime", "DICOM PS3.15 A.5.1", "yesterday",
    ),
    "audit: no destination": faulty(
        "audit", AUDIT, without("//ActiveParticipant[RoleIDCode/@csd-code='110152']/RoleIDCode"),
        "AUDIT.participant.110152", "/AuditMessage", ITI43, "<AuditMessage",
    ),
    "hl7v2: no control id": faulty(
        "hl7v2", REPORT, swap("|7|P|", "||P|"), "HL7.MSH-10", "MSH-10", "HL7 v2 chapter 2, 2.24.1 (MSH)", "MSH|",
    ),
    "hl7v2: no patient": faulty(
        "hl7v2", samples.adt(), swap("P1^^^&2.999.1.1&ISO", ""), "HL7.PID-3", "PID-3", "ITI TF-2 3.8.4.1.2", "PID|",
    ),
    "hl7v2: a sex of nothing": faulty(
        "hl7v2", samples.adt(), swap("|F", "|Q"), "HL7.PID-8", "PID-8", "ITI TF-2 3.8.4.1.2", "PID|",
    ),
    "hl7v2: merged into nobody": faulty(
        "hl7v2", samples.adt("A40"), swap("MRG|P0^^^&2.999.1.1&ISO", "MRG|"), "HL7.MRG-1", "MRG-1",
        "ITI TF-2 3.8.4.1.2", "MRG|",
    ),
    "hl7v2: a result of no kind": faulty(
        "hl7v2", REPORT, swap("OBX|1|ST", "OBX|1|??"), "HL7.OBX-2", "OBX-2", "RAD TF-2 4.28.4.1", "OBX|",
    ),
    "hl7v3: another interaction": faulty(
        "hl7v3", FEED, having("/*/hl7:interactionId/@extension", "PRPA_IN201302UV02"), "HL7V3.form",
        f"{PRPA}/interactionId", HL7, "PRPA_IN201302UV02",
    ),
    "hl7v3: a time that is none": faulty(
        "hl7v3", FEED, having("/*/hl7:creationTime/@value", "2026-05-04"), "SCHEMA", f"{PRPA}/creationTime/@value", HL7,
        "2026-05-04",
    ),
    "hl7v3: no sender": faulty(
        "hl7v3", FEED, without("/*/hl7:sender"), "SCHEMA", f"{PRPA}/controlActProcess", HL7, "<controlActProcess",
    ),
    "hl7v3: a sender twice": faulty(
        "hl7v3", FEED, twice("/*/hl7:sender"), "SCHEMA", f"{PRPA}/sender[2]", HL7, "<sender",
    ),
    "hl7v3: a patient without id": faulty(
        "hl7v3", FEED, without("//hl7:patient/hl7:id"), "SCHEMA",
        f"{PRPA}/controlActProcess/subject/registrationEvent/subject1/patient/statusCode", HL7, "",
    ),
}  # fmt: skip
KEYS = {one.key: one.name for one in VALIDATORS}


def test_every_kind_has_right_samples_and_single_faults() -> None:
    assert set(RIGHT) == set(KEYS)
    counts = Counter(fault.kind for fault in FAULTS.values())
    assert {kind: counts[kind] for kind in KEYS if counts[kind] < LEAST} == {}


@pytest.mark.parametrize("kind", KEYS)
def test_of_right_samples_there_is_nothing_to_say(kind: str) -> None:
    for raw in RIGHT[kind]:
        report = validate(raw)
        assert (report.kind, report.findings) == (KEYS[kind], ())


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_its_line_its_place_and_its_clause(name: str) -> None:
    fault = FAULTS[name]
    report = validate(fault.raw)
    assert report.kind == KEYS[fault.kind]
    (one,) = report.findings
    level = Level.WARNING if fault.rule.startswith("?") else Level.ERROR
    assert (one.rule, one.level, one.place) == (fault.rule.removeprefix("?"), level, fault.place)
    assert one.clause == fault.clause
    assert one.text
    assert one.expected
    if fault.on:
        stands = [number for number, line in enumerate(fault.raw.splitlines(), start=1) if fault.on.encode() in line]
        assert one.line == stands[1 if one.place.endswith("sender[2]") else 0], (one, stands)


@pytest.mark.parametrize("name", [name for name in FAULTS if FAULTS[name].kind in {"kos", "mado", "fhir"}])
def test_a_file_without_lines_has_none(name: str) -> None:
    (one,) = validate(FAULTS[name].raw).findings
    assert one.line == 0
