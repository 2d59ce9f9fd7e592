"""Code systems and structure definitions of the FHIR imaging manifest.

Sources: FHIR R4 (4.0.1); IHE RAD MADO 1.0.0 (canonical https://profiles.ihe.net/RAD/MADO); HL7 terminology (THO).
"""

DICOM_UID = "urn:dicom:uid"
URI = "urn:ietf:rfc:3986"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
LOINC = "http://loinc.org"
SNOMED_CT = "http://snomed.info/sct"
IDENTIFIER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
CONNECTION_TYPES = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
PAYLOAD_TYPES = "http://terminology.hl7.org/CodeSystem/endpoint-payload-type"
DATA_ABSENT_REASON = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
NOT_SPECIFIED = "http://notspecified"
"""an address that is none: the extension beside it says so"""
XHTML = "http://www.w3.org/1999/xhtml"

MADO = "https://profiles.ihe.net/RAD/MADO"
_DEFINITION = f"{MADO}/StructureDefinition/"
BUNDLE = _DEFINITION + "MadoFhirBundle"
COMPOSITION = _DEFINITION + "MadoComposition"
IMAGING_STUDY = _DEFINITION + "MadoImagingStudy"
PATIENT = _DEFINITION + "MadoPatient"
WADO_ENDPOINT = _DEFINITION + "MadoWadoEndpoint"
CREATOR = _DEFINITION + "MadoCreator"
CREATOR_ORGANIZATION = _DEFINITION + "MadoCreatorOrganization"
REQUESTED_PROCEDURE = _DEFINITION + "MadoRequestedProcedure"
ANATOMICAL_REGION = _DEFINITION + "MadoAnatomicalRegionExtension"
NUMBER_OF_FRAMES = _DEFINITION + "MadoNumberOfFrames"
DOCUMENT_TITLE = _DEFINITION + "MadoKeyObjectDocumentTitle"
RETRIEVE_LOCATION_UID = _DEFINITION + "MadoRetrieveLocationUIDExtension"
DEVICE_TYPES = f"{MADO}/CodeSystem/MadoDeviceType"

# Coding Scheme Designator -> system
SYSTEMS = {"DCM": DCM, "SCT": SNOMED_CT, "LN": LOINC, "UCUM": "http://unitsofmeasure.org"}
WADO_MIME_TYPES = ("application/dicom", "application/octet-stream", "application/dicom+xml", "application/json")
