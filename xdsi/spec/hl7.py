"""HL7 tables that versions 2 and 3 of the identity feed share.

Sources: HL7 v2.5 table 0357 (message error condition codes) as ITI TF-2 C.2.3 uses it; HL7 OID registry.
"""

from collections.abc import Mapping

SEGMENT_SEQUENCE_ERROR = "100"
REQUIRED_FIELD_MISSING = "101"
DATA_TYPE_ERROR = "102"
TABLE_VALUE_NOT_FOUND = "103"
UNSUPPORTED_MESSAGE_TYPE = "200"
UNSUPPORTED_TRIGGER = "201"
UNSUPPORTED_PROCESSING_ID = "202"
UNSUPPORTED_VERSION = "203"
UNKNOWN_KEY_IDENTIFIER = "204"
INTERNAL_ERROR = "207"

MESSAGE_ERRORS: Mapping[str, str] = {
    "0": "Message accepted",
    SEGMENT_SEQUENCE_ERROR: "Segment sequence error",
    REQUIRED_FIELD_MISSING: "Required field missing",
    DATA_TYPE_ERROR: "Data type error",
    TABLE_VALUE_NOT_FOUND: "Table value not found",
    UNSUPPORTED_MESSAGE_TYPE: "Unsupported message type",
    UNSUPPORTED_TRIGGER: "Unsupported trigger event",
    UNSUPPORTED_PROCESSING_ID: "Unsupported processing id",
    UNSUPPORTED_VERSION: "Unsupported version id",
    UNKNOWN_KEY_IDENTIFIER: "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    INTERNAL_ERROR: "Application internal error",
}
"""table 0357"""

REJECTIONS = frozenset({"200", "201", "202", "203", "206", "207"})
"""the codes that mean rejected (AR, CR): the message was not for this receiver, or not now; the others are errors"""

MESSAGE_ERROR_SYSTEM = "2.16.840.1.113883.12.357"
INTERACTION = "2.16.840.1.113883.1.6"
TRIGGER_EVENT = "2.16.840.1.113883.1.18"
ADMINISTRATIVE_GENDER = "2.16.840.1.113883.5.1"
