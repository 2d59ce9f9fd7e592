"""BPPC consent documents: a CDA in which the patient accepts policies of the domain by their ids.

ITI TF-3 5.1 (Basic Patient Privacy Consents, with or without a scanned paper); HL7 CDA R2. Read for what is decided on;
written with one text section as its body, or with the scan (ITI TF-3 5.2, XDS-SD).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from lxml import etree

from xdsi.domain.codes import Code
from xdsi.domain.consent import ConsentFacts, Match, Policy, Reference, Target
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import InstanceIdentifier, PatientId, is_oid
from xdsi.spec import xacml
from xdsi.spec.namespaces import HL7V3
from xdsi.wire import hl7_timestamp, xml
from xdsi.wire.xml import E, content

LIMIT = 10 * 1024 * 1024
MAX_POLICIES = 100
DOCUMENT_CODE = Code("57016-8", "2.16.840.1.113883.6.1", "Privacy Policy Acknowledgement Document")
MEDICAL_DOCUMENTS = "1.3.6.1.4.1.19376.1.5.3.1.1.1"
CONSENT_TEMPLATE = "1.3.6.1.4.1.19376.1.5.3.1.1.7"
SCAN_TEMPLATE = "1.3.6.1.4.1.19376.1.5.3.1.1.7.1"
SCANNED_DOCUMENT = "1.3.6.1.4.1.19376.1.2.20"
"""ITI TF-3 5.2.3; below it .1 is the original author, .2 the scanning device, .3 who operated it"""
SERVICE_EVENT_TEMPLATE = "1.3.6.1.4.1.19376.1.5.3.1.2.6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A paper, scanned."""

    content: bytes
    media_type: str = "application/pdf"
    equipment: str = "scanner"


def decode_bppc(raw: bytes, *, zone: tzinfo = UTC) -> tuple[Policy, ConsentFacts]:
    """The accepted policies as references, and what the document says about itself; MalformedMessage if unclear.

    Days in the window begin and end in `zone`.
    """
    root = xml.parse(raw, limit=LIMIT)
    if root.tag != E(HL7V3, "ClinicalDocument"):
        raise MalformedMessage("not a BPPC document", location=str(root.tag), expected="ClinicalDocument")
    if not _templates(root) & {CONSENT_TEMPLATE, SCAN_TEMPLATE}:
        raise _refused("no template of a privacy consent", "templateId", f"{CONSENT_TEMPLATE} or {SCAN_TEMPLATE}")
    code = root.find(E(HL7V3, "code"))
    if code is None or (code.get("code"), code.get("codeSystem")) != (DOCUMENT_CODE.code, DOCUMENT_CODE.scheme):
        raise _refused("not a privacy policy acknowledgement", "code", str(DOCUMENT_CODE))
    document_id = _identifier(root.find(E(HL7V3, "id")), "id")
    events = [
        event
        for event in root.findall(f"{E(HL7V3, 'documentationOf')}/{E(HL7V3, 'serviceEvent')}")
        if SERVICE_EVENT_TEMPLATE in _templates(event)
    ]
    if not 1 <= len(events) <= MAX_POLICIES:
        raise _refused(f"{len(events)} accepted policies", "documentationOf", f"1 to {MAX_POLICIES}")
    windows = {_window(event, zone) for event in events}
    if len(windows) != 1:
        raise _refused(
            "the accepted policies have different times",
            "documentationOf/serviceEvent/effectiveTime",
            "one time for all",
        )
    references = tuple(dict.fromkeys(_policy_id(event) for event in events))
    patients = _patients(root)
    (valid_from, valid_until) = windows.pop()
    title = root.find(E(HL7V3, "title"))
    identifier = f"{document_id.root}^{document_id.extension}" if document_id.extension else document_id.root
    matches = tuple(
        (Match(attribute=xacml.PATIENT_ID, value=InstanceIdentifier(p.authority, p.id), function=xacml.II_EQUAL),)
        for p in patients
    )
    policy = Policy(
        id=identifier,
        combining=xacml.POLICY_DENY_OVERRIDES,
        children=tuple(Reference(reference) for reference in references),
        target=Target(resources=matches),
    )
    return policy, ConsentFacts(
        document_id=identifier,
        description="" if title is None else content(title),
        patients=patients,
        valid_from=valid_from,
        valid_until=valid_until,
        references=references,
    )


def _templates(element: etree._Element) -> set[str]:
    return {template.get("root", "") for template in element.findall(E(HL7V3, "templateId"))}


def _identifier(element: etree._Element | None, location: str) -> InstanceIdentifier:
    root = "" if element is None else element.get("root", "").strip()
    if element is None or not root:
        raise _refused("identifier without root", location, "an id with a root")
    return InstanceIdentifier(root, element.get("extension", "").strip())


def _patients(root: etree._Element) -> tuple[PatientId, ...]:
    path = "/".join(E(HL7V3, name) for name in ("recordTarget", "patientRole"))
    roles = root.findall(path)
    if len(roles) != 1:
        raise _refused(f"{len(roles)} patients", "recordTarget", "one")
    found = [_identifier(one, "recordTarget/patientRole/id") for one in roles[0].findall(E(HL7V3, "id"))]
    patients = tuple(PatientId(one.extension, one.root) for one in found if one.extension and is_oid(one.root))
    if not patients:
        raise _refused("no patient identifier with an OID and an extension", "recordTarget/patientRole/id", "one such")
    return patients


def _policy_id(event: etree._Element) -> str:
    code = event.find(E(HL7V3, "code"))
    identifier = "" if code is None else code.get("code", "").strip()
    if not identifier:
        raise _refused("an accepted policy without its id", "documentationOf/serviceEvent/code", "its code or id")
    return identifier


def _window(event: etree._Element, zone: tzinfo) -> tuple[datetime, datetime | None]:
    times = event.find(E(HL7V3, "effectiveTime"))
    low = None if times is None else times.find(E(HL7V3, "low"))
    high = None if times is None else times.find(E(HL7V3, "high"))
    if low is None or low.get("value") is None:
        raise _refused("no begin", "documentationOf/serviceEvent/effectiveTime/low", "low with a value")
    start = _boundary(low.get("value", ""), zone)[0]
    return start, None if high is None or high.get("value") is None else _boundary(high.get("value", ""), zone)[1]


def _boundary(text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """The first instant of a time stamp, and the first after it."""
    moment = hl7_timestamp.read(text.strip())
    if moment is None:
        raise _refused(
            f"{text!r} is not a time", "documentationOf/serviceEvent/effectiveTime", "YYYYMMDD, or more exact"
        )
    digits = len(text.strip())
    if digits > 8:
        return moment, moment
    start = moment.replace(tzinfo=zone)
    if start.year == datetime.max.year:
        return start, start
    if digits == 8:
        return start, start + timedelta(days=1)
    months = start.year * 12 + start.month - 1 + (1 if digits == 6 else 12)
    return start, start.replace(year=months // 12, month=months % 12 + 1)


def _refused(message: str, location: str, expected: str = "") -> MalformedMessage:
    return MalformedMessage(
        f"consent not understood: {message}", location=f"ClinicalDocument/{location}", expected=expected
    )


# Writing


def encode_bppc(
    *,
    document_id: str,
    patient: PatientId,
    patient_name: tuple[str, str],
    policies: Sequence[Code],
    custodian: tuple[str, str],
    now: datetime,
    valid_from: datetime,
    valid_until: datetime | None = None,
    title: str = "Consent to share documents",
    text: str = "",
    language: str = "en",
    scan: Scan | None = None,
) -> bytes:
    """A consent in which the patient accepts `policies` (code: the policy's OID, scheme: the domain of policies).

    `document_id` is an OID, the uniqueId of its DocumentEntry; `patient_name` is family and given name; `custodian` is
    OID and name of the organisation that keeps it and recorded it. With `scan` the body is the paper that was signed
    (BPPC with scanned document, XDS-SD).
    """
    root = etree.Element(E(HL7V3, "ClinicalDocument"), nsmap={None: HL7V3})  # type: ignore[dict-item]
    _add(root, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
    _add(root, "templateId", root=MEDICAL_DOCUMENTS)
    _add(root, "templateId", root=CONSENT_TEMPLATE)
    for template in (SCAN_TEMPLATE, SCANNED_DOCUMENT) if scan is not None else ():
        _add(root, "templateId", root=template)
    _add(root, "id", root=document_id)
    _coded(root, "code", DOCUMENT_CODE)
    _add(root, "title").text = title
    _add(root, "effectiveTime", value=hl7_timestamp.write(now))
    _coded(root, "confidentialityCode", Code("N", "2.16.840.1.113883.5.25", "normal"))
    _add(root, "languageCode", code=language)
    role = _add(_add(root, "recordTarget"), "patientRole")
    _add(role, "id", root=patient.authority, extension=patient.id)
    name = _add(_add(role, "patient"), "name")
    _add(name, "given").text = patient_name[1]
    _add(name, "family").text = patient_name[0]
    if scan is not None:
        _add_signer(root, patient, patient_name, now)
    author = _add(root, "author")
    if scan is not None:
        _add(author, "templateId", root=f"{SCANNED_DOCUMENT}.2")
    _add(author, "time", value=hl7_timestamp.write(now))
    assigned = _add(author, "assignedAuthor")
    _add(assigned, "id", root=custodian[0])
    device = _add(assigned, "assignedAuthoringDevice")
    if scan is not None:
        _coded(device, "code", Code("SCAN", "1.2.840.10008.2.16.4", "Document Digitizer Equipment"))
        _add(device, "manufacturerModelName").text = scan.equipment
    _add(device, "softwareName").text = custodian[1]
    if scan is not None:
        _add_organisation(assigned, "representedOrganization", custodian)
        _add_data_enterer(root, custodian, now)
    keeper = _add(_add(root, "custodian"), "assignedCustodian")
    _add_organisation(keeper, "representedCustodianOrganization", custodian)
    for number, policy in enumerate(policies, start=1):
        event = _add(_add(root, "documentationOf", typeCode="DOC"), "serviceEvent", classCode="ACT", moodCode="EVN")
        _add(event, "templateId", root=SERVICE_EVENT_TEMPLATE)
        _add(event, "id", root=f"{document_id}.{number}")
        _coded(event, "code", policy)
        times = _add(event, "effectiveTime")
        _add(times, "low", value=hl7_timestamp.write(valid_from))
        if valid_until is not None:
            _add(times, "high", value=hl7_timestamp.write(valid_until))
    if scan is not None:
        body = _add(
            _add(_add(root, "component"), "nonXMLBody"), "text", mediaType=scan.media_type, representation="B64"
        )
        body.text = base64.b64encode(scan.content).decode("ascii")
        return b"<?xml version='1.0' encoding='UTF-8'?>\n" + xml.serialize(root)
    section = _add(_add(_add(_add(root, "component"), "structuredBody"), "component"), "section")
    _add(section, "title").text = title
    _add(section, "text").text = text or "; ".join(policy.display or policy.code for policy in policies)
    return b"<?xml version='1.0' encoding='UTF-8'?>\n" + xml.serialize(root)


def _add_signer(root: etree._Element, patient: PatientId, name: tuple[str, str], now: datetime) -> None:
    """Who wrote the paper: the patient."""
    author = _add(root, "author")
    _add(author, "templateId", root=f"{SCANNED_DOCUMENT}.1")
    _add(author, "time", value=hl7_timestamp.write(now))
    assigned = _add(author, "assignedAuthor")
    _add(assigned, "id", root=patient.authority, extension=patient.id)
    person = _add(_add(assigned, "assignedPerson"), "name")
    _add(person, "given").text = name[1]
    _add(person, "family").text = name[0]


def _add_data_enterer(root: etree._Element, organisation: tuple[str, str], now: datetime) -> None:
    """Who scanned it: somebody of the organisation, who is not named."""
    enterer = _add(root, "dataEnterer")
    _add(enterer, "templateId", root=f"{SCANNED_DOCUMENT}.3")
    _add(enterer, "time", value=hl7_timestamp.write(now))
    entity = _add(enterer, "assignedEntity")
    _add(entity, "id", root=organisation[0])
    _add(_add(entity, "assignedPerson"), "name", nullFlavor="UNK")


def _add_organisation(parent: etree._Element, local: str, organisation: tuple[str, str]) -> None:
    element = _add(parent, local)
    _add(element, "id", root=organisation[0])
    _add(element, "name").text = organisation[1]


def _coded(parent: etree._Element, local: str, code: Code) -> None:
    element = _add(parent, local, code=code.code, codeSystem=code.scheme)
    if code.display:
        element.set("displayName", code.display)


def _add(parent: etree._Element, local: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, E(HL7V3, local), attributes)
