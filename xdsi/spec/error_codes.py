"""Error and warning codes, and which transaction may answer with which.

ITI TF-3 table 4.2.4.1-2; Metadata Update, Remove Metadata and Documents, Restricted Metadata Update and XCDR
supplements for their own codes; RAD TF-2 4.69 for the imaging codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_TRANSACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "P": ("ITI-41", "ITI-80"),
    "P80": ("ITI-80",),
    "R": ("ITI-42", "ITI-61"),
    "SQ": ("ITI-18", "ITI-51"),
    "RS": ("ITI-43",),
    "XGQ": ("ITI-38",),
    "XGR": ("ITI-39",),
    "U": ("ITI-57",),
    "RU": ("ITI-92",),
    "RM": ("ITI-62",),
    "RD": ("ITI-86",),
    "M": ("ITI-65",),
    "XCF": ("ITI-63",),
    "IMG": ("RAD-69", "RAD-75"),
}


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A code: who may answer it, as error (E) or warning (W), and what its codeContext must contain."""

    code: str
    transactions: frozenset[str]
    severities: str = "E"
    context: str = ""
    deprecated: bool = False


def _row(code: str, where: str, severities: str = "E", context: str = "", *, deprecated: bool = False) -> ErrorCode:
    numbers = frozenset(number for letter in where.split() for number in _TRANSACTIONS[letter])
    return ErrorCode(code, numbers, severities, context, deprecated)


CODES: Final[Mapping[str, ErrorCode]] = {
    row.code: row
    for row in (
        _row("DocumentQueued", "P", "W"),
        _row("InvalidDocumentContent", "P", context="uniqueId of the document"),
        _row("PartialAppendContentNotProcessed", "P", "W"),
        _row("PartialFolderContentNotProcessed", "P M", "W"),
        _row("PartialRelationshipContentNotProcessed", "P", "W"),
        _row("PartialReplaceContentNotProcessed", "P M", "W"),
        _row("PartialTransformNotProcessed", "P M", "W"),
        _row("PartialTransformContentNotProcessed", "P M", "W"),
        _row("PartialTransformReplaceNotProcessed", "P", "W"),
        _row("PartialTransformReplaceContentNotProcessed", "P", "W"),
        _row("UnresolvedReferenceException", "P R U RM", context="the id"),
        _row("XDSDocumentUniqueIdError", "RS XGR RD IMG"),
        # An update is a submission whose objects are checked as those of ITI-42, by the same codes (testers expect it).
        _row("XDSDuplicateUniqueIdInRegistry", "P R U RU", context="which object, and its uniqueId"),
        _row("XDSExtraMetadataNotSaved", "P R", "W", "the slot names"),
        _row("XDSMissingDocument", "P"),
        _row("XDSMissingDocumentMetadata", "P"),
        _row("XDSMissingHomeCommunityId", "SQ XGQ RS XGR P80 RU IMG"),
        _row("XDSNonIdenticalHash", "P R", context="the uniqueId"),
        _row("XDSNonIdenticalSize", "P R", context="the uniqueId"),
        _row("XDSPatientIdDoesNotMatch", "P R", context="the patient id and the nature of the conflict"),
        _row("XDSRegistryBusy", "P R SQ XGQ"),
        _row("XDSRepositoryBusy", "P RS XGR"),
        _row("XDSRegistryDeprecatedDocumentError", "P R"),
        _row("XDSRegistryDuplicateUniqueIdInMessage", "P R U RU", context="the uniqueId"),
        _row("XDSRepositoryDuplicateUniqueIdInMessage", "P R", context="the uniqueId"),
        _row("XDSRegistryError", "P R SQ XGQ RM", context="details"),
        _row("XDSRepositoryError", "P RS XGR RD IMG", context="details"),
        _row("XDSRegistryMetadataError", "P R U RU", context="the nature of the problem"),
        _row("XDSRepositoryMetadataError", "P R", context="the nature of the problem"),
        _row("XDSRegistryNotAvailable", "P"),
        _row("XDSRegistryOutOfResources", "P R SQ XGQ RM"),
        _row("XDSRepositoryOutOfResources", "P RS XGR RD"),
        _row("XDSReplaceFailed", "P R", deprecated=True),
        _row("XDSResultNotSinglePatient", "SQ RS XGQ XGR"),
        _row("XDSStoredQueryMissingParam", "SQ XGQ", context="the parameter name"),
        _row("XDSStoredQueryParamNumber", "SQ XGQ", context="the parameter name"),
        _row("XDSTooManyResults", "SQ XGQ RS XGR"),
        _row("XDSUnavailableCommunity", "SQ RS IMG", context="which community"),
        _row("XDSUnknownCommunity", "SQ XGQ RS XGR P80 RU IMG"),
        _row("XDSUnknownPatientId", "SQ P R U RU XGQ", context="the patient id"),
        _row("XDSUnknownRepositoryId", "RS XGR RD IMG"),
        _row("XDSUnknownStoredQuery", "SQ XGQ"),
        _row("XDSMetadataUpdateError", "U RU"),
        _row("XDSPatientIDReconciliationError", "U RU"),
        _row("XDSMetadataUpdateOperationError", "U"),
        _row("XDSMetadataVersionError", "U RU"),
        _row("XDSMetadataIdentifierError", "U RU"),
        _row("XDSInvalidRequestException", "U RU"),
        _row("ReferencesExistException", "RM", context="the entryUUID"),
        _row("XDSUnreferencedObjectException", "RM", context="the entryUUID of the orphan"),
        _row("XDSRemoveDocumentsError", "RD", context="the uniqueId of the document"),
        _row("XDSObjectTypeError", "RU"),
        _row("XDSMetadataAnnotationError", "RU"),
        _row("UnmodifiableMetadataError", "RU"),
        _row("LocalPolicyRestrictionError", "RU"),
        _row("UnknownRecipient", "P M", "EW"),
        _row("UnavailableRecipient", "P M", "EW"),
        _row("FHIRDocumentNotSupported", "M"),
        _row("TranscodingError", "XCF", "EW"),
        _row("XDSIRequestError", "IMG"),
        _row("XDSIUnknownIdsUid", "IMG"),
    )
}


def allowed(code: str, transaction: str) -> bool:
    """True when the standard lets this transaction answer with this code."""
    row = CODES.get(code)
    return row is not None and transaction in row.transactions


def or_else(code: str, transaction: str, fallback: str) -> str:
    """`code` where the transaction may answer it, else `fallback` (a busy registry answers ITI-62 XDSRegistryError)."""
    return code if allowed(code, transaction) else fallback
