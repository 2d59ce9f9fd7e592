"""What an affinity domain and a hospital settle about the metadata of manifests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from xdsi.domain.codes import Code
from xdsi.spec import dicom, imaging_codes

KOS = "kos"
MADO = "mado"
FHIR = "mado-fhir"
MANIFESTS = (KOS, MADO, FHIR)
PDF = "pdf"
STRUCTURED = "sr"

_CLASS_CODE = Code(*imaging_codes.CLASS_CODE)
_REPORT_CLASS_CODE = Code(*imaging_codes.REPORT_CLASS_CODE)
_TYPE_CODE = Code(*imaging_codes.TYPE_CODE)
_CONFIDENTIALITY_CODE = Code(*imaging_codes.CONFIDENTIALITY_CODE)
_FACILITY_TYPE_CODE = Code(*imaging_codes.FACILITY_TYPE_CODE)
_PRACTICE_SETTING_CODE = Code(*imaging_codes.PRACTICE_SETTING_CODE)
_CONTENT_TYPE_CODE = Code(*imaging_codes.CONTENT_TYPE_CODE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingProfile:
    """Settings of an Imaging Document Source; codes default to a generic affinity domain's."""

    source_id: str
    """SubmissionSet.sourceId, an OID"""
    patient_id_authority: str
    """OID of the department's patient identifiers, where the images do not name an issuer"""
    accession_authority: str = ""
    """OID of the accession numbers, where the images do not name an issuer"""
    organization_id: str = ""
    """OID of the organisation that publishes, with or without `urn:oid:`"""
    organization_name: str = ""
    """its name; empty to take the Institution Name of the images"""
    timezone: tzinfo = UTC
    """where the modalities are, for images without Timezone Offset From UTC"""
    class_code: Code = _CLASS_CODE
    report_class_code: Code = _REPORT_CLASS_CODE
    """of reports published beside a manifest"""
    type_code: Code = _TYPE_CODE
    """for studies without one procedure code that can be used"""
    type_codes: frozenset[Code] | None = None
    """the domain's value set of typeCode; None takes every procedure code whose scheme has an OID"""
    event_codes: frozenset[Code] | None = None
    """the domain's value set of eventCodeList; None takes every modality and region"""
    confidentiality_codes: tuple[Code, ...] = (_CONFIDENTIALITY_CODE,)
    healthcare_facility_type_code: Code = _FACILITY_TYPE_CODE
    practice_setting_code: Code = _PRACTICE_SETTING_CODE
    content_type_code: Code = _CONTENT_TYPE_CODE
    language_code: str = imaging_codes.LANGUAGE_CODE
    manifests: tuple[str, ...] = (KOS,)
    """kinds of manifests to publish of a study: kos, mado, mado-fhir; the first is the one that decisions rest on"""
    reports: tuple[str, ...] = ()
    """reports of the study to publish beside its manifest: pdf, sr"""
    mado_codes: str = "final"
    """codes that MADO added: final (DICOM CP-2595) or trial (99IHE)"""
    coding_schemes: Mapping[str, str] = field(default_factory=dict)
    """Coding Scheme Designator -> OID of schemes that DICOM does not list"""

    def coding_scheme(self, designator: str) -> str:
        """The OID of a Coding Scheme Designator, empty where none is known."""
        return self.coding_schemes.get(designator) or dicom.CODING_SCHEMES.get(designator, "")
