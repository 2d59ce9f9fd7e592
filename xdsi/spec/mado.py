"""Codes of MADO manifests (Manifest-based Access to DICOM Objects), and the anatomical regions of a whole study.

Sources: IHE RAD MADO Rev 1.2, DICOM CP-2595 (final codes), MADO Rev 1.1 (trial codes), PS3.16 CID 32 (modalities that
acquire nothing); value set IHE-MADO1 1.3.6.1.4.1.19376.1.1.86.1. A code is (code, scheme, display).
"""

from xdsi.spec.imaging_codes import BODY_PARTS

# What is new with CP-2595: final code, and the code of the trial use version
CODES = {
    "manifest": (("131560", "DCM", "Manifest with Description"), ("MADOTEMP001", "99IHE", "Manifest with Description")),
    "series_date": (("131561", "DCM", "Series Date"), ("MADOTEMP003", "99IHE", "Series Date")),
    "series_time": (("131562", "DCM", "Series Time"), ("MADOTEMP004", "99IHE", "Series Time")),
    "series_description": (
        ("131563", "DCM", "Series Description"),
        ("MADOTEMP002", "99IHE", "Series Description"),
    ),
    "instances": (
        ("131564", "DCM", "Number of Series Related Instances"),
        ("MADOTEMP007", "99IHE", "Number of Series Related Instances"),
    ),
    "series": (
        ("131565", "DCM", "Number of Study Related Series"),
        ("MADOTEMP009", "99IHE", "Number of Study Related Series"),
    ),
}
MANIFEST = CODES["manifest"][0]

# What was there before
IMAGE_LIBRARY = ("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = ("126200", "DCM", "Image Library Group")
MODALITY = ("121139", "DCM", "Modality")
TARGET_REGION = ("123014", "DCM", "Target Region")
SERIES_NUMBER = ("113607", "DCM", "Series Number")
SERIES_INSTANCE_UID = ("112002", "DCM", "Series Instance UID")
NUMBER_OF_FRAMES = ("121140", "DCM", "Number of Frames")
INSTANCE_NUMBER = ("113609", "DCM", "Instance Number")
DOCUMENT_TITLE = ("121144", "DCM", "Document Title")
KEY_OBJECT_DESCRIPTION = ("113012", "DCM", "Key Object Description")

SERIES_UNIT = ("{series}", "UCUM", "series")
INSTANCES_UNIT = ("{instances}", "UCUM", "instances")
FRAMES_UNIT = ("{frames}", "UCUM", "frames")

FHIR_FORMAT = ("urn:ihe:rad:MADO:fhir-manifest:2026", "1.3.6.1.4.1.19376.1.2.7.1", "MADO FHIR Imaging Study Manifest")
FHIR_MIME_TYPE = "application/fhir+json"

# CID 32: modality -> meaning, scheme DCM
NON_ACQUISITION_MODALITIES = {
    "ASMT": "Content Assessment Result",
    "AU": "Basic Voice Audio",
    "CTPROTOCOL": "CT Protocol",
    "DOC": "Document",
    "FID": "Spatial Fiducials",
    "HC": "Hard Copy",
    "IOL": "Intraocular Lens Calculation",
    "KO": "Key Object Selection",
    "M3D": "Model for 3D Manufacturing",
    "OT": "Other",
    "PLAN": "Plan",
    "PR": "Presentation State",
    "REG": "Registration",
    "RTDOSE": "RT Dose",
    "RTPLAN": "RT Plan",
    "RTRECORD": "RT Treatment Record",
    "RTSTRUCT": "RT Structure Set",
    "RWV": "Real World Value Map",
    "SEG": "Segmentation",
    "SMR": "Stereometric Relationship",
    "SR": "Structured Report Document",
    "STAIN": "Automated Slide Stainer",
    "TEXTUREMAP": "Texture Map",
}

# IHE-MADO1: key -> code and meaning, scheme SCT
REGIONS = {
    "HEADNECK": ("774007", "Head and neck"),
    "UPPERTRUNK": ("67734004", "Upper trunk"),
    "LOWERTRUNK": ("63337009", "Lower trunk"),
    "UPPERLIMB": ("53120007", "Upper limb"),
    "LOWERLIMB": ("61685007", "Lower limb"),
    "SPINE": ("1141981001", "Vertebral column"),
    "BREAST": ("76752008", "Breast"),
    "HEART": ("80891009", "Heart"),
    "CARDIOVASCSYS": ("113257007", "Cardiovascular system"),
    "WHOLEBODY": ("38266002", "Entire body"),
}

_PARTS = {
    "HEADNECK": """
        BRAIN CEREBELLUM CHEEK CORNEA EAR EYE EYELID FACE HEAD HEADNECK IAC JAW LARYNX MANDIBLE MAXILLA MOUTH NECK NOSE
        ORBIT PAROTID PHARYNX SCALP SCLERA SELLA SINUS SKULL THYROID TMJ TONGUE ZYGOMA NECKCHEST NECKCHESTABDOMEN
        NECKCHESTABDPELV
    """,
    "UPPERTRUNK": """
        AXILLA BACK BRONCHUS CHEST CHESTABDOMEN CHESTABDPELVIS CLAVICLE ESOPHAGUS LUNG MEDIASTINUM NECKCHEST
        NECKCHESTABDOMEN NECKCHESTABDPELV RIB SCAPULA STERNUM THORAX THYMUS TRACHEA
    """,
    "LOWERTRUNK": """
        ABDOMEN ABDOMENPELVIS ADRENAL BILEDUCT BLADDER BUTTOCK CERVIX CHESTABDOMEN CHESTABDPELVIS COLON DUODENUM
        GALLBLADDER ILEUM ILIUM JEJUNUM KIDNEY LIVER NECKCHESTABDOMEN NECKCHESTABDPELV OVARY PANCREAS PELVIS PENIS
        PERINEUM PROSTATE RECTUM SCROTUM SIJOINT SPLEEN STOMACH TESTIS UPRURINARYTRACT URETER URETHRA UTERUS VAGINA
    """,
    "UPPERLIMB": "ARM ELBOW FINGER FOREARM HAND HUMERUS SHOULDER THUMB UPPERLIMB WRIST",
    "LOWERLIMB": "ANKLE CALCANEUS FEMUR FOOT HIP KNEE LEG LOWERLIMB PATELLA THIGH TOE",
    "SPINE": """
        CERVICALSPINE COCCYX CSPINE CTSPINE LSPINE LSSPINE LUMBARSPINE SACRUM SPINALCORD SPINE SSPINE THORACICSPINE
        TLSPINE TSPINE
    """,
    "BREAST": "BREAST",
    "HEART": "CORONARYARTERY HEART",
    "CARDIOVASCSYS": "AORTA CAROTID CORONARYARTERY",
    "WHOLEBODY": "WHOLEBODY",
}
REGIONS_OF = {
    code: tuple(key for key, parts in _PARTS.items() if code in {BODY_PARTS[part][0] for part in parts.split()})
    for code, _ in BODY_PARTS.values()
}
"""SNOMED CT code of an anatomic region -> the keys of the regions that it lies in; none where it is in no one place"""
