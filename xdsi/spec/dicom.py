"""UIDs, titles and coding schemes of DICOM that manifests and images need.

Sources: DICOM PS3.6 annex A (UIDs), PS3.16 table 8-1 (coding schemes), CID 7010 (document titles), IHE RAD MADO and
CP-2595 (131560), the MADO trial code in scheme 99IHE.
"""

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
REPORTS = {
    "1.2.840.10008.5.1.4.1.1.88.11": "Basic Text SR",
    "1.2.840.10008.5.1.4.1.1.88.22": "Enhanced SR",
    "1.2.840.10008.5.1.4.1.1.88.33": "Comprehensive SR",
    "1.2.840.10008.5.1.4.1.1.88.34": "Comprehensive 3D SR",
}
"""structured reports that people write; those of doses, findings of machines and procedures are not among them"""
UID_REGISTRY = "1.2.840.10008.2.6.1"
"""the coding scheme whose codes are DICOM UIDs"""

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_LE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"

IMPLEMENTATION_CLASS_UID = "2.25.181718085796192651253223120544275837613"
IMPLEMENTATION_VERSION_NAME = "XDSI"

MANIFEST = ("113030", "DCM", "Manifest")
MANIFEST_TITLES = frozenset({("113030", "DCM"), ("131560", "DCM"), ("MADOTEMP001", "99IHE")})
REJECTION_TITLES = {
    ("113001", "DCM"): "Rejected for Quality Reasons",
    ("113037", "DCM"): "Rejected for Patient Safety Reasons",
    ("113038", "DCM"): "Incorrect Modality Worklist Entry",
    ("113039", "DCM"): "Data Retention Policy Expired",
}

# Coding Scheme Designator -> OID
CODING_SCHEMES = {
    "DCM": "1.2.840.10008.2.16.4",
    "DCMUID": UID_REGISTRY,
    "SCT": "2.16.840.1.113883.6.96",
    "SRT": "2.16.840.1.113883.6.96",
    "LN": "2.16.840.1.113883.6.1",
    "UCUM": "2.16.840.1.113883.6.8",
    "RADLEX": "2.16.840.1.113883.6.256",
    "FMA": "2.16.840.1.113883.6.119",
    "UMLS": "2.16.840.1.113883.6.86",
    "C4": "2.16.840.1.113883.6.12",
    "I10": "2.16.840.1.113883.6.3",
    "I10P": "2.16.840.1.113883.6.4",
}
