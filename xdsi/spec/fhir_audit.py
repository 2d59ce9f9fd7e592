"""Code systems of FHIR AuditEvent, by the names that they have in DICOM audit messages.

Sources: FHIR R4 (4.0.1) AuditEvent with its bindings and its mapping to DICOM; HL7 terminology; IHE BasicAudit (BALP).
"""

from __future__ import annotations

from typing import Final

from xdsi.spec.audit_events import DCM, IHE_TRANSACTIONS, Term

_THO: Final = "http://terminology.hl7.org/CodeSystem/"
SYSTEMS: Final[dict[str, str]] = {
    DCM: "http://dicom.nema.org/resources/ontology/DCM",
    IHE_TRANSACTIONS: "urn:ihe:event-type-code",
    "2.16.840.1.113883.6.96": "http://snomed.info/sct",
    "2.16.840.1.113883.5.8": _THO + "v3-ActReason",
}
ENTITY_TYPE: Final = _THO + "audit-entity-type"
OBJECT_ROLE: Final = _THO + "object-role"
LIFE_CYCLE: Final = _THO + "dicom-audit-lifecycle"
SOURCE_TYPE: Final = _THO + "security-source-type"
PERSON: Final = Term("IRCP", _THO + "v3-ParticipationType", "information recipient")
"""how BALP calls the person who asked"""
