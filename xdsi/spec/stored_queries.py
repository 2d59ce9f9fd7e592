"""Every stored query: its parameters, how each is coded, what it returns.

ITI TF-2 3.18.4.1.2.3.7 (ITI-18), 3.51.4.1.2.1 (ITI-51), Metadata Update 3.18.4.1.2.3 (rows marked MU); the sources of
the queries beyond the Technical Framework are named with each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from xdsi.spec import uuids
from xdsi.spec.query_parameters import Coding, Parameter, Query, by_id, parameters

__all__ = [
    "EXTENSIONS", "ITI18", "ITI51", "ITI63", "REGISTRY_QUERIES", "STORED_QUERIES", "Coding", "Parameter", "Query",
]  # fmt: skip

DE: Final = "DocumentEntry"
SS: Final = "SubmissionSet"
FD: Final = "Folder"
AS: Final = "Association"


def _with(base: Mapping[str, Parameter], text: str) -> dict[str, Parameter]:
    return {**base, **parameters(text)}


def _without_update(base: Mapping[str, Parameter]) -> dict[str, Parameter]:
    return {name: parameter for name, parameter in base.items() if not parameter.update}


_DOCUMENT_FILTERS = parameters("""
$XDSDocumentEntryFormatCode           code   M
$XDSDocumentEntryConfidentialityCode  code   M &
$XDSDocumentEntryType                 urn    M
""")

_FIND_DOCUMENTS = parameters("""
$XDSDocumentEntryPatientId                   patient R
$XDSDocumentEntryStatus                      status  R M
$XDSDocumentEntryClassCode                   code    M
$XDSDocumentEntryTypeCode                    code    M
$XDSDocumentEntryPracticeSettingCode         code    M
$XDSDocumentEntryCreationTimeFrom            time
$XDSDocumentEntryCreationTimeTo              time
$XDSDocumentEntryServiceStartTimeFrom        time
$XDSDocumentEntryServiceStartTimeTo          time
$XDSDocumentEntryServiceStopTimeFrom         time
$XDSDocumentEntryServiceStopTimeTo           time
$XDSDocumentEntryHealthcareFacilityTypeCode  code    M
$XDSDocumentEntryEventCodeList               code    M &
$XDSDocumentEntryConfidentialityCode         code    M &
$XDSDocumentEntryAuthorPerson                string  M L
$XDSDocumentEntryFormatCode                  code    M
$XDSDocumentEntryType                        urn     M
$XDSDocumentEntryDocumentAvailability        urn     M MU
$MetadataLevel                               level   MU
""")

_FIND_FOLDERS = parameters("""
$XDSFolderPatientId           patient R
$XDSFolderStatus              status  R M
$XDSFolderLastUpdateTimeFrom  time
$XDSFolderLastUpdateTimeTo    time
$XDSFolderCodeList            code    M &
$MetadataLevel                level   MU
""")

_REFERENCE_ID = "$XDSDocumentEntryReferenceIdList  string  R M & L"

_EXCLUDABLE = (
    "ClassCode", "TypeCode", "PracticeSettingCode", "HealthcareFacilityTypeCode", "EventCodeList",
    "ConfidentialityCode", "AuthorPerson", "FormatCode", "Type", "ReferenceIdList",
)  # fmt: skip


def _excluding() -> tuple[dict[str, Parameter], tuple[tuple[str, str], ...]]:
    base = {
        **_without_update(_FIND_DOCUMENTS),
        **{name: replace(row, required=False) for name, row in parameters(_REFERENCE_ID).items()},
    }
    pairs = tuple((f"$XDSDocumentEntry{name}", f"$XDSDocumentEntry{name}Exclude") for name in _EXCLUDABLE)
    return {**base, **{exclude: replace(base[name], name=exclude) for name, exclude in pairs}}, pairs


_EXCLUDE_PARAMETERS, _EXCLUDE_PAIRS = _excluding()


def _optional(base: Mapping[str, Parameter], patient: str) -> dict[str, Parameter]:
    """The multi-patient form of a query: no Metadata Update, and the patient is a list that may be absent."""
    return {**_without_update(base), patient: replace(base[patient], required=False, multiple=True)}


ITI18: Final = by_id((
    Query(
        id=uuids.FIND_DOCUMENTS, name="FindDocuments", parameters=_FIND_DOCUMENTS, results=(DE,),
        patient_parameter="$XDSDocumentEntryPatientId",
    ),
    Query(
        id=uuids.FIND_DOCUMENTS_BY_REFERENCE_ID, name="FindDocumentsByReferenceId",
        parameters=_with(_FIND_DOCUMENTS, _REFERENCE_ID), results=(DE,), patient_parameter="$XDSDocumentEntryPatientId",
    ),
    Query(
        id=uuids.FIND_SUBMISSION_SETS, name="FindSubmissionSets", results=(SS,),
        patient_parameter="$XDSSubmissionSetPatientId",
        parameters=parameters("""
            $XDSSubmissionSetPatientId           patient R
            $XDSSubmissionSetStatus              status  R M
            $XDSSubmissionSetSourceId            string  M
            $XDSSubmissionSetSubmissionTimeFrom  time
            $XDSSubmissionSetSubmissionTimeTo    time
            $XDSSubmissionSetAuthorPerson        string  L
            $XDSSubmissionSetContentType         code    M
        """),
    ),
    Query(
        id=uuids.FIND_FOLDERS, name="FindFolders", parameters=_FIND_FOLDERS, results=(FD,),
        patient_parameter="$XDSFolderPatientId",
    ),
    Query(
        id=uuids.GET_ALL, name="GetAll", results=(SS, DE, FD, AS), patient_parameter="$patientId",
        parameters=_with(_DOCUMENT_FILTERS, """
            $patientId               patient R
            $XDSDocumentEntryStatus  status  R M
            $XDSSubmissionSetStatus  status  R M
            $XDSFolderStatus         status  R M
            $XDSAssociationStatus    status  M MU
            $MetadataLevel           level   MU
        """),
    ),
    Query(
        id=uuids.GET_DOCUMENTS, name="GetDocuments", results=(DE,), single_patient=(DE,),
        parameters=parameters("""
            $XDSDocumentEntryEntryUUID  urn     M
            $XDSDocumentEntryUniqueId   string  M
            $XDSDocumentEntryLogicalID  urn     M MU
            $MetadataLevel              level   MU
        """),
        one_of=("$XDSDocumentEntryEntryUUID", "$XDSDocumentEntryUniqueId", "$XDSDocumentEntryLogicalID"),
    ),
    Query(
        id=uuids.GET_FOLDERS, name="GetFolders", results=(FD,), single_patient=(FD,),
        parameters=parameters("""
            $XDSFolderEntryUUID  urn     M
            $XDSFolderUniqueId   string  M
            $XDSFolderLogicalID  urn     M MU
            $MetadataLevel       level   MU
        """),
        one_of=("$XDSFolderEntryUUID", "$XDSFolderUniqueId", "$XDSFolderLogicalID"),
    ),
    Query(
        id=uuids.GET_ASSOCIATIONS, name="GetAssociations", results=(AS,),
        parameters=parameters("""
            $uuid                  urn     R M
            $XDSAssociationStatus  status  M MU
            $MetadataLevel         level   MU
        """),
    ),
    Query(
        id=uuids.GET_DOCUMENTS_AND_ASSOCIATIONS, name="GetDocumentsAndAssociations", results=(DE, AS),
        single_patient=(DE,),
        parameters=parameters("""
            $XDSDocumentEntryEntryUUID  urn     M
            $XDSDocumentEntryUniqueId   string  M
            $XDSAssociationStatus       status  M MU
            $MetadataLevel              level   MU
        """),
        one_of=("$XDSDocumentEntryEntryUUID", "$XDSDocumentEntryUniqueId"),
    ),
    Query(
        id=uuids.GET_SUBMISSION_SETS, name="GetSubmissionSets", results=(SS, AS), single_patient=(SS,),
        parameters=parameters("""
            $uuid           urn     R M
            $MetadataLevel  level   MU
        """),
    ),
    Query(
        id=uuids.GET_SUBMISSION_SET_AND_CONTENTS, name="GetSubmissionSetAndContents", results=(SS, DE, FD, AS),
        single_patient=(SS, FD, DE),
        parameters=_with(_DOCUMENT_FILTERS, """
            $XDSSubmissionSetEntryUUID  urn
            $XDSSubmissionSetUniqueId   string
            $MetadataLevel              level   MU
        """),
        one_of=("$XDSSubmissionSetEntryUUID", "$XDSSubmissionSetUniqueId"),
    ),
    Query(
        id=uuids.GET_FOLDER_AND_CONTENTS, name="GetFolderAndContents", results=(FD, DE, AS), single_patient=(FD, DE),
        parameters=_with(_DOCUMENT_FILTERS, """
            $XDSFolderEntryUUID    urn
            $XDSFolderUniqueId     string
            $XDSAssociationStatus  status  M MU
            $MetadataLevel         level   MU
        """),
        one_of=("$XDSFolderEntryUUID", "$XDSFolderUniqueId"),
    ),
    Query(
        id=uuids.GET_FOLDERS_FOR_DOCUMENT, name="GetFoldersForDocument", results=(FD,),
        parameters=parameters("""
            $XDSDocumentEntryEntryUUID  urn
            $XDSDocumentEntryUniqueId   string
            $XDSAssociationStatus       status  M MU
            $MetadataLevel              level   MU
        """),
        one_of=("$XDSDocumentEntryEntryUUID", "$XDSDocumentEntryUniqueId"),
    ),
    Query(
        id=uuids.GET_RELATED_DOCUMENTS, name="GetRelatedDocuments", results=(DE, AS),
        parameters=parameters("""
            $XDSDocumentEntryEntryUUID  urn
            $XDSDocumentEntryUniqueId   string
            $AssociationTypes           urn     R M
            $XDSDocumentEntryType       urn     M
            $XDSAssociationStatus       status  M MU
            $MetadataLevel              level   MU
        """),
        one_of=("$XDSDocumentEntryEntryUUID", "$XDSDocumentEntryUniqueId"),
    ),
))  # fmt: skip
"""The queries of Registry Stored Query"""

ITI51: Final = by_id((
    Query(
        id=uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS, name="FindDocumentsForMultiplePatients", results=(DE,),
        parameters=_optional(_FIND_DOCUMENTS, "$XDSDocumentEntryPatientId"),
        patient_parameter="$XDSDocumentEntryPatientId",
        any_of=(
            "$XDSDocumentEntryPatientId", "$XDSDocumentEntryClassCode", "$XDSDocumentEntryEventCodeList",
            "$XDSDocumentEntryHealthcareFacilityTypeCode",
        ),
        source="ITI TF-2 3.51",
    ),
    Query(
        id=uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS, name="FindFoldersForMultiplePatients", results=(FD,),
        parameters=_optional(_FIND_FOLDERS, "$XDSFolderPatientId"), patient_parameter="$XDSFolderPatientId",
        any_of=("$XDSFolderPatientId", "$XDSFolderCodeList"),
        source="ITI TF-2 3.51",
    ),
))  # fmt: skip
"""The queries of Multi-Patient Stored Query"""

ITI63: Final = by_id((
    Query(
        id="urn:uuid:f2072993-9478-41df-a603-8f016706efe8", name="Fetch", parameters=_FIND_DOCUMENTS, results=(DE,),
        patient_parameter="$XDSDocumentEntryPatientId", source="Cross-Community Fetch supplement",
    ),
))  # fmt: skip
"""The query of Cross Gateway Fetch"""

EXTENSIONS: Final = by_id((
    Query(
        id=uuids.FIND_DOCUMENTS_EXCLUDE, name="FindDocumentsExclude", results=(DE,),
        parameters=_EXCLUDE_PARAMETERS, not_both=_EXCLUDE_PAIRS, patient_parameter="$XDSDocumentEntryPatientId",
        source="CP-ITI-1323",
    ),
    Query(
        id="urn:uuid:1191642d-86c4-42d8-b784-f95445f9f0d5", name="FindDocumentsByReferenceIdForMultiplePatients",
        parameters=_with(_optional(_FIND_DOCUMENTS, "$XDSDocumentEntryPatientId"), _REFERENCE_ID), results=(DE,),
        patient_parameter="$XDSDocumentEntryPatientId", source="Open eHealth Integration Platform",
    ),
    Query(
        id="urn:uuid:ab474085-82b5-402d-8115-3f37cb1e2405", name="FindDocumentsByTitle", results=(DE,),
        parameters=_with(_FIND_DOCUMENTS, """
            $XDSDocumentEntryTitle              string R M L
            $XDSDocumentEntryAuthorInstitution  string M L
        """),
        patient_parameter="$XDSDocumentEntryPatientId", source="gematik",
    ),
    Query(
        id="urn:uuid:2609dda5-2b97-44d5-a795-3e999c24ca99", name="FindDocumentsByComment", results=(DE,),
        parameters=_with(_FIND_DOCUMENTS, """
            $XDSDocumentEntryComment            string R M L
            $XDSDocumentEntryAuthorInstitution  string M L
        """),
        patient_parameter="$XDSDocumentEntryPatientId", source="gematik",
    ),
    Query(
        id="urn:uuid:1c1f1cea-ad3a-11ed-afa1-0242ac120002", name="GetRelatedApprovedDocuments", results=(DE, AS),
        parameters=ITI18[uuids.GET_RELATED_DOCUMENTS].parameters, one_of=ITI18[uuids.GET_RELATED_DOCUMENTS].one_of,
        source="gematik",
    ),
))  # fmt: skip
"""Queries that others have added; a registry offers them only where its storage answers them"""

REGISTRY_QUERIES: Final[Mapping[str, Query]] = {
    **ITI18, uuids.FIND_DOCUMENTS_EXCLUDE: EXTENSIONS[uuids.FIND_DOCUMENTS_EXCLUDE],
}  # fmt: skip
"""What our registry offers by ITI-18"""

STORED_QUERIES: Final[Mapping[str, Query]] = {**ITI18, **ITI51, **ITI63, **EXTENSIONS}
