"""What each finding of an update is called: by the error codes of ITI-57 and of ITI-92.

ITI TF-3 table 4.2.4.1-2 as Metadata Update 4.2.4.1 and Restricted Metadata Update extend it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OPERATION = "XDSMetadataUpdateOperationError"
UPDATE_ERROR = "XDSMetadataUpdateError"
VERSION = "XDSMetadataVersionError"
IDENTIFIER = "XDSMetadataIdentifierError"
INVALID_REQUEST = "XDSInvalidRequestException"
RECONCILIATION = "XDSPatientIDReconciliationError"
UNMODIFIABLE = "UnmodifiableMetadataError"
OBJECT_TYPE = "XDSObjectTypeError"
ANNOTATION = "XDSMetadataAnnotationError"


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """The codes that differ; where there are several the finding is reported under each."""

    unlinked: str
    """no HasMember from the SubmissionSet"""
    no_version: str
    """no PreviousVersion"""
    propagation: str
    """an AssociationPropagation that cannot be carried out"""
    repeated: str
    """one more new version of an object"""
    unknown: tuple[str, ...]
    """no registered object has the logicalID"""
    object_type: tuple[str, ...]
    """the objectType differs from the registered one"""


# An unknown logicalID is an unresolved reference, and has no version that PreviousVersion could name either.
UPDATE: Final = Codes(
    unlinked=OPERATION,
    no_version=OPERATION,
    propagation=OPERATION,
    repeated=OPERATION,
    unknown=("UnresolvedReferenceException", VERSION),
    object_type=(IDENTIFIER,),
)
# objectType is a protected attribute like others, and has a code of its own.
RESTRICTED: Final = Codes(
    unlinked=ANNOTATION,
    no_version=VERSION,
    propagation=ANNOTATION,
    repeated=UPDATE_ERROR,
    unknown=(VERSION,),
    object_type=(OBJECT_TYPE, UNMODIFIABLE),
)
